// SPDX-License-Identifier: MIT
// Dynamic batching: requests wait in the bucket of their length until it is full, or the oldest has waited long enough.
#ifndef BATTEN_SERVE_QUEUE_HPP_INCLUDED
#define BATTEN_SERVE_QUEUE_HPP_INCLUDED

#include <batten/detail/memory.hpp>
#include <batten/detail/random.hpp>
#include <batten/error.hpp>
#include <batten/serve/errors.hpp>
#include <batten/length.hpp>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace batten::serve {

// A point in time as you have it: an integer of any unit, a std::chrono::time_point. The queue has no clock; each call is told
// what time it is. A time before one that it has been told already counts as that one.
template <class T>
concept time_value = std::copyable<T> && std::default_initializable<T> && std::totally_ordered<T> &&
                     requires(const T& a, const T& b) {
                         a - b;
                         { a + (a - b) } -> std::convertible_to<T>;
                         { a - (a - b) } -> std::convertible_to<T>;
                     };

template <time_value Time>
using duration_of = std::remove_cvref_t<decltype(std::declval<const Time&>() - std::declval<const Time&>())>;

template <time_value Time>
struct request {
    std::uint64_t id = 0;            // among those that wait nobody else has it
    std::size_t length = 0;          // in tokens
    std::size_t priority = 0;        // 0 leaves first
    std::optional<Time> deadline{};  // from then on it is too late to leave
    Time arrival{};                  // written by push
};

// At least one of rows and budget is needed.
template <time_value Time>
struct queue_options {
    bucketed_length edges{};        // widths of the buckets
    std::size_t rows = no_limit;    // of a batch, at the most
    std::size_t budget = no_limit;  // of padded cells in a batch, at the most: rows * edge
    std::size_t capacity = 1024;    // requests that wait, at the most
    std::size_t priorities = 1;     // 0, 1, ..., priorities - 1
    duration_of<Time> max_wait{};   // of a request for others in its bucket
    duration_of<Time> lead{};       // so long before a deadline its bucket lets out batches: what it takes to serve one
};

enum class departure_reason : unsigned char {
    filled,    // the bucket had rows or cells for a whole batch
    waited,    // its oldest request has waited max_wait
    deadline,  // one of its requests has less than lead to its deadline
    drained,   // drain() was called
    expired,   // not a batch: their deadlines have passed
};

// Who leaves the queue together. A batch is `width` wide, its bucket's edge.
template <time_value Time>
struct departure {
    std::span<const request<Time>> requests{};  // valid until the next poll
    std::size_t width = 0;                      // 0 for those that expired
    departure_reason reason{};
};

namespace detail {

// Where the request of each id lies: open addressing, twice as many places as ids at least, nothing allocated once it is made.
class id_table {
public:
    static constexpr std::size_t nowhere = batten::detail::size_limit;

private:
    struct entry {
        std::uint64_t id = 0;
        std::size_t slot = nowhere;
    };

public:
    static constexpr std::size_t most_bytes_an_id = 4 * sizeof(entry);

    constexpr explicit id_table(std::size_t capacity) : entries_(std::bit_ceil(2 * capacity), entry{}) {}

    [[nodiscard]] constexpr std::size_t find(std::uint64_t id) const noexcept { return entries_[place_of(id)].slot; }
    // Requires: an id that is not there, and fewer than capacity that are.
    constexpr void insert(std::uint64_t id, std::size_t slot) noexcept { entries_[place_of(id)] = {id, slot}; }
    // Requires: an id that is there.
    constexpr void erase(std::uint64_t id) noexcept
    {
        std::size_t hole = place_of(id);
        for (std::size_t next = after(hole); entries_[next].slot != nowhere; next = after(next)) {
            // Whoever is looked for at the hole or before it closes it, and leaves a hole.
            const std::size_t past_home = (next - home_of(entries_[next].id)) & mask();
            if (past_home >= ((next - hole) & mask()))
                entries_[std::exchange(hole, next)] = entries_[next];
        }
        entries_[hole].slot = nowhere;
    }

private:
    constexpr std::size_t mask() const noexcept { return entries_.size() - 1; }
    constexpr std::size_t home_of(std::uint64_t id) const noexcept
    {
        return static_cast<std::size_t>(batten::detail::mix(id)) & mask();
    }
    constexpr std::size_t after(std::size_t place) const noexcept { return (place + 1) & mask(); }

    // The id's place, or the free one that it would take.
    constexpr std::size_t place_of(std::uint64_t id) const noexcept
    {
        std::size_t place = home_of(id);
        while (entries_[place].slot != nowhere && entries_[place].id != id)
            place = after(place);
        return place;
    }

