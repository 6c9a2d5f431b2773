// SPDX-License-Identifier: MIT
// The loop of a server: requests come through a queue, share the blocks of a paged KV cache, and run in steps, each of whatever
// tokens are due. The model sees the arrays of a step and nothing else; its answers must be those that it gives without pages.
#include <batten/batten.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace serve = batten::serve;

// ---- a model that is a hash ------------------------------------------------------------------------------------------------

constexpr std::uint64_t hash(std::uint64_t seed, std::integral auto x)
{
    seed = (seed ^ static_cast<std::uint64_t>(x)) * 0x9E3779B97F4A7C15U;
    return seed ^ seed >> 32U;
}
constexpr std::uint64_t entry(std::integral auto token, std::integral auto position) { return hash(hash(1, token), position); }
constexpr int sampled(std::uint64_t logits, std::size_t sample) { return static_cast<int>(10 + hash(logits, sample) % 90); }

// Logits are made of what a token finds in the cache, from position 0 to its own: an entry in a wrong slot changes them.
class paged_model {
public:
    explicit paged_model(const serve::block_pool& pool) : size_(pool.block_size()), cache_(pool.blocks() * pool.block_size()) {}

    void copy(const serve::block_copy& block)
    {
        std::copy_n(&cache_[index(block.from) * size_], size_, &cache_[index(block.to) * size_]);
    }
    // Writes an entry for each token of the step, and returns the logits of each row.
    std::vector<std::uint64_t> run(const serve::vllm_v1& in, const serve::step_shape& shape)
    {
        for (std::size_t t = 0; t < shape.tokens; ++t)
            if (in.slot_mapping[t] >= 0)  // a pad has none
                cache_[index(in.slot_mapping[t])] = entry(in.input_ids[t], in.positions[t]);
        std::vector<std::uint64_t> hidden(shape.tokens), logits;
        for (std::size_t row = 0; row < shape.requests; ++row) {
            const auto blocks = in.block_table.table().row(row);
            const std::size_t end = index(in.query_start_loc[row + 1]);
            for (std::size_t t = index(in.query_start_loc[row]); t < end; ++t)
                for (std::size_t p = 0; p + (end - t) <= index(in.seq_lens[row]); ++p)
                    hidden[t] = hash(hidden[t], cache_[index(blocks[p / size_]) * size_ + p % size_]);
            logits.push_back(hidden[index(in.logits_indices[row])]);
        }
        return logits;
    }

private:
    static constexpr std::size_t index(std::integral auto i) { return static_cast<std::size_t>(i); }

    std::size_t size_;  // of a block
    std::vector<std::uint64_t> cache_;
};

// The first `length` tokens of prompt and answer, without pages and without others.
std::vector<int> alone(std::vector<int> tokens, std::size_t sample, std::size_t length)
{
    tokens.resize(std::min(tokens.size(), length));
    while (tokens.size() < length) {
        std::uint64_t logits = 0;
        for (std::size_t p = 0; p < tokens.size(); ++p)
            logits = hash(logits, entry(tokens[p], p));
        tokens.push_back(sampled(logits, sample));
    }
    return tokens;
}

// ---- the server ------------------------------------------------------------------------------------------------------------

struct request {
    char name;
    int arrival;         // the step
    std::size_t length;  // of prompt and answer, no more than a context
    std::size_t samples;
    std::vector<int> prompt;
};

// One sample of a request while it is live. It keeps its place, and so its row of the block table.
struct sequence {
    static constexpr std::size_t nobody = std::numeric_limits<std::size_t>::max();

    serve::block_list blocks;
    std::size_t request = nobody;  // nobody: the place is free
    std::size_t sample = 0;
    std::uint64_t id = 0;          // that of no other sequence, ever: places are used again
    std::vector<int> tokens{};     // that are known: prompt, and answer so far
    std::size_t computed = 0;      // of them, in the cache
};

