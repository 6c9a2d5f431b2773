// SPDX-License-Identifier: MIT
// Dynamic batching: requests wait in the bucket of their length until it fills a batch, or the oldest has waited long enough.
#ifndef BATTEN_SERVE_QUEUE_HPP_INCLUDED
#define BATTEN_SERVE_QUEUE_HPP_INCLUDED

#include <batten/detail/checks.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/length.hpp>
#include <batten/serve/detail/id_table.hpp>
#include <batten/serve/detail/time.hpp>
#include <batten/serve/errors.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace batten::serve {

// A point in time: an integer of any unit, a floating-point number, a std::chrono::time_point. The queue has no clock: calls
// take the current time. A time earlier than the latest one given counts as the latest.
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
    std::uint64_t id = 0;            // unique among waiting requests
    std::size_t length = 0;          // in tokens
    std::size_t priority = 0;        // 0 is served first
    std::optional<Time> deadline{};  // the request expires at this time
    Time arrival{};                  // set by push
};

// A batch needs a limit: rows, cells or both.
template <time_value Time>
struct queue_options {
    bucketed_length edges{};               // widths of the buckets
    std::size_t max_rows = no_limit;       // of a batch
    std::size_t max_cells = no_limit;      // of a batch, pads included: rows * edge
    std::size_t capacity = 1024;           // most waiting requests
    std::size_t priorities = 1;            // valid priorities are 0 to priorities - 1
    duration_of<Time> max_queue_delay{};   // a bucket becomes due when its oldest request has waited this long
    duration_of<Time> deadline_margin{};   // or this long before a deadline: the time that serving a batch takes
};

enum class ready_reason : unsigned char {
    filled,       // the bucket had enough requests for a whole batch
    queue_delay,  // its oldest request has waited max_queue_delay
    deadline,     // one of its requests is within deadline_margin of its deadline
    drained,      // drain() was called
    expired,      // not a batch: the deadlines of these requests have passed
};

// Requests that leave the queue together, as a batch of width `width`, or because their deadlines have passed.
template <time_value Time>
struct ready_batch {
    std::span<const request<Time>> requests{};  // valid until the next poll
    std::size_t width = 0;                      // the bucket's edge; 0 for expired requests
    ready_reason reason{};
};

// A queue of requests that batches those of about the same length. For one thread; shared_request_queue is for several.
//
// Order     within a bucket and a priority, requests leave in the order of arrival.
// Fairness  once a request has waited max_queue_delay, each batch takes the oldest request of all, whatever the priorities.
//           When poll(t) has returned nothing, every waiting request arrived after t - max_queue_delay, and its deadline is
//           after t + deadline_margin.
//           Each request leaves once: by poll, in a batch or as expired, or by cancel.
// Memory    two requests and two to four table entries for each of `capacity`, allocated when it is made; no call allocates.
// Cost      push O(log buckets) and cancel O(1), expected (ids are hashed); poll O((buckets + rows of the batch) * priorities),
//           and O(requests of a bucket) where one of its deadlines is near or has passed.
template <time_value Time>
class request_queue {
public:
    using time_type = Time;
    using request_type = request<Time>;
    using options_type = queue_options<Time>;

    // Errors: no edges, or edges that do not increase; neither max_rows nor max_cells; an edge over max_cells; a capacity, a
    // limit or a number of priorities of 0; a negative duration; sizes that overflow; no memory.
    constexpr explicit request_queue(options_type options) : request_queue(try_make(std::move(options)).value()) {}
    [[nodiscard]] static constexpr result<request_queue> try_make(options_type options)
    {
        error reason;
        if (!check(options, reason))
            return reason;
        const std::size_t bytes = options.capacity * bytes_per_request + options.priorities * bytes_per_priority(options);
        return batten::detail::make_in_memory(bytes, [&] { return request_queue(checked{}, std::move(options)); });
    }

