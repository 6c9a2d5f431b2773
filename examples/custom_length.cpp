// SPDX-License-Identifier: MIT
// Length strategies: a ladder of powers of two, one of your own, and a foreign type through length_traits.
#include "print.hpp"

#include <batten/batten.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <iostream>
#include <vector>

// A type with width(lengths) is a length strategy; limit() says from which length on the overflow policy is asked.
struct power_of_two {
    std::size_t max_length = 1024;

    constexpr std::size_t width(const auto& lengths) const
    {
        std::size_t longest = 1;
        for (const std::size_t length : lengths)
            longest = std::max(longest, length);
        return std::bit_ceil(longest);
    }
    constexpr std::size_t limit() const { return max_length; }
};

// A type of somebody else's: the two lengths that a compiled engine was tuned for.
namespace engine {
struct profile {
    std::size_t usual_length;
    std::size_t longest_length;
};
}  // namespace engine

// With edges, it is a ladder too, and a bucketed_collator takes it.
template <>
struct batten::length_traits<engine::profile> {
    static constexpr std::size_t width(const engine::profile& profile, const auto& lengths)
    {
        for (const std::size_t length : lengths)
            if (length > profile.usual_length)
                return profile.longest_length;
        return profile.usual_length;
    }
    static constexpr std::size_t limit(const engine::profile& profile) { return profile.longest_length; }
    static constexpr std::array<std::size_t, 2> edges(const engine::profile& profile)
    {
        return {profile.usual_length, profile.longest_length};
    }
};

int main()
{
    const std::vector<std::vector<int>> sentences{{1, 2, 3, 4, 5}, {6}, {7, 8}, {9, 10, 11}};

    // Built in: a ladder. The batch is as wide as the first edge that holds its longest row.
    const batten::collator<batten::pad_right, batten::bucketed_length> ladder{{.pad_id = 0, .length = {2, 4, 8, 16}}};
    std::cout << "ladder 2, 4, 8, 16: " << ladder(sentences).width() << " columns\n";

    const batten::collator<batten::pad_right, power_of_two> by_shape{{.pad_id = 0}};
    std::cout << "power_of_two: " << by_shape(sentences).width() << " columns\n";

    // One wide row makes the whole batch wide. Grouped by bucket, the short rows stay in a narrow batch of their own;
    // order() says which rows of the caller's they are.
    const batten::bucketed_collator<batten::pad_right, engine::profile> by_traits{{.pad_id = 0, .length = {3, 6}}};
    for (const auto& batch : by_traits(sentences)) {
        std::cout << "engine::profile, " << batch.width() << " columns, rows";
        for (const std::size_t row : batch.order())
            std::cout << ' ' << row;
        std::cout << '\n';
        print("token_ids", batch.view<batten::token_ids>());
    }
}
