// SPDX-License-Identifier: MIT
// Padded rows to packed ones and back, whole hidden rows at a time; cu_seqlens of a constant shape.
#ifndef BATTEN_VARLEN_HPP_INCLUDED
#define BATTEN_VARLEN_HPP_INCLUDED

#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/executor.hpp>
#include <batten/field.hpp>
#include <batten/sequences.hpp>
#include <batten/side.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batten {

// What a padded batch comes to without its pads.
struct varlen_shape {
    std::size_t rows = 0;
    std::size_t width = 0;
    std::size_t tokens = 0;      // rows of the packed form; elements of indices
    std::size_t max_seqlen = 0;  // the longest row

    friend constexpr bool operator==(const varlen_shape&, const varlen_shape&) noexcept = default;
};

namespace detail {

// Memory of elements that may be copied as bytes.
template <class R>
concept element_memory = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                         std::is_trivially_copyable_v<std::ranges::range_value_t<R>>;

// The same to write to.
template <class R>
concept element_output = element_memory<R> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>;

template <class R>
concept token_memory = element_memory<R> && integer_number<std::ranges::range_value_t<R>>;
template <class R>
concept token_output = element_output<R> && token_memory<R>;

template <element_memory R>
constexpr auto elements_in(R& range) noexcept
{
    using element = std::remove_reference_t<std::ranges::range_reference_t<R>>;
    return std::span<element>(std::ranges::data(range), static_cast<std::size_t>(std::ranges::size(range)));
}

constexpr bool check_size(std::size_t needed, std::size_t given, std::string_view name, error& reason) noexcept
{
    return needed == given || fail(reason, error::of(given < needed ? errors::span_too_small : errors::span_too_large, needed, given, name));
}

// Copies from[0, count) to to[0, count), which must not overlap it.
template <class E>
constexpr void copy_elements(const E* from, std::size_t count, E* to, store_policy stores)
{
    if (std::is_constant_evaluated() || stores == ordinary)
        std::copy_n(from, count, to);
    else if (count != 0)
        simd::stream(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from), count * sizeof(E));
}

// Round the caches, from a block that stays in the nearest one. No `value`: zero bytes.
template <class E>
void stream_fill(std::span<E> out, const E* value)
{
    constexpr std::size_t block_bytes = 4096;
    constexpr std::size_t count = std::max<std::size_t>(block_bytes / sizeof(E), 1);
    alignas(64) std::byte block[count * sizeof(E)]{};
    if (value != nullptr)
        for (std::size_t i = 0; i < count; ++i)
            std::memcpy(block + i * sizeof(E), value, sizeof(E));
    for (std::size_t i = 0; i < out.size(); i += count)
        simd::stream(reinterpret_cast<std::byte*>(out.data() + i), block, std::min(count, out.size() - i) * sizeof(E));
}

// Fills with zero bytes; in constant evaluation, with value-initialised elements.
template <class E>
constexpr void fill_zero(std::span<E> out, store_policy stores)
{
    if (std::is_constant_evaluated())
        std::fill(out.begin(), out.end(), E{});
    else if (stores == non_temporal)
        stream_fill<E>(out, nullptr);
    else if (!out.empty())
        std::memset(static_cast<void*>(out.data()), 0, out.size_bytes());
}

template <class E>
constexpr void fill_value(std::span<E> out, const E& value, store_policy stores)
{
    if (!std::is_constant_evaluated() && stores == non_temporal)
        return stream_fill(out, &value);
    if constexpr (std::is_arithmetic_v<E>)
        cells::fill(out, value);
    else
        std::fill(out.begin(), out.end(), value);
}

// After the last store, so that other threads see streamed ones before what is written next.
constexpr void end_stores(store_policy stores)
{
    if (!std::is_constant_evaluated() && stores == non_temporal)
        simd::end_of_stream();
}

}  // namespace detail

// The rows of a padded batch, and where each has its tokens: varlen_map(batch.lengths(), batch.width(), pad_left{}). It takes whole
// hidden rows of `d` elements out of the padded form [rows * width, d] into the packed form [tokens, d], and puts them back.
// What FlashAttention's unpad_input and pad_input do, from lengths in place of a mask.
//
// Requires  the lengths outlive it; memory that does not overlap. Elements of any trivially copyable type.
// Errors    a length that is negative or over the width; a side that puts a row past the width; spans of other sizes; a number
//           that the type asked for cannot hold. Each call checks all of it, O(rows), before the first write.
template <integer_number Length, padding_side Side = pad_right>
class varlen_map {
public:
    constexpr varlen_map(std::span<const Length> lengths, std::size_t width, Side side = {}) noexcept
        : lengths_(lengths), width_(width), side_(side)
    {
    }

    // What to allocate by.
    [[nodiscard]] constexpr result<varlen_shape> try_shape() const
    {
        varlen_shape found;
        error reason;
        if (!measure(found, reason))
            return reason;
        return found;
    }
    [[nodiscard]] constexpr varlen_shape shape() const { return try_shape().value(); }

