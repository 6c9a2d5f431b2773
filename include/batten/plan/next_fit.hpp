// SPDX-License-Identifier: MIT
// Next fit: packs sequences in their order.
#ifndef BATTEN_PLAN_NEXT_FIT_HPP_INCLUDED
#define BATTEN_PLAN_NEXT_FIT_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/plan/detail/bin_problem.hpp>
#include <batten/plan/detail/pack.hpp>
#include <batten/plan/detail/pieces.hpp>
#include <batten/plan/packing.hpp>
#include <batten/sequences.hpp>

#include <cstddef>
#include <ranges>

namespace batten::plan {

// Packs sequences in their order; one that does not fit closes the bin and opens the next.
//
// Errors   a capacity, max_per_bin, slot_multiple or bins_multiple of 0; a capacity below a slot, or of one token with
//          overlap; a negative length (row, length) or one over the capacity (row, length, tokens that a bin holds); more
//          sequences, or longer ones, than a piece can hold.
// Cost     O(n).
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr result<packing> try_pack_next_fit(const Lengths& lengths, const packing_options& options)
{
    error reason;
    detail::piece_rule rule;
    if (!detail::make_rule(options, rule, reason))
        return reason;
    detail::piece_list<Lengths> pieces(lengths, rule);
    if (!pieces.make(options, reason))
        return reason;
    packing packed;
    if (!detail::find_bounds_of(pieces, options, rule, packed.bounds, reason))
        return reason;
    packed.capacity = options.capacity;
    packed.slot_multiple = options.slot_multiple;
    packed.pieces.reserve(pieces.size());
    std::size_t free = rule.slots;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        const std::size_t size = pieces.slots(i);
        if (i != 0 && (size > free || packed.pieces.size() - packed.offsets.back() == options.max_per_bin)) {
            packed.offsets.push_back(i);
            free = rule.slots;
        }
        free -= size;
        packed.pieces.push_back(pieces[i]);
    }
    if (!packed.pieces.empty())
        packed.offsets.push_back(packed.pieces.size());
    detail::round_up_bins(packed.offsets, options.bins_multiple);
    return packed;
}
template <std::ranges::random_access_range Lengths>
    requires integer_number<std::ranges::range_value_t<Lengths>>
[[nodiscard]] constexpr packing pack_next_fit(const Lengths& lengths, const packing_options& options)
{
    return try_pack_next_fit(lengths, options).value();
}

}  // namespace batten::plan

#endif
