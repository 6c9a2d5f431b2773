// SPDX-License-Identifier: MIT
// The rows of a batch: every batch knows them, on every side and in every layout, and so do masks, MLM and varlen_map.

#include "mask_support.hpp"

#include <batten/batten.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using namespace tests;
namespace errors = batten::errors;
using batten::pad_left;
using batten::pad_right;
using batten::piece;
using batten::rows_shape;
using batten::segment;
using mask::interval;

// What is read of a segment: row, first column, length, number in the row; -1 in place of the number for pads.
using place = std::array<long long, 4>;

template <class Rows>
std::vector<place> walked(const Rows& rows)
{
    std::vector<place> places;
    batten::error reason;
    CHECK(rows.walk(
        [&](const segment& at) {
            const bool is_pads = at.sequence == batten::no_sequence;
            places.push_back({static_cast<long long>(at.row), static_cast<long long>(at.first_column),
                              static_cast<long long>(at.length), is_pads ? -1 : static_cast<long long>(at.index_in_row)});
            return true;
        },
        reason));
    return places;
}

template <class Rows>
error_is error_of(const Rows& rows)
{
    const auto shape = batten::varlen_map(rows).try_shape();
    CHECK_FALSE(shape.has_value());
    CHECK(error_is(mask::try_interval_count(rows).error()) == error_is(shape.error()));
    return shape.error();
}

struct in_the_middle {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};
struct past_the_row {
    static constexpr std::size_t offset(std::size_t /*length*/, std::size_t width) { return width; }
};

static_assert(batten::batch_rows<batten::padded_rows<std::int64_t, pad_left>>);
static_assert(batten::batch_rows<batten::varlen_rows<std::int32_t>> && batten::batch_rows<batten::rows_by_segment_ids<int>>);
static_assert(batten::batch_rows<batten::segment_list> && !batten::batch_rows<int>);
static_assert(batten::knows_rows<batten::basic_batch<batten::causal_lm_fields>>);
static_assert(batten::knows_rows<batten::bucket_batch<batten::causal_lm_fields>>);
static_assert(!batten::detail::rows_outlive<batten::basic_batch<batten::causal_lm_fields>>);  // a batch that is gone
static_assert(batten::detail::rows_outlive<batten::bucket_batch<batten::causal_lm_fields>>);  // a view of one that is not

// The tokens of a batch in the order of its segments, as varlen_map takes them out of it.
template <class Batch>
line gathered(const Batch& batch)
{
    const batten::varlen_map rows(batch);
    std::vector<std::int64_t> tokens(rows.shape().tokens);
    rows.gather_rows(batch.token_ids(), 1, tokens);
    return line_of(tokens);
}

// Begin and end of each interval.
template <class Batch>
std::vector<interval> causal(const Batch& batch)
{
    return intervals_of(batch, mask::causal{});
}

const ragged three{{11}, {21, 22, 23}, {}};

template <class Side>
using on = batten::collator<Side, batten::fixed_length>;

constexpr bool reads_a_batch_in_constant_evaluation()
{
    const std::array<int, 1> first{7};
    const std::array<int, 2> second{8, 9};
    const std::array<std::span<const int>, 2> sequences{first, second};
    const batten::collator<pad_left, batten::dynamic_length> collate{{.pad_id = 0}};
    const auto batch = collate(sequences);
    std::array<interval, 4> seen{};
    const auto shape = mask::intervals(batch, mask::causal{}, seen);
    std::array<std::uint8_t, 8> bytes{};
    mask::bytes(seen, shape, bytes);
    std::array<std::int64_t, 3> tokens{};
    batten::varlen_map(batch).gather_rows(batch.token_ids(), 1, tokens);
    return holds(bytes, {0, 0, 0, 1, 1, 0, 1, 1}) && holds(tokens, {7, 8, 9});
}
static_assert(reads_a_batch_in_constant_evaluation());

}  // namespace

