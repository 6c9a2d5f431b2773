// SPDX-License-Identifier: MIT
// Golden numbers come from the same algorithm written a second time, with Python's integers.

#include "mask_support.hpp"

#include <batten/mask/mlm.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

namespace {

using namespace tests;
namespace errors = batten::mask::errors;
using mask::mlm_masking;
using mask::mlm_options;
using mask::mlm_summary;
using tokens = std::vector<int>;

mlm_options bert(std::uint64_t seed = 7)
{
    return {.mask_id = 3, .vocabulary = 1000, .special_ids = {3, 0, 1, 2}, .seed = seed};
}

// Ordinary tokens of a made-up sequence.
tokens text(std::size_t number, std::size_t length)
{
    tokens ids(length);
    for (std::size_t i = 0; i < length; ++i)
        ids[i] = static_cast<int>(4 + (number * 31 + i * 7) % 996);
    return ids;
}

struct hidden {
    tokens ids{};
    std::vector<std::int64_t> labels{};
    mlm_summary sum{};
    friend bool operator==(const hidden& a, const hidden& b) { return a.ids == b.ids && a.labels == b.labels; }
};

// One sequence, alone in its row.
hidden hide(const mlm_masking& with, const tokens& ids, std::uint64_t number, std::uint64_t epoch = 2,
            const mask::mlm_columns& columns = {})
{
    hidden made{ids, std::vector<std::int64_t>(ids.size(), 55), {}};
    const std::array<std::size_t, 1> length{ids.size()};
    const std::array<std::uint64_t, 1> numbers{number};
    made.sum = with.into(batten::padded_rows(length, ids.size(), batten::pad_right{}), numbers, epoch, std::span(made.ids), std::span(made.labels),
                         columns);
    return made;
}

// A sum of squares of deviations over what is expected: far over the number of cells where chance is not what it should be.
double chi_square(const std::vector<std::size_t>& counts, const std::vector<double>& expected)
{
    double sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
        sum += std::pow(static_cast<double>(counts[i]) - expected[i], 2) / expected[i];
    return sum;
}

constexpr bool masks_all_in_constant_evaluation()
{
    const mlm_masking with({.mlm_probability = 1, .mask_replace_prob = 1, .random_replace_prob = 0, .mask_id = 9, .special_ids = {1}});
    std::array<short, 4> ids{1, 5, 6, 0};
    std::array<short, 4> labels{};
    const std::array<int, 1> length{3}, number{4};
    const auto sum = with.into(batten::padded_rows(length, 4, batten::pad_right{}), number, 0, std::span<short>(ids), std::span<short>(labels));
    return ids == std::array<short, 4>{1, 9, 9, 0} && labels == std::array<short, 4>{-100, 5, 6, -100} && sum.chosen == 2 &&
           sum.masked == 2;
}
static_assert(masks_all_in_constant_evaluation());

constexpr bool draws_in_constant_evaluation()
{
    const mlm_masking with({.mask_id = 3, .vocabulary = 1000, .special_ids = {0, 1, 2, 3}, .seed = 7});
    std::array<int, 40> ids{};
    std::array<int, 40> labels{};
    for (std::size_t i = 0; i < 40; ++i)
        ids[i] = static_cast<int>(10 + i);
    const std::array<int, 1> length{40}, number{5};
    static_cast<void>(with.into(batten::padded_rows(length, 40, batten::pad_right{}), number, 2, std::span<int>(ids), std::span<int>(labels)));
    return ids[11] == 816 && ids[18] == 3 && ids[22] == 585 && ids[39] == 3 && labels[11] == 21 && labels[18] == 28 &&
           labels[22] == 32 && labels[39] == 49 && std::count(labels.begin(), labels.end(), -100) == 36;
}
static_assert(draws_in_constant_evaluation());

}  // namespace

