// SPDX-License-Identifier: MIT
// A server in small: queue, schedule, pool and step drive a decoder with a paged KV cache, and every request gets exactly the
// tokens of generating it alone. Broken on purpose, in one place at a time, it does not.

#include "reference_model.hpp"
#include "support.hpp"

#include <batten/detail/random.hpp>
#include <batten/serve/backends.hpp>
#include <batten/serve/block_list.hpp>
#include <batten/serve/graphs.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/queue.hpp>
#include <batten/serve/schedule.hpp>
#include <batten/serve/step.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <ostream>
#include <span>
#include <utility>
#include <vector>

namespace serve = batten::serve;
namespace errors = batten::serve::errors;
using serve::block_id;
using tests::ragged;
using tests::vec;

namespace {

// ---- what is asked for, and what it yields alone ---------------------------------------------------------------------------

using ticks = std::int64_t;

constexpr tests::model_shape shape{.vocabulary = 48, .most_positions = 64, .width = 16};
constexpr std::size_t most_prompt = 44;
constexpr std::size_t most_new = 20;  // together at most shape.most_positions
constexpr int end_of_text = 7;

struct ask {
    std::vector<int> prompt{};
    std::size_t most_new = 0;
    std::size_t samples = 0;  // sample s begins with the token that is s-th best after the prompt, and is greedy from there
    std::size_t priority = 0;
    ticks arrives = 0;
    std::optional<ticks> deadline{};
    std::optional<ticks> cancelled{};
};

// Half of the prompts begin with one of four texts that they share.
std::vector<ask> some_asks(std::size_t count)
{
    std::vector<ask> all(count);
    ticks now = 0;
    for (std::size_t a = 0; a < count; ++a) {
        std::uint64_t draws = 0;
        const auto draw = [&](std::size_t n) {
            return static_cast<std::size_t>(batten::detail::below(n, batten::detail::draw(a + 1, draws++)));
        };
        const auto word = [](std::uint64_t text, std::size_t i) {
            return static_cast<int>(batten::detail::below(shape.vocabulary, batten::detail::draw(text, i)));
        };
        if (draw(2) == 0) {
            const std::size_t text = draw(4);
            for (std::size_t i = 0; i < 6 + 7 * text; ++i)
                all[a].prompt.push_back(word(1000 + text, i));
        }
        for (std::size_t own = 1 + draw(most_prompt - all[a].prompt.size()); own > 0; --own)
            all[a].prompt.push_back(word(2000 + a, own));
        all[a].most_new = 1 + draw(most_new);
        all[a].samples = draw(6) == 0 ? 2 + draw(2) : 1;
        all[a].priority = draw(2);
        now += static_cast<ticks>(draw(4));
        all[a].arrives = now;
        if (draw(9) == 0)
            all[a].deadline = now + 1 + static_cast<ticks>(draw(12));
        if (draw(5) == 0)
            all[a].cancelled = now + static_cast<ticks>(draw(30));
    }
    return all;
}

int pick(vec logits, std::size_t rank)
{
    for (; rank > 0; --rank)
        *std::max_element(logits.begin(), logits.end()) = -std::numeric_limits<double>::infinity();
    return static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

bool is_over(const ask& of, const std::vector<int>& tokens)
{
    return tokens.size() == of.prompt.size() + of.most_new || tokens.back() == end_of_text;
}

// Without anything of the library: one sequence, a cache of its own, token p in column p.
std::vector<int> alone(const tests::reference_model& model, const ask& of, std::size_t sample)
{
    tests::kv_cache cache = model.cache(shape.most_positions);
    std::vector<int> tokens = of.prompt;
    std::vector<int> positions(shape.most_positions);
    for (std::size_t p = 0; p < positions.size(); ++p)
        positions[p] = static_cast<int>(p);
    std::size_t computed = 0;
    do {
        const auto logits =
            model.run(cache, computed, std::span<const int>(tokens).subspan(computed),
                      std::span<const int>(positions).subspan(computed, tokens.size() - computed),
                      [&](std::size_t i, std::size_t key) { return key <= computed + i; });
        const bool is_first = computed == 0;
        computed = tokens.size();
        tokens.push_back(pick(logits.back(), is_first ? sample : 0));
    } while (!is_over(of, tokens));
    return tokens;
}

std::vector<ragged> all_alone(const tests::reference_model& model, const std::vector<ask>& asks)
{
    std::vector<ragged> all;
    for (const ask& one : asks) {
        all.emplace_back();
        for (std::size_t sample = 0; sample < one.samples; ++sample)
            all.back().push_back(alone(model, one, sample));
    }
    return all;
}

// ---- a decoder with a paged KV cache ---------------------------------------------------------------------------------------

// The arrays of a step, in memory of the largest size there is.
struct step_memory {
    step_memory(std::size_t most_tokens, std::size_t most_requests, std::size_t most_blocks)
        : input_ids(most_tokens),
          positions(most_tokens),
          slot_mapping(most_tokens),
          query_start_loc(most_requests + 1),
          seq_lens(most_requests),
          logits_indices(most_requests),
          request_order(most_requests),
          cells(most_requests * most_blocks, -99),
          ids(most_requests),
          states(most_requests),
          block_table({cells.data(), most_requests, most_blocks, most_blocks}, ids, states)
    {
    }

    serve::vllm_v1 backend(const serve::backend_padding& pads)
    {
        return {input_ids, positions, slot_mapping, query_start_loc, seq_lens, logits_indices, block_table, pads};
    }

    std::vector<std::int32_t> input_ids;
    std::vector<std::int64_t> positions;
    std::vector<std::int64_t> slot_mapping;
    std::vector<std::int32_t> query_start_loc;
    std::vector<std::int32_t> seq_lens;
    std::vector<std::int32_t> logits_indices;
    std::vector<std::int32_t> request_order;
    std::vector<std::int32_t> cells;
    std::vector<std::uint64_t> ids;
    std::vector<serve::block_table_row_state> states;
    serve::block_table_buffer<std::int32_t> block_table;
};

// The reference model once more, with its weights: all tokens of a step at once, keys and values in slots, which are written
// through the slot mapping and read through the block table.
class paged_decoder {
public:
    paged_decoder(const tests::reference_model& model, std::size_t blocks, std::size_t block_size)
        : weights_(model.weights.data()),
          block_size_(block_size),
          pages_(2 * shape.layers, std::vector<vec>(blocks * block_size + 1, tests::kv_cache::nothing(shape)))
    {
    }

    // What a block held is gone when it is given to somebody else: to read it shows.
    void forget(block_id block)
    {
        for (auto& page : pages_)
            std::fill_n(slot_of(page, block), block_size_, tests::kv_cache::nothing(shape));
    }
    void copy(const serve::block_copy& what)
    {
        for (auto& page : pages_)
            std::copy_n(slot_of(page, what.from), block_size_, slot_of(page, what.to));
    }

    // The logits of each request, pads left out.
    std::vector<vec> run(const step_memory& in, const serve::step_shape& size, std::size_t requests)
    {
        std::vector<vec> x(size.tokens);
        for (std::size_t t = 0; t < size.tokens; ++t)
            x[t] = sum(embedding(at(in.input_ids[t])), embedding(shape.vocabulary + at(in.positions[t])));
        const double* weight = weights_ + (shape.vocabulary + shape.most_positions) * d;
        for (std::size_t layer = 0; layer < shape.layers; ++layer, weight += 8 * d * d) {
            for (std::size_t t = 0; t < size.tokens; ++t)
                if (in.slot_mapping[t] >= 0) {
                    keys(layer)[at(in.slot_mapping[t])] = times(weight, normed(x[t]), d);
                    values(layer)[at(in.slot_mapping[t])] = times(weight + d * d, normed(x[t]), d);
                }
            for (std::size_t r = 0; r < size.requests; ++r) {
                const std::size_t end = at(in.query_start_loc[r + 1]);
                for (std::size_t t = at(in.query_start_loc[r]); t < end; ++t) {
                    const vec query = times(weight + 2 * d * d, normed(x[t]), d);
                    const vec seen = attention(query, layer, in.block_table.table().row(r), at(in.seq_lens[r]) - (end - 1 - t));
                    x[t] = sum(x[t], times(weight + 3 * d * d, seen, d));
                }
            }
            for (vec& column : x) {
                vec hidden = times(weight + 4 * d * d, normed(column), 2 * d);
                for (double& h : hidden)
                    h = std::tanh(h);
                column = sum(column, times(weight + 6 * d * d, hidden, d));
            }
        }
        std::vector<vec> logits;
        for (std::size_t r = 0; r < requests; ++r)
            logits.push_back(times(weights_, normed(x[at(in.logits_indices[r])]), shape.vocabulary));
        return logits;
    }

private:
    static constexpr std::size_t d = shape.width;

    static std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }
    vec* slot_of(std::vector<vec>& page, block_id block) const { return page.data() + at(block) * block_size_; }
    std::vector<vec>& keys(std::size_t layer) { return pages_[2 * layer]; }
    std::vector<vec>& values(std::size_t layer) { return pages_[2 * layer + 1]; }

    vec embedding(std::size_t i) const { return {weights_ + i * d, weights_ + (i + 1) * d}; }
    static vec sum(vec a, const vec& b)
    {
        for (std::size_t i = 0; i < a.size(); ++i)
            a[i] += b[i];
        return a;
    }
    static double dot(const double* a, const double* b, std::size_t n)
    {
        double total = 0;
        for (std::size_t i = 0; i < n; ++i)
            total += a[i] * b[i];
        return total;
    }
    static vec times(const double* matrix, const vec& x, std::size_t rows)
    {
        vec y(rows);
        for (std::size_t r = 0; r < rows; ++r)
            y[r] = dot(matrix + r * x.size(), x.data(), x.size());
        return y;
    }
    static vec normed(vec x)
    {
        const double scale = 1 / std::sqrt(dot(x.data(), x.data(), d) / static_cast<double>(d) + 1e-6);
        for (double& cell : x)
            cell *= scale;
        return x;
    }

    vec attention(const vec& query, std::size_t layer, std::span<const block_id> blocks, std::size_t length)
    {
        const std::size_t per_head = d / shape.heads;
        vec out(d, 0.0);
        for (std::size_t head = 0; head < d; head += per_head) {
            double total = 0;
            for (std::size_t p = 0; p < length; ++p) {
                const std::size_t slot = at(blocks[p / block_size_]) * block_size_ + p % block_size_;
                const double score = dot(&query[head], &keys(layer)[slot][head], per_head);
                const double share = std::exp(score / std::sqrt(static_cast<double>(per_head)));
                total += share;
                const double* const value = values(layer)[slot].data();
                for (std::size_t i = head; i < head + per_head; ++i)
                    out[i] += share * value[i];
            }
            for (std::size_t i = head; i < head + per_head; ++i)
                out[i] /= total;
        }
        return out;
    }

    const double* weights_;
    std::size_t block_size_;
    // Keys and values of each layer, in slots: one more than there are, for an index that is off by one.
    std::vector<std::vector<vec>> pages_;
};

// ---- the server ------------------------------------------------------------------------------------------------------------

enum class broken : unsigned char { nothing, slots_off_by_one, positions_of_columns, pads_in_live_block, copies_not_made };

struct settings {
    std::size_t block_size = 4;
    std::size_t blocks = 60;
    std::size_t reserved = 1;
    bool has_dummies = false;  // pads are requests of one token in block 0, else of none
    serve::request_order first = serve::request_order::decode_first;
    std::size_t chunk_multiple = 1;
    serve::request_order order = serve::request_order::as_given;
    broken where = broken::nothing;
};

// What happened, so that a test can say that it did.
struct events {
    std::size_t steps = 0;
    std::size_t pads = 0;
    std::size_t chunks = 0;  // of prompts, but for the last one of each
    std::size_t forks = 0;
    std::size_t shared_prefixes = 0;
    std::size_t copies = 0;
    std::size_t preempted = 0;
    std::size_t refused = 0;
    std::size_t expired = 0;
    std::size_t cancelled_waiting = 0;
    std::size_t cancelled_running = 0;