TEST_CASE("padded_rows puts a row's one segment where its side does")
{
    const std::vector<std::int64_t> lengths{2, 0, 4};
    CHECK(walked(batten::padded_rows(lengths, 4, pad_right{})) == std::vector<place>{{0, 0, 2, 0}, {1, 0, 0, 0}, {2, 0, 4, 0}});
    CHECK(walked(batten::padded_rows(lengths, 4, pad_left{})) == std::vector<place>{{0, 2, 2, 0}, {1, 4, 0, 0}, {2, 0, 4, 0}});
    CHECK(walked(batten::padded_rows(lengths, 4, in_the_middle{}))[0] == place{0, 1, 2, 0});
    CHECK(batten::padded_rows(lengths, 4, pad_left{}).shape() == rows_shape{3, 4});
}

TEST_CASE("varlen_rows cuts one row at its offsets, and what is after the last is pads")
{
    const std::vector<std::int32_t> cu_seqlens{0, 3, 3, 5};
    const std::vector<place> expected{{0, 0, 3, 0}, {0, 3, 0, 1}, {0, 3, 2, 2}};
    CHECK(walked(batten::varlen_rows(cu_seqlens)) == expected);
    CHECK(batten::varlen_rows(cu_seqlens).shape() == rows_shape{1, 5});
    CHECK(walked(batten::varlen_rows(cu_seqlens, 8)) == expected);
    CHECK(batten::varlen_rows(cu_seqlens, 8).shape() == rows_shape{1, 8});
    const std::array<std::int32_t, 1> nothing{0};
    CHECK(walked(batten::varlen_rows(nothing)).empty());
}

TEST_CASE("rows_by_segment_ids takes a run of one number for a segment and 0 for pads")
{
    const std::vector<std::int64_t> ids{0, 1, 1, 2, 0,   //
                                        2, 2, 0, 0, 1,   //
                                        0, 0, 0, 0, 0};  //
    CHECK(walked(batten::rows_by_segment_ids(ids, 5)) ==
          std::vector<place>{{0, 1, 2, 0}, {0, 3, 1, 1}, {1, 0, 2, 0}, {1, 4, 1, 1}});
    CHECK(batten::rows_by_segment_ids(ids, 5).shape() == rows_shape{3, 5});
    CHECK(batten::rows_by_segment_ids(std::span<const int>{}, 0).shape() == rows_shape{0, 0});
}

TEST_CASE("rows whose numbers do not fit are refused by name")
{
    const std::vector<int> lengths{1, 5, -1}, fine{1};
    CHECK(error_of(batten::padded_rows(lengths, 4, pad_right{})) == error_is(errors::segment_past_row, 1, 5, 4, "the row"));
    CHECK(error_of(batten::padded_rows(lengths, 5, pad_left{})) == error_is(errors::length_negative, 2, -1));
    CHECK(error_of(batten::padded_rows(fine, 4, past_the_row{})) == error_is(errors::offset_past_width, 0, 4, 3));

    const std::vector<std::int32_t> none, ends{3, 7, 12}, falling{0, 4, 3, 9}, negative{-2, 4}, offsets{0, 4, 6};
    CHECK(error_of(batten::varlen_rows(none)) == error_is(errors::input_empty, no_row, 0, 0, "cu_seqlens"));
    CHECK(error_of(batten::varlen_rows(ends)) == error_is(errors::offsets_not_from_zero, no_row, 3, 0, "cu_seqlens"));
    CHECK(error_of(batten::varlen_rows(falling)) == error_is(errors::offsets_decrease, 1, 4, 3));
    CHECK(error_of(batten::varlen_rows(negative)) == error_is(errors::offsets_not_from_zero, no_row, -2, 0, "cu_seqlens"));
    CHECK(error_of(batten::varlen_rows(offsets, 5)) == error_is(errors::segment_past_row, 0, 6, 5, "the row"));

    const std::vector<int> ids{1, 1, 2};
    CHECK(error_of(batten::rows_by_segment_ids(ids, 2)) == error_is(errors::span_too_large, no_row, 2, 3, "segment_ids"));
    CHECK(error_of(batten::rows_by_segment_ids(ids, 0)) == error_is(errors::span_too_large, no_row, 0, 3, "segment_ids"));

    const std::vector<int> two{1, 2}, one{0}, below{1, -2}, zeros{0, 0};
    CHECK(error_of(batten::reported_rows(two, one, zeros, {1, 4})) ==
          error_is(errors::count_mismatch, no_row, 1, 2, "first_columns"));
    CHECK(error_of(batten::reported_rows(two, zeros, one, {1, 4})) ==
          error_is(errors::count_mismatch, no_row, 1, 2, "segment_rows"));
    CHECK(error_of(batten::reported_rows(below, zeros, zeros, {1, 4})) == error_is(errors::length_negative, 1, -2));
    CHECK(error_of(batten::reported_rows(two, zeros, zeros, {1, 4})) == error_is(errors::segment_misplaced, 0, 0, 1));
    CHECK(error_of(batten::reported_rows(two, zeros, below, {2, 4})).code == errors::segment_row_out_of_range);
    CHECK(error_of(batten::reported_rows(two, below, zeros, {2, 4})).code == errors::segment_past_row);
}