TEST_CASE("tokens are chosen and replaced as another program that does the same says")
{
    const mlm_masking with(bert());
    tokens ids(40);
    std::iota(ids.begin(), ids.end(), 10);
    const hidden made = hide(with, ids, 5);
    tokens expected = ids;
    expected[11] = 816, expected[18] = 3, expected[22] = 585, expected[39] = 3;
    CHECK(made.ids == expected);
    for (std::size_t i = 0; i < 40; ++i)
        CHECK(made.labels[i] == (i == 11 || i == 18 || i == 22 || i == 39 ? ids[i] : -100));
    CHECK(made.sum == mlm_summary{4, 2, 2, 0, 0});

    mlm_summary all;
    for (std::size_t n = 0; n < 200; ++n) {
        const mlm_summary one = hide(with, text(n, 500), n).sum;
        all.masked += one.masked, all.random += one.random, all.kept += one.kept, all.chosen += one.chosen;
    }
    CHECK(all == mlm_summary{15038, 12009, 1498, 1531, 0});
}

TEST_CASE("shares, random ids and places are as even as chance")
{
    const mlm_masking with(bert(11));
    constexpr std::size_t sequences = 400, length = 500;
    std::vector<std::size_t> fates(4, 0), drawn(996, 0), places(length, 0);
    for (std::size_t n = 0; n < sequences; ++n) {
        const tokens ids = text(n, length);
        const hidden made = hide(with, ids, n);
        for (std::size_t i = 0; i < length; ++i) {
            const bool chosen = made.labels[i] != -100;
            REQUIRE(made.labels[i] == (chosen ? ids[i] : -100));
            REQUIRE((chosen || made.ids[i] == ids[i]));
            places[i] += chosen ? 1U : 0U;
            if (chosen && made.ids[i] != 3 && made.ids[i] != ids[i])
                ++drawn.at(static_cast<std::size_t>(made.ids[i] - 4));
        }
        fates[0] += made.sum.masked, fates[1] += made.sum.random, fates[2] += made.sum.kept;
        fates[3] += length - made.sum.chosen;
    }
    // The seed is fixed, so that nothing here changes from run to run. Bounds are those that a true chance passes once in 10^4.
    const double all = sequences * length;
    CHECK(chi_square(fates, {all * 0.12, all * 0.015, all * 0.015, all * 0.85}) < 21.1);
    const auto random = static_cast<double>(std::accumulate(drawn.begin(), drawn.end(), std::size_t{0}));
    CHECK(random > 2500);
    CHECK(chi_square(drawn, std::vector<double>(996, random / 996)) < 1168);
    CHECK(chi_square(places, std::vector<double>(length, sequences * 0.15)) < 0.85 * 625);
}

TEST_CASE("a sequence comes out the same alone, padded either way, packed, and whatever stands beside it")
{
    const mlm_masking with(bert());
    const std::vector<std::size_t> lengths{30, 0, 64, 7, 41};
    const std::vector<int> numbers{900, 2, 77, 13, 4};
    std::vector<hidden> alone;
    for (std::size_t s = 0; s < lengths.size(); ++s)
        alone.push_back(hide(with, text(s, lengths[s]), static_cast<std::uint64_t>(numbers[s])));

    const auto same = [&](const auto& where) {
        const auto [rows, width] = where.shape();
        tokens ids(rows * width, -8);
        std::vector<std::int64_t> labels(ids.size(), 55);
        std::vector<std::size_t> firsts;
        batten::error reason;
        where.walk([&, columns = width](const batten::segment& at) {
            firsts.push_back(at.row * columns + at.first_column);
            const tokens own = text(firsts.size() - 1, at.length);
            std::copy(own.begin(), own.end(), ids.begin() + static_cast<std::ptrdiff_t>(firsts.back()));
            return true;
        }, reason);
        const mlm_summary sum = with.into(where, numbers, 2, std::span(ids), std::span(labels));
        std::size_t chosen = 0;
        for (std::size_t s = 0; s < lengths.size(); ++s) {
            const auto part = [&](const auto& cells) {
                using run = std::remove_cvref_t<decltype(cells)>;
                const auto begin = cells.begin() + static_cast<std::ptrdiff_t>(firsts[s]);
                return run(begin, begin + static_cast<std::ptrdiff_t>(lengths[s]));
            };
            CHECK((part(ids) == alone[s].ids && part(labels) == alone[s].labels));
            chosen += alone[s].sum.chosen;
        }
        CHECK(sum.chosen == chosen);
        // Pads keep what they hold and have no label.
        const auto real = std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
        CHECK(static_cast<std::size_t>(std::count(ids.begin(), ids.end(), -8)) == ids.size() - real);
        CHECK(static_cast<std::size_t>(std::count(labels.begin(), labels.end(), -100)) == labels.size() - chosen);
    };
    same(batten::padded_rows(lengths, 64, batten::pad_right{}));
    same(batten::padded_rows(lengths, 70, batten::pad_left{}));
    const std::vector<std::int32_t> cu_seqlens{0, 30, 30, 94, 101, 142};
    same(batten::varlen_rows(cu_seqlens, 160));
    const std::vector<batten::segment> bins{{.length = 30},
                                            {.length = 0, .first_column = 30},
                                            {.length = 64, .first_column = 30},
                                            {.length = 7, .row = 1, .first_column = 5},
                                            {.length = 41, .row = 1, .first_column = 12}};
    same(batten::segment_list(bins, {2, 100}));
}

