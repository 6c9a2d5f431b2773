// SPDX-License-Identifier: MIT
// What a collator reads: nested ranges, ragged_view, each, the bundle and select, and what is wrong with each of them.

#include "support.hpp"

#include <array>
#include <deque>
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

using collator = batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::training_fields>;
const collator collate{{.pad_id = 0}};

// ---- concepts ---------------------------------------------------------------------------------------------------------

struct sample {
    std::vector<int> ids;
    int prompt = 0;
    std::vector<float> weights;
};

static_assert(batten::sequence_range<ragged> && batten::sequence_range<std::vector<std::span<const std::uint16_t>>> &&
              batten::sequence_range<std::deque<std::array<std::int8_t, 3>>> &&
              batten::sequence_range<batten::ragged_view<std::uint32_t, std::int64_t>> &&
              batten::sequence_range<std::vector<std::string>>);
static_assert(!batten::sequence_range<std::vector<int>> && !batten::sequence_range<std::vector<std::vector<float>>> &&
              !batten::sequence_range<std::vector<std::vector<bool>>> && !batten::sequence_range<std::vector<std::deque<int>>>);
static_assert(batten::number_sequences<std::vector<std::vector<float>>> && !batten::number_sequences<std::vector<std::vector<bool>>>);
static_assert(batten::integer_range<std::vector<int>> && batten::integer_range<std::array<std::uint8_t, 2>> &&
              !batten::integer_range<std::vector<float>> && !batten::integer_range<ragged>);
static_assert(batten::integer_number<char> && batten::integer_number<std::uint64_t> && !batten::integer_number<bool> && !batten::integer_number<float>);
static_assert(batten::collatable<ragged> && !batten::collatable<std::vector<int>> && !batten::collatable<int>);

// Memory that would be gone before it is read is refused by type.
template <class Samples>
concept can_project = requires(Samples&& samples)
{
    batten::each(std::forward<Samples>(samples), &sample::ids);
};
static_assert(can_project<const std::vector<sample>&> && !can_project<std::vector<sample>>);
template <class Source, class Rows>
concept can_select = requires(Source&& source, Rows&& rows)
{
    batten::select(std::forward<Source>(source), std::forward<Rows>(rows));
};
static_assert(can_select<const ragged&, const std::vector<int>&> && !can_select<ragged, const std::vector<int>&> &&
              !can_select<const ragged&, std::vector<int>> && can_select<const ragged&, std::span<const int>>);

// ---- nested ranges ----------------------------------------------------------------------------------------------------

TEST_CASE("vectors of vectors just work")
{
    const auto batch = collate(ragged{{101, 102}, {103, 104, 105, 106}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{101, 102, 0, 0}, {103, 104, 105, 106}});
}

TEST_CASE("spans, arrays, deques and strings are sequences too")
{
    const std::vector<std::uint16_t> tokens{7, 8, 9};
    const std::vector<std::span<const std::uint16_t>> spans{std::span(tokens).first(1), std::span(tokens)};
    CHECK(line_of(collate(spans).token_ids()) == line{7, 0, 0, 7, 8, 9});
    const std::deque<std::array<std::int8_t, 2>> arrays{{1, 2}, {-3, 4}};
    CHECK(line_of(collate(arrays).token_ids()) == line{1, 2, -3, 4});
    const std::vector<std::string> texts{"ab", ""};
    CHECK(line_of(collate(texts).token_ids()) == line{'a', 'b', 0, 0});
    const std::vector<std::string_view> views{"a", "bc"};
    CHECK(line_of(collate(views).token_ids()) == line{'a', 0, 'b', 'c'});
}

template <class Token>
void check_tokens_of_type(std::vector<Token> tokens)
{
    const std::vector<std::vector<Token>> rows{tokens, {}};
    const auto batch = collate(rows);
    CHECK(line_of(batch.token_ids(0)) == line_of(tokens));
    CHECK(line_of(batch.token_ids(1)) == line(tokens.size(), 0));
}

