// SPDX-License-Identifier: MIT
// The rows of a batch: where each segment is. What masks and varlen_map read, of a batch or of lengths alone.
#ifndef BATTEN_ROWS_HPP_INCLUDED
#define BATTEN_ROWS_HPP_INCLUDED

#include <batten/detail/spans.hpp>
#include <batten/error.hpp>
#include <batten/integer.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>
#include <batten/side.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <utility>

namespace batten {

// The size of rows.
struct rows_shape {
    std::size_t rows = 0;
    std::size_t width = 0;

    friend constexpr bool operator==(const rows_shape&, const rows_shape&) noexcept = default;
};

namespace detail {

struct any_visit {
    constexpr bool operator()(const auto& /*at*/) const { return true; }
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

}  // namespace detail

// Models: padded_rows, varlen_rows, rows_by_segment_ids, segment_list, the segments() of every batch; and any type with
//
//     rows_shape shape() const
//     bool walk(visit, error& reason) const    visit(segment) for each segment, by growing row and first column, until visit
//                                              returns false; or the reason why not and false
//
// Of a segment `row`, `first_column`, `length` and `index_in_row` are read, and whether `sequence` is no_sequence: then its
// columns are pads that form a segment of their own.
//
// Requires  the same answer each time. Readers check each segment before the first write.
template <class Rows>
concept batch_rows = requires(const Rows& rows, detail::any_visit visit, error& reason) {
    { rows.shape() } -> std::same_as<rows_shape>;
    { rows.walk(visit, reason) } -> std::same_as<bool>;
};

// A batch that says where its segments are: segments() returns rows.
template <class Batch>
concept knows_rows = requires(const Batch& batch) {
    { batch.segments() } -> batch_rows;
};

// What masks and varlen_map take: rows, or a batch.
template <class T>
concept has_rows = batch_rows<T> || knows_rows<T>;

// A batch_rows: one sequence a row, of `lengths`, in `width` columns: padded_rows(lengths, width, pad_left{}). For lengths without
// a batch; a batch has segments().
//
// Requires  the lengths outlive it.
// Errors    a length that is negative or over the width; a side that puts a row past the width.
template <integer_number T, padding_side Side>
class padded_rows {
public:
    constexpr padded_rows(std::span<const T> lengths, std::size_t width, Side side) noexcept
        : lengths_(lengths), width_(width), side_(std::move(side))
    {
    }

    [[nodiscard]] constexpr rows_shape shape() const noexcept { return {lengths_.size(), width_}; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        for (std::size_t r = 0; r < lengths_.size(); ++r) {
            std::size_t length = 0;
            if (!detail::length_at(lengths_, r, length, reason))
                return false;
            if (length > width_)
                return detail::fail(reason, error::of_row(errors::segment_past_row, r, length, width_, "the row"));
            const std::size_t first = side_traits<Side>::offset(side_, length, width_);
            if (first > width_ - length)
                return detail::fail(reason, error::of_row(errors::offset_past_width, r, first, width_ - length));
            if (!visit(segment{.sequence = r, .kept = length, .length = length, .row = r, .first_column = first}))
                return false;
        }
        return true;
    }

private:
    std::span<const T> lengths_;
    std::size_t width_;
    [[no_unique_address]] Side side_;
};
template <detail::borrowed_integers R, padding_side Side>
padded_rows(R&&, std::size_t, Side) -> padded_rows<detail::element_of<R>, Side>;

// A batch_rows: one row of all sequences, sequence s in columns [cu_seqlens[s], cu_seqlens[s + 1]). Columns from the last
// offset up to `width` are pads; without a width there are none.
//
// Requires  the offsets outlive it.
// Errors    no offsets; a first one that is not 0; offsets that decrease, or pass the width.
template <integer_number T>
class varlen_rows {
public:
    constexpr explicit varlen_rows(std::span<const T> cu_seqlens) noexcept : varlen_rows(cu_seqlens, 0)
    {
        if (!cu_seqlens.empty() && std::cmp_greater(cu_seqlens.back(), 0))
            width_ = static_cast<std::size_t>(cu_seqlens.back());
    }
    constexpr varlen_rows(std::span<const T> cu_seqlens, std::size_t width) noexcept : offsets_(cu_seqlens), width_(width) {}