    friend std::ostream& operator<<(std::ostream& out, const events& e)
    {
        return out << e.steps << " steps, " << e.pads << " pads, " << e.chunks << " chunks, " << e.forks << " forks, "
                   << e.shared_prefixes << " shared prefixes, " << e.copies << " copies, " << e.preempted << " preempted, "
                   << e.refused << " refused, " << e.expired << " expired, " << e.cancelled_waiting << " + "
                   << e.cancelled_running << " cancelled";
    }
};

enum class fate : unsigned char { open, finished, cancelled, expired };

class server {
public:
    server(const tests::reference_model& model, const std::vector<ask>& asks, const settings& how)
        : asks_(asks),
          how_(how),
          queue_({.edges = std::vector<std::size_t>{8, 16, 32, most_prompt},
                  .max_rows = 4,
                  .capacity = 12,
                  .priorities = 2,
                  .max_queue_delay = 6}),
          pool_({.blocks = how.blocks, .block_size = how.block_size, .reserved_blocks = how.reserved}),
          decoder_(model, how.blocks, how.block_size),
          width_(pool_.blocks_for(shape.most_positions)),
          table_(rows * width_, -1),
          step_(2 * most_step, 2 * rows, width_),
          fates_(asks.size(), fate::open)
    {
        for (std::size_t r = 0; r < rows; ++r)
            lists_.emplace_back(pool_, row(r));
        for (const ask& one : asks)
            answers_.emplace_back(one.samples);
    }

