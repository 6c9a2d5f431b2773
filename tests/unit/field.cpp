// SPDX-License-Identifier: MIT
// The fields: what each writes on tokens and on pads, in which element types, and what does not fit them; a user's own field.

#include "support.hpp"

#include <algorithm>
#include <array>
#include <cmath>
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
using tests::options_error;
using tests::ragged;

template <class... Field>
using collator = batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::fields<Field...>>;
template <class... Field>
using left_collator = batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, batten::fields<Field...>>;

// ---- concepts ---------------------------------------------------------------------------------------------------------

static_assert(batten::cell_field<batten::token_ids<>> && batten::cell_field<batten::attention_mask<bool>> &&
              batten::cell_field<batten::position_ids<>> && batten::cell_field<batten::loss_mask<float>> &&
              batten::cell_field<batten::labels<>> && batten::cell_field<batten::segment_ids<>> &&
              batten::cell_field<batten::column<"weights", float>>);
static_assert(batten::segment_field<batten::lengths<>> && batten::segment_field<batten::truncated_tokens<>> &&
              batten::segment_field<batten::target_counts<std::int32_t>>);
static_assert(!batten::cell_field<batten::lengths<>> && !batten::segment_field<batten::token_ids<>> && !batten::any_field<int>);
static_assert(std::is_same_v<batten::token_ids<>::value_type, std::int64_t> &&
              std::is_same_v<batten::attention_mask<>::value_type, std::int64_t> &&
              std::is_same_v<batten::position_ids<>::value_type, std::int64_t> &&
              std::is_same_v<batten::loss_mask<>::value_type, std::int64_t> &&
              std::is_same_v<batten::labels<>::value_type, std::int64_t>);
static_assert(batten::causal_lm_fields::count == 4 && batten::training_fields::count == 5 &&
              batten::inference_fields::count == 3 && batten::encoder_fields::count == 2);

// ---- each field's values ----------------------------------------------------------------------------------------------

TEST_CASE("token ids hold the tokens, and the pad id elsewhere")
{
    const auto batch = collator<batten::token_ids<std::int32_t>>{{.pad_id = -1}}(ragged{{5, 6}, {}, {7}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{5, 6}, {-1, -1}, {7, -1}});
}

TEST_CASE("the attention mask comes from lengths, never from a comparison with the pad id")
{
    const auto batch = collator<batten::token_ids<>, batten::attention_mask<>, batten::position_ids<>>{{.pad_id = 0}}(
        ragged{{0, 0, 0}, {5, 0}, {0}});
    CHECK(grid_of(batch.view<batten::attention_mask>()) == grid{{1, 1, 1}, {1, 1, 0}, {1, 0, 0}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 1, 2}, {0, 1, 0}, {0, 0, 0}});
}

TEST_CASE("labels and loss mask come from lengths too: a real token that equals the pad id is trained")
{
    const auto batch = collator<batten::token_ids<>, batten::loss_mask<>, batten::labels<>>{{.pad_id = 0, .ignore_index = 5}}(
        ragged{{0, 6, 0}, {0}});
    CHECK(grid_of(batch.view<batten::labels>()) == grid{{0, 6, 0}, {0, 5, 5}});
    CHECK(grid_of(batch.view<batten::loss_mask>()) == grid{{1, 1, 1}, {1, 0, 0}});
}

// Targets as a loss sees them: labels that are not the ignore index, after the shift of a model under model_shifts.
template <class Batch>
std::size_t seen_by_a_loss(const Batch& batch, batten::target_alignment targets, long long ignore_index)
{
    std::size_t seen = 0;
    for (const line& row : grid_of(batch.template view<batten::labels>()))
        for (std::size_t c = targets == batten::model_shifts ? 1 : 0; c < row.size(); ++c)
            seen += row[c] != ignore_index ? 1U : 0U;
    return seen;
}

constexpr std::array every_alignment{batten::same_position, batten::model_shifts, batten::next_token,
                                     batten::next_token_drop_last};

// Masks of half floats: the bits of 1 by the definition of the format, and of 0.
template <class T>
void check_masks_of_halves(std::uint16_t one)
{
    using fields = batten::fields<batten::attention_mask<T>, batten::loss_mask<T>>;
    using reference = batten::fields<batten::attention_mask<>, batten::loss_mask<>>;
    std::vector<std::vector<std::uint8_t>> loss(3);
    ragged rows(3);
    for (std::size_t i = 0; i < 100; ++i)
        rows[0].push_back(1), loss[0].push_back(static_cast<std::uint8_t>(i % 3));
    rows[2] = {5, 6}, loss[2] = {0, 1};
    const std::vector<int> prompts{7, 0, 0};
    const auto bits_of = [one](const auto& cells) {
        std::vector<std::uint16_t> bits;
        for (const auto cell : cells)
            if constexpr (batten::half<std::remove_const_t<decltype(cell)>>)
                bits.push_back(cell.bits);
            else
                bits.push_back(cell != 0 ? one : std::uint16_t{0});
        return bits;
    };
    const auto check = [&]<class Side, class In>(Side, const In& in) {
        const auto batch = batten::collator<Side, batten::round_up_to<8>, batten::reject, fields>{{}}(in);
        const auto expected = batten::collator<Side, batten::round_up_to<8>, batten::reject, reference>{{}}(in);
        CHECK(bits_of(batch.attention_mask()) == bits_of(expected.attention_mask()));
        CHECK(bits_of(batch.loss_mask()) == bits_of(expected.loss_mask()));
    };
    check(batten::pad_right{}, rows);
    check(batten::pad_left{}, batten::inputs{rows, prompts});
    check(batten::pad_right{}, batten::inputs{rows, prompts, loss});
}

