// SPDX-License-Identifier: MIT
// Iteration-level scheduling: how many tokens of each live request the next step computes.
#ifndef BATTEN_SERVE_SCHEDULE_HPP_INCLUDED
#define BATTEN_SERVE_SCHEDULE_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/length.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/errors.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>

namespace batten::serve {

// Requests that a step may serve. Each has known - computed tokens to compute: one, behind others in the cache, where it
// decodes; 0 where it waits for its next token; else it is a prefill: in its prompt, computed again, with draft tokens.
//
// Shapes   computed [n], tokens in the KV cache; known [n], those and the ones to compute: prompt and generated so far;
//          order [up to n], numbers of requests as they arrived, or as you want them served: by default 0, 1, 2, ...
//          Who is not in it waits; who is in it twice counts once.
// Requires what it refers to outlives it.
template <integer_range Computed, integer_range Known, class Order = none_t>
    requires integer_range<Order> || std::same_as<Order, none_t>
struct live_requests {
    const Computed& computed;
    const Known& known;
    const Order& order = none;
};

#if !defined(__cpp_deduction_guides) || __cpp_deduction_guides < 201907L
template <class Computed, class Known>
live_requests(const Computed&, const Known&) -> live_requests<Computed, Known>;
template <class Computed, class Known, class Order>
live_requests(const Computed&, const Known&, const Order&) -> live_requests<Computed, Known, Order>;
#endif

// Which kind is served first, each in its order. The first of all in the order has a part of its own in every step, a token or
// chunk_multiple tokens of a prompt, so that neither kind keeps it from going on.
enum class step_order : unsigned char {
    decode_first,   // nobody's next token waits for the prompt of another: even latencies
    context_first,  // prompts as soon as possible: batches fill up sooner
};

struct schedule_options {
    std::size_t budget = 0;            // tokens of the step, at the most
    std::size_t requests = no_limit;   // with tokens in the step, at the most
    step_order order = step_order::decode_first;
    std::size_t max_chunk = no_limit;  // tokens of one request, at the most
    std::size_t chunk_multiple = 1;    // tokens of one request are a multiple of it (of the block size), or all its last ones
};

// What a step computes.
struct step_totals {
    std::size_t tokens = 0;
    std::size_t decodes = 0;   // requests
    std::size_t prefills = 0;  // requests

    [[nodiscard]] constexpr std::size_t requests() const noexcept { return decodes + prefills; }

    friend constexpr bool operator==(const step_totals&, const step_totals&) noexcept = default;
};

namespace detail {

using batten::detail::element_at;
using batten::detail::fail;

// Where counts and rows are written: a vector, a span, ... of integers, not const, not gone after the call.
template <class R>
concept count_memory = std::ranges::contiguous_range<R> && std::ranges::borrowed_range<R> &&
                       integer_number<std::ranges::range_value_t<R>> &&
                       std::ranges::output_range<R, std::ranges::range_value_t<R>>;

template <class Computed, class Known, class Order>
class scheduler {
public:
    constexpr scheduler(const live_requests<Computed, Known, Order>& live, const schedule_options& options)
        : live_(live), options_(options), longest_(std::min(options.budget, options.max_chunk))
    {
    }