TEST_CASE("tokens are integers of any type that the output holds")
{
    check_tokens_of_type<std::int8_t>({-128, 0, 127});
    check_tokens_of_type<std::uint8_t>({0, 1, 255});
    check_tokens_of_type<std::int16_t>({-32768, 32767});
    check_tokens_of_type<std::uint16_t>({0, 65535});
    check_tokens_of_type<std::int32_t>({-2147483647 - 1, 2147483647});
    check_tokens_of_type<std::uint32_t>({0U, 4294967295U});
    check_tokens_of_type<std::int64_t>({std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()});
    check_tokens_of_type<std::uint64_t>({0U, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())});
}

// ---- ragged_view ------------------------------------------------------------------------------------------------------

TEST_CASE("a ragged_view reads flat tokens by their offsets, of 32 or 64 bits")
{
    const std::vector<std::uint16_t> tokens{1, 2, 3, 4, 5};
    const std::vector<std::int32_t> narrow{0, 2, 2, 5};
    const std::vector<std::int64_t> wide{0, 2, 2, 5};
    const grid expected{{1, 2, 0}, {0, 0, 0}, {3, 4, 5}};
    CHECK(grid_of(collate(batten::ragged_view{tokens, narrow}).view<batten::token_ids>()) == expected);
    CHECK(grid_of(collate(batten::ragged_view{tokens, wide}).view<batten::token_ids>()) == expected);
}

TEST_CASE("offsets need begin at 0 nor end at the last token")
{
    const std::vector<int> tokens{1, 2, 3, 4, 5};
    const std::vector<std::uint64_t> offsets{1, 2, 4};
    const batten::ragged_view view{tokens, offsets};
    CHECK(view.size() == 2);
    CHECK(line_of(view[1]) == line{3, 4});
    CHECK(line_of(collate(view).token_ids()) == line{2, 0, 3, 4});
}

TEST_CASE("a ragged_view without offsets, or with one, has no sequences")
{
    const std::vector<int> tokens{1, 2};
    const std::vector<std::int32_t> none, one{0};
    CHECK(collate(batten::ragged_view{tokens, none}).rows() == 0);
    CHECK(collate(batten::ragged_view{tokens, one}).rows() == 0);
    CHECK(batten::ragged_view<int, int>().empty());
}

// What may be given as a temporary: views of memory that something else owns, never a container.
template <class Values>
constexpr bool may_be_named = requires(Values&& values) { batten::named<"w">(std::forward<Values>(values)); };
template <class Tokens, class Offsets>
constexpr bool may_be_ragged = std::constructible_from<batten::ragged_view<int, int>, Tokens, Offsets>;
template <class Packing>
constexpr bool may_be_packed =
    requires(const ragged& rows, Packing&& packing) { batten::packed(rows, std::forward<Packing>(packing)); };
using flat = std::vector<int>;
using spans = std::span<const std::span<const int>>;
struct packer_result {
    constexpr operator batten::bins() const& { return {}; }
    operator batten::bins() && = delete;
};
static_assert(may_be_named<const ragged&> && may_be_named<ragged&> && may_be_named<spans> &&
              may_be_named<batten::ragged_view<int, int>> && !may_be_named<ragged> && !may_be_named<const ragged>);
static_assert(may_be_ragged<const flat&, flat&> && may_be_ragged<std::span<const int>, std::span<const int>> &&
              may_be_ragged<flat&, std::span<int>> && !may_be_ragged<flat, flat&> && !may_be_ragged<flat&, flat> &&
              !may_be_ragged<const flat, std::span<const int>>);
static_assert(may_be_packed<const packer_result&> && may_be_packed<batten::bins> && !may_be_packed<packer_result>);
static_assert(std::constructible_from<batten::lasting_span<int>, const flat&> &&
              std::constructible_from<batten::lasting_span<int>, std::span<int>> &&
              !std::constructible_from<batten::lasting_span<int>, flat>);