TEST_CASE("another seed, epoch or sequence number gives another choice, the same ones the same")
{
    const tokens ids = text(1, 200);
    const hidden made = hide(mlm_masking(bert()), ids, 5);
    CHECK(hide(mlm_masking(bert()), ids, 5) == made);
    CHECK_FALSE(hide(mlm_masking(bert(8)), ids, 5) == made);
    CHECK_FALSE(hide(mlm_masking(bert()), ids, 6) == made);
    CHECK_FALSE(hide(mlm_masking(bert()), ids, 5, 3) == made);
    CHECK_FALSE(hide(mlm_masking(bert(0)), ids, 5) == hide(mlm_masking(bert(1)), ids, 5));
}

TEST_CASE("special tokens are never chosen and never drawn, whether told by id or by flag")
{
    mlm_options all = bert();
    all.mlm_probability = 1, all.mask_replace_prob = 0, all.random_replace_prob = 1, all.vocabulary = 6;  // 4 and 5 are left to draw
    const tokens ids{1, 10, 2, 11, 12, 0, 13};
    const hidden by_id = hide(mlm_masking(all), ids, 3);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const bool special = ids[i] < 4;
        CHECK(by_id.labels[i] == (special ? -100 : ids[i]));
        CHECK((special ? by_id.ids[i] == ids[i] : by_id.ids[i] == 4 || by_id.ids[i] == 5));
    }
    const std::vector<std::uint8_t> flags{0, 1, 0, 0, 1, 0, 0};
    const hidden by_both = hide(mlm_masking(all), ids, 3, 2, {.special = flags});
    CHECK(line_of(by_both.labels) == line{-100, -100, -100, 11, -100, -100, 13});
    CHECK((by_both.ids[1] == 10 && by_both.ids[4] == 12));

    // Every ordinary id is drawn, no other, and not 3, the mask id: unlike Transformers, which draws special ids too.
    all.vocabulary = 12, all.special_ids = {11, 0, 5, 5, -3, 400};
    const hidden many = hide(mlm_masking(all), tokens(400, 500), 3);
    CHECK(std::set<int>(many.ids.begin(), many.ids.end()) == std::set<int>{1, 2, 4, 6, 7, 8, 9, 10});
}

TEST_CASE("a word is chosen as a whole or not at all, and no word has a negative number")
{
    const mlm_masking with(bert());
    std::size_t words = 0, chosen = 0;
    for (std::uint64_t n = 0; n < 300; ++n) {
        const tokens ids = text(n, 120);
        std::vector<std::int32_t> word_ids;  // words of 1 to 4 tokens; two in a row of one pair; some cells in none
        for (std::int32_t w = 0; word_ids.size() < ids.size(); ++w)
            for (std::size_t i = 0; i <= (static_cast<std::size_t>(w) + n) % 4 && word_ids.size() < ids.size(); ++i)
                word_ids.push_back(w % 11 == 10 ? -1 : w % 30);
        const hidden made = hide(with, ids, n, 2, {.word_ids = word_ids});
        for (std::size_t i = 0; i < ids.size(); ++i) {
            const bool is_chosen = made.labels[i] != -100;
            if (word_ids[i] < 0)
                CHECK_FALSE(is_chosen);
            else if (i > 0 && word_ids[i] == word_ids[i - 1])
                CHECK(is_chosen == (made.labels[i - 1] != -100));
            else
                ++words, chosen += is_chosen ? 1U : 0U;
        }
    }
    const double expected = 0.15 * static_cast<double>(words);
    CHECK(std::abs(static_cast<double>(chosen) - expected) < 4 * std::sqrt(0.85 * expected));
}

