// SPDX-License-Identifier: MIT
// The tight packer: bins filled to the brim, by patterns that column generation finds on the histogram.
#ifndef BATTEN_PLAN_TIGHT_HPP_INCLUDED
#define BATTEN_PLAN_TIGHT_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/plan/detail/pack.hpp>
#include <batten/plan/detail/tight_packer.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/packing.hpp>
#include <batten/sequences.hpp>

#include <ranges>

namespace batten::plan {

// Packs into nearly full bins: solves the relaxation of Gilmore and Gomory by column generation, rounds it, and packs the rest
// by subset sums. On most lists the fewest bins possible, never more than best fit, whose result is returned where it reaches
// a bound.
// bounds.lp has a value where the relaxation was solved on all lengths as they are: up to 600 of them, and 1 Mi lengths * slots.
//
// Errors   those of pack_best_fit.
// Cost     bounded by a number of steps, not by a clock: a few tenths of a second, at most about a second, whatever n is;
//          for a list of lengths O(n) more.
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] result<packing> try_pack_tight(const Lengths& lengths, const packing_options& options)
{
    packing packed;
    error reason;
    if (!detail::pack_lengths(lengths, options, detail::tight_method{}, packed, reason))
        return reason;
    return packed;
}
[[nodiscard]] inline result<pattern_packing> try_pack_tight(const histogram& lengths, const packing_options& options)
{
    pattern_packing packed;
    error reason;
    if (!detail::pack_histogram(lengths, options, detail::tight_method{}, packed, reason))
        return reason;
    return packed;
}
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] packing pack_tight(const Lengths& lengths, const packing_options& options)
{
    return try_pack_tight(lengths, options).value();
}
[[nodiscard]] inline pattern_packing pack_tight(const histogram& lengths, const packing_options& options)
{
    return try_pack_tight(lengths, options).value();
}

}  // namespace batten::plan

#endif
