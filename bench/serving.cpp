// SPDX-License-Identifier: MIT
// What a server asks for in each step: blocks of the KV cache against a plain free list, the schedule of live requests against
// the least loop that makes one, requests through the queue against buckets without ids, times and deadlines.
#include "measure.hpp"

#include <batten/detail/random.hpp>
#include <batten/plan/stream.hpp>
#include <batten/serve/block_list.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/queue.hpp>
#include <batten/serve/schedule.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;
namespace serve = batten::serve;
using serve::block_id;

void require(bool good, const char* what)
{
    if (good)
        return;
    std::fprintf(stderr, "wrong: %s\n", what);
    std::exit(1);
}

std::size_t below(std::size_t n, std::uint64_t counter)
{
    return static_cast<std::size_t>(batten::detail::below(n, batten::detail::draw(1, counter)));
}

// ---- blocks -------------------------------------------------------------------------------------------------------------

constexpr std::size_t blocks = 100000;
constexpr std::size_t pairs = 4096;  // of allocate and release, in one pass
constexpr std::size_t block_size = 16;

// What a server writes that counts nothing and checks nothing.
class free_list {
public:
    free_list()
    {
        for (std::size_t i = blocks; i-- > 1;)
            free_.push_back(static_cast<block_id>(i));
    }
    block_id allocate()
    {
        const block_id block = free_.back();
        free_.pop_back();
        return block;
    }
    void release(block_id block) { free_.push_back(block); }

private:
    std::vector<block_id> free_{};
};

// A free list and a pool by the same calls.
struct plain_blocks {
    free_list all{};

    void allocate(std::span<block_id> out)
    {
        for (block_id& block : out)
            block = all.allocate();
    }
    void release(std::span<const block_id> given)
    {
        for (const block_id block : given)
            all.release(block);
    }
    block_id allocate() { return all.allocate(); }
    void release(block_id block) { all.release(block); }
};
struct pool_blocks {
    serve::block_pool all{{.blocks = blocks, .block_size = block_size}};

    void allocate(std::span<block_id> out) { benchmark::DoNotOptimize(all.allocate(out)); }
    void release(std::span<const block_id> given) { all.release(given); }
    block_id allocate() { return *all.allocate(); }
    void release(block_id block) { all.release(block); }
};

// pass(blocks, held) by both; `held` are allocated before, and lie anywhere.
template <class Pass>
void run_blocks(const settings& with, results_file& results, const std::string& workload, std::size_t held, Pass pass)
{
    pool_blocks ours;
    plain_blocks plain;
    std::vector<block_id> of_ours(held), of_plain(held);
    ours.allocate(of_ours);
    plain.allocate(of_plain);
    for (std::size_t i = 0; i < held; ++i) {
        const std::size_t other = below(i + 1, i);
        std::swap(of_ours[i], of_ours[other]);
        std::swap(of_plain[i], of_plain[other]);
    }
    pass(ours, of_ours);
    pass(plain, of_plain);
    require(of_ours == of_plain, "blocks");
    time_contenders(with, results, {"blocks", workload, "block ids", "", pairs * sizeof(block_id), pairs, pairs, 1},
                    {{"Batten block_pool", passes(1, [&](std::size_t) { pass(ours, of_ours); })},
                     {"push and pop on std::vector", passes(1, [&](std::size_t) { pass(plain, of_plain); })}});
}

// Sequences of 64 blocks: one ends and gives them back, another one begins.
void run_all_blocks(const settings& with, results_file& results)
{
    constexpr std::size_t each = 64;
    const auto replace = [](auto& from, std::span<block_id> row) {
        from.release(std::span<const block_id>(row));
        from.allocate(row);
        benchmark::ClobberMemory();
    };
    run_blocks(with, results, "one sequence", each, [replace](auto& from, std::vector<block_id>& held) {
        for (std::size_t i = 0; i < pairs / each; ++i)
            replace(from, held);
    });
    constexpr std::size_t sequences = 1500;
    std::vector<std::size_t> rows(pairs / each);
    for (std::size_t i = 0; i < rows.size(); ++i)
        rows[i] = below(sequences, i);
    run_blocks(with, results, "any of 1500 sequences", sequences * each,
               [replace, &rows](auto& from, std::vector<block_id>& held) {
                   for (const std::size_t row : rows)
                       replace(from, std::span(held).subspan(row * each, each));
               });
    run_blocks(with, results, "a block, one by one", 0, [](auto& from, std::vector<block_id>&) {
        for (std::size_t i = 0; i < pairs; ++i) {
            block_id block = from.allocate();
            benchmark::DoNotOptimize(block);
            from.release(block);
        }
    });
}

// ---- rows of the block table ----------------------------------------------------------------------------------------------

constexpr std::size_t requests = 256;
constexpr std::size_t context = 4096;
constexpr std::size_t max_blocks = 320;
constexpr std::size_t steps = 64;

