// SPDX-License-Identifier: MIT
// The padded layout, and layouts of the user's own: all sequences in one row, and some that lie.

#include "support.hpp"

#include <array>
#include <limits>

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

// ---- columns and tokens -----------------------------------------------------------------------------------------------

static_assert(batten::columns_of(batten::next_token_drop_last, 1025) == 1024 &&
              batten::columns_of(batten::next_token_drop_last, 1) == 0 &&
              batten::columns_of(batten::next_token_drop_last, 0) == 0 &&
              batten::columns_of(batten::next_token, 7) == 7);
static_assert(batten::tokens_of(batten::next_token_drop_last, 1024) == 1025 &&
              batten::tokens_of(batten::next_token_drop_last, batten::no_limit) == batten::no_limit &&
              batten::tokens_of(batten::model_shifts, 7) == 7);

// Stateless policies cost no byte.
using stateless = batten::options<batten::padded<batten::pad_right, batten::static_length<4>>, batten::causal_lm_fields>;
using with_side = batten::options<batten::padded<batten::pad_left, batten::static_length<4>, batten::truncate_left>,
                                  batten::causal_lm_fields>;
static_assert(sizeof(stateless) == sizeof(with_side));
static_assert(std::is_empty_v<batten::padded<batten::pad_right, batten::dynamic_length>>);
static_assert(!batten::padded<batten::pad_right, batten::dynamic_length>::shares_rows);

// ---- all sequences in one row -----------------------------------------------------------------------------------------

// One row, one sequence behind the other with `Gap` columns between them; too long as a whole is an error of its length
// strategy.
template <class Length, std::size_t Gap = 0, class Side = batten::no_side>
struct one_row {
    using side_type = Side;
    using length_type = Length;
    using overflow_type = batten::no_overflow;
    static constexpr bool shares_rows = true;

    template <class In>
    static constexpr std::size_t rows(const In& /*in*/)
    {
        return 1;
    }
    template <class In, class Visit>
    static constexpr bool sequences(const In& in, std::size_t /*r*/, Visit visit)
    {
        for (std::size_t i = 0; i < in.sequence_count(); ++i)
            if (!visit(i))
                return false;
        return true;
    }
    template <class In>
    static constexpr std::size_t first_segment(const In& /*in*/, std::size_t /*r*/)
    {
        return 0;
    }
    template <class Options, class In, class Sink>
    static constexpr bool row(const Options& options, const In& in, std::size_t r, Sink&& sink, batten::error& reason)
    {
        std::size_t column = 0;
        for (std::size_t i = 0; i < in.sequence_count(); ++i) {
            batten::segment s{
                .sequence = i, .kept = in.length(i), .length = in.length(i), .first_column = column, .index_in_row = i};
            if (options.targets == batten::next_token_drop_last && s.kept != 0)
                s.length = s.kept - 1;
            column += s.length + Gap;
            if (column > batten::limit_of(options.length)) {
                reason = {errors::row_over_limit, r, column, batten::limit_of(options.length), {}};
                return false;
            }
            sink(s);
        }
        return true;
    }
};

using varlen_fields = batten::fields<batten::token_ids<>, batten::attention_mask<>, batten::position_ids<>, batten::loss_mask<>,
                                     batten::labels<>, batten::segment_ids<>>;
template <class Length, std::size_t Gap = 0, class Side = batten::no_side, class Fields = varlen_fields>
using one_row_collator = batten::basic_collator<one_row<Length, Gap, Side>, Fields>;

static_assert(batten::layout<one_row<batten::dynamic_length>> &&
              batten::layout<batten::padded<batten::pad_left, batten::fixed_length>> &&
              batten::layout<batten::packed_rows<batten::fixed_length>> && batten::layout<batten::varlen_row<batten::no_length>> &&
              !batten::layout<batten::pad_left> && !batten::layout<int>);
using bundle_of_rows = decltype(batten::bundle_of(std::declval<const ragged&>()));
static_assert(batten::layout_of<one_row<batten::dynamic_length>, bundle_of_rows> &&
              batten::layout_of<batten::varlen_row<batten::dynamic_length>, bundle_of_rows> &&
              !batten::layout_of<batten::packed_rows<batten::fixed_length>, bundle_of_rows> &&
              batten::layout_of<batten::packed_rows<batten::fixed_length>, batten::packed_bundle<bundle_of_rows>>);

