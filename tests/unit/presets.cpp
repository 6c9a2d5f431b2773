// SPDX-License-Identifier: MIT
// The named presets: each is the collator that the advice names.

#include "support.hpp"

#include <array>

namespace {

namespace errors = batten::errors;
using tests::call_error;
using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::holds;
using tests::line;
using tests::line_of;
using tests::ragged;
namespace presets = batten::presets;

static_assert(
    std::is_same_v<presets::training<>,
                   batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::training_fields>>);
static_assert(
    std::is_same_v<presets::generation<>,
                   batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, batten::inference_fields>>);
static_assert(std::is_same_v<presets::encoder<>, batten::collator<batten::pad_right, batten::dynamic_length,
                                                                  batten::reject, batten::encoder_fields>>);
static_assert(std::is_same_v<presets::fixed_shape<>, batten::collator<batten::pad_right, batten::fixed_length,
                                                                        batten::reject, batten::inference_fields>>);
static_assert(std::is_same_v<presets::bucketed_training<>, batten::bucketed_collator<batten::pad_right, batten::bucketed_length,
                                                                                     batten::reject, batten::training_fields>>);

TEST_CASE("the training preset pads after the tokens and writes labels")
{
    const presets::training<> collate{{.pad_id = 0}};
    const auto batch = collate(ragged{{5, 6, 7}, {8}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{5, 6, 7}, {8, 0, 0}});
    CHECK(grid_of(batch.view<batten::labels>()) == grid{{5, 6, 7}, {8, -100, -100}});
    const presets::training<batten::truncate_right> cut{{.pad_id = 0, .length = {2}}};
    CHECK(line_of(cut(ragged{{5, 6, 7}}).labels()) == line{5, 6});
}

TEST_CASE("the bucketed training preset yields one batch for each bucket")
{
    const presets::bucketed_training<> collate{{.pad_id = 0, .length = {2, 4}}};
    const auto batches = collate(ragged{{5, 6, 7}, {8}, {1, 2}});
    REQUIRE(batches.size() == 2);
    CHECK(grid_of(batches[0].view<batten::labels>()) == grid{{8, -100}, {1, 2}});
    CHECK(line_of(batches[1].order()) == line{0});
}

TEST_CASE("the generation preset ends every row in the last column")
{
    const presets::generation<> collate{{.pad_id = 0}};
    const auto batch = collate(ragged{{5, 6, 7}, {8}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{5, 6, 7}, {0, 0, 8}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 1, 2}, {0, 0, 0}});
}

TEST_CASE("every preset rejects a row that is too long unless it is told to truncate")
{
    const ragged rows{{5}, {5, 6, 7, 8}};
    const auto too_long = error_is(errors::row_over_limit, 1, 4, 3);
    CHECK(call_error(presets::training<>{{.pad_id = 0, .length = {3}}}, rows) == too_long);
    CHECK(call_error(presets::bucketed_training<>{{.pad_id = 0, .length = {2, 3}}}, rows) == too_long);
    CHECK(call_error(presets::generation<>{{.pad_id = 0, .length = {3}}}, rows) == too_long);
    CHECK(call_error(presets::encoder<>{{.pad_id = 0, .length = {3}}}, rows) == too_long);
    CHECK(call_error(presets::fixed_shape<>{{.pad_id = 0, .length = {3}}}, rows) == too_long);
}

TEST_CASE("the encoder preset keeps the first token at column 0 and, where told so, cuts the end of what is too long")
{
    const presets::encoder<batten::truncate_right> collate{{.pad_id = 0, .length = {3}}};
    const auto batch = collate(ragged{{101, 6, 7, 8}, {101}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{101, 6, 7}, {101, 0, 0}});
    CHECK(grid_of(batch.view<batten::attention_mask>()) == grid{{1, 1, 1}, {1, 0, 0}});
    CHECK(line_of(batch.truncated_tokens()) == line{1, 0});
}

TEST_CASE("the fixed shape preset gives every batch one width")
{
    const presets::fixed_shape<batten::pad_right, batten::truncate_right> collate{{.pad_id = 0, .length = {3}}};
    CHECK(collate(ragged{{1}}).width() == 3);
    CHECK(collate(ragged{{1, 2, 3, 4}}).width() == 3);
    CHECK(line_of(collate(ragged{{1, 2, 3, 4}}).truncated_tokens()) == line{1});
    const presets::fixed_shape<batten::pad_left> serve{{.pad_id = 0, .length = {3}}};
    CHECK(line_of(serve(ragged{{1}}).token_ids()) == line{0, 0, 1});
    CHECK(call_error(serve, ragged{{1, 2, 3, 4}}) == error_is(errors::row_over_limit, 0, 4, 3));
}

constexpr bool presets_work_in_constant_evaluation()
{
    const std::array<std::array<int, 2>, 1> rows{{{5, 6}}};
    const presets::training<> train{{.pad_id = 0, .targets = batten::next_token}};
    const presets::encoder<batten::truncate_right> encode{{.pad_id = 0, .length = {1}}};
    return holds(train(rows).labels(), {6, -100}) && holds(encode(rows).token_ids(), {5});
}
static_assert(presets_work_in_constant_evaluation());

}  // namespace
