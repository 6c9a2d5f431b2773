// SPDX-License-Identifier: MIT
// The request queue under a clock of the test's, against a list that is searched from end to end; the shared one on threads.

#include "support.hpp"

#include <batten/detail/random.hpp>
#include <batten/serve/queue.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <thread>
#include <utility>
#include <vector>

namespace serve = batten::serve;
namespace errors = batten::serve::errors;
using serve::ready_reason;
using tests::error_is;
using tests::no_row;

namespace {

using ticks = std::int64_t;
using queue = serve::request_queue<ticks>;
using options = serve::queue_options<ticks>;
using request = serve::request<ticks>;

constexpr request of_length(std::uint64_t id, std::size_t length, std::size_t priority = 0,
                            std::optional<ticks> deadline = std::nullopt)
{
    return {id, length, priority, deadline, 0};
}

// What left: the reason, the width, the ids.
struct left {
    ready_reason reason{};
    std::size_t width = 0;
    std::vector<std::uint64_t> ids{};

    friend bool operator==(const left&, const left&) = default;
    friend std::ostream& operator<<(std::ostream& out, const left& l)
    {
        out << "{reason " << static_cast<int>(l.reason) << ", width " << l.width << ':';
        for (const auto id : l.ids)
            out << ' ' << id;
        return out << '}';
    }
};

template <class Departure>
std::optional<left> copied(const Departure& departure)
{
    if (!departure)
        return std::nullopt;
    left copy{departure->reason, departure->width, {}};
    for (const auto& one : departure->requests)
        copy.ids.push_back(one.id);
    return copy;
}

std::optional<left> polled(queue& from, ticks now) { return copied(from.poll(now)); }

constexpr bool runs_in_constant_evaluation()
{
    queue waiting({.edges = {2, 4}, .max_rows = 2, .capacity = 3, .priorities = 2, .max_queue_delay = 10});
    waiting.push(of_length(7, 3, 1), 100);
    waiting.push(of_length(8, 1), 101);
    if (waiting.poll(102) || waiting.next_due() != 110)
        return false;
    waiting.push(of_length(9, 4), 103);
    const auto full = waiting.poll(104);
    if (!full || full->width != 4 || full->requests[0].id != 9 || full->requests[1].id != 7)
        return false;
    if (waiting.poll(110) || waiting.next_due() != 111)
        return false;
    const auto late = waiting.poll(111);
    return late && late->reason == ready_reason::queue_delay && late->requests.size() == 1 && !waiting.next_due();
}
static_assert(runs_in_constant_evaluation());

error_is queue_error(const options& settings)
{
    const auto made = queue::try_make(settings);
    tests::check_throws(made.error(), [&] { static_cast<void>(queue(settings)); });
    return made.error();
}

}  // namespace

// ---- what leaves when -----------------------------------------------------------------------------------------------------

TEST_CASE("a batch leaves when its bucket has the rows, or the padded cells, of a whole one")
{
    queue waiting({.edges = {4, 10}, .max_rows = 3, .max_cells = 20, .max_queue_delay = 1000});
    waiting.push(of_length(1, 10), 0);
    waiting.push(of_length(2, 4), 0);
    CHECK_FALSE(polled(waiting, 0));
    waiting.push(of_length(3, 5), 1);
    CHECK(polled(waiting, 1) == left{ready_reason::filled, 10, {1, 3}});  // two rows of 10
    CHECK_FALSE(polled(waiting, 1));
    waiting.push(of_length(4, 1), 2);
    waiting.push(of_length(5, 2), 2);
    CHECK(polled(waiting, 2) == left{ready_reason::filled, 4, {2, 4, 5}});  // three rows, though five of 4 would fit
    CHECK(waiting.pending() == 0);
}

TEST_CASE("a batch that is not full leaves when its oldest request has waited max_queue_delay, and no tick before")
{
    queue waiting({.edges = {4, 10}, .max_rows = 3, .max_queue_delay = 50});
    waiting.push(of_length(1, 3), 7);
    waiting.push(of_length(2, 9), 8);
    waiting.push(of_length(3, 4), 56);
    CHECK(waiting.next_due() == 57);
    CHECK_FALSE(polled(waiting, 56));
    CHECK(polled(waiting, 57) == left{ready_reason::queue_delay, 4, {1, 3}});
    CHECK_FALSE(polled(waiting, 57));
    CHECK(waiting.next_due() == 58);
    CHECK(polled(waiting, 1000) == left{ready_reason::queue_delay, 10, {2}});
    CHECK_FALSE(waiting.next_due());
}

