// SPDX-License-Identifier: MIT
// Iteration-level scheduling: how many tokens of each live request the next step computes.
#ifndef BATTEN_SERVE_SCHEDULE_HPP_INCLUDED
#define BATTEN_SERVE_SCHEDULE_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/length.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/requests.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>

namespace batten::serve {

// Requests that a step may serve. Each has known - computed tokens to compute; with 0 it waits for its next token. is_prefill
// (requests.hpp) tells prefills from decodes.
//
// Shapes   computed [n], tokens in the KV cache; known [n], these and the tokens to compute: prompt, generated, drafts;
//          order [up to n], numbers of requests in the order of arrival, or of your choice: by default 0, 1, 2, ... A request
//          that is not in it waits; one that is in it twice counts once. prompt_lengths [n]: so that a decode with drafts is one.
// Requires the ranges outlive it. The members are written in order, without their names.
template <integer_range Computed, integer_range Known, class Order = none_t, class PromptLengths = none_t>
    requires(integer_range<Order> || std::same_as<Order, none_t>) &&
            (integer_range<PromptLengths> || std::same_as<PromptLengths, none_t>)
struct live_requests {
    detail::borrowed<Computed> computed;
    detail::borrowed<Known> known;
    detail::borrowed<Order> order = none;
    detail::borrowed<PromptLengths> prompt_lengths = none;
};

template <class Computed, class Known>
live_requests(const Computed&, const Known&) -> live_requests<Computed, Known>;
template <class Computed, class Known, class Order>
live_requests(const Computed&, const Known&, const Order&) -> live_requests<Computed, Known, Order>;
template <class Computed, class Known, class Order, class PromptLengths>
live_requests(const Computed&, const Known&, const Order&, const PromptLengths&)
    -> live_requests<Computed, Known, Order, PromptLengths>;

struct schedule_options {
    std::size_t max_tokens = 0;           // tokens of the step
    std::size_t max_requests = no_limit;  // requests with tokens in the step
    // decode_first: no next token waits for another request's prompt, so latencies are even. prefill_first: prompts as soon as
    // possible, so batches fill up sooner. as_given: requests of both phases in one order. The first request always gets a
    // reserved share (one token, or chunk_multiple tokens of a prompt), so neither phase can starve it.
    request_order order = request_order::decode_first;
    std::size_t max_chunk = no_limit;     // tokens of one request
    std::size_t chunk_multiple = 1;       // tokens of a prefill are a multiple of it (of the block size), or all its last ones
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

// Where counts and rows are written: a vector, a span, ... of integers, neither const nor a temporary container.
template <class R>
concept count_memory = std::ranges::contiguous_range<R> && std::ranges::borrowed_range<R> &&
                       integer_number<std::ranges::range_value_t<R>> &&
                       std::ranges::output_range<R, std::ranges::range_value_t<R>>;

template <class Computed, class Known, class Order, class PromptLengths>
class scheduler {
public:
    constexpr scheduler(const live_requests<Computed, Known, Order, PromptLengths>& live, const schedule_options& options)
        : live_(live), options_(options), longest_(std::min(options.max_tokens, options.max_chunk))
    {
    }

