// SPDX-License-Identifier: MIT
// The length strategies: the built-in ones, and a user's through both doors.

#include "support.hpp"

#include <array>
#include <limits>
#include <list>

namespace {

namespace errors = batten::errors;
using tests::call_error;
using tests::error_is;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::options_error;
using tests::ragged;

template <class Length, class Overflow = batten::reject>
using collator = batten::collator<batten::pad_right, Length, Overflow>;

// By shape: the next power of two.
struct power_of_two {
    template <class Lengths>
    static constexpr std::size_t width(const Lengths& lengths)
    {
        std::size_t longest = 0;
        for (const std::size_t length : lengths)
            longest = std::max(longest, length);
        std::size_t width = 1;
        while (width < longest)
            width *= 2;
        return width;
    }
};

// By shape, with everything that may be left out, and integers of another type.
struct between {
    int least = 1;
    int most = 8;
    template <class Lengths>
    constexpr int width(const Lengths& lengths) const
    {
        int width = least;
        for (std::size_t r = 0; r < lengths.size(); ++r)
            width = std::max(width, static_cast<int>(lengths[r]));
        return width;
    }
    constexpr int limit() const { return most; }
    constexpr int max_width() const { return most; }
    constexpr bool check(batten::error& reason) const
    {
        if (least > 0 && least <= most)
            return true;
        reason = {errors::length_not_positive, no_row, least, most, "between"};
        return false;
    }
};

}  // namespace

namespace foreign {
struct capacity {
    unsigned columns = 0;
};
struct only_a_width {};
}  // namespace foreign

// Through the traits: width and limit.
template <>
struct batten::length_traits<foreign::capacity> {
    template <class Lengths>
    static constexpr std::size_t width(const foreign::capacity& of, const Lengths&)
    {
        return of.columns;
    }
    static constexpr std::size_t limit(const foreign::capacity& of) { return of.columns; }
};

// Through the traits: a width alone, twice the number of rows or the longest of them.
template <>
struct batten::length_traits<foreign::only_a_width> {
    template <class Lengths>
    static constexpr std::size_t width(const foreign::only_a_width&, const Lengths& lengths)
    {
        std::size_t width = lengths.size() * 2;
        for (const std::size_t length : lengths)
            width = std::max(width, length);
        return width;
    }
};

