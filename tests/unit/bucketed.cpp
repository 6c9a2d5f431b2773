// SPDX-License-Identifier: MIT
// Length-bucketed collation: rows go to their buckets, in order, and nothing is lost.

#include "reference.hpp"

#include <array>
#include <limits>
#include <map>
#include <numeric>

namespace {

namespace errors = batten::errors;
using tests::call_error;
using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::guarded;
using tests::guarded_fields;
using tests::holds;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::options_error;
using tests::ragged;

using collator = batten::bucketed_collator<batten::pad_right>;
const ragged five{{1, 2, 3}, {4}, {5, 6, 7, 8}, {}, {9, 9}};

TEST_CASE("each bucket that has rows yields one batch, narrowest first, with the map back to the caller's rows")
{
    const collator collate{{.pad_id = 0, .length = {2, 3, 4, 8}}};
    const auto batches = collate(five);
    REQUIRE(batches.size() == 3);  // none is 8 wide
    CHECK(grid_of(batches[0].view<batten::token_ids>()) == grid{{4, 0}, {0, 0}, {9, 9}});
    CHECK(line_of(batches[0].order()) == line{1, 3, 4});
    CHECK(grid_of(batches[1].view<batten::token_ids>()) == grid{{1, 2, 3}});
    CHECK(line_of(batches[1].order()) == line{0});
    CHECK(grid_of(batches[2].view<batten::token_ids>()) == grid{{5, 6, 7, 8}});
    CHECK(line_of(batches[2].order()) == line{2});
    CHECK(line_of(batches.order()) == line{1, 3, 4, 0, 2});
    CHECK(line_of(batches[0].lengths()) == line{1, 0, 2});
    CHECK(batches[0].summary() ==
          batten::summary{.real_tokens = 3, .padded_cells = 3, .targets = 1, .rows_without_targets = 2, .max_seqlen = 2});
    CHECK(batches.summary() == batten::summary{.real_tokens = 10,
                                               .padded_cells = 3,
                                               .targets = 6,
                                               .rows_without_targets = 2,
                                               .max_seqlen = 4});
    CHECK(line_of(batches[2].get<batten::attention_mask>(0)) == line{1, 1, 1, 1});
}

TEST_CASE("batches are a range, and their buckets tell where they lie")
{
    const collator collate{{.pad_id = 0, .length = {2, 3, 4}}};
    const auto batches = collate(five);
    std::size_t rows = 0;
    for (const auto& batch : batches)
        rows += batch.rows();
    CHECK(rows == 5);
    REQUIRE(batches.buckets().size() == 3);
    CHECK(batches.buckets()[2].width == 4);
    CHECK(batches.buckets()[2].rows == 1);
    CHECK(batches.buckets()[2].first_row == 4);
    CHECK(batches.buckets()[2].first_cell == 3 * 2 + 1 * 3);
}

TEST_CASE("rule 2: no rows are no batch")
{
    const collator collate{{.pad_id = 0, .length = {2, 4}}};
    const auto batches = collate(ragged{});
    CHECK(batches.empty());
    CHECK(batches.size() == 0);
    CHECK(batches.order().empty());
    CHECK(batches.begin() == batches.end());
    CHECK(batches.summary() == batten::summary{});
    const auto shape = collate.shape(ragged{});
    CHECK(shape.buckets().empty());
    CHECK(shape.elements<batten::token_ids>() == 0);
    CHECK(shape.elements<batten::token_ids>(16) == 0);
}

TEST_CASE("rule 2: empty rows are in the first bucket")
{
    const collator collate{{.pad_id = 7, .length = {2, 4}}};
    const auto batches = collate(ragged{{}, {}});
    REQUIRE(batches.size() == 1);
    CHECK(line_of(batches[0].token_ids()) == line{7, 7, 7, 7});
}

TEST_CASE("an edge holds the rows that are exactly as long, and one token more goes to the next")
{
    const collator collate{{.pad_id = 0, .length = {2, 4}}};
    const auto batches = collate(ragged{{1, 2}, {1, 2, 3}, {1, 2, 3, 4}});
    REQUIRE(batches.size() == 2);
    CHECK(line_of(batches[0].order()) == line{0});
    CHECK(line_of(batches[1].order()) == line{1, 2});
    CHECK(call_error(collate, ragged{{1}, {1, 2, 3, 4, 5}}) == error_is(errors::row_over_limit, 1, 5, 4));
}

TEST_CASE("edges that rounding brings to one width are one bucket")
{
    const batten::bucketed_collator<batten::pad_left, batten::round_up_to<8, batten::bucketed_length>> collate{
        {.pad_id = 0, .length = {{3, 5, 8, 11}}}};
    const auto batches = collate(ragged{{1, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 2, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8}});
    REQUIRE(batches.size() == 2);
    CHECK(batches[0].width() == 8);
    CHECK(line_of(batches[0].order()) == line{0, 2, 3});
    CHECK(batches[1].width() == 16);
    CHECK(line_of(batches[1].order()) == line{1});
    CHECK(line_of(batches[0].token_ids(0)) == line{0, 0, 0, 0, 0, 0, 1, 2});
}

TEST_CASE("rows are routed by what truncation leaves of them, in columns")
{
    const batten::bucketed_collator<batten::pad_right, batten::bucketed_length, batten::truncate_left> cut{
        {.pad_id = 0, .length = {2, 4}}};
    const auto batches = cut(ragged{{1, 2, 3, 4, 5, 6}, {1}});
    REQUIRE(batches.size() == 2);
    CHECK(line_of(batches[1].token_ids()) == line{3, 4, 5, 6});
    CHECK(line_of(batches[1].truncated_tokens()) == line{2});
    const collator drop_last{{.pad_id = 0, .length = {2, 4}, .targets = batten::next_token_drop_last}};
    const auto shifted = drop_last(ragged{{1, 2, 3}, {1, 2, 3, 4, 5}});
    REQUIRE(shifted.size() == 2);
    CHECK(line_of(shifted[0].token_ids()) == line{1, 2});
    CHECK(line_of(shifted[1].token_ids()) == line{1, 2, 3, 4});
}

TEST_CASE("a bundle, a selection and columns are routed whole")
{
    const ragged ids{{1, 2, 3}, {4}, {5, 6}};
    const std::vector<int> prompts{2, 0, 1};
    const ragged types{{1, 1, 2}, {3}, {4, 5}};
    using fields = batten::fields<batten::token_ids<>, batten::loss_mask<>, batten::column<"types", std::uint8_t>>;
    const batten::bucketed_collator<batten::pad_right, batten::bucketed_length, batten::reject, fields> collate{
        {.pad_id = 0, .length = {2, 4}}};
    const auto in = batten::inputs{ids, prompts, batten::none, batten::columns{batten::named<"types">(types)}};
    const std::vector<int> rows{2, 0, 2, 1};
    const auto batches = collate(batten::select(in, rows));
    REQUIRE(batches.size() == 2);
    CHECK(line_of(batches[0].order()) == line{0, 2, 3});
    CHECK(grid_of(batches[0].view<batten::loss_mask>()) == grid{{0, 1}, {0, 1}, {1, 0}});
    CHECK(grid_of(batches[0].view<"types">()) == grid{{4, 5}, {4, 5}, {3, 0}});
    CHECK(line_of(batches[1].get<"types">(0)) == line{1, 1, 2, 0});
}

// ---- against each bucket's rows by hand -------------------------------------------------------------------------------

template <class Side, class Length, class Overflow>
void buckets_are_those_made_by_hand(std::uint64_t seed)
{
    tests::random any(seed);
    using fields = tests::modelled_fields;
    using bucketed = batten::bucketed_collator<typename Side::type, typename Length::type, typename Overflow::type, fields>;
    typename bucketed::batch_type reused;
    for (int round = 0; round < 60; ++round) {
        Length length(any);
        tests::lift_max_width(length);
        const auto alignment = std::array{batten::same_position, batten::model_shifts, batten::next_token,
                                          batten::next_token_drop_last}[tests::below(any, 4)];
        const std::size_t limit = batten::tokens_of(alignment, length.limit());
        std::vector<tests::sample> samples(tests::below(any, 20));
        ragged ids;
        for (tests::sample& s : samples) {
            s.ids.resize(tests::below(any, std::is_same_v<Overflow, tests::reject_case> ? limit + 1 : 2 * limit));
            for (long long& id : s.ids)
                id = static_cast<long long>(tests::below(any, 10));
            ids.emplace_back(s.ids.begin(), s.ids.end());
        }

        // By hand: rows in the caller's order, grouped by the width that each would have alone.
        std::map<std::size_t, std::vector<std::size_t>> groups;
        for (std::size_t r = 0; r < samples.size(); ++r)
            groups[tests::model_batch<Side, Overflow>({samples[r]}, length, alignment, 3, -7).width].push_back(r);

        const bucketed collate{{.pad_id = 3, .length = length.make(), .side = {}, .targets = alignment, .ignore_index = -7}};
        const auto done = collate(ids, reused);
        const auto owned = collate(ids);
        const auto shape = collate.shape(ids);
        bool same = reused.size() == groups.size() && owned.size() == groups.size() && shape.buckets().size() == groups.size() &&
                    done.summary == reused.summary() && done.rows() == samples.size() && done.shape == shape && tests::contents(owned) == tests::contents(reused);

        // Into memory of the caller's, without a row_stride and with one.
        const std::size_t widest = groups.empty() ? 0 : groups.rbegin()->first;
        const std::size_t row_stride = round % 2 == 0 ? 0 : widest + 1 + tests::below(any, 3);
        auto memory = guarded_fields<fields>::of(shape, row_stride);
        guarded<std::size_t> order(samples.size(), 3);
        same = same && collate.into(ids, memory.outputs(row_stride), order.cells()) == done && memory.only_inside() &&
               order.only_inside() && line_of(order.cells()) == line_of(reused.order());

        std::size_t b = 0;
        batten::summary sum;
        for (const auto& [width, rows] : groups) {
            if (!same)
                break;
            std::vector<tests::sample> of_bucket;
            for (const std::size_t r : rows)
                of_bucket.push_back(samples[r]);
            const auto expected = tests::model_batch<Side, Overflow>(of_bucket, length, alignment, 3, -7);
            same = expected.width == width && tests::is_batch(reused[b], expected) &&
                   line_of(reused[b].order()) == line_of(rows) && shape.buckets()[b] == reused.buckets()[b] &&
                   shape.buckets()[b].totals == expected.totals();
            const batten::bucket& at = shape.buckets()[b];
            auto& given = memory.template get<batten::labels<>>();
            const batten::matrix_view<const std::int64_t> labels(given.cells().data() +
                                                                     (row_stride == 0 ? at.first_cell : at.first_row * row_stride),
                                                                 rows.size(), width, row_stride == 0 ? width : row_stride);
            for (std::size_t i = 0; same && i < rows.size(); ++i)
                same = tests::same_cells(labels.row(i), expected.rows[i].labels);
            sum += expected.totals();
            ++b;
        }
        CHECK(same);
        CHECK(sum == done.summary);

        // The order map is a permutation.
        std::vector<std::size_t> sorted(reused.order().begin(), reused.order().end());
        std::sort(sorted.begin(), sorted.end());
        std::vector<std::size_t> all(samples.size());
        std::iota(all.begin(), all.end(), std::size_t{0});
        CHECK(sorted == all);
    }
}

TEST_CASE("a bucketed call equals collating the rows of each bucket by hand")
{
    buckets_are_those_made_by_hand<tests::right_case, tests::bucketed_case, tests::reject_case>(1);
    buckets_are_those_made_by_hand<tests::left_case, tests::bucketed_case, tests::truncate_left_case>(2);
    buckets_are_those_made_by_hand<tests::centred_case, tests::bucketed_case, tests::middle_case>(3);
    buckets_are_those_made_by_hand<tests::right_case, tests::round_up_case<8, tests::bucketed_case>,
                                   tests::truncate_right_case>(4);
    buckets_are_those_made_by_hand<tests::left_case, tests::round_up_case<6, tests::round_up_case<4, tests::bucketed_case>>,
                                   tests::reject_case>(5);
}

TEST_CASE("a ladder longer than the rungs that are sorted at a time loses no row and keeps their order")
{
    for (const std::size_t edges : {127U, 128U, 129U, 256U, 300U, 600U}) {
        std::vector<std::size_t> ladder(edges);
        std::iota(ladder.begin(), ladder.end(), std::size_t{1});
        ragged rows;
        for (std::size_t i = 0; i < 2 * edges; ++i)
            rows.emplace_back(i * 7919 % edges + 1, static_cast<int>(i));
        using fields = batten::fields<batten::token_ids<std::int32_t>, batten::attention_mask<std::uint8_t>>;
        const batten::bucketed_collator<batten::pad_left, batten::bucketed_length, batten::reject, fields> collate{
            {.pad_id = -1, .length = {ladder}}};
        const auto batches = collate(rows);
        bool good = batches.size() == edges && batches.summary().padded_cells == 0;
        std::vector<std::size_t> seen;
        for (std::size_t b = 0; good && b < batches.size(); ++b) {
            const auto batch = batches[b];
            good = batch.width() == b + 1 && batch.rows() == 2 && batch.order()[0] < batch.order()[1];
            for (std::size_t i = 0; i < batch.rows(); ++i) {
                seen.push_back(batch.order()[i]);
                good = good && line_of(batch.token_ids(i)) == line_of(rows[batch.order()[i]]);
            }
        }
        CHECK(good);
        std::sort(seen.begin(), seen.end());
        bool permutation = seen.size() == rows.size();
        for (std::size_t i = 0; permutation && i < seen.size(); ++i)
            permutation = seen[i] == i;
        CHECK(permutation);
    }
}

// ---- memory of the caller's -------------------------------------------------------------------------------------------

using small_fields = batten::fields<batten::token_ids<std::int32_t>>;
using small_collator = batten::bucketed_collator<batten::pad_right, batten::bucketed_length, batten::reject, small_fields>;
const small_collator small{{.pad_id = 0, .length = {2, 4}}};
const ragged three{{1, 2, 3}, {4}, {5, 6}};

TEST_CASE("into writes the batches one behind the other, and with a row_stride touches no cell between rows")
{
    const auto shape = small.shape(three);
    CHECK(shape.rows() == 3);
    CHECK(shape.cells() == 2 * 2 + 4);
    CHECK(shape.elements<batten::token_ids>() == 8);
    CHECK(shape.elements<batten::token_ids>(5) == 2 * 5 + 4);
    CHECK(shape.elements<batten::lengths>() == 3);
    guarded<std::int32_t> ids(8);
    guarded<std::size_t> order(3);
    guarded<std::int64_t> lengths(3);
    small.into(three,
               batten::outputs{batten::set<batten::token_ids>(ids.cells()), batten::set<batten::lengths>(lengths.cells())},
               order.cells());
    CHECK(line_of(ids.cells()) == line{4, 0, 5, 6, 1, 2, 3, 0});
    CHECK(line_of(order.cells()) == line{1, 2, 0});
    CHECK(line_of(lengths.cells()) == line{1, 2, 3});
    CHECK(ids.only_inside());
    CHECK(order.only_inside());
    CHECK(lengths.only_inside());

    guarded<std::int32_t> spaced(14);
    small.into(three, batten::outputs{batten::set<batten::token_ids>(spaced.cells(), 5)}, order.cells());
    CHECK(spaced.only_inside());
    CHECK(spaced.only_rows(3, 4, 5));
    // Rows of the narrower bucket end after 2 of their 5 columns.
    CHECK(spaced.matrix(3, 4, 5)(0, 0) == 4);
    CHECK(spaced.matrix(3, 4, 5)(1, 1) == 6);
    CHECK(line_of(spaced.matrix(3, 4, 5).row(2)) == line{1, 2, 3, 0});
    const auto poison = guarded<std::int32_t>(1).cells()[0];
    CHECK(spaced.matrix(3, 4, 5)(0, 2) == poison);
    CHECK(spaced.matrix(3, 4, 5)(1, 3) == poison);
}

TEST_CASE("spans of a bucketed call may be larger, the order map's too, and keep their other elements")
{
    guarded<std::int32_t> ids(12);
    guarded<std::size_t> order(5);
    const auto done = small.into(three, batten::outputs{batten::set<batten::token_ids>(ids.cells())}, order.cells());
    CHECK(done.rows() == 3);
    CHECK(done.width() == 4);
    CHECK(done.shape.cells() == 8);
    CHECK(line_of(ids.cells().first(8)) == line{4, 0, 5, 6, 1, 2, 3, 0});
    CHECK(line_of(order.cells().first(3)) == line{1, 2, 0});
    const auto poison = guarded<std::int32_t>(1).cells()[0];
    CHECK(std::count(ids.cells().begin() + 8, ids.cells().end(), poison) == 4);
    CHECK(std::count(order.cells().begin() + 3, order.cells().end(), guarded<std::size_t>(1).cells()[0]) == 2);
}

TEST_CASE("spans that do not fit a bucketed call are errors, the order map's too, and nothing is written")
{
    guarded<std::int32_t> ids(9);
    guarded<std::size_t> order(4);
    const auto error_with = [&](std::size_t cells, std::size_t rows, std::size_t row_stride = 0) -> error_is {
        const auto out = batten::outputs{batten::set<batten::token_ids>(ids.cells().first(cells), row_stride)};
        const auto result = small.try_into(three, out, order.cells().first(rows));
        CHECK_FALSE(result.has_value());
        tests::check_throws(result.error(), [&] { small.into(three, out, order.cells().first(rows)); });
        return result.error();
    };
    CHECK(error_with(7, 3) == error_is(errors::span_too_small, no_row, 8, 7, "token_ids"));
    CHECK(error_with(8, 2) == error_is(errors::span_too_small, no_row, 3, 2, "the order map"));
    CHECK(error_with(8, 3, 3) == error_is(errors::row_stride_too_small, no_row, 4, 3, "token_ids"));
    CHECK(error_with(9, 3, 5) == error_is(errors::span_too_small, no_row, 14, 9, "token_ids"));
    CHECK(ids.untouched());
    CHECK(order.untouched());
}

// ---- reuse and lifetime -----------------------------------------------------------------------------------------------

TEST_CASE("batches that are moved keep their spans, and copies are deep")
{
    auto batches = small(three);
    const auto* const memory = batches[0].token_ids().data();
    auto moved = std::move(batches);
    CHECK(moved[0].token_ids().data() == memory);
    const auto copy = moved;
    CHECK(copy[0].token_ids().data() != memory);
    CHECK(tests::contents(copy) == tests::contents(moved));
    small(ragged{{9}}, moved);
    CHECK(line_of(copy[0].token_ids()) == line{4, 0, 5, 6});
    CHECK(line_of(moved[0].token_ids()) == line{9, 0});
    CHECK(moved.size() == 1);
}

// ---- errors -----------------------------------------------------------------------------------------------------------

TEST_CASE("errors of a bucketed call name the caller's row")
{
    const collator collate{{.pad_id = 0, .length = {2, 4}}};
    const ragged ids{{1}, {1, 2, 3}, {2}};
    const std::vector<int> prompts{0, 0, 2};
    CHECK(call_error(collate, batten::inputs{ids, prompts}) ==
          error_is(errors::prompt_past_end, 2, 2, 1, "prompt_lengths"));
    const std::vector<int> few{0};
    CHECK(call_error(collate, batten::inputs{ids, few}) ==
          error_is(errors::count_mismatch, no_row, 1, 3, "prompt_lengths"));
    CHECK(call_error(collate, batten::inputs{ragged{}, few}) ==
          error_is(errors::count_mismatch, no_row, 1, 0, "prompt_lengths"));
    const std::vector<int> rows{0, 1, 7};
    CHECK(call_error(collate, batten::select(ids, rows)) == error_is(errors::row_index_out_of_range, 2, 7, 3));
    const std::vector<int> tokens{1, 2, 3};
    const std::vector<int> offsets{0, 2, 1};
    CHECK(call_error(collate, batten::ragged_view{tokens, offsets}) == error_is(errors::offsets_decrease, 1, 2, 1));
    const batten::bucketed_collator<batten::pad_right, batten::bucketed_length, batten::reject,
                                    batten::fields<batten::token_ids<std::uint8_t>>>
        narrow{{.pad_id = 0, .length = {2, 4}}};
    CHECK(call_error(narrow, ragged{{1}, {1, 2, 300}}) ==
          error_is(errors::token_not_representable, 1, 2, 300, "token_ids"));
}

TEST_CASE("a ladder that makes no sense is an error of the collator")
{
    CHECK(options_error<collator>({.pad_id = 0}) == error_is(errors::edges_empty, no_row));
    CHECK(options_error<collator>({.pad_id = 0, .length = {4, 4}}) ==
          error_is(errors::edges_not_increasing, no_row, 4, 4));
}

struct too_far {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return width - length + 1; }
};

