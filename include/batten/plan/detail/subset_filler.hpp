// SPDX-License-Identifier: MIT
// Fills bins one after the other by the sums that pieces reach.
#ifndef BATTEN_PLAN_DETAIL_SUBSET_FILLER_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_SUBSET_FILLER_HPP_INCLUDED

#include <batten/plan/detail/bin_problem.hpp>
#include <batten/plan/detail/step_budget.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace batten::plan::detail {

// Fills bins from the largest piece left on, each as full as the pieces left allow, by the sums that they reach (a bit for
// each). Of several ways to a sum the one with the larger pieces, so that small ones stay for later bins.
class subset_filler {
public:
    subset_filler(std::span<const size_class> classes, std::size_t slots, std::uint64_t depth)
        : classes_(classes), slots_(slots), depth_(depth), words_(slots / 64 + 1)
    {
    }

    // Whether its tables have a reasonable size.
    bool is_practical() const { return classes_.size() * words_ <= std::size_t{1} << 22U; }

    // Packs `left` of each class; false where the budget ends first.
    bool fill(std::vector<std::uint64_t>& left, pattern_list& packed, step_budget& budget)
    {
        reach_.assign((classes_.size() + 1) * words_, 0);
        reach_[classes_.size() * words_] = 1;
        std::vector<class_run> runs;
        for (std::size_t first = 0; first < classes_.size();) {
            if (left[first] == 0) {
                ++first;
                continue;
            }
            find_sums(left, first, budget);
            if (budget.is_spent())
                return false;
            fill_one(left, first, runs);
            std::uint64_t bins = left[first];
            for (const class_run& run : runs)
                bins = std::min(bins, left[run.of] / run.copies);
            for (const class_run& run : runs)
                left[run.of] -= bins * run.copies;
            packed.add(runs, bins);
        }
        return true;
    }

private:
    // Sums of pieces of class c and after, for c from `first` on.
    void find_sums(const std::vector<std::uint64_t>& left, std::size_t first, step_budget& budget)
    {
        std::uint64_t shifts = 0;
        for (std::size_t c = classes_.size(); c-- > first;) {
            std::uint64_t* const sums = reach_.data() + c * words_;
            std::copy_n(sums + words_, words_, sums);
            std::uint64_t copies = std::min<std::uint64_t>(left[c], slots_ / classes_[c].slots);
            for (std::uint64_t part = 1; copies != 0; part *= 2) {
                const std::uint64_t now = std::min(part, copies);
                copies -= now;
                add_shifted(sums, static_cast<std::size_t>(now) * classes_[c].slots);
                ++shifts;
            }
        }
        budget.spend((shifts + classes_.size() - first) * words_);
    }

    // Every sum, and every sum + by, that is less than 64 * words_.
    void add_shifted(std::uint64_t* sums, std::size_t by) const
    {
        const std::size_t words = by / 64;
        const std::size_t bits = by % 64;
        for (std::size_t w = words_; w-- > words;) {
            std::uint64_t moved = sums[w - words] << bits;
            if (bits != 0 && w > words)
                moved |= sums[w - words - 1] >> (64 - bits);
            sums[w] |= moved;
        }
    }

    bool reaches(std::size_t c, std::size_t sum) const { return (reach_[c * words_ + sum / 64] >> sum % 64 & 1U) != 0; }

    // The fullest bin with a piece of the first class in it, up to `depth` pieces.
    void fill_one(const std::vector<std::uint64_t>& left, std::size_t first, std::vector<class_run>& runs) const
    {
        std::size_t rest = slots_ - classes_[first].slots;
        while (!reaches_with(left[first] - 1, first, rest))
            --rest;
        runs.assign(1, {static_cast<std::uint32_t>(first), 1});
        std::uint64_t pieces = 1;
        for (std::size_t c = first; c < classes_.size() && rest != 0 && pieces < depth_; ++c) {
            std::uint64_t copies =
                std::min({left[c] - (c == first ? 1 : 0), std::uint64_t{rest / classes_[c].slots}, depth_ - pieces});
            while (copies != 0 && !reaches(c + 1, rest - static_cast<std::size_t>(copies) * classes_[c].slots))
                --copies;
            if (copies == 0)
                continue;
            rest -= static_cast<std::size_t>(copies) * classes_[c].slots;
            pieces += copies;
            if (c == first)
                runs.front().copies += copies;
            else
                runs.push_back({static_cast<std::uint32_t>(c), copies});
        }
    }

    // Whether so many pieces of class c, and any after it, make up a sum.
    bool reaches_with(std::uint64_t copies, std::size_t c, std::size_t sum) const
    {
        for (std::uint64_t k = 0; k <= copies && k * classes_[c].slots <= sum; ++k)
            if (reaches(c + 1, sum - static_cast<std::size_t>(k) * classes_[c].slots))
                return true;
        return false;
    }

    std::span<const size_class> classes_;
    std::size_t slots_;
    std::uint64_t depth_;
    std::size_t words_;
    std::vector<std::uint64_t> reach_{};  // [classes + 1, words]
};

}  // namespace batten::plan::detail

#endif
