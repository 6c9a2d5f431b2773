// SPDX-License-Identifier: MIT
// Which token a column is trained to predict, and how many columns that takes.
#ifndef BATTEN_TARGETS_HPP_INCLUDED
#define BATTEN_TARGETS_HPP_INCLUDED

#include <batten/integer.hpp>

#include <cstddef>

namespace batten {

// Which token a column is trained to predict, and so how many columns n tokens take. The option .targets of a collator.
enum class target_alignment : unsigned char {
    same_position,         // n columns; every token is its own target: encoders, MLM, token classification
    model_shifts,          // n columns; the label is at the token's own column, and the model shifts (HF). The first token of a
                           // segment is a target only at column 0 of a row of one segment, where the shift drops it
    next_token,            // n columns; the target of column j is token j + 1, the last column has none
    next_token_drop_last,  // n - 1 columns; the same without the last: 1025 tokens fit a width of 1024 (Megatron, llm.c)
};
using enum target_alignment;

// Columns that n tokens take.
constexpr std::size_t columns_of(target_alignment targets, std::size_t tokens) noexcept
{
    return targets == next_token_drop_last && tokens != 0 ? tokens - 1 : tokens;
}

// The most tokens that take n columns.
constexpr std::size_t tokens_of(target_alignment targets, std::size_t columns) noexcept
{
    return targets == next_token_drop_last && columns != no_limit ? columns + 1 : columns;
}

}  // namespace batten

#endif
