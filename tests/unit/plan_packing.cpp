// SPDX-License-Identifier: MIT

#include "lists.hpp"
#include "packing_support.hpp"
#include "support.hpp"

#include <batten/batten.hpp>
#include <batten/plan/best_fit.hpp>
#include <batten/plan/next_fit.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

namespace plan = batten::plan;
namespace errors = batten::plan::errors;
using batten::piece;
using plan::over_capacity;
using plan::packing_options;
using tests::draws;
using tests::error_is;
using tests::no_row;

namespace {

std::vector<std::vector<piece>> bins_of(const plan::packing& packed)
{
    std::vector<std::vector<piece>> all;
    for (std::size_t b = 0; b < packed.size(); ++b)
        all.emplace_back(packed[b].begin(), packed[b].end());
    return all;
}

using placed = std::vector<std::vector<piece>>;

// Best fit decreasing as it is told: one piece at a time, all bins looked at. What each bin has left, sorted.
std::vector<std::size_t> spaces_of_best_fit(std::vector<std::size_t> lengths, std::size_t capacity)
{
    std::sort(lengths.rbegin(), lengths.rend());
    std::vector<std::size_t> spaces;
    for (const std::size_t length : lengths) {
        auto best = spaces.end();
        for (auto s = spaces.begin(); s != spaces.end(); ++s)
            if (*s >= length && (best == spaces.end() || *s < *best))
                best = s;
        if (best == spaces.end())
            best = spaces.insert(spaces.end(), capacity);
        *best -= length;
    }
    std::sort(spaces.begin(), spaces.end());
    return spaces;
}

std::vector<std::size_t> spaces_of(const plan::packing& packed)
{
    std::vector<std::size_t> spaces;
    for (std::size_t b = 0; b < packed.size(); ++b) {
        std::size_t space = packed.capacity;
        for (const piece& p : packed[b])
            space -= p.length;
        spaces.push_back(space);
    }
    std::sort(spaces.begin(), spaces.end());
    return spaces;
}

// 2^32 lengths of 1, in no memory.
struct four_billion {
    std::uint64_t operator[](std::size_t /*i*/) const { return 1; }
    auto begin() const { return batten::detail::index_iterator<four_billion>(this, 0); }
    auto end() const { return batten::detail::index_iterator<four_billion>(this, std::size_t{1} << 32U); }
};

constexpr bool two_that_fit_each_other_share_a_bin()
{
    const std::array<int, 4> lengths{6, 7, 3, 4};
    const plan::packing packed = plan::pack_best_fit(lengths, {.capacity = 10});
    return packed.size() == 2 && packed[0].size() == 2 && packed[0][0] == piece{1, 0, 7} && packed[0][1] == piece{2, 0, 3} &&
           packed[1][0] == piece{0, 0, 6} && packed[1][1] == piece{3, 0, 4} && packed.bounds.by_total == 2;
}
static_assert(two_that_fit_each_other_share_a_bin());

constexpr bool patterns_of_a_histogram()
{
    const plan::pattern_packing packed =
        plan::pack_best_fit(plan::histogram::from_bins({{6, 1000000}, {4, 1500000}}), {.capacity = 10});
    return packed.bins() == 1250000 && packed.size() == 2 && packed[0].bins + packed[1].bins == 1250000 &&
           packed.bounds.best() == 1200000;
}
static_assert(patterns_of_a_histogram());

constexpr bool next_fit_keeps_the_order()
{
    const std::array<int, 5> lengths{6, 7, 3, 4, 6};
    const plan::packing packed = plan::pack_next_fit(lengths, {.capacity = 10});
    return packed.offsets == std::vector<std::size_t>{0, 1, 3, 5} && packed.pieces[2] == piece{2, 0, 3};
}
static_assert(next_fit_keeps_the_order());

}  // namespace

// ---- what every packing is ----------------------------------------------------------------------------------------------

TEST_CASE("every packing has every token once, in bins that hold their pieces, whatever the options")
{
    for (std::uint64_t seed = 1; seed <= 600; ++seed) {
        draws draw(seed);
        const packing_options options = tests::random_packing_options(draw);
        const std::vector<std::size_t> lengths = tests::random_lengths_for(draw, options);
        CAPTURE(seed);
        tests::check_packing(plan::pack_best_fit(lengths, options), lengths, options);
        const plan::packing next = plan::pack_next_fit(lengths, options);
        tests::check_packing(next, lengths, options);
        CHECK(std::is_sorted(next.pieces.begin(), next.pieces.end(), [](const piece& a, const piece& b) {
            return a.sequence != b.sequence ? a.sequence < b.sequence : a.begin < b.begin;
        }));
    }
}

