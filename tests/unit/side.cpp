// SPDX-License-Identifier: MIT
// The padding sides: the built-in ones, and a user's through both doors.

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

// By shape: the member is enough.
struct pad_both {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};

// With a value of its own, as a member function that is not static, of another integer type.
struct pad_after {
    int columns = 0;
    constexpr int offset(std::size_t length, std::size_t width) const
    {
        return std::min(columns, static_cast<int>(width - length));
    }
};

}  // namespace

// A type of somebody else's, which has none of the members.
namespace foreign {
enum class direction {
    left,
    right
};
}  // namespace foreign

// Through the traits: the type itself is left alone.
template <>
struct batten::side_traits<foreign::direction> {
    static constexpr std::size_t offset(foreign::direction side, std::size_t length, std::size_t width)
    {
        return side == foreign::direction::left ? width - length : 0;
    }
};

namespace {

struct not_a_side {};
struct offset_of_text {
    static std::string offset(std::size_t, std::size_t);
};

static_assert(batten::padding_side<batten::pad_right> && batten::padding_side<batten::pad_left>);
static_assert(batten::padding_side<pad_both> && batten::padding_side<pad_after> && batten::padding_side<foreign::direction>);
static_assert(!batten::padding_side<not_a_side> && !batten::padding_side<offset_of_text> && !batten::padding_side<int>);
static_assert(std::is_empty_v<batten::pad_right> && std::is_empty_v<batten::pad_left>);
static_assert(batten::pad_right::offset(2, 5) == 0 && batten::pad_left::offset(2, 5) == 3 &&
              batten::pad_left::offset(5, 5) == 0);

template <class Side>
using collator = batten::collator<Side, batten::fixed_length, batten::reject, batten::training_fields>;

template <class Side>
constexpr bool puts_tokens_at(std::initializer_list<long long> ids, Side side = {})
{
    const std::array<std::array<int, 2>, 1> rows{{{5, 6}}};
    const collator<Side> collate{{.pad_id = 0, .length = {5}, .side = side}};
    const auto batch = collate(rows);
    return holds(batch.token_ids(), ids);
}
static_assert(puts_tokens_at<batten::pad_right>({5, 6, 0, 0, 0}));
static_assert(puts_tokens_at<batten::pad_left>({0, 0, 0, 5, 6}));
static_assert(puts_tokens_at<pad_both>({0, 5, 6, 0, 0}));
static_assert(puts_tokens_at<pad_after>({0, 0, 5, 6, 0}, pad_after{2}));
static_assert(puts_tokens_at<foreign::direction>({0, 0, 0, 5, 6}, foreign::direction::left));
static_assert(puts_tokens_at<foreign::direction>({5, 6, 0, 0, 0}, foreign::direction::right));

constexpr bool left_padding_counts_from_the_first_token()
{
    const std::array<std::span<const int>, 2> none_yet{};
    static_cast<void>(none_yet);
    const std::array<int, 2> first{7, 8};
    const std::array<int, 4> second{1, 2, 3, 4};
    const std::array<std::span<const int>, 2> rows{first, second};
    const batten::collator<batten::pad_left, batten::dynamic_length> collate{{.pad_id = 9}};
    const auto batch = collate(rows);
    return holds(batch.token_ids(), {9, 9, 7, 8, 1, 2, 3, 4}) && holds(batch.attention_mask(), {0, 0, 1, 1, 1, 1, 1, 1}) &&
           holds(batch.position_ids(), {0, 0, 0, 1, 0, 1, 2, 3}) && holds(batch.loss_mask(), {0, 0, 0, 1, 1, 1, 1, 1});
}
static_assert(left_padding_counts_from_the_first_token());

TEST_CASE("pad_right puts the first token in the first column")
{
    const collator<batten::pad_right> collate{{.pad_id = 0, .length = {4}}};
    const auto batch = collate(ragged{{5, 6, 7}, {8}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{5, 6, 7, 0}, {8, 0, 0, 0}});
}

TEST_CASE("pad_left puts the last token in the last column")
{
    const collator<batten::pad_left> collate{{.pad_id = 0, .length = {4}}};
    const auto batch = collate(ragged{{5, 6, 7}, {8}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{0, 5, 6, 7}, {0, 0, 0, 8}});
}

TEST_CASE("rule 4: with left padding positions count from 0 at the first real token, and the attention mask is 0 before it")
{
    const collator<batten::pad_left> collate{{.pad_id = 0, .length = {5}}};
    const auto batch = collate(ragged{{5, 6, 7}, {}, {1, 2, 3, 4, 5}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 0, 0, 1, 2}, {0, 0, 0, 0, 0}, {0, 1, 2, 3, 4}});
    CHECK(grid_of(batch.view<batten::attention_mask>()) == grid{{0, 0, 1, 1, 1}, {0, 0, 0, 0, 0}, {1, 1, 1, 1, 1}});
}