TEST_CASE("max_queue_delay 0 batches the requests that are waiting at the poll")
{
    queue waiting({.edges = {4}, .max_rows = 2});
    for (std::uint64_t id = 0; id < 3; ++id)
        waiting.push(of_length(id, 1), 5);
    CHECK(polled(waiting, 5) == left{ready_reason::filled, 4, {0, 1}});
    CHECK(polled(waiting, 5) == left{ready_reason::queue_delay, 4, {2}});
}

TEST_CASE("the more urgent leave first, those of one priority in the order in which they came")
{
    queue waiting({.edges = {4}, .max_rows = 3, .priorities = 3, .max_queue_delay = 1000});
    const std::vector<std::size_t> priorities{2, 1, 2, 0, 1, 0, 2};
    for (std::size_t i = 0; i < priorities.size(); ++i)
        waiting.push(of_length(i, 1, priorities[i]), 0);
    CHECK(polled(waiting, 1) == left{ready_reason::filled, 4, {3, 5, 1}});
    CHECK(polled(waiting, 1) == left{ready_reason::filled, 4, {4, 0, 2}});
    CHECK_FALSE(polled(waiting, 1));
}

TEST_CASE("a request that has waited max_queue_delay leaves before more urgent ones that have not")
{
    queue waiting({.edges = {4, 8}, .max_rows = 2, .priorities = 2, .max_queue_delay = 10});
    waiting.push(of_length(1, 8, 1), 0);
    waiting.push(of_length(2, 3, 1), 1);
    for (std::uint64_t id = 3; id < 9; ++id)
        waiting.push(of_length(id, id % 2 == 0 ? 4 : 8), 5);
    CHECK(polled(waiting, 11) == left{ready_reason::filled, 8, {1, 3}});
    CHECK(polled(waiting, 11) == left{ready_reason::filled, 4, {2, 4}});
    CHECK(polled(waiting, 11) == left{ready_reason::filled, 8, {5, 7}});
}

TEST_CASE("no request waits past max_queue_delay, whatever comes in")
{
    // Every tick brings more urgent requests than a poll lets out, to every bucket; one of the least urgent is among them.
    queue waiting({.edges = {4, 8, 16}, .max_rows = 4, .capacity = 4096, .priorities = 3, .max_queue_delay = 20});
    std::uint64_t id = 0;
    std::map<std::uint64_t, ticks> since;
    for (ticks now = 0; now < 400; ++now) {
        for (const std::size_t length : {4U, 8U, 16U})
            for (std::size_t i = 0; i < 3; ++i) {
                waiting.push(of_length(id, length, now % 10 == 0 && i == 0 ? 2 : 0), now);
                since.emplace(id++, now);
            }
        while (const auto gone = waiting.poll(now))
            for (const request& one : gone->requests)
                REQUIRE(since.erase(one.id) == 1);
        for (const auto& [one, arrival] : since)
            REQUIRE(now - arrival < 20);
    }
    CHECK(id == 3600);
}

TEST_CASE("of those that have waited max_queue_delay each poll takes the oldest, even where more come than leave")
{
    queue waiting({.edges = {4, 8}, .max_rows = 2, .capacity = 4096, .priorities = 2, .max_queue_delay = 5});
    std::set<std::uint64_t> there;  // ids grow with age
    for (ticks now = 0; now < 300; ++now) {
        for (std::uint64_t i = 0; i < 4; ++i) {
            const std::uint64_t id = static_cast<std::uint64_t>(now) * 4 + i;
            waiting.push(of_length(id, i % 2 == 0 ? 3 : 7, id % 7 == 0 ? 1 : 0), now);
            there.insert(id);
        }
        const auto gone = waiting.poll(now);
        REQUIRE(gone);
        if (static_cast<ticks>(*there.begin()) / 4 + 5 <= now)
            REQUIRE(gone->requests[0].id == *there.begin());
        for (const request& one : gone->requests)
            REQUIRE(there.erase(one.id) == 1);
    }
    CHECK(there.size() == 600);
}

