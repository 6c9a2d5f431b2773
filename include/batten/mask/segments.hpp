// SPDX-License-Identifier: MIT
// Where the sequences of a batch stand in an attention mask: rows of one sequence, rows of several, one packed row, requests.
#ifndef BATTEN_MASK_SEGMENTS_HPP_INCLUDED
#define BATTEN_MASK_SEGMENTS_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/mask/errors.hpp>
#include <batten/sequences.hpp>
#include <batten/side.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <span>
#include <utility>

namespace batten::mask {

// Rows of a mask, queries of each row, keys that each query has to choose from.
struct dimensions {
    std::size_t rows = 0;
    std::size_t queries = 0;
    std::size_t keys = 0;
    friend constexpr bool operator==(const dimensions&, const dimensions&) noexcept = default;
};

// One sequence in a mask. Its queries are the last of its keys: query i stands at key keys - queries + i.
struct place {
    std::size_t row = 0;
    std::size_t first_query = 0;
    std::size_t queries = 0;
    std::size_t first_key = 0;
    std::size_t keys = 0;

    // Where tokens attend to one another: as many queries as keys, in the same columns.
    [[nodiscard]] static constexpr place of_columns(std::size_t row, std::size_t first_column, std::size_t length) noexcept
    {
        return {row, first_column, length, first_column, length};
    }
    friend constexpr bool operator==(const place&, const place&) noexcept = default;
};

namespace detail {

using batten::detail::fail;

struct any_visit {
    constexpr bool operator()(const place& /*at*/) const { return true; }
};

// lengths[i] as a size, or false with the reason.
template <integer_number T>
constexpr bool length_at(std::span<const T> lengths, std::size_t i, std::size_t& length, error& reason)
{
    if (std::cmp_less(lengths[i], 0))
        return fail(reason, error::of_row(errors::length_negative, i, lengths[i]));
    length = static_cast<std::size_t>(lengths[i]);
    return true;
}

template <class R>
concept token_memory = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                       integer_number<std::remove_cv_t<std::ranges::range_value_t<R>>> && std::ranges::borrowed_range<R>;

template <class R>
using token_of = std::remove_cv_t<std::ranges::range_value_t<R>>;

}  // namespace detail

// Models: padded_rows, packed_row, rows_by_segment_ids, requests, placed; and any type with
//
//     dimensions measured() const           what the mask is made of
//     bool walk(visit, error& reason) const visit(place) for each sequence, by growing row and first query, until one says
//                                           false; or false and the reason why not
//
// Nothing is trusted: whoever reads an arrangement checks every place before the first write.
template <class Where>
concept arrangement = requires(const Where& where, detail::any_visit visit, error& reason) {
    { where.measured() } -> std::same_as<dimensions>;
    { where.walk(visit, reason) } -> std::same_as<bool>;
};

// An arrangement: one sequence a row, of `lengths`, in `width` columns:
//
//     mask::padded_rows(batch.lengths(), batch.width(), batten::pad_left{})
template <integer_number T, padding_side Side = pad_right>
class padded_rows {
public:
    constexpr padded_rows(std::span<const T> lengths, std::size_t width, Side side = {}) noexcept
        : lengths_(lengths), width_(width), side_(side)
    {
    }