    // Until every request has finished, was cancelled or is too late.
    void run()
    {
        for (ticks now = 0; !are_all_over(); ++now) {
            REQUIRE(now < 10'000);
            arrive(now);
            for (std::size_t a = 0; a < next_; ++a)
                if (asks_[a].cancelled == now)
                    cancel(a);
            admit(now);
            step();
        }
    }

    bool are_all_over() const { return std::count(fates_.begin(), fates_.end(), fate::open) == 0; }
    // Samples whose tokens are not those of generating them alone. Of a cancelled request they may be fewer.
    std::size_t wrong(const std::vector<ragged>& expected) const
    {
        std::size_t count = 0;
        for (std::size_t a = 0; a < asks_.size(); ++a)
            for (std::size_t sample = 0; sample < asks_[a].samples; ++sample) {
                const std::vector<int>& got = answers_[a][sample];
                const std::vector<int>& whole = expected[a][sample];
                const bool begins = got.size() <= whole.size() && std::equal(got.begin(), got.end(), whole.begin());
                count += begins && (got.size() == whole.size() || fates_[a] != fate::finished) ? 0U : 1U;
            }
        return count;
    }

    const serve::block_pool& pool() const { return pool_; }

    events seen{};

private:
    static constexpr std::size_t rows = 16;
    static constexpr std::size_t most_step = 24;  // tokens
    static constexpr std::size_t nobody = std::numeric_limits<std::size_t>::max();

    // A sample of a request, in a row.
    struct sequence {
        std::size_t ask = nobody;
        std::size_t sample = 0;
        bool waits_for_fork = false;
    };

    std::span<block_id> row(std::size_t r) { return std::span(table_).subspan(r * width_, width_); }

    // ---- arrivals and departures

    void arrive(ticks now)
    {
        for (; next_ < asks_.size() && asks_[next_].arrives <= now; ++next_) {
            const ask& one = asks_[next_];
            const serve::request<ticks> request{next_, one.prompt.size(), one.priority, one.deadline, {}};
            const auto taken = queue_.try_push(request, now);
            if (!taken && taken.error().code == errors::queue_full) {
                ++seen.refused;
                return;  // it comes again
            }
            if (!taken) {
                REQUIRE(taken.error().code == errors::request_expired);
                expire(next_);
            } else if (next_ % 8 == 0) {
                seen.refused += 3;
                const auto refusal = [&](const serve::request<ticks>& bad) { return queue_.try_push(bad, now).error().code; };
                REQUIRE(refusal(request) == errors::request_duplicate);
                REQUIRE(refusal({asks_.size(), 0, 0, {}, {}}) == errors::request_empty);
                REQUIRE(refusal({asks_.size(), most_prompt + 1, 0, {}, {}}) == errors::request_over_limit);
            }
        }
    }

    void end(std::size_t a, fate how)
    {
        REQUIRE(fates_[a] == fate::open);
        fates_[a] = how;
    }
    void expire(std::size_t a)
    {
        ++seen.expired;
        end(a, fate::expired);
    }

    void cancel(std::size_t a)
    {
        if (fates_[a] != fate::open) {
            REQUIRE(queue_.try_cancel(a).error().code == errors::request_unknown);
            return;
        }
        const auto admitted = std::find(admitted_.begin(), admitted_.end(), a);
        const bool waits = admitted != admitted_.end() || queue_.try_cancel(a);
        ++(waits ? seen.cancelled_waiting : seen.cancelled_running);
        if (admitted != admitted_.end())
            admitted_.erase(admitted);
        for (std::size_t r = 0; r < rows; ++r)
            if (sequences_[r].ask == a)
                leave(r);
        end(a, fate::cancelled);
    }

    // Gives a row free, its tokens are the answer.
    void leave(std::size_t r)
    {
        answers_[sequences_[r].ask][sequences_[r].sample] = std::exchange(tokens_[r], {});
        lists_[r].clear();
        computed_[r] = 0;
        sequences_[r] = {};
    }

    void admit(ticks now)
    {
        while (admitted_.empty()) {
            const auto left = queue_.poll(now);
            if (!left)
                break;
            for (const auto& request : left->requests)
                if (left->reason == serve::ready_reason::expired)
                    expire(request.id);
                else
                    admitted_.push_back(request.id);
        }
        while (!admitted_.empty() && asks_[admitted_.front()].samples <= free_rows()) {
            for (std::size_t sample = 0; sample < asks_[admitted_.front()].samples; ++sample) {
                const std::size_t r = free_row();
                sequences_[r] = {admitted_.front(), sample, sample != 0};
                ids_[r] = ++tickets_;
                tokens_[r] = asks_[admitted_.front()].prompt;
            }
            admitted_.pop_front();
        }
    }
    std::size_t free_rows() const
    {
        return static_cast<std::size_t>(
            std::count_if(sequences_.begin(), sequences_.end(), [](const sequence& s) { return s.ask == nobody; }));
    }
    std::size_t free_row() const
    {
        const auto found =
            std::find_if(sequences_.begin(), sequences_.end(), [](const sequence& s) { return s.ask == nobody; });
        return static_cast<std::size_t>(found - sequences_.begin());
    }

    // ---- a step

    std::vector<std::size_t> by_arrival() const
    {
        std::vector<std::size_t> order;
        for (std::size_t r = 0; r < rows; ++r)
            if (sequences_[r].ask != nobody && !sequences_[r].waits_for_fork)
                order.push_back(r);
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ids_[a] < ids_[b]; });
        return order;
    }