    // Adds a request. Returns the number of waiting requests.
    //
    // Errors  an empty request; one over the last edge; a priority out of range; a deadline that has passed; an id that is
    //         already waiting; a full queue; a draining queue (row: the request's id). Then nothing has changed.
    [[nodiscard]] constexpr result<std::size_t> try_push(request_type arriving, Time now)
    {
        error reason;
        tell(now);
        if (!accepts(arriving, reason))
            return reason;
        arriving.arrival = *now_;
        const std::size_t slot = std::exchange(free_, slots_[free_].next);
        slots_[slot].waiting = arriving;
        slots_[slot].bucket = options_.edges.bucket_of(arriving.length);
        slots_[slot].ticket = tickets_++;
        link(slot);
        ids_.insert(arriving.id, slot);
        keep_earlier(buckets_[slots_[slot].bucket].deadline, arriving.deadline);
        return ++pending_;
    }
    constexpr std::size_t push(const request_type& arriving, Time now) { return try_push(arriving, now).value(); }

    // Removes a waiting request and returns it. Errors: an id that is not waiting.
    [[nodiscard]] constexpr result<request_type> try_cancel(std::uint64_t id)
    {
        const std::size_t slot = ids_.find(id);
        if (slot == no_slot)
            return error::of_row(errors::request_unknown, static_cast<std::size_t>(id));
        return remove(slot);
    }
    constexpr request_type cancel(std::uint64_t id) { return try_cancel(id).value(); }

