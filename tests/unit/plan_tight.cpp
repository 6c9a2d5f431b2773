// SPDX-License-Identifier: MIT

#include "lists.hpp"
#include "packing_support.hpp"
#include "support.hpp"

#include <batten/plan/tight.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace plan = batten::plan;
namespace errors = batten::plan::errors;
using plan::packing_options;
using tests::draws;
using tests::error_is;
using tests::no_row;

namespace {

// Lengths that fill `bins` bins to the last slot: each is cut at random places.
std::vector<std::size_t> cut_bins(draws& draw, std::size_t bins, std::size_t capacity, std::size_t pieces)
{
    std::vector<std::size_t> lengths;
    for (std::size_t b = 0; b < bins; ++b) {
        std::vector<std::size_t> cuts{0, capacity};
        for (std::size_t p = 1; p < pieces; ++p)
            cuts.push_back(draw.below(capacity));
        std::sort(cuts.begin(), cuts.end());
        for (std::size_t i = 1; i < cuts.size(); ++i)
            lengths.push_back(cuts[i] - cuts[i - 1]);
    }
    return lengths;
}

// Bins between the fewest and so many in a thousand above.
bool is_within(std::uint64_t bins, std::uint64_t fewest, std::uint64_t thousandths)
{
    return bins >= fewest && (bins - fewest) * 1000 <= fewest * thousandths;
}

std::uint64_t most_valuable(const std::vector<std::size_t>& sizes, const std::vector<std::int64_t>& values, std::size_t slots,
                            std::uint64_t depth, std::size_t at = 0)
{
    if (at == sizes.size() || depth == 0)
        return 0;
    std::uint64_t best = most_valuable(sizes, values, slots, depth, at + 1);
    if (sizes[at] <= slots)
        best = std::max(best, static_cast<std::uint64_t>(values[at]) +
                                  most_valuable(sizes, values, slots - sizes[at], depth - 1, at));
    return best;
}

}  // namespace

TEST_CASE("a tight packing has every token once, in bins that hold their pieces, and never more bins than best fit")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        draws draw(seed);
        const packing_options options = tests::random_packing_options(draw);
        const std::vector<std::size_t> lengths = tests::random_lengths_for(draw, options);
        CAPTURE(seed);
        const plan::packing packed = plan::pack_tight(lengths, options);
        tests::check_packing(packed, lengths, options);
        CHECK(packed.size() <= plan::pack_best_fit(lengths, options).size());
        const plan::pattern_packing patterns = plan::pack_tight(plan::histogram(lengths), options);
        CHECK(patterns.bins() == packed.size());
        tests::check_patterns(patterns, packed, options);
    }
}

TEST_CASE("the bound of the relaxation is never above the fewest bins that there can be")
{
    std::size_t solved = 0;
    std::size_t reached = 0;
    for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
        draws draw(seed);
        packing_options options{.capacity = 20 + draw.below(60)};
        options.max_per_bin = draw.below(3) == 0 ? 2 + draw.below(2) : batten::no_limit;
        const std::vector<std::size_t> lengths = draw.lengths(8, options.capacity / 5, options.capacity / 2);
        const plan::packing packed = plan::pack_tight(lengths, options);
        if (!packed.bounds.lp)
            continue;
        CAPTURE(seed);
        const std::size_t fewest = tests::fewest_bins(lengths, options);
        ++solved;
        CHECK(*packed.bounds.lp <= fewest);
        CHECK(packed.size() >= fewest);
        reached += packed.size() == fewest ? 1U : 0U;
    }
    CHECK(solved > 50);
    CHECK(reached * 10 >= solved * 9);
}

TEST_CASE("what best fit puts together too early, the tight packer does not")
{
    // 44, 33 and 23 fill a bin of 100; best fit takes two of 44 first.
    const auto lengths = plan::histogram::from_bins({{44, 600}, {33, 600}, {23, 600}});
    CHECK(plan::pack_tight(lengths, {.capacity = 100}).bins() == 600);
    CHECK(plan::pack_best_fit(lengths, {.capacity = 100}).bins() > 620);
}

TEST_CASE("the relaxation says what totals do not")
{
    // Three of 27 or 28 fit 100, whichever they are: 1401 / 3 bins.
    const plan::pattern_packing threes = plan::pack_tight(plan::histogram::from_bins({{28, 700}, {27, 701}}), {.capacity = 100});
    CHECK(threes.bounds.by_total == 386);
    CHECK(threes.bounds.martello_toth == 386);
    CHECK(threes.bounds.lp == 467);
    CHECK(threes.bins() == 467);
}

TEST_CASE("bins that were cut into pieces are put together again, nearly all")
{
    struct list {
        std::size_t bins, capacity, pieces;
    };
    for (const list& of :
         {list{300, 256, 3}, list{2000, 512, 3}, list{2000, 1024, 4}, list{6000, 2048, 3}, list{5000, 8192, 3}}) {
        draws draw(of.bins + of.capacity);
        const std::vector<std::size_t> lengths = cut_bins(draw, of.bins, of.capacity, of.pieces);
        const plan::packing packed = plan::pack_tight(lengths, {.capacity = of.capacity});
        CAPTURE(of.bins, of.capacity, of.pieces);
        tests::check_packing(packed, lengths, {.capacity = of.capacity});
        CHECK(is_within(packed.size(), of.bins, 2));
    }
}

