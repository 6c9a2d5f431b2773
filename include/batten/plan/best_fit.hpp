// SPDX-License-Identifier: MIT
// Best fit decreasing: packs the longest sequences first, each into the fullest bin that holds it.
#ifndef BATTEN_PLAN_BEST_FIT_HPP_INCLUDED
#define BATTEN_PLAN_BEST_FIT_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/plan/detail/best_fit_packer.hpp>
#include <batten/plan/detail/pack.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/packing.hpp>
#include <batten/sequences.hpp>

#include <ranges>

namespace batten::plan {

// Packs by best fit decreasing: the longest first, each into the bin with the least free space that holds it; equal lengths in
// their order.
//
// Errors   those of pack_next_fit; a capacity over 64 Mi slots, where the sequences together are longer than that.
// Cost     O(n + longest + capacity), since lengths are sorted by counting; of a histogram O(distinct lengths + capacity +
//          patterns), whatever n is.
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr result<packing> try_pack_best_fit(const Lengths& lengths, const packing_options& options)
{
    packing packed;
    error reason;
    if (!detail::pack_lengths(lengths, options, detail::best_fit_method{}, packed, reason))
        return reason;
    return packed;
}
[[nodiscard]] constexpr result<pattern_packing> try_pack_best_fit(const histogram& lengths, const packing_options& options)
{
    pattern_packing packed;
    error reason;
    if (!detail::pack_histogram(lengths, options, detail::best_fit_method{}, packed, reason))
        return reason;
    return packed;
}
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr packing pack_best_fit(const Lengths& lengths, const packing_options& options)
{
    return try_pack_best_fit(lengths, options).value();
}
[[nodiscard]] constexpr pattern_packing pack_best_fit(const histogram& lengths, const packing_options& options)
{
    return try_pack_best_fit(lengths, options).value();
}

}  // namespace batten::plan

#endif