TEST_CASE("policies of the user's that do not fit are errors of a bucketed call too")
{
    const batten::bucketed_collator<too_far> side{{.pad_id = 0, .length = {2, 4}}};
    CHECK(call_error(side, ragged{{1}}) == error_is(errors::offset_past_width, 0, 2, 1));
}

// A ladder of the user's. Wrong in one way each.
enum class fault {
    none,
    unsteady,
    accepts_longer,
    empty,
    too_narrow
};
template <fault Fault>
struct ladder {
    std::array<std::size_t, 2> steps{2, 4};
    template <class Lengths>
    constexpr std::size_t width(const Lengths& lengths) const
    {
        std::size_t longest = 0;
        for (const std::size_t length : lengths)
            longest = std::max(longest, length);
        if (Fault == fault::unsteady)
            return 4 + (longest == 1 ? 1U : 0U);
        if (Fault == fault::too_narrow)
            return 2;
        return longest <= 2 ? 2 : longest <= 4 ? 4 : longest;
    }
    constexpr std::size_t limit() const { return Fault == fault::accepts_longer ? 9 : 4; }
    constexpr std::span<const std::size_t> edges() const { return std::span(steps).first(Fault == fault::empty ? 0 : 2); }
};

template <fault Fault>
using faulty = batten::bucketed_collator<batten::pad_right, ladder<Fault>>;