    [[nodiscard]] constexpr dimensions measured() const noexcept { return {lengths_.size(), width_, width_}; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        for (std::size_t r = 0; r < lengths_.size(); ++r) {
            std::size_t length = 0;
            if (!detail::length_at(lengths_, r, length, reason))
                return false;
            if (length > width_)
                return detail::fail(reason, error::of_row(errors::segment_past_row, r, length, width_, "the row"));
            if (!visit(place::of_columns(r, side_traits<Side>::offset(side_, length, width_), length)))
                return false;
        }
        return true;
    }

private:
    std::span<const T> lengths_;
    std::size_t width_;
    [[no_unique_address]] Side side_;
};
template <detail::token_memory R, padding_side Side = pad_right>
padded_rows(R&&, std::size_t, Side = {}) -> padded_rows<detail::token_of<R>, Side>;

// An arrangement: one row of all sequences, sequence s in columns [cu_seqlens[s], cu_seqlens[s + 1]). Columns from the last
// offset up to `width` are pads.
template <integer_number T>
class packed_row {
public:
    constexpr explicit packed_row(std::span<const T> cu_seqlens) noexcept : packed_row(cu_seqlens, 0)
    {
        if (!cu_seqlens.empty() && std::cmp_greater(cu_seqlens.back(), 0))
            width_ = static_cast<std::size_t>(cu_seqlens.back());
    }
    constexpr packed_row(std::span<const T> cu_seqlens, std::size_t width) noexcept : offsets_(cu_seqlens), width_(width) {}

    [[nodiscard]] constexpr dimensions measured() const noexcept { return {1, width_, width_}; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        if (offsets_.empty())
            return detail::fail(reason, error::of(errors::input_empty, {}, {}, "cu_seqlens"));
        if (offsets_.front() != 0)
            return detail::fail(reason,
                                error::of(errors::offsets_not_from_zero, offsets_.front(), {}, "cu_seqlens"));
        for (std::size_t s = 0; s + 1 < offsets_.size(); ++s) {
            if (offsets_[s + 1] < offsets_[s])
                return detail::fail(reason, error::of_row(errors::offsets_decrease, s, offsets_[s], offsets_[s + 1]));
            const auto begin = static_cast<std::size_t>(offsets_[s]);
            if (!visit(place::of_columns(0, begin, static_cast<std::size_t>(offsets_[s + 1]) - begin)))
                return false;
        }
        return true;
    }

private:
    std::span<const T> offsets_;
    std::size_t width_ = 0;
};
template <detail::token_memory R>
packed_row(R&&) -> packed_row<detail::token_of<R>>;
template <detail::token_memory R>
packed_row(R&&, std::size_t) -> packed_row<detail::token_of<R>>;

// An arrangement: rows of `width` columns whose sequences are told by a number in each column, as the field segment_ids writes
// it. A run of one number is a sequence, 0 a pad.
template <integer_number T>
class rows_by_segment_ids {
public:
    constexpr rows_by_segment_ids(std::span<const T> segment_ids, std::size_t width) noexcept : ids_(segment_ids), width_(width)
    {
    }

    [[nodiscard]] constexpr dimensions measured() const noexcept
    {
        return {width_ == 0 ? 0 : ids_.size() / width_, width_, width_};
    }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        const std::size_t rows = measured().rows;
        if (ids_.size() != rows * width_)
            return detail::fail(
                reason, error::of(errors::span_too_large, rows * width_, ids_.size(), "segment_ids"));
        for (std::size_t r = 0; r < rows; ++r) {
            const std::span<const T> row = ids_.subspan(r * width_, width_);
            for (std::size_t first = 0, last = 0; first < width_; first = last) {
                while (last < width_ && row[last] == row[first])
                    ++last;
                if (row[first] != 0 && !visit(place::of_columns(r, first, last - first)))
                    return false;
            }
        }
        return true;
    }

private:
    std::span<const T> ids_;
    std::size_t width_;
};
template <detail::token_memory R>
rows_by_segment_ids(R&&, std::size_t) -> rows_by_segment_ids<detail::token_of<R>>;

// An arrangement: requests as kernels for serving take them, queries packed one behind the other, each over the keys of its own
// request, counted from 0. A request's queries are the last of its keys: chunked prefill, speculation.
template <integer_number Q, integer_number K = Q>
class requests {
public:
    constexpr requests(std::span<const Q> query_lengths, std::span<const K> key_lengths) noexcept
        : queries_(query_lengths), keys_(key_lengths)
    {
    }