TEST_CASE("rule 4: real tokens that equal the pad id keep their positions and their attention")
{
    const collator<batten::pad_left> collate{{.pad_id = 0, .length = {5}}};
    const auto batch = collate(ragged{{0, 0, 7}, {0}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{0, 0, 0, 0, 7}, {0, 0, 0, 0, 0}});
    CHECK(grid_of(batch.view<batten::attention_mask>()) == grid{{0, 0, 1, 1, 1}, {0, 0, 0, 0, 1}});
    CHECK(grid_of(batch.view<batten::position_ids>()) == grid{{0, 0, 0, 1, 2}, {0, 0, 0, 0, 0}});
}

TEST_CASE("a side of the user's own is found by its shape, and may hold a value")
{
    const collator<pad_after> collate{{.pad_id = 0, .length = {4}, .side = {1}}};
    const auto batch = collate(ragged{{5, 6}, {1, 2, 3, 4}, {}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{0, 5, 6, 0}, {1, 2, 3, 4}, {0, 0, 0, 0}});
    CHECK(grid_of(batch.view<batten::labels>()) == grid{{-100, -100, 6, -100}, {1, 2, 3, 4}, {-100, -100, -100, -100}});
}

TEST_CASE("a foreign type becomes a side through side_traits, and one collator type serves both of its values")
{
    const ragged rows{{5, 6}, {7}};
    const collator<foreign::direction> left{{.pad_id = 0, .length = {3}, .side = foreign::direction::left}};
    const collator<foreign::direction> right{{.pad_id = 0, .length = {3}, .side = foreign::direction::right}};
    CHECK(line_of(left(rows).token_ids()) == line{0, 5, 6, 0, 0, 7});
    CHECK(line_of(right(rows).token_ids()) == line{5, 6, 0, 7, 0, 0});
}

// ---- sides whose offset does not fit ----------------------------------------------------------------------------------

struct one_too_far {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return width - length + 1; }
};
struct beyond_everything {
    static constexpr std::size_t offset(std::size_t /*length*/, std::size_t /*width*/) { return static_cast<std::size_t>(-1); }
};
struct negative {
    static constexpr int offset(std::size_t /*length*/, std::size_t /*width*/) { return -1; }
};

TEST_CASE("a side whose offset is one column too large is an error before anything is written")
{
    const collator<one_too_far> collate{{.pad_id = 0, .length = {4}}};
    CHECK(call_error(collate, ragged{{5, 6, 7}}) == error_is(errors::offset_past_width, 0, 2, 1));
    CHECK(call_error(collate, ragged{{}}) == error_is(errors::offset_past_width, 0, 5, 4));
    CHECK(collate.try_collate(ragged{}).has_value());  // it is never asked
}

TEST_CASE("a side whose offset would overflow a sum is an error, not a write before the row")
{
    const collator<beyond_everything> far{{.pad_id = 0, .length = {4}}};
    const auto reason = call_error(far, ragged{{5, 6, 7}});
    CHECK(reason == error_is(errors::offset_past_width, 0, static_cast<std::size_t>(-1), 1));
    const collator<negative> below{{.pad_id = 0, .length = {4}}};
    CHECK(call_error(below, ragged{{5, 6, 7}}).code == errors::offset_past_width);
}

struct wrong_for_short_rows {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return length < 2 ? width : 0; }
};

TEST_CASE("the error of a side names the first row that it puts wrong")
{
    const collator<wrong_for_short_rows> collate{{.pad_id = 0, .length = {4}}};
    CHECK(call_error(collate, ragged{{5, 6, 7}, {1, 2}, {1}, {2}}) == error_is(errors::offset_past_width, 2, 4, 3));
}

// ---- continue_positions needs to know where pads lie -----------------------------------------------------------------------

// Says that its pads come last, and so may be used with positions that count on.
struct my_right {
    static constexpr bool pads_come_last = true;
    static constexpr std::size_t offset(std::size_t /*length*/, std::size_t /*width*/) { return 0; }
};

static_assert(batten::detail::pads_come_last<batten::pad_right>() && batten::detail::pads_come_last<my_right>());
static_assert(!batten::detail::pads_come_last<batten::pad_left>() && !batten::detail::pads_come_last<pad_both>());

TEST_CASE("a user's side that says its pads come last may have positions that count on")
{
    using fields = batten::fields<batten::position_ids<std::int32_t, batten::continue_positions>>;
    const batten::collator<my_right, batten::fixed_length, batten::reject, fields> collate{{.pad_id = 0, .length = {4}}};
    CHECK(line_of(collate(ragged{{5, 6}, {}}).position_ids()) == line{0, 1, 2, 3, 0, 1, 2, 3});
}

}  // namespace
