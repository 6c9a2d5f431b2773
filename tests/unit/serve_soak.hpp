// SPDX-License-Identifier: MIT
// Days of a server in seconds: simulated requests by the million through queue, schedule, pool and step. Each of them ends
// exactly once; each block is held by those who have it in their rows, and by nobody in the end; no two tokens of a step go to
// the same slot.
#ifndef BATTEN_TESTS_SERVE_SOAK_HPP_INCLUDED
#define BATTEN_TESTS_SERVE_SOAK_HPP_INCLUDED

#include <batten/detail/random.hpp>
#include <batten/serve/arrays.hpp>
#include <batten/serve/backends.hpp>
#include <batten/serve/block_list.hpp>
#include <batten/serve/graphs.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/queue.hpp>
#include <batten/serve/schedule.hpp>
#include <batten/serve/step.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace soak {

namespace serve = batten::serve;
namespace errors = batten::serve::errors;
using serve::block_id;

using ticks = std::int64_t;

// Where a request is: it moves to the right, and ends in one of the last three.
enum class fate : unsigned char { to_come, queued, running, finished, cancelled, expired };

class server {
public:
    explicit server(std::size_t requests) : fates_(requests, fate::to_come)
    {
        counts_[static_cast<std::size_t>(fate::to_come)] = requests;
        for (std::size_t r = 0; r < rows; ++r)
            lists_.emplace_back(pool_, std::span(table_).subspan(r * width, width));
    }