const ragged three{{5, 6, 7}, {}, {8, 9}};

TEST_CASE("a user's layout puts all sequences into one row")
{
    const one_row_collator<batten::dynamic_length> collate{{.pad_id = 0}};
    const auto batch = collate(three);
    CHECK(batch.rows() == 1);
    CHECK(batch.width() == 5);
    CHECK(line_of(batch.token_ids()) == line{5, 6, 7, 8, 9});
    CHECK(line_of(batch.attention_mask()) == line{1, 1, 1, 1, 1});
    CHECK(line_of(batch.position_ids()) == line{0, 1, 2, 0, 1});
    CHECK(line_of(batch.segment_ids()) == line{1, 1, 1, 3, 3});
    CHECK(line_of(batch.lengths()) == line{3, 0, 2});
    CHECK(batch.shape().segments() == 3);
    CHECK(batch.summary() == batten::summary{.real_tokens = 5, .targets = 3, .max_seqlen = 3});
}

TEST_CASE("rule 6: where rows are shared, the first token of every segment is no target of model_shifts")
{
    const one_row_collator<batten::dynamic_length> collate{{.pad_id = 0}};
    const auto batch = collate(three);
    CHECK(line_of(batch.labels()) == line{-100, 6, 7, -100, 9});
    CHECK(line_of(batch.loss_mask()) == line{0, 1, 1, 0, 1});
}

TEST_CASE("rule 6: where rows are shared, no token is trained from a neighbour's last")
{
    const one_row_collator<batten::dynamic_length> next{{.pad_id = 0, .targets = batten::next_token}};
    CHECK(line_of(next(three).labels()) == line{6, 7, -100, 9, -100});
    const one_row_collator<batten::dynamic_length> drop{{.pad_id = 0, .targets = batten::next_token_drop_last}};
    const auto dropped = drop(three);
    CHECK(line_of(dropped.token_ids()) == line{5, 6, 8});
    CHECK(line_of(dropped.labels()) == line{6, 7, 9});
    const one_row_collator<batten::dynamic_length> same{{.pad_id = 0, .targets = batten::same_position}};
    CHECK(line_of(same(three).labels()) == line{5, 6, 7, 8, 9});
}

TEST_CASE("rule 6: the count of real targets is that of the padded layout")
{
    const std::vector<int> prompts{1, 0, 1};
    const batten::inputs in{three, prompts};
    for (const auto targets : {batten::same_position, batten::model_shifts, batten::next_token, batten::next_token_drop_last}) {
        const one_row_collator<batten::dynamic_length> together{{.pad_id = 0, .targets = targets}};
        const batten::collator<batten::pad_left, batten::dynamic_length> apart{{.pad_id = 0, .targets = targets}};
        CHECK(together(in).summary().targets == apart(in).summary().targets);
        CHECK(together(three).summary().targets == apart(three).summary().targets);
    }
}

TEST_CASE("pads of a shared row lie between segments and behind them")
{
    const one_row_collator<batten::round_up_to<4, batten::dynamic_length>, 2> collate{{.pad_id = 0}};
    const auto batch = collate(three);
    CHECK(batch.width() == 12);
    CHECK(line_of(batch.token_ids()) == line{5, 6, 7, 0, 0, 0, 0, 8, 9, 0, 0, 0});
    CHECK(line_of(batch.attention_mask()) == line{1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0});
    CHECK(line_of(batch.segment_ids()) == line{1, 1, 1, 0, 0, 0, 0, 3, 3, 0, 0, 0});
    CHECK(batch.summary().padded_cells == 7);
}

TEST_CASE("positions count on behind each segment of a shared row, where pads are said to come last")
{
    using fields = batten::fields<batten::position_ids<std::int64_t, batten::continue_positions>>;
    const one_row_collator<batten::fixed_length, 1, batten::no_side, fields> collate{{.pad_id = 0, .length = {8}}};
    CHECK(line_of(collate(three).position_ids()) == line{0, 1, 2, 3, 0, 0, 1, 2});
}

