// SPDX-License-Identifier: MIT

#include "support.hpp"

#include <batten/plan/ranks.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

namespace plan = batten::plan;
namespace errors = batten::plan::errors;
using plan::batch_options;
using plan::batch_order;
using plan::grouping;
using tests::error_is;
using tests::no_row;

namespace {

std::vector<int> skewed_lengths(std::size_t n)
{
    std::vector<int> lengths(n);
    std::uint32_t state = 12345;
    for (auto& length : lengths) {
        state = state * 1664525U + 1013904223U;
        const std::uint32_t u = state >> 16U;
        length = static_cast<int>(1 + u % 20 * (u % 13) * (u % 7));
    }
    return lengths;
}

// The rows of `steps` from one rank after the other, as all ranks together take them.
std::vector<std::uint32_t> rows_of_all(const plan::batch_plan<>& made, std::size_t ranks, std::size_t first = 0)
{
    std::vector<std::uint32_t> rows;
    const std::size_t steps = plan::for_rank(made, 0, ranks, first).size();
    for (std::size_t s = 0; s < steps; ++s)
        for (std::size_t r = 0; r < ranks; ++r) {
            const auto mine = plan::for_rank(made, r, ranks, first);
            CHECK(mine.size() == steps);
            rows.insert(rows.end(), mine[s].rows.begin(), mine[s].rows.end());
        }
    return rows;
}

constexpr bool ranks_share_in_constant_evaluation()
{
    const std::array<int, 5> lengths{3, 1, 4, 1, 5};
    const batch_options options{.max_rows = 2, .batches_per_step = 2};
    const auto made = plan::batches(lengths, options);
    const auto mine = plan::for_rank(made, 1, 2);
    return made.size() == 4 && mine.size() == 2 && mine[0].rows.size() == 1 &&
           plan::resume(made, plan::state_of(made, options, 2)) == 2;
}
static_assert(ranks_share_in_constant_evaluation());

}  // namespace

TEST_CASE("the ranks together take every row once, in as many steps each")
{
    const auto lengths = skewed_lengths(1000);
    for (const auto group :
         {grouping::as_given, grouping::shuffled, grouping::sorted, grouping::windows, grouping::bucketed})
        for (const std::size_t ranks : {1U, 2U, 3U, 8U}) {
            batch_options options{.group = group, .max_rows = 16, .window = 160, .edges = {50, 400, 2000}};
            options.order = batch_order::shuffled;
            options.batches_per_step = ranks;
            const auto made = plan::batches(lengths, options);
            CHECK(made.size() % ranks == 0);
            auto rows = rows_of_all(made, ranks);
            std::sort(rows.begin(), rows.end());
            std::vector<std::uint32_t> all(1000);
            std::iota(all.begin(), all.end(), 0U);
            CHECK(rows == all);
        }
}

TEST_CASE("the batches of a step cost about the same on every rank")
{
    const auto lengths = skewed_lengths(20000);
    batch_options options{.group = grouping::windows, .max_rows = 32, .order = batch_order::shuffled, .batches_per_step = 8};
    const auto balanced = plan::balance_of(plan::batches(lengths, options), 8);
    CHECK(balanced.mean < 1.05);
    options.batches_per_step = 1;
    const auto unbalanced = plan::balance_of(plan::batches(lengths, options), 8);
    CHECK(unbalanced.mean > 1.5);  // what ranks that draw for themselves wait for

    options.batches_per_step = 8;
    options.max_rows = batten::no_limit;
    options.max_cells = 16384;
    CHECK(plan::balance_of(plan::batches(lengths, options), 8).mean < 1.05);
}

TEST_CASE("balance is the busiest rank by the mean rank")
{
    // Cells 4, 2 | 6, 0: the busiest have 4 and 6, the mean rank 3 and 3.
    const plan::batch_plan<> made(3, {0, 1, 2}, {0, 1, 2, 3, 3}, {4, 2, 6, 0});
    const auto found = plan::balance_of(made, 2);
    CHECK(found.worst == 2.0);
    CHECK(std::abs(found.mean - 10.0 / 6.0) < 1e-12);
}

