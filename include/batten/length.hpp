// SPDX-License-Identifier: MIT
// The length strategy: how wide a batch is, and the longest row that it accepts.
#ifndef BATTEN_LENGTH_HPP_INCLUDED
#define BATTEN_LENGTH_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/integer.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace batten {

// How a length strategy is read. Specialise it for a type that cannot be given the members below; all but width may be left
// out.
//
//   width(strategy, lengths)   columns of a batch whose rows have these lengths (a sized random-access range, after overflow)
//   limit(strategy)            longest row accepted, in columns; default: none
//   max_width(strategy)        width that must not be passed; default: none
//   edges(strategy)            row lengths at which its buckets end, increasing, as a contiguous range; for bucketed_collator
//   check(strategy, error&)    whether its options make sense, asked once, when the collator is made; default: yes
template <class Strategy>
struct length_traits {
    template <class Lengths>
        requires requires(const Strategy& strategy, const Lengths& lengths) {
            { strategy.width(lengths) } -> std::convertible_to<std::size_t>;
        }
    static constexpr std::size_t width(const Strategy& strategy, const Lengths& lengths)
    {
        return static_cast<std::size_t>(strategy.width(lengths));
    }

    static constexpr std::size_t limit(const Strategy& strategy)
        requires requires { strategy.limit(); }
    {
        return static_cast<std::size_t>(strategy.limit());
    }

    static constexpr std::size_t max_width(const Strategy& strategy)
        requires requires { strategy.max_width(); }
    {
        return static_cast<std::size_t>(strategy.max_width());
    }

    static constexpr auto edges(const Strategy& strategy)
        requires requires { strategy.edges(); }
    {
        return strategy.edges();
    }

    static constexpr bool check(const Strategy& strategy, error& reason)
        requires requires { strategy.check(reason); }
    {
        return strategy.check(reason);
    }
};

// The longest row that a strategy accepts, in columns; no_limit without one. For layouts, which refuse what is longer.
template <class Strategy>
[[nodiscard]] constexpr std::size_t limit_of(const Strategy& strategy)
{
    if constexpr (requires { length_traits<Strategy>::limit(strategy); })
        return length_traits<Strategy>::limit(strategy);
    else
        return no_limit;
}

// The width that a strategy must not pass; no_limit without one.
template <class Strategy>
[[nodiscard]] constexpr std::size_t max_width_of(const Strategy& strategy)
{
    if constexpr (requires { length_traits<Strategy>::max_width(strategy); })
        return length_traits<Strategy>::max_width(strategy);
    else
        return no_limit;
}

namespace detail {

// The longest of some row lengths, 0 for none. A view that has it as longest() is asked for it.
template <class Lengths>
constexpr std::size_t longest(const Lengths& lengths)
{
    if constexpr (requires { lengths.longest(); }) {
        return lengths.longest();
    } else {
        std::size_t most = 0;
        for (const auto length : lengths)
            most = std::max(most, static_cast<std::size_t>(length));
        return most;
    }
}

// The most rows of a width in one batch: `rows`, or as many as a budget of cells holds, but at least one.
constexpr std::size_t rows_within(std::size_t rows, std::size_t budget, std::size_t width) noexcept
{
    if (width == 0 || budget == no_limit)
        return rows;
    return std::max<std::size_t>(1, std::min(rows, budget / width));
}

template <class Strategy>
constexpr bool check_strategy([[maybe_unused]] const Strategy& strategy, [[maybe_unused]] error& reason)
{
    if constexpr (requires { length_traits<Strategy>::check(strategy, reason); })
        return length_traits<Strategy>::check(strategy, reason);
    else
        return true;
}

}  // namespace detail

// Models: fixed_length, static_length, dynamic_length, bucketed_length, round_up_to, and any type with width(lengths) or a
// length_traits.
//
// Requires  a pure function of the lengths.
// Ensures   width >= every length, and limit() <= width of a row of that length. The engine checks the first before the
//           first write, in every build.
template <class Strategy>
concept length_strategy = std::copyable<Strategy> && requires(const Strategy& strategy, std::span<const std::size_t> n) {
    { length_traits<Strategy>::width(strategy, n) } -> std::convertible_to<std::size_t>;
};

// A length_strategy with fixed buckets: bucketed_length, round_up_to over it, or any with edges().
template <class Strategy>
concept bucketed_strategy = length_strategy<Strategy> && requires(const Strategy& strategy) {
    { length_traits<Strategy>::edges(strategy) } -> std::ranges::contiguous_range;
};

// A length_strategy: always `length` columns, set at run time.
//
// Errors  a length below 1: when the collator is made.
class fixed_length {
public:
    fixed_length() = delete;  // a fixed length has no default: write .length = {512}

    template <std::integral Int>
    constexpr fixed_length(Int length) noexcept : length_(length)
    {
    }

    template <class Lengths>
    [[nodiscard]] constexpr std::size_t width(const Lengths& /*lengths*/) const noexcept
    {
        return limit();
    }
    [[nodiscard]] constexpr std::size_t limit() const noexcept { return length_.to<std::size_t>(); }
    [[nodiscard]] constexpr bool check(error& reason) const noexcept
    {
        return (!length_.is_negative() && limit() != 0) ||
               detail::fail(reason, error::of(errors::length_not_positive, length_));
    }

private:
    integer length_;
};