    std::vector<entry> entries_;
};

}  // namespace detail

// Requests that wait to be batched with others of about their length. For one thread; shared_request_queue is for several.
//
// Ensures  Order: within a bucket and a priority requests leave in the order in which they came.
//          No starvation: once anyone has waited max_wait, each batch takes the oldest request of all, whatever the
//          priorities; when a poll at time t has returned nothing, nobody waits who came at t - max_wait or before, or whose
//          deadline is t + lead or before.
//          Nobody is lost: who was taken leaves once, by poll (in a batch or expired) or by cancel.
// Memory   two requests and two to four table entries for each of `capacity`, allocated when it is made; no call allocates.
// Cost     push O(log buckets) and cancel O(1), expected (ids are hashed); poll O((buckets + rows that leave) * priorities),
//          and O(requests that wait in a bucket) where a deadline of it is near or has passed.
template <time_value Time>
class request_queue {
public:
    using time_type = Time;
    using request_type = request<Time>;
    using options_type = queue_options<Time>;

    // Errors: no ladder, or one that does not increase; neither rows nor budget; an edge over the budget; a capacity, rows, a
    // budget or priorities of 0; a negative max_wait or lead; sizes that overflow; no memory.
    constexpr explicit request_queue(options_type options) : request_queue(try_make(std::move(options)).value()) {}
    [[nodiscard]] static constexpr result<request_queue> try_make(options_type options)
    {
        error reason;
        if (!check(options, reason))
            return reason;
        const std::size_t bytes = options.capacity * bytes_a_request + options.priorities * bytes_a_priority(options);
        return batten::detail::make_in_memory(bytes, [&] { return request_queue(checked{}, std::move(options)); });
    }

    // Takes a request. Returns how many wait.
    //
    // Errors  an empty request; one over the last edge; a priority that there is not; a deadline that has passed; an id that
    //         waits already; a full queue; a queue that drains (row: the request's id). Then nothing has changed.
    [[nodiscard]] constexpr result<std::size_t> try_push(request_type arriving, Time now)
    {
        error reason;
        tell(now);
        if (!accepts(arriving, reason))
            return reason;
        arriving.arrival = *now_;
        const std::size_t slot = std::exchange(free_, slots_[free_].next);
        slots_[slot].waiting = arriving;
        slots_[slot].bucket = bucket_of(arriving.length);
        slots_[slot].ticket = tickets_++;
        link(slot);
        ids_.insert(arriving.id, slot);
        keep_earlier(buckets_[slots_[slot].bucket].deadline, arriving.deadline);
        return ++pending_;
    }
    constexpr std::size_t push(const request_type& arriving, Time now) { return try_push(arriving, now).value(); }

    // Takes a request out again. Errors: an id that does not wait here (it never came, or has left).
    [[nodiscard]] constexpr result<request_type> try_cancel(std::uint64_t id)
    {
        const std::size_t slot = ids_.find(id);
        if (slot == nobody)
            return error::of_row(errors::request_unknown, static_cast<std::size_t>(id));
        return remove(slot);
    }
    constexpr request_type cancel(std::uint64_t id) { return try_cancel(id).value(); }

    // Who leaves now, nothing where nobody does: while (auto left = queue.poll(now)).
    // First those whose deadlines have passed, all together. Then a batch of the bucket with the oldest request, among buckets
    // that are full, have a request that has waited max_wait, or one whose deadline is near; in it those who have waited so
    // long by age, then the others by priority and age.
    [[nodiscard]] constexpr std::optional<departure<Time>> poll(Time now)
    {
        tell(now);
        if (const std::size_t expired = expire(); expired != 0)
            return leave(expired, 0, departure_reason::expired);
        // The bucket with the oldest request, of those that are due: where anyone has waited max_wait, it is somebody who has.
        std::size_t leaving = buckets_.size();
        std::uint64_t oldest = 0;
        for (std::size_t b = 0; b < buckets_.size(); ++b) {
            if (buckets_[b].count == 0)
                continue;
            const slot_entry& first = slots_[oldest_of(b)];
            if (!draining_ && !is_full(b) && !has_waited(first) && !has_near_deadline(b))
                continue;
            if (leaving == buckets_.size() || first.ticket < oldest) {
                leaving = b;
                oldest = first.ticket;
            }
        }
        if (leaving == buckets_.size())
            return std::nullopt;
        return take(leaving);
    }