TEST_CASE("a histogram is packed into as many bins as its list")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        draws draw(seed);
        const packing_options options = tests::random_packing_options(draw);
        const std::vector<std::size_t> lengths = tests::random_lengths_for(draw, options);
        CAPTURE(seed);
        const plan::packing packed = plan::pack_best_fit(lengths, options);
        const plan::pattern_packing patterns = plan::pack_best_fit(plan::histogram(lengths), options);
        CHECK(patterns.bins() == packed.size());
        CHECK(patterns.bounds == packed.bounds);
        CHECK(patterns.bounds == plan::pack_next_fit(lengths, options).bounds);
        tests::check_patterns(patterns, packed, options);
    }
}

TEST_CASE("best fit by groups of bins is best fit piece by piece")
{
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        draws draw(seed);
        const std::size_t capacity = 1 + draw.below(300);
        const std::vector<std::size_t> lengths = draw.lengths(draw.below(200), 1, capacity);
        CAPTURE(seed, capacity);
        CHECK(spaces_of(plan::pack_best_fit(lengths, {.capacity = capacity})) == spaces_of_best_fit(lengths, capacity));
    }
}

TEST_CASE("bounds are never above the fewest bins that there can be")
{
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        draws draw(seed);
        packing_options options{.capacity = 4 + draw.below(30)};
        options.slot_multiple = 1 + draw.below(3);
        options.max_per_bin = draw.below(2) == 0 ? batten::no_limit : 1 + draw.below(3);
        const std::size_t longest = options.capacity / options.slot_multiple * options.slot_multiple;
        const std::vector<std::size_t> lengths = draw.lengths(1 + draw.below(8), 0, longest);
        CAPTURE(seed);
        const std::size_t fewest = tests::fewest_bins(lengths, options);
        const plan::packing packed = plan::pack_best_fit(lengths, options);
        CHECK(packed.bounds.by_total <= fewest);
        CHECK(packed.bounds.by_count <= fewest);
        CHECK(packed.bounds.martello_toth <= fewest);
        CHECK(packed.bounds.martello_toth >= packed.bounds.by_total);
        CHECK(packed.size() >= fewest);
    }
}

TEST_CASE("large pieces apart from each other make a better bound than the total")
{
    // Six of 6 have a bin each; what they leave holds none of the three 5s.
    const plan::packing packed = plan::pack_best_fit(std::vector<int>{6, 6, 6, 6, 6, 6, 5, 5, 5}, {.capacity = 10});
    CHECK(packed.bounds.by_total == 6);
    CHECK(packed.bounds.martello_toth == 8);
    CHECK(packed.bounds.best() == 8);
    CHECK(packed.size() == 8);
}

// ---- what they are in particular ----------------------------------------------------------------------------------------

TEST_CASE("equal lengths lie in bins in their order")
{
    const std::vector<int> lengths(7, 5);
    CHECK(bins_of(plan::pack_best_fit(lengths, {.capacity = 12})) ==
          placed{{{0, 0, 5}, {1, 0, 5}}, {{2, 0, 5}, {3, 0, 5}}, {{4, 0, 5}, {5, 0, 5}}, {{6, 0, 5}}});
}

TEST_CASE("no sequences take no bins, empty ones a bin together")
{
    CHECK(plan::pack_best_fit(std::vector<int>{}, {.capacity = 8}).size() == 0);
    CHECK(plan::pack_next_fit(std::vector<int>{}, {.capacity = 8}).size() == 0);
    CHECK(plan::pack_best_fit(plan::histogram{}, {.capacity = 8}).bins() == 0);
    const std::vector<int> empty{0, 0, 0};
    CHECK(bins_of(plan::pack_best_fit(empty, {.capacity = 8})) == placed{{{0, 0, 0}, {1, 0, 0}, {2, 0, 0}}});
    CHECK(bins_of(plan::pack_best_fit(empty, {.capacity = 8, .max_per_bin = 2})) == placed{{{0, 0, 0}, {1, 0, 0}}, {{2, 0, 0}}});
    CHECK(bins_of(plan::pack_best_fit(std::vector<int>{8, 0, 8}, {.capacity = 8})).size() == 2);
}

TEST_CASE("where the last token is a target alone, one more token fits")
{
    const packing_options options{.capacity = 1024, .targets = batten::next_token_drop_last};
    CHECK(plan::pack_best_fit(std::vector<int>{1025}, options).size() == 1);
    CHECK(plan::pack_best_fit(std::vector<int>{513, 513, 1}, options).size() == 1);
    CHECK(error_is(plan::try_pack_best_fit(std::vector<int>{1026}, options).error()) ==
          error_is(errors::row_over_limit, 0, 1026, 1025));
}

