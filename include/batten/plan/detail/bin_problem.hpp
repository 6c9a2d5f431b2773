// SPDX-License-Identifier: MIT
// Bin packing on classes of pieces of equal size: the problem, lower bounds, and solutions as patterns of bins.
#ifndef BATTEN_PLAN_DETAIL_BIN_PROBLEM_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_BIN_PROBLEM_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/plan/detail/pieces.hpp>
#include <batten/plan/errors.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/packing.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace batten::plan::detail {

struct size_class {
    std::size_t slots = 0;
    std::uint64_t count = 0;
};

// Classes, largest first, into bins of `slots` slots and at most `depth` pieces.
struct bin_problem {
    std::vector<size_class> classes{};
    std::size_t slots = 0;
    std::uint64_t depth = 0;
    std::uint64_t pieces = 0;
    std::uint64_t total = 0;  // slots of all pieces

    // Adds pieces no larger than those before; false where sums pass 62 bits.
    constexpr bool add(std::size_t size, std::uint64_t count)
    {
        constexpr std::uint64_t most = std::uint64_t{1} << 62U;
        if (count > most - pieces || (size != 0 && count > (most - total) / size))
            return false;
        pieces += count;
        total += count * size;
        if (!classes.empty() && classes.back().slots == size)
            classes.back().count += count;
        else
            classes.push_back({size, count});
        return true;
    }
};

// Most slots of a bin: best fit has a list for each number of slots that a bin may have free.
inline constexpr std::size_t most_slots = std::size_t{1} << 26U;

// A bin need not be larger than all pieces together.
constexpr void set_limits(bin_problem& problem, const packing_options& options, const piece_rule& rule)
{
    problem.depth = std::min<std::uint64_t>(options.max_per_bin, std::max<std::uint64_t>(problem.pieces, 1));
    problem.slots = static_cast<std::size_t>(std::min<std::uint64_t>(rule.slots, std::max<std::uint64_t>(problem.total, 1)));
}
constexpr bool check_slots(const bin_problem& problem, const packing_options& options, error& reason)
{
    return problem.slots <= most_slots || fail(reason, error::of(errors::capacity_too_large, options.capacity,
                                                        most_slots * options.slot_multiple));
}

// Lower bounds on the bins that pieces need. L2 of Martello and Toth: for every size k up to half a bin, pieces over bin - k
// share a bin only with pieces smaller than k, pieces over half a bin have one each, and the other pieces from k on fill the
// space that these leave, and then bins of their own. Cost: O(classes).
constexpr packing_bounds find_bounds(const bin_problem& problem)
{
    const auto& classes = problem.classes;
    const std::uint64_t bin = problem.slots;
    packing_bounds bounds;
    bounds.by_total = problem.total / bin + (problem.total % bin != 0 ? 1 : 0);
    bounds.by_count = problem.pieces / problem.depth + (problem.pieces % problem.depth != 0 ? 1 : 0);
    std::size_t halves = 0;
    while (halves < classes.size() && classes[halves].slots > bin / 2)
        bounds.martello_toth += classes[halves++].count;
    const std::uint64_t large = bounds.martello_toth;
    std::uint64_t small = 0;         // slots of the pieces from k up to half a bin
    std::uint64_t free = 0;          // what pieces up to bin - k leave of their bins
    std::size_t shared = halves;     // the first class of those
    for (std::size_t i = halves; i < classes.size(); ++i) {
        small += classes[i].count * classes[i].slots;
        for (; shared > 0 && classes[shared - 1].slots <= bin - classes[i].slots; --shared)
            free += classes[shared - 1].count * (bin - classes[shared - 1].slots);
        const std::uint64_t rest = small - std::min(small, free);
        bounds.martello_toth = std::max(bounds.martello_toth, large + rest / bin + (rest % bin != 0 ? 1 : 0));
    }
    return bounds;
}

// The slots of pieces, as a range.
template <class Lengths>
struct slots_of_pieces {
    const piece_list<Lengths>& pieces;

    constexpr std::size_t operator[](std::size_t i) const { return pieces.slots(i); }
    constexpr auto begin() const { return batten::detail::index_iterator<slots_of_pieces>(this, 0); }
    constexpr auto end() const { return batten::detail::index_iterator<slots_of_pieces>(this, pieces.size()); }
};

// The same bounds for pieces in any order.
template <class Lengths>
constexpr bool find_bounds_of(const piece_list<Lengths>& pieces, const packing_options& options, const piece_rule& rule,
                              packing_bounds& bounds, error& reason)
{
    const result<histogram> counted = histogram::try_make(slots_of_pieces<Lengths>{pieces});
    if (!counted)
        return fail(reason, counted.error());
    bin_problem problem;
    for (std::size_t i = counted->bins().size(); i-- > 0;)
        if (const histogram::bin& b = counted->bins()[i]; !problem.add(b.length, b.count))
            return fail(reason, error::of(errors::size_overflow, b.length, b.count));
    set_limits(problem, options, rule);
    bounds = find_bounds(problem);
    return true;
}

// ---- solutions ------

struct class_run {
    std::uint32_t of = 0;  // which class
    std::uint64_t copies = 0;
};

// Bins that hold the same numbers of pieces of the same classes.
class pattern_list {
public:
    constexpr void add(std::span<const class_run> runs, std::uint64_t bins)
    {
        runs_.insert(runs_.end(), runs.begin(), runs.end());
        offsets_.push_back(runs_.size());
        counts_.push_back(bins);
        bins_ += bins;
    }
    constexpr void append(const pattern_list& other)
    {
        for (std::size_t p = 0; p < other.size(); ++p)
            add(other.runs(p), other.count(p));
    }

    constexpr std::size_t size() const noexcept { return counts_.size(); }
    constexpr std::span<const class_run> runs(std::size_t p) const
    {
        return std::span<const class_run>(runs_).subspan(offsets_[p], offsets_[p + 1] - offsets_[p]);
    }
    constexpr std::uint64_t count(std::size_t p) const { return counts_[p]; }
    constexpr std::uint64_t bins() const noexcept { return bins_; }

private:
    std::vector<class_run> runs_{};
    std::vector<std::size_t> offsets_{0};
    std::vector<std::uint64_t> counts_{};
    std::uint64_t bins_ = 0;
};

}  // namespace batten::plan::detail

#endif
