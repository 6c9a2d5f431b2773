// SPDX-License-Identifier: MIT
// What bins say of their pieces beside the tokens: where positions begin, one token of look-ahead, the columns they reserve.
// Shards of a context-parallel batch and rows cut from a stream of tokens are lists of such pieces.

#include "mask_support.hpp"

#include <batten/batten.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace {

using namespace tests;
namespace errors = batten::errors;
using batten::bins;
using batten::piece;
using batten::piece_positions;

constexpr long long none = -100;

// Tokens, labels, the trained columns, and positions that count on through pads.
using columns_of_a_row = batten::fields<batten::token_ids<>, batten::labels<>, batten::loss_mask<>,
                                        batten::position_ids<std::int64_t, batten::continue_positions>, batten::segment_ids<>>;
using packing = batten::packed_collator<batten::fixed_length, columns_of_a_row>;
packing to_width(std::size_t width, batten::target_alignment targets = batten::next_token)
{
    return packing{{.pad_id = -1, .length = {width}, .targets = targets}};
}

// Sequence s has tokens 100 s, 100 s + 1, ...
ragged counted(const std::vector<std::size_t>& lengths)
{
    ragged made;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
        made.emplace_back();
        for (std::size_t i = 0; i < lengths[s]; ++i)
            made.back().push_back(static_cast<int>(100 * s + i));
    }
    return made;
}

// Pieces and slots as the bins of one row or several.
struct listed {
    std::vector<piece> pieces{};
    std::vector<std::uint32_t> slots{};
    std::vector<std::size_t> offsets{0};

    void add(std::size_t sequence, std::size_t begin, std::size_t length, std::size_t slot)
    {
        pieces.push_back({static_cast<std::uint32_t>(sequence), static_cast<std::uint32_t>(begin),
                          static_cast<std::uint32_t>(length)});
        slots.push_back(static_cast<std::uint32_t>(slot));
    }
    void end_row() { offsets.push_back(pieces.size()); }
};

// ---- context parallel: zigzag in each slot, as Transformer Engine shards packed sequences -----------------------------------

// The pieces of a rank: of each slot the chunks number rank and 2 cp - 1 - rank.
listed shard(const std::vector<std::size_t>& lengths, const std::vector<std::size_t>& starts, std::size_t cp, std::size_t rank)
{
    listed made;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
        const std::size_t chunk = (starts[s + 1] - starts[s]) / (2 * cp);
        for (const std::size_t number : {rank, 2 * cp - 1 - rank}) {
            const std::size_t begin = number * chunk;
            made.add(s, begin, lengths[s] <= begin ? 0 : std::min(chunk, lengths[s] - begin), chunk);
        }
    }
    made.end_row();
    return made;
}

// The same of the whole batch, made at once by hand and then gathered by the rule that maps a local column to a global one.
struct gathered_rank {
    line ids{}, labels{}, positions{};
};
gathered_rank gather(const std::vector<std::size_t>& lengths, const std::vector<std::size_t>& starts, std::size_t cp,
                     std::size_t rank)
{
    gathered_rank made;
    for (std::size_t s = 0; s < lengths.size(); ++s) {
        const std::size_t m = (starts[s + 1] - starts[s]) / cp;
        for (std::size_t i = 0; i < m; ++i) {
            const std::size_t at = i + m / 2 * (i < m / 2 ? rank : 2 * (cp - 1) - rank);
            made.ids.push_back(at < lengths[s] ? static_cast<long long>(100 * s + at) : -1);
            made.labels.push_back(at + 1 < lengths[s] ? static_cast<long long>(100 * s + at + 1) : none);
            made.positions.push_back(static_cast<long long>(at));
        }
    }
    return made;
}

// ---- streams: documents one after the other, cut into rows ------------------------------------------------------------------

listed cut_stream(const std::vector<std::size_t>& lengths, std::size_t width)
{
    listed made;
    std::size_t column = 0;
    for (std::size_t d = 0; d < lengths.size(); ++d)
        for (std::size_t begin = 0; begin < lengths[d];) {
            const std::size_t length = std::min(width - column, lengths[d] - begin);
            made.add(d, begin, length, length);
            begin += length;
            column += length;
            if (column == width) {
                made.end_row();
                column = 0;
            }
        }
    if (column != 0)
        made.end_row();
    return made;
}

struct stream_cell {
    long long id = -1, label = none, from_source = 0, restart = 0;
    std::size_t document = 0;
};