TEST_CASE("a shared row may be put on a side as a whole")
{
    const one_row_collator<batten::fixed_length, 0, batten::pad_left> collate{{.pad_id = 0, .length = {7}}};
    const auto batch = collate(three);
    CHECK(line_of(batch.token_ids()) == line{0, 0, 5, 6, 7, 8, 9});
    CHECK(line_of(batch.position_ids()) == line{0, 0, 0, 1, 2, 0, 1});
}

TEST_CASE("rule 2: nothing in a shared row is one row of pads")
{
    const one_row_collator<batten::dynamic_length> dynamic{{.pad_id = 0}};
    const auto nothing = dynamic(ragged{});
    CHECK(nothing.rows() == 1);
    CHECK(nothing.width() == 0);
    CHECK(nothing.lengths().empty());
    const one_row_collator<batten::fixed_length> fixed{{.pad_id = 4, .length = {3}}};
    CHECK(line_of(fixed(ragged{}).token_ids()) == line{4, 4, 4});
    CHECK(line_of(fixed(ragged{{}, {}}).token_ids()) == line{4, 4, 4});
    CHECK(fixed(ragged{{}, {}}).lengths().size() == 2);
}

TEST_CASE("columns, prompt lengths and loss travel into a shared row")
{
    const std::vector<int> prompts{2, 0, 0};
    const ragged loss{{1, 1, 1}, {}, {1, 0}};
    const ragged types{{0, 0, 1}, {}, {1, 1}};
    using fields = batten::fields<batten::token_ids<>, batten::loss_mask<>, batten::column<"types", std::uint8_t>>;
    const one_row_collator<batten::fixed_length, 0, batten::no_side, fields> collate{
        {.pad_id = 0, .length = {6}, .targets = batten::same_position, .fields = fields{{}, {}, {.pad_value = 9}}}};
    const auto batch = collate(batten::inputs{three, prompts, loss, batten::columns{batten::named<"types">(types)}});
    CHECK(line_of(batch.loss_mask()) == line{0, 0, 1, 1, 0, 0});
    CHECK(line_of(batch.get<"types">()) == line{0, 0, 1, 1, 1, 9});
}

TEST_CASE("errors of the data, and of the layout itself, are those of any collator")
{
    const one_row_collator<batten::fixed_length> collate{{.pad_id = 0, .length = {4}}};
    CHECK(call_error(collate, three) == error_is(errors::row_over_limit, 0, 5, 4));
    const std::vector<int> prompts{1, 1, 0};
    CHECK(call_error(collate, batten::inputs{three, prompts}) ==
          error_is(errors::prompt_past_end, 1, 1, 0, "prompt_lengths"));
}

TEST_CASE("the number of a segment that its type cannot hold is an error")
{
    using fields = batten::fields<batten::segment_ids<std::int8_t>>;
    const one_row_collator<batten::dynamic_length, 0, batten::no_side, fields> collate{{}};
    const ragged fitting(127, std::vector<int>{1});
    CHECK(collate(fitting).segment_ids()[126] == 127);
    const ragged rows(128, std::vector<int>{1});
    CHECK(call_error(collate, rows) == error_is(errors::value_not_representable, 0, 128, 0, "segment_ids"));
}

constexpr bool one_row_in_constant_evaluation()
{
    const std::array<int, 3> first{5, 6, 7};
    const std::array<int, 2> second{8, 9};
    const std::array<std::span<const int>, 2> rows{first, second};
    const one_row_collator<batten::round_up_to<8, batten::dynamic_length>> collate{{.pad_id = 0, .targets = batten::next_token}};
    const auto batch = collate(rows);
    return holds(batch.token_ids(), {5, 6, 7, 8, 9, 0, 0, 0}) && holds(batch.position_ids(), {0, 1, 2, 0, 1, 0, 0, 0}) &&
           holds(batch.labels(), {6, 7, -100, 9, -100, -100, -100, -100}) &&
           holds(batch.segment_ids(), {1, 1, 1, 2, 2, 0, 0, 0}) && holds(batch.lengths(), {3, 2});
}
static_assert(one_row_in_constant_evaluation());