int main()
{
    const std::vector<request> requests{
        {'A', 0, 16, 1, {11, 12, 13, 14, 15, 16, 21, 22, 23}},      // a prompt longer than a step
        {'B', 2, 15, 2, {11, 12, 13, 14, 15, 16, 31}},              // begins as A; two samples
        {'C', 3, 20, 1, {41, 42, 43, 44, 45, 46, 47}},              // its client hangs up
        {'D', 4, 14, 1, {11, 12, 13, 14, 15, 16, 51, 52, 53, 54}},  // begins as A; the youngest when blocks run out
        {'E', 8, 5, 1, {61, 62, 63}},                               // comes to a place that someone has left
    };
    constexpr std::size_t budget = 8;        // the most tokens of a step
    constexpr std::size_t context = 20;      // tokens of a sequence
    constexpr std::size_t places = 6;        // live sequences
    constexpr std::size_t most_samples = 2;  // of a request

    // One request leaves the queue at a time: steps need no others of its length. Block 0 is reserved, for pads to point at.
    serve::request_queue<int> queue({.edges = {context}, .max_rows = 1, .capacity = 8});
    serve::block_pool pool({.blocks = 1 + 12, .block_size = 4, .reserved_blocks = 1});
    serve::step_options options = serve::step_options_of(pool);
    options.order = serve::request_order::decode_first;  // as some attention kernels want it
    paged_model model(pool);

    const std::size_t columns = pool.blocks_for(context);
    std::vector<serve::block_id> table(places * columns);
    std::vector<sequence> live;
    for (std::size_t place = 0; place < places; ++place)
        live.push_back({.blocks = {pool, std::span(table).subspan(place * columns, columns)}});

    // What the library reads of them, in place.
    const auto tokens = batten::each(live, &sequence::tokens);
    const auto known = batten::each(live, [](const sequence& s) { return s.tokens.size(); });
    const auto computed = batten::each(live, &sequence::computed);
    const auto ids = batten::each(live, &sequence::id);
    const batten::matrix_view<const serve::block_id> blocks(table.data(), places, columns);

    // The arrays, as large as the largest graph: a captured graph reads the same memory in every step. The block table has
    // notes, so that of a request that stays only new blocks are written.
    const std::vector<std::size_t> graphs = serve::vllm_graph_sizes(budget);
    const std::size_t most = graphs.back();
    std::vector<std::int32_t> input_ids(most), query_start_loc(most + 1), seq_lens(most), logits_indices(most);
    std::vector<std::int64_t> positions(most), slot_mapping(most);
    std::vector<std::int32_t> device_table(most * columns);
    std::vector<std::uint64_t> device_ids(most);
    std::vector<serve::block_table_row_state> device_states(most);
    serve::block_table_buffer<std::int32_t> block_table({device_table.data(), most, columns, columns}, device_ids, device_states);
    const serve::vllm_v1 arrays{.input_ids = input_ids, .positions = positions, .slot_mapping = slot_mapping,
                                .query_start_loc = query_start_loc, .seq_lens = seq_lens, .logits_indices = logits_indices,
                                .block_table = block_table};
    std::vector<std::uint8_t> is_complete(most);
    std::vector<std::size_t> who(most), scheduled(places), chosen_memory(places);
    std::vector<std::size_t> order, running;  // places, by age
    std::vector<serve::block_copy> copies;
    std::string events, answers;
    bool all_same = true;

    const auto name = [&](std::size_t place) {
        return requests[live[place].request].name + std::string(live[place].sample, '\'');
    };
    const auto leave = [&](std::size_t place) {
        sequence& s = live[place];
        const bool same = s.tokens == alone(requests[s.request].prompt, s.sample, s.tokens.size());
        all_same = all_same && same;
        answers += name(place) + (same ? ", as alone:" : ", OTHER than alone:");
        for (const int token : s.tokens)
            answers += ' ' + std::to_string(token);
        answers += '\n';
        s.blocks.clear();
        s.tokens.clear();
        s.computed = 0;
        s.request = sequence::nobody;
        std::erase(order, place);
    };
    const auto take = [&](std::size_t place, std::uint64_t logits) {
        live[place].tokens.push_back(sampled(logits, live[place].sample));
        if (live[place].tokens.size() == requests[live[place].request].length)
            leave(place);
    };

    std::size_t arrived = 0;
    std::uint64_t next_id = 0;
    for (int now = 0; arrived < requests.size() || queue.pending() != 0 || !order.empty(); ++now) {
        events.clear();

        // 1. Requests come, and clients hang up: one that waits leaves the queue, one that is live gives its blocks back.
        for (; arrived < requests.size() && requests[arrived].arrival == now; ++arrived)
            queue.push({.id = arrived, .length = requests[arrived].prompt.size()}, now);
        if (const std::size_t cancelled = 2; now == 7 && !queue.try_cancel(cancelled))
            for (std::size_t place = 0; place < places; ++place)
                if (live[place].request == cancelled) {
                    events += ", " + name(place) + " cancelled";
                    leave(place);
                }

        // 2. Who has waited longest comes in, while there is a place for each of its samples. The first one computes the
        //    prompt; the others keep their places until then, without tokens.
        while (std::ranges::count(live, sequence::nobody, &sequence::request) >= std::ptrdiff_t{most_samples}) {
            const auto departed = queue.poll(now);
            if (!departed)
                break;
            const auto id = static_cast<std::size_t>(departed->requests.front().id);
            for (std::size_t sample = 0; sample < requests[id].samples; ++sample) {
                const auto s = std::ranges::find(live, sequence::nobody, &sequence::request);
                s->request = id;
                s->sample = sample;
                s->id = next_id++;
                if (sample == 0) {
                    s->tokens = requests[id].prompt;
                    order.push_back(static_cast<std::size_t>(s - live.begin()));
                }
            }
        }

        // 3. The requests that may run: the oldest; those with tokens in the cache; others where the pool has blocks for all of theirs, or they
        //    would soon be sent back. What another has in the cache of the same beginning is shared, but for the last token:
        //    it is computed, for its logits.
        running.clear();
        std::size_t free = pool.free_blocks();
        for (const std::size_t place : order) {
            sequence& s = live[place];
            if (s.computed == 0 && !running.empty() && pool.blocks_for(s.tokens.size()) > free)
                continue;
            if (s.computed == 0)
                for (const sequence& other : live) {
                    const auto same = std::ranges::mismatch(s.tokens, other.tokens).in1 - s.tokens.begin();
                    const auto shared = std::min({static_cast<std::size_t>(same), other.computed, s.tokens.size() - 1});
                    if (shared > s.computed) {
                        s.blocks.fork_from(other.blocks, shared);
                        s.computed = shared;
                    }
                }
            running.push_back(place);
            free -= std::min(free, s.blocks.blocks_needed(s.tokens.size() - s.computed));
        }

        // 4. How many tokens of each: one where it decodes, of prompts what the budget has left.
        serve::schedule(serve::live_requests{computed, known, running}, {.max_tokens = budget}, scheduled);

        // 5. Blocks for them, the oldest first. Where there are none, the youngest gives back its own: it is computed again
        //    later, its answer so far as if it were prompt.
        copies.clear();
        for (std::size_t i = 0; i < running.size(); ++i)
            while (i < running.size()) {
                if (const auto change = live[running[i]].blocks.append(scheduled[running[i]])) {
                    if (change->copy)  // it writes to a block that others share
                        copies.push_back(*change->copy);
                    break;
                }
                const std::size_t youngest = running.back();
                running.pop_back();
                live[youngest].blocks.clear();
                live[youngest].computed = scheduled[youngest] = 0;
                events += ", " + name(youngest) + " preempted";
            }

        // 6. The step, of those that have tokens in it: whatever is wrong with them is an error here, before any write.
        const auto chosen = serve::scheduled_rows(scheduled, chosen_memory);
        if (chosen.empty())
            continue;
        const serve::step step(batten::select(serve::step_inputs{tokens, computed, scheduled, blocks, ids}, chosen), options);

        // 7. Its arrays, padded to a graph. Two more are for this loop: the request of each row, and whether its logits count.
        const serve::padded_size size{.tokens = serve::graph_size(graphs, step.tokens()),
                                    .requests = serve::graph_size(graphs, step.requests())};
        const serve::step_shape shape = serve::write(step, arrays, size, batten::set<serve::request_indices>(who),
                                                     batten::set<serve::is_complete>(is_complete));
        std::cout << "step " << now << ':';
        for (std::size_t row = 0; row < chosen.size(); ++row)
            std::cout << ' ' << name(chosen[who[row]]) << '+' << scheduled[chosen[who[row]]];
        std::cout << ", " << step.tokens() << " tokens, " << shape.tokens - step.tokens() << " pads, " << pool.free_blocks()
                  << " blocks free, " << copies.size() << " copied" << events << '\n';

        // 8. The model. Copies come first, in their order: the step may write to what is copied.
        for (const serve::block_copy& block : copies)
            model.copy(block);
        const std::vector<std::uint64_t> logits = model.run(arrays, shape);

        // 9. What ran is in the cache. Who has all its tokens there gets the next one; the logits in the middle of a prompt
        //    say nothing. Samples part here, after the step that computed what they share.
        for (std::size_t row = 0; row < chosen.size(); ++row) {
            const std::size_t place = chosen[who[row]];
            sequence& s = live[place];
            s.computed += scheduled[place];
            if (is_complete[row] == 0)
                continue;
            for (std::size_t other = 0; other < places; ++other)
                if (sequence& twin = live[other]; twin.request == s.request && twin.tokens.empty()) {
                    twin.blocks.fork_from(s.blocks);  // a fork, in the row that it has
                    twin.tokens = s.tokens;
                    twin.computed = s.computed;
                    order.push_back(other);
                    take(other, logits[row]);
                }
            take(place, logits[row]);
        }
    }
    std::cout << answers;
    const bool all_left = pool.live_blocks() == 0 && std::ranges::count(live, sequence::nobody, &sequence::request) == places;
    return all_same && all_left ? 0 : 1;
}