TEST_CASE("a named column keeps a view that is a temporary")
{
    const ragged ids{{1, 2}, {3}};
    const std::vector<float> values{0.5F, 1.5F, 2.5F};
    const std::vector<int> offsets{0, 2, 3};
    const batten::columns weights{batten::named<"w">(batten::ragged_view{values, offsets})};
    const batten::inputs in{ids, batten::none, batten::none, weights};
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::fields<batten::column<"w", float>>>
        weigh{{}};
    const auto batch = weigh(in);
    const auto cells = batch.get<"w">();
    CHECK(std::vector<float>(cells.begin(), cells.end()) == std::vector<float>{0.5F, 1.5F, 2.5F, 0});
}

TEST_CASE("offsets that are negative, decrease, or end past the tokens are errors that name the row")
{
    const std::vector<int> tokens{1, 2, 3, 4};
    const std::vector<std::int32_t> negative{-1, 2};
    CHECK(call_error(collate, batten::ragged_view{tokens, negative}) == error_is(errors::offset_negative, 0, -1));
    const std::vector<std::int64_t> decreasing{0, 3, 2, 4};
    CHECK(call_error(collate, batten::ragged_view{tokens, decreasing}) == error_is(errors::offsets_decrease, 1, 3, 2));
    const std::vector<std::int32_t> into_negative{0, 3, -2};
    CHECK(call_error(collate, batten::ragged_view{tokens, into_negative}) == error_is(errors::offsets_decrease, 1, 3, -2));
    const std::vector<std::int64_t> past{0, 2, 5};
    CHECK(call_error(collate, batten::ragged_view{tokens, past}) == error_is(errors::offset_past_end, 1, 5, 4));
    const std::vector<std::int64_t> beyond{std::numeric_limits<std::int64_t>::max() - 1,
                                           std::numeric_limits<std::int64_t>::max()};
    CHECK(call_error(collate, batten::ragged_view{tokens, beyond}).code == errors::offset_past_end);
    const std::vector<std::uint64_t> unsigned_beyond{0, std::numeric_limits<std::uint64_t>::max()};
    CHECK(call_error(collate, batten::ragged_view{tokens, unsigned_beyond}) ==
          error_is(errors::offset_past_end, 0, std::numeric_limits<std::uint64_t>::max(), 4));
}

TEST_CASE("only the rows that are read are checked")
{
    const std::vector<int> tokens{1, 2, 3, 4};
    const std::vector<std::int32_t> offsets{0, 2, -7, 3, 4};
    const batten::ragged_view view{tokens, offsets};
    const std::vector<int> good{0, 3};
    CHECK(line_of(collate(batten::select(view, good)).token_ids()) == line{1, 2, 4, 0});
    const std::vector<int> bad{3, 2};
    CHECK(call_error(collate, batten::select(view, bad)) == error_is(errors::offset_negative, 1, -7));
}

// ---- each -------------------------------------------------------------------------------------------------------------

TEST_CASE("the user's own samples are seen through projections, by member or by function")
{
    const std::vector<sample> samples{{{1, 2, 3}, 1, {0.5F, 1.0F, 2.0F}}, {{4}, 0, {4.0F}}};
    const auto ids = batten::each(samples, &sample::ids);
    CHECK(grid_of(collate(ids).view<batten::token_ids>()) == grid{{1, 2, 3}, {4, 0, 0}});

    const auto tail = batten::each(samples, [](const sample& s) { return std::span(s.ids).last(1); });
    CHECK(line_of(collate(tail).token_ids()) == line{3, 4});

    const auto prompts = batten::each(samples, &sample::prompt);
    const auto weights = batten::each(samples, &sample::weights);
    using fields = batten::fields<batten::token_ids<>, batten::loss_mask<>, batten::column<"weights", float>>;
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields> weighted{{.pad_id = 0}};
    const auto batch = weighted(batten::inputs{ids, prompts, batten::none, batten::columns{batten::named<"weights">(weights)}});
    CHECK(line_of(batch.loss_mask()) == line{0, 1, 1, 1, 0, 0});
    CHECK(batch.get<"weights">(0)[2] == 2.0F);
    CHECK(batch.get<"weights">(1)[0] == 4.0F);
}

