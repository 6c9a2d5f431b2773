// SPDX-License-Identifier: MIT
// Hidden rows of the tokens alone, taken out of padded ones and put back; cu_seqlens of a constant shape.
#ifndef BATTEN_VARLEN_HPP_INCLUDED
#define BATTEN_VARLEN_HPP_INCLUDED

#include <batten/detail/ranges.hpp>
#include <batten/detail/simd.hpp>
#include <batten/detail/spans.hpp>
#include <batten/error.hpp>
#include <batten/executor.hpp>
#include <batten/field.hpp>
#include <batten/integer.hpp>
#include <batten/rows.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batten {

// What a batch comes to without its pads.
struct varlen_shape {
    std::size_t rows = 0;
    std::size_t width = 0;
    std::size_t sequences = 0;   // one less than the entries of cu_seqlens
    std::size_t tokens = 0;      // rows of the packed form; elements of indices
    std::size_t max_seqlen = 0;  // the longest sequence

    friend constexpr bool operator==(const varlen_shape&, const varlen_shape&) noexcept = default;
};

namespace detail {

// A batch whose rows may be kept: one with a name, or a view of memory that something else owns.
template <class Batch>
concept rows_outlive = requires(Batch&& batch) {
    { std::forward<Batch>(batch).segments() } -> batch_rows;
};

// Memory of elements that may be copied as bytes.
template <class R>
concept element_memory = memory<R> && std::is_trivially_copyable_v<element_of<R>>;

// The same to write to.
template <class R>
concept element_output = element_memory<R> && output_memory<R>;

template <class R>
concept token_memory = element_memory<R> && integer_number<element_of<R>>;
template <class R>
concept token_output = element_output<R> && token_memory<R>;

// Copies from[0, count) to to[0, count), which must not overlap it.
template <class E>
constexpr void copy_elements(const E* from, std::size_t count, E* to, store_policy stores)
{
    if (std::is_constant_evaluated() || stores == ordinary)
        std::copy_n(from, count, to);
    else if (count != 0)
        simd::stream(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from), count * sizeof(E));
}

// Fills `out` with streaming stores, from a block that stays in the first-level cache. No `value`: zero bytes.
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

// Takes whole hidden rows of `d` elements out of the padded form [rows * width, d] into the packed form [tokens, d], and puts
// them back: varlen_map(batch), or varlen_map(padded_rows(lengths, width, pad_left{})). What FlashAttention's unpad_input and
// pad_input do, from the batch's own rows in place of a mask. A row may have several segments; pads are left out, also where
// they are a segment of their own.
//
// Requires  the batch, or what the rows refer to, outlives it; memory that does not overlap; trivially copyable elements.
// Errors    segments outside of their rows or over one another; spans of other sizes; a number that the type asked for cannot
//           hold. Each call checks all of it, O(segments), before the first write.
template <batch_rows Rows>
class varlen_map {
public:
    constexpr explicit varlen_map(Rows rows) noexcept : rows_(std::move(rows)) {}
    template <class Batch>
        requires detail::rows_outlive<Batch>
    constexpr explicit varlen_map(Batch&& batch) noexcept : rows_(std::forward<Batch>(batch).segments())
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

    // Writes where each sequence begins in the packed form, and where the last one ends: [sequences + 1], int32 for most kernels.
    template <detail::token_output Out>
    constexpr result<varlen_shape> try_cu_seqlens(Out&& out) const
    {
        const auto to = detail::span_of(out);
        using value = typename decltype(to)::value_type;
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !detail::check_size(found.sequences + 1, to.size(), "cu_seqlens", reason) ||
            !detail::check_count<value>(found.tokens, error::no_row, "cu_seqlens", reason))
            return reason;
        std::size_t next = 0;
        to[0] = 0;
        each_sequence([&](const segment& at, std::size_t token) {
            to[++next] = static_cast<value>(token + at.length);
            return true;
        });
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
        const auto to = detail::span_of(out);
        using value = typename decltype(to)::value_type;
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !detail::check_size(found.tokens, to.size(), "indices", reason))
            return reason;
        if (!each_sequence([&](const segment& at, std::size_t) {
                return at.length == 0 ||
                       detail::check_count<value>(cell_of(at) + (at.length - 1), at.row, "indices", reason);
            }))
            return reason;
        each_sequence([&](const segment& at, std::size_t token) {
            cells::iota(to.subspan(token, at.length), cell_of(at));
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
    // non_temporal stores (executor.hpp) are for outputs of several times the last-level cache.
    template <detail::element_memory Padded, detail::element_output Packed>
    constexpr result<varlen_shape> try_gather_rows(const Padded& padded, std::size_t d, Packed&& packed,
                                                   store_policy stores = ordinary) const
    {
        const auto from = detail::span_of(padded);
        const auto to = detail::span_of(packed);
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !check_forms(from, to, d, found, reason))
            return reason;
        each_sequence([&](const segment& at, std::size_t token) {
            detail::copy_elements(from.data() + cell_of(at) * d, at.length * d, to.data() + token * d, stores);
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
    // row * width + first_column
    constexpr std::size_t cell_of(const segment& at) const noexcept { return at.row * rows_.shape().width + at.first_column; }

    constexpr bool measure(varlen_shape& found, error& reason) const
    {
        detail::checked_rows rows;
        const bool good = detail::check_rows(rows_, rows, reason);
        found = {rows.shape.rows, rows.shape.width, rows.sequences, rows.tokens, rows.max_seqlen};
        return good;
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
        const auto from = detail::span_of(packed);
        const auto to = detail::span_of(padded);
        varlen_shape found;
        error reason;
        if (!measure(found, reason) || !check_forms(to, from, d, found, reason))
            return reason;
        std::size_t next = 0;
        each_sequence([&](const segment& at, std::size_t token) {
            const std::size_t cell = cell_of(at);
            fill(to.subspan(next, cell * d - next));
            detail::copy_elements(from.data() + token * d, at.length * d, to.data() + cell * d, stores);
            next = (cell + at.length) * d;
            return true;
        });
        fill(to.subspan(next));
        detail::end_stores(stores);
        return found;
    }

    // visit(segment, its first token in the packed form) for each sequence, until it returns false. Requires: measure returned
    // true.
    template <class Visit>
    constexpr bool each_sequence(Visit visit) const
    {
        std::size_t token = 0;
        error unused;
        return rows_.walk(
            [&](const segment& at) {
                if (at.sequence == no_sequence)
                    return true;
                const std::size_t first = token;
                token += at.length;
                return visit(at, first);
            },
            unused);
    }

    Rows rows_;
};
template <batch_rows Rows>
varlen_map(Rows) -> varlen_map<Rows>;
template <class Batch>
    requires detail::rows_outlive<Batch>
varlen_map(Batch&& batch) -> varlen_map<decltype(std::forward<Batch>(batch).segments())>;

// Copies cu_seqlens to an array of a constant shape, as graph capture needs it: the last offset repeats, so that empty
// sequences make up for those that are too few. Returns how many it added. `out` may be the array itself, with room after it.
//
// Shapes  cu_seqlens [n + 1]; out [m + 1], m >= n
// Errors  no entry at all, a first one that is not 0, entries that decrease; m < n; an offset that out's type cannot hold.
template <detail::token_memory Offsets, detail::token_output Out>
constexpr result<std::size_t> try_extend_cu_seqlens(const Offsets& cu_seqlens, Out&& out)
{
    const auto from = detail::span_of(cu_seqlens);
    const auto to = detail::span_of(out);
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
