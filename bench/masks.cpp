// SPDX-License-Identifier: MIT
// Attention masks against store fills of as many bytes and the loop over every query and key; MLM masking on the rows of B256.
// bench/masks.py adds torch and transformers. bench/run says how both are run.
#include "data.hpp"
#include "fills.hpp"
#include "measure.hpp"
#include "outputs.hpp"

#include <batten/batten.hpp>
#include <batten/mask/dense.hpp>
#include <batten/mask/intervals.hpp>
#include <batten/mask/mlm.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;
namespace mask = batten::mask;

// ---- 8 rows of up to 2048 tokens, causal, padded right --------------------------------------------------------------------

constexpr std::size_t width = 2048;
const std::vector<std::int64_t> lengths{2048, 1792, 1536, 1280, 1024, 768, 512, 256};
constexpr mask::dimensions shape{8, width, width};
constexpr std::size_t pairs = 8 * width * width;

constexpr bool sees(std::size_t row_length, std::size_t query, std::size_t key)
{
    return query < row_length && key <= query;
}

template <class T>
std::uint64_t repeated(T value)
{
    std::uint64_t all = 0;
    for (std::size_t at = 0; at < 8; at += sizeof value)
        std::memcpy(reinterpret_cast<char*>(&all) + at, &value, sizeof value);
    return all;
}

// The loop that a mask is usually made by.
template <class T>
[[gnu::noinline]] void loop_of_pairs(T* out, T inside, T outside)
{
    for (std::size_t r = 0; r < lengths.size(); ++r) {
        const auto length = static_cast<std::size_t>(lengths[r]);
        for (std::size_t q = 0; q < width; ++q)
            for (std::size_t k = 0; k < width; ++k)
                *out++ = sees(length, q, k) ? inside : outside;
    }
}

template <class T>
void check(const T* out, T inside, T outside, const std::string& name)
{
    for (std::size_t i = 0; i < pairs; ++i) {
        const T expected = sees(static_cast<std::size_t>(lengths[i / width / width]), i / width % width, i % width) ? inside
                                                                                                                  : outside;
        if (std::memcmp(out + i, &expected, sizeof expected) != 0) {
            std::fprintf(stderr, "%s: wrong at %zu\n", name.c_str(), i);
            std::exit(1);
        }
    }
}

// `write(out)` makes the dense mask from intervals.
template <class T, class Write>
void run_dense(const settings& with, results_file& results, const std::string& outputs, T inside, T outside, Write write)
{
    array<T> memory(pairs);
    T* const out = memory.data();
    std::vector<mask::interval> intervals(shape.rows * shape.queries);
    const batten::padded_rows where(lengths, width, batten::pad_right{});
    std::size_t seen = 0;
    mask::intervals(where, mask::causal{}, intervals);
    for (const mask::interval& i : intervals)
        seen += static_cast<std::size_t>(i.end - i.begin);
    const auto whole = [&](std::size_t) {
        mask::intervals(where, mask::causal{}, intervals);
        write(std::span<const mask::interval>(intervals), std::span(out, pairs));
    };
    const auto by_hand = [&](std::size_t) { loop_of_pairs(out, inside, outside); };

    std::vector<contender> contenders;
    const std::vector<fill_part> parts{make_part(out, seen, pairs, sizeof(T), repeated(inside), repeated(outside))};
    for (const named_fill& fill : machine_fills())
        contenders.push_back({std::string(fill.name), passes(1, [&, fill](std::size_t) { run_fill(fill.fill, parts); })});
    const auto add = [&](std::string name, auto run) {
        memory.spoil(pairs);
        run(0);
        check(out, inside, outside, name);
        contenders.push_back({std::move(name), passes(1, run)});
    };
    add("Batten intervals, then dense", whole);
    add("loop over queries and keys", by_hand);
    time_contenders(with, results, {"masks", "8 x 1 x 2048 x 2048", outputs, "", pairs * sizeof(T), 0, pairs, 1}, contenders);
}