    // When poll has something to do if nobody comes or leaves: the time to sleep until. Never, where nobody waits.
    // It may come too soon, after a request with a deadline has left.
    [[nodiscard]] constexpr std::optional<Time> next_due() const
    {
        std::optional<Time> due;
        for (std::size_t b = 0; b < buckets_.size(); ++b) {
            if (buckets_[b].count == 0)
                continue;
            const Time arrival = slots_[oldest_of(b)].waiting.arrival;
            keep_earlier(due, draining_ || is_full(b) ? std::optional(arrival) : has_waited_from(arrival));
            if (const std::optional<Time>& deadline = buckets_[b].deadline)
                keep_earlier(due, is_near(*deadline) ? *now_ : Time(*deadline - options_.lead));
        }
        return due;
    }

    // Takes nobody any more; poll gives out who waits, in batches that need not be full.
    constexpr void drain() noexcept { draining_ = true; }
    [[nodiscard]] constexpr bool is_draining() const noexcept { return draining_; }

    [[nodiscard]] constexpr bool contains(std::uint64_t id) const noexcept { return ids_.find(id) != nobody; }
    [[nodiscard]] constexpr std::size_t pending() const noexcept { return pending_; }
    [[nodiscard]] constexpr std::size_t capacity() const noexcept { return slots_.size(); }

private:
    static constexpr std::size_t nobody = detail::id_table::nowhere;

    // A request that waits, between its neighbours in the list of its bucket and priority; or a free place.
    struct slot_entry {
        request_type waiting{};
        std::uint64_t ticket = 0;  // how many came before
        std::size_t bucket = 0;
        std::size_t previous = nobody;
        std::size_t next = nobody;
    };
    struct list {
        std::size_t first = nobody;
        std::size_t last = nobody;
    };
    struct bucket {
        std::size_t count = 0;
        std::optional<Time> deadline{};  // the earliest; earlier where its request has left
    };

    struct checked {};
    constexpr request_queue(checked, options_type&& options)
        : options_(std::move(options)),
          slots_(options_.capacity, slot_entry{}),
          lists_(options_.edges.edges().size() * options_.priorities, list{}),
          buckets_(options_.edges.edges().size(), bucket{}),
          ids_(options_.capacity),
          left_(options_.capacity, request_type{})
    {
        for (std::size_t i = 0; i + 1 < slots_.size(); ++i)
            slots_[i].next = i + 1;
    }

    static constexpr std::size_t bytes_a_request =
        sizeof(slot_entry) + sizeof(request_type) + detail::id_table::most_bytes_an_id;
    static constexpr std::size_t bytes_a_priority(const options_type& options)
    {
        return options.edges.edges().size() * sizeof(list);
    }

    static constexpr bool check(const options_type& options, error& reason)
    {
        using batten::detail::fail;
        if (!options.edges.check(reason))
            return false;
        const auto positive = [&](std::size_t value, std::string_view name) {
            return value != 0 || fail(reason, error::of(errors::argument_not_positive, 0, {}, name));
        };
        if (!positive(options.rows, "rows") || !positive(options.budget, "budget") ||
            !positive(options.capacity, "capacity") || !positive(options.priorities, "priorities"))
            return false;
        if (options.rows == no_limit && options.budget == no_limit)
            return fail(reason, error::of(errors::batches_unlimited));
        if (options.edges.limit() > options.budget)
            return fail(reason, error::of(errors::width_past_maximum, options.edges.limit(), options.budget));
        const auto overflows = [&](std::size_t count, std::size_t bytes_each) {
            std::size_t bytes = 0;
            return (!batten::detail::multiply(count, bytes_each, bytes) || bytes > batten::detail::size_limit / 2) &&
                   !fail(reason, error::of(errors::size_overflow, count, bytes_each));
        };
        if (overflows(options.capacity, bytes_a_request) || overflows(options.priorities, bytes_a_priority(options)))
            return false;
        const auto not_negative = [&](const duration_of<Time>& duration, std::string_view name) {
            return !(duration < duration_of<Time>{}) ||
                   fail(reason, error::of(errors::argument_negative, {}, {}, name));
        };
        return not_negative(options.max_wait, "max_wait") && not_negative(options.lead, "lead");
    }

    constexpr bool accepts(const request_type& arriving, error& reason) const noexcept
    {
        const auto refuse = [&](error_code code, integer first = {}, integer second = {}) {
            return batten::detail::fail(reason, error::of_row(code, static_cast<std::size_t>(arriving.id), first, second));
        };
        if (draining_)
            return refuse(errors::queue_draining);
        if (arriving.length == 0)
            return refuse(errors::request_empty);
        if (arriving.length > options_.edges.limit())
            return refuse(errors::request_over_limit, arriving.length, options_.edges.limit());
        if (arriving.priority >= options_.priorities)
            return refuse(errors::priority_out_of_range, arriving.priority, options_.priorities);
        if (arriving.deadline && !(*now_ < *arriving.deadline))
            return refuse(errors::request_expired);
        if (ids_.find(arriving.id) != nobody)
            return refuse(errors::request_duplicate);
        if (pending_ == slots_.size())
            return refuse(errors::queue_full, pending_);
        return true;
    }

