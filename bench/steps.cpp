// SPDX-License-Identifier: MIT
// The step of a server: from live requests to the arrays of an iteration, against the loop of somebody who takes care and
// against rebuilding vectors of vectors. bench/steps.py adds vLLM's form in NumPy. bench/run says how both are run.
#include "data.hpp"
#include "measure.hpp"
#include "outputs.hpp"

#include <batten/serve/backends.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace {

using namespace bench;
namespace serve = batten::serve;

constexpr std::size_t requests = 256;
constexpr std::size_t block_size = 16;
constexpr std::size_t steps = 32;  // of a pass: two blocks of each request

// What a server keeps of its requests, and what it schedules in some steps, one behind the other.
struct server {
    std::size_t context = 0;
    std::size_t max_context = 0;
    std::size_t max_blocks = 0;
    std::size_t most_tokens = 0;  // of a step
    array<std::int32_t> tokens;
    array<std::int32_t> blocks;
    std::vector<std::int32_t> lengths = std::vector<std::int32_t>(requests);
    std::vector<std::uint64_t> ids = std::vector<std::uint64_t>(requests);
    std::vector<std::vector<std::int32_t>> computed{};
    std::vector<std::vector<std::int32_t>> scheduled{};

    std::size_t pool() const { return requests * max_blocks + 1; }
};

// chunk: tokens that one request in 8 takes at a step, a chunk of its prompt; all others take one.
server make_server(std::size_t context, std::size_t chunk)
{
    const std::size_t max_context = context + steps * chunk;
    const std::size_t max_blocks = (max_context + block_size - 1) / block_size;
    server made{context, max_context, max_blocks, requests / 8 * (7 + chunk), array<std::int32_t>(requests * max_context),
                array<std::int32_t>(requests * max_blocks)};
    generator draw(7000 + context);
    for (std::size_t i = 0; i < requests * max_context; ++i)
        made.tokens.data()[i] = static_cast<std::int32_t>(1 + i % 50256);
    // The blocks of a pool that has been in use for a while: anywhere.
    std::vector<std::int32_t> pool(requests * max_blocks);
    for (std::size_t i = 0; i < pool.size(); ++i)
        pool[i] = static_cast<std::int32_t>(i + 1);
    draw.shuffle(pool);
    std::copy(pool.begin(), pool.end(), made.blocks.data());
    made.computed.resize(steps);
    made.scheduled.resize(steps);
    for (std::size_t r = 0; r < requests; ++r) {
        const std::size_t takes = r % 8 == 0 ? chunk : 1;
        const std::size_t first = context - draw.below(context / 8) - 1;
        made.lengths[r] = static_cast<std::int32_t>(first + steps * takes);
        made.ids[r] = 1000 + r;
        for (std::size_t s = 0; s < steps; ++s) {
            made.computed[s].push_back(static_cast<std::int32_t>(first + s * takes));
            made.scheduled[s].push_back(static_cast<std::int32_t>(takes));
        }
    }
    return made;
}

// The arrays of vLLM, in memory that is used again.
struct step_memory {
    explicit step_memory(const server& of)
        : ids(of.most_tokens), positions(of.most_tokens), slots(of.most_tokens), table(requests * of.max_blocks)
    {
    }

    array<std::int32_t> ids;
    array<std::int64_t> positions;
    array<std::int64_t> slots;
    array<std::int32_t> table;
    std::vector<std::int32_t> query_start_loc = std::vector<std::int32_t>(requests + 1);
    std::vector<std::int32_t> seq_lens = std::vector<std::int32_t>(requests);
    std::vector<std::int32_t> logits_indices = std::vector<std::int32_t>(requests);
};