TEST_CASE("segments out of order, over one another or outside of their rows are refused")
{
    const auto error_of_list = [](std::vector<segment> list, rows_shape shape = {2, 4}) {
        return error_of(batten::segment_list(list, shape));
    };
    const auto at = [](std::size_t row, std::size_t first, std::size_t length) {
        return segment{.length = length, .row = row, .first_column = first};
    };
    CHECK(error_of_list({at(0, 0, 3), at(0, 2, 1)}) == error_is(errors::segment_misplaced, 0, 2, 3));
    CHECK(error_of_list({at(1, 0, 3), at(0, 3, 1)}) == error_is(errors::segment_misplaced, 0, 3, 3));
    CHECK(error_of_list({at(2, 0, 1)}) == error_is(errors::segment_row_out_of_range, no_row, 2, 2));
    CHECK(error_of_list({at(1, 2, 3)}) == error_is(errors::segment_past_row, 1, 5, 4, "the row"));
    const std::size_t most = std::numeric_limits<std::size_t>::max();
    CHECK(error_of_list({at(0, 3, most - 1)}).code == errors::segment_past_row);
    CHECK(error_of_list({}, {most / 2, 3}) == error_is(errors::size_overflow, no_row, most / 2, 3));
}

TEST_CASE("a padded batch knows its side: masks and varlen_map read no pad")
{
    const on<pad_left> left{{.pad_id = 0, .length = {4}}};
    const on<pad_right> right{{.pad_id = 0, .length = {4}}};
    const on<in_the_middle> middle{{.pad_id = 0, .length = {4}}};
    const std::vector<interval> none(4);
    const auto rows = [](std::vector<interval> first, const std::vector<interval>& second) {
        first.insert(first.end(), second.begin(), second.end());
        first.resize(12);
        return first;
    };
    const auto from_left = left(three);
    CHECK(walked(from_left.segments()) == std::vector<place>{{0, 3, 1, 0}, {1, 1, 3, 0}, {2, 4, 0, 0}});
    CHECK(causal(from_left) == rows({{0, 0}, {0, 0}, {0, 0}, {3, 4}}, {{0, 0}, {1, 2}, {1, 3}, {1, 4}}));
    CHECK(gathered(from_left) == line{11, 21, 22, 23});
    CHECK(causal(right(three)) == rows({{0, 1}, {0, 0}, {0, 0}, {0, 0}}, {{0, 1}, {0, 2}, {0, 3}, {0, 0}}));
    CHECK(gathered(right(three)) == line{11, 21, 22, 23});
    CHECK(causal(middle(three)) == rows({{0, 0}, {1, 2}, {0, 0}, {0, 0}}, {{0, 1}, {0, 2}, {0, 3}, {0, 0}}));
    CHECK(gathered(middle(three)) == line{11, 21, 22, 23});

    // The rows of a batch are those of its lengths and side.
    CHECK(walked(from_left.segments()) == walked(batten::padded_rows(from_left.lengths(), 4, pad_left{})));
    std::vector<std::int32_t> cu_seqlens(4), indices(4);
    batten::varlen_map(from_left).cu_seqlens(cu_seqlens);
    batten::varlen_map(from_left).indices(indices);
    CHECK(line_of(cu_seqlens) == line{0, 1, 4, 4});
    CHECK(line_of(indices) == line{3, 5, 6, 7});
    CHECK(batten::varlen_map(from_left).shape() == batten::varlen_shape{3, 4, 3, 4, 3});
}

