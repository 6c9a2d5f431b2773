// SPDX-License-Identifier: MIT
#include "simulation.hpp"

#include "words.hpp"

#include <batten/plan/edges.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/serve/block_list.hpp>
#include <batten/serve/graphs.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/queue.hpp>
#include <batten/serve/schedule.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <limits>
#include <span>
#include <utility>

namespace serving_simulation {

namespace {

constexpr std::size_t edge_multiple = 8;  // tokens

double ratio(double a, double b)
{
    return b == 0 ? 0 : a / b;
}

// Tokens [from, from + count) of a sequence, each attending to itself and all before it.
std::uint64_t causal_pairs(std::uint64_t from, std::uint64_t count)
{
    return count * from + count * (count + 1) / 2;
}

// What all three do: the clock, and what is counted.
class server {
public:
    server(std::string name, const std::vector<request>& requests, const settings& chosen)
        : requests_(requests), chosen_(chosen)
    {
        counted_.name = std::move(name);
    }

protected:
    struct cache_use {
        std::size_t reserved = 0;
        std::size_t used = 0;
        std::size_t needed = 0;
        std::size_t reservations = 0;
    };

    // Moves the clock to the end of the step.
    void compute(const step_work& work, std::uint64_t real_tokens, std::uint64_t rows, const cache_use& cache)
    {
        const nanoseconds time = chosen_.cost.time(work);
        now_ += time;
        counted_.busy += time;
        ++counted_.steps;
        counted_.rows += rows;
        counted_.real_tokens += real_tokens;
        counted_.pads += work.tokens - real_tokens;
        counted_.reserved += static_cast<double>(time) * static_cast<double>(cache.reserved);
        counted_.used += static_cast<double>(time) * static_cast<double>(cache.used);
        counted_.needed += static_cast<double>(time) * static_cast<double>(cache.needed);
        counted_.reservations += static_cast<double>(time) * static_cast<double>(cache.reservations);
    }
    void wasted(std::size_t tokens) { counted_.most_wasted = std::max(counted_.most_wasted, tokens); }
    void computed_in_vain(std::size_t tokens) { counted_.recomputed += tokens; }
    void has_first_token(std::size_t r) { counted_.waits.push_back(now_ - requests_[r].arrival); }
    void has_last_token(std::size_t r)
    {
        counted_.latencies.push_back(now_ - requests_[r].arrival);
        counted_.generated += requests_[r].generated;
        counted_.end = now_;
    }

    bool has_arrived() const { return next_ < requests_.size() && requests_[next_].arrival <= now_; }
    bool has_next() const { return next_ < requests_.size(); }

    outcome finish()
    {
        std::sort(counted_.waits.begin(), counted_.waits.end());
        std::sort(counted_.latencies.begin(), counted_.latencies.end());
        return std::move(counted_);
    }

    const std::vector<request>& requests_;
    const settings& chosen_;
    nanoseconds now_ = 0;
    std::size_t next_ = 0;  // the first request that has not arrived

private:
    outcome counted_{};
};

// ---- batches that stay together --------------------------------------------------------------------------------------

enum class width_of_batch : unsigned char { longest, edge };

class batch_server : server {
public:
    using queue_type = batten::serve::request_queue<nanoseconds>;

    batch_server(std::string name, const std::vector<request>& requests, const settings& chosen,
                 queue_type::options_type options, width_of_batch width)
        : server(std::move(name), requests, chosen), queue_(std::move(options)), width_(width)
    {
    }

    outcome run()
    {
        for (;;) {
            for (; has_arrived(); ++next_)
                queue_.push({.id = next_, .length = requests_[next_].prompt}, requests_[next_].arrival);
            // A job is known to be whole. Where requests come by and by nobody knows the last one: it waits for others, too.
            if (!has_next() && requests_.back().arrival == 0)
                queue_.drain();
            if (const auto batch = queue_.poll(now_)) {
                serve(*batch);
                continue;
            }
            auto due = queue_.next_due();
            if (has_next())
                due = due ? std::min(*due, requests_[next_].arrival) : requests_[next_].arrival;
            if (!due)
                return finish();
            now_ = *due;
        }
    }

private:
    void serve(const batten::serve::ready_batch<nanoseconds>& batch)
    {
        // Those whose answers are done first come first: at any step those that are not are the last ones.
        rows_.clear();
        std::size_t real = 0;
        std::size_t longest = 0;
        for (const auto& row : batch.requests) {
            rows_.push_back(static_cast<std::size_t>(row.id));
            real += row.length;
            longest = std::max(longest, row.length);
        }
        std::stable_sort(rows_.begin(), rows_.end(),
                         [&](std::size_t a, std::size_t b) { return requests_[a].generated < requests_[b].generated; });
        const std::uint64_t rows = rows_.size();
        const std::uint64_t width = width_ == width_of_batch::edge ? batch.width : longest;
        columns_ = static_cast<std::size_t>(width) + requests_[rows_.back()].generated;

        step({rows * width, rows * width, rows * causal_pairs(0, width)}, real, real);
        for (const std::size_t r : rows_)
            has_first_token(r);
        std::size_t done = 0;
        std::size_t prompts = real;  // of those that are not done
        const auto leave = [&](std::size_t answered) {
            for (; done < rows_.size() && requests_[rows_[done]].generated == answered; ++done) {
                has_last_token(rows_[done]);
                prompts -= requests_[rows_[done]].prompt;
            }
        };
        leave(1);
        for (std::size_t t = 1; done < rows_.size(); ++t) {
            const std::size_t alive = rows_.size() - done;
            step({rows, rows * (width + t), rows * (width + t)}, alive, prompts + alive * t);
            leave(t + 1);
        }
    }

