// SPDX-License-Identifier: MIT
// Dense attention masks, built from intervals in one pass: bytes, bits, and numbers to add to scores.
//
//     std::vector<batten::bfloat16> out(mask::dense_elements(of));    // of: what mask::intervals returned
//     mask::additive(intervals, of, std::span(out));
//
// Queries do not depend on one another: to share the work among threads, cut the intervals and the memory by rows.
#ifndef BATTEN_MASK_DENSE_HPP_INCLUDED
#define BATTEN_MASK_DENSE_HPP_INCLUDED

#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/mask/errors.hpp>
#include <batten/half.hpp>
#include <batten/mask/intervals.hpp>
#include <batten/mask/segments.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batten::mask {

// What a 1 says. PyTorch's scaled_dot_product_attention, Transformers and FlashInfer: that the query sees the key; Megatron and
// nn.MultiheadAttention: that it does not.
enum class polarity : unsigned char {
    true_attends,
    true_masks
};

// Where the first of eight keys lies in a byte. Kernels read (byte >> key % 8) & 1, which is little; numpy.packbits writes big.
enum class bit_order : unsigned char {
    little,
    big
};

// One byte that is 0 or 1.
template <class T>
concept mask_byte = std::integral<T> && sizeof(T) == 1;

// ---- sizes ------------------------------------------------------------------------------------------------------------------

namespace detail {

// Rows of `width` elements, `row_stride` from one to the next, 0 for the width: the elements needed, or the reason why not.
constexpr bool count_elements(const dimensions& of, std::size_t width, std::size_t row_stride, std::string_view name,
                              std::size_t& least, std::size_t& most, error& reason)
{
    if (row_stride != 0 && row_stride < width)
        return fail(reason, error::of(errors::row_stride_too_small, width, row_stride, name));
    const std::size_t step = row_stride == 0 ? width : row_stride;
    std::size_t rows = 0;
    if (!batten::detail::multiply(of.rows, of.queries, rows))
        return fail(reason, error::of(errors::size_overflow, of.rows, of.queries, name));
    // As many bytes, of the largest element, as pointers can tell apart.
    if (!batten::detail::multiply(rows, step, most) || most > batten::detail::size_limit / 32)
        return fail(reason, error::of(errors::size_overflow, rows, step, name));
    least = rows == 0 ? 0 : (rows - 1) * step + width;
    return true;
}

constexpr std::size_t bytes_for(std::size_t bits) noexcept { return bits / 8 + (bits % 8 != 0 ? 1 : 0); }

constexpr bool is_within(const interval& seen, std::size_t keys) noexcept
{
    return 0 <= seen.begin && seen.begin <= seen.end && std::cmp_less_equal(seen.end, keys);
}

// A list of intervals that matches its dimensions, and memory as large as the mask.
constexpr bool check_dense(std::span<const interval> intervals, const dimensions& of, std::size_t width, std::size_t row_stride,
                           std::size_t given, std::string_view name, error& reason)
{
    std::size_t least = 0, most = 0;
    if (!count_elements(of, width, row_stride, name, least, most, reason))
        return false;
    const std::size_t count = of.rows * of.queries;
    if (intervals.size() != count)
        return fail(reason, error::of(intervals.size() < count ? errors::span_too_small : errors::span_too_large,
                             count, intervals.size(), "intervals"));
    if (given < least)
        return fail(reason, error::of(errors::span_too_small, least, given, name));
    if (given > most)
        return fail(reason, error::of(errors::span_too_large, most, given, name));
    for (std::size_t i = 0; i < count; ++i)
        if (!is_within(intervals[i], of.keys))
            return fail(reason, error::of_row(errors::interval_outside_keys, i / of.queries, i % of.queries, of.keys));
    return true;
}

// Fills a row of a mask.
template <class T>
constexpr void fill_row(std::span<T> row, const interval& seen, T inside, T outside) noexcept
{
    const auto begin = static_cast<std::size_t>(seen.begin);
    const auto length = static_cast<std::size_t>(seen.end - seen.begin);
    cells::fill_run(row, begin, length, inside, outside);
}

template <class T>
constexpr void fill_rows(std::span<const interval> intervals, std::size_t keys, std::size_t row_stride, std::span<T> out, T inside,
                         T outside) noexcept
{
    for (std::size_t i = 0; i < intervals.size(); ++i)
        fill_row(out.subspan(i * (row_stride == 0 ? keys : row_stride), keys), intervals[i], inside, outside);
}

}  // namespace detail