    // One row of all queries; keys: the most that a request has. Negative lengths, which walk refuses, count nothing.
    [[nodiscard]] constexpr dimensions measured() const noexcept
    {
        dimensions of{1, 0, 0};
        for (const Q length : queries_)
            if (std::cmp_greater(length, 0) && !batten::detail::add(of.queries, static_cast<std::size_t>(length), of.queries))
                return {1, batten::detail::size_limit, 0};
        for (const K length : keys_)
            if (std::cmp_greater(length, of.keys))
                of.keys = static_cast<std::size_t>(length);
        return of;
    }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        if (queries_.size() != keys_.size())
            return detail::fail(
                reason, error::of(errors::count_mismatch, keys_.size(), queries_.size(), "key_lengths"));
        std::size_t first = 0;
        for (std::size_t r = 0; r < queries_.size(); ++r) {
            std::size_t queries = 0, keys = 0;
            if (!detail::length_at(queries_, r, queries, reason) || !detail::length_at(keys_, r, keys, reason))
                return false;
            if (queries > keys)
                return detail::fail(reason, error::of_row(errors::queries_past_keys, r, queries, keys));
            if (!visit(place{0, first, queries, 0, keys}))
                return false;
            first += queries;
        }
        return true;
    }

private:
    std::span<const Q> queries_;
    std::span<const K> keys_;
};
template <detail::token_memory Q, detail::token_memory K>
requests(Q&&, K&&) -> requests<detail::token_of<Q>, detail::token_of<K>>;

// An arrangement: any. Rows of several sequences, one query a row over a KV cache, whatever a list can say.
class placed {
public:
    constexpr placed(std::span<const place> places, dimensions of) noexcept : places_(places), of_(of) {}

    [[nodiscard]] constexpr dimensions measured() const noexcept { return of_; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& /*reason*/) const
    {
        return std::all_of(places_.begin(), places_.end(), visit);
    }

private:
    std::span<const place> places_;
    dimensions of_;
};

namespace detail {

// What an arrangement came to.
struct arranged {
    dimensions of{};
    std::size_t sequences = 0;
    std::size_t queries = 0;  // of sequences; all others are pads
};

// Reads an arrangement through: sizes that fit, every place within its row, none over another. O(sequences).
template <arrangement Where>
constexpr bool check_arrangement(const Where& where, arranged& found, error& reason)
{
    found = {where.measured(), 0, 0};
    const dimensions& of = found.of;
    std::size_t cells = 0;
    if (!batten::detail::multiply(of.rows, of.queries, cells))
        return fail(reason, error::of(errors::size_overflow, of.rows, of.queries));
    if (std::cmp_greater(of.keys, std::numeric_limits<std::int32_t>::max()))
        return fail(reason, error::of(errors::value_not_representable, of.keys, {}, "intervals"));
    std::size_t row = 0, free = 0;
    return where.walk(
        [&](const place& at) {
            if (at.row >= of.rows)
                return fail(reason, error::of(errors::segment_row_out_of_range, at.row, of.rows));
            if (at.row > row)
                free = 0;
            if (at.row < row || at.first_query < free)
                return fail(reason, error::of_row(errors::segment_misplaced, at.row, at.first_query, free));
            if (at.first_query > of.queries || at.queries > of.queries - at.first_query)
                return fail(reason,
                            error::of_row(errors::segment_past_row, at.row, at.first_query + at.queries, of.queries, "its queries"));
            if (at.first_key > of.keys || at.keys > of.keys - at.first_key)
                return fail(reason, error::of_row(errors::segment_past_row, at.row, at.first_key + at.keys, of.keys, "its keys"));
            if (at.queries > at.keys)
                return fail(reason, error::of_row(errors::queries_past_keys, at.row, at.queries, at.keys));
            row = at.row;
            free = at.first_query + at.queries;
            found.sequences += 1;
            found.queries += at.queries;
            return true;
        },
        reason);
}

}  // namespace detail

}  // namespace batten::mask

#endif
