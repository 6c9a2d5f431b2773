// SPDX-License-Identifier: MIT

#include "catch.hpp"

#include <batten/plan/order.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

namespace plan = batten::plan;
namespace errors = batten::plan::errors;

namespace {

template <class Length>
void sorts_as_stable_sort(const std::vector<Length>& lengths)
{
    std::vector<std::uint32_t> expected(lengths.size());
    std::iota(expected.begin(), expected.end(), 0U);
    std::stable_sort(expected.begin(), expected.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return lengths[a] < lengths[b]; });
    std::vector<std::uint32_t> order(lengths.size(), 77);
    const std::size_t longest = plan::stable_order(lengths, std::span(order));
    CHECK(order == expected);
    CHECK(longest == (lengths.empty() ? 0 : static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()))));
}

template <class Length>
std::vector<Length> random_lengths(std::size_t n, std::uint64_t below)
{
    std::vector<Length> lengths(n);
    std::uint64_t state = 88172645463325252U + n;
    for (auto& length : lengths) {
        state ^= state << 13U;
        state ^= state >> 7U;
        state ^= state << 17U;
        length = static_cast<Length>(state % below);
    }
    return lengths;
}

constexpr bool equal_lengths_keep_their_order()
{
    const std::array<int, 5> lengths{3, 1, 3, 0, 1};
    std::array<std::uint32_t, 5> order{};
    plan::stable_order(lengths, std::span<std::uint32_t>(order));
    return order == std::array<std::uint32_t, 5>{3, 1, 4, 0, 2};
}
static_assert(equal_lengths_keep_their_order());

}  // namespace

TEST_CASE("the order by counting is the order of std::stable_sort")
{
    sorts_as_stable_sort(std::vector<int>{});
    sorts_as_stable_sort(std::vector<int>{0});
    sorts_as_stable_sort(std::vector<int>{0, 0, 0});
    for (const std::size_t n : {1U, 2U, 10U, 1000U, 20000U})
        for (const std::uint64_t below : {1U, 2U, 9U, 8192U, 70000U}) {
            sorts_as_stable_sort(random_lengths<std::int32_t>(n, below));
            sorts_as_stable_sort(random_lengths<std::uint64_t>(n, below));
        }
}

TEST_CASE("lengths out of all proportion to their number are sorted digit by digit")
{
    sorts_as_stable_sort(random_lengths<std::uint64_t>(3000, std::uint64_t{1} << 20U));
    sorts_as_stable_sort(random_lengths<std::uint64_t>(3000, std::uint64_t{1} << 40U));
    sorts_as_stable_sort(random_lengths<std::int64_t>(3000, std::uint64_t{1} << 62U));
}

TEST_CASE("inverting an order restores the caller's")
{
    const auto lengths = random_lengths<std::int32_t>(500, 50);
    std::vector<std::uint32_t> order(lengths.size());
    std::vector<std::uint32_t> back(lengths.size());
    plan::stable_order(lengths, std::span(order));
    plan::invert(std::span<const std::uint32_t>(order), std::span(back));
    for (std::size_t i = 0; i < order.size(); ++i)
        CHECK(back[order[i]] == i);
}

TEST_CASE("an order refuses what it can't sort and leaves it as it is")
{
    std::vector<std::uint32_t> order{7, 7};
    const auto negative = plan::try_stable_order(std::vector<int>{1, -2}, std::span(order));
    REQUIRE_FALSE(negative);
    CHECK(negative.error().code == errors::length_negative);
    CHECK(negative.error().row == 1);
    CHECK(plan::try_stable_order(std::vector<int>{1}, std::span(order)).error().code == errors::span_too_large);
    CHECK(plan::try_stable_order(std::vector<int>{1, 2, 3}, std::span(order)).error().code == errors::span_too_small);
    std::vector<std::uint8_t> narrow(300);
    CHECK(plan::try_stable_order(std::vector<int>(300, 1), std::span(narrow)).error().code == errors::index_too_narrow);
    CHECK(order == std::vector<std::uint32_t>{7, 7});
}