TEST_CASE("a sequence over the capacity is split into full pieces and the rest")
{
    CHECK(bins_of(plan::pack_next_fit(std::vector<int>{25}, {.capacity = 10, .over = over_capacity::is_split})) ==
          placed{{{0, 0, 10}}, {{0, 10, 10}}, {{0, 20, 5}}});
    CHECK(bins_of(plan::pack_next_fit(std::vector<int>{20}, {.capacity = 10, .over = over_capacity::is_split})) ==
          placed{{{0, 0, 10}}, {{0, 10, 10}}});
}

TEST_CASE("with overlap a piece begins with the last token of the one before, so that every target is trained once")
{
    CHECK(bins_of(plan::pack_next_fit(std::vector<int>{25}, {.capacity = 10, .over = over_capacity::is_split_with_overlap})) ==
          placed{{{0, 0, 10}}, {{0, 9, 10}}, {{0, 18, 7}}});
    CHECK(bins_of(plan::pack_next_fit(std::vector<int>{21}, {.capacity = 10,
                                                        .over = over_capacity::is_split_with_overlap,
                                                        .targets = batten::next_token_drop_last})) ==
          placed{{{0, 0, 11}}, {{0, 10, 11}}});
    // Targets: tokens but the first of a sequence. Those of the pieces are as many.
    const std::vector<std::size_t> lengths{700, 1, 0, 513, 512, 1024, 1536, 2000};
    const packing_options options{
        .capacity = 512, .over = over_capacity::is_split_with_overlap, .targets = batten::next_token_drop_last};
    std::size_t expected = 0;
    for (const std::size_t length : lengths)
        expected += length == 0 ? 0 : length - 1;
    std::size_t trained = 0;
    for (const piece& p : plan::pack_best_fit(lengths, options).pieces)
        trained += p.length == 0 ? 0 : p.length - 1;
    CHECK(trained == expected);
}

TEST_CASE("pieces begin at multiples of the slot, and a capacity is used up to one")
{
    const packing_options options{.capacity = 30, .slot_multiple = 8};
    CHECK(plan::pack_best_fit(std::vector<int>{9, 7}, options).size() == 1);   // 16 + 8
    CHECK(plan::pack_best_fit(std::vector<int>{9, 9}, options).size() == 2);   // 16 + 16 > 24
    CHECK(error_is(plan::try_pack_best_fit(std::vector<int>{25}, options).error()) ==
          error_is(errors::row_over_limit, 0, 25, 24));
    CHECK(plan::pack_best_fit(std::vector<int>{9, 9}, options).slot_multiple == 8);
}

TEST_CASE("bins are halved until their number is a multiple, and empty ones added where they can't be")
{
    const std::vector<int> lengths{1, 1, 1, 1, 1, 1};
    CHECK(plan::pack_best_fit(lengths, {.capacity = 6, .bins_multiple = 4}).offsets == std::vector<std::size_t>{0, 2, 3, 5, 6});
    CHECK(plan::pack_next_fit(lengths, {.capacity = 6, .bins_multiple = 8}).offsets ==
          std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 6, 6});
    CHECK(plan::pack_best_fit(std::vector<int>{}, {.capacity = 6, .bins_multiple = 8}).size() == 0);
    const plan::pattern_packing patterns =
        plan::pack_best_fit(plan::histogram::from_bins({{1, 6}}), {.capacity = 6, .bins_multiple = 4});
    CHECK(patterns.bins() == 4);
}

TEST_CASE("the number of pieces in a bin is limited, and bounds the bins")
{
    const plan::packing packed = plan::pack_best_fit(std::vector<int>(10, 1), {.capacity = 100, .max_per_bin = 3});
    CHECK(packed.size() == 4);
    CHECK(packed.bounds.by_count == 4);
    CHECK(packed.bounds.by_total == 1);
}

TEST_CASE("a capacity far over all lengths together packs them into one bin")
{
    CHECK(plan::pack_best_fit(std::vector<int>{5, 7}, {.capacity = batten::no_limit}).size() == 1);
    CHECK(plan::pack_next_fit(std::vector<int>{5, 7}, {.capacity = batten::no_limit}).size() == 1);
}