    template <class Count>
    constexpr bool check(std::span<Count> scheduled, error& reason) const
    {
        const auto positive = [&](std::size_t value, std::string_view name) {
            return value != 0 || fail(reason, error::of(errors::argument_not_positive, 0, {}, name));
        };
        if (!positive(options_.budget, "budget") || !positive(options_.requests, "requests") ||
            !positive(options_.max_chunk, "max_chunk") || !positive(options_.chunk_multiple, "chunk_multiple"))
            return false;
        if (options_.chunk_multiple > longest_)
            return fail(reason, error::of(errors::chunk_multiple_too_large, options_.chunk_multiple, longest_));
        if (size_of(live_.known) != requests())
            return fail(reason, error::of(errors::count_mismatch, size_of(live_.known), requests(), "known"));
        if (scheduled.size() < requests())
            return fail(reason, error::of(errors::span_too_small, requests(), scheduled.size(), "scheduled"));
        const bool holds_longest = integer(longest_).fits<Count>();
        for (std::size_t r = 0; r < requests(); ++r) {
            const auto computed = element_at(live_.computed, r);
            const auto known = element_at(live_.known, r);
            if (std::cmp_less(computed, 0))
                return fail(reason, error::of_row(errors::argument_negative, r, computed, {}, "computed"));
            if (std::cmp_less(known, computed))
                return fail(reason, error::of_row(errors::computed_past_known, r, computed, known));
            if (const std::size_t most = std::min(left_of(r), longest_); !holds_longest && !integer(most).fits<Count>())
                return fail(reason, error::of_row(errors::value_not_representable, r, most, {}, "scheduled"));
        }
        if constexpr (has_order)
            for (std::size_t i = 0; i < size_of(live_.order); ++i) {
                const auto r = element_at(live_.order, i);
                if (std::cmp_less(r, 0) || std::cmp_greater_equal(r, requests()))
                    return fail(reason, error::of_row(errors::row_index_out_of_range, i, r, requests()));
            }
        return true;
    }

    template <class Count>
    constexpr step_totals run(std::span<Count> scheduled) const
    {
        std::fill_n(scheduled.data(), requests(), Count{0});
        step_totals totals;
        if (options_.order == step_order::decode_first) {
            decode(scheduled, totals, part_of_first(false));
            prefill(scheduled, totals, {});
        } else {
            prefill(scheduled, totals, part_of_first(true));
            decode(scheduled, totals, {});
        }
        return totals;
    }

private:
    static constexpr bool has_order = !std::same_as<Order, none_t>;

    template <class Range>
    static constexpr std::size_t size_of(const Range& range)
    {
        return static_cast<std::size_t>(std::ranges::size(range));
    }
    constexpr std::size_t requests() const { return size_of(live_.computed); }
    constexpr std::size_t left_of(std::size_t r) const
    {
        return static_cast<std::size_t>(element_at(live_.known, r)) - static_cast<std::size_t>(element_at(live_.computed, r));
    }
    // A prompt of one token does not count: it waits in line with the others, or newcomers could overtake without end.
    constexpr bool is_decode(std::size_t r) const { return left_of(r) == 1 && element_at(live_.computed, r) != 0; }

    // What is kept back for the first request with tokens to compute, while those of the other kind get theirs.
    struct part {
        std::size_t tokens = 0;
        std::size_t requests = 0;
    };
    constexpr part part_of_first(bool decodes) const
    {
        part kept;
        each([&](std::size_t r) {
            if (left_of(r) == 0)
                return true;
            if (is_decode(r) == decodes)
                kept = {decodes ? 1 : std::min(left_of(r), options_.chunk_multiple), 1};
            return false;
        });
        return kept;
    }
    constexpr bool is_full(const step_totals& totals, const part& kept) const
    {
        return totals.tokens + kept.tokens >= options_.budget || totals.requests() + kept.requests >= options_.requests;
    }

    // visit(request) in their order, until one says false.
    template <class Visit>
    constexpr void each(Visit visit) const
    {
        if constexpr (has_order) {
            for (std::size_t i = 0; i < size_of(live_.order); ++i)
                if (!visit(static_cast<std::size_t>(element_at(live_.order, i))))
                    return;
        } else {
            for (std::size_t r = 0; r < requests(); ++r)
                if (!visit(r))
                    return;
        }
    }

    template <class Count>
    constexpr void decode(std::span<Count> scheduled, step_totals& totals, const part& kept) const
    {
        each([&](std::size_t r) {
            if (is_full(totals, kept))
                return false;
            if (is_decode(r) && scheduled[r] == 0) {
                scheduled[r] = 1;
                ++totals.tokens;
                ++totals.decodes;
            }
            return true;
        });
    }