namespace {

struct not_a_strategy {};
struct width_without_lengths {
    static constexpr std::size_t width() { return 4; }
};

static_assert(batten::length_strategy<batten::fixed_length> && batten::length_strategy<batten::static_length<4>> &&
              batten::length_strategy<batten::dynamic_length> && batten::length_strategy<batten::bucketed_length> &&
              batten::length_strategy<batten::round_up_to<8>> &&
              batten::length_strategy<batten::round_up_to<8, batten::round_up_to<6, batten::fixed_length>>>);
static_assert(batten::length_strategy<power_of_two> && batten::length_strategy<between> &&
              batten::length_strategy<foreign::capacity> && batten::length_strategy<foreign::only_a_width> &&
              batten::length_strategy<batten::round_up_to<8, foreign::only_a_width>>);
static_assert(!batten::length_strategy<not_a_strategy> && !batten::length_strategy<width_without_lengths> &&
              !batten::length_strategy<int>);
static_assert(batten::bucketed_strategy<batten::bucketed_length> &&
              batten::bucketed_strategy<batten::round_up_to<8, batten::bucketed_length>> &&
              !batten::bucketed_strategy<batten::dynamic_length> && !batten::bucketed_strategy<batten::round_up_to<8>>);
static_assert(std::is_empty_v<batten::static_length<4>>);

// A multiple of zero, and a static length of zero, are no types.
template <std::size_t N>
concept can_round_up_to = requires
{
    typename batten::round_up_to<N>;
};
template <std::size_t N>
concept can_be_static = requires
{
    typename batten::static_length<N>;
};
static_assert(can_round_up_to<1> && !can_round_up_to<0> && can_be_static<1> && !can_be_static<0>);

// ---- widths and limits of the strategies alone ------------------------------------------------------------------------

template <class Strategy>
constexpr std::size_t width_of(const Strategy& strategy, std::initializer_list<std::size_t> lengths)
{
    return batten::length_traits<Strategy>::width(strategy, std::span<const std::size_t>(lengths.begin(), lengths.size()));
}
using batten::no_limit;
using batten::limit_of;
using batten::max_width_of;

static_assert(width_of(batten::fixed_length(512), {3, 7}) == 512 && width_of(batten::fixed_length(512), {}) == 512);
static_assert(limit_of(batten::fixed_length(512)) == 512);
static_assert(width_of(batten::static_length<5>{}, {3}) == 5 && limit_of(batten::static_length<5>{}) == 5);
static_assert(width_of(batten::dynamic_length{}, {3, 7, 2}) == 7 && width_of(batten::dynamic_length{}, {}) == 0);
static_assert(limit_of(batten::dynamic_length{}) == no_limit && limit_of(batten::dynamic_length{9}) == 9);
static_assert(width_of(batten::bucketed_length{4, 8, 16}, {4}) == 4 &&
              width_of(batten::bucketed_length{4, 8, 16}, {5, 1}) == 8 &&
              width_of(batten::bucketed_length{4, 8, 16}, {16}) == 16 && width_of(batten::bucketed_length{4, 8, 16}, {}) == 4);
static_assert(limit_of(batten::bucketed_length{4, 8, 16}) == 16);
static_assert(width_of(batten::round_up_to<8>{}, {9}) == 16 && width_of(batten::round_up_to<8>{}, {8}) == 8 &&
              width_of(batten::round_up_to<8>{}, {0}) == 0);
static_assert(width_of(batten::round_up_to<8, batten::fixed_length>{500}, {3}) == 504);
static_assert(limit_of(batten::round_up_to<8, batten::fixed_length>{500}) == 500);
static_assert(width_of(batten::round_up_to<10, batten::round_up_to<8>>{}, {9}) == 20);
static_assert(max_width_of(batten::round_up_to<10, batten::round_up_to<8>>{{{}, 100}, 200}) == 100);
static_assert(max_width_of(batten::round_up_to<8>{}) == no_limit && max_width_of(power_of_two{}) == no_limit);
static_assert(width_of(batten::round_up_to<8, power_of_two>{}, {3}) == 8 &&
              limit_of(batten::round_up_to<8, power_of_two>{}) == no_limit);
static_assert(limit_of(batten::round_up_to<8, foreign::capacity>{{9}}) == 9);

TEST_CASE("a ladder takes edges of any integer type and any range")
{
    const std::list<std::uint16_t> edges{4, 8};
    CHECK(line_of(batten::bucketed_length(edges).edges()) == line{4, 8});
    CHECK(line_of(batten::bucketed_length(std::vector<long long>{3, 6, 12}).edges()) == line{3, 6, 12});
    CHECK(line_of(batten::bucketed_length{3U, 6U}.edges()) == line{3, 6});
}

// ---- in a collator ----------------------------------------------------------------------------------------------------

template <class Length>
constexpr std::size_t width_in_a_collator(Length length)
{
    const std::array<std::array<int, 3>, 2> rows{{{1, 2, 3}, {4, 5, 6}}};
    const collator<Length> collate{{.pad_id = 0, .length = length}};
    const auto batch = collate(rows);
    return batch.token_ids().size() == batch.rows() * batch.width() ? batch.width() : 0;
}
static_assert(width_in_a_collator(batten::fixed_length(5)) == 5);
static_assert(width_in_a_collator(batten::static_length<4>{}) == 4);
static_assert(width_in_a_collator(batten::dynamic_length{}) == 3);
static_assert(width_in_a_collator(batten::round_up_to<8>{}) == 8);
static_assert(width_in_a_collator(power_of_two{}) == 4);
static_assert(width_in_a_collator(between{5, 9}) == 5);
static_assert(width_in_a_collator(foreign::capacity{6}) == 6);
static_assert(width_in_a_collator(foreign::only_a_width{}) == 4);
static_assert(width_in_a_collator(batten::round_up_to<5, foreign::only_a_width>{}) == 5);

TEST_CASE("a dynamic batch is as wide as its longest row")
{
    const collator<batten::dynamic_length> collate{{.pad_id = 0}};
    CHECK(collate.shape(ragged{{1}, {1, 2, 3}, {}}).width() == 3);
    CHECK(collate.shape(ragged{{1}, {1, 2, 3, 4}, {}}).width() == 4);
}

TEST_CASE("a ladder's batch is as wide as the first edge that holds its longest row")
{
    const collator<batten::bucketed_length> collate{{.pad_id = 0, .length = {2, 4, 8}}};
    CHECK(collate.shape(ragged{{1}, {}}).width() == 2);
    CHECK(collate.shape(ragged{{1}, {1, 2}}).width() == 2);
    CHECK(collate.shape(ragged{{1}, {1, 2, 3}}).width() == 4);
    CHECK(collate.shape(ragged{{1, 2, 3, 4, 5, 6, 7, 8}}).width() == 8);
    CHECK(call_error(collate, ragged{{1}, {1, 2, 3, 4, 5, 6, 7, 8, 9}}) == error_is(errors::row_over_limit, 1, 9, 8));
}

TEST_CASE("the limit is compared before rounding: fixed 5 rounded up to 8 is 8 wide and refuses 6 tokens")
{
    const collator<batten::round_up_to<8, batten::fixed_length>> collate{{.pad_id = 0, .length = {5}}};
    CHECK(collate(ragged{{1, 2, 3, 4, 5}}).width() == 8);
    CHECK(call_error(collate, ragged{{1, 2, 3, 4, 5, 6}}) == error_is(errors::row_over_limit, 0, 6, 5));
}

TEST_CASE("widths see the lengths after truncation")
{
    const collator<batten::round_up_to<2, batten::dynamic_length>, batten::truncate_right> collate{
        {.pad_id = 0, .length = {{3}}}};
    CHECK(collate.shape(ragged{{1, 2, 3, 4, 5, 6, 7}}).width() == 4);
}

TEST_CASE("rule 6: widths count columns: 5 tokens take 4 where the last is a target alone")
{
    const collator<batten::dynamic_length> collate{{.pad_id = 0, .length = {4}, .targets = batten::next_token_drop_last}};
    CHECK(collate.shape(ragged{{1, 2, 3, 4, 5}}).width() == 4);
    CHECK(call_error(collate, ragged{{1, 2, 3, 4, 5, 6}}) == error_is(errors::row_over_limit, 0, 6, 5));
    ragged rows(1, std::vector<int>(1025, 1));
    const collator<batten::static_length<1024>> train{{.pad_id = 0, .targets = batten::next_token_drop_last}};
    CHECK(train.shape(rows).width() == 1024);
}

// ---- rule 2: nothing, and rows of nothing -----------------------------------------------------------------------------

template <class Length>
void check_width_of_nothing(Length length, std::size_t width)
{
    const collator<Length> collate{{.pad_id = 9, .length = length}};
    const auto none = collate(ragged{});
    CHECK(none.rows() == 0);
    CHECK(none.width() == width);
    CHECK(none.token_ids().empty());
    CHECK(none.lengths().empty());
    CHECK(none.summary() == batten::summary{});
    const auto empty_rows = collate(ragged{{}, {}});
    CHECK(empty_rows.rows() == 2);
    CHECK(empty_rows.width() == width);
    CHECK(line_of(empty_rows.token_ids()) == line(2 * width, 9));
    CHECK(line_of(empty_rows.attention_mask()) == line(2 * width, 0));
    CHECK(line_of(empty_rows.lengths()) == line{0, 0});
    CHECK(empty_rows.summary() == batten::summary{.padded_cells = 2 * width, .rows_without_targets = 2});
}

TEST_CASE("rule 2: a batch of nothing, or of empty rows, is as wide as the strategy says of nothing")
{
    check_width_of_nothing(batten::fixed_length(512), 512);
    check_width_of_nothing(batten::static_length<5>{}, 5);
    check_width_of_nothing(batten::dynamic_length{}, 0);
    check_width_of_nothing(batten::dynamic_length{7}, 0);
    check_width_of_nothing(batten::bucketed_length{4, 8}, 4);
    check_width_of_nothing(batten::round_up_to<8>{}, 0);
    check_width_of_nothing(batten::round_up_to<8, batten::fixed_length>{500}, 504);
    check_width_of_nothing(batten::round_up_to<8, batten::bucketed_length>{{4, 9}}, 8);
    check_width_of_nothing(power_of_two{}, 1);
    check_width_of_nothing(foreign::capacity{3}, 3);
}

// ---- strategies as users write them -----------------------------------------------------------------------------------

TEST_CASE("a strategy of the user's own is found by its shape: a width alone is enough")
{
    const collator<power_of_two> collate{{.pad_id = 0}};
    CHECK(collate.shape(ragged{{1, 2, 3}, {1, 2, 3, 4, 5}}).width() == 8);
    CHECK(collate.shape(ragged(3, std::vector<int>(1000, 1))).width() == 1024);
}

TEST_CASE("a user's strategy may have a limit, a greatest width and a check of its options")
{
    const collator<between> collate{{.pad_id = 0, .length = {3, 5}}};
    CHECK(collate.shape(ragged{{1}}).width() == 3);
    CHECK(call_error(collate, ragged{{1, 2, 3, 4, 5, 6}}) == error_is(errors::row_over_limit, 0, 6, 5));
    CHECK(options_error<collator<between>>({.pad_id = 0, .length = {9, 5}}) ==
          error_is(errors::length_not_positive, no_row, 9, 5, "between"));
}

TEST_CASE("a foreign type becomes a strategy through length_traits, with a width alone too")
{
    const collator<foreign::capacity> capacity{{.pad_id = 0, .length = {4}}};
    CHECK(capacity.shape(ragged{{1}}).width() == 4);
    CHECK(call_error(capacity, ragged{{1, 2, 3, 4, 5}}) == error_is(errors::row_over_limit, 0, 5, 4));
    const collator<foreign::only_a_width> width{{.pad_id = 0}};
    CHECK(width.shape(ragged{{1}, {2}, {3}}).width() == 6);
}

struct one_too_narrow {
    template <class Lengths>
    static constexpr std::size_t width(const Lengths& lengths)
    {
        std::size_t longest = 1;
        for (const std::size_t length : lengths)
            longest = std::max(longest, length);
        return longest - 1;
    }
};
struct negative_width {
    template <class Lengths>
    static constexpr int width(const Lengths& /*lengths*/)
    {
        return -1;
    }
};

TEST_CASE("a strategy whose width is too small for a row is an error before anything is written")
{
    const collator<one_too_narrow> collate{{.pad_id = 0}};
    CHECK(call_error(collate, ragged{{1, 2}, {1, 2, 3}, {1}}) == error_is(errors::row_past_width, 1, 3, 2));
}

TEST_CASE("a strategy whose width is beyond all memory is an error before anything is written")
{
    const collator<negative_width> collate{{.pad_id = 0}};
    CHECK(call_error(collate, ragged{{1, 2}}).code == errors::size_overflow);
}

// ---- options that make no sense ---------------------------------------------------------------------------------------

TEST_CASE("a length below 1 is an error of the collator, whatever the strategy")
{
    CHECK(options_error<collator<batten::fixed_length>>({.pad_id = 0, .length = {0}}) ==
          error_is(errors::length_not_positive, no_row, 0));
    CHECK(options_error<collator<batten::fixed_length>>({.pad_id = 0, .length = {-3}}) ==
          error_is(errors::length_not_positive, no_row, -3));
    CHECK(options_error<collator<batten::dynamic_length>>({.pad_id = 0, .length = {0}}) ==
          error_is(errors::length_not_positive, no_row, 0));
    CHECK(options_error<collator<batten::dynamic_length>>({.pad_id = 0, .length = {-1}}) ==
          error_is(errors::length_not_positive, no_row, -1));
    CHECK(options_error<collator<batten::bucketed_length>>({.pad_id = 0, .length = {0, 8}}) ==
          error_is(errors::length_not_positive, no_row, 0));
    CHECK(options_error<collator<batten::round_up_to<8, batten::fixed_length>>>({.pad_id = 0, .length = {0}}) ==
          error_is(errors::length_not_positive, no_row, 0));
    CHECK(options_error<collator<batten::round_up_to<8>>>({.pad_id = 0, .length = {{}, 0}}) ==
          error_is(errors::length_not_positive, no_row, 0));
    CHECK(options_error<collator<batten::round_up_to<8>>>({.pad_id = 0, .length = {{}, -8}}) ==
          error_is(errors::length_not_positive, no_row, -8));
}

TEST_CASE("a ladder that is empty or does not increase is an error of the collator")
{
    CHECK(options_error<collator<batten::bucketed_length>>({.pad_id = 0}) == error_is(errors::edges_empty, no_row));
    CHECK(options_error<collator<batten::bucketed_length>>({.pad_id = 0, .length = {8, 4}}) ==
          error_is(errors::edges_not_increasing, no_row, 8, 4));
    CHECK(options_error<collator<batten::bucketed_length>>({.pad_id = 0, .length = {4, 8, 8}}) ==
          error_is(errors::edges_not_increasing, no_row, 8, 8));
    CHECK(options_error<collator<batten::round_up_to<8, batten::bucketed_length>>>({.pad_id = 0, .length = {{8, 4}}}) ==
          error_is(errors::edges_not_increasing, no_row, 8, 4));
    CHECK(options_error<collator<batten::bucketed_length>>({.pad_id = 0, .length = {-4, 8}}).code ==
          errors::length_not_positive);
}

TEST_CASE("rounding past an explicit greatest width is an error")
{
    const collator<batten::round_up_to<8, batten::fixed_length>> fixed{{.pad_id = 0, .length = {500, 500}}};
    CHECK(call_error(fixed, ragged{{1}}) == error_is(errors::width_past_maximum, no_row, 504, 500));
    const collator<batten::round_up_to<8>> dynamic{{.pad_id = 0, .length = {{}, 12}}};
    CHECK(dynamic.shape(ragged{{1, 2, 3}}).width() == 8);
    CHECK(call_error(dynamic, ragged{{1, 2, 3, 4, 5, 6, 7, 8, 9}}) == error_is(errors::width_past_maximum, no_row, 16, 12));
    const collator<batten::round_up_to<10, batten::round_up_to<8>>> nested{{.pad_id = 0, .length = {{{}, 8}}}};
    CHECK(call_error(nested, ragged{{1, 2}}) == error_is(errors::width_past_maximum, no_row, 10, 8));
}

TEST_CASE("rule 10: a width that no memory could hold is an error: rows x width and x bytes are checked before the first write")
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    const collator<batten::fixed_length> half{{.pad_id = 0, .length = {most / 2}}};
    CHECK(call_error(half, ragged{{1}, {2}, {3}}) == error_is(errors::size_overflow, no_row, 3, most / 2));
    const collator<batten::fixed_length> eighth{{.pad_id = 0, .length = {most / 8}}};
    CHECK(call_error(eighth, ragged{{1}}) == error_is(errors::size_overflow, no_row, 1, most / 8));
    const collator<batten::round_up_to<8, batten::fixed_length>> rounded{{.pad_id = 0, .length = {most}}};
    CHECK(call_error(rounded, ragged{{1}}).code == errors::size_overflow);
}

}  // namespace