TEST_CASE("a ladder of the user's own serves a bucketed collator")
{
    const faulty<fault::none> collate{{.pad_id = 0}};
    const auto batches = collate(ragged{{1, 2, 3}, {4}});
    REQUIRE(batches.size() == 2);
    CHECK(line_of(batches[0].token_ids()) == line{4, 0});
}

TEST_CASE("a ladder of the user's that contradicts itself is an error before anything is written")
{
    const faulty<fault::unsteady> unsteady{{.pad_id = 0}};
    CHECK(call_error(unsteady, ragged{{1, 2}, {1}}) == error_is(errors::bucket_width_unsteady, no_row, 5, 4));
    const faulty<fault::accepts_longer> longer{{.pad_id = 0}};
    CHECK(call_error(longer, ragged{{1}, {1, 2, 3, 4, 5}}) == error_is(errors::row_past_width, 1, 5, 4));
    const faulty<fault::too_narrow> narrow{{.pad_id = 0}};
    CHECK(call_error(narrow, ragged{{1}, {1, 2, 3}}) == error_is(errors::row_past_width, 1, 3, 2));
}

TEST_CASE("rule 10: the sum of the buckets' cells is checked before the first write")
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    const collator collate{{.pad_id = 0, .length = {std::size_t{2}, most / 32}}};
    CHECK(call_error(collate, ragged{{1, 2, 3}, {1, 2, 3}, {1, 2, 3}}).code == errors::size_overflow);
}

