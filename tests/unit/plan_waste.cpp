// SPDX-License-Identifier: MIT

#include "support.hpp"

#include <batten/plan/waste.hpp>

#include <cstdint>
#include <limits>
#include <vector>

namespace plan = batten::plan;
using plan::waste;

namespace {

const std::vector<int> lengths{3, 1, 4, 2};

constexpr waste fixed_at_three{.rows = 4,
                               .real_tokens = 9,
                               .pads = 3,
                               .truncated_tokens = 1,
                               .trained_tokens = 5,
                               .attended_pairs = 36,
                               .real_pairs = 9 + 1 + 9 + 4};
static_assert(fixed_at_three.padding() == 0.25);
static_assert(fixed_at_three + waste{} == fixed_at_three);

}  // namespace

TEST_CASE("the waste of a strategy on a histogram counts pads, what is cut off, and attention")
{
    const plan::histogram counts(lengths);
    CHECK(plan::waste_of(counts, 3) == fixed_at_three);
    CHECK(plan::waste_of(counts, std::vector<std::size_t>{2, 4}) == waste{.rows = 4,
                                                                          .real_tokens = 10,
                                                                          .pads = 2,
                                                                          .trained_tokens = 6,
                                                                          .attended_pairs = 4 + 4 + 16 + 16,
                                                                          .real_pairs = 9 + 1 + 16 + 4});
    CHECK(plan::waste_of(counts, std::vector<std::size_t>{3}) == fixed_at_three);
}

TEST_CASE("the waste of a plan is that of the batches that it makes")
{
    const auto made = plan::batches(lengths, {.group = plan::grouping::as_given, .max_rows = 2});
    const waste planned = plan::waste_of(made, lengths);
    CHECK(planned == waste{.batches = 2,
                           .rows = 4,
                           .real_tokens = 10,
                           .pads = 4,
                           .trained_tokens = 6,
                           .attended_pairs = 18 + 32,
                           .real_pairs = 30});

    const tests::ragged sequences{{1, 2, 3}, {1}, {1, 2, 3, 4}, {1, 2}};
    const batten::presets::training<> collate{{.pad_id = 0}};
    waste collated;
    for (const auto batch : made)
        collated += plan::waste_of(collate(batten::select(sequences, batch.rows)));
    CHECK(collated == planned);
}

TEST_CASE("a batch tells what it cut off, and counts the targets that it trains")
{
    const tests::ragged sequences{{1, 2, 3}, {1}, {1, 2, 3, 4}, {1, 2}};
    const batten::collator<batten::pad_left, batten::fixed_length, batten::truncate_right> collate{
        {.pad_id = 0, .length = {3}}};
    waste found = plan::waste_of(collate(sequences));
    CHECK(found.batches == 1);
    found.batches = 0;
    CHECK(found == fixed_at_three);
}

TEST_CASE("the waste of bins counts each piece as a sequence, and their gaps as pads")
{
    const std::vector<batten::piece> pieces{{0, 0, 3}, {1, 0, 1}, {2, 0, 4}};
    const std::vector<std::size_t> offsets{0, 2, 3};
    CHECK(plan::waste_of(batten::bins{pieces, offsets, 1}, 5) == waste{.batches = 1,
                                                                       .rows = 2,
                                                                       .real_tokens = 8,
                                                                       .pads = 2,
                                                                       .trained_tokens = 5,
                                                                       .attended_pairs = 50,
                                                                       .real_pairs = 26});
}

TEST_CASE("sums that pass 64 bits stay at the largest value")
{
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    waste large{.rows = most, .real_tokens = most - 1};
    large += waste{.rows = 1, .real_tokens = 5};
    CHECK(large.rows == most);
    CHECK(large.real_tokens == most);
    const auto counts = plan::histogram::from_bins({{std::size_t{1} << 33U, 4}});
    CHECK(plan::waste_of(counts, std::size_t{1} << 33U).attended_pairs == most);
}

TEST_CASE("wastes print as an aligned table")
{
    const std::vector<plan::waste_line> lines{{"fixed to 3", fixed_at_three}, {"nothing", {}}};
    CHECK(plan::table(lines) ==
          "strategy    rows  real tokens  pads  padding  truncated  dropped  trained  attention wasted\n"
          "fixed to 3     4            9     3   25.0 %          1        0        5            36.1 %\n"
          "nothing        0            0     0    0.0 %          0        0        0             0.0 %\n");
}
