// SPDX-License-Identifier: MIT

#include "catch.hpp"
#include "lists.hpp"

#include <batten/collator.hpp>
#include <batten/plan/edges.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace plan = batten::plan;
namespace errors = batten::plan::errors;
using plan::histogram;

namespace {

std::uint64_t next(std::uint64_t& state)
{
    state ^= state << 13U;
    state ^= state >> 7U;
    state ^= state << 17U;
    return state;
}

histogram random_histogram(std::uint64_t& state)
{
    std::vector<histogram::bin> bins;
    const std::size_t distinct = 1 + next(state) % 9;
    for (std::size_t i = 0; i < distinct; ++i)
        bins.push_back({next(state) % 30, 1 + next(state) % 20});
    return histogram::from_bins(std::move(bins));
}

// The least cost of all lists of at most k multiples of m that end with `last`.
template <class Cost>
auto brute_force(const histogram& h, std::size_t k, std::size_t m, std::size_t last, const Cost& cost)
{
    auto least = std::numeric_limits<plan::cost_value<Cost>>::max();
    std::vector<std::size_t> inner;
    for (std::size_t w = m; w < last; w += m)
        inner.push_back(w);
    for (std::uint64_t chosen = 0; chosen < std::uint64_t{1} << inner.size(); ++chosen) {
        std::vector<std::size_t> edges;
        for (std::size_t i = 0; i < inner.size(); ++i)
            if ((chosen >> i & 1U) != 0)
                edges.push_back(inner[i]);
        edges.push_back(last);
        if (edges.size() <= k)
            least = std::min(least, plan::cost_of(h, edges, cost));
    }
    return least;
}

std::size_t round_up(std::size_t n, std::size_t m)
{
    return (n + m - 1) / m * m;
}

constexpr bool two_edges_split_two_lengths()
{
    const histogram h = histogram::from_bins({{10, 5}, {100, 1}});
    const auto one = plan::optimal_edges(h, {.max_edges = 1});
    const auto two = plan::optimal_edges(h, {.max_edges = 2});
    return one.edges == std::vector<std::size_t>{100} && one.cost == 600 &&
           two.edges == std::vector<std::size_t>{10, 100} && two.cost == 150;
}
static_assert(two_edges_split_two_lengths());

void has_optima(const histogram& h, std::uint64_t four, std::uint64_t eight, std::uint64_t sixteen)
{
    CHECK(plan::optimal_edges(h, {.max_edges = 4}).cost == four);
    CHECK(plan::optimal_edges(h, {.max_edges = 8}).cost == eight);
    CHECK(plan::optimal_edges(h, {.max_edges = 16}).cost == sixteen);
}

}  // namespace

TEST_CASE("edges cost as much as the best of all lists of edges, by brute force")
{
    std::uint64_t state = 88172645463325252U;
    for (int round = 0; round < 300; ++round) {
        const histogram h = random_histogram(state);
        const std::size_t m = std::vector<std::size_t>{1, 2, 4, 8}[next(state) % 4];
        const std::size_t k = 1 + next(state) % 5;
        const std::size_t last = std::max(round_up(std::max<std::size_t>(h.longest(), 1), m), m);
        if (last / m > 16)
            continue;  // 2^15 lists are enough
        const plan::edge_options options{.max_edges = k, .multiple = m};
        const auto check = [&](const auto& cost) {
            const auto found = plan::optimal_edges(h, options, cost);
            CHECK(found.cost == brute_force(h, k, m, last, cost));
            CHECK(found.cost == plan::cost_of(h, found.edges, cost));
            CHECK(found.edges.size() <= k);
            CHECK(found.edges.back() == last);
            CHECK(std::all_of(found.edges.begin(), found.edges.end(), [&](std::size_t e) { return e % m == 0 && e > 0; }));
        };
        check(plan::padded_tokens{});
        check(plan::tokens_and_attention{.per_token = 3, .per_pair = 2});
        check([](std::size_t width) { return std::uint64_t{width / 10}; });  // steps: many lists cost the same
    }
}

TEST_CASE("a cost of the user's own may be a double")
{
    const histogram h = histogram::from_bins({{3, 7}, {9, 5}, {20, 2}, {31, 1}});
    const auto cost = [](std::size_t width) { return std::pow(static_cast<double>(width), 1.5); };
    const auto found = plan::optimal_edges(h, {.max_edges = 2}, cost);
    double least = 1e300;
    for (const std::size_t e : {3U, 9U, 20U})
        least = std::min(least, plan::cost_of(h, {e, 31}, cost));
    CHECK(std::abs(found.cost - least) <= 1e-12 * least);  // summed in another order
}

