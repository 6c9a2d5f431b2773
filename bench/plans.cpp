// SPDX-License-Identifier: MIT
// Plans of ten million sequences against those that std::sort makes, and bucket edges: how long the optimum takes.
#include "data.hpp"
#include "measure.hpp"

#include <batten/batten.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;
namespace plan = batten::plan;

// ---- memory that a plan takes while it is made -------------------------------------------------------------------------------

std::atomic<std::size_t> taken{0};
std::atomic<std::size_t> most_taken{0};

void* take(std::size_t bytes, std::size_t alignment)
{
    // The size stands before the block, in a gap as large as its alignment.
    const std::size_t gap = std::max<std::size_t>(alignment, alignof(std::max_align_t));
    void* const memory = std::aligned_alloc(gap, (bytes + gap + gap - 1) / gap * gap);
    if (memory == nullptr)
        return nullptr;
    auto* const block = static_cast<std::byte*>(memory) + gap;
    reinterpret_cast<std::size_t*>(block)[-1] = bytes;
    const std::size_t now = taken.fetch_add(bytes) + bytes;
    if (now > most_taken)
        most_taken = now;
    return block;
}
void give_back(void* block, std::size_t alignment) noexcept
{
    if (block == nullptr)
        return;
    taken -= reinterpret_cast<std::size_t*>(block)[-1];
    std::free(static_cast<std::byte*>(block) - std::max<std::size_t>(alignment, alignof(std::max_align_t)));
}

template <class Run>
std::size_t bytes_for(const Run& run)
{
    const std::size_t before = taken;
    most_taken = before;
    run();
    return most_taken - before;
}

}  // namespace