TEST_CASE("masks of half floats hold 1 and 0 in their format")
{
    check_masks_of_halves<batten::bfloat16>(0x3F80);
    check_masks_of_halves<batten::float16>(0x3C00);
}

constexpr bool halves_in_constant_evaluation()
{
    const std::array<std::array<int, 2>, 2> rows{{{1, 2}, {3, 4}}};
    const auto batch = collator<batten::attention_mask<batten::float16>>{{}}(rows);
    return batch.attention_mask()[3] == batten::float16{0x3C00};
}
static_assert(halves_in_constant_evaluation());

// The cells of a column of T from one sequence of values, or why there are none.
template <class T, class Source>
batten::result<std::vector<T>> cells_of(const std::vector<Source>& values)
{
    const ragged ids{{1}, std::vector<int>(values.size(), 1)};
    const std::vector<std::vector<Source>> columns{{Source{1}}, values};
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::fields<batten::column<"w", T>>>
        collate{{}};
    const auto batch = collate.try_collate(
        batten::inputs{ids, batten::none, batten::none, batten::columns{batten::named<"w">(columns)}});
    if (!batch)
        return batch.error();
    const auto cells = batch->template get<"w">(1);
    return std::vector<T>(cells.begin(), cells.end());
}

template <class T, class Source>
bool holds_each(const std::vector<Source>& values)
{
    std::vector<T> expected;
    for (const Source value : values)
        expected.push_back(static_cast<T>(value));
    const auto cells = cells_of<T>(values);
    return cells.has_value() && std::equal(expected.begin(), expected.end(), cells->begin(), cells->end(), [](T a, T b) {
               return (a == b && std::signbit(a) == std::signbit(b)) || (std::isnan(a) && std::isnan(b));
           });
}

TEST_CASE("a finite number that a column's type would make infinite is an error; NaN, infinity and -0 pass unchanged")
{
    using limits = std::numeric_limits<double>;
    const double most = static_cast<double>(std::numeric_limits<float>::max());
    CHECK(holds_each<float>(std::vector<double>{0.1, -0.0, 1e-300, most, -most, limits::infinity(), -limits::infinity(),
                                                limits::quiet_NaN()}));
    CHECK(holds_each<float>(std::vector<float>{std::numeric_limits<float>::max(), std::numeric_limits<float>::infinity()}));
    CHECK(holds_each<double>(std::vector<double>{1e300, limits::infinity()}));
    for (const double value : {1e300, -1e300, limits::max(), std::nextafter(most, limits::infinity()), -3.5e38})
        CHECK(error_is(cells_of<float>(std::vector<double>{1, limits::infinity(), value, 2}).error()) ==
              error_is(errors::entry_out_of_range, 1, 2, 0, "w"));
    if (std::numeric_limits<long double>::max_exponent > limits::max_exponent)
        CHECK(error_is(cells_of<double>(std::vector<long double>{1e300L, -1e300L * 1e300L}).error()) ==
              error_is(errors::entry_out_of_range, 1, 1, 0, "w"));
    CHECK(cells_of<float>(std::vector<double>{1e300}).error().message() ==
          "batten: row 1, entry 0: the element type of w cannot hold a number so large");
}

TEST_CASE("an integer that a floating-point column would round is an error")
{
    constexpr std::int32_t exact = 1 << 24;
    CHECK(holds_each<float>(std::vector<std::int32_t>{0, -1, exact, -exact, exact + 2, 3 << 29,
                                                      std::numeric_limits<std::int32_t>::min()}));
    for (const std::int32_t value : {exact + 1, -exact - 1, 2 * exact + 2, std::numeric_limits<std::int32_t>::max()})
        CHECK(error_is(cells_of<float>(std::vector<std::int32_t>{7, value}).error()) ==
              error_is(errors::token_not_representable, 1, 1, value, "w"));
    CHECK(holds_each<double>(std::vector<std::int32_t>{exact + 1, std::numeric_limits<std::int32_t>::max()}));
    CHECK(holds_each<float>(std::vector<std::int16_t>{-32768, 32767}));
    CHECK(holds_each<double>(std::vector<std::uint64_t>{std::uint64_t{1} << 63, (std::uint64_t{1} << 53) + 2}));
    for (const std::uint64_t value : {std::numeric_limits<std::uint64_t>::max(), (std::uint64_t{1} << 53) + 1})
        CHECK(error_is(cells_of<double>(std::vector<std::uint64_t>{value}).error()).code == errors::token_not_representable);
    CHECK(holds_each<double>(std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min()}));
}

