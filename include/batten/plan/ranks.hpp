// SPDX-License-Identifier: MIT
// A batch plan on many ranks: the batches of each rank, how even their cells are, and a state from which a run resumes.
//
// Every rank makes the whole plan, which is a pure function of lengths and options, and takes its share: no communication. With
// batches_per_step = ranks among the options the number of batches is a multiple of the ranks, and the batches of a step cost
// about the same.
#ifndef BATTEN_PLAN_RANKS_HPP_INCLUDED
#define BATTEN_PLAN_RANKS_HPP_INCLUDED

#include <batten/detail/checks.hpp>
#include <batten/detail/random.hpp>
#include <batten/error.hpp>
#include <batten/plan/batch_options.hpp>
#include <batten/plan/batch_plan.hpp>
#include <batten/plan/errors.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace batten::plan {

// The batches of one rank: at step s, batch first + s * ranks + rank of the plan. Refers to the plan.
template <std::unsigned_integral Index = std::uint32_t>
class rank_batches {
public:
    // Requires: rank < ranks, first <= plan.size(); for_rank checks them.
    constexpr rank_batches(const batch_plan<Index>& plan, std::size_t rank, std::size_t ranks, std::size_t first) noexcept
        : plan_(&plan), rank_(rank), ranks_(ranks), first_(first)
    {
    }

    // The number of steps, the same on every rank: the remaining batches / ranks, rounded up.
    [[nodiscard]] constexpr std::size_t size() const noexcept
    {
        const std::size_t left = plan_->size() - first_;
        return left / ranks_ + (left % ranks_ != 0 ? 1U : 0U);
    }
    [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }

    // The batch of a step; one without rows where the last step has fewer batches than ranks.
    [[nodiscard]] constexpr planned_batch<Index> operator[](std::size_t step) const
    {
        BATTEN_ASSERT(step < size(), "step past the end");
        const std::size_t left = plan_->size() - (first_ + step * ranks_);
        return rank_ < left ? (*plan_)[batch_number(step)] : planned_batch<Index>{};
    }
    // first + step * ranks + rank. A state for the step after this one: state_of(plan, options, batch_number(0) of rank 0).
    [[nodiscard]] constexpr std::size_t batch_number(std::size_t step) const noexcept
    {
        BATTEN_ASSERT(step < size(), "step past the end");
        return first_ + step * ranks_ + rank_;
    }

    [[nodiscard]] constexpr auto begin() const noexcept { return batten::detail::index_iterator<rank_batches>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return batten::detail::index_iterator<rank_batches>(this, size()); }

private:
    const batch_plan<Index>* plan_;
    std::size_t rank_;
    std::size_t ranks_;
    std::size_t first_;
};

// The batches of one rank, from batch `first` of the plan on. Worker k of n of a rank takes rank + ranks * k of ranks * n.
//
// Requires  the plan outlives it.
// Errors    0 ranks; a rank that is not less than ranks; a first batch past the end of the plan.
template <std::unsigned_integral Index>
[[nodiscard]] constexpr result<rank_batches<Index>> try_for_rank(const batch_plan<Index>& plan, std::size_t rank,
                                                                 std::size_t ranks, std::size_t first = 0)
{
    error reason;
    if (!batten::detail::require_positive(ranks, "ranks", reason))
        return reason;
    if (rank >= ranks)
        return error::of(errors::rank_out_of_range, rank, ranks);
    if (first > plan.size())
        return error::of(errors::batch_out_of_range, first, plan.size());
    return rank_batches<Index>(plan, rank, ranks, first);
}
template <std::unsigned_integral Index>
[[nodiscard]] constexpr rank_batches<Index> for_rank(const batch_plan<Index>& plan, std::size_t rank, std::size_t ranks,
                                                     std::size_t first = 0)
{
    return try_for_rank(plan, rank, ranks, first).value();
}
template <std::unsigned_integral Index>
void for_rank(const batch_plan<Index>&&, std::size_t, std::size_t,  // the plan would be gone: name it first
              std::size_t = 0) = delete;