// Row by row what a stream's columns hold, token by token.
std::vector<stream_cell> stream_of(const std::vector<std::size_t>& lengths, std::size_t width)
{
    std::vector<stream_cell> cells;
    for (std::size_t d = 0; d < lengths.size(); ++d)
        for (std::size_t i = 0; i < lengths[d]; ++i) {
            const auto id = static_cast<long long>(100 * d + i);
            const bool goes_on = i != 0 && cells.size() % width != 0;
            cells.push_back({id, i + 1 < lengths[d] ? id + 1 : none, static_cast<long long>(i),
                             goes_on ? cells.back().restart + 1 : 0, d});
        }
    while (cells.size() % width != 0)
        cells.push_back({});
    return cells;
}

template <class Get>
line each(const std::vector<stream_cell>& cells, Get get)
{
    line values;
    for (const stream_cell& cell : cells)
        values.push_back(get(cell));
    return values;
}

constexpr bool looks_ahead_in_constant_evaluation()
{
    const std::array<int, 5> tokens{0, 1, 2, 3, 4};
    const std::array<std::span<const int>, 1> sequences{tokens};
    const std::array<piece, 2> pieces{{{0, 0, 2}, {0, 6, 0}}};
    const std::array<std::uint32_t, 2> slots{2, 2};
    const std::array<std::size_t, 2> offsets{0, 2};
    const packing collate{{.pad_id = -1, .length = {4}, .targets = batten::next_token}};
    const auto batch = collate(batten::packed(sequences, bins{.pieces = pieces,
                                                              .offsets = offsets,
                                                              .positions = piece_positions::from_source,
                                                              .look_ahead = true,
                                                              .slots = slots}));
    return holds(batch.labels(), {1, 2, -100, -100}) && holds(batch.position_ids(), {0, 1, 6, 7});
}
static_assert(looks_ahead_in_constant_evaluation());
static_assert(batten::are_columns_of(batten::next_token, 3, 2) && batten::are_columns_of(batten::next_token, 3, 3));
static_assert(!batten::are_columns_of(batten::next_token, 1, 0) && !batten::are_columns_of(batten::next_token, 3, 1));
static_assert(!batten::are_columns_of(batten::model_shifts, 3, 2) &&
              !batten::are_columns_of(batten::next_token, 0, std::numeric_limits<std::size_t>::max()));

}  // namespace

TEST_CASE("a sequence of 5 in a slot of 8 on two ranks: each writes its chunks, and targets cross the border of ranks")
{
    const ragged two = counted({5, 8});
    const packing collate = to_width(8);
    const std::vector<std::size_t> starts{0, 8, 16};
    const auto of_rank = [&](std::size_t rank) {
        const listed how = shard({5, 8}, starts, 2, rank);
        return collate(batten::packed(two, bins{.pieces = how.pieces,
                                                .offsets = how.offsets,
                                                .positions = piece_positions::from_source,
                                                .look_ahead = true,
                                                .slots = how.slots}));
    };
    const auto first = of_rank(0), second = of_rank(1);
    CHECK(line_of(first.token_ids()) == line{0, 1, -1, -1, 100, 101, 106, 107});
    CHECK(line_of(first.labels()) == line{1, 2, none, none, 101, 102, 107, none});
    CHECK(line_of(first.position_ids()) == line{0, 1, 6, 7, 0, 1, 6, 7});
    CHECK(line_of(first.loss_mask()) == line{1, 1, 0, 0, 1, 1, 1, 0});
    CHECK(line_of(first.segment_ids()) == line{1, 1, 0, 0, 3, 3, 4, 4});
    CHECK(line_of(first.lengths()) == line{2, 0, 2, 2});
    CHECK(line_of(first.first_columns()) == line{0, 2, 4, 6});
    CHECK(line_of(first.target_counts()) == line{2, 0, 2, 1});
    CHECK(first.summary().real_tokens == 6);
    CHECK(first.summary().targets == 5);

    CHECK(line_of(second.token_ids()) == line{2, 3, 4, -1, 102, 103, 104, 105});
    CHECK(line_of(second.labels()) == line{3, 4, none, none, 103, 104, 105, 106});
    CHECK(line_of(second.position_ids()) == line{2, 3, 4, 5, 2, 3, 4, 5});
    CHECK(first.summary().targets + second.summary().targets == 4 + 7);
}