void* operator new(std::size_t bytes)
{
    if (void* const block = take(bytes, 1))
        return block;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept
{
    return take(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { give_back(block, 1); }
void operator delete(void* block, std::size_t) noexcept { give_back(block, 1); }
void operator delete(void* block, std::align_val_t alignment) noexcept { give_back(block, static_cast<std::size_t>(alignment)); }

namespace {

// ---- what they are made of ---------------------------------------------------------------------------------------------------

std::vector<std::uint32_t> lognormal_lengths(std::size_t n, std::size_t longest)
{
    std::vector<std::uint32_t> lengths(n);
    generator draw(1);
    for (auto& length : lengths)
        length = static_cast<std::uint32_t>(draw.lognormal(180.0, 0.9, 8, longest));
    return lengths;
}

// Batches of a run of sorted rows within the budget, from the longest on, as hand-written loaders cut them.
struct cuts {
    std::vector<std::uint32_t> ends{};
    std::vector<std::uint32_t> widths{};

    void cut(const std::vector<std::uint32_t>& lengths, const std::vector<std::uint32_t>& order, std::size_t begin,
             std::size_t end, std::size_t budget)
    {
        while (end > begin) {
            const std::size_t width = lengths[order[end - 1]];
            const std::size_t rows = std::min(budget / width, end - begin);
            ends.push_back(static_cast<std::uint32_t>(end));
            widths.push_back(static_cast<std::uint32_t>(width));
            end -= rows;
        }
    }
};

// One call is one pass.
template <class Run>
contender once(std::string name, Run run)
{
    return {std::move(name), passes(1, [run](std::size_t) { run(); })};
}

void run_plans(const settings& with, results_file& results, std::size_t n)
{
    const auto lengths = lognormal_lengths(n, 8192);
    constexpr std::size_t budget = 65536;
    constexpr std::size_t window = 1600;
    const results_file::line of{"plan", std::to_string(n / 1000000) + " M sequences", "", "", n * 4, n, n, 1};

    std::vector<std::uint32_t> order(n);
    const auto by_length = [&](std::uint32_t a, std::uint32_t b) { return lengths[a] < lengths[b]; };
    time_contenders(with, results, of,
                    {once("Batten stable_order", [&] { plan::stable_order(lengths, std::span(order)); }),
                     once("std::sort by key",
                          [&] {
                              std::iota(order.begin(), order.end(), 0U);
                              std::sort(order.begin(), order.end(), by_length);
                          }),
                     once("std::stable_sort by key", [&] {
                         std::iota(order.begin(), order.end(), 0U);
                         std::stable_sort(order.begin(), order.end(), by_length);
                     })});

    const plan::batch_options sorted{.group = plan::grouping::sorted, .max_cells = budget};
    const plan::batch_options windows{.group = plan::grouping::windows, .max_cells = budget, .window = window};
    const auto planned = [&](const plan::batch_options& options) { benchmark::DoNotOptimize(plan::batches(lengths, options)); };
    const auto hand_sorted = [&] {
        std::vector<std::uint32_t> rows(n);
        std::iota(rows.begin(), rows.end(), 0U);
        std::sort(rows.begin(), rows.end(), by_length);
        cuts all;
        all.cut(lengths, rows, 0, n, budget);
        benchmark::DoNotOptimize(all.ends.data());
    };
    const auto hand_windows = [&] {
        std::vector<std::uint32_t> rows(n);
        std::iota(rows.begin(), rows.end(), 0U);
        std::shuffle(rows.begin(), rows.end(), std::mt19937_64(7));
        cuts all;
        for (std::size_t begin = 0; begin < n; begin += window) {
            const std::size_t end = std::min(begin + window, n);
            std::sort(rows.begin() + static_cast<std::ptrdiff_t>(begin), rows.begin() + static_cast<std::ptrdiff_t>(end),
                      by_length);
            all.cut(lengths, rows, begin, end, budget);
        }
        benchmark::DoNotOptimize(all.ends.data());
    };
    time_contenders(with, results, of,
                    {once("Batten plan, budget, sorted", [&] { planned(sorted); }),
                     once("std::sort plan, budget, sorted", hand_sorted),
                     once("Batten plan, budget, windows", [&] { planned(windows); }),
                     once("std::sort plan, budget, windows", hand_windows),
                     once("Batten plan, budget, sorted, least padding", [&] {
                         planned({.group = plan::grouping::sorted, .max_cells = budget, .aim = plan::objective::least_padding});
                     })});
    for (const auto& [name, options] : {std::pair{"sorted", sorted}, std::pair{"windows", windows}}) {
        const double bytes = static_cast<double>(bytes_for([&] { planned(options); })) / static_cast<double>(n);
        char text[64];
        std::snprintf(text, sizeof text, "%.2f bytes a sequence at the most", bytes);
        results.meta(std::string("memory of a plan, ") + name, text);
        std::printf("  memory of a plan, %s: %s\n", name, text);
    }
}

// The growth with the number of distinct lengths, k = 32.
void run_edges(const settings& with, results_file& results)
{
    for (std::size_t distinct = 2048; distinct <= 131072; distinct *= 4) {
        std::vector<plan::histogram::bin> bins;
        std::uint64_t state = 7;
        for (std::size_t length = 1; length <= distinct; ++length) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            bins.push_back({length, 1 + (state >> 33U) % (1 + 4 * distinct / length)});
        }
        const auto counts = plan::histogram::from_bins(std::move(bins));
        time_contenders(with, results, {"edges", std::to_string(distinct) + " lengths", "", "", distinct * 16, distinct, distinct, 1},
                        {once("Batten optimal_edges, k = 32", [&] {
                            benchmark::DoNotOptimize(plan::optimal_edges(counts, {.max_edges = 32}));
                        })});
    }
}

}  // namespace

int main(int argc, char** argv)
{
    settings with = parse_settings(argc, argv);
    with.most_repetitions = 7;  // a second each
    start_harness(argv[0]);
    results_file results(with.results);
    run_plans(with, results, with.quick ? 1'000'000 : 10'000'000);
    run_edges(with, results);
    return 0;
}