    // Each row has room for the whole context until the batch is done.
    void step(const step_work& work, std::uint64_t real_tokens, std::size_t cached)
    {
        const std::size_t rows = rows_.size();
        compute(work, real_tokens, rows,
                {.reserved = rows * chosen_.context, .used = cached, .needed = rows * columns_, .reservations = rows});
    }

    queue_type queue_;
    width_of_batch width_;
    std::vector<std::size_t> rows_{};
    std::size_t columns_ = 0;  // of the batch, once its longest answer is done
};

// ---- iteration-level steps -------------------------------------------------------------------------------------------

class iteration_server : server {
public:
    iteration_server(std::string name, const std::vector<request>& requests, const settings& chosen)
        : server(std::move(name), requests, chosen),
          pool_({.blocks = chosen.kv_tokens / chosen.block + 1, .block_size = chosen.block}),
          columns_(pool_.blocks_for(chosen.context)),
          table_(chosen.live * columns_, batten::serve::block_id{0}),
          answered_(requests.size(), std::size_t{0}),
          graphs_(batten::serve::vllm_graph_sizes(chosen.live))
    {
        for (std::size_t row = chosen.live; row-- > 0;)
            free_rows_.push_back(row);
    }

    outcome run()
    {
        for (;;) {
            for (; has_arrived(); ++next_)
                waiting_.push_back(next_);
            admit();
            if (!live_.empty())
                step();
            else if (has_next())
                now_ = requests_[next_].arrival;
            else
                return finish();
        }
    }

private:
    struct live_request {
        std::size_t number;
        std::size_t row;  // of the block table
        batten::serve::block_list blocks;
    };

    // Prompt and answer so far.
    std::size_t known_tokens(std::size_t number) const { return requests_[number].prompt + answered_[number]; }

    // In order of arrival, while there is room for all that is known of them beside what the live ones still need for theirs.
    // One block for each live one stays free, so that nobody comes in only to be sent back by the next few tokens.
    void admit()
    {
        if (waiting_.empty())
            return;
        std::size_t promised = 0;
        for (std::size_t i = 0; i < live_.size(); ++i)
            promised += pool_.blocks_for(known_[i]) - live_[i].blocks.blocks().size() + 1;
        while (!waiting_.empty() && !free_rows_.empty()) {
            const std::size_t number = waiting_.front();
            const std::size_t needed = pool_.blocks_for(known_tokens(number));
            if (promised + needed > pool_.free_blocks())
                return;
            promised += needed + 1;
            waiting_.pop_front();
            const std::size_t row = free_rows_.back();
            free_rows_.pop_back();
            live_.push_back({number, row, {pool_, std::span(table_).subspan(row * columns_, columns_)}});
            computed_.push_back(0);
            known_.push_back(known_tokens(number));
        }
    }

    // Takes a request out of the live ones, its blocks with it.
    void remove(std::size_t i)
    {
        const auto at = static_cast<std::ptrdiff_t>(i);
        free_rows_.push_back(live_[i].row);
        live_.erase(live_.begin() + at);
        computed_.erase(computed_.begin() + at);
        known_.erase(known_.begin() + at);
        scheduled_.erase(scheduled_.begin() + at);
    }