// A length_strategy: always N columns, N in the type. Stateless.
template <std::size_t N>
    requires(N > 0)
struct static_length {
    template <class Lengths>
    static constexpr std::size_t width(const Lengths& /*lengths*/) noexcept
    {
        return N;
    }
    static constexpr std::size_t limit() noexcept { return N; }
};

// A length_strategy: as wide as the longest row of the batch. Rows over `max_length`, where it is set, go to the overflow
// policy.
struct dynamic_length {
    std::optional<integer> max_length{};

    template <class Lengths>
    [[nodiscard]] constexpr std::size_t width(const Lengths& lengths) const
    {
        return detail::longest(lengths);
    }
    [[nodiscard]] constexpr std::size_t limit() const noexcept
    {
        return max_length ? max_length->to<std::size_t>() : no_limit;
    }
    [[nodiscard]] constexpr bool check(error& reason) const noexcept
    {
        return !max_length || (!max_length->is_negative() && limit() != 0) ||
               detail::fail(reason, error::of(errors::length_not_positive, *max_length));
    }
};

// A length_strategy: the first of its edges that holds the longest row, the first edge for an empty batch. So there are at most
// edges().size() widths. Rows of one batch share one width: to save padding, group rows by bucket with a bucketed_collator.
//
// Errors  no edges, an edge below 1, or one that is not above the edge before it: when the collator is made.
class bucketed_length {
public:
    bucketed_length() = default;

    template <std::integral Int>
    constexpr bucketed_length(std::initializer_list<Int> edges)
        : bucketed_length(std::span<const Int>(edges.begin(), edges.size()))
    {
    }

    template <std::ranges::input_range Edges>
        requires std::integral<std::ranges::range_value_t<Edges>> &&
                 (!std::same_as<std::remove_cvref_t<Edges>, bucketed_length>)
    constexpr bucketed_length(const Edges& edges)
    {
        for (const auto edge : edges) {
            // A negative edge is kept as 0, and refused when the collator is made, as 0 is.
            edges_.push_back(std::cmp_less(edge, 0) ? 0 : static_cast<std::size_t>(edge));
        }
    }

    // Cost: O(log edges), after the longest length.
    template <class Lengths>
    [[nodiscard]] constexpr std::size_t width(const Lengths& lengths) const
    {
        const std::size_t longest = detail::longest(lengths);
        const auto edge = std::lower_bound(edges_.begin(), edges_.end(), longest);
        return edge == edges_.end() ? longest : *edge;
    }
    [[nodiscard]] constexpr std::size_t limit() const noexcept { return edges_.empty() ? 0 : edges_.back(); }
    [[nodiscard]] constexpr std::span<const std::size_t> edges() const noexcept { return edges_; }
    [[nodiscard]] constexpr bool check(error& reason) const noexcept
    {
        if (edges_.empty())
            return detail::fail(reason, error::of(errors::edges_empty));
        if (edges_.front() == 0)
            return detail::fail(reason, error::of(errors::length_not_positive, edges_.front()));
        for (std::size_t i = 1; i < edges_.size(); ++i)
            if (edges_[i] <= edges_[i - 1])
                return detail::fail(
                    reason, error::of(errors::edges_not_increasing, edges_[i - 1], edges_[i]));
        return true;
    }

private:
    std::vector<std::size_t> edges_;
};

// A length_strategy: the width of `inner`, any length_strategy, rounded up to a multiple of N. The limit is that of `inner`:
// fixed 500 rounded up to 8 accepts rows of 500 tokens and is 504 wide.
//
// Errors  a width past `max_width`, where there is one.
template <std::size_t N, length_strategy Inner = dynamic_length>
    requires(N > 0)
struct round_up_to {
    Inner inner{};
    std::optional<integer> max_width{};

    // (n + N - 1) / N * N
    template <class Lengths>
    [[nodiscard]] constexpr std::size_t width(const Lengths& lengths) const
    {
        const std::size_t n = length_traits<Inner>::width(inner, lengths);
        const std::size_t missing = (N - n % N) % N;
        return n > no_limit - missing ? no_limit : n + missing;  // the largest size is refused as too wide
    }
};

template <std::size_t N, class Inner>
struct length_traits<round_up_to<N, Inner>> {
    using strategy_type = round_up_to<N, Inner>;

    template <class Lengths>
    static constexpr std::size_t width(const strategy_type& strategy, const Lengths& lengths)
    {
        return strategy.width(lengths);
    }
    static constexpr std::size_t limit(const strategy_type& strategy) { return limit_of(strategy.inner); }
    static constexpr std::size_t max_width(const strategy_type& strategy)
    {
        const std::size_t of_inner = max_width_of(strategy.inner);
        return strategy.max_width ? std::min(of_inner, strategy.max_width->template to<std::size_t>()) : of_inner;
    }
    static constexpr auto edges(const strategy_type& strategy)
        requires bucketed_strategy<Inner>
    {
        return length_traits<Inner>::edges(strategy.inner);
    }
    static constexpr bool check(const strategy_type& strategy, error& reason)
    {
        if (strategy.max_width && (strategy.max_width->is_negative() || *strategy.max_width == integer(0)))
            return detail::fail(reason, error::of(errors::length_not_positive, *strategy.max_width));
        return detail::check_strategy(strategy.inner, reason);
    }
};

}  // namespace batten

#endif
