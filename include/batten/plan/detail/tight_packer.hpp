// SPDX-License-Identifier: MIT
// The tight packer on classes of pieces: column generation, rounded, and the rest by subset sums.
#ifndef BATTEN_PLAN_DETAIL_TIGHT_PACKER_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_TIGHT_PACKER_HPP_INCLUDED

#include <batten/detail/random.hpp>
#include <batten/plan/detail/best_fit_packer.hpp>
#include <batten/plan/detail/bin_problem.hpp>
#include <batten/plan/detail/column_generation.hpp>
#include <batten/plan/detail/step_budget.hpp>
#include <batten/plan/detail/subset_filler.hpp>
#include <batten/plan/packing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan::detail {

class tight_packer {
public:
    // Requires: no class of no slots.
    tight_packer(const bin_problem& problem, packing_bounds& bounds)
        : problem_(problem), bounds_(bounds), best_(best_fit_packer(problem).run())
    {
    }

    pattern_list run()
    {
        for (const size_class& c : problem_.classes)
            left_.push_back(c.count);
        if (is_optimal())
            return std::move(best_);
        finish({}, left_);
        for (int stage = 0; stage < most_stages && !is_optimal(); ++stage) {
            const std::size_t grain = choose_grain();
            if (grain == 1) {
                solve_exactly(stage == 0);
                break;
            }
            if (!solve_coarsely(grain))
                break;
            finish(packed_, left_);
        }
        return std::move(best_);
    }

private:
    static constexpr int most_stages = 4;
    static constexpr std::uint64_t most_steps = 500'000'000;      // of the relaxations
    static constexpr std::uint64_t most_fill_steps = 60'000'000;  // of filling what is left once
    static constexpr std::uint64_t most_tries = 24;
    static constexpr std::uint64_t most_try_steps = 100'000'000;  // of all tries to round
    static constexpr std::size_t most_rows = 600;  // of a relaxation
    static constexpr std::size_t most_coarse_rows = 300;
    static constexpr std::size_t most_cells = std::size_t{1} << 20U;  // rows * slots

    bool is_optimal() const { return best_.bins() <= bounds_.best(); }

    // Packs what is left beside `packed` in both ways, and keeps the better one if it is the best so far.
    void finish(const pattern_list& packed, const std::vector<std::uint64_t>& left, step_budget* shared = nullptr)
    {
        bin_problem rest;
        rest.slots = problem_.slots;
        rest.depth = problem_.depth;
        std::vector<std::uint32_t> of;
        for (std::size_t c = 0; c < left.size(); ++c)
            if (left[c] != 0) {
                static_cast<void>(rest.add(problem_.classes[c].slots, left[c]));
                of.push_back(static_cast<std::uint32_t>(c));
            }
        keep(packed, best_fit_packer(rest).run(), of);
        subset_filler filler(rest.classes, rest.slots, rest.depth);
        if (!filler.is_practical())
            return;
        std::vector<std::uint64_t> counts;
        for (const size_class& c : rest.classes)
            counts.push_back(c.count);
        pattern_list filled;
        step_budget own(most_fill_steps);
        if (filler.fill(counts, filled, shared != nullptr ? *shared : own))
            keep(packed, filled, of);
    }

    // `rest` counts classes that are left, of[i] is the i-th of them.
    void keep(const pattern_list& packed, const pattern_list& rest, const std::vector<std::uint32_t>& of)
    {
        if (packed.bins() + rest.bins() >= best_.bins())
            return;
        best_ = packed;
        std::vector<class_run> runs;
        for (std::size_t p = 0; p < rest.size(); ++p) {
            runs.assign(rest.runs(p).begin(), rest.runs(p).end());
            for (class_run& run : runs)
                run.of = of[run.of];
            best_.add(runs, rest.count(p));
        }
    }

    // Slots that count as one: 1 where the relaxation is small enough as it is.
    std::size_t choose_grain() const
    {
        const auto is_small = [&](std::size_t grain, std::size_t most) {
            std::size_t rows = 0;
            std::size_t last = 0;
            for (std::size_t c = 0; c < left_.size(); ++c)
                if (left_[c] != 0 && coarse(c, grain) != last) {
                    last = coarse(c, grain);
                    ++rows;
                }
            return rows <= most && rows * (problem_.slots / grain) <= most_cells / most_rows * most;
        };
        std::size_t grain = 1;
        if (is_small(grain, most_rows))
            return grain;
        while (!is_small(grain, most_coarse_rows))
            ++grain;
        return grain;
    }
    std::size_t coarse(std::size_t c, std::size_t grain) const
    {
        return std::clamp<std::size_t>((problem_.classes[c].slots + grain / 2) / grain, 1, problem_.slots / grain);
    }