TEST_CASE("a projection may be through a pointer to the sample")
{
    const sample one{{1, 2}, 0, {}};
    const sample two{{3}, 0, {}};
    const std::vector<const sample*> samples{&two, &one, &two};
    const auto ids = batten::each(samples, [](const sample* s) -> const std::vector<int>& { return s->ids; });
    CHECK(line_of(collate(ids).token_ids()) == line{3, 0, 1, 2, 3, 0});
}

// ---- the bundle -------------------------------------------------------------------------------------------------------

TEST_CASE("prompt lengths, a loss column and columns travel beside the sequences")
{
    const ragged ids{{1, 2, 3}, {4, 5}};
    const std::vector<std::uint8_t> prompts{2, 0};
    const std::vector<std::vector<std::uint8_t>> loss{{1, 1, 1}, {1, 0}};
    const auto by_prompt = collate(batten::inputs{ids, prompts});
    CHECK(grid_of(by_prompt.view<batten::loss_mask>()) == grid{{0, 0, 1}, {1, 1, 0}});
    const auto by_column = collate(batten::inputs{ids, batten::none, loss});
    CHECK(grid_of(by_column.view<batten::loss_mask>()) == grid{{1, 1, 1}, {1, 0, 0}});
    const auto by_both = collate(batten::inputs{ids, prompts, loss});
    CHECK(grid_of(by_both.view<batten::loss_mask>()) == grid{{0, 0, 1}, {1, 0, 0}});
    CHECK(line_of(by_both.target_counts()) == line{1, 0});
}

#if __cpp_deduction_guides >= 201907L
TEST_CASE("the parts of a bundle can be named")
{
    const ragged ids{{1, 2, 3}};
    const std::vector<int> prompts{2};
    const ragged loss{{1, 1, 0}};
    CHECK(line_of(collate(batten::inputs{.sequences = ids, .prompt_lengths = prompts}).loss_mask()) == line{0, 0, 1});
    CHECK(line_of(collate(batten::inputs{.sequences = ids, .loss = loss}).loss_mask()) == line{1, 1, 0});
}
#endif

TEST_CASE("a loss column may be of floating-point weights: what is not 0 is trained")
{
    const ragged ids{{1, 2, 3, 4}};
    const std::vector<std::vector<float>> loss{{1.0F, 0.0F, 0.25F, -1.0F}};
    CHECK(line_of(collate(batten::inputs{ids, batten::none, loss}).loss_mask()) == line{1, 0, 1, 1});
    CHECK(line_of(collate(batten::inputs{ids, batten::none, loss}).labels()) == line{1, -100, 3, 4});
}

TEST_CASE("a part with fewer or more entries than there are sequences is an error that names the part")
{
    const ragged ids{{1, 2}, {3}};
    const std::vector<int> few{1};
    const std::vector<int> many{1, 1, 1};
    const ragged one_run{{1, 1}};
    const auto columns = batten::columns{batten::named<"types">(one_run)};
    CHECK(call_error(collate, batten::inputs{ids, few}) ==
          error_is(errors::count_mismatch, no_row, 1, 2, "prompt_lengths"));
    CHECK(call_error(collate, batten::inputs{ids, many}) ==
          error_is(errors::count_mismatch, no_row, 3, 2, "prompt_lengths"));
    CHECK(call_error(collate, batten::inputs{ids, batten::none, one_run}) ==
          error_is(errors::count_mismatch, no_row, 1, 2, "loss"));
    CHECK(call_error(collate, batten::inputs{ids, batten::none, batten::none, columns}) ==
          error_is(errors::count_mismatch, no_row, 1, 2, "types"));
    CHECK(call_error(collate, batten::inputs{ragged{}, few}).code == errors::count_mismatch);
}

