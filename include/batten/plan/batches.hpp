// SPDX-License-Identifier: MIT
// Plans batches of sequences from their lengths.
#ifndef BATTEN_PLAN_BATCHES_HPP_INCLUDED
#define BATTEN_PLAN_BATCHES_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/plan/batch_options.hpp>
#include <batten/plan/batch_plan.hpp>
#include <batten/plan/detail/batch_planner.hpp>
#include <batten/sequences.hpp>

#include <concepts>
#include <cstdint>
#include <ranges>

namespace batten::plan {

// Plans batches for sequences of these lengths: a pure function of its arguments, the same on every machine.
//
//     auto plan = batten::plan::batches(lengths, {.group = grouping::windows, .max_cells = 16384, .seed = 7});
//     for (auto batch : plan)
//         collate(batten::select(inputs, batch.rows), memory);
//
// Errors   neither max_rows nor max_cells; an option of 0; a negative length; a single sequence over max_cells (row, its
//          length, its width, max_cells) or over the last edge (row, its length, the edge); more than half as many sequences
//          as Index can number, or more rows with the repeated ones; a width that Index cannot hold.
// Cost     O(n + longest); memory of the plan 4 bytes a sequence and 8 a batch (Index of 4 bytes), while it is made up to 12
//          bytes a sequence and 12 a batch more.
template <std::unsigned_integral Index = std::uint32_t, std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr result<batch_plan<Index>> try_batches(const Lengths& lengths, const batch_options& options)
{
    batch_plan<Index> plan;
    error reason;
    if (!detail::batch_planner<Index, Lengths>(lengths, options).run(plan, reason))
        return reason;
    return plan;
}
template <std::unsigned_integral Index = std::uint32_t, std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr batch_plan<Index> batches(const Lengths& lengths, const batch_options& options)
{
    return try_batches<Index>(lengths, options).value();
}

}  // namespace batten::plan

#endif
