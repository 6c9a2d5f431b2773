// SPDX-License-Identifier: MIT
// The prefill that a decode_batch starts from: where its rows begin and end, and whether they leave room for a next token.
#ifndef BATTEN_SERVE_DETAIL_PREFILL_HPP_INCLUDED
#define BATTEN_SERVE_DETAIL_PREFILL_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/cache_policy.hpp>
#include <batten/serve/errors.hpp>
#include <batten/side.hpp>

#include <concepts>
#include <cstddef>
#include <utility>

namespace batten::serve::detail {

using namespace batten::detail;

// A batch that owns its memory or refers to it, as a collator makes it.
template <class Batch>
concept collated = requires(const Batch& batch) {
    { batch.rows() } -> std::same_as<std::size_t>;
    { batch.width() } -> std::same_as<std::size_t>;
    batch.lengths();
    batch.first_columns();
    batch.segment_rows();
};

// Where the rows of a prefill begin: its side, or the first column of each row.
template <class Begin>
concept row_begins = padding_side<Begin> || integer_range<Begin>;

// Where rows may begin anywhere.
struct any_column {
    static constexpr std::size_t offset(std::size_t /*length*/, std::size_t /*width*/) noexcept { return 0; }
};

// Whether each row of a batch is one sequence.
template <class Batch>
constexpr bool check_one_sequence_per_row(const Batch& prefill, error& reason)
{
    const auto rows_of = prefill.segment_rows();
    for (std::size_t r = 0; r < prefill.rows(); ++r)
        if (r >= rows_of.size() || std::cmp_not_equal(rows_of[r], r))
            return fail(reason, error::of_row(errors::prefill_row_shared, r));
    return rows_of.size() == prefill.rows() ||
           fail(reason, error::of_row(errors::prefill_row_shared, static_cast<std::size_t>(rows_of.back())));
}

// The first column of row r. Requires: length <= width.
template <class Begin>
constexpr bool find_first_column(const Begin& begin, std::size_t r, std::size_t length, std::size_t width, std::size_t& first,
                                 error& reason)
{
    if constexpr (integer_range<Begin>) {
        const auto given = element_at(begin, r);
        if (std::cmp_less(given, 0) || std::cmp_greater(given, width - length))
            return fail(reason, error::of_row(errors::first_column_out_of_range, r, given, width - length));
        first = static_cast<std::size_t>(given);
        return true;
    } else {
        first = side_traits<Begin>::offset(begin, length, width);
        return first <= width - length || fail(reason, error::of_row(errors::offset_past_width, r, first, width - length));
    }
}

// Whether each row is inside the width, and its next token takes a column after it.
template <cache_policy Cache, class Lengths, class Begin>
constexpr bool check_prefill(const Lengths& lengths, const Begin& begin, std::size_t width, error& reason)
{
    const std::size_t rows = count(lengths);
    if constexpr (integer_range<Begin>)
        if (count(begin) != rows)
            return fail(reason, error::of(errors::count_mismatch, count(begin), rows, "first columns"));
    for (std::size_t r = 0; r < rows; ++r) {
        const auto given = element_at(lengths, r);
        if (std::cmp_less(given, 0))
            return fail(reason, error::of_row(errors::length_negative, r, given));
        if (std::cmp_greater(given, width))
            return fail(reason, error::of_row(errors::segment_past_row, r, given, width, "the prefill"));
        const auto length = static_cast<std::size_t>(given);
        std::size_t first = 0;
        if (!find_first_column(begin, r, length, width, first, reason))
            return false;
        if (const std::size_t next = Cache::next(width, length); length != 0 && next < first + length)
            return fail(reason, error::of_row(errors::cache_column_taken, r, next, first + length));
    }
    return true;
}

}  // namespace batten::serve::detail

#endif
