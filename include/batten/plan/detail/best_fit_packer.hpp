// SPDX-License-Identifier: MIT
// Best fit decreasing on classes of pieces, many bins at a time.
#ifndef BATTEN_PLAN_DETAIL_BEST_FIT_PACKER_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_BEST_FIT_PACKER_HPP_INCLUDED

#include <batten/integer.hpp>
#include <batten/plan/detail/bin_problem.hpp>
#include <batten/plan/packing.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace batten::plan::detail {

// Numbers that are there or not, below some limit, and the next one that is: a bit each, and a bit for each 64 of them.
class number_set {
public:
    constexpr explicit number_set(std::size_t limit) : words_(limit / 64 + 1, 0), summary_(words_.size() / 64 + 1, 0) {}

    constexpr void insert(std::size_t n)
    {
        words_[n / 64] |= std::uint64_t{1} << n % 64;
        summary_[n / 64 / 64] |= std::uint64_t{1} << n / 64 % 64;
    }
    constexpr void erase(std::size_t n)
    {
        words_[n / 64] &= ~(std::uint64_t{1} << n % 64);
        if (words_[n / 64] == 0)
            summary_[n / 64 / 64] &= ~(std::uint64_t{1} << n / 64 % 64);
    }
    // The first one from n on; no_limit if there is none.
    constexpr std::size_t next(std::size_t n) const
    {
        if (const std::uint64_t here = words_[n / 64] >> n % 64; here != 0)
            return n + static_cast<std::size_t>(std::countr_zero(here));
        const std::size_t word = first_from(summary_, n / 64 + 1);
        return word == no_limit ? no_limit : word * 64 + static_cast<std::size_t>(std::countr_zero(words_[word]));
    }

private:
    static constexpr std::size_t first_from(const std::vector<std::uint64_t>& bits, std::size_t n)
    {
        if (n / 64 >= bits.size())
            return no_limit;
        std::uint64_t word = bits[n / 64] >> n % 64 << n % 64;
        for (std::size_t w = n / 64;;) {
            if (word != 0)
                return w * 64 + static_cast<std::size_t>(std::countr_zero(word));
            if (++w == bits.size())
                return no_limit;
            word = bits[w];
        }
    }

    std::vector<std::uint64_t> words_;
    std::vector<std::uint64_t> summary_;
};

// Best fit decreasing, many bins at a time: bins that are filled alike are a group, and a class goes into the group with the
// least space that holds it. A group splits where a class ends within it, so there are at most three more groups per class
// and group filled.
class best_fit_packer {
public:
    constexpr explicit best_fit_packer(const bin_problem& problem)
        : problem_(problem), spaces_(problem.slots), top_(problem.slots + 1, none)
    {
    }

    constexpr pattern_list run()
    {
        for (std::size_t c = 0; c < problem_.classes.size(); ++c)
            place(static_cast<std::uint32_t>(c));
        for (std::size_t space = spaces_.next(0); space != no_limit;
             space = space == problem_.slots ? no_limit : spaces_.next(space + 1))
            for (std::uint32_t g = top_[space]; g != none; g = groups_[g].below)
                emit(groups_[g]);
        return std::move(packed_);
    }

private:
    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

    // One run of a bin's pieces, and the runs before it: groups that were one share them.
    struct link {
        class_run run{};
        std::uint32_t before = none;
    };
    struct group {
        std::uint64_t bins = 0;
        std::uint64_t pieces = 0;  // of a bin
        std::uint32_t last = none;
        std::uint32_t below = none;  // the group with the same space that was there before it
    };

    constexpr void place(std::uint32_t c)
    {
        const std::size_t size = problem_.classes[c].slots;
        for (std::uint64_t left = problem_.classes[c].count; left != 0;) {
            std::size_t space = spaces_.next(size);
            const bool fresh = space == no_limit;
            const group open = fresh ? group{.bins = left} : groups_[top_[space]];
            space = fresh ? problem_.slots : space;
            const std::uint64_t room = problem_.depth - open.pieces;
            const std::uint64_t copies = std::min(room, size == 0 ? left : std::uint64_t{space / size});
            const std::uint64_t full = std::min(open.bins, left / copies);
            const std::uint64_t rest = full == open.bins ? 0 : left % copies;
            if (!fresh)
                take(space, full + (rest != 0 ? 1 : 0));
            put(open, full, space, {c, copies});
            put(open, rest != 0 ? 1 : 0, space, {c, rest});
            left -= full * copies + rest;
        }
    }

    // Takes bins from the group on top of those with some space.
    constexpr void take(std::size_t space, std::uint64_t bins)
    {
        group& open = groups_[top_[space]];
        open.bins -= bins;
        if (open.bins != 0)
            return;
        top_[space] = open.below;
        if (top_[space] == none)
            spaces_.erase(space);
    }

    // Puts bins back with a run more, unless they are full.
    constexpr void put(const group& open, std::uint64_t bins, std::size_t space, class_run run)
    {
        if (bins == 0)
            return;
        links_.push_back({run, open.last});
        group filled{bins, open.pieces + run.copies, static_cast<std::uint32_t>(links_.size() - 1), none};
        if (filled.pieces == problem_.depth) {
            emit(filled);
            return;
        }
        space -= static_cast<std::size_t>(run.copies) * problem_.classes[run.of].slots;
        filled.below = std::exchange(top_[space], static_cast<std::uint32_t>(groups_.size()));
        groups_.push_back(filled);
        spaces_.insert(space);
    }

    constexpr void emit(const group& filled)
    {
        runs_.clear();
        for (std::uint32_t l = filled.last; l != none; l = links_[l].before)
            runs_.push_back(links_[l].run);
        std::reverse(runs_.begin(), runs_.end());
        packed_.add(runs_, filled.bins);
    }

    const bin_problem& problem_;
    number_set spaces_;               // spaces that some open bin has
    std::vector<std::uint32_t> top_;  // the group of each space that came last
    std::vector<group> groups_{};
    std::vector<link> links_{};
    std::vector<class_run> runs_{};
    pattern_list packed_{};
};

struct best_fit_method {
    constexpr pattern_list operator()(const bin_problem& problem, packing_bounds& /*bounds*/) const
    {
        return best_fit_packer(problem).run();
    }
};

}  // namespace batten::plan::detail

#endif