// ---- in constant evaluation -------------------------------------------------------------------------------------------

constexpr bool buckets_in_constant_evaluation()
{
    const std::array<int, 3> a{1, 2, 3};
    const std::array<int, 1> b{4};
    const std::array<int, 2> c{5, 6};
    const std::array<std::span<const int>, 3> rows{a, b, c};
    const small_collator collate{{.pad_id = 0, .length = {2, 4}}};
    const auto batches = collate(rows);
    std::array<std::int32_t, 8> ids{};
    std::array<std::size_t, 3> order{};
    const auto done = collate.into(rows, batten::outputs{batten::set<batten::token_ids>(ids)}, order);
    return batches.size() == 2 && holds(batches[0].token_ids(), {4, 0, 5, 6}) && holds(batches[1].token_ids(), {1, 2, 3, 0}) &&
           holds(batches[0].order(), {1, 2}) && batches[1].width() == 4 && holds(ids, {4, 0, 5, 6, 1, 2, 3, 0}) &&
           holds(order, {1, 2, 0}) && done.summary.real_tokens == 6 && done.rows() == 3 && done.shape.cells() == 8 && collate.shape(rows).cells() == 8;
}
static_assert(buckets_in_constant_evaluation());

TEST_CASE("a ladder of the user's without an edge is an error, not a read past its end")
{
    const auto made = faulty<fault::empty>::try_make({.pad_id = 0});
    if (made.has_value())
        CHECK_FALSE(made->try_shape(ragged{{1}}).has_value());
    else
        CHECK(made.error().code == errors::edges_empty);
}

}  // namespace