TEST_CASE("a target that is the ignore index is an error: it would be counted, and a loss would leave it out")
{
    const ragged rows{{9, 8}, {3, 5, 0, 7}}, good{{9, 8}, {3, 5, 1, 7}};
    for (const auto targets : every_alignment) {
        const collator<batten::labels<>> padded{{.pad_id = 0, .targets = targets, .ignore_index = 0}};
        CHECK(call_error(padded, rows) == error_is(errors::target_is_ignore_index, 1, 2, 0, "labels"));
        const batten::varlen_collator<> varlen{{.pad_id = 0, .targets = targets, .ignore_index = 0}};
        CHECK(call_error(varlen, rows) == error_is(errors::target_is_ignore_index, 0, 2, 0, "labels"));
        const std::vector<batten::piece> pieces{{0, 0, 2}, {1, 1, 3}};
        const std::vector<std::size_t> offsets{0, 2};
        const batten::packed_collator<batten::dynamic_length> packed{
            {.pad_id = 0, .targets = targets, .ignore_index = 0}};
        CHECK(call_error(packed, batten::packed(rows, {pieces, offsets}), batten::packed(good, {pieces, offsets})) ==
              error_is(errors::target_is_ignore_index, 0, 2, 0, "labels"));
    }
    const collator<batten::labels<>> padded{{.pad_id = 0, .ignore_index = 0}};
    CHECK(padded.try_shape(rows).error().message() ==
          "batten: row 1, token 2: a target in labels is 0, which is the ignore_index: a loss would leave it out");
}

TEST_CASE("what is not trained may be the ignore index: a prompt, an entry of loss 0, the token that no column predicts")
{
    const ragged rows{{0, 5, 6}, {0, 0, 7, 8}, {4, 0, 9}};
    const std::vector<int> prompts{0, 2, 0};
    const ragged loss{{1, 1, 1}, {1, 1, 1, 1}, {1, 0, 1}};
    const batten::inputs in{rows, prompts, loss};
    for (const auto targets : {batten::model_shifts, batten::next_token, batten::next_token_drop_last}) {
        const collator<batten::labels<>> collate{{.pad_id = 0, .targets = targets, .ignore_index = 0}};
        const auto batch = collate(in);
        CHECK(batch.summary().targets == seen_by_a_loss(batch, targets, 0));
        CHECK(batch.summary().targets == 5);
    }
    const collator<batten::labels<>> same{{.pad_id = 0, .targets = batten::same_position, .ignore_index = 0}};
    CHECK(call_error(same, in) == error_is(errors::target_is_ignore_index, 0, 0, 0, "labels"));
    const ragged all{{1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1}};
    CHECK(call_error(collator<batten::labels<>>{{.pad_id = 0, .ignore_index = 0}}, batten::inputs{rows, prompts, all}) ==
          error_is(errors::target_is_ignore_index, 2, 1, 0, "labels"));
    // Without labels there is nothing to mistake.
    CHECK(collator<batten::token_ids<>, batten::loss_mask<>>{{.pad_id = 0, .ignore_index = 0}}(rows).summary().targets == 7);
}

TEST_CASE("an ignore index that no token can be is looked for in no token")
{
    const std::vector<std::vector<std::int8_t>> narrow{{44, 1}, {-100, 2}};
    const collator<batten::labels<>> beyond{{.pad_id = 0, .ignore_index = 300}};
    CHECK(line_of(beyond(narrow).labels()) == line{44, 1, -100, 2});
    const collator<batten::labels<>> below{{.pad_id = 0}};
    CHECK(line_of(below(narrow).labels()) == line{44, 1, -100, 2});
    const std::vector<std::vector<std::uint64_t>> wide{{1, std::numeric_limits<std::uint64_t>::max()}};
    using wide_labels = batten::labels<std::uint64_t>;
    const collator<wide_labels> most{{.pad_id = 0, .ignore_index = std::numeric_limits<std::uint64_t>::max()}};
    CHECK(call_error(most, wide).code == errors::target_is_ignore_index);
}

TEST_CASE("positions on pads are 0, or what pad_position says, or count on")
{
    const ragged rows{{5, 6}, {}, {7, 8, 9, 1}};
    CHECK(grid_of(collator<batten::position_ids<>>{{}}(rows).view<batten::position_ids>()) ==
          grid{{0, 1, 0, 0}, {0, 0, 0, 0}, {0, 1, 2, 3}});
    using ones = batten::position_ids<std::int64_t, batten::pad_position<1>>;
    CHECK(grid_of(left_collator<ones>{{}}(rows).view<batten::position_ids>()) ==
          grid{{1, 1, 0, 1}, {1, 1, 1, 1}, {0, 1, 2, 3}});
    using minus_ones = batten::position_ids<std::int32_t, batten::pad_position<-1>>;
    CHECK(grid_of(left_collator<minus_ones>{{}}(rows).view<batten::position_ids>()) ==
          grid{{-1, -1, 0, 1}, {-1, -1, -1, -1}, {0, 1, 2, 3}});
    using counting = batten::position_ids<std::int64_t, batten::continue_positions>;
    CHECK(grid_of(collator<counting>{{}}(rows).view<batten::position_ids>()) == grid{{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}});
}

TEST_CASE("segment ids are 1 on the row's sequence and 0 on pads")
{
    CHECK(grid_of(left_collator<batten::segment_ids<std::uint8_t>>{{}}(ragged{{5, 6}, {}, {7}}).view<batten::segment_ids>()) ==
          grid{{1, 1}, {0, 0}, {0, 1}});
}

TEST_CASE("lengths, dropped tokens and targets may be fields of the collator with types of their own")
{
    const collator<batten::lengths<std::uint16_t>, batten::target_counts<std::int8_t>> collate{{}};
    const auto batch = collate(ragged{{5, 6}, {}, {7}});
    CHECK(line_of(batch.lengths()) == line{2, 0, 1});
    CHECK(line_of(batch.target_counts()) == line{1, 0, 0});
    CHECK(line_of(batch.truncated_tokens()) == line{0, 0, 0});
    static_assert(std::is_same_v<decltype(batch.lengths())::element_type, const std::uint16_t>);
    static_assert(std::is_same_v<decltype(batch.target_counts())::element_type, const std::int8_t>);
}