    // Writes where each sequence begins in the packed form, and where the last one ends: [rows + 1], int32 for most kernels.
    template <detail::token_output Out>
    constexpr result<varlen_shape> try_cu_seqlens(Out&& out) const
    {
        const auto to = detail::elements_in(out);
        using value = typename decltype(to)::value_type;
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !detail::check_size(lengths_.size() + 1, to.size(), "cu_seqlens", reason) ||
            !detail::check_count<value>(found.tokens, error::no_row, "cu_seqlens", reason))
            return reason;
        std::size_t end = 0;
        to[0] = 0;
        for (std::size_t r = 0; r < lengths_.size(); ++r)
            to[r + 1] = static_cast<value>(end += length(r));
        return found;
    }
    template <detail::token_output Out>
    constexpr varlen_shape cu_seqlens(Out&& out) const
    {
        return try_cu_seqlens(out).value();
    }

    // Writes the flat cell, row * width + column, of each real token: [tokens].
    template <detail::token_output Out>
    constexpr result<varlen_shape> try_indices(Out&& out) const
    {
        const auto to = detail::elements_in(out);
        using value = typename decltype(to)::value_type;
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !detail::check_size(found.tokens, to.size(), "indices", reason))
            return reason;
        if (!each_run([&](const run& at) {
                return detail::check_count<value>(at.cell + (at.length - 1), at.row, "indices", reason);
            }))
            return reason;
        each_run([&](const run& at) {
            cells::iota(to.subspan(at.token, at.length), at.cell);
            return true;
        });
        return found;
    }
    template <detail::token_output Out>
    constexpr varlen_shape indices(Out&& out) const
    {
        return try_indices(out).value();
    }

    // Unpad: copies hidden rows of real tokens, a sequence at a time, from `padded` [rows * width, d] to `packed` [tokens, d].
    // non_temporal stores (fill.hpp) are for outputs of several times the last-level cache.
    template <detail::element_memory Padded, detail::element_output Packed>
    constexpr result<varlen_shape> try_gather_rows(const Padded& padded, std::size_t d, Packed&& packed,
                                                   store_policy stores = ordinary) const
    {
        const auto from = detail::elements_in(padded);
        const auto to = detail::elements_in(packed);
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !check_forms(from, to, d, found, reason))
            return reason;
        each_run([&](const run& at) {
            detail::copy_elements(from.data() + at.cell * d, at.length * d, to.data() + at.token * d, stores);
            return true;
        });
        detail::end_stores(stores);
        return found;
    }
    template <detail::element_memory Padded, detail::element_output Packed>
    constexpr varlen_shape gather_rows(const Padded& padded, std::size_t d, Packed&& packed,
                                       store_policy stores = ordinary) const
    {
        return try_gather_rows(padded, d, packed, stores).value();
    }

    // Pad: copies the hidden rows of `packed` [tokens, d] to their places in `padded` [rows * width, d], and fills all others
    // with `on_pads`, or with zero bytes where it is left out.
    template <detail::element_memory Packed, detail::element_output Padded>
    constexpr result<varlen_shape> try_scatter_rows(const Packed& packed, std::size_t d, Padded&& padded,
                                                    store_policy stores = ordinary) const
    {
        return scatter(packed, d, padded, stores, [&](auto pads) { detail::fill_zero(pads, stores); });
    }
    template <detail::element_memory Packed, detail::element_output Padded>
    constexpr result<varlen_shape> try_scatter_rows(const Packed& packed, std::size_t d, Padded&& padded,
                                                    const std::ranges::range_value_t<Padded>& on_pads,
                                                    store_policy stores = ordinary) const
    {
        return scatter(packed, d, padded, stores, [&](auto pads) { detail::fill_value(pads, on_pads, stores); });
    }
    template <detail::element_memory Packed, detail::element_output Padded>
    constexpr varlen_shape scatter_rows(const Packed& packed, std::size_t d, Padded&& padded,
                                        store_policy stores = ordinary) const
    {
        return try_scatter_rows(packed, d, padded, stores).value();
    }
    template <detail::element_memory Packed, detail::element_output Padded>
    constexpr varlen_shape scatter_rows(const Packed& packed, std::size_t d, Padded&& padded,
                                        const std::ranges::range_value_t<Padded>& on_pads, store_policy stores = ordinary) const
    {
        return try_scatter_rows(packed, d, padded, on_pads, stores).value();
    }

