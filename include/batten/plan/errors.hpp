// SPDX-License-Identifier: MIT
// The errors of planning, beside those of the core: codes and sentences (error.hpp says how they are read).
#ifndef BATTEN_PLAN_ERRORS_HPP_INCLUDED
#define BATTEN_PLAN_ERRORS_HPP_INCLUDED

#include <batten/error.hpp>

namespace batten::plan::errors {

using namespace batten::errors;

// ---- Costs and limits 

// -, a width, a larger width that costs less
inline constexpr error_text cost_decreases{"cost_decreases", "a width of {second} costs less than a width of {first}"};
// -, the capacity, the least
inline constexpr error_text capacity_too_small{
    "capacity_too_small", "a capacity of {first} columns is too small, the least is {second}"};
// -, the capacity, the most
inline constexpr error_text capacity_too_large{
    "capacity_too_large", "a capacity of {first} columns is too large, the most is {second}"};

// row, its tokens, the cells that it takes in a batch of its own; third: the limit
inline constexpr error_text row_over_max_cells{
    "row_over_max_cells", "{row} has {first} tokens and takes {second} cells when padded, max_cells is {third}"};
// -, the number, the largest one allowed; field: what is counted
inline constexpr error_text index_too_narrow{
    "index_too_narrow", "{name} comes to {first}, the index type of the plan allows at most {second}"};

// ---- Ranks and resuming 

// -, the rank, number of ranks
inline constexpr error_text rank_out_of_range{"rank_out_of_range", "there is no rank {first} of {second} ranks"};
// -, the batch, number of batches
inline constexpr error_text batch_out_of_range{"batch_out_of_range", "there is no batch {first}, the plan has {second}"};
// -; field: what refuses the state
inline constexpr error_text state_of_another{"state_of_another", "the state does not belong to {name}"};

}  // namespace batten::plan::errors

#endif