TEST_CASE("words of one number in two sequences, or apart in one, are chosen on their own")
{
    mlm_options half = bert();
    half.mlm_probability = 0.5;
    const mlm_masking with(half);
    const std::vector<std::int32_t> word_ids{0, 0, -1, 0, 0};
    std::size_t unequal = 0;
    for (std::uint64_t n = 0; n < 100; ++n) {
        const hidden made = hide(with, {10, 11, 12, 13, 14}, n, 0, {.word_ids = word_ids});
        CHECK((made.labels[0] == -100) == (made.labels[1] == -100));
        CHECK((made.labels[3] == -100) == (made.labels[4] == -100));
        unequal += (made.labels[0] == -100) != (made.labels[3] == -100) ? 1U : 0U;
    }
    CHECK((unequal > 30 && unequal < 70));
}

TEST_CASE("at_least_one chooses one token, any, of a sequence of which chance chose none")
{
    mlm_options rare = bert();
    rare.mlm_probability = 0.01;
    mlm_options at_least = rare;
    at_least.at_least_one = true;
    const tokens ids{1, 10, 11, 12, 13, 14, 2};
    std::vector<std::size_t> which(7, 0);
    std::size_t without = 0;
    for (std::uint64_t n = 0; n < 2000; ++n) {
        const hidden plain = hide(mlm_masking(rare), ids, n);
        const hidden forced = hide(mlm_masking(at_least), ids, n);
        CHECK(forced.sum.sequences_without_choice == 0);
        if (plain.sum.chosen != 0) {
            CHECK(forced == plain);
            continue;
        }
        CHECK((plain.sum.sequences_without_choice == 1 && forced.sum.chosen == 1));
        ++without;
        for (std::size_t i = 0; i < ids.size(); ++i)
            which[i] += forced.labels[i] != -100 ? 1U : 0U;
    }
    CHECK((which[0] == 0 && which[6] == 0 && without > 1800));
    const std::vector<std::size_t> ordinary(which.begin() + 1, which.end() - 1);
    CHECK(chi_square(ordinary, std::vector<double>(5, static_cast<double>(without) / 5)) < 23.5);  // once in 10^4

    // Nothing to choose from: nothing is chosen, and the summary says so. A word is chosen whole.
    CHECK(hide(mlm_masking(at_least), {1, 2}, 0).sum == mlm_summary{0, 0, 0, 0, 1});
    CHECK(hide(mlm_masking(at_least), {}, 0).sum == mlm_summary{0, 0, 0, 0, 1});
    at_least.mlm_probability = 0;
    const std::vector<std::int32_t> word_ids{-1, -1, 4, 4, 4, -1, -1};
    const hidden word = hide(mlm_masking(at_least), ids, 0, 2, {.word_ids = word_ids});
    CHECK(line_of(word.labels) == line{-100, -100, 11, 12, 13, -100, -100});
}

TEST_CASE("shares of 0 and 1 are exact")
{
    const tokens ids = text(2, 300);
    mlm_options with = bert();
    with.mlm_probability = 0;
    CHECK(hide(mlm_masking(with), ids, 1).ids == ids);
    CHECK(hide(mlm_masking(with), ids, 1).sum == mlm_summary{0, 0, 0, 0, 1});
    with.mlm_probability = 1, with.mask_replace_prob = 1, with.random_replace_prob = 0;
    CHECK(hide(mlm_masking(with), ids, 1).sum == mlm_summary{300, 300, 0, 0, 0});
    with.mask_replace_prob = 0, with.mask_id.reset();
    CHECK(hide(mlm_masking(with), ids, 1).sum == mlm_summary{300, 0, 0, 300, 0});
    CHECK(hide(mlm_masking(with), ids, 1).ids == ids);
    with.random_replace_prob = 1;
    CHECK(hide(mlm_masking(with), ids, 1).sum == mlm_summary{300, 0, 300, 0, 0});
}