TEST_CASE("those whose deadlines have passed are reported together, once, and are in no batch")
{
    queue waiting({.edges = {4, 8}, .max_rows = 3, .max_queue_delay = 100});
    waiting.push(of_length(1, 4, 0, 20), 0);
    waiting.push(of_length(2, 7, 0, 10), 0);
    waiting.push(of_length(3, 4), 0);
    CHECK(waiting.next_due() == 10);
    waiting.push(of_length(4, 4, 0, 30), 0);
    CHECK(polled(waiting, 9) == left{ready_reason::filled, 4, {1, 3, 4}});
    waiting.push(of_length(5, 4, 0, 12), 9);
    waiting.push(of_length(6, 4, 0, 13), 9);
    CHECK(polled(waiting, 12) == left{ready_reason::expired, 0, {5, 2}});
    CHECK_FALSE(polled(waiting, 12));
    CHECK(polled(waiting, 13) == left{ready_reason::expired, 0, {6}});
    CHECK(waiting.pending() == 0);
}

TEST_CASE("a bucket lets out batches from deadline_margin before a deadline on, in order, until its request has left")
{
    queue waiting({.edges = {4, 8}, .max_rows = 2, .priorities = 2, .max_queue_delay = 100, .deadline_margin = 5});
    waiting.push(of_length(1, 7, 1, 30), 1);
    waiting.push(of_length(2, 4, 1, 20), 2);
    CHECK(waiting.next_due() == 15);
    CHECK_FALSE(polled(waiting, 2));
    waiting.push(of_length(3, 4), 3);
    waiting.push(of_length(4, 4), 3);
    CHECK(polled(waiting, 3) == left{ready_reason::filled, 4, {3, 4}});  // the more urgent of three
    CHECK_FALSE(polled(waiting, 14));
    CHECK(polled(waiting, 15) == left{ready_reason::deadline, 4, {2}});
    CHECK_FALSE(polled(waiting, 24));
    CHECK(waiting.next_due() == 25);
    for (std::uint64_t id = 5; id < 9; ++id)
        waiting.push(of_length(id, 8), 26);
    CHECK(polled(waiting, 26) == left{ready_reason::filled, 8, {5, 6}});
    CHECK(polled(waiting, 26) == left{ready_reason::filled, 8, {7, 8}});
    CHECK(polled(waiting, 26) == left{ready_reason::deadline, 8, {1}});
    CHECK_FALSE(polled(waiting, 200));
}

TEST_CASE("a near deadline that is cancelled, or has left, does not make other requests leave early")
{
    queue waiting({.edges = {4}, .max_rows = 8, .max_queue_delay = 100, .deadline_margin = 50});
    waiting.push(of_length(1, 4, 0, 60), 0);
    waiting.push(of_length(2, 4, 0, 90), 0);
    waiting.cancel(1);
    CHECK(waiting.next_due() == 10);  // too soon
    CHECK_FALSE(polled(waiting, 10));
    CHECK(waiting.next_due() == 40);
    CHECK(polled(waiting, 40) == left{ready_reason::deadline, 4, {2}});
    waiting.push(of_length(9, 4, 0, 95), 40);
    waiting.cancel(9);
    waiting.push(of_length(3, 4), 41);
    CHECK(waiting.next_due() == 141);
    CHECK_FALSE(polled(waiting, 140));
    CHECK(polled(waiting, 141) == left{ready_reason::queue_delay, 4, {3}});
    waiting.push(of_length(4, 4, 0, 150), 141);  // near when it comes
    CHECK(waiting.next_due() == 141);
    CHECK(polled(waiting, 141) == left{ready_reason::deadline, 4, {4}});
    waiting.push(of_length(5, 4, 0, 160), 141);
    CHECK(polled(waiting, 160) == left{ready_reason::expired, 0, {5}});  // polled too late
}

TEST_CASE("a deadline_margin longer than the time so far is no trouble to a clock without a sign")
{
    serve::request_queue<std::uint32_t> waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 7, .deadline_margin = 100});
    waiting.push({.id = 1, .length = 4, .deadline = 300}, 3);
    CHECK(waiting.next_due() == 10U);
    waiting.push({.id = 2, .length = 4, .deadline = 20}, 3);
    CHECK(copied(waiting.poll(3)) == left{ready_reason::filled, 4, {1, 2}});
    waiting.push({.id = 3, .length = 4, .deadline = 50}, 4);
    CHECK(waiting.next_due() == 4U);
    CHECK(copied(waiting.poll(4)) == left{ready_reason::deadline, 4, {3}});
}