    // Who has nothing computed waits until there are blocks for all that he has, but for the oldest of all.
    std::vector<std::size_t> who_may_run()
    {
        const std::vector<std::size_t> order = by_arrival();
        std::vector<std::size_t> running;
        for (const std::size_t r : order) {
            if (computed_[r] == 0) {
                if (r != order.front() && pool_.free_blocks() < pool_.blocks_for(tokens_[r].size()))
                    continue;
                share_prefix(r);
            }
            running.push_back(r);
        }
        return running;
    }

    // What another row has computed of the same tokens need not be computed again; the last one must, for its logits.
    void share_prefix(std::size_t r)
    {
        std::size_t longest = 0;
        std::size_t from = 0;
        for (std::size_t other = 0; other < rows; ++other) {
            const std::size_t most = std::min(computed_[other], tokens_[r].size() - 1);
            std::size_t common = 0;
            while (common < most && tokens_[other][common] == tokens_[r][common])
                ++common;
            if (common > longest) {
                longest = common;
                from = other;
            }
        }
        if (longest == 0)
            return;
        ++seen.shared_prefixes;
        lists_[r] = lists_[from].fork(row(r), longest);
        computed_[r] = longest;
    }

    void step()
    {
        const std::vector<std::size_t> order = who_may_run();
        std::vector<std::size_t> known;
        for (const auto& all : tokens_)
            known.push_back(all.size());
        const serve::schedule_options options{
            .max_tokens = most_step, .order = how_.first, .max_chunk = 16, .chunk_multiple = how_.chunk_multiple};
        serve::schedule(serve::live_requests{computed_, known, order}, options, scheduled_);
        make_room(order);

        std::vector<std::size_t> chosen;
        for (const std::size_t r : order)
            if (scheduled_[r] != 0)
                chosen.push_back(r);
        if (chosen.empty()) {
            // The block table does not see that a preempted request misses a step, where no step is written.
            step_.block_table.invalidate();
            return;
        }
        sample(chosen, compute(chosen));
    }