    constexpr void tell(const Time& now)
    {
        if (!now_ || *now_ < now)
            now_ = now;
    }
    static constexpr void keep_earlier(std::optional<Time>& earliest, const std::optional<Time>& another)
    {
        if (another && (!earliest || *another < *earliest))
            earliest = another;
    }
    // arrival + max_wait, never where that is past the last time that there is.
    constexpr std::optional<Time> has_waited_from(const Time& arrival) const
    {
        std::optional<Time> last;
        if constexpr (std::numeric_limits<Time>::is_specialized)
            last = std::numeric_limits<Time>::max();
        else if constexpr (requires { { Time::max() } -> std::same_as<Time>; })  // as std::chrono has it
            last = Time::max();
        if (last && Time{} < arrival && *last - arrival < options_.max_wait)
            return std::nullopt;
        return Time(arrival + options_.max_wait);
    }
    constexpr bool has_passed(const Time& deadline) const { return !(*now_ < deadline); }
    constexpr bool is_near(const Time& deadline) const
    {
        return has_passed(deadline) || (duration_of<Time>{} < options_.lead && !(options_.lead < deadline - *now_));
    }

    // ---- buckets and their lists ----------------------------------------------------------------------------------------

    constexpr std::size_t bucket_of(std::size_t length) const noexcept
    {
        const auto edges = options_.edges.edges();
        return static_cast<std::size_t>(std::lower_bound(edges.begin(), edges.end(), length) - edges.begin());
    }
    constexpr std::size_t most_rows(std::size_t b) const noexcept
    {
        return batten::detail::rows_within(options_.rows, options_.budget, options_.edges.edges()[b]);
    }
    constexpr list& list_of(const slot_entry& entry) noexcept
    {
        return lists_[entry.bucket * options_.priorities + entry.waiting.priority];
    }
    constexpr bool is_full(std::size_t b) const noexcept { return buckets_[b].count >= most_rows(b); }
    constexpr bool has_waited(const slot_entry& entry) const { return !(*now_ - entry.waiting.arrival < options_.max_wait); }

    // visit(slot) for each of a bucket, by priority and age; it may remove the slot.
    template <class Visit>
    constexpr void each_of(std::size_t b, Visit visit)
    {
        for (std::size_t p = 0; p < options_.priorities; ++p)
            for (std::size_t slot = lists_[b * options_.priorities + p].first; slot != nobody;)
                visit(std::exchange(slot, slots_[slot].next));
    }
    // Whoever had the deadline that is known may have left: a near one is looked for.
    constexpr bool has_near_deadline(std::size_t b)
    {
        std::optional<Time>& deadline = buckets_[b].deadline;
        if (!deadline || !is_near(*deadline))
            return false;
        deadline.reset();
        each_of(b, [&](std::size_t slot) { keep_earlier(deadline, slots_[slot].waiting.deadline); });
        return deadline && is_near(*deadline);
    }

    // The first of each list is the oldest of it: times never go back. Requires: the bucket is not empty.
    constexpr std::size_t oldest_of(std::size_t b) const noexcept
    {
        std::size_t oldest = nobody;
        for (std::size_t p = 0; p < options_.priorities; ++p) {
            const std::size_t first = lists_[b * options_.priorities + p].first;
            if (first != nobody && (oldest == nobody || slots_[first].ticket < slots_[oldest].ticket))
                oldest = first;
        }
        return oldest;
    }
    constexpr std::size_t most_urgent_of(std::size_t b) const noexcept
    {
        std::size_t p = b * options_.priorities;
        while (lists_[p].first == nobody)
            ++p;
        return lists_[p].first;
    }

    constexpr void link(std::size_t slot) noexcept
    {
        slot_entry& entry = slots_[slot];
        list& in = list_of(entry);
        entry.previous = std::exchange(in.last, slot);
        entry.next = nobody;
        (entry.previous == nobody ? in.first : slots_[entry.previous].next) = slot;
        ++buckets_[entry.bucket].count;
    }
    // Takes a request out of its list, and out of everything.
    constexpr request_type remove(std::size_t slot) noexcept
    {
        slot_entry& entry = slots_[slot];
        list& in = list_of(entry);
        (entry.previous == nobody ? in.first : slots_[entry.previous].next) = entry.next;
        (entry.next == nobody ? in.last : slots_[entry.next].previous) = entry.previous;
        bucket& of = buckets_[entry.bucket];
        if (--of.count == 0)
            of.deadline.reset();
        --pending_;
        ids_.erase(entry.waiting.id);
        entry.next = std::exchange(free_, slot);
        return entry.waiting;
    }