TEST_CASE("a packed batch knows its segments, on either side, with slots and empty pieces")
{
    const ragged four{{1, 2, 3}, {4}, {}, {5, 6}};
    const std::vector<piece> pieces{{3, 0, 2}, {2, 0, 0}, {0, 0, 3}, {1, 0, 1}};
    const std::vector<std::size_t> offsets{0, 3, 4};
    const batten::packed_collator<> right{{.pad_id = 9, .length = {8}}};
    const auto batch = right(batten::packed(four, {pieces, offsets, 4}));
    CHECK(walked(batch.segments()) == std::vector<place>{{0, 0, 2, 0}, {0, 2, 0, 1}, {0, 4, 3, 2}, {1, 0, 1, 0}});
    CHECK(gathered(batch) == line{5, 6, 1, 2, 3, 4});
    const auto seen = causal(batch);
    CHECK(seen == intervals_of(batten::rows_by_segment_ids(batch.segment_ids(), batch.width()), mask::causal{}));
    CHECK((seen[5] == interval{4, 6} && seen[2] == interval{} && seen[8] == interval{0, 1}));
    std::vector<std::int64_t> cu_seqlens(5);
    batten::varlen_map(batch).cu_seqlens(cu_seqlens);
    CHECK(line_of(cu_seqlens) == line{0, 2, 2, 5, 6});

    const batten::packed_collator<batten::fixed_length, batten::packed_fields, pad_left> left{{.pad_id = 9, .length = {8}}};
    const auto moved = left(batten::packed(four, {pieces, offsets}));
    CHECK(walked(moved.segments()) == std::vector<place>{{0, 3, 2, 0}, {0, 5, 0, 1}, {0, 5, 3, 2}, {1, 7, 1, 0}});
    CHECK(gathered(moved) == line{5, 6, 1, 2, 3, 4});
    CHECK(causal(moved) == intervals_of(batten::rows_by_segment_ids(moved.segment_ids(), 8), mask::causal{}));
}