    // Takes up to `bins` bins with these runs from what is left, and says how many.
    static std::uint64_t take(std::span<const class_run> runs, std::uint64_t bins, std::vector<std::uint64_t>& left)
    {
        for (const class_run& run : runs)
            bins = std::min(bins, left[run.of] / run.copies);
        for (const class_run& run : runs)
            left[run.of] -= bins * run.copies;
        return bins;
    }

    // The relaxation of what is left, rounded down; then, in several tries, ever more of its fractions up.
    void solve_exactly(bool of_everything)
    {
        std::vector<size_class> classes;
        std::vector<std::uint32_t> of;
        for (std::size_t c = 0; c < left_.size(); ++c)
            if (left_[c] != 0) {
                classes.push_back({problem_.classes[c].slots, left_[c]});
                of.push_back(static_cast<std::uint32_t>(c));
            }
        column_generation relaxation(classes, problem_.slots, problem_.depth);
        relaxation.solve(1, budget_);
        if (of_everything)
            bounds_.lp = relaxation.bound();
        std::vector<fraction> fractions;
        for (const column_generation::column& column : relaxation.columns()) {
            if (column.of != column_generation::kind::bin)
                continue;
            fraction f{column.runs, column.amount};
            for (class_run& run : f.runs)
                run.of = of[run.of];
            const std::uint64_t bins = take(f.runs, static_cast<std::uint64_t>(f.part + 1e-6), left_);
            if (bins != 0)
                packed_.add(f.runs, bins);
            f.part -= static_cast<double>(bins);
            fractions.push_back(std::move(f));
        }
        finish(packed_, left_);
        step_budget budget(most_try_steps);
        for (std::uint64_t i = 0; i < most_tries && !is_optimal() && !budget.is_spent(); ++i)
            round_up(fractions, i, budget);
    }

    struct fraction {
        std::vector<class_run> runs{};
        double part = 0;   // of a bin
        double order = 0;  // largest first
        std::size_t number = 0;
    };

    // The largest fractions first, in every try but the first with more and more noise.
    void round_up(std::vector<fraction> fractions, std::uint64_t number, step_budget& budget)
    {
        for (std::size_t f = 0; f < fractions.size(); ++f) {
            const double drawn = static_cast<double>(batten::detail::draw(number, f) >> 40U) * 0x1p-24;
            fractions[f].order = fractions[f].part + drawn * static_cast<double>(number) / static_cast<double>(most_tries);
            fractions[f].number = f;
        }
        std::sort(fractions.begin(), fractions.end(), [](const fraction& a, const fraction& b) {
            return a.order != b.order ? a.order > b.order : a.number < b.number;
        });
        pattern_list packed = packed_;
        std::vector<std::uint64_t> left = left_;
        std::size_t next = 0;
        for (std::size_t part = 1; part <= 8 && !is_optimal(); ++part) {
            for (; next < fractions.size() * part / 8; ++next)
                if (take(fractions[next].runs, 1, left) != 0)
                    packed.add(fractions[next].runs, 1);
            finish(packed, left, &budget);
        }
    }

    // ---- where there are too many classes: those of about the same size are one

    struct coarse_class {
        std::size_t begin = 0;  // classes [begin, end) of the problem
        std::size_t end = 0;
    };

    // The relaxation at a grain, rounded down; its bins are filled with pieces of the sizes that it says, give or take half a
    // grain, and a last one that fits what they leave. False where no bin came of it.
    bool solve_coarsely(std::size_t grain)
    {
        std::vector<size_class> classes;
        std::vector<coarse_class> members;
        for (std::size_t c = 0; c < left_.size(); ++c) {
            if (left_[c] == 0)
                continue;
            if (classes.empty() || classes.back().slots != coarse(c, grain)) {
                classes.push_back({coarse(c, grain), 0});
                members.push_back({c, c});
            }
            classes.back().count += left_[c];
            members.back().end = c + 1;
        }
        column_generation relaxation(classes, problem_.slots / grain, problem_.depth);
        relaxation.solve(1.0003, budget_);
        const std::uint64_t before = packed_.bins();
        for (const column_generation::column& column : relaxation.columns())
            if (column.of == column_generation::kind::bin)
                realize(column.runs, static_cast<std::uint64_t>(column.amount + 1e-6), classes, members, grain);
        return packed_.bins() != before;
    }

