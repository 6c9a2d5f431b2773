// SPDX-License-Identifier: MIT
// integer, error, result and the exception on their own. Which call ends in which error stands beside what it calls.

#include "support.hpp"

#include <array>
#include <limits>
#include <set>
#include <string>

namespace {

using batten::error_code;
using batten::integer;

// ---- integer ----------------------------------------------------------------------------------------------------------

static_assert(integer(255).fits<std::uint8_t>() && !integer(256).fits<std::uint8_t>());
static_assert(integer(127).fits<std::int8_t>() && !integer(128).fits<std::int8_t>());
static_assert(integer(-128).fits<std::int8_t>() && !integer(-129).fits<std::int8_t>());
static_assert(!integer(-1).fits<std::uint64_t>() && integer(0).fits<std::uint64_t>());
static_assert(integer(1).fits<bool>() && !integer(2).fits<bool>() && !integer(-1).fits<bool>());
static_assert(integer(std::numeric_limits<std::uint64_t>::max()).fits<std::uint64_t>());
static_assert(!integer(std::numeric_limits<std::uint64_t>::max()).fits<std::int64_t>());
static_assert(integer(std::numeric_limits<std::int64_t>::min()).fits<std::int64_t>());
static_assert(!integer(std::numeric_limits<std::int64_t>::min()).fits<std::int32_t>());
static_assert(integer(std::numeric_limits<std::int64_t>::min()).to<std::int64_t>() == std::numeric_limits<std::int64_t>::min());
static_assert(integer(-100).to<int>() == -100 && integer(-100).to<std::int8_t>() == -100);
static_assert(integer(-100).to<float>() == -100.0F);
static_assert(integer(std::int8_t{-1}) == integer(-1LL) && integer(-1).is_negative() && !integer(0U).is_negative());
static_assert(integer(-1) != integer(std::numeric_limits<std::uint64_t>::max()));

TEST_CASE("an integer prints itself whatever its type was")
{
    CHECK(integer(-100).text() == "-100");
    CHECK(integer(std::numeric_limits<std::uint64_t>::max()).text() == "18446744073709551615");
    CHECK(integer(std::numeric_limits<std::int64_t>::min()).text() == "-9223372036854775808");
    CHECK(integer().text() == "0");
}

// ---- messages ---------------------------------------------------------------------------------------------------------

constexpr std::array all_codes{error_code::row_over_limit,
                               error_code::offset_negative,
                               error_code::offsets_decrease,
                               error_code::offset_past_end,
                               error_code::row_index_out_of_range,
                               error_code::count_mismatch,
                               error_code::prompt_length_negative,
                               error_code::prompt_past_end,
                               error_code::column_length_mismatch,
                               error_code::token_not_representable,
                               error_code::value_not_representable,
                               error_code::size_overflow,
                               error_code::out_of_memory,
                               error_code::span_too_small,
                               error_code::span_too_large,
                               error_code::pitch_too_small,
                               error_code::pad_id_not_representable,
                               error_code::ignore_index_not_representable,
                               error_code::pad_value_not_representable,
                               error_code::length_not_positive,
                               error_code::ladder_empty,
                               error_code::ladder_not_increasing,
                               error_code::width_past_maximum,
                               error_code::row_past_width,
                               error_code::offset_past_width,
                               error_code::slice_outside_sequence,
                               error_code::slice_over_limit,
                               error_code::segment_misplaced,
                               error_code::segment_columns_wrong,
                               error_code::length_negative,
                               error_code::argument_not_positive,
                               error_code::nothing_to_plan,
                               error_code::cost_decreases,
                               error_code::batches_unlimited,
                               error_code::rank_out_of_range,
                               error_code::batch_out_of_range,
                               error_code::state_of_another,
                               error_code::capacity_too_small,
                               error_code::capacity_too_large,
                               error_code::segment_past_row,
                               error_code::segment_row_out_of_range,
                               error_code::offsets_not_from_zero,
                               error_code::queries_past_keys,
                               error_code::interval_outside_keys,
                               error_code::mask_id_missing,
                               error_code::mask_id_not_representable,
                               error_code::probability_out_of_range,
                               error_code::probabilities_past_one,
                               error_code::vocabulary_too_small,
                               error_code::decode_past_capacity,
                               error_code::row_finished,
                               error_code::row_without_tokens,
                               error_code::count_out_of_range,
                               error_code::row_out_of_range,
                               error_code::request_empty,
                               error_code::request_over_limit,
                               error_code::request_duplicate,
                               error_code::request_unknown,
                               error_code::request_expired,
                               error_code::priority_out_of_range,
                               error_code::queue_full,
                               error_code::queue_draining,
                               error_code::argument_negative,
                               error_code::pool_without_blocks,
                               error_code::block_out_of_range,
                               error_code::block_reserved,
                               error_code::block_not_live,
                               error_code::tokens_not_there,
                               error_code::computed_past_known,
                               error_code::chunk_multiple_too_large,
                               error_code::nothing_scheduled,
                               error_code::scheduled_past_known,
                               error_code::blocks_missing,
                               error_code::pad_block_not_reserved,
                               error_code::step_past_size,
                               error_code::size_past_ladder,
                               error_code::context_not_first,
                               error_code::chunk_not_of_blocks,
                               error_code::generation_of_several,
                               error_code::bucket_width_unsteady};

TEST_CASE("the message of a row over the limit names the row, its tokens and the limit")
{
    const batten::error reason{error_code::row_over_limit, 3, 700, 512, {}};
    CHECK(reason.message() == "batten::collate: row 3 has 700 tokens, the limit is 512");
}

TEST_CASE("every error has a message of its own that begins with the library's name")
{
    std::set<std::string> messages;
    for (const error_code code : all_codes) {
        const std::string message = batten::error{code, 3, 71, 52, "token_ids"}.message();
        CAPTURE(message);
        CHECK(message.rfind("batten::collate: ", 0) == 0);
        CHECK(message.size() > std::string("batten::collate: ").size() + 8);
        CHECK(messages.insert(message).second);
    }
}

TEST_CASE("messages of errors in a field name the field")
{
    CHECK(batten::error{error_code::span_too_small, tests::no_row, 8, 7, "labels"}.message() ==
          "batten::collate: labels needs 8 elements, the span has 7");
    CHECK(batten::error{error_code::token_not_representable, 1, 2, -5, "token_ids"}.message() ==
          "batten::collate: row 1, token 2 is -5, which the element type of token_ids cannot hold");
    CHECK(batten::error{error_code::pad_id_not_representable, tests::no_row, -1, {}, "token_ids"}.message() ==
          "batten::collate: pad_id -1 cannot be held by the element type of token_ids");
}

TEST_CASE("an error without a code says so")
{
    CHECK(batten::error{}.message() == "batten: no error");
}

// ---- the exception ----------------------------------------------------------------------------------------------------

TEST_CASE("a collate_error carries the error and its message")
{
    const batten::collate_error thrown(batten::error{error_code::row_over_limit, 3, 700, 512, {}});
    CHECK(thrown.error().code == error_code::row_over_limit);
    CHECK(thrown.error().row == 3);
    CHECK(std::string(thrown.what()) == "batten::collate: row 3 has 700 tokens, the limit is 512");
    static_assert(std::is_base_of_v<std::runtime_error, batten::collate_error>);
}

TEST_CASE("set_error_handler returns the handler before, and null brings the printing one back")
{
    const batten::error_handler printing = batten::set_error_handler(nullptr);
    const batten::error_handler mine = [](const batten::error&) {};
    CHECK(batten::set_error_handler(mine) == printing);
    CHECK(batten::set_error_handler(nullptr) == mine);
    CHECK(batten::set_error_handler(nullptr) == printing);
}

// ---- result -----------------------------------------------------------------------------------------------------------

constexpr bool results_are_values_or_errors()
{
    batten::result<int> good(7);
    const batten::result<int> bad(batten::error{error_code::ladder_empty, tests::no_row, {}, {}, {}});
    *good += 1;
    return good.has_value() && good && good.value() == 8 && *good == 8 && good.error().code == error_code::none && !bad &&
           bad.error().code == error_code::ladder_empty && batten::result<int>(3).value() == 3 && *batten::result<int>(4) == 4;
}
static_assert(results_are_values_or_errors());

TEST_CASE("value() of a result that holds an error throws that error")
{
    const batten::result<int> bad(batten::error{error_code::row_over_limit, 3, 700, 512, {}});
    tests::check_throws(bad.error(), [&] { static_cast<void>(bad.value()); });
}

TEST_CASE("a result's value can be moved out")
{
    batten::result<std::string> text(std::string("batten"));
    CHECK(text->size() == 6);
    CHECK(std::as_const(text)->size() == 6);
    CHECK(std::as_const(text).value() == "batten");
    const std::string moved = std::move(text).value();
    CHECK(moved == "batten");
}

// ---- sums and products of sizes ---------------------------------------------------------------------------------------

constexpr bool sizes_are_checked()
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    std::size_t out = 0;
    return batten::detail::add(most - 1, 1, out) && out == most && !batten::detail::add(most, 1, out) &&
           batten::detail::multiply(most / 2, 2, out) && !batten::detail::multiply(most / 2 + 1, 2, out) &&
           batten::detail::multiply(0, most, out) && out == 0 && batten::detail::multiply(most, 1, out);
}
static_assert(sizes_are_checked());

}  // namespace