// The loop: each array written once, of the block table what is new.
[[gnu::noinline]] void by_hand(const server& of, const std::vector<std::int32_t>& computed,
                               const std::vector<std::int32_t>& scheduled, step_memory& to)
{
    std::int32_t* const ids = to.ids.data();
    std::int64_t* const positions = to.positions.data();
    std::int64_t* const slots = to.slots.data();
    std::int32_t t = 0;
    to.query_start_loc[0] = 0;
    for (std::size_t r = 0; r < requests; ++r) {
        const std::int32_t begin = computed[r];
        const std::int32_t end = begin + scheduled[r];
        const std::int32_t* const tokens = of.tokens.data() + r * of.max_context;
        const std::int32_t* const blocks = of.blocks.data() + r * of.max_blocks;
        for (std::int32_t p = begin; p < end; ++p, ++t) {
            ids[t] = tokens[p];
            positions[t] = p;
            slots[t] = std::int64_t{blocks[p / 16]} * 16 + p % 16;
        }
        std::int32_t* const row = to.table.data() + r * of.max_blocks;
        for (std::int32_t b = (begin + 15) / 16; b <= (end - 1) / 16; ++b)
            row[b] = blocks[b];
        to.query_start_loc[r + 1] = t;
        to.seq_lens[r] = end;
        to.logits_indices[r] = t - 1;
    }
}

// As C++ servers build it: vectors that grow at each step, a block table of vectors, padded to a rectangle, then flat.
struct rebuilt {
    std::vector<std::int32_t> ids{}, query_start_loc{}, seq_lens{}, logits_indices{}, table{};
    std::vector<std::int64_t> positions{}, slots{};
};

[[gnu::noinline]] rebuilt from_nested_vectors(const server& of, const std::vector<std::int32_t>& computed,
                                              const std::vector<std::int32_t>& scheduled)
{
    rebuilt made;
    std::vector<std::vector<std::int32_t>> tables;
    made.query_start_loc.push_back(0);
    std::size_t widest = 0;
    for (std::size_t r = 0; r < requests; ++r) {
        const std::int32_t begin = computed[r];
        const std::int32_t end = begin + scheduled[r];
        const std::int32_t* const blocks = of.blocks.data() + r * of.max_blocks;
        for (std::int32_t p = begin; p < end; ++p) {
            made.ids.push_back(of.tokens.data()[r * of.max_context + static_cast<std::size_t>(p)]);
            made.positions.push_back(p);
            made.slots.push_back(std::int64_t{blocks[p / 16]} * 16 + p % 16);
        }
        std::vector<std::int32_t> table;
        for (std::int32_t b = 0; b <= (end - 1) / 16; ++b)
            table.push_back(blocks[b]);
        widest = std::max(widest, table.size());
        tables.push_back(std::move(table));
        made.query_start_loc.push_back(static_cast<std::int32_t>(made.ids.size()));
        made.seq_lens.push_back(end);
        made.logits_indices.push_back(static_cast<std::int32_t>(made.ids.size()) - 1);
    }
    for (std::vector<std::int32_t>& table : tables) {
        table.resize(widest, 0);
        made.table.insert(made.table.end(), table.begin(), table.end());
    }
    return made;
}

void require(bool good, const std::string& name)
{
    if (!good) {
        std::fprintf(stderr, "%s: wrote other arrays than the rebuild\n", name.c_str());
        std::exit(1);
    }
}

// Whether the memory holds what the rebuild of nested vectors has.
bool holds(const server& of, const rebuilt& expected, const step_memory& memory)
{
    const std::size_t tokens = expected.ids.size();
    const std::size_t columns = expected.table.size() / requests;
    bool good = std::equal(expected.ids.begin(), expected.ids.end(), memory.ids.data()) &&
                std::equal(expected.positions.begin(), expected.positions.end(), memory.positions.data()) &&
                std::equal(expected.slots.begin(), expected.slots.end(), memory.slots.data()) &&
                expected.query_start_loc == memory.query_start_loc && expected.seq_lens == memory.seq_lens &&
                expected.logits_indices == memory.logits_indices && tokens != 0;
    for (std::size_t r = 0; r < requests; ++r) {
        const auto used = (static_cast<std::size_t>(expected.seq_lens[r]) + block_size - 1) / block_size;
        const auto row = expected.table.begin() + static_cast<std::ptrdiff_t>(r * columns);
        good = good && std::equal(row, row + static_cast<std::ptrdiff_t>(used), memory.table.data() + r * of.max_blocks);
    }
    return good;
}

