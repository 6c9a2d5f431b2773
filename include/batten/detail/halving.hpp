// SPDX-License-Identifier: MIT
// One level of a dynamic program whose best predecessor never falls: found by halving, in O(n log n).
#ifndef BATTEN_DETAIL_HALVING_HPP_INCLUDED
#define BATTEN_DETAIL_HALVING_HPP_INCLUDED

#include <algorithm>
#include <cstddef>

namespace batten::detail {

// For each j of [first, last): found(j, i, cost(i, j)), i the first of the cheapest predecessors of j in [lowest(j), j), which
// is known to be in [low, high) and does not fall as j grows. The middle j first, then each side within its bounds.
template <class Lowest, class Cost, class Found>
constexpr void halve(std::size_t first, std::size_t last, std::size_t low, std::size_t high, const Lowest& lowest,
                     const Cost& cost, const Found& found)
{
    if (first >= last)
        return;
    const std::size_t j = first + (last - first) / 2;
    std::size_t best = std::max(low, lowest(j));
    auto least = cost(best, j);
    for (std::size_t i = best + 1; i < std::min(j, high); ++i)
        if (const auto of_i = cost(i, j); of_i < least) {
            least = of_i;
            best = i;
        }
    found(j, best, least);
    halve(first, j, low, best + 1, lowest, cost, found);
    halve(j + 1, last, best, high, lowest, cost, found);
}

}  // namespace batten::detail

#endif
