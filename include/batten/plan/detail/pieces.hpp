// SPDX-License-Identifier: MIT
// The pieces of sequences: where long ones are cut, and the slots that each piece takes.
#ifndef BATTEN_PLAN_DETAIL_PIECES_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_PIECES_HPP_INCLUDED

#include <batten/bins.hpp>
#include <batten/detail/checks.hpp>
#include <batten/error.hpp>
#include <batten/plan/errors.hpp>
#include <batten/plan/order.hpp>
#include <batten/plan/packing.hpp>
#include <batten/sequences.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan::detail {

// The rule by which sequences are cut, and the slots that pieces take.
struct piece_rule {
    std::size_t slots = 0;     // of a bin
    std::size_t longest = 0;   // tokens that a bin holds
    std::size_t step = 0;      // tokens from the begin of a piece to that of the next
    std::size_t multiple = 1;  // columns of a slot
    target_alignment targets = model_shifts;

    constexpr std::size_t pieces(std::size_t tokens) const noexcept
    {
        return tokens <= longest ? 1 : 1 + (tokens - longest - 1) / step + 1;
    }
    constexpr piece at(std::size_t sequence, std::size_t tokens, std::size_t i) const noexcept
    {
        return {static_cast<std::uint32_t>(sequence), static_cast<std::uint32_t>(i * step),
                static_cast<std::uint32_t>(std::min(longest, tokens - i * step))};
    }
    constexpr std::size_t slots_of(std::size_t tokens) const noexcept
    {
        const std::size_t columns = batten::columns_of(targets, tokens);
        return multiple == 1 ? columns : columns / multiple + (columns % multiple != 0 ? 1 : 0);
    }
};

constexpr bool make_rule(const packing_options& options, piece_rule& rule, error& reason)
{
    if (!require_positive(options.capacity, "capacity", reason) ||
        !require_positive(options.max_per_bin, "max_per_bin", reason) ||
        !require_positive(options.slot_multiple, "slot_multiple", reason) ||
        !require_positive(options.bins_multiple, "bins_multiple", reason))
        return false;
    if (options.capacity < options.slot_multiple)
        return fail(reason, error::of(errors::capacity_too_small, options.capacity, options.slot_multiple));
    rule.slots = options.capacity / options.slot_multiple;
    rule.longest = batten::tokens_of(options.targets, rule.slots * options.slot_multiple);
    rule.step = rule.longest;
    rule.multiple = options.slot_multiple;
    rule.targets = options.targets;
    if (options.over == over_capacity::is_split_with_overlap && --rule.step == 0)
        return fail(reason, error::of(errors::capacity_too_small, options.capacity, 2));
    return true;
}

// The pieces of a list of lengths, in its order. Stores none where every sequence is one piece.
template <class Lengths>
class piece_list {
public:
    constexpr piece_list(const Lengths& lengths, const piece_rule& rule)
        : lengths_(lengths), rule_(rule), size_(static_cast<std::size_t>(std::ranges::size(lengths)))
    {
    }

    // Checks every length, and cuts the sequences that are longer than a bin.
    constexpr bool make(const packing_options& options, error& reason)
    {
        constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
        if (size_ > most)
            return fail(reason, error::of(errors::value_not_representable, size_ - 1, {}, "piece.sequence"));
        std::size_t pieces = 0;
        std::size_t i = 0;
        for (const auto length : lengths_) {
            if (std::cmp_less(length, 0))
                return fail(reason, error::of_row(errors::length_negative, i, length));
            if (options.over == over_capacity::is_error && std::cmp_greater(length, rule_.longest))
                return fail(reason, error::of_row(errors::row_over_limit, i, length, rule_.longest));
            if (std::cmp_greater(length, most))
                return fail(reason, error::of_row(errors::value_not_representable, i, length, {}, "piece.length"));
            pieces += rule_.pieces(static_cast<std::size_t>(length));
            ++i;
        }
        if (pieces == size_)
            return true;
        if (pieces > most)
            return fail(reason, error::of(errors::value_not_representable, pieces, {}, "the order of pieces"));
        cut_.reserve(pieces);
        for (std::size_t r = 0; r < size_; ++r)
            for (std::size_t k = 0; k < rule_.pieces(length(r)); ++k)
                cut_.push_back(rule_.at(r, length(r), k));
        size_ = pieces;
        return true;
    }

    constexpr std::size_t size() const noexcept { return size_; }
    constexpr piece operator[](std::size_t i) const
    {
        return cut_.empty() ? piece{static_cast<std::uint32_t>(i), 0, static_cast<std::uint32_t>(length(i))} : cut_[i];
    }
    constexpr std::size_t slots(std::size_t i) const { return rule_.slots_of((*this)[i].length); }

    // The numbers of the pieces, shortest first, equal ones in their order.
    constexpr void order(std::span<std::uint32_t> out) const
    {
        if (cut_.empty()) {
            stable_order(lengths_, out);
            return;
        }
        std::vector<std::uint32_t> lengths;
        lengths.reserve(cut_.size());
        for (const piece& p : cut_)
            lengths.push_back(p.length);
        stable_order(lengths, out);
    }

private:
    constexpr std::size_t length(std::size_t r) const { return length_at(lengths_, r); }

    const Lengths& lengths_;
    const piece_rule& rule_;
    std::size_t size_;
    std::vector<piece> cut_{};
};

}  // namespace batten::plan::detail

#endif
