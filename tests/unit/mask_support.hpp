// SPDX-License-Identifier: MIT
// The obvious attention mask: for every query and key, a predicate of where they stand in which sequence.
#ifndef BATTEN_TESTS_MASK_SUPPORT_HPP_INCLUDED
#define BATTEN_TESTS_MASK_SUPPORT_HPP_INCLUDED

#include "support.hpp"

#include <batten/mask/intervals.hpp>

#include <cstddef>
#include <vector>

namespace tests {

namespace mask = batten::mask;

// One column of a row: which sequence of the batch, -1 for a pad, and its index in that sequence.
struct column {
    int sequence = -1;
    int position = 0;
};
using rows_of_columns = std::vector<std::vector<column>>;

// A row as lengths, pads given as negative numbers: {2, -1, 3} is two tokens, a pad, three tokens.
using row_of_runs = std::vector<int>;

inline rows_of_columns columns_of(const std::vector<row_of_runs>& rows)
{
    rows_of_columns made;
    int sequence = 0;
    for (const row_of_runs& runs : rows) {
        made.emplace_back();
        for (const int run : runs) {
            for (int i = 0; i < run; ++i)
                made.back().push_back({sequence, i});
            for (int i = 0; i < -run; ++i)
                made.back().push_back({});
            sequence += run >= 0 ? 1 : 0;
        }
    }
    return made;
}

// The same as segments.
inline std::vector<batten::segment> segments_of(const std::vector<row_of_runs>& rows)
{
    std::vector<batten::segment> segments;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        std::size_t at = 0;
        for (const int run : rows[r]) {
            if (run >= 0)
                segments.push_back({.length = static_cast<std::size_t>(run), .row = r, .first_column = at});
            at += static_cast<std::size_t>(run >= 0 ? run : -run);
        }
    }
    return segments;
}

inline mask::dimensions shape_of(const mask::query_rows auto& where) { return where.shape(); }
inline mask::dimensions shape_of(const batten::batch_rows auto& where)
{
    return {where.shape().rows, where.shape().width, where.shape().width};
}
inline mask::dimensions shape_of(const batten::knows_rows auto& batch) { return {batch.rows(), batch.width(), batch.width()}; }

template <class Where, class Kind>
std::vector<mask::interval> intervals_of(const Where& where, const Kind& kind,
                                         mask::fully_masked policy = mask::fully_masked::leave)
{
    std::vector<mask::interval> out(mask::interval_count(where), mask::interval{77, -77});
    CHECK(mask::intervals(where, kind, out, policy) == shape_of(where));
    return out;
}

}  // namespace tests

#endif