TEST_CASE("memory of the caller's, with a row_stride, serves a shared row too")
{
    const one_row_collator<batten::dynamic_length> collate{{.pad_id = 0}};
    const auto shape = collate.shape(three);
    auto memory = tests::guarded_fields<varlen_fields>::of(shape, 0, 63);
    tests::guarded<std::int64_t> lengths(3);
    const auto totals = collate.into(three, [&] {
        return std::apply(
            [&](auto... named) {
                return batten::outputs{named..., batten::set<batten::lengths>(lengths.cells())};
            },
            memory.outputs().spans);
    }());
    CHECK(totals.summary.real_tokens == 5);
    CHECK(memory.only_inside());
    CHECK(lengths.only_inside());
    CHECK(line_of(lengths.cells()) == line{3, 0, 2});
}

// ---- inputs of the user's own -----------------------------------------------------------------------------------------

}  // namespace

namespace elsewhere {

// Sequences backwards, by a member; and some that a function of their namespace describes.
template <class Bundle>
struct reversed_bundle : Bundle {
    constexpr explicit reversed_bundle(const Bundle& in) : Bundle(in) {}
    [[nodiscard]] constexpr std::size_t length(std::size_t i) const { return Bundle::length(at(i)); }
    [[nodiscard]] constexpr auto tokens(std::size_t i) const { return Bundle::tokens(at(i)); }
    [[nodiscard]] constexpr std::size_t at(std::size_t i) const { return this->sequence_count() - 1 - i; }
};
struct last_first {
    const ragged& rows;
    [[nodiscard]] constexpr auto bundle() const
    {
        const auto forward = batten::bundle_of(rows);
        return reversed_bundle<std::remove_const_t<decltype(forward)>>(forward);
    }
};
struct numbered {
    const ragged& rows;
    const std::vector<int>& prompts;
};
constexpr auto batten_bundle(const numbered& in) { return batten::inputs{in.rows, in.prompts}.bundle(); }

// No bundle: it counts alone.
struct half_a_bundle {
    [[nodiscard]] static constexpr std::size_t sequence_count() { return 0; }
};
struct with_half_a_bundle {
    [[nodiscard]] static constexpr half_a_bundle bundle() { return {}; }
};

}  // namespace elsewhere

namespace {

static_assert(batten::collatable<ragged> && batten::collatable<elsewhere::last_first> &&
              batten::collatable<elsewhere::numbered> && !batten::collatable<elsewhere::with_half_a_bundle> &&
              !batten::collatable<int> && !batten::collatable<std::vector<int>>);
static_assert(batten::bundle<bundle_of_rows> && !batten::bundle<elsewhere::half_a_bundle> && !batten::bundle<ragged>);

TEST_CASE("inputs of the user's own are collated by their member bundle, or by batten_bundle in their namespace")
{
    const batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    CHECK(line_of(collate(elsewhere::last_first{three}).token_ids()) == line{8, 9, 0, 0, 0, 0, 5, 6, 7});
    const std::vector<int> prompts{2, 0, 1};
    const auto batch = collate(elsewhere::numbered{three, prompts});
    CHECK(line_of(batch.loss_mask()) == line{0, 0, 1, 0, 0, 0, 0, 1, 0});
    CHECK(batch.summary() == collate(batten::inputs{three, prompts}).summary());
}

TEST_CASE("inputs of the user's own are selected from and packed as any others")
{
    const batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    const std::vector<int> prompts{2, 0, 1};
    const elsewhere::numbered in{three, prompts};
    const std::vector<int> rows{2, 0};
    CHECK(line_of(collate(batten::select(in, rows)).loss_mask()) == line{0, 1, 0, 0, 0, 1});
    const std::vector<batten::piece> pieces{{0, 0, 3}, {2, 0, 2}};
    const std::vector<std::size_t> offsets{0, 2};
    const batten::packed_collator<> pack{{.pad_id = 0, .length = {6}}};
    CHECK(line_of(pack(batten::packed(in, {pieces, offsets})).labels()) == line{-100, -100, 7, -100, 9, -100});
}

TEST_CASE("a layout without a length is as wide as its longest row")
{
    const one_row_collator<batten::no_length> together{{.pad_id = 0}};
    CHECK(together(three).width() == 5);
    CHECK(together(ragged{}).width() == 0);
    static_assert(batten::limit_of(batten::no_length{}) == batten::no_limit);
}

// ---- layouts that lie -------------------------------------------------------------------------------------------------

enum class lie {
    none,
    overlap,
    overflow,
    slice_past_end,
    slice_begins_past_end,
    longer_than_kept,
    wrong_first_segment,
    fewer_columns_than_targets
};

// One sequence a row, from the left, with one thing wrong.
template <lie What>
struct lying {
    using side_type = batten::no_side;
    using length_type = batten::dynamic_length;
    using overflow_type = batten::no_overflow;
    static constexpr bool shares_rows = What == lie::overlap;