TEST_CASE("drain returns the waiting requests, the oldest first, and refuses others")
{
    queue waiting({.edges = {4, 8}, .max_rows = 2, .max_queue_delay = 100});
    waiting.push(of_length(1, 8), 0);
    for (std::uint64_t id = 2; id < 5; ++id)
        waiting.push(of_length(id, 4, 0, id == 3 ? std::optional<ticks>(5) : std::nullopt), 0);
    waiting.drain();
    CHECK(waiting.is_draining());
    CHECK(error_is(waiting.try_push(of_length(9, 1), 4).error()) == error_is(errors::queue_draining, 9));
    CHECK(waiting.next_due() == 0);
    CHECK(polled(waiting, 5) == left{ready_reason::expired, 0, {3}});
    CHECK(polled(waiting, 5) == left{ready_reason::drained, 8, {1}});
    CHECK(polled(waiting, 5) == left{ready_reason::filled, 4, {2, 4}});
    CHECK_FALSE(polled(waiting, 5));
}

TEST_CASE("a cancelled request comes back from the queue and leaves it no other way")
{
    queue waiting({.edges = {4}, .max_rows = 2, .priorities = 2, .max_queue_delay = 10});
    for (std::uint64_t id = 1; id < 4; ++id)
        waiting.push(of_length(id, static_cast<std::size_t>(id), id == 2 ? 1 : 0, 100), 5);
    const request back = waiting.cancel(2);
    CHECK(back.id == 2);
    CHECK(back.length == 2);
    CHECK(back.priority == 1);
    CHECK(back.deadline == 100);
    CHECK(back.arrival == 5);
    CHECK_FALSE(waiting.contains(2));
    CHECK(waiting.contains(3));
    CHECK(error_is(waiting.try_cancel(2).error()) == error_is(errors::request_unknown, 2));
    tests::check_throws(waiting.try_cancel(77).error(), [&] { waiting.cancel(77); });
    CHECK(polled(waiting, 5) == left{ready_reason::filled, 4, {1, 3}});
    CHECK(error_is(waiting.try_cancel(3).error()) == error_is(errors::request_unknown, 3));
    CHECK(waiting.push(of_length(2, 4), 6) == 1);  // its id is free again
}

TEST_CASE("a time before the latest one counts as the latest")
{
    queue waiting({.edges = {4}, .max_rows = 3, .max_queue_delay = 10});
    waiting.push(of_length(1, 4), 50);
    waiting.push(of_length(2, 4), 20);
    CHECK_FALSE(polled(waiting, 59));
    CHECK_FALSE(polled(waiting, 0));
    CHECK(polled(waiting, 60) == left{ready_reason::queue_delay, 4, {1, 2}});
    CHECK(error_is(waiting.try_push(of_length(3, 4, 0, 55), 0).error()) == error_is(errors::request_expired, 3));
}

TEST_CASE("the clock may be std::chrono's")
{
    using namespace std::chrono_literals;
    using clock = std::chrono::steady_clock;
    serve::request_queue<clock::time_point> waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 5ms});
    const clock::time_point start{};
    waiting.push({.id = 1, .length = 4}, start + 1ms);
    waiting.push({.id = 2, .length = 3, .deadline = start + 4ms}, start + 2ms);
    CHECK(waiting.cancel(2).arrival == start + 2ms);
    waiting.push({.id = 3, .length = 3}, start + 3ms);
    CHECK(copied(waiting.poll(start + 3ms)) == left{ready_reason::filled, 4, {1, 3}});
    waiting.push({.id = 4, .length = 3}, start + 4ms);
    CHECK_FALSE(waiting.poll(start + 8999us));
    CHECK(waiting.next_due() == start + 9ms);
    CHECK(copied(waiting.poll(start + 9ms)) == left{ready_reason::queue_delay, 4, {4}});
}

TEST_CASE("a copy of a queue goes on by itself")
{
    queue waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 10});
    waiting.push(of_length(1, 4), 0);
    queue copy = waiting;
    copy.push(of_length(2, 4), 1);
    CHECK(polled(copy, 1) == left{ready_reason::filled, 4, {1, 2}});
    CHECK_FALSE(polled(waiting, 1));
    CHECK(polled(waiting, 10) == left{ready_reason::queue_delay, 4, {1}});
}

// ---- refusals -----------------------------------------------------------------------------------------------------------