    // Blocks for the tokens of the step, the oldest first; where there are none, the youngest gives back all of its own and
    // is computed again later.
    void make_room(const std::vector<std::size_t>& order)
    {
        for (const std::size_t r : order)
            while (scheduled_[r] != 0) {
                if (const auto change = lists_[r].append(scheduled_[r])) {
                    renew(r, *change);
                    break;
                }
                auto victim = order.rbegin();
                while (*victim != r && lists_[*victim].blocks().empty())
                    ++victim;
                ++seen.preempted;
                lists_[*victim].clear();
                computed_[*victim] = scheduled_[*victim] = 0;
            }
    }
    void renew(std::size_t r, const serve::append_result& change)
    {
        for (std::size_t column = change.first; column < change.first + change.count; ++column)
            decoder_.forget(row(r)[column]);
        if (change.copy && how_.where != broken::copies_not_made)
            decoder_.copy(*change.copy);
        seen.copies += change.copy ? 1U : 0U;
    }

    std::vector<vec> compute(const std::vector<std::size_t>& chosen)
    {
        const batten::matrix_view<const block_id> blocks(table_.data(), rows, width_, width_);
        const serve::step_inputs inputs{tokens_, computed_, scheduled_, blocks, ids_};
        const auto requests = batten::select(inputs, chosen);
        const serve::step now(requests, {.cache = pool_.cache(),
                                         .max_context = shape.most_positions,
                                         .order = how_.order});
        serve::backend_padding pads{};
        if (how_.has_dummies)
            pads = serve::padding::dummy_block(0, how_.block_size);
        else if (how_.reserved != 0)
            pads = serve::padding::vllm;
        serve::padded_size size;
        size.requests = serve::graph_size(graphs_, now.requests() + 1);
        size.tokens = serve::graph_size(graphs_,
                                        now.tokens() + 1 + (size.requests - now.requests()) * pads.query_len);
        if (how_.reserved == 0) {
            const serve::vllm_v1 wrong = step_.backend(serve::padding::dummy_block(0, how_.block_size));
            REQUIRE(serve::try_write(now, wrong, {2 * most_step, size.requests}).error().code ==
                    errors::pad_block_not_reserved);
        }
        const serve::step_shape written = serve::write(now, step_.backend(pads), size);
        serve::write(now, pads, size, batten::set<serve::request_indices>(step_.request_order));
        break_it(now, size);
        ++seen.steps;
        seen.pads += size.requests - now.requests();
        return decoder_.run(step_, written, now.requests());
    }