// Elements of a mask of bytes or numbers: (rows * queries - 1) * row_stride + keys. `row_stride`: elements from the keys of one query to
// those of the next, 0 for the number of keys. Errors: a row_stride under the keys; a product that overflows.
[[nodiscard]] constexpr result<std::size_t> try_dense_elements(const dimensions& of, std::size_t row_stride = 0)
{
    std::size_t least = 0, most = 0;
    error reason;
    if (!detail::count_elements(of, of.keys, row_stride, "the mask", least, most, reason))
        return reason;
    return least;
}
[[nodiscard]] constexpr std::size_t dense_elements(const dimensions& of, std::size_t row_stride = 0)
{
    return try_dense_elements(of, row_stride).value();
}

// Bytes of a mask of bits: rows * queries * ceil(keys / 8).
[[nodiscard]] constexpr result<std::size_t> try_bit_bytes(const dimensions& of)
{
    return try_dense_elements({of.rows, of.queries, detail::bytes_for(of.keys)});
}
[[nodiscard]] constexpr std::size_t bit_bytes(const dimensions& of) { return try_bit_bytes(of).value(); }

// ---- bytes and numbers ------------------------------------------------------------------------------------------------------

// Writes a byte for each query and key, 1 or 0: what frameworks call a boolean mask.
//
// Shapes   intervals [rows, queries] -> out [rows, queries, keys], which is [rows, 1, queries, keys] too.
// Errors   intervals that do not match `of`; memory too small or too large; a row_stride under the keys.
// Cost     bytes written once.
template <mask_byte T>
constexpr result<std::size_t> try_bytes(std::span<const interval> intervals, const dimensions& of, std::span<T> out,
                                        polarity meaning = polarity::true_attends, std::size_t row_stride = 0)
{
    error reason;
    if (!detail::check_dense(intervals, of, of.keys, row_stride, out.size(), "the mask", reason))
        return reason;
    const bool attends = meaning == polarity::true_attends;
    detail::fill_rows(intervals, of.keys, row_stride, out, static_cast<T>(attends), static_cast<T>(!attends));
    return out.size();
}
// Returns the number of elements.
template <mask_byte T>
constexpr std::size_t bytes(std::span<const interval> intervals, const dimensions& of, std::span<T> out,
                            polarity meaning = polarity::true_attends, std::size_t row_stride = 0)
{
    return try_bytes(intervals, of, out, meaning, row_stride).value();
}

// Writes the number that is added to each score: 0, or the lowest finite value of T where the key is not seen. Masks are not to
// be added to one another: two lowest values are -infinity, as is in float16 the lowest value with a score below -16.
//
// Shapes   intervals [rows, queries] -> out [rows, queries, keys], which is [rows, 1, queries, keys] too.
// Errors   intervals that do not match `of`; memory too small or too large; a row_stride under the keys.
// Cost     bytes written once.
template <additive_element T>
constexpr result<std::size_t> try_additive(std::span<const interval> intervals, const dimensions& of, std::span<T> out,
                                           std::size_t row_stride = 0)
{
    error reason;
    if (!detail::check_dense(intervals, of, of.keys, row_stride, out.size(), "the mask", reason))
        return reason;
    detail::fill_rows(intervals, of.keys, row_stride, out, T{}, lowest_finite<T>);
    return out.size();
}
// Returns the number of elements.
template <additive_element T>
constexpr std::size_t additive(std::span<const interval> intervals, const dimensions& of, std::span<T> out,
                               std::size_t row_stride = 0)
{
    return try_additive(intervals, of, out, row_stride).value();
}