    void run()
    {
        for (ticks now = 0; next_ < fates_.size() || queue_.pending() != 0 || !order_.empty(); ++now) {
            arrive(now);
            cancel();
            admit(now);
            step(now);
            if (now % 4096 == 0)
                audit();
            expect(now < static_cast<ticks>(fates_.size()) + 10'000);  // nobody keeps the others from going on
            if (!is_good)
                return;
        }
        audit();
    }

    std::size_t count(fate f) const { return counts_[static_cast<std::size_t>(f)]; }
    std::size_t ended() const { return count(fate::finished) + count(fate::cancelled) + count(fate::expired); }
    serve::block_pool& pool() { return pool_; }
    serve::request_queue<ticks>& queue() { return queue_; }

    bool is_good = true;
    std::size_t refused = 0;
    std::size_t forks = 0;
    std::size_t copies = 0;
    std::size_t preempted = 0;

private:
    static constexpr std::size_t rows = 64;
    static constexpr std::size_t width = 8;
    static constexpr std::size_t longest_prompt = 96;
    static constexpr std::size_t nobody = std::numeric_limits<std::size_t>::max();

    // Who runs in a row. A request that was forked runs in two, and ends with the second.
    struct runner {
        std::size_t id = nobody;
        std::size_t target = 0;  // tokens
        std::size_t twin = nobody;
    };

    std::size_t draw(std::size_t n)
    {
        return static_cast<std::size_t>(batten::detail::below(n, batten::detail::draw(7, draws_++)));
    }

    void expect(bool good) { is_good = is_good && good; }
    void move(std::size_t id, fate from, fate to)
    {
        expect(id < fates_.size() && fates_[id] == from);
        if (!is_good)
            return;
        fates_[id] = to;
        --counts_[static_cast<std::size_t>(from)];
        ++counts_[static_cast<std::size_t>(to)];
    }

    void arrive(ticks now)
    {
        if (next_ == fates_.size())
            queue_.drain();
        for (std::size_t more = draw(28); more > 0 && next_ < fates_.size(); --more) {
            serve::request<ticks> one{next_, 1 + draw(1 + draw(longest_prompt)), draw(2), {}, {}};
            if (draw(16) == 0)
                one.deadline = now + 1 + static_cast<ticks>(draw(20));
            const auto taken = queue_.try_push(one, now);
            if (!taken) {
                expect(taken.error().code == errors::queue_full);
                ++refused;
                return;  // it comes again
            }
            move(next_++, fate::to_come, fate::queued);
            if (draw(64) == 0)
                expect(queue_.try_push(one, now).error().code == errors::request_duplicate);
        }
    }

    // One of those that came last: it waits, runs, or is gone.
    void cancel()
    {
        const std::size_t back = 1 + draw(512);
        if (back > next_)
            return;
        const std::size_t id = next_ - back;
        const auto taken = queue_.try_cancel(id);
        expect(taken.has_value() == (fates_[id] == fate::queued));
        if (taken) {
            move(id, fate::queued, fate::cancelled);
            return;
        }
        expect(taken.error().code == errors::request_unknown);
        if (fates_[id] != fate::running)
            return;
        for (std::size_t r = 0; r < rows; ++r)
            if (runners_[r].id == id)
                leave(r);
        move(id, fate::running, fate::cancelled);
    }

    void admit(ticks now)
    {
        while (rows - order_.size() >= most_in_batch) {
            const auto left = queue_.poll(now);
            if (!left)
                return;
            for (const auto& one : left->requests) {
                const auto id = static_cast<std::size_t>(one.id);
                if (left->reason == serve::ready_reason::expired) {
                    move(id, fate::queued, fate::expired);
                } else {
                    move(id, fate::queued, fate::running);
                    start({id, one.length + draw(16), nobody}, one.length);
                }
            }
        }
    }
    std::size_t start(const runner& who, std::size_t known)
    {
        std::size_t r = 0;
        while (runners_[r].id != nobody)
            ++r;
        runners_[r] = who;
        sequences_[r] = starts_++;
        known_[r] = known;
        order_.push_back(r);
        return r;
    }
    void leave(std::size_t r)
    {
        lists_[r].clear();
        computed_[r] = known_[r] = 0;
        if (runners_[r].twin != nobody)
            runners_[runners_[r].twin].twin = nobody;
        runners_[r] = {};
        order_.erase(std::find(order_.begin(), order_.end(), r));
    }

    void step(ticks now)
    {
        // Who has nothing computed waits until there are blocks for all that he has, but for the oldest of all.
        running_.clear();
        for (const std::size_t r : order_)
            if (computed_[r] != 0 || r == order_.front() || pool_.free_blocks() >= pool_.blocks_for(known_[r]))
                running_.push_back(r);
        serve::schedule(serve::live_requests{computed_, known_, running_}, {.max_tokens = budget, .max_requests = rows}, scheduled_);
        make_room();
        write_arrays(now);
        for (const std::size_t r : running_) {
            computed_[r] += scheduled_[r];
            expect(lists_[r].tokens() == computed_[r]);
            if (scheduled_[r] == 0 || computed_[r] != known_[r])
                continue;
            if (known_[r] == runners_[r].target) {
                const runner who = runners_[r];
                leave(r);
                if (who.twin == nobody)
                    move(who.id, fate::running, fate::finished);
                continue;
            }
            if (runners_[r].twin == nobody && order_.size() < rows && draw(16) == 0) {
                ++forks;
                runners_[r].twin = start({runners_[r].id, runners_[r].target, r}, known_[r] + 1);
                lists_[runners_[r].twin] = lists_[r].fork(lists_[runners_[r].twin].row());
                computed_[runners_[r].twin] = computed_[r];
            }
            ++known_[r];
        }
    }

    // Blocks for the tokens of the step, the oldest first; where there are none, the youngest gives back all of its own.
    void make_room()
    {
        for (const std::size_t r : running_)
            while (scheduled_[r] != 0) {
                if (const auto change = lists_[r].append(scheduled_[r])) {
                    copies += change->copy ? 1U : 0U;
                    break;
                }
                auto victim = running_.rbegin();
                while (*victim != r && lists_[*victim].blocks().empty())
                    ++victim;
                ++preempted;
                lists_[*victim].clear();
                computed_[*victim] = scheduled_[*victim] = 0;
            }
    }

    // What the model would be given: the slot of each token, and the block table, of which only what is new is written.
    void write_arrays(ticks now)
    {
        computing_.clear();
        for (const std::size_t r : running_)
            if (scheduled_[r] != 0)
                computing_.push_back(r);
        const batten::strided_sequences all(tokens_, width * block_size, known_);
        const serve::step_inputs in{all, computed_, scheduled_, batten::matrix_view<const block_id>(table_.data(), rows, width,
                                                                                                     width), sequences_};
        const serve::step_options options{.cache = {.blocks = blocks, .block_size = block_size}, .max_context = width * block_size};
        const auto computing = batten::select(in, computing_);
        const auto now_running = serve::try_step(computing, options);
        expect(now_running.has_value());
        if (!is_good)
            return;
        expect(serve::try_write(*now_running, serve::padding::vllm, {}, batten::set<serve::slot_mapping>(slots_),
                                serve::block_table(step_table_))
                   .has_value());
        for (std::size_t token = 0; token < now_running->tokens(); ++token) {
            ticks& last = written_[static_cast<std::size_t>(slots_[token])];
            expect(last != now);
            last = now;
        }
        for (std::size_t i = 0; i < computing_.size(); ++i) {
            const auto held = lists_[computing_[i]].blocks();
            expect(std::equal(held.begin(), held.end(), step_table_.table().row(i).begin()));
        }
    }

    // Books and stock agree.
    void audit()
    {
        std::vector<std::size_t> held(pool_.blocks());
        std::size_t forked = 0;
        for (std::size_t r = 0; r < rows; ++r) {
            expect((runners_[r].id != nobody) == (std::count(order_.begin(), order_.end(), r) == 1));
            expect(lists_[r].blocks().size() == pool_.blocks_for(computed_[r]));
            forked += runners_[r].twin != nobody ? 1U : 0U;
            for (const block_id block : lists_[r].blocks())
                ++held[static_cast<std::size_t>(block)];
        }
        for (std::size_t block = 0; block < held.size(); ++block)
            expect(pool_.ref_count(static_cast<block_id>(block)) == held[block]);
        expect(held[0] == 0);
        expect(pool_.free_blocks() == static_cast<std::size_t>(std::count(held.begin() + 1, held.end(), 0)));
        expect(queue_.pending() == count(fate::queued));
        expect(order_.size() - forked / 2 == count(fate::running));
    }

    static constexpr std::size_t most_in_batch = 8;
    static constexpr std::size_t block_size = 16;
    static constexpr std::size_t blocks = 140;
    static constexpr std::size_t budget = 512;

    std::vector<fate> fates_;  // of each request
    std::array<std::size_t, 6> counts_{};
    std::size_t next_ = 0;  // who has not come yet
    std::uint64_t draws_ = 0;
    serve::request_queue<ticks> queue_{
        {.edges = {16, 48, 96}, .max_rows = most_in_batch, .capacity = 256, .priorities = 2, .max_queue_delay = 4}};
    serve::block_pool pool_{{.blocks = blocks, .block_size = block_size}};
    std::vector<block_id> table_ = std::vector<block_id>(rows * width);
    std::vector<serve::block_list> lists_{};
    std::vector<runner> runners_ = std::vector<runner>(rows);
    std::vector<std::size_t> sequences_ = std::vector<std::size_t>(rows);  // two of a request that was forked
    std::size_t starts_ = 0;
    std::vector<std::size_t> computed_ = std::vector<std::size_t>(rows);
    std::vector<std::size_t> known_ = std::vector<std::size_t>(rows);
    std::vector<std::size_t> scheduled_ = std::vector<std::size_t>(rows);
    std::vector<std::size_t> order_{};    // of rows, by arrival
    std::vector<std::size_t> running_{};  // of them, those that have or get blocks
    // The step.
    std::vector<std::size_t> computing_{};  // of those, the rows with tokens in it
    std::vector<std::uint16_t> tokens_ = std::vector<std::uint16_t>(rows * width * block_size);
    std::vector<std::int64_t> slots_ = std::vector<std::int64_t>(budget);
    std::vector<ticks> written_ = std::vector<ticks>(blocks * block_size, -1);  // each slot, the last time
    std::vector<block_id> step_cells_ = std::vector<block_id>(rows * width);
    std::vector<std::uint64_t> row_ids_ = std::vector<std::uint64_t>(rows);
    std::vector<serve::block_table_row_state> row_states_ = std::vector<serve::block_table_row_state>(rows);
    serve::block_table_buffer<block_id> step_table_{{step_cells_.data(), rows, width, width}, row_ids_, row_states_};
};

}  // namespace soak

#endif