TEST_CASE("every rank's columns are those of the whole batch, gathered by Transformer Engine's rule")
{
    std::mt19937 draw(3);
    for (int round = 0; round < 60; ++round) {
        const std::size_t cp = 1 + draw() % 4;
        std::vector<std::size_t> lengths(1 + draw() % 5), starts{0};
        for (std::size_t& length : lengths) {
            length = draw() % 30;
            starts.push_back(starts.back() + (length + 2 * cp - 1) / (2 * cp) * 2 * cp);
        }
        const ragged sequences = counted(lengths);
        std::size_t targets = 0;
        for (std::size_t rank = 0; rank < cp; ++rank) {
            const listed how = shard(lengths, starts, cp, rank);
            const batten::packed_collator<batten::dynamic_length, columns_of_a_row> collate{
                {.pad_id = -1, .targets = batten::next_token}};
            const auto batch = collate(batten::packed(sequences, bins{.pieces = how.pieces,
                                                                      .offsets = how.offsets,
                                                                      .positions = piece_positions::from_source,
                                                                      .look_ahead = true,
                                                                      .slots = how.slots}));
            const gathered_rank expected = gather(lengths, starts, cp, rank);
            CHECK(batch.width() == starts.back() / cp);
            CHECK(line_of(batch.token_ids()) == expected.ids);
            CHECK(line_of(batch.labels()) == expected.labels);
            CHECK(line_of(batch.position_ids()) == expected.positions);
            targets += batch.summary().targets;
        }
        for (const std::size_t length : lengths)
            targets -= length == 0 ? 0 : length - 1;
        CHECK(targets == 0);
    }
}

TEST_CASE("rows cut from a stream of documents hold what a loop over its tokens holds")
{
    std::mt19937 draw(11);
    for (int round = 0; round < 60; ++round) {
        const std::size_t width = 1 + draw() % 9;
        std::vector<std::size_t> lengths(1 + draw() % 7);
        for (std::size_t& length : lengths)
            length = draw() % 20;
        if (round == 0)
            lengths = {3, 5, 4};
        const ragged documents = counted(lengths);
        std::vector<int> prompts;
        std::vector<std::vector<std::uint8_t>> loss;
        for (const std::size_t length : lengths) {
            prompts.push_back(static_cast<int>(draw() % (length + 1)));
            loss.emplace_back(length);
            for (auto& entry : loss.back())
                entry = draw() % 2;
        }
        const listed how = cut_stream(lengths, width);
        const auto cells = stream_of(lengths, width);
        const auto collate = to_width(width);
        for (const piece_positions positions : {piece_positions::restart, piece_positions::from_source}) {
            const bins rows{.pieces = how.pieces, .offsets = how.offsets, .positions = positions, .look_ahead = true};
            const auto batch = collate(batten::packed(documents, rows));
            CHECK(line_of(batch.token_ids()) == each(cells, [](const auto& cell) { return cell.id; }));
            CHECK(line_of(batch.labels()) == each(cells, [](const auto& cell) { return cell.label; }));
            const auto is_source = positions == piece_positions::from_source;
            line found = line_of(batch.position_ids());
            line expected = each(cells, [&](const auto& cell) { return is_source ? cell.from_source : cell.restart; });
            while (!expected.empty() && cells[expected.size() - 1].id < 0)  // pads count on, the reference has none
                expected.pop_back(), found.pop_back();
            CHECK(found == expected);

            // A token before its prompt's end, or with loss 0, is no target: of the column before it either, across a cut too.
            const auto trained = [&](const auto& cell, auto is_on) {
                return cell.label != none && is_on(cell.document, static_cast<std::size_t>(cell.label) % 100) ? cell.label
                                                                                                                 : none;
            };
            const auto prompted = collate(batten::packed(batten::inputs{documents, prompts}, rows));
            CHECK(line_of(prompted.labels()) == each(cells, [&](const auto& cell) {
                      return trained(cell, [&](std::size_t d, std::size_t i) { return i >= static_cast<std::size_t>(prompts[d]); });
                  }));
            const auto weighed = collate(batten::packed(batten::inputs{documents, batten::none, loss}, rows));
            CHECK(line_of(weighed.labels()) == each(cells, [&](const auto& cell) {
                      return trained(cell, [&](std::size_t d, std::size_t i) { return loss[d][i] != 0; });
                  }));
            const line labels = line_of(weighed.labels());
            CHECK(weighed.summary().targets ==
                  labels.size() - static_cast<std::size_t>(std::count(labels.begin(), labels.end(), none)));
            const line counts = line_of(weighed.target_counts()), mask = line_of(weighed.loss_mask());
            CHECK(std::accumulate(counts.begin(), counts.end(), 0LL) == std::accumulate(mask.begin(), mask.end(), 0LL));
        }
    }
}

