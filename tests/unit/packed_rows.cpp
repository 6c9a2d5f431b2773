// SPDX-License-Identifier: MIT
// The packed layout: several sequences a row.

#include "support.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace errors = batten::errors;
using batten::piece;
using tests::call_error;
using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::ragged;

namespace {

const ragged four{{1, 2, 3}, {4}, {}, {5, 6}};
const std::vector<piece> pieces{{3, 0, 2}, {0, 0, 3}, {1, 0, 1}, {2, 0, 0}};
const std::vector<std::size_t> offsets{0, 2, 4};
const batten::bins two_bins{pieces, offsets};

using packing = batten::packed_collator<>;
const packing to_six{{.pad_id = 0, .length = {6}}};

constexpr bool bins_in_constant_evaluation()
{
    const std::array<int, 2> first{7, 8};
    const std::array<int, 1> second{9};
    const std::array<std::span<const int>, 2> sequences{first, second};
    const std::array<piece, 2> in{{{1, 0, 1}, {0, 0, 2}}};
    const std::array<std::size_t, 2> at{0, 2};
    const packing collate{{.pad_id = 0, .length = {4}}};
    const auto batch = collate(batten::packed(sequences, {in, at}));
    return tests::holds(batch.token_ids(), {9, 7, 8, 0}) && tests::holds(batch.segment_ids(), {1, 2, 2, 0});
}
static_assert(bins_in_constant_evaluation());

}  // namespace

TEST_CASE("a bin is a row: positions restart, segment ids count, no label crosses a border")
{
    const auto batch = to_six(batten::packed(four, two_bins));
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{5, 6, 1, 2, 3, 0}, {4, 0, 0, 0, 0, 0}});
    CHECK(grid_of(batch.view<batten::attention_mask>()) == grid{{1, 1, 1, 1, 1, 0}, {1, 0, 0, 0, 0, 0}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 1, 0, 1, 2, 0}, {0, 0, 0, 0, 0, 0}});
    CHECK(grid_of(batch.view<batten::segment_ids>()) == grid{{1, 1, 2, 2, 2, 0}, {1, 0, 0, 0, 0, 0}});
    CHECK(grid_of(batch.view<batten::labels>()) ==
          grid{{-100, 6, -100, 2, 3, -100}, {-100, -100, -100, -100, -100, -100}});
    CHECK(grid_of(batch.view<batten::loss_mask>()) == grid{{0, 1, 0, 1, 1, 0}, {0, 0, 0, 0, 0, 0}});
    CHECK(line_of(batch.lengths()) == line{2, 3, 1, 0});
    CHECK(line_of(batch.target_counts()) == line{1, 2, 0, 0});
    CHECK(batch.summary() == batten::summary{.real_tokens = 6,
                                             .padded_cells = 6,
                                             .targets = 3,
                                             .rows_without_targets = 1,
                                             .max_seqlen = 3});
}

TEST_CASE("bins pad on the left, too, and to the widest of them")
{
    const batten::packed_collator<batten::dynamic_length, batten::causal_lm_fields, batten::pad_left> collate{{.pad_id = 0}};
    const auto batch = collate(batten::packed(four, two_bins));
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{5, 6, 1, 2, 3}, {0, 0, 0, 0, 4}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 1, 0, 1, 2}, {0, 0, 0, 0, 0}});
}

TEST_CASE("slots begin at multiples; the gaps are pads")
{
    const packing collate{{.pad_id = 9, .length = {8}}};
    const auto batch = collate(batten::packed(four, {pieces, offsets, 4}));
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{5, 6, 9, 9, 1, 2, 3, 9}, {4, 9, 9, 9, 9, 9, 9, 9}});
    CHECK(grid_of(batch.view<batten::segment_ids>()) == grid{{1, 1, 0, 0, 2, 2, 2, 0}, {1, 0, 0, 0, 0, 0, 0, 0}});
    // An empty piece takes no slot, also where the row is full.
    const std::vector<piece> full{{0, 0, 3}, {2, 0, 0}};
    const std::vector<std::size_t> one{0, 2};
    const packing exact{{.pad_id = 9, .length = {3}}};
    CHECK(line_of(exact(batten::packed(four, {full, one, 4})).token_ids()) == line{1, 2, 3});
}