TEST_CASE("a prompt length that is negative or beyond its row is an error that names the row")
{
    const ragged ids{{1, 2}, {3}};
    const std::vector<int> exact{2, 1};
    CHECK(collate(batten::inputs{ids, exact}).summary().targets == 0);
    const std::vector<int> past{2, 2};
    CHECK(call_error(collate, batten::inputs{ids, past}) == error_is(errors::prompt_past_end, 1, 2, 1, "prompt_lengths"));
    CHECK(collate.try_shape(batten::inputs{ids, past}).error().message() ==
          "batten: row 1 has a prompt length of 2, but only 1 tokens");
    const std::vector<long long> negative{-1, 1};
    CHECK(call_error(collate, batten::inputs{ids, negative}) ==
          error_is(errors::prompt_length_negative, 0, -1, 0, "prompt_lengths"));
    const std::vector<std::uint64_t> huge{0, std::numeric_limits<std::uint64_t>::max()};
    CHECK(call_error(collate, batten::inputs{ids, huge}) ==
          error_is(errors::prompt_past_end, 1, std::numeric_limits<std::uint64_t>::max(), 1, "prompt_lengths"));
}

TEST_CASE("rule 14: prompt lengths speak of the whole sequence, so one beyond the limit is fine where truncation cuts it")
{
    const batten::collator<batten::pad_right, batten::fixed_length, batten::truncate_right> cut{{.pad_id = 0, .length = {2}}};
    const ragged ids{{1, 2, 3, 4}};
    const std::vector<int> prompts{3};
    CHECK(line_of(cut(batten::inputs{ids, prompts}).loss_mask()) == line{0, 0});
    const std::vector<int> past{5};
    CHECK(call_error(cut, batten::inputs{ids, past}).code == errors::prompt_past_end);
}

TEST_CASE("a column whose run is shorter or longer than its sequence is an error that names the row and the column")
{
    const ragged ids{{1, 2}, {3}};
    const ragged short_run{{1, 1}, {}};
    const ragged long_run{{1, 1, 1}, {1}};
    CHECK(call_error(collate, batten::inputs{ids, batten::none, short_run}) ==
          error_is(errors::column_length_mismatch, 1, 0, 1, "loss"));
    CHECK(call_error(collate, batten::inputs{ids, batten::none, long_run}) ==
          error_is(errors::column_length_mismatch, 0, 3, 2, "loss"));
    const ragged types{{0, 1}, {0}};
    const auto columns = batten::columns{batten::named<"types">(types), batten::named<"weights">(short_run)};
    CHECK(call_error(collate, batten::inputs{ids, batten::none, batten::none, columns}) ==
          error_is(errors::column_length_mismatch, 1, 0, 1, "weights"));
}

TEST_CASE("a column may be a ragged_view, whose own offsets are checked")
{
    const ragged ids{{1, 2}, {3}};
    const std::vector<int> entries{1, 0, 1};
    const std::vector<std::int32_t> good{0, 2, 3};
    const std::vector<std::int32_t> bad{0, 2, 4};
    const batten::ragged_view loss{entries, good};
    CHECK(line_of(collate(batten::inputs{ids, batten::none, loss}).loss_mask()) == line{1, 0, 1, 0});
    const batten::ragged_view wrong{entries, bad};
    CHECK(call_error(collate, batten::inputs{ids, batten::none, wrong}) == error_is(errors::offset_past_end, 1, 4, 3));
}

// ---- select -----------------------------------------------------------------------------------------------------------

TEST_CASE("select sees the rows in the order of its list, one twice if it says so")
{
    const ragged ids{{1}, {2, 2}, {3, 3, 3}};
    const std::vector<std::uint32_t> rows{2, 0, 2};
    CHECK(grid_of(collate(batten::select(ids, rows)).view<batten::token_ids>()) == grid{{3, 3, 3}, {1, 0, 0}, {3, 3, 3}});
    const std::vector<int> no_rows;
    CHECK(collate(batten::select(ids, no_rows)).rows() == 0);
}

TEST_CASE("select sees a whole bundle, and another selection")
{
    const ragged ids{{1}, {2, 3}, {4, 5, 6}};
    const std::vector<int> prompts{0, 1, 2};
    const ragged loss{{1}, {1, 1}, {1, 1, 0}};
    const std::vector<int> rows{2, 1};
    const auto chosen = batten::select(batten::inputs{ids, prompts, loss}, rows);
    const auto batch = collate(chosen);
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{4, 5, 6}, {2, 3, 0}});
    CHECK(grid_of(batch.view<batten::loss_mask>()) == grid{{0, 0, 0}, {0, 1, 0}});
    const std::vector<std::size_t> second{1};
    CHECK(line_of(collate(batten::select(chosen, second)).token_ids()) == line{2, 3});
}