    // Room for what is scheduled. Where there is none, whoever came last gives back all its blocks, and is computed again.
    void make_room(batten::serve::step_totals& totals)
    {
        for (std::size_t i = 0; i < live_.size(); ++i)
            while (i < live_.size() && scheduled_[i] != 0 && !live_[i].blocks.append(scheduled_[i])) {
                const std::size_t last = live_.size() - 1;
                if (scheduled_[last] != 0) {
                    totals.tokens -= scheduled_[last];
                    --(known_[last] - computed_[last] == 1 && computed_[last] != 0 ? totals.decodes : totals.prefills);
                }
                computed_in_vain(computed_[last]);
                waiting_.push_front(live_[last].number);
                remove(last);
            }
    }

    void step()
    {
        scheduled_.assign(live_.size(), std::size_t{0});
        const batten::serve::schedule_options options{.max_tokens = chosen_.budget, .chunk_multiple = chosen_.block};
        auto totals = batten::serve::schedule(batten::serve::live_requests{computed_, known_}, options, scheduled_);
        make_room(totals);

        // Steps that only decode run as graphs of the next captured size, which vLLM's ladder gives.
        const auto graph =
            totals.prefills != 0 ? graphs_.end() : std::lower_bound(graphs_.begin(), graphs_.end(), totals.tokens);
        step_work work{.tokens = graph == graphs_.end() ? totals.tokens : *graph};
        const std::size_t reserved = pool_.live_blocks() * pool_.block_size();
        cache_use cache{.reserved = reserved, .used = 0, .needed = reserved, .reservations = live_.size()};
        for (std::size_t i = 0; i < live_.size(); ++i) {
            const std::size_t cached = computed_[i] + scheduled_[i];
            cache.used += cached;
            wasted(live_[i].blocks.blocks().size() * pool_.block_size() - cached);
            if (scheduled_[i] != 0) {
                work.kv_entries += cached;
                work.pairs += causal_pairs(computed_[i], scheduled_[i]);
            }
        }
        compute(work, totals.tokens, totals.requests(), cache);
        take_tokens();
    }

    // Whoever has all known tokens in the cache has got the next one.
    void take_tokens()
    {
        for (std::size_t i = 0; i < live_.size();) {
            computed_[i] += scheduled_[i];
            const std::size_t number = live_[i].number;
            if (scheduled_[i] != 0 && computed_[i] == known_[i]) {
                ++known_[i];
                if (++answered_[number] == 1)
                    has_first_token(number);
                if (answered_[number] == requests_[number].generated) {
                    has_last_token(number);
                    remove(i);
                    continue;
                }
            }
            ++i;
        }
    }