    template <class Count>
    constexpr void prefill(std::span<Count> scheduled, step_totals& totals, const part& kept) const
    {
        each([&](std::size_t r) {
            const std::size_t left = left_of(r);
            if (left == 0 || is_decode(r) || scheduled[r] != 0)
                return true;
            if (is_full(totals, kept))
                return false;
            std::size_t chunk = std::min({left, options_.max_chunk, options_.budget - kept.tokens - totals.tokens});
            if (chunk < left)
                chunk -= chunk % options_.chunk_multiple;
            // Whoever came later does not overtake: it could go on taking what this one needs.
            if (chunk == 0)
                return false;
            scheduled[r] = static_cast<Count>(chunk);
            totals.tokens += chunk;
            ++totals.prefills;
            return true;
        });
    }

    const live_requests<Computed, Known, Order>& live_;
    const schedule_options& options_;
    std::size_t longest_;  // tokens of one request, at the most
};

}  // namespace detail

// Writes how many tokens of each request the next step computes, 0 for those that are not in it:
//
//     auto totals = batten::serve::schedule(live_requests{computed, known}, {.budget = 512, .requests = 64}, scheduled);
//
// Shapes   scheduled [n], any integers; it overlaps nothing that is read.
// Ensures  A function of its arguments alone. Decodes get their token by order; prefills get chunks by order, and none before
//          those ahead of it have theirs. The first in the order that has tokens to compute gets some in every step.
//          So nobody waits forever, if what is scheduled is computed (there are blocks for it), requests end, and the order
//          is that of arrival.
// Errors   budget, requests, max_chunk or chunk_multiple 0; a multiple over budget or max_chunk; known of another size than
//          computed; computed below 0 or over known; an order past the requests; a span too small, or whose integers don't
//          hold a chunk. Then nothing is written.
// Cost     O(requests).
template <class Computed, class Known, class Order, detail::count_memory Scheduled>
[[nodiscard]] constexpr result<step_totals> try_schedule(const live_requests<Computed, Known, Order>& live,
                                                         const schedule_options& options, Scheduled&& scheduled)
{
    error reason;
    const std::span<std::ranges::range_value_t<Scheduled>> out(scheduled);
    const detail::scheduler<Computed, Known, Order> scheduler(live, options);
    if (!scheduler.check(out, reason))
        return reason;
    return scheduler.run(out);
}
template <class Computed, class Known, class Order, detail::count_memory Scheduled>
constexpr step_totals schedule(const live_requests<Computed, Known, Order>& live, const schedule_options& options,
                               Scheduled&& scheduled)
{
    return try_schedule(live, options, scheduled).value();
}

// The requests with tokens in the step, in their order: rows for select(step_inputs{...}, rows), which takes no others.
//
// Shapes   scheduled [n]; rows [n], any integers, of which the first ones are written and returned.
// Errors   fewer rows than requests with tokens; integers that can't hold n - 1. Then nothing is written.
// Cost     O(requests).
template <integer_range Scheduled, detail::count_memory Rows>
[[nodiscard]] constexpr auto try_scheduled_rows(const Scheduled& scheduled, Rows&& rows)
    -> result<std::span<std::ranges::range_value_t<Rows>>>
{
    using index = std::ranges::range_value_t<Rows>;
    const std::span<index> out(rows);
    const std::size_t requests = batten::detail::count(scheduled);
    const auto is_in_step = [&](std::size_t r) { return batten::detail::element_at(scheduled, r) != 0; };
    std::size_t count = 0;
    for (std::size_t r = 0; r < requests; ++r)
        count += is_in_step(r) ? 1U : 0U;
    if (count > out.size())
        return error::of(errors::span_too_small, count, out.size(), "rows");
    if (requests != 0 && !integer(requests - 1).fits<index>())
        return error::of(errors::value_not_representable, requests - 1, {}, "rows");
    count = 0;
    for (std::size_t r = 0; r < requests; ++r)
        if (is_in_step(r))
            out[count++] = static_cast<index>(r);
    return out.first(count);
}
template <integer_range Scheduled, detail::count_memory Rows>
[[nodiscard]] constexpr auto scheduled_rows(const Scheduled& scheduled, Rows&& rows)
{
    return try_scheduled_rows(scheduled, rows).value();
}

}  // namespace batten::serve

#endif
