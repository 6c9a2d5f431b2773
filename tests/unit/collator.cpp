// SPDX-License-Identifier: MIT
// The front door: the program of the README, options, and the calls that share one validation.

#include "support.hpp"

#include <array>
#include <limits>
#include <string>

namespace {

namespace errors = batten::errors;
using tests::call_error;
using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::holds;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::ragged;

// ---- the front door ---------------------------------------------------------------------------------------------------

TEST_CASE("the program of the README prints what it says")
{
    std::vector<std::vector<int>> prompts{{101, 102}, {103, 104, 105, 106}};
    batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    auto batch = collate(prompts);

    CHECK(batch.rows() == 2);
    CHECK(batch.width() == 4);
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{101, 102, 0, 0}, {103, 104, 105, 106}});
    CHECK(grid_of(batch.view<batten::attention_mask>()) == grid{{1, 1, 0, 0}, {1, 1, 1, 1}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 1, 0, 0}, {0, 1, 2, 3}});
    CHECK(grid_of(batch.view<batten::loss_mask>()) == grid{{1, 1, 0, 0}, {1, 1, 1, 1}});
    CHECK(line_of(batch.token_ids(1)) == line{103, 104, 105, 106});
    CHECK(batch.view<batten::token_ids>()(1, 3) == 106);

    batten::collator<batten::pad_left, batten::fixed_length> serve{{.pad_id = 0, .length = {512}}};
    CHECK(serve(prompts).width() == 512);
    CHECK(serve(prompts).token_ids(0)[511] == 102);
    CHECK(serve(prompts).token_ids(0)[509] == 0);
}

// The same by the compiler, which allows no undefined behaviour in constant evaluation. Every printed value is here.
constexpr bool the_front_door()
{
    const std::array<int, 2> first{101, 102};
    const std::array<int, 4> second{103, 104, 105, 106};
    const std::array<std::span<const int>, 2> prompts{first, second};
    batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    auto batch = collate(prompts);
    return batch.rows() == 2 && batch.width() == 4 && holds(batch.token_ids(), {101, 102, 0, 0, 103, 104, 105, 106}) &&
           holds(batch.attention_mask(), {1, 1, 0, 0, 1, 1, 1, 1}) && holds(batch.position_ids(), {0, 1, 0, 0, 0, 1, 2, 3}) &&
           holds(batch.loss_mask(), {1, 1, 0, 0, 1, 1, 1, 1}) && holds(batch.token_ids(1), {103, 104, 105, 106}) &&
           batch.view<batten::token_ids>()(1, 3) == 106 && holds(batch.lengths(), {2, 4}) && holds(batch.target_counts(), {1, 3}) &&
           holds(batch.truncated_tokens(), {0, 0}) &&
           batch.summary() == batten::summary{.real_tokens = 6, .padded_cells = 2, .targets = 4, .max_seqlen = 4};
}
static_assert(the_front_door());

constexpr bool the_front_door_of_a_server()
{
    const std::array<int, 2> first{101, 102};
    const std::array<int, 4> second{103, 104, 105, 106};
    const std::array<std::span<const int>, 2> prompts{first, second};
    batten::collator<batten::pad_left, batten::fixed_length> serve{{.pad_id = 0, .length = {6}}};
    auto batch = serve(prompts);
    return batch.width() == 6 && holds(batch.token_ids(), {0, 0, 0, 0, 101, 102, 0, 0, 103, 104, 105, 106}) &&
           holds(batch.attention_mask(), {0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1}) &&
           holds(batch.position_ids(), {0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3});
}
static_assert(the_front_door_of_a_server());

constexpr bool vectors_of_vectors_in_constant_evaluation()
{
    std::vector<std::vector<int>> prompts{{101, 102}, {}, {103}};
    const batten::collator<batten::pad_right, batten::bucketed_length> collate{{.pad_id = -1, .length = {3, 6}}};
    auto batch = collate(prompts);
    return holds(batch.token_ids(), {101, 102, -1, -1, -1, -1, 103, -1, -1}) && batch.width() == 3;
}
static_assert(vectors_of_vectors_in_constant_evaluation());

// ---- options ----------------------------------------------------------------------------------------------------------

using collator = batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::training_fields>;

// A pad id is needed where token ids meet pads alone. (That leaving it out does not compile is tested in compile_fail/.)
using mask_alone =
    batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::fields<batten::attention_mask<>>>;
static_assert(collator::options_type::needs_pad_id && !mask_alone::options_type::needs_pad_id);
static_assert(mask_alone::options_type{}.pad_id == batten::integer(0));
static_assert(!std::is_convertible_v<collator::options_type, collator>);  // explicit

TEST_CASE("what is not said has the default of the field")
{
    const collator collate{{.pad_id = 7}};
    CHECK(collate.options().pad_id == batten::integer(7));
    CHECK(collate.options().ignore_index == batten::integer(-100));
    CHECK(collate.options().targets == batten::model_shifts);
    CHECK_FALSE(collate.options().length.max_length.has_value());
}

TEST_CASE("try_make returns the collator or the error")
{
    const auto good = collator::try_make({.pad_id = 0});
    REQUIRE(good.has_value());
    CHECK(line_of((*good)(ragged{{1}}).token_ids()) == line{1});
    const auto bad = collator::try_make({.pad_id = 0, .length = {0}});
    REQUIRE_FALSE(bad.has_value());
    CHECK(bad.error().code == errors::length_not_positive);
}