    template <class Count>
    constexpr bool check(std::span<Count> scheduled, error& reason) const
    {
        const auto positive = [&](std::size_t value, std::string_view name) {
            return value != 0 || fail(reason, error::of(errors::argument_not_positive, 0, {}, name));
        };
        if (!positive(options_.max_tokens, "max_tokens") || !positive(options_.max_requests, "max_requests") ||
            !positive(options_.max_chunk, "max_chunk") || !positive(options_.chunk_multiple, "chunk_multiple"))
            return false;
        if (options_.chunk_multiple > longest_)
            return fail(reason, error::of(errors::chunk_multiple_too_large, options_.chunk_multiple, longest_));
        if (size_of(live_.known.get()) != requests())
            return fail(reason, error::of(errors::count_mismatch, size_of(live_.known.get()), requests(), "known"));
        if constexpr (has_prompts)
            if (size_of(live_.prompt_lengths.get()) != requests())
                return fail(reason, error::of(errors::count_mismatch, size_of(live_.prompt_lengths.get()), requests(),
                                              "prompt_lengths"));
        if (scheduled.size() < requests())
            return fail(reason, error::of(errors::span_too_small, requests(), scheduled.size(), "scheduled"));
        const bool holds_longest = integer(longest_).fits<Count>();
        for (std::size_t r = 0; r < requests(); ++r) {
            const auto computed = element_at(live_.computed.get(), r);
            const auto known = element_at(live_.known.get(), r);
            if (std::cmp_less(computed, 0))
                return fail(reason, error::of_row(errors::argument_negative, r, computed, {}, "computed"));
            if (std::cmp_less(known, computed))
                return fail(reason, error::of_row(errors::computed_past_known, r, computed, known));
            if constexpr (has_prompts) {
                const auto prompt = element_at(live_.prompt_lengths.get(), r);
                if (std::cmp_less(prompt, 0))
                    return fail(reason, error::of_row(errors::prompt_length_negative, r, prompt, {}, "prompt_lengths"));
                if (std::cmp_greater(prompt, known))
                    return fail(reason, error::of_row(errors::prompt_past_end, r, prompt, known, "prompt_lengths"));
            }
            if (const std::size_t most = std::min(left_of(r), longest_); !holds_longest && !integer(most).fits<Count>())
                return fail(reason, error::of_row(errors::value_not_representable, r, most, {}, "scheduled"));
        }
        if constexpr (has_order)
            for (std::size_t i = 0; i < size_of(live_.order.get()); ++i) {
                const auto r = element_at(live_.order.get(), i);
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
        switch (options_.order) {
        case request_order::as_given: give(scheduled, totals, {}, [](bool) { return true; }); break;
        case request_order::decode_first:
            give(scheduled, totals, share_of_first(true), [](bool is_prefill) { return !is_prefill; });
            give(scheduled, totals, {}, [](bool is_prefill) { return is_prefill; });
            break;
        case request_order::prefill_first:
            give(scheduled, totals, share_of_first(false), [](bool is_prefill) { return is_prefill; });
            give(scheduled, totals, {}, [](bool is_prefill) { return !is_prefill; });
            break;
        }
        return totals;
    }

private:
    static constexpr bool has_order = !std::same_as<Order, none_t>;
    static constexpr bool has_prompts = !std::same_as<PromptLengths, none_t>;

    template <class Range>
    static constexpr std::size_t size_of(const Range& range)
    {
        return static_cast<std::size_t>(std::ranges::size(range));
    }
    constexpr std::size_t requests() const { return size_of(live_.computed.get()); }
    constexpr std::size_t left_of(std::size_t r) const
    {
        return static_cast<std::size_t>(element_at(live_.known.get(), r)) - static_cast<std::size_t>(element_at(live_.computed.get(), r));
    }
    constexpr bool is_prefill(std::size_t r) const
    {
        const auto computed = static_cast<std::size_t>(element_at(live_.computed.get(), r));
        if constexpr (has_prompts)
            return serve::is_prefill(computed, left_of(r), element_at(live_.prompt_lengths.get(), r));
        else
            return serve::is_prefill(computed, left_of(r), none);
    }

    // What is reserved for the first request with tokens to compute, while the other phase is served.
    struct share {
        std::size_t tokens = 0;
        std::size_t requests = 0;
    };
    // Of the first request, where it is a prefill, or a decode.
    constexpr share share_of_first(bool prefills) const
    {
        share kept;
        each([&](std::size_t r) {
            if (left_of(r) == 0)
                return true;
            if (is_prefill(r) == prefills)
                kept = {prefills ? std::min(left_of(r), options_.chunk_multiple) : 1, 1};
            return false;
        });
        return kept;
    }
    constexpr bool is_full(const step_totals& totals, const share& kept) const
    {
        return totals.tokens + kept.tokens >= options_.max_tokens || totals.requests() + kept.requests >= options_.max_requests;
    }

    // visit(request) in the order, until one returns false.
    template <class Visit>
    constexpr void each(Visit visit) const
    {
        if constexpr (has_order) {
            for (std::size_t i = 0; i < size_of(live_.order.get()); ++i)
                if (!visit(static_cast<std::size_t>(element_at(live_.order.get(), i))))
                    return;
        } else {
            for (std::size_t r = 0; r < requests(); ++r)
                if (!visit(r))
                    return;
        }
    }

    // Gives tokens to the requests of the phases that `serves` selects, in the order.
    template <class Count, class Serves>
    constexpr void give(std::span<Count> scheduled, step_totals& totals, const share& kept, Serves serves) const
    {
        each([&](std::size_t r) {
            const std::size_t left = left_of(r);
            if (left == 0 || scheduled[r] != 0)
                return true;
            const bool prefill = is_prefill(r);
            if (!serves(prefill))
                return true;
            if (is_full(totals, kept))
                return false;
            std::size_t chunk = std::min({left, options_.max_chunk, options_.max_tokens - kept.tokens - totals.tokens});
            if (prefill && chunk < left)
                chunk -= chunk % options_.chunk_multiple;
            // No later request overtakes this one: it could take, step after step, what this one needs.
            if (chunk == 0)
                return false;
            scheduled[r] = static_cast<Count>(chunk);
            totals.tokens += chunk;
            ++(prefill ? totals.prefills : totals.decodes);
            return true;
        });
    }

    const live_requests<Computed, Known, Order, PromptLengths>& live_;
    const schedule_options& options_;
    std::size_t longest_;  // the most tokens of one request
};

}  // namespace detail

// Writes how many tokens of each request the next step computes, 0 for those that are not in it:
//
//     auto totals = batten::serve::schedule(live_requests{computed, known}, {.max_tokens = 512, .max_requests = 64}, scheduled);
//
// Shapes   scheduled [n], any integers; it overlaps nothing that is read.
// Ensures  It depends on its arguments alone. Requests get tokens in the order, phase by phase: a decode all of its tokens to
//          compute (1 and its drafts), a prefill a chunk of its prompt, as long as there are any left. The first request in the
//          order that has tokens to compute gets some in every step. So no request waits forever, if the cache has blocks for
//          what is scheduled, requests end, and the order is that of arrival.
// Errors   max_tokens, max_requests, max_chunk or chunk_multiple 0; a multiple over max_tokens or max_chunk; arrays of different
//          lengths; computed below 0 or over known; a prompt length below 0 or over known; an order past the requests; a span too
//          small, or whose integers cannot hold a chunk. Then nothing is written.
// Cost     O(requests).
template <class Computed, class Known, class Order, class PromptLengths, detail::count_memory Scheduled>
[[nodiscard]] constexpr result<step_totals> try_schedule(const live_requests<Computed, Known, Order, PromptLengths>& live,
                                                         const schedule_options& options, Scheduled&& scheduled)
{
    error reason;
    const std::span<std::ranges::range_value_t<Scheduled>> out(scheduled);
    const detail::scheduler<Computed, Known, Order, PromptLengths> scheduler(live, options);
    if (!scheduler.check(out, reason))
        return reason;
    return scheduler.run(out);
}
template <class Computed, class Known, class Order, class PromptLengths, detail::count_memory Scheduled>
constexpr step_totals schedule(const live_requests<Computed, Known, Order, PromptLengths>& live, const schedule_options& options,
                               Scheduled&& scheduled)
{
    return try_schedule(live, options, scheduled).value();
}

// The requests with tokens in the step, in their order: rows for select(step_inputs{...}, rows), which takes no others.
//
// Shapes   scheduled [n]; rows [up to n], any integers, of which the first are written and returned.
// Errors   fewer rows than requests with tokens; integers that cannot hold n - 1. Then nothing is written.
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