TEST_CASE("a column has its own name, element type and pad value")
{
    const ragged ids{{5, 6}, {7}};
    const ragged types{{0, 1}, {1}};
    const std::vector<std::vector<double>> weights{{0.25, 0.5}, {0.75}};
    using fields = batten::fields<batten::token_ids<>, batten::column<"types", std::uint8_t>, batten::column<"weights", float>>;
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> collate{
        {.pad_id = 0, .fields = fields{{}, {.pad_value = 7}, {.pad_value = -1.5F}}}};
    const batten::columns columns{batten::named<"weights">(weights), batten::named<"types">(types)};
    const auto batch = collate(batten::inputs{ids, batten::none, batten::none, columns});
    CHECK(grid_of(batch.view<"types">()) == grid{{0, 1}, {7, 1}});
    CHECK(batch.get<"weights">(1)[0] == -1.5F);
    CHECK(batch.get<"weights">(1)[1] == 0.75F);
    CHECK(batch.get<"weights">(0)[1] == 0.5F);
}

TEST_CASE("a collator of columns alone needs no pad id")
{
    const ragged ids{{5, 6}};
    const collator<batten::column<"types">> collate{{}};
    const batten::columns columns{batten::named<"types">(ids)};
    CHECK(line_of(collate(batten::inputs{ids, batten::none, batten::none, columns}).get<"types">()) == line{5, 6});
}

// ---- element types ----------------------------------------------------------------------------------------------------

template <class Mask>
void check_masks_of_type()
{
    using fields = batten::fields<batten::attention_mask<Mask>, batten::loss_mask<Mask>>;
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> collate{{}};
    const ragged ids(3, std::vector<int>(70, 1));
    ragged rows = ids;
    rows[1].resize(3);
    rows[2].clear();
    const ragged loss{std::vector<int>(70, 1), {0, 2, 0}, {}};
    for (const bool with_loss : {false, true}) {
        const auto batch = with_loss ? collate(batten::inputs{rows, batten::none, loss}) : collate(rows);
        line mask(67, 0);
        mask.insert(mask.end(), 3, 1);
        line trained(68, 0);
        trained.insert(trained.end(), {1, with_loss ? 0 : 1});
        CHECK(line_of(batch.attention_mask(0)) == line(70, 1));
        CHECK(line_of(batch.attention_mask(1)) == mask);
        CHECK(line_of(batch.attention_mask(2)) == line(70, 0));
        CHECK(line_of(batch.loss_mask(0)) == line(70, 1));
        CHECK(line_of(batch.loss_mask(1)) == trained);
    }
}

TEST_CASE("masks are of any number type: bool, bytes, integers, floating point")
{
    check_masks_of_type<bool>();
    check_masks_of_type<std::uint8_t>();
    check_masks_of_type<std::uint16_t>();
    check_masks_of_type<std::int32_t>();
    check_masks_of_type<std::int64_t>();
    check_masks_of_type<float>();
    check_masks_of_type<double>();
}

template <class In, class Out>
void check_ids_of_types()
{
    using fields = batten::fields<batten::token_ids<Out>, batten::labels<Out>>;
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> collate{
        {.pad_id = 101, .ignore_index = 99}};
    std::vector<std::vector<In>> rows(3);
    for (std::size_t i = 0; i < 77; ++i)
        rows[0].push_back(static_cast<In>(i % 100));
    rows[1] = {1, 2, 3};
    const auto batch = collate(rows);
    line short_row(74, 101);
    short_row.insert(short_row.end(), {1, 2, 3});
    line short_labels(75, 99);
    short_labels.insert(short_labels.end(), {2, 3});
    CHECK(line_of(batch.token_ids(0)) == line_of(rows[0]));
    CHECK(line_of(batch.token_ids(1)) == short_row);
    CHECK(line_of(batch.token_ids(2)) == line(77, 101));
    CHECK(line_of(batch.labels(1)) == short_labels);
    CHECK(line_of(batch.labels(2)) == line(77, 99));
}

template <class Out>
void check_ids_from_all()
{
    check_ids_of_types<std::int8_t, Out>();
    check_ids_of_types<std::uint8_t, Out>();
    check_ids_of_types<std::uint16_t, Out>();
    check_ids_of_types<std::int32_t, Out>();
    check_ids_of_types<std::uint32_t, Out>();
    check_ids_of_types<std::int64_t, Out>();
    check_ids_of_types<std::uint64_t, Out>();
}

TEST_CASE("ids and labels of every integer type are widened and narrowed to the wide and to a narrow one")
{
    check_ids_from_all<std::int64_t>();
    check_ids_from_all<std::uint16_t>();
}
TEST_CASE("ids and labels may be of every integer type")
{
    check_ids_of_types<std::int32_t, std::int8_t>();
    check_ids_of_types<std::int64_t, std::uint8_t>();
    check_ids_of_types<std::uint16_t, std::int32_t>();
    check_ids_of_types<std::int64_t, std::uint32_t>();
    check_ids_of_types<std::int8_t, std::uint64_t>();
}

// ---- rule 3: what a fill value's type can't hold ----------------------------------------------------------------------