TEST_CASE("a sequence that is cut trains a token less without overlap, and all of them with a token of overlap")
{
    const ragged one{{1, 2, 3, 4, 5, 6}};
    const std::vector<std::size_t> at{0, 1, 2};
    const std::vector<piece> cut{{0, 0, 3}, {0, 3, 3}};
    const packing collate{{.pad_id = 0, .length = {3}}};
    const auto apart = collate(batten::packed(one, {cut, at}));
    CHECK(grid_of(apart.view<batten::labels>()) == grid{{-100, 2, 3}, {-100, 5, 6}});
    CHECK(grid_of(apart.view<batten::position_ids>()) == grid{{0, 1, 2}, {0, 1, 2}});
    CHECK(apart.summary().targets == 4);

    const std::vector<piece> overlapping{{0, 0, 4}, {0, 3, 3}};
    const packing to_four{{.pad_id = 0, .length = {4}}};
    const auto together = to_four(batten::packed(one, {overlapping, at}));
    CHECK(grid_of(together.view<batten::labels>()) == grid{{-100, 2, 3, 4}, {-100, 5, 6, -100}});
    CHECK(together.summary().targets == 5);

    // Prompt lengths speak of the whole sequence.
    const std::vector<int> prompts{4};
    const auto prompted = collate(batten::packed(batten::inputs{one, prompts}, {cut, at}));
    CHECK(grid_of(prompted.view<batten::labels>()) == grid{{-100, -100, -100}, {-100, 5, 6}});
}

TEST_CASE("next_token_drop_last: pieces share the token between them")
{
    const ragged one{{1, 2, 3, 4, 5}};
    const std::vector<std::size_t> at{0, 1, 2};
    const std::vector<piece> overlapping{{0, 0, 3}, {0, 2, 3}};
    const packing collate{{.pad_id = 0, .length = {2}, .targets = batten::next_token_drop_last}};
    const auto batch = collate(batten::packed(one, {overlapping, at}));
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{1, 2}, {3, 4}});
    CHECK(grid_of(batch.view<batten::labels>()) == grid{{2, 3}, {4, 5}});
}

TEST_CASE("no bins, and bins without pieces")
{
    CHECK(to_six(batten::packed(four, {})).rows() == 0);
    const std::vector<std::size_t> none{0};
    CHECK(to_six(batten::packed(four, {pieces, none})).rows() == 0);
    const std::vector<std::size_t> hollow{0, 0, 1, 1};
    const auto batch = to_six(batten::packed(four, {pieces, hollow}));
    CHECK(grid_of(batch.view<batten::token_ids>()) ==
          grid{{0, 0, 0, 0, 0, 0}, {5, 6, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}});
}

TEST_CASE("bins pack a selection of a bundle, columns and loss included")
{
    using fields = batten::fields<batten::token_ids<>, batten::labels<>, batten::column<"w", float>>;
    const std::vector<std::vector<float>> weights{{1, 2, 3}, {4}, {}, {5, 6}};
    const std::vector<std::vector<std::uint8_t>> loss{{1, 1, 0}, {1}, {}, {1, 1}};
    const batten::inputs everything{four, batten::none, loss, batten::columns{batten::named<"w">(weights)}};
    const std::vector<int> rows{3, 0};
    const std::vector<piece> both{{1, 0, 3}, {0, 0, 2}};
    const std::vector<std::size_t> one{0, 2};
    const batten::packed_collator<batten::dynamic_length, fields> collate{{.pad_id = 0}};
    const auto batch = collate(batten::packed(batten::select(everything, rows), {both, one}));
    CHECK(line_of(batch.token_ids()) == line{1, 2, 3, 5, 6});
    CHECK(line_of(batch.labels()) == line{-100, 2, -100, -100, 6});
    CHECK(line_of(batch.get<"w">()) == line{1, 2, 3, 5, 6});
}