TEST_CASE("what makes halving right: longer buckets never gain by an earlier begin (the quadrangle inequality)")
{
    std::uint64_t state = 1234567;
    for (int round = 0; round < 200; ++round) {
        const histogram h = random_histogram(state);
        const auto bins = h.bins();
        const plan::tokens_and_attention cost{.per_token = next(state) % 5, .per_pair = next(state) % 5};
        std::vector<std::uint64_t> n{0};
        for (const auto& b : bins)
            n.push_back(n.back() + b.count);
        const auto w = [&](std::size_t i, std::size_t j) { return (n[j] - n[i]) * cost(bins[j - 1].length); };
        for (std::size_t i = 0; i <= bins.size(); ++i)
            for (std::size_t k = i; k <= bins.size(); ++k)
                for (std::size_t j = std::max<std::size_t>(k, 1); j <= bins.size(); ++j)
                    for (std::size_t l = j; l <= bins.size(); ++l)
                        REQUIRE(w(i, j) + w(k, l) <= w(i, l) + w(k, j));
    }
}

TEST_CASE("no more edges than help")
{
    const auto found = plan::optimal_edges(histogram::from_bins({{4, 10}, {9, 1}}), {.max_edges = 50});
    CHECK(found.edges == std::vector<std::size_t>{4, 9});
    CHECK(plan::optimal_edges(histogram::from_bins({{0, 10}}), {.max_edges = 50}).edges == std::vector<std::size_t>{1});
}

TEST_CASE("a stated maximum is the last edge")
{
    const histogram h = histogram::from_bins({{10, 5}, {100, 1}});
    CHECK(plan::optimal_edges(h, {.max_edges = 3, .multiple = 8, .maximum = 504}).edges ==
          std::vector<std::size_t>{16, 104, 504});
    CHECK(plan::optimal_edges(h, {.max_edges = 2, .multiple = 64, .maximum = 128}).edges == std::vector<std::size_t>{64, 128});
    CHECK(plan::optimal_edges(histogram{}, {.maximum = 64}).edges == std::vector<std::size_t>{64});
    CHECK(plan::try_optimal_edges(h, {.maximum = 99}).error().code == errors::width_past_maximum);
}

TEST_CASE("a maximum that rounding up passes is refused, as the length strategy refuses it")
{
    const histogram h = histogram::from_bins({{10, 5}, {499, 1}});
    const auto refused = plan::try_optimal_edges(h, {.multiple = 8, .maximum = 500});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errors::width_past_maximum);
    CHECK(refused.error().message() == "batten: the width comes to 504, the maximum is 500");
    const batten::collator<batten::pad_right, batten::round_up_to<8>> collate{{.pad_id = 0, .length = {{}, 500}}};
    const auto too_wide = collate.try_collate(std::vector<std::vector<int>>{std::vector<int>(499, 1)});
    REQUIRE_FALSE(too_wide);
    CHECK(too_wide.error().message() == refused.error().message());
    CHECK(plan::try_optimal_edges(h, {.multiple = 8, .maximum = batten::no_limit}).error().code == errors::size_overflow);
}

TEST_CASE("the edges go straight into a collator")
{
    const std::vector<std::vector<int>> rows{{1, 2, 3}, {1, 2, 3, 4, 5, 6}};
    const histogram h(batten::each(rows, [](const auto& row) { return row.size(); }));
    const batten::collator<batten::pad_right, batten::bucketed_length> collate{
        {.pad_id = 0, .length = plan::optimal_edges(h, {.max_edges = 2})}};
    CHECK(collate(rows).width() == 6);
}

TEST_CASE("edges refuse what makes no sense, by name")
{
    const histogram h = histogram::from_bins({{10, 5}});
    const auto zero = [&](const plan::edge_options& options, const char* name) {
        const auto refused = plan::try_optimal_edges(h, options);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errors::argument_not_positive);
        CHECK(refused.error().field == name);
    };
    zero({.max_edges = 0}, "max_edges");
    zero({.multiple = 0}, "multiple");
    zero({.maximum = 0}, "maximum");
    CHECK(plan::try_optimal_edges(histogram{}, {}).error().code == errors::input_empty);
    const auto falling = [](std::size_t width) { return 100 - std::uint64_t{width}; };
    CHECK(plan::try_optimal_edges(histogram::from_bins({{1, 1}, {2, 1}}), {}, falling).error().code ==
          errors::cost_decreases);
    const histogram huge = histogram::from_bins({{1000, std::uint64_t{1} << 50U}});
    CHECK(plan::try_optimal_edges(huge, {}, plan::tokens_and_attention{}).error().code == errors::size_overflow);
    CHECK(plan::try_cost_of(h, {9}).error().code == errors::width_past_maximum);
}