TEST_CASE("rule 3: a pad id that its output type cannot hold is an error when the collator is made")
{
    CHECK(options_error<collator<batten::token_ids<std::uint16_t>>>({.pad_id = -1}) ==
          error_is(errors::pad_id_not_representable, no_row, -1, 0, "token_ids"));
    CHECK(options_error<collator<batten::token_ids<std::int8_t>>>({.pad_id = 128}) ==
          error_is(errors::pad_id_not_representable, no_row, 128, 0, "token_ids"));
    CHECK(options_error<collator<batten::token_ids<>>>({.pad_id = std::numeric_limits<std::uint64_t>::max()}).code ==
          errors::pad_id_not_representable);
    CHECK(collator<batten::token_ids<std::uint16_t>>::try_make({.pad_id = 65535}).has_value());
    CHECK(collator<batten::token_ids<std::uint64_t>>::try_make({.pad_id = std::numeric_limits<std::uint64_t>::max()})
              .has_value());
}

TEST_CASE("rule 3: an ignore index that its output type cannot hold is an error when the collator is made")
{
    CHECK(options_error<collator<batten::labels<std::uint32_t>>>({}) ==
          error_is(errors::ignore_index_not_representable, no_row, -100, 0, "labels"));
    CHECK(options_error<collator<batten::labels<std::int8_t>>>({.pad_id = 0, .ignore_index = -129}) ==
          error_is(errors::ignore_index_not_representable, no_row, -129, 0, "labels"));
    CHECK(collator<batten::labels<std::int8_t>>::try_make({}).has_value());
    CHECK(collator<batten::token_ids<std::uint8_t>>::try_make({.pad_id = 0}).has_value());  // writes no labels
}

TEST_CASE("rule 3: a position on pads that its output type cannot hold is an error when the collator is made")
{
    using minus_one = batten::position_ids<std::uint32_t, batten::pad_position<-1>>;
    CHECK(options_error<collator<minus_one>>({}) ==
          error_is(errors::pad_value_not_representable, no_row, -1, 0, "position_ids"));
    using large = batten::position_ids<std::int8_t, batten::pad_position<300>>;
    CHECK(options_error<collator<large>>({}) ==
          error_is(errors::pad_value_not_representable, no_row, 300, 0, "position_ids"));
}

// ---- what a token's type can't hold -----------------------------------------------------------------------------------

TEST_CASE("a token that the output type cannot hold is an error that names row, index in its sequence and value")
{
    const collator<batten::token_ids<std::uint16_t>> narrow{{.pad_id = 0}};
    CHECK(call_error(narrow, ragged{{1, 2}, {3, 65535, 65536}}) ==
          error_is(errors::token_not_representable, 1, 2, 65536, "token_ids"));
    CHECK(call_error(narrow, ragged{{1, -5}}) == error_is(errors::token_not_representable, 0, 1, -5, "token_ids"));
    CHECK(narrow.try_shape(ragged{{1, -5}}).error().message() ==
          "batten: row 0, token 1: the element type of token_ids cannot hold -5");

    const collator<batten::token_ids<>> wide{{.pad_id = 0}};
    constexpr std::uint64_t huge = std::uint64_t{1} << 63U;
    const std::vector<std::vector<std::uint64_t>> unsigned_ids{{1, huge}};
    CHECK(call_error(wide, unsigned_ids) == error_is(errors::token_not_representable, 0, 1, huge, "token_ids"));

    const collator<batten::token_ids<std::uint64_t>> positive{{.pad_id = 0}};
    const std::vector<std::vector<std::int8_t>> signed_ids{{1, 2, -1}};
    CHECK(call_error(positive, signed_ids) == error_is(errors::token_not_representable, 0, 2, -1, "token_ids"));
}

TEST_CASE("the index of such a token is that in the whole sequence, and what truncation drops is not looked at")
{
    using fields = batten::fields<batten::token_ids<std::int8_t>>;
    const batten::collator<batten::pad_right, batten::fixed_length, batten::truncate_left, fields> collate{
        {.pad_id = 0, .length = {2}}};
    CHECK(call_error(collate, ragged{{1, 2, 3, 4, 500}}) ==
          error_is(errors::token_not_representable, 0, 4, 500, "token_ids"));
    CHECK(line_of(collate(ragged{{500, 500, 500, 4, 5}}).token_ids()) == line{4, 5});
}

TEST_CASE("a label that its type cannot hold is an error; a token that is no target is none")
{
    const collator<batten::token_ids<>, batten::labels<std::int8_t>> collate{{.pad_id = 0, .targets = batten::next_token}};
    CHECK(call_error(collate, ragged{{1, 2, 500}}) == error_is(errors::token_not_representable, 0, 2, 500, "labels"));
    CHECK(line_of(collate(ragged{{500, 2, 3}}).labels()) == line{2, 3, -100});
    const ragged ids{{1, 500, 3}};
    const std::vector<int> prompts{2};
    CHECK(line_of(collate(batten::inputs{ids, prompts}).labels()) == line{-100, 3, -100});
}