    void break_it(const auto& now, const serve::padded_size& size)
    {
        if (how_.where == broken::slots_off_by_one)
            for (std::size_t t = 0; t < now.tokens(); ++t)
                ++step_.slot_mapping[t];
        if (how_.where == broken::positions_of_columns)  // as if padded on the left, to the longest
            for (std::size_t r = 0; r < now.requests(); ++r)
                for (std::int32_t t = step_.query_start_loc[r]; t < step_.query_start_loc[r + 1]; ++t)
                    step_.positions[static_cast<std::size_t>(t)] +=
                        static_cast<std::int64_t>(now.max_seq_len()) - step_.seq_lens[r];
        if (how_.where == broken::pads_in_live_block)
            for (std::size_t t = now.tokens(); t < size.tokens; ++t)
                step_.slot_mapping[t] = 0;
    }

    void sample(const std::vector<std::size_t>& chosen, const std::vector<vec>& logits)
    {
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            const std::size_t r = chosen[static_cast<std::size_t>(step_.request_order[i])];
            computed_[r] += scheduled_[r];
            if (computed_[r] != tokens_[r].size()) {
                ++seen.chunks;
                continue;
            }
            for (std::size_t other = 0; other < rows; ++other)
                if (sequences_[other].ask == sequences_[r].ask && sequences_[other].waits_for_fork) {
                    ++seen.forks;
                    sequences_[other].waits_for_fork = false;
                    lists_[other] = lists_[r].fork(row(other));
                    computed_[other] = computed_[r];
                    add(other, pick(logits[i], sequences_[other].sample));
                }
            add(r, pick(logits[i], 0));
        }
    }
    void add(std::size_t r, int token)
    {
        tokens_[r].push_back(token);
        const std::size_t a = sequences_[r].ask;
        if (!is_over(asks_[a], tokens_[r]))
            return;
        leave(r);
        if (std::none_of(sequences_.begin(), sequences_.end(), [&](const sequence& s) { return s.ask == a; }))
            end(a, fate::finished);
    }

    const std::vector<ask>& asks_;
    settings how_;
    std::size_t next_ = 0;  // the first that has not arrived
    serve::request_queue<ticks> queue_;
    std::deque<std::size_t> admitted_{};  // they wait for a row
    serve::block_pool pool_;
    paged_decoder decoder_;
    std::size_t width_;  // of the block table
    std::vector<block_id> table_;
    std::vector<serve::block_list> lists_{};
    std::vector<sequence> sequences_ = std::vector<sequence>(rows);
    ragged tokens_ = ragged(rows);
    std::vector<std::size_t> computed_ = std::vector<std::size_t>(rows);
    std::vector<std::size_t> scheduled_ = std::vector<std::size_t>(rows);
    std::vector<std::uint64_t> ids_ = std::vector<std::uint64_t>(rows);
    std::uint64_t tickets_ = 0;
    std::vector<std::size_t> graphs_ = batten::serve::vllm_graph_sizes(2 * most_step);
    step_memory step_;
    std::vector<fate> fates_;
    std::vector<ragged> answers_{};
};

}  // namespace