TEST_CASE("the known optima of real lists")
{
    const histogram azure(tests::real_lengths("traces/azure_2023_conv.csv", {"context_tokens"}));
    const histogram gsm8k(tests::real_lengths("lengths/gsm8k_train.csv", {"prompt_tokens", "completion_tokens"}));
    if (azure.empty() || gsm8k.empty()) {
        WARN("the real length lists are not at " BATTEN_TEST_DATA ": their optima are not checked");
        return;
    }
    has_optima(azure, 30758978, 25488801, 23774632);
    has_optima(gsm8k, 1396989, 1243815, 1179927);
    has_optima(tests::packedbert_histogram(), 4900309663, 4514560124, 4334254809);
}

TEST_CASE("edges at equal steps are those of the formula")
{
    std::uint64_t state = 77;
    for (int round = 0; round < 300; ++round) {
        const std::size_t n = 1 + next(state) % 60;
        const std::size_t k = 1 + next(state) % 80;
        std::vector<std::size_t> uniform;
        for (std::size_t i = 1; i <= k; ++i)
            if (const std::size_t edge = (n * i + k - 1) / k; uniform.empty() || uniform.back() != edge)
                uniform.push_back(edge);
        CHECK(plan::uniform_edges(n, k) == uniform);
        std::vector<std::size_t> sorted;
        for (std::size_t i = 0; i < n; ++i)
            sorted.push_back(1 + next(state) % 40);
        std::sort(sorted.begin(), sorted.end());
        std::vector<std::size_t> percentiles;
        for (std::size_t i = 1; i <= k; ++i)
            if (const std::size_t edge = sorted[(n - 1) * i / k]; percentiles.empty() || percentiles.back() != edge)
                percentiles.push_back(edge);
        CHECK(plan::percentile_edges(histogram(sorted), k) == percentiles);
    }
}

TEST_CASE("edges that cannot be are errors, and no list grows without end")
{
    const auto is = [](const auto& refused, const batten::error_text& text, const char* name) {
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == text);
        CHECK(refused.error().field == name);
    };
    is(plan::try_doubling_edges(0, 100), errors::argument_not_positive, "the first edge");
    is(plan::try_doubling_edges(3, batten::no_limit), errors::size_overflow, "");
    is(plan::try_uniform_edges(0, 4), errors::argument_not_positive, "the longest length");
    is(plan::try_uniform_edges(100, 0), errors::argument_not_positive, "k");
    is(plan::try_percentile_edges(histogram(std::vector<int>{3}), 0), errors::argument_not_positive, "k");
    is(plan::try_percentile_edges(histogram{}, 3), errors::input_empty, "the histogram");
    CHECK_THROWS_AS(plan::doubling_edges(0, 100), batten::exception);
    CHECK(plan::doubling_edges(1, std::size_t{1} << 63U).size() == 64);
    CHECK(plan::uniform_edges(3, batten::no_limit) == std::vector<std::size_t>{1, 2, 3});
    CHECK(plan::uniform_edges(batten::no_limit, 2) == std::vector<std::size_t>{std::size_t{1} << 63U, batten::no_limit});
    const histogram many = histogram::from_bins({{1, std::uint64_t{1} << 62U}, {2, std::uint64_t{1} << 60U}});
    CHECK(plan::percentile_edges(many, 3) == std::vector<std::size_t>{1, 2});
    CHECK(plan::percentile_edges(histogram(std::vector<int>{3, 4}), batten::no_limit) == std::vector<std::size_t>{3, 4});
}

TEST_CASE("edges as people write them down")
{
    const histogram h(std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    CHECK(plan::percentile_edges(h, 3) == std::vector<std::size_t>{4, 7, 10});
    CHECK(plan::percentile_edges(histogram(std::vector<int>{5, 5, 5, 9}), 4) == std::vector<std::size_t>{5, 9});
    CHECK(plan::uniform_edges(100, 3) == std::vector<std::size_t>{34, 67, 100});
    CHECK(plan::percentile_edges(h, 1000) == std::vector<std::size_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    CHECK(plan::uniform_edges(5, 1000) == std::vector<std::size_t>{1, 2, 3, 4, 5});
    CHECK(plan::doubling_edges(16, 100) == std::vector<std::size_t>{16, 32, 64, 128});
}