TEST_CASE("going on from any batch yields exactly the rest, with any number of ranks and workers")
{
    const auto lengths = skewed_lengths(300);
    const batch_options options{.group = grouping::windows,
                                .max_rows = 8,
                                .window = 64,
                                .order = batch_order::shuffled,
                                .batches_per_step = 2,
                                .seed = 5,
                                .epoch = 3};
    const auto made = plan::batches(lengths, options);
    const auto all = rows_of_all(made, 1);
    for (std::size_t next = 0; next <= made.size(); ++next) {
        const plan::plan_state state = plan::state_of(made, options, next);
        batch_options again = options;
        again.seed = state.seed;
        again.epoch = state.epoch;
        const auto remade = plan::batches(lengths, again);
        const std::size_t first = plan::resume(remade, state);
        const std::vector<std::uint32_t> rest(all.begin() + static_cast<std::ptrdiff_t>(made.offsets()[next]), all.end());
        for (const std::size_t ranks : {1U, 2U, 5U})
            CHECK(rows_of_all(remade, ranks, first) == rest);
    }
}

TEST_CASE("the workers of a rank take its batches in turn")
{
    const auto made = plan::batches(skewed_lengths(200), {.max_rows = 4, .batches_per_step = 2});
    const auto mine = plan::for_rank(made, 1, 2);
    for (std::size_t s = 0; s < mine.size(); ++s) {
        const auto worker = plan::for_rank(made, 1 + 2 * (s % 3), 2 * 3);
        CHECK(worker[s / 3].rows.data() == mine[s].rows.data());
    }
}

TEST_CASE("a rank past the plan takes batches without rows, however many ranks there are")
{
    const auto made = plan::batches(std::vector<int>{1, 2, 3}, {.max_rows = 1});
    constexpr std::size_t ranks = batten::no_limit;
    const auto mine = plan::for_rank(made, ranks - 1, ranks, 2);  // 2 + rank wraps
    REQUIRE(mine.size() == 1);
    CHECK(mine[0].rows.empty());
    CHECK(plan::for_rank(made, 0, ranks, 2)[0].width == 3);
}

TEST_CASE("a rank that is none, and a state of another plan, are errors")
{
    const auto lengths = skewed_lengths(50);
    const batch_options options{.max_rows = 8};
    const auto made = plan::batches(lengths, options);
    CHECK(error_is(plan::try_for_rank(made, 0, 0).error()) ==
          error_is(errors::argument_not_positive, no_row, 0, 0, "ranks"));
    CHECK(error_is(plan::try_for_rank(made, 2, 2).error()) == error_is(errors::rank_out_of_range, no_row, 2, 2));
    CHECK(error_is(plan::try_for_rank(made, 0, 2, made.size() + 1).error()) ==
          error_is(errors::batch_out_of_range, no_row, made.size() + 1, made.size()));
    tests::check_throws(plan::try_for_rank(made, 2, 2).error(), [&] { static_cast<void>(plan::for_rank(made, 2, 2)); });
    CHECK(plan::for_rank(made, 0, 2, made.size()).empty());

    auto state = plan::state_of(made, options, 1);
    const auto other = plan::batches(lengths, {.max_rows = 9});
    CHECK(plan::try_resume(other, state).error().code == errors::state_of_another);
    auto longer = lengths;
    longer.push_back(3);
    CHECK(plan::try_resume(plan::batches(longer, options), state).error().code == errors::state_of_another);
    state.next = made.size() + 1;
    CHECK(plan::try_resume(made, state).error().code == errors::batch_out_of_range);
    tests::check_throws(plan::try_resume(made, state).error(), [&] { static_cast<void>(plan::resume(made, state)); });
}