TEST_CASE("a request that cannot be taken is refused with the reason, and the others go on")
{
    queue waiting({.edges = {4, 8}, .max_rows = 4, .capacity = 2, .priorities = 2, .max_queue_delay = 10});
    waiting.push(of_length(5, 8), 100);
    const std::vector<std::pair<request, error_is>> refused{
        {of_length(6, 0), {errors::request_empty, 6}},
        {of_length(7, 9), {errors::request_over_limit, 7, 9, 8}},
        {of_length(8, 1, 2), {errors::priority_out_of_range, 8, 2, 2}},
        {of_length(9, 1, 0, 100), {errors::request_expired, 9}},
        {of_length(5, 1), {errors::request_duplicate, 5}},
    };
    for (const auto& [one, expected] : refused) {
        CHECK(error_is(waiting.try_push(one, 100).error()) == expected);
        tests::check_throws(waiting.try_push(one, 100).error(), [&, r = one] { waiting.push(r, 100); });
        CHECK(waiting.pending() == 1);
    }
    CHECK(waiting.push(of_length(10, 5), 100) == 2);
    CHECK(error_is(waiting.try_push(of_length(11, 1), 101).error()) == error_is(errors::queue_full, 11, 2));
    CHECK(polled(waiting, 110) == left{ready_reason::queue_delay, 8, {5, 10}});
    CHECK(waiting.push(of_length(11, 1), 111) == 1);
}

TEST_CASE("options that make no queue are errors")
{
    const options good{.edges = {4, 8}, .max_rows = 4};
    const auto with = [&](auto change) {
        options changed = good;
        change(changed);
        return queue_error(changed);
    };
    CHECK(queue::try_make(good).has_value());
    CHECK(with([](options& o) { o.edges = {}; }) == error_is(errors::edges_empty, no_row));
    CHECK(with([](options& o) { o.edges = {8, 4}; }) == error_is(errors::edges_not_increasing, no_row, 8, 4));
    CHECK(with([](options& o) { o.max_rows = batten::no_limit; }) == error_is(errors::batches_unlimited, no_row));
    CHECK(with([](options& o) { o.max_cells = 7; }) == error_is(errors::edge_over_max_cells, no_row, 8, 7));
    CHECK(with([](options& o) { o.max_rows = 0; }) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_rows"));
    CHECK(with([](options& o) { o.max_cells = 0; }) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_cells"));
    CHECK(with([](options& o) { o.capacity = 0; }) == error_is(errors::argument_not_positive, no_row, 0, 0, "capacity"));
    CHECK(with([](options& o) { o.priorities = 0; }) ==
          error_is(errors::argument_not_positive, no_row, 0, 0, "priorities"));
    CHECK(with([](options& o) { o.max_queue_delay = -1; }) ==
          error_is(errors::argument_negative, no_row, 0, 0, "max_queue_delay"));
    CHECK(with([](options& o) { o.deadline_margin = -1; }) ==
          error_is(errors::argument_negative, no_row, 0, 0, "deadline_margin"));
    CHECK(with([](options& o) { o.priorities = batten::no_limit; }) ==
          error_is(errors::size_overflow, no_row, batten::no_limit, 32));
    for (const std::size_t capacity : {batten::no_limit, batten::no_limit / 2 + 2, batten::no_limit / 64}) {
        const auto made = queue::try_make({.edges = {4}, .max_rows = 4, .capacity = capacity});
        CHECK(made.error().code == errors::size_overflow);
    }
}

TEST_CASE("where the longest wait is all the time there is, batches leave by fullness alone")
{
    const auto waits = [](auto now, auto longest) {
        serve::request_queue<decltype(now)> waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = longest});
        waiting.push({.id = 1, .length = 4}, now);
        CHECK_FALSE(waiting.poll(now + (longest - longest)));
        CHECK_FALSE(waiting.next_due());
        waiting.push({.id = 2, .length = 4, .deadline = now + longest / 1000}, now);
        CHECK(waiting.next_due() == now);
    };
    waits(ticks{5}, std::numeric_limits<ticks>::max());
    waits(std::uint32_t{5}, std::numeric_limits<std::uint32_t>::max());
    using clock = std::chrono::steady_clock;
    waits(clock::time_point(clock::duration(5)), clock::duration::max());
    serve::request_queue<ticks> before_zero({.edges = {4}, .max_rows = 2, .max_queue_delay = std::numeric_limits<ticks>::max()});
    before_zero.push({.id = 1, .length = 4}, -5);
    CHECK(before_zero.next_due() == std::numeric_limits<ticks>::max() - 5);
}