TEST_CASE("an entry of a column that its type cannot hold is an error that names the column")
{
    const ragged ids{{5, 6}, {7}};
    const ragged types{{0, 255}, {256}};
    const collator<batten::column<"types", std::uint8_t>> collate{{}};
    const auto bundle = batten::inputs{ids, batten::none, batten::none, batten::columns{batten::named<"types">(types)}};
    CHECK(call_error(collate, bundle, bundle) == error_is(errors::token_not_representable, 1, 0, 256, "types"));
    const ragged truths{{0, 1}, {2}};
    const collator<batten::column<"truths", bool>> flags{{}};
    const auto wrong = batten::inputs{ids, batten::none, batten::none, batten::columns{batten::named<"truths">(truths)}};
    CHECK(call_error(flags, wrong, wrong) == error_is(errors::token_not_representable, 1, 0, 2, "truths"));
}

TEST_CASE("a position, a length or a segment number that its type cannot hold is an error that names the row")
{
    const ragged rows{{1}, std::vector<int>(129, 1)};
    const ragged fitting{std::vector<int>(128, 1)};
    const collator<batten::position_ids<std::int8_t>> positions{{}};
    CHECK(positions(fitting).position_ids()[127] == 127);
    CHECK(call_error(positions, rows) == error_is(errors::value_not_representable, 1, 128, 0, "position_ids"));
    using counting = batten::position_ids<std::int8_t, batten::continue_positions>;
    const collator<counting> count_on{{}};
    CHECK(call_error(count_on, rows) == error_is(errors::value_not_representable, 0, 128, 0, "position_ids"));
    const collator<batten::lengths<std::int8_t>> lengths{{}};
    CHECK(call_error(lengths, rows) == error_is(errors::value_not_representable, 1, 129, 0, "lengths"));
    const collator<batten::target_counts<std::int8_t>> targets{{}};
    CHECK(call_error(targets, rows) == error_is(errors::value_not_representable, 1, 128, 0, "targets"));
    const batten::collator<batten::pad_right, batten::fixed_length, batten::truncate_right,
                           batten::fields<batten::truncated_tokens<std::int8_t>>>
        dropped{{.pad_id = 0, .length = {1}}};
    CHECK(line_of(dropped(ragged{std::vector<int>(128, 1)}).truncated_tokens()) == line{127});
    CHECK(call_error(dropped, rows) == error_is(errors::value_not_representable, 1, 128, 0, "truncated_tokens"));
}

// ---- rule 6: targets --------------------------------------------------------------------------------------------------

template <class Side>
using trainer = batten::collator<Side, batten::dynamic_length, batten::reject, batten::training_fields>;

TEST_CASE("rule 6: same_position: every real token may be a target")
{
    const ragged rows{{5, 6, 7}, {8}, {}};
    const auto right = trainer<batten::pad_right>{{.pad_id = 0, .targets = batten::same_position}}(rows);
    CHECK(grid_of(right.view<batten::loss_mask>()) == grid{{1, 1, 1}, {1, 0, 0}, {0, 0, 0}});
    CHECK(grid_of(right.view<batten::labels>()) == grid{{5, 6, 7}, {8, -100, -100}, {-100, -100, -100}});
    CHECK(line_of(right.target_counts()) == line{3, 1, 0});
    const auto left = trainer<batten::pad_left>{{.pad_id = 0, .targets = batten::same_position}}(rows);
    CHECK(grid_of(left.view<batten::labels>()) == grid{{5, 6, 7}, {-100, -100, 8}, {-100, -100, -100}});
}

TEST_CASE("rule 6: model_shifts: the label is at the token's own column, off where something stands before the first token")
{
    const ragged rows{{5, 6, 7}, {8, 9}, {}};
    const auto right = trainer<batten::pad_right>{{.pad_id = 0}}(rows);
    CHECK(grid_of(right.view<batten::labels>()) == grid{{5, 6, 7}, {8, 9, -100}, {-100, -100, -100}});
    const auto left = trainer<batten::pad_left>{{.pad_id = 0}}(rows);
    CHECK(grid_of(left.view<batten::labels>()) == grid{{5, 6, 7}, {-100, -100, 9}, {-100, -100, -100}});
    CHECK(grid_of(left.view<batten::loss_mask>()) == grid{{1, 1, 1}, {0, 0, 1}, {0, 0, 0}});
    CHECK(line_of(right.target_counts()) == line{2, 1, 0});  // column 0 is not among them
    CHECK(line_of(left.target_counts()) == line{2, 1, 0});
}

TEST_CASE("rule 6: next_token: the target of column j is token j + 1, and the last column has none")
{
    const ragged rows{{5, 6, 7}, {8}, {}};
    const auto right = trainer<batten::pad_right>{{.pad_id = 0, .targets = batten::next_token}}(rows);
    CHECK(grid_of(right.view<batten::token_ids>()) == grid{{5, 6, 7}, {8, 0, 0}, {0, 0, 0}});
    CHECK(grid_of(right.view<batten::labels>()) == grid{{6, 7, -100}, {-100, -100, -100}, {-100, -100, -100}});
    CHECK(line_of(right.target_counts()) == line{2, 0, 0});
    CHECK(right.summary().rows_without_targets == 2);
    const auto left = trainer<batten::pad_left>{{.pad_id = 0, .targets = batten::next_token}}(ragged{{5, 6, 7}, {8, 9}});
    CHECK(grid_of(left.view<batten::labels>()) == grid{{6, 7, -100}, {-100, 9, -100}});
}

