// SPDX-License-Identifier: MIT
// Runs a method that solves bin problems on a list of lengths or on a histogram.
#ifndef BATTEN_PLAN_DETAIL_PACK_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_PACK_HPP_INCLUDED

#include <batten/bins.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/plan/detail/bin_problem.hpp>
#include <batten/plan/detail/pieces.hpp>
#include <batten/plan/errors.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/packing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <utility>
#include <vector>

namespace batten::plan::detail {

constexpr std::uint64_t bins_missing(std::uint64_t bins, std::uint64_t multiple) noexcept
{
    return (multiple - bins % multiple) % multiple;
}

// Bins more, until their number is a multiple: the last ones that hold several pieces are halved, again and again; empty ones
// where there are not enough pieces.
constexpr void round_up_bins(std::vector<std::size_t>& offsets, std::size_t multiple)
{
    std::uint64_t missing = bins_missing(offsets.size() - 1, multiple);
    while (missing != 0) {
        std::vector<std::size_t> halved;  // from the back
        for (std::size_t b = offsets.size() - 1; b > 0; --b) {
            halved.push_back(offsets[b]);
            const std::size_t pieces = offsets[b] - offsets[b - 1];
            if (missing != 0 && pieces > 1) {
                halved.push_back(offsets[b] - pieces / 2);
                --missing;
            }
        }
        halved.push_back(0);
        if (halved.size() == offsets.size()) {
            offsets.insert(offsets.end(), static_cast<std::size_t>(missing), offsets.back());
            return;
        }
        offsets.assign(halved.rbegin(), halved.rend());
    }
}

// The same for patterns.
constexpr pattern_list with_bins_rounded_up(pattern_list from, std::uint64_t multiple)
{
    std::uint64_t missing = bins_missing(from.bins(), multiple);
    while (missing != 0) {
        pattern_list halved;
        const std::uint64_t before = missing;
        for (std::size_t p = 0; p < from.size(); ++p) {
            std::uint64_t pieces = 0;
            for (const class_run& run : from.runs(p))
                pieces += run.copies;
            const std::uint64_t cut = pieces > 1 ? std::min(missing, from.count(p)) : 0;
            missing -= cut;
            if (cut != from.count(p))
                halved.add(from.runs(p), from.count(p) - cut);
            if (cut == 0)
                continue;
            std::vector<class_run> front;
            std::vector<class_run> back;
            std::uint64_t room = pieces - pieces / 2;
            for (const class_run& run : from.runs(p)) {
                const std::uint64_t taken = std::min(room, run.copies);
                room -= taken;
                if (taken != 0)
                    front.push_back({run.of, taken});
                if (taken != run.copies)
                    back.push_back({run.of, run.copies - taken});
            }
            halved.add(front, cut);
            halved.add(back, cut);
        }
        if (missing == before) {
            halved.add({}, missing);
            missing = 0;
        }
        from = std::move(halved);
    }
    return from;
}

template <std::ranges::random_access_range Lengths, class Method>
constexpr bool pack_lengths(const Lengths& lengths, const packing_options& options, const Method& method, packing& packed,
                            error& reason)
{
    piece_rule rule;
    if (!make_rule(options, rule, reason))
        return false;
    piece_list<Lengths> pieces(lengths, rule);
    if (!pieces.make(options, reason))
        return false;
    buffer_vector<std::uint32_t> order(pieces.size(), 0);
    pieces.order(order);
    bin_problem problem;
    std::vector<std::size_t> next;  // of each class, the place in `order` of its first piece that is in no bin
    for (std::size_t end = order.size(); end > 0;) {
        const std::size_t size = pieces.slots(order[end - 1]);
        const auto first = std::partition_point(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(end),
                                                [&](std::uint32_t i) { return pieces.slots(i) < size; });
        const auto begin = static_cast<std::size_t>(first - order.begin());
        if (!problem.add(size, end - begin))
            return fail(reason, error::of(errors::size_overflow, size, end - begin));
        next.push_back(begin);
        end = begin;
    }
    set_limits(problem, options, rule);
    if (!check_slots(problem, options, reason))
        return false;
    packed.bounds = find_bounds(problem);
    const pattern_list patterns = method(problem, packed.bounds);
    packed.capacity = options.capacity;
    packed.slot_multiple = options.slot_multiple;
    packed.pieces.reserve(pieces.size());
    packed.offsets.reserve(static_cast<std::size_t>(patterns.bins()) + 1);
    for (std::size_t p = 0; p < patterns.size(); ++p)
        for (std::uint64_t b = 0; b < patterns.count(p); ++b) {
            for (const class_run& run : patterns.runs(p))
                for (std::uint64_t k = 0; k < run.copies; ++k)
                    packed.pieces.push_back(pieces[order[next[run.of]++]]);
            packed.offsets.push_back(packed.pieces.size());
        }
    round_up_bins(packed.offsets, options.bins_multiple);
    return true;
}

template <class Method>
constexpr bool pack_histogram(const histogram& lengths, const packing_options& options, const Method& method,
                              pattern_packing& packed, error& reason)
{
    piece_rule rule;
    if (!make_rule(options, rule, reason))
        return false;
    if (options.over == over_capacity::is_error && lengths.longest() > rule.longest)
        return fail(reason, error::of(errors::row_over_limit, lengths.longest(), rule.longest));
    // Pieces of a cut: whole ones, and the rest of each.
    std::vector<histogram::bin> cut;
    std::uint64_t whole = 0;
    for (const histogram::bin& b : lengths.bins()) {
        const std::size_t pieces = rule.pieces(b.length);
        if (pieces - 1 > (std::numeric_limits<std::uint64_t>::max() - whole) / b.count)
            return fail(reason, error::of(errors::size_overflow, pieces, b.count));
        whole += b.count * (pieces - 1);
        cut.push_back({b.length - (pieces - 1) * rule.step, b.count});
    }
    cut.push_back({rule.longest, whole});
    const result<histogram> all = histogram::try_from_bins(std::move(cut));
    if (!all)
        return fail(reason, all.error());
    bin_problem problem;
    for (std::size_t i = all->bins().size(); i-- > 0;) {
        const histogram::bin& b = all->bins()[i];
        const std::size_t size = rule.slots_of(b.length);
        if (!problem.add(size, b.count))
            return fail(reason, error::of(errors::size_overflow, size, b.count));
    }
    set_limits(problem, options, rule);
    if (!check_slots(problem, options, reason))
        return false;
    packed.bounds = find_bounds(problem);
    packed.capacity = options.capacity;
    const pattern_list patterns = with_bins_rounded_up(method(problem, packed.bounds), options.bins_multiple);
    std::vector<bin_pattern::run> runs;
    for (std::size_t p = 0; p < patterns.size(); ++p) {
        runs.clear();
        for (const class_run& run : patterns.runs(p))
            runs.push_back({problem.classes[run.of].slots * options.slot_multiple, run.copies});
        packed.add(runs, patterns.count(p));
    }
    return true;
}

}  // namespace batten::plan::detail

#endif
