// SPDX-License-Identifier: MIT
// Orders of sequences: by length (stable, by counting, O(n + longest)), drawn from a seed, and sorted within drawn windows.
#ifndef BATTEN_PLAN_ORDER_HPP_INCLUDED
#define BATTEN_PLAN_ORDER_HPP_INCLUDED

#include <batten/detail/checks.hpp>
#include <batten/detail/memory.hpp>
#include <batten/detail/random.hpp>
#include <batten/error.hpp>
#include <batten/plan/errors.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <bit>
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

using batten::detail::buffer_vector;
using batten::detail::fail;
using batten::detail::require_batch_limit;
using batten::detail::require_positive;

// Stable by the digit at `shift`: order[i] = from(i) in that order. Returns where each digit ends.
template <class Index, class From, class KeyOf>
constexpr std::vector<Index> counting_pass(std::size_t n, std::size_t digits, std::size_t shift, const From& from,
                                           const KeyOf& key_of, std::span<Index> order)
{
    const std::uint64_t mask = std::bit_ceil(digits) - 1;
    std::vector<Index> next(mask + 2, Index{0});
    for (std::size_t i = 0; i < n; ++i)
        ++next[static_cast<std::size_t>(key_of(i) >> shift & mask) + 1];
    for (std::size_t d = 1; d < next.size(); ++d)
        next[d] = static_cast<Index>(next[d] + next[d - 1]);
    const auto next_of = [&](Index item) -> Index& { return next[static_cast<std::size_t>(key_of(item) >> shift & mask)]; };
    // Writes go to as many cache lines as there are digits, so each is prefetched well before it is written.
    constexpr std::size_t ahead = 64;
    for (std::size_t i = 0; i < n; ++i) {
        if (i + ahead < n)
            batten::detail::prefetch_to_write(order.data() + next_of(from(i + ahead)));
        const Index item = from(i);
        order[next_of(item)++] = item;
    }
    return next;
}

template <class Lengths>
constexpr std::size_t length_at(const Lengths& lengths, std::size_t i)
{
    return static_cast<std::size_t>(batten::detail::element_at(lengths, i));
}

// The longest of the lengths, or false where one is negative.
template <class Lengths>
constexpr bool find_longest(const Lengths& lengths, std::size_t& longest, error& reason)
{
    const auto n = static_cast<std::size_t>(std::ranges::size(lengths));
    longest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto value = batten::detail::element_at(lengths, i);
        if (std::cmp_less(value, 0)) [[unlikely]]
            return fail(reason, error::of_row(errors::length_negative, i, value));
        longest = std::max(longest, static_cast<std::size_t>(value));
    }
    return true;
}

// The numbers of the sequences by length, stable. Requires: lengths up to `longest`, none negative; as many as places.
template <class Index, class Lengths>
constexpr void order_by_length(const Lengths& lengths, std::uint64_t longest, std::span<Index> order)
{
    const std::size_t n = order.size();
    const auto length = [&](std::size_t i) { return std::uint64_t{length_at(lengths, i)}; };
    const auto itself = [](std::size_t i) { return static_cast<Index>(i); };
    if (longest < 4 * std::uint64_t{n} + (1U << 16U)) {
        counting_pass<Index>(n, static_cast<std::size_t>(longest) + 1, 0, itself, length, order);
        return;
    }
    buffer_vector<Index> other(n, Index{0});
    std::span<Index> from = order;
    std::span<Index> to(other);
    for (std::size_t i = 0; i < n; ++i)
        from[i] = itself(i);
    for (std::size_t shift = 0; shift < 64 && longest >> shift != 0; shift += 16) {
        counting_pass<Index>(n, std::size_t{1} << 16U, shift, [&](std::size_t i) { return from[i]; }, length, to);
        std::swap(from, to);
    }
    if (from.data() != order.data())
        std::copy(from.begin(), from.end(), order.begin());
}

// The items make(0) ... make(n - 1) in an order drawn from the key, every order as likely as any other: each item goes to a
// drawn bucket that fits the cache, then each bucket is shuffled by itself (Rao, 1961; Sandelius, 1962).
template <class Item, class Make>
constexpr void shuffle_into(std::uint64_t key, const Make& make, std::span<Item> out)
{
    constexpr std::size_t bucket_items = 8192;
    const std::size_t n = out.size();
    unsigned bits = 1;
    while (n >> bits > bucket_items)
        ++bits;
    const auto bucket_of = [&](std::size_t i) {
        return static_cast<std::size_t>(batten::detail::draw(key, i) >> (64U - bits));
    };
    std::vector<std::size_t> next((std::size_t{1} << bits) + 1, 0);
    for (std::size_t i = 0; i < n; ++i)
        ++next[bucket_of(i) + 1];
    for (std::size_t b = 1; b < next.size(); ++b)
        next[b] += next[b - 1];
    for (std::size_t i = 0; i < n; ++i)
        out[next[bucket_of(i)]++] = make(i);
    const std::uint64_t inside = batten::detail::mix(key);
    std::size_t begin = 0;
    for (std::size_t b = 0; b + 1 < next.size(); begin = next[b++])
        for (std::size_t left = next[b] - begin; left > 1; --left) {
            const std::size_t last = begin + left - 1;
            std::swap(out[last], out[begin + static_cast<std::size_t>(batten::detail::below(
                                                 left, batten::detail::draw(inside, last)))]);
        }
}