    template <class In>
    static constexpr std::size_t rows(const In& in)
    {
        return in.sequence_count();
    }
    template <class In, class Visit>
    static constexpr bool sequences(const In& /*in*/, std::size_t r, Visit visit)
    {
        return visit(r);
    }
    template <class In>
    static constexpr std::size_t first_segment(const In& /*in*/, std::size_t r)
    {
        return What == lie::wrong_first_segment ? r * 2 : What == lie::overlap ? r * 2 : r;
    }
    template <class Options, class In, class Sink>
    static constexpr bool row(const Options& /*options*/, const In& in, std::size_t r, Sink&& sink, batten::error& /*reason*/)
    {
        batten::segment s{.sequence = r, .kept = in.length(r), .length = in.length(r)};
        if (What == lie::overflow)
            s.first_column = std::numeric_limits<std::size_t>::max();
        if (What == lie::slice_past_end)
            s.kept = s.length = s.kept + 1;
        if (What == lie::slice_begins_past_end) {
            s.source_begin = std::numeric_limits<std::size_t>::max();
            s.kept = s.length = 1;
        }
        if (What == lie::longer_than_kept)
            s.length += 1;
        if (What == lie::fewer_columns_than_targets)
            s.length = 0;
        sink(s);
        if (What == lie::overlap)
            sink(s);
        return true;
    }
};

template <lie What>
using liar = batten::basic_collator<lying<What>, batten::training_fields>;

TEST_CASE("a layout of the user's that tells the truth is believed")
{
    const liar<lie::none> collate{{.pad_id = 0}};
    CHECK(line_of(collate(ragged{{1, 2}, {3}}).token_ids()) == line{1, 2, 3, 0});
}

TEST_CASE("a layout whose slices lie outside their sequences is an error before anything is read")
{
    const ragged rows{{1, 2}, {3}};
    CHECK(call_error(liar<lie::slice_past_end>{{.pad_id = 0}}, rows) == error_is(errors::slice_outside_sequence, 0, 0, 3));
    CHECK(call_error(liar<lie::slice_begins_past_end>{{.pad_id = 0}}, rows).code == errors::slice_outside_sequence);
    CHECK(call_error(liar<lie::longer_than_kept>{{.pad_id = 0}}, rows).code == errors::segment_columns_wrong);
}

TEST_CASE("a layout whose segments overlap, or lie beyond all columns, is an error before anything is written")
{
    const ragged rows{{1, 2}, {3}};
    CHECK(call_error(liar<lie::overlap>{{.pad_id = 0}}, rows) == error_is(errors::segment_misplaced, 0, 0, 2));
    CHECK(call_error(liar<lie::overflow>{{.pad_id = 0}}, rows).code == errors::segment_misplaced);
}

TEST_CASE("a layout that counts its segments wrong is an error before anything is written")
{
    CHECK(call_error(liar<lie::wrong_first_segment>{{.pad_id = 0}}, ragged{{1, 2}, {3}}) ==
          error_is(errors::segment_misplaced, 1, 2, 1));
}

TEST_CASE("a layout that gives a segment fewer columns than it has targets is an error, not a write past them")
{
    const liar<lie::fewer_columns_than_targets> collate{{.pad_id = 0, .targets = batten::next_token}};
    const auto shape = collate.try_shape(ragged{{1, 2, 3}, {4}});
    REQUIRE_FALSE(shape.has_value());
    CHECK(shape.error().row == 0);
}

}  // namespace