TEST_CASE("a varlen batch's tail of pads is a segment of its own for masks, and no tokens for varlen_map and MLM")
{
    const ragged four{{1, 2, 3}, {4}, {}, {5, 6}};
    const batten::varlen_collator<batten::round_up_to<8>> own{{.pad_id = 0}};
    const auto batch = own(four);
    CHECK(walked(batch.segments()) == std::vector<place>{{0, 0, 3, 0}, {0, 3, 1, 1}, {0, 4, 0, 2}, {0, 4, 2, 3}, {0, 6, 2, -1}});
    CHECK(causal(batch) == intervals_of(batten::varlen_rows(batch.cu_seqlens()), mask::causal{}));
    CHECK(intervals_of(batch, mask::bidirectional{})[6] == interval{6, 8});
    CHECK(gathered(batch) == line{1, 2, 3, 4, 5, 6});

    // One prompt length for each sequence, none for the tail.
    const std::vector<int> prompts{2, 1, 0, 2};
    const auto seen = intervals_of(batch, mask::prefix_lm(prompts));
    CHECK((seen[0] == interval{0, 2} && seen[4] == interval{4, 6} && seen[6] == interval{6, 7}));
    std::vector<std::size_t> asked;
    static_cast<void>(intervals_of(batch, [&](const mask::query& q) {
        asked.push_back(q.sequence);
        return interval{0, q.keys};
    }));
    CHECK(asked == std::vector<std::size_t>{0, 0, 0, 1, 3, 3, 4, 4});

    const mask::mlm_masking all({.mlm_probability = 1, .mask_replace_prob = 1, .random_replace_prob = 0, .mask_id = 103});
    auto hidden = own(four);
    const std::vector<int> sequence_ids{7, 8, 9, 10};
    std::vector<std::int64_t> labels(8);
    CHECK(all.into(hidden, sequence_ids, 0, hidden.token_ids(), labels).chosen == 6);
    CHECK(line_of(hidden.token_ids()) == line{103, 103, 103, 103, 103, 103, 0, 0});
    CHECK(line_of(labels) == line{1, 2, 3, 4, 5, 6, -100, -100});

    const batten::varlen_collator<batten::round_up_to<8>, batten::varlen_fields, batten::trailing_pads::excluded> bare{
        {.pad_id = 0}};
    const auto without_tail = bare(four), empty = bare(ragged{});
    CHECK(walked(without_tail.segments()).size() == 4);
    CHECK(causal(without_tail)[6] == interval{});
    CHECK(walked(empty.segments()).empty());
    const batten::varlen_collator<batten::fixed_length> fixed{{.pad_id = 0, .length = {3}}};
    const auto tail_alone = fixed(ragged{});
    CHECK(walked(tail_alone.segments()) == std::vector<place>{{0, 0, 3, -1}});
}

TEST_CASE("each batch of a bucketed call knows its rows, and so does a batch whose fields have narrow types")
{
    const std::vector<std::size_t> edges{2, 4};
    const batten::bucketed_collator<pad_left> collate{{.pad_id = 0, .length = edges}};
    const auto batches = collate(three);
    REQUIRE(batches.size() == 2);
    CHECK(walked(batches[0].segments()) == std::vector<place>{{0, 1, 1, 0}, {1, 2, 0, 0}});
    CHECK(walked(batches[1].segments()) == std::vector<place>{{0, 1, 3, 0}});
    CHECK(gathered(batches[0]) == line{11});
    const batten::varlen_map view(batches[1]);  // of the batches' memory, not of the view
    CHECK(view.shape().tokens == 3);
    CHECK(causal(batches[1]) == std::vector<interval>{{0, 0}, {1, 2}, {1, 3}, {1, 4}});

    using narrow = batten::fields<batten::token_ids<>, batten::lengths<std::uint8_t>, batten::first_columns<std::uint16_t>>;
    const batten::collator<pad_left, batten::dynamic_length, batten::reject, narrow> small{{.pad_id = 0}};
    CHECK(gathered(small(three)) == line{11, 21, 22, 23});
}

TEST_CASE("what a call reports into the caller's memory makes the same rows")
{
    const batten::collator<pad_left, batten::dynamic_length, batten::reject, batten::fields<batten::token_ids<>>> collate{
        {.pad_id = 0}};
    std::vector<std::int64_t> ids(9);
    std::vector<int> lengths(3), columns(3), rows(3);
    collate.into(three, batten::outputs{batten::set<batten::token_ids>(ids), batten::set<batten::lengths>(lengths),
                                        batten::set<batten::first_columns>(columns), batten::set<batten::segment_rows>(rows)});
    const auto batch = collate(three);
    CHECK(walked(batten::reported_rows(lengths, columns, rows, {3, 3})) == walked(batch.segments()));
}

TEST_CASE("prefix lengths of a left-padded batch count from its tokens")
{
    const on<pad_left> left{{.pad_id = 0, .length = {4}}};
    const std::vector<int> prompts{1, 2, 0};
    const auto seen = intervals_of(left(three), mask::prefix_lm(prompts));
    CHECK(seen[5] == interval{1, 3});
    CHECK(seen[7] == interval{1, 4});
}
