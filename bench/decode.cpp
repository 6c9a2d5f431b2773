// SPDX-License-Identifier: MIT
// A decode step against collating the batch again and against a longer copy of its mask; pad and unpad of hidden rows against
// memcpy of as many bytes and against a copy by index. bench/run says how it is run.
#include "data.hpp"
#include "measure.hpp"
#include "outputs.hpp"

#include <batten/batten.hpp>
#include <batten/serve/decode.hpp>
#include <batten/varlen.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

std::size_t allocations = 0;

}  // namespace

// Counted here, since a step makes none.
void* operator new(std::size_t bytes)
{
    ++allocations;
    if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes))
        return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept
{
    ++allocations;
    const auto unit = static_cast<std::size_t>(alignment);
    return std::aligned_alloc(unit, (bytes + unit) / unit * unit);
}
void* operator new(std::size_t bytes, std::align_val_t alignment)
{
    if (void* const memory = ::operator new(bytes, alignment, std::nothrow))
        return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept
{
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept
{
    std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept
{
    std::free(memory);
}

namespace {

using namespace bench;
using batten::attention_mask;
using batten::outputs;
using batten::position_ids;
using batten::set;
using batten::token_ids;

[[noreturn]] void fail(const std::string& what)
{
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

// ---- a decode step -------------------------------------------------------------------------------------------------------

// Prompts of up to `longest` tokens, one of them so long.
batch make_prompts(std::size_t rows, std::size_t longest)
{
    generator draw(3000 + rows);
    std::vector<std::size_t> lengths(rows, longest);
    for (std::size_t r = 1; r < rows; ++r)
        lengths[r] = draw.lognormal(static_cast<double>(longest) / 4, 0.9, 8, longest);
    return make_batch(lengths, draw);
}

void run_steps(const settings& with, results_file& results, std::size_t rows, std::size_t width)
{
    constexpr std::size_t steps = 64;
    const std::size_t capacity = width + steps;
    const batch on = make_prompts(rows, width);
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, batten::inference_fields> collate{
        {.pad_id = pad_id}};

    const array<std::int64_t> ids(rows * capacity), mask(rows * capacity), positions(rows * capacity);
    const array<std::int64_t> longer(rows * capacity), step_ids(rows), step_positions(rows);
    std::vector<std::int64_t> lengths(rows);
    const auto all = [](const array<std::int64_t>& of, std::size_t count) { return std::span(of.data(), count); };
    const std::size_t cells = rows * capacity;
    auto all_ids = all(ids, cells), all_mask = all(mask, cells), all_positions = all(positions, cells);
    const outputs prefill{set<token_ids>(all_ids, capacity), set<attention_mask>(all_mask, capacity),
                          set<position_ids>(all_positions, capacity), set<batten::lengths>(lengths)};
    collate.into(on.rows, prefill);
    std::vector<std::int32_t> sampled(rows);
    generator draw(1);
    for (auto& token : sampled)
        token = draw.token();

    // The mask is kept; ids and positions are the step's.
    batten::serve::decode_batch<> step({.pad_id = pad_id}, lengths, width, capacity,
                                       outputs{set<attention_mask>(all_mask, capacity)});
    // All three are kept.
    batten::serve::decode_batch<batten::inference_fields, batten::fields<>> append(
        {.pad_id = pad_id}, lengths, width, capacity,
        outputs{set<token_ids>(all_ids, capacity), set<attention_mask>(all_mask, capacity),
                set<position_ids>(all_positions, capacity)});
    const auto step_start = step;
    const auto append_start = append;
    auto ids_span = all(step_ids, rows), positions_span = all(step_positions, rows);
    const outputs out{set<token_ids>(ids_span), set<position_ids>(positions_span)};
    const auto one_step = [&](std::size_t i) {
        if (i == 0)
            step = step_start;
        benchmark::DoNotOptimize(step.append(sampled, out));
    };
    const auto one_append = [&](std::size_t i) {
        if (i == 0)
            append = append_start;
        benchmark::DoNotOptimize(append.append(sampled));
    };

    // What a step must come to, and that it allocates nothing.
    std::size_t during = 0;
    for (std::size_t i = 0; i < steps; ++i) {
        const std::size_t before = allocations;
        one_step(i);
        one_append(i);
        during += i != 0 ? allocations - before : 0;  // the first begins with a copy of the batch as it started
        for (std::size_t r = 0; r < rows; ++r) {
            const auto position = static_cast<std::int64_t>(on.rows[r].size() + i);
            const std::size_t cell = r * capacity + width + i;
            if (step_ids.data()[r] != sampled[r] || step_positions.data()[r] != position || mask.data()[cell] != 1 ||
                ids.data()[cell] != sampled[r] || positions.data()[cell] != position)
                fail("a decode step is wrong in row " + std::to_string(r));
        }
    }
    if (during != 0)
        fail("decode steps allocated " + std::to_string(during) + " times");

    const auto again = [&](std::size_t) { benchmark::DoNotOptimize(collate.into(on.rows, prefill)); };
    // What concatenating a column of ones does, and the positions that follow from the mask.
    const auto concatenate = [&](std::size_t) {
        for (std::size_t r = 0; r < rows; ++r) {
            std::int64_t* const to = longer.data() + r * (width + 1);
            const std::int64_t* const from = mask.data() + r * capacity;
            std::int64_t sum = 0;
            for (std::size_t c = 0; c < width; ++c)
                sum += to[c] = from[c];
            to[width] = 1;
            step_positions.data()[r] = sum;
            step_ids.data()[r] = sampled[r];
        }
    };
    std::vector<contender> contenders;
    const auto add = [&](std::string name, auto run, std::size_t written, std::size_t batches) {
        contender one{std::move(name), passes(batches, run)};
        one.cells = written * batches;
        one.bytes = written * batches * 24;
        one.batches = batches;
        contenders.push_back(std::move(one));
    };
    add("Batten decode step, mask kept", one_step, rows, steps);
    add("Batten decode step, ids, mask and positions kept", one_append, rows, steps);
    add("Batten collate again, into", again, rows * width, 1);
    add("mask copied with one column more", concatenate, rows * width, 1);
    const std::string workload = std::to_string(rows) + " x " + std::to_string(width);
    time_contenders(with, results, {"decode", workload, "3 x int64", "", 0, on.real(), 0, 1}, contenders);
}

// ---- hidden rows ---------------------------------------------------------------------------------------------------------

void run_hidden(const settings& with, results_file& results, std::size_t rows, std::size_t longest)
{
    constexpr std::size_t d = 1024;
    const batch on = make_prompts(rows, longest);
    std::vector<std::int64_t> lengths;
    for (const auto& row : on.rows)
        lengths.push_back(static_cast<std::int64_t>(row.size()));
    const batten::varlen_map places(batten::padded_rows(lengths, on.width, batten::pad_left{}));
    const std::size_t padded_size = on.cells() * d, packed_size = on.real() * d;
    const array<float> padded(padded_size), packed(packed_size), other(padded_size);
    for (std::size_t i = 0; i < padded_size; ++i)
        padded.data()[i] = static_cast<float>(i % 8191);
    std::vector<std::int64_t> indices(on.real());
    places.indices(indices);

    const auto in = std::span<const float>(padded.data(), padded_size);
    const auto tokens = std::span(packed.data(), packed_size);
    const auto out = std::span(other.data(), padded_size);
    const auto gather = [&](std::size_t) { places.gather_rows(in, d, tokens); };
    const auto scatter = [&](std::size_t) { places.scatter_rows(tokens, d, out); };
    const auto gather_streamed = [&](std::size_t) { places.gather_rows(in, d, tokens, batten::non_temporal); };
    const auto scatter_streamed = [&](std::size_t) { places.scatter_rows(tokens, d, out, batten::non_temporal); };
    const auto gather_by_index = [&](std::size_t) {
        for (std::size_t t = 0; t < indices.size(); ++t)
            std::memcpy(tokens.data() + t * d, in.data() + static_cast<std::size_t>(indices[t]) * d, d * sizeof(float));
    };
    const auto scatter_by_index = [&](std::size_t) {
        std::memset(out.data(), 0, out.size_bytes());
        for (std::size_t t = 0; t < indices.size(); ++t)
            std::memcpy(out.data() + static_cast<std::size_t>(indices[t]) * d, tokens.data() + t * d, d * sizeof(float));
    };
    const auto copy_packed = [&](std::size_t) { std::memcpy(tokens.data(), in.data(), tokens.size_bytes()); };
    const auto copy_padded = [&](std::size_t) { std::memcpy(out.data(), in.data(), out.size_bytes()); };

    const auto check = [&](const std::string& who) {
        std::size_t t = 0;
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < on.width; ++c) {
                const bool real = c >= on.width - on.rows[r].size();
                const float* const cell = in.data() + (r * on.width + c) * d;
                if (real && std::memcmp(tokens.data() + t++ * d, cell, d * sizeof(float)) != 0)
                    fail(who + ": unpad is wrong");
                for (std::size_t i = 0; i < d; ++i)
                    if (out[(r * on.width + c) * d + i] != (real ? cell[i] : 0.0F))
                        fail(who + ": pad is wrong");
            }
    };
    const auto run_checked = [&](const std::string& who, auto unpad, auto pad) {
        std::memset(tokens.data(), 0xAB, tokens.size_bytes());
        std::memset(out.data(), 0xAB, out.size_bytes());
        unpad(0);
        pad(0);
        check(who);
    };
    run_checked("by index", gather_by_index, scatter_by_index);
    run_checked("Batten, non-temporal stores", gather_streamed, scatter_streamed);
    run_checked("Batten", gather, scatter);

    const std::string workload = std::to_string(rows) + " x " + std::to_string(on.width) + " x 1024";
    time_contenders(with, results, {"hidden", workload, "unpad", "", tokens.size_bytes(), on.real(), on.real(), 1},
                    {{"Batten unpad (gather_rows)", passes(1, gather)},
                     {"Batten unpad, non-temporal stores", passes(1, gather_streamed)},
                     {"memcpy of as many bytes", passes(1, copy_packed)},
                     {"memcpy of each row by index", passes(1, gather_by_index)}});
    gather(0);
    time_contenders(with, results, {"hidden", workload, "pad", "", out.size_bytes(), on.real(), on.cells(), 1},
                    {{"Batten pad (scatter_rows)", passes(1, scatter)},
                     {"Batten pad, non-temporal stores", passes(1, scatter_streamed)},
                     {"memcpy of as many bytes", passes(1, copy_padded)},
                     {"memset, then memcpy of each row by index", passes(1, scatter_by_index)}});
}

}  // namespace

int main(int argc, char** argv)
{
    const settings with = parse_settings(argc, argv);
    start_harness(argv[0]);
    results_file results(with.results);
    run_steps(with, results, 256, 4096);
    run_hidden(with, results, 8, 128);
    run_hidden(with, results, 32, 512);
    run_hidden(with, results, 32, 2048);
    return 0;
}