// ---- bits -------------------------------------------------------------------------------------------------------------------

namespace detail {

// Appends runs of equal bits to bytes, each byte written once.
class bit_writer {
public:
    constexpr bit_writer(std::uint8_t* out, bit_order order) noexcept : out_(out), order_(order) {}

    constexpr void put(std::size_t n, bool bit) noexcept
    {
        if (used_ != 0) {
            const std::size_t head = std::min(n, 8 - used_);
            put_within_byte(head, bit);
            n -= head;
        }
        const std::size_t whole = n / 8;
        cells::fill(std::span(out_, whole), static_cast<std::uint8_t>(bit ? 0xFF : 0));
        out_ += whole;
        put_within_byte(n % 8, bit);
    }

    // One query: keys in and outside of its interval.
    constexpr void put(const interval& seen, std::size_t keys, bool inside) noexcept
    {
        put(static_cast<std::size_t>(seen.begin), !inside);
        put(static_cast<std::size_t>(seen.end - seen.begin), inside);
        put(keys - static_cast<std::size_t>(seen.end), !inside);
    }

    // Ends the byte, the rest of it 0.
    constexpr void end_byte() noexcept
    {
        if (used_ != 0)
            put_within_byte(8 - used_, false);
    }

private:
    // Requires: n <= 8 - used_, n < 8.
    constexpr void put_within_byte(std::size_t n, bool bit) noexcept
    {
        const std::size_t shift = order_ == bit_order::little ? used_ : 8 - used_ - n;
        if (bit)
            byte_ |= ((1U << n) - 1U) << shift;
        used_ += n;
        if (used_ == 8) {
            *out_++ = static_cast<std::uint8_t>(byte_);
            used_ = 0;
            byte_ = 0;
        }
    }

    std::uint8_t* out_;
    bit_order order_;
    std::size_t used_ = 0;  // bits of the byte that is begun
    unsigned byte_ = 0;
};

}  // namespace detail

// Writes a bit for each query and key. The keys of a query begin at a byte; bits behind the last key are 0.
//
// Shapes   intervals [rows, queries] -> out [rows, queries, ceil(keys / 8)].
// Errors   intervals that do not match `of`; memory too small or too large.
// Cost     bytes written once.
constexpr result<std::size_t> try_bits(std::span<const interval> intervals, const dimensions& of, std::span<std::uint8_t> out,
                                       polarity meaning = polarity::true_attends, bit_order order = bit_order::little)
{
    error reason;
    if (!detail::check_dense(intervals, of, detail::bytes_for(of.keys), 0, out.size(), "the mask", reason))
        return reason;
    detail::bit_writer writer(out.data(), order);
    for (const interval& seen : intervals) {
        writer.put(seen, of.keys, meaning == polarity::true_attends);
        writer.end_byte();
    }
    return out.size();
}
// Returns the number of bytes.
constexpr std::size_t bits(std::span<const interval> intervals, const dimensions& of, std::span<std::uint8_t> out,
                           polarity meaning = polarity::true_attends, bit_order order = bit_order::little)
{
    return try_bits(intervals, of, out, meaning, order).value();
}

namespace detail {

// Where the bytes of the last request end, with all offsets within an int32; indptr(request, end) hears of each.
template <class Indptr, integer_number Q, integer_number K>
constexpr bool count_ragged(const requests<Q, K>& of, std::size_t& bytes, error& reason, Indptr indptr)
{
    std::size_t r = 0;
    bytes = 0;
    return of.walk(
        [&](const place& at) {
            std::size_t bits = 0;
            if (!batten::detail::multiply(at.queries, at.keys, bits))
                return fail(reason, error::of_row(errors::size_overflow, r, at.queries, at.keys, "the mask"));
            // Kernels count bits and bytes of a request in 32 bits.
            if (std::cmp_greater(bits, std::numeric_limits<std::int32_t>::max()))
                return fail(reason, error::of_row(errors::value_not_representable, r, bits, {}, "the bits of its mask"));
            bytes += bytes_for(bits);
            if (std::cmp_greater(bytes, std::numeric_limits<std::int32_t>::max()))
                return fail(reason, error::of_row(errors::value_not_representable, r, bytes, {}, "indptr"));
            indptr(r++, bytes);
            return true;
        },
        reason);
}

}  // namespace detail