void run_steps(const settings& with, results_file& results, const std::string& name, std::size_t context, std::size_t chunk)
{
    const server of = make_server(context, chunk);
    step_memory hand_memory(of);
    step_memory batten_memory(of);
    std::vector<std::uint64_t> table_ids(requests);
    std::vector<serve::block_table_row_state> states(requests);
    const batten::matrix_view<std::int32_t> cells(batten_memory.table.data(), requests, of.max_blocks, of.max_blocks);
    serve::block_table_buffer<std::int32_t> table(cells, table_ids, states);
    const std::span tokens_of(of.tokens.data(), requests * of.max_context);
    const batten::strided_sequences known(tokens_of, of.max_context, of.lengths);
    const batten::matrix_view<const std::int32_t> blocks(of.blocks.data(), requests, of.max_blocks, of.max_blocks);
    const serve::step_options options{.cache = {.blocks = of.pool(), .block_size = block_size}};

    const auto hand = [&](std::size_t s) { by_hand(of, of.computed[s], of.scheduled[s], hand_memory); };
    const auto batten_step = [&](std::size_t s) {
        const serve::step_inputs inputs{known, of.computed[s], of.scheduled[s], blocks, of.ids};
        const serve::step now(inputs, options);
        serve::write(now, serve::vllm_v1{.input_ids = {batten_memory.ids.data(), of.most_tokens},
                                         .positions = {batten_memory.positions.data(), of.most_tokens},
                                         .slot_mapping = {batten_memory.slots.data(), of.most_tokens},
                                         .query_start_loc = batten_memory.query_start_loc,
                                         .seq_lens = batten_memory.seq_lens,
                                         .logits_indices = batten_memory.logits_indices,
                                         .block_table = table});
    };
    const auto check_only = [&](std::size_t s) {
        const serve::step_inputs inputs{known, of.computed[s], of.scheduled[s], blocks, of.ids};
        const serve::step now(inputs, options);
        benchmark::DoNotOptimize(now.tokens());
    };
    rebuilt made;
    const auto nested = [&](std::size_t s) { made = from_nested_vectors(of, of.computed[s], of.scheduled[s]); };

    // What was there before the first step, the hand loop is not told: a request that joins is written whole.
    std::copy(of.blocks.data(), of.blocks.data() + requests * of.max_blocks, hand_memory.table.data());
    std::size_t tokens = 0;
    for (std::size_t s = 0; s < steps; ++s) {
        nested(s);
        hand(s);
        batten_step(s);
        require(holds(of, made, hand_memory), name + ", loop by hand");
        require(holds(of, made, batten_memory), name + ", Batten");
        tokens += made.ids.size();
    }
    time_contenders(with, results,
                    {"steps", name, "7 arrays", "", tokens * 20 + steps * requests * 12, tokens, tokens, steps},
                    {{"Batten step", passes(steps, batten_step)},
                     {"Batten step, check alone", passes(steps, check_only)},
                     {"loop by hand", passes(steps, hand)},
                     {"nested vectors, rebuilt", passes(steps, nested)}});
}

}  // namespace

int main(int argc, char** argv)
{
    const settings with = parse_settings(argc, argv);
    start_harness(argv[0]);
    results_file results(with.results);
    for (const std::size_t context : {std::size_t{1024}, std::size_t{4096}, std::size_t{65536}})
        run_steps(with, results, "decode, " + std::to_string(context / 1024) + " k", context, 1);
    run_steps(with, results, "chunks of 256, 4 k", 4096, 256);
    return 0;
}