TEST_CASE("whatever is shared, forked, cancelled and computed again, every request gets the tokens of generating it alone")
{
    const tests::reference_model model(shape);
    const std::vector<ask> asks = some_asks(200);
    const std::vector<ragged> expected = all_alone(model, asks);
    const std::vector<settings> worlds{
        {},
        {.block_size = 3, .blocks = 70, .has_dummies = true, .order = serve::request_order::prefill_first},
        {.first = serve::request_order::prefill_first, .chunk_multiple = 4, .order = serve::request_order::decode_first},
        {.block_size = 16, .blocks = 18},
        {.blocks = 50, .reserved = 0},
    };
    for (const settings& how : worlds) {
        server serving(model, asks, how);
        serving.run();
        CAPTURE(how.block_size, how.blocks, serving.seen);
        CHECK(serving.wrong(expected) == 0);
        CHECK(serving.pool().live_blocks() == 0);
        // Nothing was left out.
        const events& seen = serving.seen;
        for (const std::size_t happened : {seen.pads, seen.chunks, seen.forks, seen.shared_prefixes, seen.copies,
                                           seen.preempted, seen.refused})
            CHECK(happened >= 30);
        for (const std::size_t happened : {seen.expired, seen.cancelled_waiting, seen.cancelled_running})
            CHECK(happened >= 3);
    }
}

TEST_CASE("requests get wrong tokens by a slot off by one, a position of a column, a pad in a live block, a copy not made")
{
    const tests::reference_model model(shape);
    const std::vector<ask> asks = some_asks(60);
    const std::vector<ragged> expected = all_alone(model, asks);
    const auto wrong = [&](const settings& how) {
        server serving(model, asks, how);
        serving.run();
        return serving.wrong(expected);
    };
    CHECK(wrong({}) == 0);
    CHECK(wrong({.where = broken::slots_off_by_one}) > 0);
    CHECK(wrong({.where = broken::positions_of_columns}) > 0);
    CHECK(wrong({.where = broken::copies_not_made}) > 0);
    // The library refuses pads in a block that is not reserved (see compute), so they are put there after its write; in a
    // reserved block they do no harm.
    CHECK(wrong({.reserved = 0}) == 0);
    CHECK(wrong({.reserved = 0, .where = broken::pads_in_live_block}) > 0);
    CHECK(wrong({.reserved = 1, .where = broken::pads_in_live_block}) == 0);
}