template <class Index>
constexpr void shuffled_order(std::span<Index> order, std::uint64_t key)
{
    shuffle_into<Index>(key, [](std::size_t i) { return static_cast<Index>(i); }, order);
}

template <class Index>
struct length_and_item {
    Index length = 0;
    Index item = 0;
};

// The items of `run` by length, stable, by digits of `bits` bits up to the longest; `other` has its size where one digit is not
// enough.
template <class Index>
constexpr void sort_run(std::span<length_and_item<Index>> run, std::span<length_and_item<Index>> other, std::size_t longest,
                        unsigned bits, std::vector<Index>& next, std::span<Index> out)
{
    const std::size_t mask = (std::size_t{1} << bits) - 1;
    for (unsigned shift = 0;; shift += bits) {
        next.assign(mask + 2, Index{0});
        for (const auto& one : run)
            ++next[(one.length >> shift & mask) + 1];
        for (std::size_t d = 1; d <= mask; ++d)
            next[d] = static_cast<Index>(next[d] + next[d - 1]);
        const bool last = shift + bits >= std::numeric_limits<Index>::digits || longest >> (shift + bits) == 0;
        for (const auto& one : run) {
            const std::size_t place = next[one.length >> shift & mask]++;
            if (last)
                out[place] = one.item;
            else
                other[place] = one;
        }
        if (last)
            return;
        std::swap(run, other);
    }
}

// Sequences in an order drawn from the key, then by length within each window of it, the last one perhaps smaller.
// Requires: lengths up to `longest`, which Index holds; window >= 1 unless there are none.
template <class Index, class Lengths>
constexpr void sorted_windows(const Lengths& lengths, std::size_t longest, std::size_t window, std::uint64_t key,
                              std::span<Index> order)
{
    const std::size_t n = order.size();
    buffer_vector<length_and_item<Index>> drawn(n, length_and_item<Index>{});
    shuffle_into<length_and_item<Index>>(
        key,
        [&](std::size_t i) {
            return length_and_item<Index>{static_cast<Index>(length_at(lengths, i)), static_cast<Index>(i)};
        },
        drawn);
    // Tables of no more than a window's size, or a few hundred entries.
    const auto total = static_cast<unsigned>(std::bit_width(std::max<std::size_t>(longest, 1)));
    const auto most = std::max(8U, static_cast<unsigned>(std::bit_width(window)));
    const unsigned digits = (total + most - 1) / most;
    const unsigned bits = (total + digits - 1) / digits;
    std::vector<length_and_item<Index>> other(digits > 1 ? window : 0, length_and_item<Index>{});
    std::vector<Index> next;
    const std::span<length_and_item<Index>> all(drawn);
    for (std::size_t begin = 0; begin < n; begin += window) {
        const std::size_t count = std::min(window, n - begin);
        sort_run<Index>(all.subspan(begin, count), std::span(other).first(digits > 1 ? count : 0), longest, bits, next,
                        order.subspan(begin, count));
    }
}

}  // namespace detail

// Fills `order` with the numbers of the sequences, shortest first, equal lengths in their order.
//
// Shapes   lengths [n], order [n].
// Errors   an order of another size; a negative length (row, length); more sequences than Index can number.
// Cost     two passes over the lengths and one over the order; where the longest is over 4 n + 65,536, two for every 16 bits
//          of it. Memory beside the order: a table of lengths up to 4 n + 65,536; n numbers more in the second case.
template <std::ranges::random_access_range Lengths, std::unsigned_integral Index>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr result<std::size_t> try_stable_order(const Lengths& lengths, std::span<Index> order)
{
    const auto n = static_cast<std::size_t>(std::ranges::size(lengths));
    if (order.size() != n)
        return error::of(order.size() < n ? errors::span_too_small : errors::span_too_large, n, order.size(),
                     "the order");
    if (n > std::numeric_limits<Index>::max())
        return error::of(errors::index_too_narrow, n, std::numeric_limits<Index>::max(), "the number of sequences");
    std::size_t longest = 0;
    error reason;
    if (!detail::find_longest(lengths, longest, reason))
        return reason;
    detail::order_by_length<Index>(lengths, longest, order);
    return longest;
}
// Returns the longest length.
template <std::ranges::random_access_range Lengths, std::unsigned_integral Index>
    requires integer_number<std::ranges::range_value_t<Lengths>>
constexpr std::size_t stable_order(const Lengths& lengths, std::span<Index> order)
{
    return try_stable_order(lengths, order).value();
}

// Fills the inverse permutation: inverse[order[i]] = i. It brings results back into the caller's order.
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