TEST_CASE("options that do not make sense are refused when it is made")
{
    const auto error_of = [](auto change) {
        mlm_options with = bert();
        change(with);
        const auto made = mlm_masking::try_make(with);
        CHECK_FALSE(made.has_value());
        check_throws(made.error(), [&] { static_cast<void>(mlm_masking(with)); });
        return error_is(made.error());
    };
    const auto no_probability = [](std::string_view name) {
        return error_is(errors::probability_out_of_range, no_row, 0, 0, name);
    };
    using limits = std::numeric_limits<double>;
    for (const double wrong : {-0.001, 1.001, limits::quiet_NaN(), limits::infinity()}) {
        CHECK(error_of([&](auto& with) { with.mlm_probability = wrong; }) == no_probability("mlm_probability"));
        CHECK(error_of([&](auto& with) { with.mask_replace_prob = wrong; }) == no_probability("mask_replace_prob"));
        CHECK(error_of([&](auto& with) { with.random_replace_prob = wrong; }) == no_probability("random_replace_prob"));
    }
    CHECK(error_of([](auto& with) { with.random_replace_prob = 0.4; }) ==
          error_is(errors::probabilities_past_one, no_row, 1200000));
    CHECK(error_of([](auto& with) { with.mask_id.reset(); }) == error_is(errors::mask_id_missing, no_row));
    CHECK(error_of([](auto& with) { with.vocabulary = 0; }) == error_is(errors::vocabulary_too_small, no_row, 0, 0));
    CHECK(error_of([](auto& with) { with.vocabulary = 4; }) == error_is(errors::vocabulary_too_small, no_row, 4, 4));
    mlm_options sums_to_one = bert();
    sums_to_one.mask_replace_prob = 0.9, sums_to_one.random_replace_prob = 0.1;
    CHECK(mlm_masking::try_make(sums_to_one).has_value());
}

TEST_CASE("the mask id is special by itself: never chosen, never drawn, and counted as special")
{
    const mlm_options listed{.mask_replace_prob = 0.2, .random_replace_prob = 0.8, .mask_id = 5, .vocabulary = 8,
                             .special_ids = {0, 5}, .seed = 3};
    mlm_options unlisted = listed;
    unlisted.special_ids = {0};
    unlisted.mlm_probability = 1;
    tokens ids(4000, 7);
    ids[17] = 5;
    const hidden made = hide(mlm_masking(unlisted), ids, 1);
    CHECK(made.labels[17] == -100);
    CHECK(made.ids[17] == 5);
    // As many mask ids as were put there on purpose, and the one that was there.
    CHECK(static_cast<std::size_t>(std::count(made.ids.begin(), made.ids.end(), 5)) == made.sum.masked + 1);
    mlm_options both = listed;
    both.mlm_probability = 1;
    CHECK(made == hide(mlm_masking(both), ids, 1));

    unlisted.vocabulary = 6;  // 1, 2, 3, 4 are left
    CHECK(mlm_masking::try_make(unlisted).has_value());
    unlisted.special_ids = {0, 1, 2, 3, 4};
    CHECK(error_is(mlm_masking::try_make(unlisted).error()) == error_is(errors::vocabulary_too_small, no_row, 6, 6));
}