TEST_CASE("a packing goes straight into the binned layout: positions restart, labels stay within their sequence")
{
    const std::vector<std::vector<int>> rows{{11, 12}, {21, 22, 23}, {31}};
    const plan::packing packed = plan::pack_best_fit(std::vector<int>{2, 3, 1}, {.capacity = 4});
    const batten::packed_collator<> collate{{.pad_id = 0, .length = {4}}};
    const auto batch = collate(batten::packed(rows, packed));
    CHECK(tests::grid_of(batch.view<batten::token_ids>()) ==
          tests::grid{{21, 22, 23, 31}, {11, 12, 0, 0}});
    CHECK(tests::grid_of(batch.view<batten::position_ids>()) ==
          tests::grid{{0, 1, 2, 0}, {0, 1, 0, 0}});
    CHECK(tests::grid_of(batch.view<batten::labels>()) ==
          tests::grid{{-100, 22, 23, -100}, {-100, 12, -100, -100}});
}

// ---- bad input ------------------------------------------------------------------------------------------------------------

TEST_CASE("packing refuses what makes no sense, by name")
{
    const std::vector<int> lengths{3};
    const auto zero = [&](const packing_options& options, const char* name) {
        for (const batten::error& reason :
             {plan::try_pack_best_fit(lengths, options).error(), plan::try_pack_next_fit(lengths, options).error(),
              plan::try_pack_best_fit(plan::histogram(lengths), options).error()}) {
            CHECK(reason.code == errors::argument_not_positive);
            CHECK(reason.field == name);
        }
    };
    zero({}, "capacity");
    zero({.capacity = 8, .max_per_bin = 0}, "max_per_bin");
    zero({.capacity = 8, .slot_multiple = 0}, "slot_multiple");
    zero({.capacity = 8, .bins_multiple = 0}, "bins_multiple");
    CHECK(error_is(plan::try_pack_best_fit(lengths, {.capacity = 8, .slot_multiple = 16}).error()) ==
          error_is(errors::capacity_too_small, no_row, 8, 16));
    CHECK(error_is(plan::try_pack_best_fit(lengths, {.capacity = 1, .over = over_capacity::is_split_with_overlap}).error()) ==
          error_is(errors::capacity_too_small, no_row, 1, 2));
}

TEST_CASE("packing names the sequence that it can't pack")
{
    CHECK(error_is(plan::try_pack_best_fit(std::vector<int>{4, 700}, {.capacity = 512}).error()) ==
          error_is(errors::row_over_limit, 1, 700, 512));
    CHECK(error_is(plan::try_pack_next_fit(std::vector<int>{4, -3}, {.capacity = 512}).error()) ==
          error_is(errors::length_negative, 1, -3, 0));
    CHECK(error_is(plan::try_pack_best_fit(plan::histogram::from_bins({{4, 2}, {700, 1}}), {.capacity = 512}).error()) ==
          error_is(errors::row_over_limit, no_row, 700, 512));
    CHECK(error_is(plan::try_pack_best_fit(std::vector<std::uint64_t>{1, std::uint64_t{1} << 32U},
                                      {.capacity = 512, .over = over_capacity::is_split})
                       .error()) ==
          error_is(errors::value_not_representable, 1, std::uint64_t{1} << 32U, 0, "piece.length"));
    // More sequences than a piece counts.
    CHECK(error_is(plan::try_pack_next_fit(four_billion{}, {.capacity = 512}).error()) ==
          error_is(errors::value_not_representable, no_row, 0xFFFFFFFFU, 0, "piece.sequence"));
}

TEST_CASE("packing refuses totals and capacities that it can't count")
{
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    CHECK(plan::try_pack_best_fit(plan::histogram::from_bins({{1, most}}), {.capacity = 8}).error().code ==
          errors::size_overflow);
    CHECK(error_is(plan::try_pack_best_fit(std::vector<std::uint32_t>(3, 4000000000U), {.capacity = 5000000000U}).error()) ==
          error_is(errors::capacity_too_large, no_row, 5000000000U, std::uint64_t{1} << 26U));
    CHECK(plan::pack_next_fit(std::vector<std::uint32_t>(3, 4000000000U), {.capacity = 5000000000U}).size() == 3);
}

// ---- known results ----------------------------------------------------------------------------------------------------------

TEST_CASE("best fit packs the lengths of packedBERT's Wikipedia as published")
{
    const auto counts = tests::packedbert_histogram();
    if (counts.empty()) {
        WARN("the real length lists are not at " BATTEN_TEST_DATA ": published packings are not checked");
        return;
    }
    CHECK(plan::pack_best_fit(counts, {.capacity = 512, .max_per_bin = 12}).bins() == 8149619);
    CHECK(plan::pack_best_fit(counts, {.capacity = 512}).bins() == 8138483);
    CHECK(plan::pack_best_fit(counts, {.capacity = 512}).bounds.by_total == 8134368);
}