template <std::unsigned_integral Index>
void try_for_rank(const batch_plan<Index>&&, std::size_t, std::size_t, std::size_t = 0) = delete;  // as above

// ---- balance ----------------------------------------------------------------------------------------------------------------

// How uneven the steps are: the padded cells of the busiest rank by those of the mean rank, 1 where all have the same.
struct step_balance {
    double worst = 1.0;  // of the most uneven step
    double mean = 1.0;   // of all steps together: their time / their time if all ranks had the same cells
};

// Requires: ranks >= 1. Cost: O(batches).
template <std::unsigned_integral Index>
[[nodiscard]] constexpr step_balance balance_of(const batch_plan<Index>& plan, std::size_t ranks)
{
    BATTEN_ASSERT(ranks >= 1, "a step has at least one rank");
    step_balance found;
    double busiest = 0.0;
    double even = 0.0;
    for (std::size_t first = 0; first < plan.size(); first += ranks) {
        double most = 0.0;
        double cells = 0.0;
        for (std::size_t b = first; b < std::min(first + ranks, plan.size()); ++b) {
            most = std::max(most, static_cast<double>(plan[b].cells()));
            cells += static_cast<double>(plan[b].cells());
        }
        const double mean = cells / static_cast<double>(ranks);
        if (mean > 0.0)
            found.worst = std::max(found.worst, most / mean);
        busiest += most;
        even += mean;
    }
    if (even > 0.0)
        found.mean = busiest / even;
    return found;
}

// ---- resuming ---------------------------------------------------------------------------------------------------------------

// The progress of a run, as four integers to store. The same on all ranks, and valid for any number of ranks and workers.
struct plan_state {
    std::uint64_t seed = 0;   // of the plan
    std::uint64_t epoch = 0;
    std::uint64_t next = 0;   // the first batch of the plan that no rank has taken
    std::uint64_t check = 0;  // a hash of the plan, so that another plan is refused

    friend constexpr bool operator==(const plan_state&, const plan_state&) noexcept = default;
};

namespace detail {

template <class Index>
constexpr std::uint64_t check_of(const batch_plan<Index>& plan)
{
    std::uint64_t check = batten::detail::key_of({plan.sequences(), plan.size()});
    for (const auto numbers : {plan.order(), plan.offsets(), plan.widths()})
        for (const Index number : numbers)
            check = (check ^ number) * 0x9E3779B97F4A7C15U + (check >> 29U);
    return check;
}

}  // namespace detail

// The state in which `next` batches of the plan are done. Requires: next <= plan.size(). Cost: O(sequences).
template <std::unsigned_integral Index>
[[nodiscard]] constexpr plan_state state_of(const batch_plan<Index>& plan, const batch_options& options, std::size_t next)
{
    BATTEN_ASSERT(next <= plan.size(), "batch past the end");
    return {options.seed, options.epoch, next, detail::check_of(plan)};
}

// The first batch to take, an argument of for_rank. Make the plan again first, with the seed and epoch of the state.
// Errors: a plan that is not the one of the state. Cost: O(sequences).
template <std::unsigned_integral Index>
[[nodiscard]] constexpr result<std::size_t> try_resume(const batch_plan<Index>& plan, const plan_state& state)
{
    if (detail::check_of(plan) != state.check)
        return error::of(errors::state_of_another, {}, {}, "this plan: lengths or options are others");
    if (state.next > plan.size())
        return error::of(errors::batch_out_of_range, state.next, plan.size());
    return static_cast<std::size_t>(state.next);
}
template <std::unsigned_integral Index>
[[nodiscard]] constexpr std::size_t resume(const batch_plan<Index>& plan, const plan_state& state)
{
    return try_resume(plan, state).value();
}

}  // namespace batten::plan

#endif