TEST_CASE("in drop-last form pieces share a token, and look_ahead changes nothing")
{
    // Three rows of a stream of lengths 3, 5, 4, where each row's last token is the next one's first.
    const ragged documents = counted({3, 5, 4});
    const std::vector<piece> pieces{{0, 0, 3}, {1, 0, 3}, {1, 2, 3}, {2, 0, 3}, {2, 2, 2}};
    const std::vector<std::size_t> offsets{0, 2, 4, 5};
    const auto collate = to_width(4, batten::next_token_drop_last);
    for (const bool look_ahead : {false, true}) {
        const auto batch = collate(batten::packed(documents, bins{.pieces = pieces,
                                                                  .offsets = offsets,
                                                                  .positions = piece_positions::from_source,
                                                                  .look_ahead = look_ahead}));
        CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{0, 1, 100, 101}, {102, 103, 200, 201}, {202, -1, -1, -1}});
        CHECK(grid_of(batch.view<batten::labels>()) == grid{{1, 2, 101, 102}, {103, 104, 201, 202}, {203, none, none, none}});
        CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 1, 0, 1}, {2, 3, 0, 1}, {2, 3, 4, 5}});
    }
    for (const auto targets : {batten::model_shifts, batten::same_position}) {
        const auto plain = to_width(6, targets);
        const auto without = plain(batten::packed(documents, bins{.pieces = pieces, .offsets = offsets}));
        const auto with = plain(batten::packed(documents, bins{.pieces = pieces, .offsets = offsets, .look_ahead = true}));
        CHECK(line_of(without.labels()) == line_of(with.labels()));
        CHECK(without.summary() == with.summary());
    }
}

TEST_CASE("without its options a piece starts at position 0, and its last column has no target")
{
    const ragged one = counted({6});
    const std::vector<piece> cut{{0, 0, 3}, {0, 3, 3}};
    const std::vector<std::size_t> at{0, 1, 2};
    const auto batch = to_width(3)(batten::packed(one, {cut, at}));
    CHECK(grid_of(batch.view<batten::labels>()) == grid{{1, 2, none}, {4, 5, none}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 1, 2}, {0, 1, 2}});
    const auto ahead = to_width(3)(batten::packed(one, bins{.pieces = cut, .offsets = at, .look_ahead = true}));
    CHECK(grid_of(ahead.view<batten::labels>()) == grid{{1, 2, 3}, {4, 5, none}});
    CHECK(ahead.summary().targets == 5);
    CHECK(line_of(ahead.lengths()) == line{3, 3});
    CHECK(ahead.summary().real_tokens == 6);
}

TEST_CASE("slots reserve columns: the row counts them, pads hold 0 or count on, either side, with a multiple too")
{
    const ragged two = counted({3, 4});
    listed how;
    how.add(0, 0, 2, 3);
    how.add(1, 1, 3, 4);
    how.add(1, 4, 0, 2);
    how.end_row();
    const bins rows{.pieces = how.pieces, .offsets = how.offsets, .slots = how.slots};
    using fields = batten::fields<batten::token_ids<>, batten::position_ids<>, batten::attention_mask<>>;
    const batten::packed_collator<batten::dynamic_length, fields> right{{.pad_id = -1}};
    const auto batch = right(batten::packed(two, rows));
    CHECK(line_of(batch.token_ids()) == line{0, 1, -1, 101, 102, 103, -1, -1, -1});
    CHECK(line_of(batch.position_ids()) == line{0, 1, 0, 0, 1, 2, 0, 0, 0});
    CHECK(line_of(batch.attention_mask()) == line{1, 1, 0, 1, 1, 1, 0, 0, 0});
    CHECK(batch.summary() == batten::summary{.real_tokens = 5, .padded_cells = 4, .targets = 3, .max_seqlen = 3});

    const batten::packed_collator<batten::fixed_length, fields, batten::pad_left> left{{.pad_id = -1, .length = {10}}};
    const auto moved = left(batten::packed(two, rows));
    CHECK(line_of(moved.token_ids()) == line{-1, 0, 1, -1, 101, 102, 103, -1, -1, -1});
    CHECK(line_of(moved.first_columns()) == line{1, 4, 8});

    bins aligned = rows;
    aligned.slot_multiple = 4;
    const auto counted_on = to_width(12)(batten::packed(two, aligned));
    CHECK(line_of(counted_on.token_ids()) == line{0, 1, -1, -1, 101, 102, 103, -1, -1, -1, -1, -1});
    CHECK(line_of(counted_on.position_ids()) == line{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3});

    // Pads of a slot belong to no segment: masks and varlen_map leave them out.
    CHECK(intervals_of(batch, mask::causal{}) ==
          std::vector<mask::interval>{{0, 1}, {0, 2}, {0, 0}, {3, 4}, {3, 5}, {3, 6}, {0, 0}, {0, 0}, {0, 0}});
    CHECK(batten::varlen_map(batch).shape() == batten::varlen_shape{1, 9, 3, 5, 3});
}