    // ---- leaving --------------------------------------------------------------------------------------------------------

    constexpr departure<Time> take(std::size_t b) noexcept
    {
        const std::size_t rows = std::min(buckets_[b].count, most_rows(b));
        const departure_reason reason = rows == most_rows(b)               ? departure_reason::filled
                                        : draining_                        ? departure_reason::drained
                                        : has_waited(slots_[oldest_of(b)]) ? departure_reason::waited
                                                                           : departure_reason::deadline;
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t oldest = oldest_of(b);
            left_[row] = remove(has_waited(slots_[oldest]) ? oldest : most_urgent_of(b));
        }
        return leave(rows, options_.edges.edges()[b], reason);
    }
    constexpr departure<Time> leave(std::size_t rows, std::size_t width, departure_reason reason) const noexcept
    {
        return {std::span(left_).first(rows), width, reason};
    }

    // Takes out those whose deadlines have passed, bucket by bucket, and returns how many.
    constexpr std::size_t expire()
    {
        std::size_t expired = 0;
        for (std::size_t b = 0; b < buckets_.size(); ++b) {
            std::optional<Time>& earliest = buckets_[b].deadline;
            if (!earliest || !has_passed(*earliest))
                continue;
            earliest.reset();
            each_of(b, [&](std::size_t slot) {
                const std::optional<Time>& deadline = slots_[slot].waiting.deadline;
                if (deadline && has_passed(*deadline))
                    left_[expired++] = remove(slot);
                else
                    keep_earlier(earliest, deadline);
            });
        }
        return expired;
    }

    options_type options_;
    std::vector<slot_entry> slots_;
    std::vector<list> lists_;  // by bucket and priority
    std::vector<bucket> buckets_;
    detail::id_table ids_;
    std::vector<request_type> left_;  // first, those who left last
    std::size_t free_ = 0;            // the first free slot
    std::size_t pending_ = 0;
    std::uint64_t tickets_ = 0;
    std::optional<Time> now_{};  // the latest time that it was told
    bool draining_ = false;
};

// A request_queue for several threads: every call holds the mutex, any type with lock() and unlock(), for as long as it takes.
//
// Requires  one thread at a time polls: what poll returned is valid until the next poll. Any number push, cancel and ask.
// Ensures   as request_queue, in the order in which the calls got the mutex.
template <time_value Time, class Mutex = std::mutex>
class shared_request_queue {
public:
    using request_type = request<Time>;

    explicit shared_request_queue(request_queue<Time> queue) : queue_(std::move(queue)) {}

    [[nodiscard]] result<std::size_t> try_push(const request_type& arriving, Time now)
    {
        const std::lock_guard lock(mutex_);
        return queue_.try_push(arriving, now);
    }
    std::size_t push(const request_type& arriving, Time now) { return try_push(arriving, now).value(); }

    [[nodiscard]] result<request_type> try_cancel(std::uint64_t id)
    {
        const std::lock_guard lock(mutex_);
        return queue_.try_cancel(id);
    }
    request_type cancel(std::uint64_t id) { return try_cancel(id).value(); }

    [[nodiscard]] std::optional<departure<Time>> poll(Time now)
    {
        const std::lock_guard lock(mutex_);
        return queue_.poll(now);
    }
    [[nodiscard]] std::optional<Time> next_due() const
    {
        const std::lock_guard lock(mutex_);
        return queue_.next_due();
    }

    void drain()
    {
        const std::lock_guard lock(mutex_);
        queue_.drain();
    }
    [[nodiscard]] bool is_draining() const
    {
        const std::lock_guard lock(mutex_);
        return queue_.is_draining();
    }
    [[nodiscard]] bool contains(std::uint64_t id) const
    {
        const std::lock_guard lock(mutex_);
        return queue_.contains(id);
    }
    [[nodiscard]] std::size_t pending() const
    {
        const std::lock_guard lock(mutex_);
        return queue_.pending();
    }
    [[nodiscard]] std::size_t capacity() const noexcept { return queue_.capacity(); }  // never changes

private:
    mutable Mutex mutex_{};
    request_queue<Time> queue_;
};

}  // namespace batten::serve

#endif