constexpr bool bad_options_are_values_in_constant_evaluation()
{
    using narrow = batten::collator<batten::pad_right, batten::fixed_length, batten::reject,
                                    batten::fields<batten::token_ids<std::uint8_t>>>;
    return narrow::try_make({.pad_id = 256, .length = {4}}).error().code == errors::pad_id_not_representable &&
           narrow::try_make({.pad_id = 0, .length = {0}}).error().code == errors::length_not_positive &&
           narrow::try_make({.pad_id = 0, .length = {4}}).has_value();
}
static_assert(bad_options_are_values_in_constant_evaluation());

// ---- calls ------------------------------------------------------------------------------------------------------------

TEST_CASE("every call gives the same batch, and a const collator serves them all")
{
    const collator collate{{.pad_id = 0}};
    const ragged rows{{5, 6, 7}, {}, {8}};
    const auto owned = collate(rows);
    const auto tried = collate.try_collate(rows);
    REQUIRE(tried.has_value());
    collator::batch_type reused;
    const auto totals = collate(rows, reused);
    auto memory = tests::guarded_fields<batten::training_fields>::of(collate.shape(rows));
    const auto written = collate.into(rows, memory.outputs());
    CHECK(tests::contents(*tried) == tests::contents(owned));
    CHECK(tests::contents(reused) == tests::contents(owned));
    CHECK(totals.summary == owned.summary());
    CHECK(written.summary == owned.summary());
    CHECK(written.shape == owned.shape());
    CHECK(collate.try_into(rows, memory.outputs()).value().summary == owned.summary());
    CHECK(collate.try_collate(rows, reused).value().summary == owned.summary());
    CHECK(collate.try_shape(rows).value() == owned.shape());
    CHECK(memory.only_inside());
}

TEST_CASE("a collator is a value: copies of it do the same")
{
    const batten::collator<batten::pad_right, batten::bucketed_length> collate{{.pad_id = 3, .length = {2, 4}}};
    auto copy = collate;
    CHECK(line_of(copy(ragged{{1}}).token_ids()) == line{1, 3});
    const auto moved = std::move(copy);
    CHECK(line_of(moved(ragged{{1, 2, 3}}).token_ids()) == line{1, 2, 3, 3});
}

TEST_CASE("rule 1: the throwing call and the try_ call name the same row, length and limit, and nothing is written")
{
    const batten::collator<batten::pad_left, batten::fixed_length> collate{{.pad_id = 0, .length = {512}}};
    const ragged rows{{1}, {2}, {3}, std::vector<int>(700, 1)};
    CHECK(call_error(collate, rows) == error_is(errors::row_over_limit, 3, 700, 512));
    std::string said;
    try {
        static_cast<void>(collate(rows));
    } catch (const std::exception& caught) {
        said = caught.what();
    }
    CHECK(said == "batten: row 3 has 700 tokens, the limit is 512");
}

TEST_CASE("the last row may be the wrong one: what came before it is not written either")
{
    using fields =
        batten::fields<batten::token_ids<std::uint8_t>, batten::attention_mask<>, batten::position_ids<std::int16_t>>;
    const batten::collator<batten::pad_right, batten::fixed_length, batten::reject, fields> collate{
        {.pad_id = 0, .length = {4}}};
    ragged rows(64, std::vector<int>{1, 2, 3});
    rows.back().back() = 256;
    auto memory = tests::guarded_fields<fields>::of(tests::shape_of<fields>(64, 4));
    const auto result = collate.try_into(rows, memory.outputs());
    REQUIRE_FALSE(result.has_value());
    CHECK(error_is(result.error()) == error_is(errors::token_not_representable, 63, 2, 256, "token_ids"));
    CHECK(memory.untouched());
    rows.back().back() = 255;
    CHECK(collate.try_into(rows, memory.outputs()).has_value());
    CHECK(memory.only_inside());
}

TEST_CASE("rule 10: sizes that overflow are an error, not a small buffer")
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    const batten::collator<batten::pad_right, batten::fixed_length> collate{{.pad_id = 0, .length = {most / 4}}};
    CHECK(call_error(collate, ragged{{1}, {2}}).code == errors::size_overflow);
    CHECK(call_error(collate, ragged(5)) == error_is(errors::size_overflow, no_row, 5, most / 4));
    CHECK(collate.shape(ragged{}).width() == most / 4);  // of nothing there is nothing to allocate
}

constexpr bool errors_are_values_in_constant_evaluation()
{
    const std::array<std::array<int, 3>, 2> rows{{{1, 2, 3}, {4, 5, 6}}};
    const batten::collator<batten::pad_right, batten::fixed_length> collate{{.pad_id = 0, .length = {2}}};
    std::array<std::int64_t, 4> cells{7, 7, 7, 7};
    const auto into = collate.try_into(
        rows, batten::outputs{batten::set<batten::token_ids>(cells), batten::set<batten::attention_mask>(cells),
                              batten::set<batten::position_ids>(cells), batten::set<batten::loss_mask>(cells)});
    return !into && into.error().code == errors::row_over_limit && into.error().first == 3 && into.error().second == 2 &&
           collate.try_shape(rows).error().row == 0 && holds(cells, {7, 7, 7, 7});
}
static_assert(errors_are_values_in_constant_evaluation());

TEST_CASE("the same sequences give the same bytes, however often and into whatever memory")
{
    const collator collate{{.pad_id = 0}};
    const ragged rows{{5, 6, 7, 8, 9}, {1}, {}, {2, 3}};
    const auto first = tests::contents(collate(rows));
    collator::batch_type reused = collate(ragged(9, std::vector<int>(33, 4)));
    for (int i = 0; i < 3; ++i) {
        collate(rows, reused);
        CHECK(tests::contents(reused) == first);
    }
}

}  // namespace
