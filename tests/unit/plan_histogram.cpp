// SPDX-License-Identifier: MIT

#include "catch.hpp"

#include <batten/plan/histogram.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

using batten::plan::histogram;

namespace {

constexpr bool counts_lengths_shortest_first()
{
    const std::vector<int> lengths{5, 2, 5, 0, 5, 2};
    const histogram h(lengths);
    return h.sequences() == 6 && h.tokens() == 19 && h.longest() == 5 && h.bins().size() == 3 &&
           h.bins()[0] == histogram::bin{0, 1} && h.bins()[1] == histogram::bin{2, 2} && h.bins()[2] == histogram::bin{5, 3};
}
static_assert(counts_lengths_shortest_first());

}  // namespace

TEST_CASE("a histogram of nothing is empty")
{
    const histogram h(std::vector<int>{});
    CHECK(h.empty());
    CHECK(h.sequences() == 0);
    CHECK(h.tokens() == 0);
    CHECK(h.longest() == 0);
    CHECK(h.percentile(50) == 0);
}

TEST_CASE("lengths out of all proportion to their number are counted without a table of them")
{
    const histogram h(std::vector<std::uint64_t>{1000000000000U, 3, 1000000000000U});
    REQUIRE(h.bins().size() == 2);
    CHECK(h.bins()[0] == histogram::bin{3, 1});
    CHECK(h.bins()[1] == histogram::bin{1000000000000U, 2});
}

TEST_CASE("percentiles are by nearest rank")
{
    // Against the definition, on the sorted list.
    std::vector<std::size_t> lengths;
    for (std::size_t i = 0; i < 57; ++i)
        lengths.push_back(i * i % 41);
    const histogram h(lengths);
    std::vector<std::size_t> sorted = lengths;
    std::sort(sorted.begin(), sorted.end());
    for (const double p : {0.0, 1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 100.0}) {
        const auto rank = static_cast<std::size_t>(std::ceil(p / 100 * static_cast<double>(sorted.size())));
        CHECK(h.percentile(p) == sorted[rank == 0 ? 0 : rank - 1]);
    }
}

TEST_CASE("the rank of a percentile is ceil(p * n / 100) exactly")
{
    const auto numbers = [](std::size_t n) {
        std::vector<std::size_t> all(n);
        std::iota(all.begin(), all.end(), std::size_t{1});
        return histogram(all);
    };
    CHECK(numbers(100).percentile(55) == 55);
    CHECK(numbers(1000).percentile(99.9) == 999);
    for (const std::size_t n : {1U, 7U, 100U, 101U, 1000U}) {
        const histogram h = numbers(n);
        for (std::size_t thousandths = 0; thousandths <= 100000; thousandths += n > 500 ? 37 : 1) {
            const std::size_t rank = (thousandths * n + 99999) / 100000;
            if (h.percentile(static_cast<double>(thousandths) / 1000) != std::max<std::size_t>(rank, 1)) {
                CAPTURE(n, thousandths, rank);
                FAIL("the percentile has another rank");
            }
        }
    }
    // Counts at the end of their type: the rank of p50 is 2^63, that of p100 2^64 - 1.
    constexpr std::uint64_t half = std::uint64_t{1} << 63U;
    const histogram huge = histogram::from_bins({{0, half}, {1, half - 1}});
    CHECK(huge.percentile(50) == 0);
    CHECK(huge.percentile(50.000001) == 1);
    CHECK(huge.percentile(100) == 1);
}

TEST_CASE("merging two histograms is the histogram of both lists")
{
    const std::vector<int> a{1, 2, 3, 3};
    const std::vector<int> b{3, 4, 1};
    histogram merged(a);
    merged += histogram(b);
    CHECK(merged == histogram(std::vector<int>{1, 2, 3, 3, 3, 4, 1}));
}

TEST_CASE("bins come in any order, twice, or empty")
{
    const histogram h = histogram::from_bins({{7, 2}, {3, 1}, {5, 0}, {7, 4}});
    CHECK(h == histogram::from_bins({{3, 1}, {7, 6}}));
    CHECK(h.sequences() == 7);
    CHECK(h.tokens() == 45);
}

TEST_CASE("a histogram names a negative length and its row")
{
    const auto h = histogram::try_make(std::vector<int>{4, -3});
    REQUIRE_FALSE(h);
    CHECK(h.error().code == batten::errors::length_negative);
    CHECK(h.error().row == 1);
    CHECK(h.error().message() == "batten: row 1 has the negative length -3");
}

TEST_CASE("counts and tokens that pass 64 bits are an error")
{
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    CHECK(histogram::try_from_bins({{2, most}}).error().code == batten::errors::size_overflow);
    CHECK(histogram::try_from_bins({{0, most}, {1, 1}}).error().code == batten::errors::size_overflow);
    CHECK(histogram::try_from_bins({{1, most}, {1, 1}}).error().code == batten::errors::size_overflow);
    CHECK(histogram::try_from_bins({{1, most}}));
}