TEST_CASE("slots that do not fit their pieces are errors before the first write")
{
    const ragged two = counted({3, 4});
    const std::vector<std::size_t> at{0, 2};
    const std::vector<piece> both{{0, 0, 3}, {1, 0, 2}};
    const auto collate = to_width(6);
    const auto error_of = [&](const std::vector<piece>& pieces, const std::vector<std::uint32_t>& slots,
                              std::size_t multiple = 1) {
        return call_error(collate,
                          batten::packed(two, bins{.pieces = pieces, .offsets = at, .slot_multiple = multiple, .slots = slots}),
                          batten::packed(two, bins{.pieces = both, .offsets = at}));
    };
    CHECK(error_of(both, {3, 2, 1}) == error_is(errors::slot_count_mismatch, no_row, 3, 2));
    CHECK(error_of(both, {3}) == error_is(errors::slot_count_mismatch, no_row, 1, 2));
    CHECK(error_of(both, {3, 1}) == error_is(errors::slot_too_small, 0, 2, 1));
    CHECK(error_of(both, {0, 2}) == error_is(errors::slot_too_small, 0, 3, 0));
    CHECK(error_of(both, {4, 3}) == error_is(errors::row_over_limit, 0, 7, 6));
    CHECK(error_of({{0, 0, 3}, {1, 3, 2}}, {3, 2}) == error_is(errors::slice_outside_sequence, 0, 3, 2));
    CHECK(error_of({{0, 0, 3}, {1, 5, 0}}, {3, 0}).code == errors::slice_outside_sequence);  // it reserves no column
    CHECK(error_of(both, {}, std::numeric_limits<std::size_t>::max() / 2).code == errors::row_over_limit);
    CHECK(error_of({{0, 0, 3}, {1, 0, 0}}, {3, 4}) == error_is(errors::row_over_limit, 0, 7, 6));
    const std::size_t most = std::numeric_limits<std::size_t>::max();
    CHECK(error_of(both, {}, most).code == errors::size_overflow);
    CHECK(batten::error::of_row(errors::slot_too_small, 2, 5, 4).message() ==
          "batten: row 2: a piece takes 5 columns, but its slot has 4");

    // Under next_token_drop_last a piece takes a column less.
    const auto shorter = to_width(6, batten::next_token_drop_last);
    const std::vector<std::uint32_t> slots{2, 1};
    CHECK(shorter(batten::packed(two, bins{.pieces = both, .offsets = at, .slots = slots})).summary().real_tokens == 3);
}

TEST_CASE("positions from the source that a narrow type cannot hold are an error")
{
    const ragged one = counted({200});
    const std::vector<piece> tail{{0, 120, 20}};
    const std::vector<std::size_t> at{0, 1};
    using narrow = batten::fields<batten::token_ids<>, batten::position_ids<std::int8_t>>;
    const batten::packed_collator<batten::dynamic_length, narrow> collate{{.pad_id = 0}};
    CHECK(collate(batten::packed(one, bins{.pieces = tail, .offsets = at})).position_ids().back() == 19);
    CHECK(error_is(collate.try_collate(batten::packed(one, bins{.pieces = tail,
                                                                .offsets = at,
                                                                .positions = piece_positions::from_source}))
                       .error()) == error_is(errors::value_not_representable, 0, 139, 0, "position_ids"));
}