TEST_CASE("rule 6: next_token_drop_last: n tokens take n - 1 columns, one token or none takes none")
{
    const ragged rows{{5, 6, 7}, {8}, {}};
    const auto right = trainer<batten::pad_right>{{.pad_id = 0, .targets = batten::next_token_drop_last}}(rows);
    CHECK(grid_of(right.view<batten::token_ids>()) == grid{{5, 6}, {0, 0}, {0, 0}});
    CHECK(grid_of(right.view<batten::labels>()) == grid{{6, 7}, {-100, -100}, {-100, -100}});
    CHECK(grid_of(right.view<batten::attention_mask>()) == grid{{1, 1}, {0, 0}, {0, 0}});
    CHECK(line_of(right.lengths()) == line{2, 0, 0});
    CHECK(line_of(right.truncated_tokens()) == line{0, 0, 0});
    CHECK(trainer<batten::pad_right>{{.pad_id = 0, .targets = batten::next_token_drop_last}}(ragged{{8}}).width() == 0);
}

TEST_CASE("rule 6: a token at or past the prompt length is a target; in next-token form that trains column prompt - 1")
{
    const ragged rows{{1, 2, 3, 4, 5}};
    const std::vector<int> prompts{3};
    const batten::inputs in{rows, prompts};
    const auto labels = [&](batten::target_alignment targets) {
        return line_of(trainer<batten::pad_right>{{.pad_id = 0, .targets = targets}}(in).labels());
    };
    CHECK(labels(batten::same_position) == line{-100, -100, -100, 4, 5});
    CHECK(labels(batten::model_shifts) == line{-100, -100, -100, 4, 5});
    CHECK(labels(batten::next_token) == line{-100, -100, 4, 5, -100});
    CHECK(labels(batten::next_token_drop_last) == line{-100, -100, 4, 5});
}

TEST_CASE("rule 6: a loss column trains the tokens that it marks, in next-token form one column earlier")
{
    const ragged rows{{1, 2, 3, 4}};
    const ragged loss{{1, 0, 1, 0}};
    const batten::inputs in{rows, batten::none, loss};
    const auto labels = [&](batten::target_alignment targets) {
        return line_of(trainer<batten::pad_right>{{.pad_id = 0, .targets = targets}}(in).labels());
    };
    CHECK(labels(batten::same_position) == line{1, -100, 3, -100});
    CHECK(labels(batten::model_shifts) == line{1, -100, 3, -100});
    CHECK(labels(batten::next_token) == line{-100, 3, -100, -100});
    CHECK(labels(batten::next_token_drop_last) == line{-100, 3, -100});
}

TEST_CASE("rule 6: the count of real targets is the same on every side, and in every alignment that predicts the next token")
{
    const ragged rows{{1, 2, 3, 4, 5}, {1, 2}, {1}, {}};
    const std::vector<int> prompts{2, 0, 1, 0};
    const ragged loss{{1, 1, 1, 0, 1}, {1, 1}, {1}, {}};
    for (const auto targets : {batten::model_shifts, batten::next_token, batten::next_token_drop_last}) {
        const trainer<batten::pad_right> right{{.pad_id = 0, .targets = targets}};
        const trainer<batten::pad_left> left{{.pad_id = 0, .targets = targets}};
        CHECK(right(rows).summary().targets == 5);
        CHECK(left(rows).summary().targets == 5);
        CHECK(right(batten::inputs{rows, prompts}).summary().targets == 4);
        CHECK(left(batten::inputs{rows, prompts}).summary().targets == 4);
        CHECK(right(batten::inputs{rows, prompts, loss}).summary().targets == 3);
        CHECK(left(batten::inputs{rows, prompts, loss}).summary().targets == 3);
    }
}

// ---- the alignments in constant evaluation ----------------------------------------------------------------------------

constexpr bool labels_are(batten::target_alignment targets, std::initializer_list<long long> expected)
{
    const std::array<std::array<int, 4>, 1> rows{{{1, 2, 3, 4}}};
    const std::array<int, 1> prompts{2};
    const batten::collator<batten::pad_left, batten::fixed_length, batten::reject, batten::training_fields> collate{
        {.pad_id = 0, .length = {5}, .targets = targets}};
    const auto batch = collate(batten::inputs{rows, prompts});
    bool good = holds(batch.labels(), expected) && batch.summary().targets == 2;
    for (std::size_t i = 0; i < expected.size(); ++i)
        good = good && (batch.loss_mask()[i] == 1) == (batch.labels()[i] != -100);
    return good;
}
static_assert(labels_are(batten::same_position, {-100, -100, -100, 3, 4}));
static_assert(labels_are(batten::model_shifts, {-100, -100, -100, 3, 4}));
static_assert(labels_are(batten::next_token, {-100, -100, 3, 4, -100}));
static_assert(labels_are(batten::next_token_drop_last, {-100, -100, -100, 3, 4}));

// ---- fields of the user's own -----------------------------------------------------------------------------------------

// A cell field: how many columns are left to the end of the row, on tokens; minus one on pads.
struct columns_left {
    using value_type = std::int16_t;
    static constexpr std::string_view name = "columns_left";

    constexpr void write(const auto& segment, std::span<value_type> out) const
    {
        for (std::size_t j = 0; j < out.size(); ++j)
            out[j] = static_cast<value_type>(segment.width - segment.first_column - j - 1);
    }
    constexpr void pad(const batten::pad_run& /*pads*/, std::span<value_type> out) const
    {
        batten::cells::fill(out, value_type{-1});
    }
};

// A cell field with an option, checks of its own, and a number of its own where the pads begin.
struct scaled_ids {
    using value_type = double;
    double scale = 1.0;