TEST_CASE("select takes rows of a view that is made in place")
{
    const std::vector<int> tokens{1, 2, 3};
    const std::vector<std::int32_t> offsets{0, 1, 3};
    const std::vector<int> rows{1};
    CHECK(line_of(collate(batten::select(batten::ragged_view{tokens, offsets}, rows)).token_ids()) == line{2, 3});
    const std::vector<sample> samples{{{1, 2}, 0, {}}, {{9}, 0, {}}};
    const auto chosen = batten::select(batten::each(samples, &sample::ids), rows);
    CHECK(line_of(collate(chosen).token_ids()) == line{9});
}

TEST_CASE("a row number outside the data set is an error that names the row of the batch")
{
    const ragged ids{{1}, {2, 2}};
    const std::vector<int> past{1, 2};
    CHECK(call_error(collate, batten::select(ids, past)) == error_is(errors::row_index_out_of_range, 1, 2, 2));
    const std::vector<int> negative{-1};
    CHECK(call_error(collate, batten::select(ids, negative)) == error_is(errors::row_index_out_of_range, 0, -1, 2));
    const std::vector<std::uint64_t> huge{std::numeric_limits<std::uint64_t>::max()};
    CHECK(call_error(collate, batten::select(ids, huge)).code == errors::row_index_out_of_range);
    const ragged one(1);
    CHECK(call_error(collate, batten::select(one, past)).code == errors::row_index_out_of_range);
}

TEST_CASE("an error behind a selection names the row of the batch, not that of the data set")
{
    const ragged ids{{1}, {2, 2}, {3, 3, 3}};
    const std::vector<int> prompts{0, 9, 0};
    const std::vector<int> rows{2, 0, 1};
    const auto reason = call_error(collate, batten::select(batten::inputs{ids, prompts}, rows));
    CHECK(reason == error_is(errors::prompt_past_end, 2, 9, 2, "prompt_lengths"));
}

// ---- in constant evaluation -------------------------------------------------------------------------------------------

struct constant_sample {
    std::array<int, 2> ids;
};

constexpr bool every_kind_of_input()
{
    constexpr collator constant{{.pad_id = 0}};
    const std::array<int, 3> tokens{1, 2, 3};
    const std::array<std::int64_t, 3> offsets{0, 1, 3};
    const batten::ragged_view view{tokens, offsets};
    const std::array<constant_sample, 2> samples{{{{4, 5}}, {{6, 7}}}};
    const auto ids = batten::each(samples, &constant_sample::ids);
    const std::array<int, 1> rows{1};
    const std::array<int, 2> prompts{0, 1};
    return holds(constant(view).token_ids(), {1, 0, 2, 3}) && holds(constant(ids).token_ids(), {4, 5, 6, 7}) &&
           holds(constant(batten::select(view, rows)).token_ids(), {2, 3}) &&
           holds(constant(batten::inputs{ids, prompts}).loss_mask(), {1, 1, 0, 1}) &&
           holds(constant(batten::select(batten::inputs{ids, prompts}, rows)).loss_mask(), {0, 1});
}
static_assert(every_kind_of_input());

constexpr bool bad_offsets_are_values_in_constant_evaluation()
{
    constexpr collator constant{{.pad_id = 0}};
    const std::array<int, 3> tokens{1, 2, 3};
    const std::array<int, 2> past{0, 4};
    const auto result = constant.try_collate(batten::ragged_view{tokens, past});
    const std::array<int, 1> rows{7};
    const std::array<std::array<int, 1>, 1> one{{{1}}};
    return !result && result.error().code == errors::offset_past_end && result.error().second == 3 &&
           constant.try_shape(batten::select(one, rows)).error().code == errors::row_index_out_of_range;
}
static_assert(bad_offsets_are_values_in_constant_evaluation());

}  // namespace