void run_bits(const settings& with, results_file& results)
{
    array<std::uint8_t> memory(pairs / 8);
    std::vector<mask::interval> intervals(shape.rows * shape.queries);
    const batten::padded_rows where(lengths, width, batten::pad_right{});
    const auto whole = [&](std::size_t) {
        mask::intervals(where, mask::causal{}, intervals);
        mask::bits(intervals, shape, std::span(memory.data(), pairs / 8));
    };
    const auto intervals_alone = [&](std::size_t) { mask::intervals(where, mask::causal{}, intervals); };
    whole(0);
    for (std::size_t i = 0; i < pairs; ++i)
        if ((memory.data()[i / 8] >> i % 8 & 1) != sees(static_cast<std::size_t>(lengths[i / width / width]), i / width % width,
                                                       i % width)) {
            std::fprintf(stderr, "bits: wrong at %zu\n", i);
            std::exit(1);
        }
    std::vector<contender> contenders;
    const std::vector<fill_part> parts{make_part(memory.data(), pairs / 16, pairs / 8, 1, repeated(std::uint8_t{0xFF}), 0)};
    for (const named_fill& fill : machine_fills())
        contenders.push_back({std::string(fill.name), passes(1, [&, fill](std::size_t) { run_fill(fill.fill, parts); })});
    contenders.push_back({"Batten intervals, then dense", passes(1, whole)});
    contender alone{"Batten intervals alone", passes(1, intervals_alone)};
    alone.outputs = "intervals";
    alone.bytes = intervals.size() * sizeof(mask::interval);
    contenders.push_back(std::move(alone));
    time_contenders(with, results, {"masks", "8 x 1 x 2048 x 2048", "bits", "", pairs / 8, 0, pairs, 1}, contenders);
}

// ---- MLM ------------------------------------------------------------------------------------------------------------------

// The last of GPT-2's ids stands for [MASK].
constexpr std::int64_t mask_id = 50256;

void run_mlm(const settings& with, results_file& results)
{
    const workload on = make_workload(workload_kinds[1]);
    const std::size_t most = on.largest_cells();
    const array<std::int64_t> ids(most), attention(most), labels(most);
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::encoder_fields> collate{
        {.pad_id = pad_id}};
    const mask::mlm_masking hide({.mask_id = mask_id, .vocabulary = 50257, .special_ids = {pad_id}, .seed = 1});
    std::vector<std::vector<std::size_t>> lengths_of, sequence_ids;
    for (const batch& b : on.batches) {
        lengths_of.emplace_back();
        for (const auto& row : b.rows)
            lengths_of.back().push_back(row.size());
        sequence_ids.emplace_back(b.rows.size());
        std::iota(sequence_ids.back().begin(), sequence_ids.back().end(), sequence_ids.size() * 1000);
    }
    std::uint64_t epoch = 0;
    const auto collate_only = [&](std::size_t i) {
        auto id_cells = std::span(ids.data(), on.batches[i].cells());
        auto mask_cells = std::span(attention.data(), on.batches[i].cells());
        collate.into(on.batches[i].rows, batten::outputs{batten::set<batten::token_ids>(id_cells),
                                                         batten::set<batten::attention_mask>(mask_cells)});
    };
    const auto hide_only = [&](std::size_t i) {
        const std::size_t cells = on.batches[i].cells();
        return hide.into(batten::padded_rows(lengths_of[i], on.batches[i].width, batten::pad_right{}), sequence_ids[i], epoch++,
                         std::span(ids.data(), cells), std::span(labels.data(), cells));
    };
    const auto both = [&](std::size_t i) {
        collate_only(i);
        benchmark::DoNotOptimize(hide_only(i));
    };

    std::size_t chosen = 0;
    for (std::size_t i = 0; i < on.batches.size(); ++i) {
        collate_only(i);
        chosen += hide_only(i).chosen;
    }
    const double share = static_cast<double>(chosen) / static_cast<double>(on.real());
    if (share < 0.14 || share > 0.16) {
        std::fprintf(stderr, "MLM: %f of the tokens are chosen\n", share);
        std::exit(1);
    }
    contender alone{"Batten MLM masking alone, in place", passes(on.batches.size(), [&](std::size_t i) {
                        benchmark::DoNotOptimize(hide_only(i));
                    })};
    time_contenders(with, results,
                    {"mlm", on.name, "3 x int64", "", on.cells() * 24, on.real(), on.cells(), on.batches.size()},
                    {{"Batten collate, then MLM masking", passes(on.batches.size(), both)}, alone});
}

}  // namespace

int main(int argc, char** argv)
{
    const settings with = parse_settings(argc, argv);
    start_harness(argv[0]);
    results_file results(with.results);
    run_dense(with, results, "float", 0.0F, std::numeric_limits<float>::lowest(), [](auto intervals, std::span<float> out) {
        mask::additive(intervals, shape, out);
    });
    using batten::bfloat16;
    run_dense(with, results, "bfloat16", bfloat16{0}, batten::lowest_finite<bfloat16>,
              [](auto intervals, std::span<bfloat16> out) { mask::additive(intervals, shape, out); });
    run_dense(with, results, "bytes", std::uint8_t{1}, std::uint8_t{0},
              [](auto intervals, std::span<std::uint8_t> out) { mask::bytes(intervals, shape, out); });
    run_bits(with, results);
    run_mlm(with, results);
    return 0;
}