private:
    // One sequence: `length` cells from flat cell `cell` on, tokens from `token` on.
    struct run {
        std::size_t row = 0;
        std::size_t cell = 0;
        std::size_t token = 0;
        std::size_t length = 0;
    };

    constexpr std::size_t length(std::size_t r) const { return static_cast<std::size_t>(lengths_[r]); }

    constexpr bool measure(varlen_shape& found, error& reason) const
    {
        found = {.rows = lengths_.size(), .width = width_};
        std::size_t cells = 0;
        if (!detail::multiply(lengths_.size(), width_, cells))
            return detail::fail(reason, error::of(errors::size_overflow, lengths_.size(), width_));
        for (std::size_t r = 0; r < lengths_.size(); ++r) {
            if (std::cmp_less(lengths_[r], 0))
                return detail::fail(reason, error::of_row(errors::length_negative, r, lengths_[r]));
            if (std::cmp_greater(lengths_[r], width_))
                return detail::fail(reason, error::of_row(errors::segment_past_row, r, lengths_[r], width_, "the row"));
            const std::size_t tokens = length(r);
            const std::size_t offset = side_traits<Side>::offset(side_, tokens, width_);
            if (offset > width_ - tokens)
                return detail::fail(reason, error::of_row(errors::offset_past_width, r, offset, width_ - tokens));
            found.tokens += tokens;
            found.max_seqlen = std::max(found.max_seqlen, tokens);
        }
        return true;
    }

    // Whether both forms are as large as they must be.
    template <class Padded, class Packed>
    static constexpr bool check_forms(std::span<Padded> padded, std::span<Packed> packed, std::size_t d,
                                      const varlen_shape& of, error& reason)
    {
        static_assert(std::is_same_v<std::remove_const_t<Padded>, std::remove_const_t<Packed>>,
                      "batten::varlen_map: hidden rows are copied as they are: give both forms the same element type");
        std::size_t elements = 0;
        if (!detail::multiply(of.rows * of.width, d, elements))
            return detail::fail(reason, error::of(errors::size_overflow, of.rows * of.width, d));
        return detail::check_size(elements, padded.size(), "padded", reason) &&
               detail::check_size(of.tokens * d, packed.size(), "packed", reason);
    }

    // Puts the sequences into their places; fill(pads) for each stretch between them.
    template <class Packed, class Padded, class Fill>
    constexpr result<varlen_shape> scatter(const Packed& packed, std::size_t d, Padded& padded, store_policy stores,
                                           Fill fill) const
    {
        const auto from = detail::elements_in(packed);
        const auto to = detail::elements_in(padded);
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !check_forms(to, from, d, found, reason))
            return reason;
        std::size_t next = 0;
        each_run([&](const run& at) {
            fill(to.subspan(next, at.cell * d - next));
            detail::copy_elements(from.data() + at.token * d, at.length * d, to.data() + at.cell * d, stores);
            next = (at.cell + at.length) * d;
            return true;
        });
        fill(to.subspan(next));
        detail::end_stores(stores);
        return found;
    }

    // visit(run) for each sequence that has tokens, until one says no. Requires: measure said yes.
    template <class Visit>
    constexpr bool each_run(Visit visit) const
    {
        std::size_t token = 0;
        for (std::size_t r = 0; r < lengths_.size(); ++r) {
            const std::size_t tokens = length(r);
            const run at{r, r * width_ + side_traits<Side>::offset(side_, tokens, width_), token, tokens};
            if (tokens != 0 && !visit(at))
                return false;
            token += tokens;
        }
        return true;
    }

    std::span<const Length> lengths_;
    std::size_t width_;
    [[no_unique_address]] Side side_;
};
template <detail::token_memory Lengths, padding_side Side = pad_right>
    requires std::ranges::borrowed_range<Lengths>
varlen_map(Lengths&&, std::size_t, Side = {}) -> varlen_map<std::ranges::range_value_t<Lengths>, Side>;

// Copies cu_seqlens to an array of a constant shape, as graph capture needs it: the last offset repeats, so that empty
// sequences make up for those that are too few. Returns how many it added. `out` may be the array itself, with room behind it.
//
// Shapes  cu_seqlens [n + 1]; out [m + 1], m >= n
// Errors  no entry at all, a first one that is not 0, entries that decrease; m < n; an offset that out's type cannot hold.
template <detail::token_memory Offsets, detail::token_output Out>
constexpr result<std::size_t> try_extend_cu_seqlens(const Offsets& cu_seqlens, Out&& out)
{
    const auto from = detail::elements_in(cu_seqlens);
    const auto to = detail::elements_in(out);
    using value = typename decltype(to)::value_type;
    constexpr std::string_view name = "cu_seqlens";
    if (from.empty())
        return error::of(errors::input_empty, {}, {}, name);
    if (from[0] != 0)
        return error::of(errors::offsets_not_from_zero, from[0], {}, name);
    for (std::size_t i = 1; i < from.size(); ++i)
        if (from[i] < from[i - 1])
            return error::of_row(errors::offsets_decrease, i - 1, from[i - 1], from[i]);
    if (to.size() < from.size())
        return error::of(errors::span_too_small, from.size(), to.size(), name);
    if (!integer(from.back()).template fits<value>())
        return error::of(errors::value_not_representable, from.back(), {}, name);
    const auto last = static_cast<value>(from.back());
    for (std::size_t i = 0; i < from.size(); ++i)
        to[i] = static_cast<value>(from[i]);
    cells::fill(to.subspan(from.size()), last);
    return to.size() - from.size();
}
template <detail::token_memory Offsets, detail::token_output Out>
constexpr std::size_t extend_cu_seqlens(const Offsets& cu_seqlens, Out&& out)
{
    return try_extend_cu_seqlens(cu_seqlens, out).value();
}

}  // namespace batten

#endif