TEST_CASE("deadlines and arrivals at the ends of the clock's type do not overflow")
{
    constexpr ticks first = std::numeric_limits<ticks>::min();
    constexpr ticks last = std::numeric_limits<ticks>::max();
    {
        // A deadline at the last time, and a clock below 0: the difference does not fit.
        queue waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 100, .deadline_margin = 5});
        waiting.push(of_length(1, 4, 0, last), -10);
        CHECK_FALSE(polled(waiting, -10));
        CHECK(waiting.next_due() == 90);
        CHECK_FALSE(polled(waiting, 89));
        CHECK(polled(waiting, 90) == left{ready_reason::queue_delay, 4, {1}});
    }
    {
        // The margin alone makes it due, and the deadline expires it.
        queue waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = last, .deadline_margin = 5});
        waiting.push(of_length(1, 4, 0, last), first);
        waiting.push(of_length(2, 4, 0, 10), first);
        CHECK(polled(waiting, first) == left{ready_reason::filled, 4, {1, 2}});
        waiting.push(of_length(1, 4, 0, last), -10);
        CHECK(waiting.next_due() == last - 10);  // -10 + max_queue_delay would be last - 10
        CHECK_FALSE(polled(waiting, last - 11));
        CHECK(polled(waiting, last - 5) == left{ready_reason::queue_delay, 4, {1}});
        waiting.push(of_length(3, 4, 0, last), last - 5);
        CHECK(polled(waiting, last - 5) == left{ready_reason::deadline, 4, {3}});
        waiting.push(of_length(4, 4, 0, last), last - 1);
        CHECK(polled(waiting, last) == left{ready_reason::expired, 0, {4}});
    }
    {
        // An arrival at the first time, polled at the last: the wait does not fit, and is longer than any other.
        queue waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 100});
        waiting.push(of_length(1, 4), first);
        CHECK(waiting.next_due() == first + 100);
        CHECK_FALSE(polled(waiting, first + 99));
        CHECK(polled(waiting, last) == left{ready_reason::queue_delay, 4, {1}});
        waiting.push(of_length(2, 4), last - 1);  // would wait past the end of time
        CHECK_FALSE(waiting.next_due());
        CHECK_FALSE(polled(waiting, last));
    }
    {
        // A deadline near the first time, with a margin that reaches before it.
        queue waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 100, .deadline_margin = last});
        waiting.push(of_length(1, 4, 0, first + 50), first);
        CHECK(waiting.next_due() == first);
        CHECK(polled(waiting, first) == left{ready_reason::deadline, 4, {1}});
    }
}

TEST_CASE("a narrow clock, whose differences are wider than itself, does not wrap")
{
    serve::request_queue<std::int8_t> waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 200, .deadline_margin = 30});
    waiting.push({.id = 1, .length = 4, .deadline = std::int8_t{127}}, std::int8_t{-128});
    CHECK(waiting.next_due() == std::int8_t{72});
    CHECK_FALSE(waiting.poll(std::int8_t{71}));
    CHECK(copied(waiting.poll(std::int8_t{72})) == left{ready_reason::queue_delay, 4, {1}});
    waiting.push({.id = 2, .length = 4}, std::int8_t{100});
    CHECK_FALSE(waiting.next_due());
    CHECK_FALSE(waiting.poll(std::int8_t{127}));
}

TEST_CASE("a clock of doubles is due when next_due says so, whatever the rounding")
{
    serve::request_queue<double> waiting({.edges = {4}, .max_rows = 2, .max_queue_delay = 0.2, .deadline_margin = 0.1});
    for (std::uint64_t i = 0; i < 2000; ++i) {
        const double now = static_cast<double>(i) + static_cast<double>(i) / 7.0;
        waiting.push({.id = i, .length = 4, .deadline = i % 2 == 0 ? std::optional(now + 0.25) : std::nullopt}, now);
        const std::optional<double> due = waiting.next_due();
        REQUIRE(due);
        REQUIRE_FALSE(waiting.poll(std::nextafter(*due, 0.0)));
        REQUIRE(copied(waiting.poll(*due)) ==
                left{i % 2 == 0 ? ready_reason::deadline : ready_reason::queue_delay, 4, {i}});
    }
    constexpr double forever = std::numeric_limits<double>::infinity();
    serve::request_queue<double> patient({.edges = {4}, .max_rows = 2, .max_queue_delay = forever, .deadline_margin = 1});
    patient.push({.id = 1, .length = 4, .deadline = forever}, -1e300);
    CHECK_FALSE(patient.poll(1e300));
}