// Bytes of the masks of all requests, each ceil(queries * keys / 8).
template <integer_number Q, integer_number K>
[[nodiscard]] constexpr result<std::size_t> try_ragged_bit_bytes(const requests<Q, K>& of)
{
    std::size_t bytes = 0;
    error reason;
    if (!detail::count_ragged(of, bytes, reason, [](std::size_t, std::size_t) {}))
        return reason;
    return bytes;
}
template <integer_number Q, integer_number K>
[[nodiscard]] constexpr std::size_t ragged_bit_bytes(const requests<Q, K>& of)
{
    return try_ragged_bit_bytes(of).value();
}

// Writes the custom mask that FlashInfer's prefill kernels take, packed: of each request the bits of queries * keys, row-major,
// one query right behind the other; each request begins at a byte. `indptr` counts bytes.
//
// Its source: flashinfer-ai/flashinfer, flashinfer/prefill.py (plan packs by segment_packbits, bitorder "little") and
// include/flashinfer/attention/variants.cuh (the kernel reads bit (query * keys + key) % 8 of the byte).
//
// Shapes   intervals [all queries], as intervals(requests) writes them -> out [ragged_bit_bytes], indptr [requests + 1].
// Errors   as of requests; intervals past the keys of their request; other sizes; offsets past an int32.
// Cost     bytes written once.
template <integer_number Q, integer_number K>
constexpr result<std::size_t> try_ragged_bits(const requests<Q, K>& of, std::span<const interval> intervals,
                                              std::span<std::uint8_t> out, std::span<std::int32_t> indptr,
                                              polarity meaning = polarity::true_attends,
                                              bit_order order = bit_order::little)
{
    std::size_t bytes = 0, count = 0, sequences = 0;
    error reason;
    if (!detail::count_ragged(of, bytes, reason, [&](std::size_t, std::size_t) { ++sequences; }))
        return reason;
    count = of.measured().queries;
    const auto differs = [&](std::size_t needed, std::size_t given, std::string_view name) {
        return needed != given && !detail::fail(reason, error::of(given < needed ? errors::span_too_small
                                                                        : errors::span_too_large, needed, given, name));
    };
    if (differs(count, intervals.size(), "intervals") || differs(bytes, out.size(), "the mask") ||
        differs(sequences + 1, indptr.size(), "indptr"))
        return reason;
    std::size_t r = 0;
    const auto fits = [&](const place& at) {
        for (std::size_t i = 0; i < at.queries; ++i)
            if (!detail::is_within(intervals[at.first_query + i], at.keys))
                return detail::fail(reason, error::of_row(errors::interval_outside_keys, r, i, at.keys));
        ++r;
        return true;
    };
    if (!of.walk(fits, reason))
        return reason;
    detail::bit_writer writer(out.data(), order);
    of.walk(
        [&](const place& at) {
            for (std::size_t i = 0; i < at.queries; ++i)
                writer.put(intervals[at.first_query + i], at.keys, meaning == polarity::true_attends);
            writer.end_byte();
            return true;
        },
        reason);
    indptr[0] = 0;
    detail::count_ragged(of, bytes, reason,
                         [&](std::size_t s, std::size_t end) { indptr[s + 1] = static_cast<std::int32_t>(end); });
    return bytes;
}
// Returns the number of bytes.
template <integer_number Q, integer_number K>
constexpr std::size_t ragged_bits(const requests<Q, K>& of, std::span<const interval> intervals, std::span<std::uint8_t> out,
                                  std::span<std::int32_t> indptr, polarity meaning = polarity::true_attends,
                                  bit_order order = bit_order::little)
{
    return try_ragged_bits(of, intervals, out, indptr, meaning, order).value();
}

}  // namespace batten::mask

#endif