    [[nodiscard]] constexpr rows_shape shape() const noexcept { return {1, width_}; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        if (offsets_.empty())
            return detail::fail(reason, error::of(errors::input_empty, {}, {}, "cu_seqlens"));
        if (offsets_.front() != 0)
            return detail::fail(reason, error::of(errors::offsets_not_from_zero, offsets_.front(), {}, "cu_seqlens"));
        for (std::size_t s = 0; s + 1 < offsets_.size(); ++s) {
            if (offsets_[s + 1] < offsets_[s])
                return detail::fail(reason, error::of_row(errors::offsets_decrease, s, offsets_[s], offsets_[s + 1]));
            const auto first = static_cast<std::size_t>(offsets_[s]);
            const std::size_t length = static_cast<std::size_t>(offsets_[s + 1]) - first;
            if (!visit(segment{.sequence = s, .kept = length, .length = length, .first_column = first, .index_in_row = s}))
                return false;
        }
        return true;
    }

private:
    std::span<const T> offsets_;
    std::size_t width_ = 0;
};
template <detail::borrowed_integers R>
varlen_rows(R&&) -> varlen_rows<detail::element_of<R>>;
template <detail::borrowed_integers R>
varlen_rows(R&&, std::size_t) -> varlen_rows<detail::element_of<R>>;

// A batch_rows: rows of `width` columns with a number in each column, as the field segment_ids writes it. A run of one number
// is a segment, 0 a pad. An empty segment has no column, so there is none here.
//
// Requires  the numbers outlive it.
// Errors    numbers that do not fill whole rows.
template <integer_number T>
class rows_by_segment_ids {
public:
    constexpr rows_by_segment_ids(std::span<const T> segment_ids, std::size_t width) noexcept : ids_(segment_ids), width_(width)
    {
    }

    [[nodiscard]] constexpr rows_shape shape() const noexcept { return {width_ == 0 ? 0 : ids_.size() / width_, width_}; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        const std::size_t rows = shape().rows;
        if (ids_.size() != rows * width_)
            return detail::fail(reason, error::of(errors::span_too_large, rows * width_, ids_.size(), "segment_ids"));
        segment at;
        for (; at.row < rows; ++at.row) {
            const std::span<const T> row = ids_.subspan(at.row * width_, width_);
            at.index_in_row = 0;
            for (std::size_t first = 0, last = 0; first < width_; first = last) {
                while (last < width_ && row[last] == row[first])
                    ++last;
                if (row[first] == 0)
                    continue;
                at.first_column = first;
                at.kept = at.length = last - first;
                if (!visit(std::as_const(at)))
                    return false;
                ++at.sequence;
                ++at.index_in_row;
            }
        }
        return true;
    }

private:
    std::span<const T> ids_;
    std::size_t width_;
};
template <detail::borrowed_integers R>
rows_by_segment_ids(R&&, std::size_t) -> rows_by_segment_ids<detail::element_of<R>>;

// A batch_rows: the segments of a list, in rows of `shape`.
//
// Requires  the list outlives it.
class segment_list {
public:
    constexpr segment_list(std::span<const segment> segments, const rows_shape& shape) noexcept
        : segments_(segments), shape_(shape)
    {
    }

    [[nodiscard]] constexpr rows_shape shape() const noexcept { return shape_; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& /*reason*/) const
    {
        return std::all_of(segments_.begin(), segments_.end(), visit);
    }

private:
    std::span<const segment> segments_;
    rows_shape shape_;
};

// Whether the pads at the end of the last row are one more segment.
enum class pads_at_end : unsigned char {
    no_segment,
    one_segment
};

// A batch_rows: what a call reports of each segment, in the fields lengths, first_columns and segment_rows. `sequence` is the
// number of the segment in the batch. A batch returns it from segments().
//
// Requires  the numbers outlive it.
// Errors    lists of other sizes; a negative length.
template <integer_number Length, integer_number Column, integer_number Row>
class reported_rows {
public:
    constexpr reported_rows(std::span<const Length> lengths, std::span<const Column> first_columns,
                            std::span<const Row> segment_rows, const rows_shape& shape,
                            pads_at_end pads = pads_at_end::no_segment) noexcept
        : lengths_(lengths), first_columns_(first_columns), segment_rows_(segment_rows), shape_(shape), pads_(pads)
    {
    }