// 256 sequences of 4096 tokens grow by 64, a token a step, and are cut back.
void run_rows(const settings& with, results_file& results)
{
    pool_blocks ours;
    std::vector<block_id> table(requests * max_blocks), plain_table(requests * max_blocks);
    std::vector<serve::block_list> lists;
    for (std::size_t r = 0; r < requests; ++r) {
        lists.emplace_back(ours.all, std::span(table).subspan(r * max_blocks, max_blocks));
        require(lists[r].append(context).has_value(), "rows");
    }
    const auto by_lists = [&](std::size_t) {
        std::size_t written = 0;
        for (std::size_t step = 0; step < steps; ++step)
            for (serve::block_list& list : lists)
                written += list.append(1)->count;
        require(written == requests * steps / block_size, "rows");
        for (serve::block_list& list : lists)
            list.truncate(context);
    };

    free_list plain;
    std::vector<std::size_t> tokens(requests, context);
    for (std::size_t r = 0; r < requests; ++r)
        for (std::size_t b = 0; b < context / block_size; ++b)
            plain_table[r * max_blocks + b] = plain.allocate();
    const auto by_hand = [&](std::size_t) {
        for (std::size_t step = 0; step < steps; ++step)
            for (std::size_t r = 0; r < requests; ++r) {
                if (tokens[r] % block_size == 0)
                    plain_table[r * max_blocks + tokens[r] / block_size] = plain.allocate();
                ++tokens[r];
            }
        for (std::size_t r = 0; r < requests; ++r)
            for (; tokens[r] > context; tokens[r] -= block_size)
                plain.release(plain_table[r * max_blocks + (tokens[r] - 1) / block_size]);
    };
    by_lists(0);
    by_hand(0);
    require(table == plain_table, "rows");
    constexpr std::size_t appended = requests * steps;
    time_contenders(with, results,
                    {"rows", "256 grow by a token", "block table", "", appended * sizeof(block_id), appended, appended, steps},
                    {{"Batten block_list", passes(1, by_lists)}, {"hand loop on std::vector", passes(1, by_hand)}});
}

// ---- the schedule of a step -----------------------------------------------------------------------------------------------

void run_schedule(const settings& with, results_file& results, const std::string& workload, std::size_t decodes)
{
    constexpr std::size_t budget = 2048;
    std::vector<std::int32_t> computed(requests), known(requests), scheduled(requests), by_hand_scheduled(requests);
    for (std::size_t r = 0; r < requests; ++r) {
        computed[r] = 1024;
        known[r] = r < decodes ? 1025 : 4000;
    }
    const auto ours = [&](std::size_t) {
        benchmark::DoNotOptimize(serve::schedule(serve::live_requests{computed, known}, {.max_tokens = budget}, scheduled));
    };
    // In the order in which they lie, which is what decode first comes to here.
    const auto by_hand = [&](std::size_t) {
        std::int32_t left = budget;
        for (std::size_t r = 0; r < requests; ++r) {
            by_hand_scheduled[r] = std::min(left, known[r] - computed[r]);
            left -= by_hand_scheduled[r];
        }
        benchmark::DoNotOptimize(left);
    };
    ours(0);
    by_hand(0);
    require(scheduled == by_hand_scheduled, "schedule");
    time_contenders(with, results, {"schedule", workload, "int32", "", requests * 12, requests, requests, 1},
                    {{"Batten schedule", passes(1, ours)}, {"hand loop", passes(1, by_hand)}});
}

// ---- the queue ------------------------------------------------------------------------------------------------------------

// Every request is pushed, and the queue is polled after each. The other has no ids to find, no times, deadlines or priorities.
void run_queue(const settings& with, results_file& results)
{
    constexpr std::size_t arrivals = 1 << 14;
    std::vector<std::size_t> lengths(arrivals);
    for (std::size_t i = 0; i < arrivals; ++i)
        lengths[i] = 1 + below(1024, i);
    const batten::bucketed_length edges{64, 128, 256, 384, 512, 640, 768, 1024};
    serve::request_queue<std::int64_t> queue({.edges = edges, .max_rows = 32, .priorities = 2, .max_queue_delay = 1 << 20});
    serve::shared_request_queue shared(queue);
    batten::plan::stream_batcher stream({.edges = edges, .max_rows = 32});
    std::int64_t now = 0;
    const auto by_queue = [&](auto& to) {
        std::size_t gone = 0;
        for (std::size_t i = 0; i < arrivals; ++i, ++now) {
            to.push({.id = static_cast<std::uint64_t>(now), .length = lengths[i], .priority = i % 2}, now);
            while (const auto left = to.poll(now))
                gone += left->requests.size();
        }
        return gone;
    };
    const auto by_stream = [&](std::size_t) {
        std::size_t gone = 0;
        for (std::size_t i = 0; i < arrivals; ++i)
            if (const auto left = stream.push(i, lengths[i]))
                gone += left->ids.size();
        return gone;
    };
    require(by_queue(queue) == by_stream(0), "queue");
    time_contenders(with, results,
                    {"queue", "16384 come", "requests", "", arrivals * sizeof(std::uint64_t), arrivals, arrivals, arrivals},
                    {{"Batten request_queue", passes(1, [&](std::size_t) { benchmark::DoNotOptimize(by_queue(queue)); })},
                     {"Batten shared_request_queue, one thread",
                      passes(1, [&](std::size_t) { benchmark::DoNotOptimize(by_queue(shared)); })},
                     {"Batten stream_batcher", passes(1, [&](std::size_t i) { benchmark::DoNotOptimize(by_stream(i)); })}});
}

}  // namespace

int main(int argc, char** argv)
{
    const settings with = parse_settings(argc, argv);
    start_harness(argv[0]);
    results_file results(with.results);
    run_all_blocks(with, results);
    run_rows(with, results);
    run_schedule(with, results, "256 decode", 256);
    run_schedule(with, results, "240 decode, 16 in prompts", 240);
    run_queue(with, results);
    return 0;
}