TEST_CASE("a token that may be chosen and is the ignore index is an error before the first write")
{
    mlm_options with = bert();
    with.ignore_index = 0;  // special, and so never a target
    CHECK(mlm_masking(with).options().ignore_index == batten::integer(0));
    tokens ids{7, 0, 8, 9, 42, 10};
    const std::vector<int> lengths{3, 3}, numbers{1, 2};
    const batten::padded_rows where(lengths, 3, batten::pad_right{});
    std::vector<int> labels(6, 5);
    CHECK(mlm_masking(with).try_into(where, numbers, 0, std::span(ids), std::span(labels)).has_value());

    with.ignore_index = 42;
    ids = {7, 0, 8, 9, 42, 10};
    labels.assign(6, 5);
    CHECK(error_is(mlm_masking(with).try_into(where, numbers, 0, std::span(ids), std::span(labels)).error()) ==
          error_is(errors::target_is_ignore_index, 1, 1, 42, "labels"));
    CHECK(line_of(labels) == line{5, 5, 5, 5, 5, 5});
    const std::vector<std::uint8_t> special{0, 0, 0, 0, 1, 0};
    CHECK(mlm_masking(with)
              .try_into(where, numbers, 0, std::span(ids), std::span(labels), mask::mlm_columns{.special = special})
              .has_value());
    ids = {7, 0, 8, 9, 42, 10};
    const std::vector<std::int32_t> words{0, 1, 2, 0, -1, 1};
    CHECK(mlm_masking(with)
              .try_into(where, numbers, 0, std::span(ids), std::span(labels), mask::mlm_columns{.word_ids = words})
              .has_value());
}

TEST_CASE("spans of other sizes and types that cannot hold the ids are refused before the first write")
{
    const std::vector<int> lengths{2, 3};
    const batten::padded_rows where(lengths, 3, batten::pad_right{});
    const std::vector<int> numbers{1, 2}, one{1};
    const auto error_of = [&]<class Token, class Label>(const mlm_options& with, std::size_t ids, std::size_t labels, Token,
                                                        Label, const std::vector<int>& of, const mask::mlm_columns& columns) {
        guarded<Token> id_memory(ids);
        guarded<Label> label_memory(labels);
        const mlm_masking masking(with);
        const auto done = masking.try_into(where, of, 0, id_memory.cells(), label_memory.cells(), columns);
        CHECK_FALSE(done.has_value());
        CHECK((id_memory.untouched() && label_memory.untouched()));
        check_throws(done.error(),
                     [&] { masking.into(where, of, 0, id_memory.cells(), label_memory.cells(), columns); });
        return error_is(done.error());
    };
    const int i = 0;
    CHECK(error_of(bert(), 5, 6, i, i, numbers, {}) == error_is(errors::span_too_small, no_row, 6, 5, "token_ids"));
    CHECK(error_of(bert(), 6, 7, i, i, numbers, {}) == error_is(errors::span_too_large, no_row, 6, 7, "labels"));
    const std::vector<std::int32_t> word_ids(5);
    const std::vector<std::uint8_t> special(7);
    CHECK(error_of(bert(), 6, 6, i, i, numbers, {.word_ids = word_ids}) ==
          error_is(errors::span_too_small, no_row, 6, 5, "word_ids"));
    CHECK(error_of(bert(), 6, 6, i, i, numbers, {.special = special}) ==
          error_is(errors::span_too_large, no_row, 6, 7, "special"));
    CHECK(error_of(bert(), 6, 6, i, i, one, {}) ==
          error_is(errors::count_mismatch, no_row, 1, 2, "sequence_ids"));
    mlm_options with = bert();
    with.mask_id = 300;
    CHECK(error_of(with, 6, 6, std::uint8_t{}, i, numbers, {}) ==
          error_is(errors::mask_id_not_representable, no_row, 300, 0, "token_ids"));
    CHECK(error_of(bert(), 6, 6, std::uint8_t{}, i, numbers, {}) ==
          error_is(errors::value_not_representable, no_row, 999, 0, "token_ids"));
    CHECK(error_of(bert(), 6, 6, i, std::uint32_t{}, numbers, {}) ==
          error_is(errors::ignore_index_not_representable, no_row, -100, 0, "labels"));
    // Each token may become a label: a narrow label type is checked token by token, pads are not.
    tokens ids{7, 8, 99999, 9, 40000, 10};
    std::vector<std::int16_t> labels(6, 5);
    CHECK(error_is(mlm_masking(bert()).try_into(where, numbers, 0, std::span(ids), std::span(labels)).error()) ==
          error_is(errors::token_not_representable, 1, 1, 40000, "labels"));
    CHECK(line_of(labels) == line{5, 5, 5, 5, 5, 5});
    ids[4] = 4000;
    CHECK(mlm_masking(bert()).try_into(where, numbers, 0, std::span(ids), std::span(labels)).has_value());
}
