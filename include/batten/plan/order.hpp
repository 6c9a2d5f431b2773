// SPDX-License-Identifier: MIT
// The stable order of sequences by length, by counting: O(n + longest), no comparison.
#ifndef BATTEN_PLAN_ORDER_HPP_INCLUDED
#define BATTEN_PLAN_ORDER_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan {

namespace detail {

using batten::detail::fail;

// Stable by the digit of `bits` bits at `shift`: order[i] = from(i) in that order.
template <class Index, class From, class KeyOf>
constexpr void counting_pass(std::size_t n, std::size_t digits, std::size_t shift, const From& from, const KeyOf& key_of,
                             std::span<Index> order)
{
    const std::uint64_t mask = digits - 1;
    std::vector<Index> next(digits + 1, Index{0});
    for (std::size_t i = 0; i < n; ++i)
        ++next[static_cast<std::size_t>(key_of(i) >> shift & mask) + 1];
    for (std::size_t d = 1; d <= digits; ++d)
        next[d] = static_cast<Index>(next[d] + next[d - 1]);
    for (std::size_t i = 0; i < n; ++i) {
        const Index item = from(i);
        order[next[static_cast<std::size_t>(key_of(item) >> shift & mask)]++] = item;
    }
}

}  // namespace detail

// Fills `order` with the numbers of the sequences, shortest first, equal lengths in their order.
//
// Shapes   lengths [n], order [n].
// Errors   an order of another size; a negative length (row, length); more sequences than Index counts.
// Cost     two passes over the lengths and one over the order; where the longest is out of all proportion to n, two for every
//          16 bits of it. Memory beside the order: a table of lengths up to 4 n + 65,536; n numbers more in the second case.
template <std::ranges::random_access_range Lengths, std::unsigned_integral Index>
    requires token<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr result<std::size_t> try_stable_order(const Lengths& lengths, std::span<Index> order)
{
    const auto n = static_cast<std::size_t>(std::ranges::size(lengths));
    const auto at = std::ranges::begin(lengths);
    const auto length = [&](std::size_t i) {
        return static_cast<std::uint64_t>(at[static_cast<std::iter_difference_t<decltype(at)>>(i)]);
    };
    if (order.size() != n)
        return error{order.size() < n ? error_code::span_too_small : error_code::span_too_large, error::no_row, n, order.size(),
                     "the order"};
    if (n > std::numeric_limits<Index>::max())
        return error{error_code::size_overflow, error::no_row, n, sizeof(Index), {}};
    std::uint64_t longest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto value = at[static_cast<std::iter_difference_t<decltype(at)>>(i)];
        if (std::cmp_less(value, 0))
            return error{error_code::length_negative, i, value, {}, {}};
        longest = std::max(longest, static_cast<std::uint64_t>(value));
    }
    const auto itself = [](std::size_t i) { return static_cast<Index>(i); };
    if (longest < 4 * std::uint64_t{n} + (1U << 16U)) {
        std::size_t digits = 1;
        while (digits <= longest)
            digits *= 2;
        detail::counting_pass<Index>(n, digits, 0, itself, length, order);
        return static_cast<std::size_t>(longest);
    }
    std::vector<Index> other(n, Index{0});
    std::span<Index> from = order;
    std::span<Index> to(other);
    for (std::size_t i = 0; i < n; ++i)
        from[i] = itself(i);
    for (std::size_t shift = 0; shift < 64 && longest >> shift != 0; shift += 16) {
        detail::counting_pass<Index>(n, std::size_t{1} << 16U, shift, [&](std::size_t i) { return from[i]; }, length, to);
        std::swap(from, to);
    }
    if (from.data() != order.data())
        std::copy(from.begin(), from.end(), order.begin());
    return static_cast<std::size_t>(longest);
}
// Returns the longest length.
template <std::ranges::random_access_range Lengths, std::unsigned_integral Index>
    requires token<std::ranges::range_value_t<Lengths>>
constexpr std::size_t stable_order(const Lengths& lengths, std::span<Index> order)
{
    return try_stable_order(lengths, order).value();
}

// The other way round: inverse[order[i]] = i, which puts what was computed in the order back into the caller's.
// Requires: order is a permutation of [0, n).
template <std::unsigned_integral Index>
constexpr void invert(std::span<const Index> order, std::span<Index> inverse)
{
    BATTEN_ASSERT(order.size() == inverse.size(), "a permutation and its inverse are equally long");
    for (std::size_t i = 0; i < order.size(); ++i)
        inverse[order[i]] = static_cast<Index>(i);
}

}  // namespace batten::plan

#endif