    // Returns the next batch that is due, or nothing: while (auto batch = queue.poll(now)).
    // Requests whose deadlines have passed come first, all together. Then a batch of the bucket with the oldest request, among
    // those that are full, have waited max_queue_delay, or are near a deadline. In it, requests that have waited so long come
    // first, by age, then the others by priority and age.
    [[nodiscard]] constexpr std::optional<ready_batch<Time>> poll(Time now)
    {
        tell(now);
        if (const std::size_t expired = expire(); expired != 0)
            return leave(expired, 0, ready_reason::expired);
        // The due bucket with the oldest request. If any request has waited max_queue_delay, the oldest one has.
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

    // The time at which poll next has something to return if no request arrives or leaves: the time to sleep until. Nothing for
    // an empty queue. May be too early after a request with a deadline has left.
    [[nodiscard]] constexpr std::optional<Time> next_due() const
    {
        std::optional<Time> due;
        for (std::size_t b = 0; b < buckets_.size(); ++b) {
            if (buckets_[b].count == 0)
                continue;
            const Time arrival = slots_[oldest_of(b)].waiting.arrival;
            keep_earlier(due, draining_ || is_full(b) ? std::optional(arrival) : delayed_from(arrival));
            if (const std::optional<Time>& deadline = buckets_[b].deadline)
                keep_earlier(due, std::max(near_from(*deadline), *now_));
        }
        return due;
    }

    // Refuses further requests; poll returns those that wait, in batches that need not be full.
    constexpr void drain() noexcept { draining_ = true; }
    [[nodiscard]] constexpr bool is_draining() const noexcept { return draining_; }

    [[nodiscard]] constexpr bool contains(std::uint64_t id) const noexcept { return ids_.find(id) != no_slot; }
    [[nodiscard]] constexpr std::size_t pending() const noexcept { return pending_; }
    [[nodiscard]] constexpr std::size_t capacity() const noexcept { return slots_.size(); }

private:
    static constexpr std::size_t no_slot = detail::id_table::nowhere;

    // A waiting request, linked into the list of its bucket and priority; or a free slot, linked into the list of those.
    struct slot_entry {
        request_type waiting{};
        std::uint64_t ticket = 0;  // number of earlier requests
        std::size_t bucket = 0;
        std::size_t previous = no_slot;
        std::size_t next = no_slot;
    };
    struct list {
        std::size_t first = no_slot;
        std::size_t last = no_slot;
    };
    struct bucket {
        std::size_t count = 0;
        std::optional<Time> deadline{};  // at or before the earliest one: its request may have left
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

    static constexpr std::size_t bytes_per_request =
        sizeof(slot_entry) + sizeof(request_type) + detail::id_table::max_bytes_per_id;
    static constexpr std::size_t bytes_per_priority(const options_type& options)
    {
        return options.edges.edges().size() * sizeof(list);
    }

    static constexpr bool check(const options_type& options, error& reason)
    {
        using batten::detail::fail;
        using batten::detail::require_batch_limit;
        using batten::detail::require_positive;
        if (!options.edges.check(reason))
            return false;
        if (!require_batch_limit(options.max_rows, options.max_cells, reason) ||
            !require_positive(options.capacity, "capacity", reason) ||
            !require_positive(options.priorities, "priorities", reason))
            return false;
        if (options.edges.limit() > options.max_cells)
            return fail(reason, error::of(errors::edge_over_max_cells, options.edges.limit(), options.max_cells));
        const auto overflows = [&](std::size_t count, std::size_t bytes_each) {
            std::size_t bytes = 0;
            return (!batten::detail::multiply(count, bytes_each, bytes) || bytes > batten::detail::size_limit / 2) &&
                   !fail(reason, error::of(errors::size_overflow, count, bytes_each));
        };
        if (overflows(options.capacity, bytes_per_request) || overflows(options.priorities, bytes_per_priority(options)))
            return false;
        const auto not_negative = [&](const duration_of<Time>& duration, std::string_view name) {
            return !(duration < duration_of<Time>{}) ||
                   fail(reason, error::of(errors::argument_negative, {}, {}, name));
        };
        return not_negative(options.max_queue_delay, "max_queue_delay") &&
               not_negative(options.deadline_margin, "deadline_margin");
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
        if (ids_.find(arriving.id) != no_slot)
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
    // From when on a request that arrived then has waited max_queue_delay; nothing for never.
    constexpr std::optional<Time> delayed_from(const Time& arrival) const
    {
        return detail::time_after(arrival, options_.max_queue_delay);
    }
    // From when on a deadline is near.
    constexpr Time near_from(const Time& deadline) const { return detail::time_before(deadline, options_.deadline_margin); }
    constexpr bool has_come(const Time& time) const { return !(*now_ < time); }

    // ---- buckets and their lists ----------------------------------------------------------------------------------------

    constexpr std::size_t most_rows(std::size_t b) const noexcept
    {
        return batten::detail::rows_within(options_.max_rows, options_.max_cells, options_.edges.edges()[b]);
    }
    constexpr list& list_of(const slot_entry& entry) noexcept
    {
        return lists_[entry.bucket * options_.priorities + entry.waiting.priority];
    }
    constexpr bool is_full(std::size_t b) const noexcept { return buckets_[b].count >= most_rows(b); }
    constexpr bool has_waited(const slot_entry& entry) const
    {
        const std::optional<Time> from = delayed_from(entry.waiting.arrival);
        return from && has_come(*from);
    }

    // visit(slot) for each of a bucket, by priority and age; it may remove the slot.
    template <class Visit>
    constexpr void each_of(std::size_t b, Visit visit)
    {
        for (std::size_t p = 0; p < options_.priorities; ++p)
            for (std::size_t slot = lists_[b * options_.priorities + p].first; slot != no_slot;)
                visit(std::exchange(slot, slots_[slot].next));
    }
    // The request of the known deadline may have left: then the earliest one is searched for.
    constexpr bool has_near_deadline(std::size_t b)
    {
        std::optional<Time>& deadline = buckets_[b].deadline;
        if (!deadline || !has_come(near_from(*deadline)))
            return false;
        deadline.reset();
        each_of(b, [&](std::size_t slot) { keep_earlier(deadline, slots_[slot].waiting.deadline); });
        return deadline && has_come(near_from(*deadline));
    }

    // The first of each list is its oldest. Requires: the bucket is not empty.
    constexpr std::size_t oldest_of(std::size_t b) const noexcept
    {
        std::size_t oldest = no_slot;
        for (std::size_t p = 0; p < options_.priorities; ++p) {
            const std::size_t first = lists_[b * options_.priorities + p].first;
            if (first != no_slot && (oldest == no_slot || slots_[first].ticket < slots_[oldest].ticket))
                oldest = first;
        }
        return oldest;
    }
    constexpr std::size_t most_urgent_of(std::size_t b) const noexcept
    {
        std::size_t p = b * options_.priorities;
        while (lists_[p].first == no_slot)
            ++p;
        return lists_[p].first;
    }

    constexpr void link(std::size_t slot) noexcept
    {
        slot_entry& entry = slots_[slot];
        list& in = list_of(entry);
        entry.previous = std::exchange(in.last, slot);
        entry.next = no_slot;
        (entry.previous == no_slot ? in.first : slots_[entry.previous].next) = slot;
        ++buckets_[entry.bucket].count;
    }
    // Removes a request from its list and the table, and frees its slot.
    constexpr request_type remove(std::size_t slot) noexcept
    {
        slot_entry& entry = slots_[slot];
        list& in = list_of(entry);
        (entry.previous == no_slot ? in.first : slots_[entry.previous].next) = entry.next;
        (entry.next == no_slot ? in.last : slots_[entry.next].previous) = entry.previous;
        bucket& of = buckets_[entry.bucket];
        if (--of.count == 0)
            of.deadline.reset();
        --pending_;
        ids_.erase(entry.waiting.id);
        entry.next = std::exchange(free_, slot);
        return entry.waiting;
    }

    // ---- leaving --------------------------------------------------------------------------------------------------------

    constexpr ready_batch<Time> take(std::size_t b) noexcept
    {
        const std::size_t rows = std::min(buckets_[b].count, most_rows(b));
        const ready_reason reason = rows == most_rows(b)               ? ready_reason::filled
                                        : draining_                        ? ready_reason::drained
                                        : has_waited(slots_[oldest_of(b)]) ? ready_reason::queue_delay
                                                                           : ready_reason::deadline;
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t oldest = oldest_of(b);
            left_[row] = remove(has_waited(slots_[oldest]) ? oldest : most_urgent_of(b));
        }
        return leave(rows, options_.edges.edges()[b], reason);
    }
    constexpr ready_batch<Time> leave(std::size_t rows, std::size_t width, ready_reason reason) const noexcept
    {
        return {std::span(left_).first(rows), width, reason};
    }

    // Removes the requests whose deadlines have passed, bucket by bucket, and returns how many they were.
    constexpr std::size_t expire()
    {
        std::size_t expired = 0;
        for (std::size_t b = 0; b < buckets_.size(); ++b) {
            std::optional<Time>& earliest = buckets_[b].deadline;
            if (!earliest || !has_come(*earliest))
                continue;
            earliest.reset();
            each_of(b, [&](std::size_t slot) {
                const std::optional<Time>& deadline = slots_[slot].waiting.deadline;
                if (deadline && has_come(*deadline))
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
    std::vector<request_type> left_;  // the requests of the last poll that returned some
    std::size_t free_ = 0;            // the first free slot
    std::size_t pending_ = 0;
    std::uint64_t tickets_ = 0;
    std::optional<Time> now_{};       // the latest time given
    bool draining_ = false;
};

// A request_queue for several threads: every call holds the mutex, of any type with lock() and unlock(), until it returns.
//
// Requires  polls by one thread at a time, since a batch is valid until the next poll. Other calls may come from any thread.
// Order     calls take effect in the order in which they acquire the mutex.
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

    [[nodiscard]] std::optional<ready_batch<Time>> poll(Time now)
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