    constexpr void write(const auto& segment, std::span<double> out) const
    {
        const auto tokens = segment.tokens();
        for (std::size_t j = 0; j < out.size(); ++j)
            out[j] = scale * static_cast<double>(tokens[j]);
    }
    constexpr void pad(const batten::pad_run& pads, std::span<double> out) const
    {
        for (std::size_t j = 0; j < out.size(); ++j)
            out[j] = -static_cast<double>(pads.first_column + j);
    }
    constexpr bool check_options(const batten::fill_values& /*values*/, batten::error& reason) const
    {
        if (scale != 0.0)
            return true;
        reason = {errors::pad_value_not_representable, no_row, 0, {}, "scaled_ids"};
        return false;
    }
    constexpr bool check_segment(const auto& segment, batten::error& reason) const
    {
        for (const auto token : segment.tokens())
            if (token == 13) {
                reason = {errors::token_not_representable, segment.row, 0, token, "scaled_ids"};
                return false;
            }
        return true;
    }
};

// A segment field with one element more: the running sum of lengths.
struct running_lengths {
    using value_type = std::int32_t;
    static constexpr std::size_t extra = 1;

    constexpr void begin(std::span<value_type> out) const { out[0] = 0; }
    constexpr void write(const auto& segment, std::size_t index, std::span<value_type> out) const
    {
        out[index + 1] = out[index] + static_cast<value_type>(segment.length);
    }
};

static_assert(batten::cell_field<columns_left> && batten::cell_field<scaled_ids> && batten::segment_field<running_lengths>);

constexpr bool user_fields_work_in_constant_evaluation()
{
    using fields = batten::fields<batten::token_ids<>, columns_left, running_lengths>;
    const batten::collator<batten::pad_left, batten::fixed_length, batten::reject, fields> collate{
        {.pad_id = 0, .length = {3}}};
    const std::array<std::array<int, 2>, 2> rows{{{5, 6}, {7, 8}}};
    const auto batch = collate(rows);
    return holds(batch.get<columns_left>(), {-1, 1, 0, -1, 1, 0}) && holds(batch.get<running_lengths>(), {0, 2, 4});
}
static_assert(user_fields_work_in_constant_evaluation());

TEST_CASE("a cell field of the user's own is written beside the built-in ones")
{
    const collator<batten::token_ids<>, columns_left> collate{{.pad_id = 0}};
    const auto batch = collate(ragged{{5, 6, 7}, {8}, {}});
    CHECK(grid_of(batch.view<columns_left>()) == grid{{2, 1, 0}, {2, -1, -1}, {-1, -1, -1}});
}

TEST_CASE("errors name a user's field by its name, where it has one")
{
    const ragged rows{{5, 6}};
    std::array<std::int16_t, 1> few{};
    const collator<columns_left> named{{.pad_id = 0}};
    CHECK(error_is(named.try_into(rows, batten::outputs{batten::set<columns_left>(few)}).error()) ==
          error_is(errors::span_too_small, no_row, 2, 1, "columns_left"));
    std::array<double, 1> too_few{};
    const collator<scaled_ids> unnamed{{.pad_id = 0}};
    CHECK(error_is(unnamed.try_into(rows, batten::outputs{batten::set<scaled_ids>(too_few)}).error()) ==
          error_is(errors::span_too_small, no_row, 2, 1, "a field of the user's"));
}

TEST_CASE("a user's field may have options, which come with the collator's, and checks of its own")
{
    using fields = batten::fields<batten::token_ids<>, scaled_ids>;
    using scaled = batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields>;
    const scaled collate{{.pad_id = 0, .fields = fields{{}, {0.5}}}};
    const auto batch = collate(ragged{{5, 6, 7}, {8}});
    const auto cells = batch.get<scaled_ids>();
    CHECK(std::vector<double>(cells.begin(), cells.end()) == std::vector<double>{2.5, 3.0, 3.5, 0.0, -1.0, 4.0});
    CHECK(options_error<scaled>({.pad_id = 0, .fields = fields{{}, {0.0}}}) ==
          error_is(errors::pad_value_not_representable, no_row, 0, 0, "scaled_ids"));
    CHECK(call_error(collate, ragged{{1}, {13}}) == error_is(errors::token_not_representable, 1, 0, 13, "scaled_ids"));
}

TEST_CASE("a segment field of the user's own may have an element more, and begins even where there is no row")
{
    const collator<batten::token_ids<>, running_lengths> collate{{.pad_id = 0}};
    CHECK(line_of(collate(ragged{{5, 6, 7}, {}, {8}}).get<running_lengths>()) == line{0, 3, 3, 4});
    CHECK(line_of(collate(ragged{}).get<running_lengths>()) == line{0});
    CHECK(collate.shape(ragged{{1}, {2}}).elements<running_lengths>() == 3);
}

TEST_CASE("two fields of one template live beside each other, and are told apart by their types")
{
    const collator<batten::token_ids<std::int32_t>, batten::token_ids<std::uint16_t>> collate{{.pad_id = 9}};
    const auto batch = collate(ragged{{5, 6}, {7}});
    CHECK(line_of(batch.get<batten::token_ids<std::int32_t>>()) == line{5, 6, 7, 9});
    CHECK(line_of(batch.get<batten::token_ids<std::uint16_t>>(1)) == line{7, 9});
}

}  // namespace