    void realize(std::span<const class_run> pattern, std::uint64_t bins, const std::vector<size_class>& classes,
                 const std::vector<coarse_class>& members, std::size_t grain)
    {
        std::size_t used = 0;
        for (const class_run& run : pattern)
            used += static_cast<std::size_t>(run.copies) * classes[run.of].slots;
        const std::size_t waste = (problem_.slots / grain - used + 2) * grain;
        std::vector<class_run> runs;
        for (bool largest = true; bins != 0;) {
            if (!find_members(pattern, members, largest, waste, runs) &&
                !find_members(pattern, members, !largest, waste, runs))
                return;
            const std::uint64_t taken = take(runs, bins, left_);
            packed_.add(runs, taken);
            bins -= taken;
            largest = !largest;
        }
    }

    // Pieces for one bin: from the large and from the small end of the classes in turn, so that they are of middling size
    // together, and last the largest piece that fits. False where more than `waste` slots would stay free.
    bool find_members(std::span<const class_run> pattern, const std::vector<coarse_class>& members, bool largest,
                      std::size_t waste, std::vector<class_run>& runs)
    {
        runs.clear();
        std::size_t space = problem_.slots;
        const auto add = [&](std::size_t c) {
            if (c == left_.size() || problem_.classes[c].slots > space)
                return false;
            space -= problem_.classes[c].slots;
            --left_[c];
            const auto same = std::find_if(runs.begin(), runs.end(), [&](const class_run& run) { return run.of == c; });
            if (same != runs.end())
                ++same->copies;
            else
                runs.push_back({static_cast<std::uint32_t>(c), 1});
            return true;
        };
        bool found = true;
        for (std::size_t r = 0; r < pattern.size() && found; ++r)
            for (std::uint64_t k = 0; k < pattern[r].copies && found; ++k) {
                const bool last = r + 1 == pattern.size() && k + 1 == pattern[r].copies;
                found = add(last ? largest_within(space) : member(members[pattern[r].of], largest));
                largest = !largest;
            }
        for (const class_run& run : runs)
            left_[run.of] += run.copies;
        std::sort(runs.begin(), runs.end(), [](const class_run& a, const class_run& b) { return a.of < b.of; });
        return found && space <= waste;
    }

    std::size_t member(const coarse_class& of, bool largest) const
    {
        for (std::size_t c = of.begin; c < of.end; ++c) {
            const std::size_t at = largest ? c : of.end - 1 - (c - of.begin);
            if (left_[at] != 0)
                return at;
        }
        return left_.size();
    }
    std::size_t largest_within(std::size_t space) const
    {
        const auto fits = std::partition_point(problem_.classes.begin(), problem_.classes.end(),
                                               [&](const size_class& c) { return c.slots > space; });
        auto c = static_cast<std::size_t>(fits - problem_.classes.begin());
        while (c < left_.size() && left_[c] == 0)
            ++c;
        return c;
    }

    const bin_problem& problem_;
    packing_bounds& bounds_;
    pattern_list best_;
    pattern_list packed_{};              // of the stages so far
    std::vector<std::uint64_t> left_{};  // of each class, in none of these bins
    step_budget budget_{most_steps};
};

// Puts pieces of no slots where there is room for their number.
inline pattern_list with_empty_pieces(const pattern_list& packed, class_run empty, std::uint64_t depth)
{
    pattern_list all;
    std::vector<class_run> runs;
    const auto add = [&](std::span<const class_run> before, std::uint64_t copies, std::uint64_t bins) {
        runs.assign(before.begin(), before.end());
        if (copies != 0)
            runs.push_back({empty.of, copies});
        if (bins != 0)
            all.add(runs, bins);
        empty.copies -= copies * bins;
    };
    for (std::size_t p = 0; p < packed.size(); ++p) {
        std::uint64_t room = depth;
        for (const class_run& run : packed.runs(p))
            room -= run.copies;
        const std::uint64_t full = room == 0 ? 0 : std::min(packed.count(p), empty.copies / room);
        add(packed.runs(p), room, full);
        const std::uint64_t rest = full == packed.count(p) ? 0 : empty.copies;
        add(packed.runs(p), std::min(rest, room), rest == 0 || room == 0 ? 0 : 1);
        add(packed.runs(p), 0, packed.count(p) - full - (rest == 0 || room == 0 ? 0 : 1));
    }
    add({}, depth, empty.copies / depth);
    add({}, empty.copies, empty.copies == 0 ? 0 : 1);
    return all;
}

struct tight_method {
    pattern_list operator()(const bin_problem& problem, packing_bounds& bounds) const
    {
        if (problem.classes.empty() || problem.classes.back().slots != 0)
            return tight_packer(problem, bounds).run();
        bin_problem some = problem;
        const std::uint64_t empty = some.classes.back().count;
        some.classes.pop_back();
        some.pieces -= empty;
        return with_empty_pieces(tight_packer(some, bounds).run(),
                                 {static_cast<std::uint32_t>(some.classes.size()), empty}, problem.depth);
    }
};

}  // namespace batten::plan::detail

#endif
