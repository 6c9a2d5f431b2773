// SPDX-License-Identifier: MIT
// A segment: one slice of one sequence, and its place in a batch.
#ifndef BATTEN_SEGMENT_HPP_INCLUDED
#define BATTEN_SEGMENT_HPP_INCLUDED

#include <batten/integer.hpp>

#include <cstddef>

namespace batten {

// The sequence of a segment that has none: a run of pads that is a segment of its own, as the tail of a varlen row may be.
inline constexpr std::size_t no_sequence = no_limit;

// One slice of one sequence, and its place in a batch: the only description of where tokens are.
struct segment {
    std::size_t sequence = 0;        // which sequence of the inputs
    std::size_t source_begin = 0;    // index in the sequence of the first token kept
    std::size_t kept = 0;            // tokens kept: [source_begin, source_begin + kept)
    std::size_t dropped = 0;         // tokens of the sequence that truncation dropped
    std::size_t length = 0;          // columns with a token: kept, or one less where the last token kept is a target alone
    std::size_t position_begin = 0;  // position of its first column
    std::size_t row = 0;             // row of the batch; a layout leaves it 0
    std::size_t first_column = 0;    // first column in the row; from a layout: counted from the first column that is in use
    std::size_t slot = 0;            // columns that it reserves from first_column on, the rest of them pads; 0: `length`
    std::size_t index_in_row = 0;    // 0 for the first segment of the row

    // Columns that it takes up, pads of its slot included.
    [[nodiscard]] constexpr std::size_t columns() const noexcept { return slot > length ? slot : length; }

    friend constexpr bool operator==(const segment&, const segment&) noexcept = default;
};

}  // namespace batten

#endif
