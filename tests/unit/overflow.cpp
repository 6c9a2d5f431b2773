// SPDX-License-Identifier: MIT
// The overflow policies: the built-in ones, and a user's through both doors.

#include "support.hpp"

#include <array>
#include <optional>

namespace {

namespace errors = batten::errors;
using batten::slice;
using tests::call_error;
using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::holds;
using tests::line;
using tests::line_of;
using tests::ragged;

// By shape: keeps the middle.
struct keep_middle {
    static constexpr slice keep(std::size_t length, std::size_t limit) { return {(length - limit) / 2, limit}; }
};

// Truncates what is a little too long, and refuses what is much too long.
struct forgive_some {
    std::size_t most = 0;
    constexpr std::optional<slice> keep(std::size_t length, std::size_t limit) const
    {
        if (length > limit + most)
            return std::nullopt;
        return slice{0, limit};
    }
};

}  // namespace

namespace foreign {
struct cut_policy {
    bool from_front = false;
};
}  // namespace foreign

// Through the traits.
template <>
struct batten::overflow_traits<foreign::cut_policy> {
    static constexpr std::optional<batten::slice> keep(const foreign::cut_policy& policy, std::size_t length, std::size_t limit)
    {
        return batten::slice{policy.from_front ? length - limit : 0, limit};
    }
};