    batten::serve::block_pool pool_;
    std::size_t columns_;
    std::vector<batten::serve::block_id> table_;
    std::vector<std::size_t> answered_;  // tokens, of each request
    std::vector<std::size_t> graphs_;
    std::vector<std::size_t> free_rows_{};
    std::deque<std::size_t> waiting_{};
    // Live requests in order of arrival.
    std::vector<live_request> live_{};
    std::vector<std::size_t> computed_{};
    std::vector<std::size_t> known_{};
    std::vector<std::size_t> scheduled_{};
};

}  // namespace

// ---- figures ---------------------------------------------------------------------------------------------------------

nanoseconds cost_model::time(const step_work& work) const
{
    const double us = step_us + token_us * static_cast<double>(work.tokens) + kv_us * static_cast<double>(work.kv_entries) +
                      pair_us * static_cast<double>(work.pairs);
    return std::max<nanoseconds>(std::llround(1000 * us), 1);
}

double outcome::padding() const
{
    return ratio(static_cast<double>(pads), static_cast<double>(real_tokens + pads));
}
double outcome::busy_share() const
{
    return ratio(static_cast<double>(busy), static_cast<double>(end));
}
double outcome::tokens_a_second() const
{
    return ratio(1e9 * static_cast<double>(generated), static_cast<double>(end));
}
double outcome::rows_a_step() const
{
    return ratio(static_cast<double>(rows), static_cast<double>(steps));
}
double outcome::kv_wasted() const
{
    return ratio(reserved - used, reserved);
}
double outcome::kv_wasted_at_least() const
{
    return ratio(needed - used, needed);
}
double outcome::wasted_a_reservation() const
{
    return ratio(reserved - used, reservations);
}

nanoseconds percentile(const std::vector<nanoseconds>& sorted, double p)
{
    const double rank = std::ceil(p / 100 * static_cast<double>(sorted.size()));
    return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

settings fitted(settings chosen, const std::vector<request>& requests)
{
    // In a padded batch the longest answer may come after the pads of the longest prompt, though both are not of one request.
    std::size_t prompt = 0;
    std::size_t answer = 0;
    for (const request& r : requests) {
        prompt = std::max(prompt, (r.prompt + edge_multiple - 1) / edge_multiple * edge_multiple);
        answer = std::max(answer, r.generated);
    }
    if (chosen.context == 0)
        chosen.context = prompt + answer;
    if (chosen.context < prompt + answer)
        refuse("a row may come to " + grouped(prompt + answer) + " tokens (a prompt padded to " + grouped(prompt) +
               ", an answer of " + grouped(answer) + "), the context is " + grouped(chosen.context));
    if (chosen.kv_tokens / chosen.block * chosen.block < chosen.context)
        refuse("a context of " + grouped(chosen.context) + " tokens does not fit a cache of " + grouped(chosen.kv_tokens) +
               " in blocks of " + grouped(chosen.block));
    if (chosen.block > chosen.budget)
        refuse("a block of " + grouped(chosen.block) + " tokens is more than the budget of a step, " + grouped(chosen.budget));
    return chosen;
}

std::size_t contiguous_rows(const settings& chosen)
{
    return std::min(chosen.rows, chosen.kv_tokens / chosen.context);
}

std::vector<std::size_t> bucket_edges(const settings& chosen, const std::vector<request>& requests)
{
    std::vector<std::size_t> prompts;
    for (const request& r : requests)
        prompts.push_back(r.prompt);
    const batten::plan::histogram lengths(prompts);
    return batten::plan::optimal_edges(lengths, {.max_edges = chosen.buckets, .multiple = edge_multiple}).edges;
}

// ---- the three -------------------------------------------------------------------------------------------------------

outcome static_batches(const std::vector<request>& requests, const settings& chosen)
{
    return batch_server("static", requests, chosen,
                        {.edges = {chosen.context},
                         .max_rows = contiguous_rows(chosen),
                         .capacity = requests.size(),
                         .max_queue_delay = chosen.max_queue_delay},
                        width_of_batch::longest)
        .run();
}

outcome bucketed_batches(const std::vector<request>& requests, const settings& chosen)
{
    const std::vector<std::size_t> edges = bucket_edges(chosen, requests);
    return batch_server("dynamic, buckets", requests, chosen,
                        {.edges = edges,
                         .max_rows = chosen.kv_tokens / chosen.context,
                         .max_cells = std::max(chosen.cells, edges.back()),
                         .capacity = requests.size(),
                         .max_queue_delay = chosen.max_queue_delay},
                        width_of_batch::edge)
        .run();
}

outcome iteration_steps(const std::vector<request>& requests, const settings& chosen)
{
    return iteration_server("iteration-level", requests, chosen).run();
}

namespace {

constexpr std::array strategies{static_batches, bucketed_batches, iteration_steps};

constexpr double latest = 4e18;  // ns, of an arrival

}  // namespace

std::vector<outcome> compare(const std::vector<request>& requests, const settings& chosen)
{
    std::vector<outcome> found;
    for (const auto& strategy : strategies)
        found.push_back(strategy(requests, chosen));
    return found;
}

std::vector<double> sustained(const std::vector<request>& requests, const settings& chosen, nanoseconds patience)
{
    constexpr int steps = 16;  // an octave
    const auto speed_of = [](int step) { return std::exp2(static_cast<double>(step) / steps); };
    const double last = static_cast<double>(std::max<nanoseconds>(requests.back().arrival, 1));
    const int slowest = -static_cast<int>(std::min(10.0, std::log2(latest / last)) * steps);
    std::vector<double> found;
    for (const auto& strategy : strategies) {
        const auto is_patient = [&](const std::vector<request>& arriving) {
            return percentile(strategy(arriving, chosen).waits, 50) <= patience;
        };
        if (is_patient(at_once(requests))) {
            found.push_back(std::numeric_limits<double>::infinity());
            continue;
        }
        int slow = slowest;
        int fast = 10 * steps;
        while (fast - slow > 1) {
            const int middle = (slow + fast) / 2;
            (is_patient(faster(requests, speed_of(middle))) ? slow : fast) = middle;
        }
        found.push_back(slow == slowest ? 0 : speed_of(slow));
    }
    return found;
}

std::vector<request> faster(std::vector<request> requests, double speed)
{
    if (!requests.empty() && static_cast<double>(requests.back().arrival) / speed > latest)
        refuse("the last request comes " + duration(requests.back().arrival) + " after the first: too far to go " +
               short_decimal(speed) + " times as fast");
    for (request& r : requests)
        r.arrival = static_cast<nanoseconds>(std::llround(static_cast<double>(r.arrival) / speed));
    return requests;
}

std::vector<request> at_once(std::vector<request> requests)
{
    for (request& r : requests)
        r.arrival = 0;
    return requests;
}

}  // namespace serving_simulation
