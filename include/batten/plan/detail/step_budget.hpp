// SPDX-License-Identifier: MIT
// A limit on the steps of a search.
#ifndef BATTEN_PLAN_DETAIL_STEP_BUDGET_HPP_INCLUDED
#define BATTEN_PLAN_DETAIL_STEP_BUDGET_HPP_INCLUDED

#include <algorithm>
#include <cstdint>

namespace batten::plan::detail {

// Steps of inner loops that may still be made: time is bounded without a clock, and the result the same on a slow machine.
class step_budget {
public:
    explicit step_budget(std::uint64_t steps) : left_(steps) {}
    void spend(std::uint64_t steps) { left_ -= std::min(left_, steps); }
    bool is_spent() const { return left_ == 0; }

private:
    std::uint64_t left_;
};

}  // namespace batten::plan::detail

#endif