// ---- the model ----------------------------------------------------------------------------------------------------------

namespace {

// The same by one list in order of arrival, which is searched from end to end.
class searched_queue {
public:
    explicit searched_queue(options settings) : options_(std::move(settings)) {}

    bool push(request arriving, ticks now)
    {
        const auto same = [&](const request& one) { return one.id == arriving.id; };
        if (waiting_.size() == options_.capacity || std::any_of(waiting_.begin(), waiting_.end(), same) ||
            (arriving.deadline && *arriving.deadline <= now) || arriving.length > options_.edges.limit())
            return false;
        arriving.arrival = now;
        waiting_.push_back(arriving);
        return true;
    }
    bool cancel(std::uint64_t id)
    {
        return std::erase_if(waiting_, [&](const request& one) { return one.id == id; }) == 1;
    }
    std::optional<left> poll(ticks now)
    {
        const auto by_bucket = [&](const request& a, const request& b) {
            return std::pair(edge(a), a.priority) < std::pair(edge(b), b.priority);
        };
        const auto expired = [&](const request& one) { return one.deadline && *one.deadline <= now; };
        if (std::vector<request> late = those(expired); !late.empty()) {
            std::stable_sort(late.begin(), late.end(), by_bucket);
            return leave(ready_reason::expired, 0, late);
        }
        for (const request& oldest : waiting_) {
            const std::size_t width = edge(oldest);
            std::vector<request> bucket = those([&](const request& one) { return edge(one) == width; });
            const std::size_t rows = std::min(options_.max_rows, options_.max_cells / width);
            const auto overdue = [&](const request& one) { return now - one.arrival >= options_.max_queue_delay; };
            const auto near = [&](const request& one) { return one.deadline && *one.deadline - now <= options_.deadline_margin; };
            const bool full = bucket.size() >= rows;
            if (!full && !overdue(oldest) && std::none_of(bucket.begin(), bucket.end(), near))
                continue;
            std::stable_sort(bucket.begin(), bucket.end(), [&](const request& a, const request& b) {
                return overdue(a) != overdue(b) ? overdue(a) : !overdue(a) && a.priority < b.priority;
            });
            bucket.resize(std::min(rows, bucket.size()));
            const auto reason = full              ? ready_reason::filled
                                : overdue(oldest) ? ready_reason::queue_delay
                                                  : ready_reason::deadline;
            return leave(reason, width, bucket);
        }
        return std::nullopt;
    }
    std::size_t pending() const { return waiting_.size(); }

private:
    std::size_t edge(const request& one) const { return options_.edges.width(std::vector<std::size_t>{one.length}); }
    template <class Which>
    std::vector<request> those(Which which) const
    {
        std::vector<request> found;
        std::copy_if(waiting_.begin(), waiting_.end(), std::back_inserter(found), which);
        return found;
    }
    left leave(ready_reason reason, std::size_t width, const std::vector<request>& who)
    {
        left gone{reason, width, {}};
        for (const request& one : who) {
            gone.ids.push_back(one.id);
            CHECK(cancel(one.id));
        }
        return gone;
    }

    options options_;
    std::vector<request> waiting_{};
};

}  // namespace

TEST_CASE("whatever comes, is cancelled and expires, the queue does what a list does that is searched from end to end")
{
    const std::vector<options> settings{
        {.edges = {4, 8, 32}, .max_rows = 3, .max_cells = 64, .capacity = 24, .priorities = 3, .max_queue_delay = 12},
        {.edges = {4, 8, 32}, .max_rows = 6, .capacity = 24, .priorities = 2, .max_queue_delay = 25, .deadline_margin = 6},
        {.edges = {32}, .max_rows = 5, .capacity = 7, .max_queue_delay = 15},
        {.edges = {1, 2, 30}, .max_cells = 30, .capacity = 64, .priorities = 2, .max_queue_delay = 0},
    };
    for (std::size_t s = 0; s < settings.size(); ++s) {
        queue fast(settings[s]);
        searched_queue slow(settings[s]);
        std::map<ready_reason, std::size_t> reasons;
        std::size_t refused = 0;
        ticks now = 0;
        for (std::uint64_t step = 0; step < 30000; ++step) {
            const auto draw = [&](std::uint64_t which, std::size_t n) {
                return static_cast<std::size_t>(batten::detail::below(n, batten::detail::draw(s, 8 * step + which)));
            };
            const std::uint64_t id = draw(1, 40);
            switch (draw(0, 8)) {
            case 0: now += static_cast<ticks>(draw(2, 10)); break;
            case 1: {
                const bool there = slow.cancel(id);
                REQUIRE(fast.try_cancel(id).has_value() == there);
                break;
            }
            case 2:
            case 3: {
                const auto expected = slow.poll(now);
                REQUIRE(polled(fast, now) == expected);
                if (expected)
                    ++reasons[expected->reason];
                break;
            }
            default: {
                const auto deadline =
                    draw(2, 3) == 0 ? std::optional<ticks>(now + static_cast<ticks>(draw(3, 30))) : std::nullopt;
                const request arriving = of_length(id, 1 + draw(4, 33), draw(5, settings[s].priorities), deadline);
                const bool taken = slow.push(arriving, now);
                REQUIRE(fast.try_push(arriving, now).has_value() == taken);
                refused += taken ? 0 : 1;
            }
            }
            REQUIRE(fast.pending() == slow.pending());
        }
        for (const auto reason : {ready_reason::filled, ready_reason::queue_delay, ready_reason::expired}) {
            CAPTURE(s, reason);
            CHECK(reasons[reason] > 50);
        }
        CHECK((reasons[ready_reason::deadline] > 50) == (settings[s].deadline_margin != 0));
        CHECK(refused > 50);
    }
}

