// SPDX-License-Identifier: MIT
// Packing a million sequences: best fit on the histogram, the bin of every sequence included, against first fit decreasing with
// a segment tree; and the tight packer.
#include "data.hpp"
#include "measure.hpp"

#include <batten/batten.hpp>
#include <batten/plan/best_fit.hpp>
#include <batten/plan/next_fit.hpp>
#include <batten/plan/tight.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;
namespace plan = batten::plan;

// First fit decreasing as hand-written packers have it: items sorted by length, a segment tree over what bins have left, each
// item down the tree to the first bin that holds it. Twice as many leaves as full bins are enough.
struct first_fit_decreasing {
    std::vector<std::uint32_t> bin_of{};
    std::size_t bins = 0;

    void pack(const std::vector<std::uint32_t>& lengths, std::uint32_t capacity)
    {
        std::vector<std::uint32_t> order(lengths.size());
        std::iota(order.begin(), order.end(), 0U);
        std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return lengths[a] > lengths[b]; });
        const std::size_t full = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0}) / capacity;
        std::size_t leaves = 1;
        while (leaves < 2 * full + 2)
            leaves *= 2;
        std::vector<std::uint32_t> most(2 * leaves, capacity);  // left of a bin below each node
        bin_of.assign(lengths.size(), 0);
        bins = 0;
        for (const std::uint32_t item : order) {
            std::size_t node = 1;
            while (node < leaves)
                node = 2 * node + (most[2 * node] >= lengths[item] ? 0 : 1);
            bin_of[item] = static_cast<std::uint32_t>(node - leaves);
            bins = std::max(bins, node - leaves + 1);
            most[node] -= lengths[item];
            while (node > 1) {
                node /= 2;
                most[node] = std::max(most[2 * node], most[2 * node + 1]);
            }
        }
    }
};

template <class Run>
contender once(std::string name, Run run)
{
    return {std::move(name), passes(1, [run](std::size_t) { run(); })};
}

void report(results_file& results, const std::string& what, std::uint64_t bins)
{
    results.meta("bins, " + what, std::to_string(bins));
    std::printf("  bins, %s: %llu\n", what.c_str(), static_cast<unsigned long long>(bins));
}

void run_lists(const settings& with, results_file& results, std::size_t n)
{
    generator draw(1);
    std::vector<std::uint32_t> drawn(n);
    for (auto& length : drawn)
        length = static_cast<std::uint32_t>(draw.lognormal(180.0, 0.9, 8, 8192));
    for (const std::uint32_t capacity : {2048U, 8192U}) {
        std::vector<std::uint32_t> lengths = drawn;
        for (auto& length : lengths)
            length = std::min(length, capacity);
        const plan::packing_options options{.capacity = capacity};
        const std::string workload = std::to_string(n / 1000) + " k into " + std::to_string(capacity);
        first_fit_decreasing by_tree;
        time_contenders(with, results, {"packing", workload, "", "", n * 4, n, n, 1},
                        {once("Batten best_fit", [&] { benchmark::DoNotOptimize(plan::pack_best_fit(lengths, options)); }),
                         once("first fit decreasing, segment tree", [&] {
                             by_tree.pack(lengths, capacity);
                             benchmark::DoNotOptimize(by_tree.bin_of.data());
                         }),
                         once("Batten next_fit", [&] { benchmark::DoNotOptimize(plan::pack_next_fit(lengths, options)); }),
                         once("Batten tight", [&] { benchmark::DoNotOptimize(plan::pack_tight(lengths, options)); })});
        const plan::packing best = plan::pack_best_fit(lengths, options);
        if (best.size() > by_tree.bins) {
            std::fprintf(stderr, "best fit takes %zu bins, first fit decreasing %zu\n", best.size(), by_tree.bins);
            std::exit(1);
        }
        report(results, workload + ", bound", best.bounds.best());
        report(results, workload + ", best_fit", best.size());
        report(results, workload + ", first fit decreasing", by_tree.bins);
        report(results, workload + ", next_fit", plan::pack_next_fit(lengths, options).size());
        report(results, workload + ", tight", plan::pack_tight(lengths, options).size());
    }
}

// Real lists, where they are.
void run_histogram(const settings& with, results_file& results, const std::string& name, const plan::histogram& counts,
                   std::size_t max_per_bin)
{
    const plan::packing_options options{.capacity = 512, .max_per_bin = max_per_bin};
    time_contenders(with, results, {"packing", name, "", "", counts.bins().size() * 16, 0, 0, 1},
                    {once("Batten best_fit, histogram", [&] { benchmark::DoNotOptimize(plan::pack_best_fit(counts, options)); }),
                     once("Batten tight, histogram", [&] { benchmark::DoNotOptimize(plan::pack_tight(counts, options)); })});
    const plan::pattern_packing tight = plan::pack_tight(counts, options);
    report(results, name + ", best_fit", plan::pack_best_fit(counts, options).bins());
    report(results, name + ", tight", tight.bins());
    report(results, name + ", bound", tight.bounds.best());
}

// Numbers of each line of a file, after its first line.
std::vector<std::pair<std::size_t, std::uint64_t>> pairs_of(const std::string& file)
{
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    std::vector<std::pair<std::size_t, std::uint64_t>> pairs;
    std::size_t first = 0;
    std::uint64_t second = 0;
    for (char comma = 0; in >> first >> comma >> second;)
        pairs.emplace_back(first, second);
    return pairs;
}

}  // namespace

int main(int argc, char** argv)
{
    settings with = parse_settings(argc, argv);
    with.most_repetitions = 7;
    start_harness(argv[0]);
    results_file results(with.results);
    run_lists(with, results, with.quick ? 100'000 : 1'000'000);
    std::vector<plan::histogram::bin> wikipedia;
    for (const auto& [length, count] : pairs_of(with.data + "/traces/packedbert_wikipedia_histogram.csv"))
        wikipedia.push_back({length, count});
    std::vector<plan::histogram::bin> gsm8k;
    for (const auto& [prompt, completion] : pairs_of(with.data + "/lengths/gsm8k_train.csv"))
        gsm8k.push_back({prompt + static_cast<std::size_t>(completion), 1});
    if (wikipedia.empty() || gsm8k.empty()) {
        std::printf("  the real lists are not at %s: left out\n", with.data.c_str());
        return 0;
    }
    const auto counts = plan::histogram::from_bins(std::move(wikipedia));
    run_histogram(with, results, "packedBERT Wikipedia, depth 12", counts, 12);
    run_histogram(with, results, "packedBERT Wikipedia", counts, batten::no_limit);
    run_histogram(with, results, "gsm8k_train", plan::histogram::from_bins(std::move(gsm8k)), batten::no_limit);
    return 0;
}
