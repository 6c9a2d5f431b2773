// SPDX-License-Identifier: MIT
// A segment: one slice of one sequence, and its place in a batch.
#ifndef BATTEN_SEGMENT_HPP_INCLUDED
#define BATTEN_SEGMENT_HPP_INCLUDED

#include <cstddef>

namespace batten {

// One slice of one sequence, and where it lies.
struct segment {
    std::size_t sequence = 0;        // which sequence of the inputs
    std::size_t source_begin = 0;    // its first token that is kept
    std::size_t kept = 0;            // tokens kept, [source_begin, source_begin + kept)
    std::size_t dropped = 0;         // tokens of the sequence that are not
    std::size_t length = 0;          // columns that it takes: kept, or one less where the last token is a target alone
    std::size_t position_begin = 0;  // position of its first column
    std::size_t first_column = 0;    // its first column; from a layout: counted from the row's first real token
    std::size_t index_in_row = 0;    // 0 for the first segment of the row
};

}  // namespace batten

#endif