// ---- threads ------------------------------------------------------------------------------------------------------------

TEST_CASE("many threads push and cancel while one polls, and every request leaves exactly once")
{
    constexpr std::uint64_t each = 4000;
    constexpr std::uint64_t producers = 4;
    serve::shared_request_queue shared(
        queue({.edges = {8, 64}, .max_rows = 6, .capacity = 64, .priorities = 2, .max_queue_delay = 3}));
    std::atomic<ticks> clock{0};
    std::atomic<std::uint64_t> working{producers};
    std::vector<std::uint64_t> cancelled[producers];
    std::vector<std::uint64_t> out;
    {
        std::vector<std::jthread> threads;
        for (std::uint64_t t = 0; t < producers; ++t)
            threads.emplace_back([&, t] {
                for (std::uint64_t i = 0; i < each; ++i) {
                    const std::uint64_t id = t * each + i;
                    const request arriving = of_length(id, 1 + static_cast<std::size_t>(id % 64), id % 5 == 0 ? 1 : 0);
                    while (!shared.try_push(arriving, ++clock))
                        std::this_thread::yield();  // full
                    if (i % 7 == 0 && shared.try_cancel(id))
                        cancelled[t].push_back(id);
                }
                --working;
            });
        const auto poll = [&] {
            const auto gone = shared.poll(++clock);
            if (gone)
                for (const request& one : gone->requests)
                    out.push_back(one.id);
            return gone.has_value();
        };
        while (working > 0)
            if (!poll())
                std::this_thread::yield();
        shared.drain();
        while (poll()) {
        }
    }
    CHECK(shared.pending() == 0);
    for (const auto& some : cancelled)
        out.insert(out.end(), some.begin(), some.end());
    std::sort(out.begin(), out.end());
    REQUIRE(out.size() == producers * each);
    for (std::uint64_t id = 0; id < out.size(); ++id)
        REQUIRE(out[id] == id);
}

TEST_CASE("the shared queue says what the queue says, under any mutex")
{
    struct counting_mutex {
        std::size_t* locked;
        counting_mutex() : locked(count()) {}
        static std::size_t* count()
        {
            static std::size_t times = 0;
            return &times;
        }
        void lock() { ++*locked; }
        void unlock() { ++*locked; }
    };
    serve::shared_request_queue<ticks, counting_mutex> shared(
        queue({.edges = {8}, .max_rows = 2, .capacity = 4, .max_queue_delay = 3}));
    CHECK(shared.push(of_length(1, 8), 10) == 1);
    CHECK(shared.try_push(of_length(1, 8), 10).error().code == errors::request_duplicate);
    CHECK(shared.next_due() == 13);
    CHECK(shared.pending() == 1);
    CHECK(shared.contains(1));
    CHECK(shared.capacity() == 4);
    CHECK(copied(shared.poll(13)) == left{ready_reason::queue_delay, 8, {1}});
    tests::check_throws(shared.try_cancel(1).error(), [&] { shared.cancel(1); });
    CHECK_FALSE(shared.is_draining());
    shared.drain();
    CHECK(shared.is_draining());
    CHECK(*counting_mutex::count() == 2 * 11);
}