TEST_CASE("bins that do not fit their sequences are errors before the first write")
{
    const auto error_of = [&](std::vector<piece> in, std::vector<std::size_t> at, std::size_t multiple = 1) {
        return call_error(to_six, batten::packed(four, {in, at, multiple}), batten::packed(four, two_bins));
    };
    CHECK(error_of({{0, 0, 3}, {0, 0, 3}, {1, 0, 1}}, {0, 3}) == error_is(errors::row_over_limit, 0, 7, 6));
    CHECK(error_of({{0, 0, 3}}, {1, 1}) == error_is(errors::offsets_not_from_zero, no_row, 1, 0, "the bins' offsets"));
    CHECK(error_of({{0, 0, 3}}, {0, 1, 0}) == error_is(errors::offsets_decrease, 1, 1, 0));
    CHECK(error_of({{0, 0, 3}}, {0, 1, 2}) == error_is(errors::offset_past_end, 1, 2, 1));
    CHECK(error_of({{0, 0, 3}}, {0, 1}, 0) == error_is(errors::argument_not_positive, no_row, 0, 0, "slot_multiple"));
    CHECK(error_of({{0, 0, 3}, {4, 0, 1}}, {0, 1, 2}).code == errors::row_index_out_of_range);
    CHECK(error_of({{0, 1, 3}}, {0, 1}) == error_is(errors::slice_outside_sequence, 0, 1, 3));
    CHECK(error_of({{0, 4, 0}}, {0, 1}).code == errors::slice_outside_sequence);
}

TEST_CASE("what a packer yields goes straight into the packed layout, and every token arrives, once")
{
    namespace plan = batten::plan;
    ragged sequences;
    std::vector<std::size_t> lengths;
    std::uint32_t state = 5;
    int next_token = 0;
    for (int i = 0; i < 200; ++i) {
        state = state * 1664525U + 1013904223U;
        lengths.push_back((state >> 16U) % 70);
        sequences.emplace_back();
        for (std::size_t t = 0; t < lengths.back(); ++t)
            sequences.back().push_back(next_token++);
    }
    for (const std::size_t multiple : {1U, 8U}) {
        const plan::packing_options wanted{.capacity = 96, .slot_multiple = multiple, .bins_multiple = 4};
        const batten::packed_collator<> collate{{.pad_id = 1 << 20, .length = {96}}};
        for (const plan::packing& packed :
             {plan::pack_next_fit(lengths, wanted), plan::pack_best_fit(lengths, wanted), plan::pack_tight(lengths, wanted)}) {
            const auto batch = collate(batten::packed(sequences, packed));
            CHECK(batch.rows() == packed.size());
            CHECK(batch.rows() % 4 == 0);
            CHECK(batch.width() == 96);
            CHECK(batch.summary().real_tokens == static_cast<std::size_t>(next_token));
            std::vector<int> seen(static_cast<std::size_t>(next_token), 0);
            for (const auto token : batch.token_ids())
                if (token != 1 << 20)
                    ++seen[static_cast<std::size_t>(token)];
            CHECK(std::all_of(seen.begin(), seen.end(), [](int times) { return times == 1; }));
            CHECK(plan::waste_of(packed, packed.capacity).pads == batch.summary().padded_cells);
        }
    }
    // Cut with one token of overlap, every token but the first of a sequence is trained, once.
    const auto cut = plan::pack_best_fit(lengths, {.capacity = 16, .over = plan::over_capacity::is_split_with_overlap});
    const batten::packed_collator<> collate{{.pad_id = 0, .length = {16}}};
    std::size_t trained = 0;
    for (const std::size_t length : lengths)
        trained += length == 0 ? 0 : length - 1;
    CHECK(collate(batten::packed(sequences, cut)).summary().targets == trained);
}