    [[nodiscard]] constexpr rows_shape shape() const noexcept { return shape_; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        if (first_columns_.size() != lengths_.size())
            return detail::fail(reason,
                                error::of(errors::count_mismatch, first_columns_.size(), lengths_.size(), "first_columns"));
        if (segment_rows_.size() != lengths_.size())
            return detail::fail(reason,
                                error::of(errors::count_mismatch, segment_rows_.size(), lengths_.size(), "segment_rows"));
        segment at;
        for (; at.sequence < lengths_.size(); ++at.sequence) {
            if (!detail::length_at(lengths_, at.sequence, at.length, reason))
                return false;
            const auto row = static_cast<std::size_t>(segment_rows_[at.sequence]);
            at.index_in_row = at.sequence != 0 && at.row == row ? at.index_in_row + 1 : 0;
            at.row = row;
            at.first_column = static_cast<std::size_t>(first_columns_[at.sequence]);
            at.kept = at.length;
            if (!visit(std::as_const(at)))
                return false;
        }
        return pads_ == pads_at_end::no_segment || visit(tail(at));
    }

private:
    // The columns after the last segment of the last row.
    constexpr segment tail(const segment& last) const noexcept
    {
        const bool is_alone = lengths_.empty() || last.row + 1 != shape_.rows;
        const std::size_t first = is_alone ? 0 : last.first_column + last.length;
        return {.sequence = no_sequence,
                .length = shape_.width - std::min(first, shape_.width),
                .row = shape_.rows == 0 ? 0 : shape_.rows - 1,
                .first_column = first,
                .index_in_row = is_alone ? 0 : last.index_in_row + 1};
    }

    std::span<const Length> lengths_;
    std::span<const Column> first_columns_;
    std::span<const Row> segment_rows_;
    rows_shape shape_;
    pads_at_end pads_;
};
template <detail::borrowed_integers L, detail::borrowed_integers C, detail::borrowed_integers R>
reported_rows(L&&, C&&, R&&, rows_shape, pads_at_end = pads_at_end::no_segment)
    -> reported_rows<detail::element_of<L>, detail::element_of<C>, detail::element_of<R>>;

namespace detail {

// The rows of what has_rows: themselves, or those of a batch.
template <batch_rows Rows>
constexpr const Rows& rows_of(const Rows& rows) noexcept
{
    return rows;
}
template <knows_rows Batch>
constexpr auto rows_of(const Batch& batch)
{
    return batch.segments();
}

// Checks segments one after the other: each in a row there is, within it, after the one before.
class segment_checker {
public:
    constexpr explicit segment_checker(const rows_shape& shape) noexcept : shape_(shape) {}

    constexpr bool check_shape(error& reason) const
    {
        std::size_t cells = 0;
        return multiply(shape_.rows, shape_.width, cells) ||
               fail(reason, error::of(errors::size_overflow, shape_.rows, shape_.width));
    }
    constexpr bool add(const segment& at, error& reason)
    {
        if (at.row >= shape_.rows)
            return fail(reason, error::of(errors::segment_row_out_of_range, at.row, shape_.rows));
        if (at.row > row_)
            free_ = 0;
        if (at.row < row_ || at.first_column < free_)
            return fail(reason, error::of_row(errors::segment_misplaced, at.row, at.first_column, free_));
        if (at.first_column > shape_.width || at.length > shape_.width - at.first_column)
            return fail(reason, error::of_row(errors::segment_past_row, at.row, at.first_column + at.length, shape_.width,
                                              "the row"));
        row_ = at.row;
        free_ = at.first_column + at.length;
        return true;
    }

private:
    rows_shape shape_;
    std::size_t row_ = 0;
    std::size_t free_ = 0;  // first column of row_ that no segment has
};

// What rows come to.
struct checked_rows {
    rows_shape shape{};
    std::size_t sequences = 0;   // segments but those of pads
    std::size_t tokens = 0;      // their columns
    std::size_t max_seqlen = 0;  // of the longest of them
};

// Reads rows through, and says why not where a segment is out of place. Cost: O(segments).
template <batch_rows Rows>
constexpr bool check_rows(const Rows& rows, checked_rows& found, error& reason)
{
    found = {.shape = rows.shape()};
    segment_checker checker(found.shape);
    return checker.check_shape(reason) && rows.walk(
        [&](const segment& at) {
            if (!checker.add(at, reason))
                return false;
            if (at.sequence != no_sequence) {
                found.sequences += 1;
                found.tokens += at.length;
                found.max_seqlen = std::max(found.max_seqlen, at.length);
            }
            return true;
        },
        reason);
}

}  // namespace detail

}  // namespace batten

#endif