namespace {

struct not_a_policy {};
struct keeps_a_number {
    static constexpr std::size_t keep(std::size_t, std::size_t limit) { return limit; }
};

static_assert(batten::overflow_policy<batten::reject> && batten::overflow_policy<batten::truncate_left> &&
              batten::overflow_policy<batten::truncate_right>);
static_assert(batten::overflow_policy<keep_middle> && batten::overflow_policy<forgive_some> &&
              batten::overflow_policy<foreign::cut_policy>);
static_assert(!batten::overflow_policy<not_a_policy> && !batten::overflow_policy<keeps_a_number> &&
              !batten::overflow_policy<int>);
static_assert(std::is_empty_v<batten::reject> && std::is_empty_v<batten::truncate_left> &&
              std::is_empty_v<batten::truncate_right>);
static_assert(batten::reject::keep(5, 3) == std::nullopt);
static_assert(batten::truncate_right::keep(5, 3) == slice{0, 3} && batten::truncate_left::keep(5, 3) == slice{2, 3});

template <class Overflow>
using collator = batten::collator<batten::pad_right, batten::fixed_length, Overflow, batten::training_fields>;

template <class Overflow>
constexpr bool keeps(std::initializer_list<long long> ids, Overflow overflow = {})
{
    const std::array<std::array<int, 6>, 1> rows{{{1, 2, 3, 4, 5, 6}}};
    const collator<Overflow> collate{{.pad_id = 0, .length = {4}, .overflow = overflow}};
    const auto batch = collate(rows);
    return holds(batch.token_ids(), ids) && holds(batch.position_ids(), {0, 1, 2, 3}) && batch.truncated_tokens()[0] == 2 &&
           batch.summary().truncated_tokens == 2 && batch.lengths()[0] == 4;
}
static_assert(keeps<batten::truncate_right>({1, 2, 3, 4}));
static_assert(keeps<batten::truncate_left>({3, 4, 5, 6}));
static_assert(keeps<keep_middle>({2, 3, 4, 5}));
static_assert(keeps<forgive_some>({1, 2, 3, 4}, forgive_some{2}));
static_assert(keeps<foreign::cut_policy>({3, 4, 5, 6}, foreign::cut_policy{true}));
static_assert(keeps<foreign::cut_policy>({1, 2, 3, 4}, foreign::cut_policy{false}));

constexpr bool rejection_is_a_value_in_constant_evaluation()
{
    const std::array<std::array<int, 6>, 1> rows{{{1, 2, 3, 4, 5, 6}}};
    const collator<batten::reject> collate{{.pad_id = 0, .length = {4}}};
    const auto result = collate.try_collate(rows);
    return !result && result.error().code == errors::row_over_limit && result.error().row == 0 &&
           result.error().first == 6 && result.error().second == 4;
}
static_assert(rejection_is_a_value_in_constant_evaluation());

TEST_CASE("rule 1: a sequence over the limit is an error that names the row, its length and the limit")
{
    ragged rows(5, std::vector<int>(512, 1));
    rows[3].resize(700, 1);
    const collator<batten::reject> collate{{.pad_id = 0, .length = {512}}};
    const auto reason = call_error(collate, rows);
    CHECK(reason == error_is(errors::row_over_limit, 3, 700, 512));
    CHECK(collate.try_shape(rows).error().message() == "batten: row 3 has 700 tokens, the limit is 512");
}

TEST_CASE("rule 1: truncation is opted into, and the batch reports for each row how many tokens it dropped")
{
    const collator<batten::truncate_right> collate{{.pad_id = 0, .length = {3}}};
    const auto batch = collate(ragged{{1, 2, 3, 4, 5}, {1, 2, 3}, {}, {1, 2, 3, 4}});
    CHECK(grid_of(batch.view<batten::token_ids>()) == grid{{1, 2, 3}, {1, 2, 3}, {0, 0, 0}, {1, 2, 3}});
    CHECK(line_of(batch.truncated_tokens()) == line{2, 0, 0, 1});
    CHECK(line_of(batch.lengths()) == line{3, 3, 0, 3});
    CHECK(batch.summary() == batten::summary{.real_tokens = 9,
                                             .padded_cells = 3,
                                             .truncated_tokens = 3,
                                             .targets = 6,
                                             .rows_without_targets = 1,
                                             .max_seqlen = 3});
}

TEST_CASE("rule 1: exactly the limit fits, one more does not")
{
    const collator<batten::reject> collate{{.pad_id = 0, .length = {4}}};
    CHECK(collate.try_collate(ragged{{1, 2, 3, 4}}).has_value());
    CHECK(call_error(collate, ragged{{1, 2, 3, 4, 5}}) == error_is(errors::row_over_limit, 0, 5, 4));
}

TEST_CASE("truncate_left keeps the end, truncate_right the beginning")
{
    const ragged rows{{1, 2, 3, 4, 5}};
    CHECK(line_of(collator<batten::truncate_left>{{.pad_id = 0, .length = {3}}}(rows).token_ids()) == line{3, 4, 5});
    CHECK(line_of(collator<batten::truncate_right>{{.pad_id = 0, .length = {3}}}(rows).token_ids()) == line{1, 2, 3});
}

TEST_CASE("rule 14: positions start at 0 after a cut, and prompt lengths and columns are sliced along with the sequence")
{
    const ragged rows{{1, 2, 3, 4, 5, 6}};
    const std::vector<int> prompts{4};
    const std::vector<std::vector<float>> weights{{0.5F, 1.5F, 2.5F, 3.5F, 4.5F, 5.5F}};
    const std::vector<std::vector<int>> trained{{1, 1, 1, 1, 0, 1}};
    using fields = batten::fields<batten::token_ids<>, batten::position_ids<>, batten::loss_mask<>, batten::labels<>,
                                  batten::column<"weights", float>>;
    const batten::columns columns{batten::named<"weights">(weights)};

    const batten::collator<batten::pad_right, batten::fixed_length, batten::truncate_left, fields> left{
        {.pad_id = 0, .length = {4}}};
    const auto end = left(batten::inputs{rows, prompts, trained, columns});
    CHECK(line_of(end.token_ids()) == line{3, 4, 5, 6});
    CHECK(line_of(end.position_ids()) == line{0, 1, 2, 3});
    CHECK(line_of(end.loss_mask()) == line{0, 0, 0, 1});
    CHECK(line_of(end.labels()) == line{-100, -100, -100, 6});
    CHECK(std::vector<float>(end.get<"weights">().begin(), end.get<"weights">().end()) ==
          std::vector<float>{2.5F, 3.5F, 4.5F, 5.5F});

    const batten::collator<batten::pad_right, batten::fixed_length, keep_middle, fields> middle{{.pad_id = 0, .length = {2}}};
    const auto inner = middle(batten::inputs{rows, prompts, batten::none, columns});
    CHECK(line_of(inner.token_ids()) == line{3, 4});
    CHECK(line_of(inner.loss_mask()) == line{0, 0});
    CHECK(inner.get<"weights">()[0] == 2.5F);
    CHECK(inner.summary().rows_without_targets == 1);
}

TEST_CASE("rule 14: a prompt that was cut off whole leaves a row that is trained from its second token on")
{
    const ragged rows{{1, 2, 3, 4, 5, 6}};
    const std::vector<int> prompts{2};
    const collator<batten::truncate_left> collate{{.pad_id = 0, .length = {3}, .targets = batten::next_token}};
    const auto batch = collate(batten::inputs{rows, prompts});
    CHECK(line_of(batch.labels()) == line{5, 6, -100});
    CHECK(batch.summary().targets == 2);
}

TEST_CASE("rule 6: truncation to 4 columns keeps 5 tokens where the last token is a target alone")
{
    const ragged rows{{1, 2, 3, 4, 5, 6, 7}};
    const collator<batten::truncate_right> right{{.pad_id = 0, .length = {4}, .targets = batten::next_token_drop_last}};
    const auto head = right(rows);
    CHECK(line_of(head.token_ids()) == line{1, 2, 3, 4});
    CHECK(line_of(head.labels()) == line{2, 3, 4, 5});
    CHECK(line_of(head.truncated_tokens()) == line{2});
    const collator<batten::truncate_left> left{{.pad_id = 0, .length = {4}, .targets = batten::next_token_drop_last}};
    const auto tail = left(rows);
    CHECK(line_of(tail.token_ids()) == line{3, 4, 5, 6});
    CHECK(line_of(tail.labels()) == line{4, 5, 6, 7});
}

TEST_CASE("a policy of the user's may truncate some rows and refuse others")
{
    const collator<forgive_some> collate{{.pad_id = 0, .length = {3}, .overflow = {1}}};
    CHECK(line_of(collate(ragged{{1, 2, 3, 4}}).token_ids()) == line{1, 2, 3});
    CHECK(call_error(collate, ragged{{1, 2, 3, 4}, {1, 2, 3, 4, 5}}) == error_is(errors::row_over_limit, 1, 5, 3));
}

TEST_CASE("a foreign type becomes an overflow policy through overflow_traits")
{
    const collator<foreign::cut_policy> front{{.pad_id = 0, .length = {2}, .overflow = {true}}};
    CHECK(line_of(front(ragged{{1, 2, 3}, {4}}).token_ids()) == line{2, 3, 4, 0});
}

struct asked_too_often {
    int* times = nullptr;
    std::optional<slice> keep(std::size_t /*length*/, std::size_t limit) const
    {
        ++*times;
        return slice{0, limit};
    }
};

TEST_CASE("an overflow policy is asked about sequences over the limit alone")
{
    int times = 0;
    const collator<asked_too_often> collate{{.pad_id = 0, .length = {4}, .overflow = {&times}}};
    static_cast<void>(collate(ragged{{1, 2, 3, 4}, {1}, {}}));
    CHECK(times == 0);
    static_cast<void>(collate(ragged{{1, 2, 3, 4, 5}}));
    CHECK(times > 0);
}

TEST_CASE("a policy may keep less than the limit, or nothing")
{
    struct keep_one {
        static constexpr slice keep(std::size_t length, std::size_t /*limit*/) { return {length - 1, 1}; }
    };
    struct keep_nothing {
        static constexpr slice keep(std::size_t length, std::size_t /*limit*/) { return {length, 0}; }
    };
    const ragged rows{{1, 2, 3, 4}, {5}};
    const collator<keep_one> one{{.pad_id = 0, .length = {2}}};
    CHECK(line_of(one(rows).token_ids()) == line{4, 0, 5, 0});
    CHECK(line_of(one(rows).truncated_tokens()) == line{3, 0});
    const collator<keep_nothing> nothing{{.pad_id = 0, .length = {2}}};
    CHECK(line_of(nothing(rows).token_ids()) == line{0, 0, 5, 0});
    CHECK(line_of(nothing(rows).truncated_tokens()) == line{4, 0});
}

// ---- policies whose slice does not fit --------------------------------------------------------------------------------

struct past_the_end {
    static constexpr slice keep(std::size_t length, std::size_t limit) { return {length - limit + 1, limit}; }
};
struct begins_nowhere {
    static constexpr slice keep(std::size_t /*length*/, std::size_t /*limit*/) { return {static_cast<std::size_t>(-1), 2}; }
};
struct begins_past_the_end {
    static constexpr slice keep(std::size_t length, std::size_t /*limit*/) { return {length + 1, 0}; }
};
struct over_the_limit {
    static constexpr slice keep(std::size_t length, std::size_t limit) { return {0, std::min(length, limit + 1)}; }
};

TEST_CASE("a kept slice that ends outside its sequence is an error before anything is read")
{
    const collator<past_the_end> late{{.pad_id = 0, .length = {3}}};
    CHECK(call_error(late, ragged{{1}, {1, 2, 3, 4, 5}}) == error_is(errors::slice_outside_sequence, 1, 3, 3));
    const collator<begins_nowhere> nowhere{{.pad_id = 0, .length = {3}}};
    CHECK(call_error(nowhere, ragged{{1, 2, 3, 4, 5}}) ==
          error_is(errors::slice_outside_sequence, 0, static_cast<std::size_t>(-1), 2));
    const collator<begins_past_the_end> behind{{.pad_id = 0, .length = {3}}};
    CHECK(call_error(behind, ragged{{1, 2, 3, 4, 5}}) == error_is(errors::slice_outside_sequence, 0, 6, 0));
}

TEST_CASE("a kept slice over the limit is an error that names the row, what was kept and the limit")
{
    const collator<over_the_limit> collate{{.pad_id = 0, .length = {3}}};
    CHECK(call_error(collate, ragged{{1, 2, 3}, {1, 2, 3, 4, 5}}) == error_is(errors::slice_over_limit, 1, 4, 3));
}

}  // namespace