TEST_CASE("lists on which best fit is far from the bound are packed to within two thousandths of it")
{
    struct list {
        std::size_t n, capacity, least, most;
        std::uint64_t thousandths;
    };
    for (const list& of : {list{4000, 512, 100, 256, 2}, list{4000, 512, 138, 215, 2}, list{20000, 1000, 270, 420, 2}}) {
        draws draw(of.n + of.capacity);
        const std::vector<std::size_t> lengths = draw.lengths(of.n, of.least, of.most);
        const packing_options options{.capacity = of.capacity};
        const plan::packing packed = plan::pack_tight(lengths, options);
        CAPTURE(of.n, of.capacity, of.least, of.most);
        tests::check_packing(packed, lengths, options);
        REQUIRE(packed.bounds.lp);
        CHECK(is_within(packed.size(), *packed.bounds.lp, of.thousandths));
        CHECK_FALSE(is_within(plan::pack_best_fit(lengths, options).size(), *packed.bounds.lp, 20));
    }
}

TEST_CASE("a tight packing is the same again")
{
    draws draw(5);
    const std::vector<std::size_t> lengths = draw.lengths(3000, 50, 300);
    CHECK(plan::pack_tight(lengths, {.capacity = 640}) == plan::pack_tight(lengths, {.capacity = 640}));
}

TEST_CASE("a tight packing of nothing, of empty sequences, and of empty ones among others")
{
    CHECK(plan::pack_tight(std::vector<int>{}, {.capacity = 8}).size() == 0);
    CHECK(plan::pack_tight(std::vector<int>{0, 0, 0}, {.capacity = 8, .max_per_bin = 2}).size() == 2);
    const std::vector<std::size_t> lengths{5, 0, 0, 3, 4, 0, 4, 0, 0};
    tests::check_packing(plan::pack_tight(lengths, {.capacity = 8, .max_per_bin = 4}), lengths, {.capacity = 8, .max_per_bin = 4});
    CHECK(plan::pack_tight(lengths, {.capacity = 8, .max_per_bin = 4}).size() == 3);
    CHECK(plan::pack_tight(lengths, {.capacity = 8}).size() == 2);
}

TEST_CASE("the tight packer refuses what best fit refuses")
{
    CHECK(plan::try_pack_tight(std::vector<int>{3}, {}).error().code == errors::argument_not_positive);
    CHECK(error_is(plan::try_pack_tight(std::vector<int>{4, 700}, {.capacity = 512}).error()) ==
          error_is(errors::row_over_limit, 1, 700, 512));
    CHECK(error_is(plan::try_pack_tight(plan::histogram::from_bins({{700, 2}}), {.capacity = 512}).error()) ==
          error_is(errors::row_over_limit, no_row, 700, 512));
}

TEST_CASE("the pricer finds the most valuable bin, with and without a limit of pieces")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        draws draw(seed);
        const std::size_t slots = 5 + draw.below(40);
        const std::uint64_t depth = 1 + draw.below(5);
        std::vector<std::size_t> sizes;
        for (std::size_t size = slots; size > 0; size -= std::min(size, 1 + draw.below(7)))
            sizes.push_back(size);
        std::vector<plan::detail::size_class> classes;
        std::vector<std::int64_t> values;
        for (const std::size_t size : sizes) {
            classes.push_back({size, 1});
            values.push_back(static_cast<std::int64_t>(draw.below(100)));
        }
        plan::detail::bin_pricer pricer(classes, slots, depth);
        plan::detail::step_budget budget(1U << 30U);
        pricer.price(values, budget);
        CAPTURE(seed, slots, depth);
        CHECK(static_cast<std::uint64_t>(pricer.best()) == most_valuable(sizes, values, slots, depth));
        // Every bin that is offered fits, and the first of them is the best.
        bool first = true;
        pricer.visit([&](std::span<const plan::detail::class_run> runs) {
            std::uint64_t pieces = 0;
            std::uint64_t used = 0;
            std::int64_t worth = 0;
            for (const auto& run : runs) {
                pieces += run.copies;
                used += run.copies * sizes[run.of];
                worth += static_cast<std::int64_t>(run.copies) * values[run.of];
            }
            CHECK(pieces <= depth);
            CHECK(used <= slots);
            CHECK((!first || worth == pricer.best()));
            first = false;
            return true;
        });
    }
}

TEST_CASE("no header calls an algorithm that standard libraries build on the deprecated get_temporary_buffer")
{
    std::size_t headers = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(BATTEN_TEST_INCLUDE)) {
        if (!entry.is_regular_file())
            continue;
        std::ifstream file(entry.path());
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        ++headers;
        for (const char* name : {"std::stable_sort", "std::stable_partition", "std::inplace_merge", "ranges::stable_"}) {
            CAPTURE(entry.path().string(), name);
            CHECK(text.find(name) == std::string::npos);
        }
    }
    CHECK(headers > 30);
}

TEST_CASE("the tight packer on real lists: below the published packings, and at the bound of the relaxation")
{
    const std::vector<std::size_t> gsm8k = tests::real_lengths("lengths/gsm8k_train.csv", {"prompt_tokens", "completion_tokens"});
    if (gsm8k.empty()) {
        WARN("the real length lists are not at " BATTEN_TEST_DATA ": packings of them are not checked");
        return;
    }
    const plan::packing packed = plan::pack_tight(gsm8k, {.capacity = 512});
    tests::check_packing(packed, gsm8k, {.capacity = 512});
    CHECK(plan::pack_best_fit(gsm8k, {.capacity = 512}).size() == 2239);
    CHECK(packed.bounds.lp == packed.bounds.by_total);
    CHECK(packed.size() <= 2198);
    const plan::histogram wikipedia = tests::packedbert_histogram();
    CHECK(plan::pack_tight(wikipedia, {.capacity = 512, .max_per_bin = 12}).bins() < 8149619);
    CHECK(plan::pack_tight(wikipedia, {.capacity = 512}).bins() < 8138483);
}
