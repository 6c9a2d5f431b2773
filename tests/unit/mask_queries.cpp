// SPDX-License-Identifier: MIT
// The queries of a mask: those of rows, whose tokens attend to one another, and those of requests, over keys of their own.

#include "mask_support.hpp"

#include <batten/mask/queries.hpp>

#include <cstdint>
#include <limits>
#include <vector>

namespace {

using namespace tests;
namespace errors = batten::mask::errors;
using batten::segment;
using mask::dimensions;
using mask::query_segment;

template <class Where>
error_is error_of(const Where& where)
{
    const auto counted = mask::try_interval_count(where);
    CHECK_FALSE(counted.has_value());
    check_throws(counted.error(), [&] { static_cast<void>(mask::interval_count(where)); });
    guarded<mask::interval> memory(4);
    CHECK(error_is(mask::try_intervals(where, mask::causal{}, memory.cells()).error()) == error_is(counted.error()));
    CHECK(memory.untouched());
    return counted.error();
}

static_assert(mask::query_rows<mask::requests<int, long>> && mask::query_rows<mask::query_list>);
static_assert(!mask::query_rows<batten::segment_list> && mask::attention_rows<batten::segment_list>);
static_assert(!mask::attention_rows<int>);

}  // namespace

TEST_CASE("requests have their queries one after the other, each over its own keys")
{
    const std::vector<int> queries{2, 0, 1};
    const std::vector<std::int64_t> keys{5, 3, 1};
    const mask::requests asked(queries, keys);
    std::vector<std::vector<std::size_t>> walked;
    batten::error reason;
    CHECK(asked.walk(
        [&](const query_segment& at) {
            const segment& of = at.queries;
            walked.push_back({of.sequence, of.row, of.first_column, of.length, of.position_begin, at.first_key, at.keys});
            return true;
        },
        reason));
    CHECK(walked == std::vector<std::vector<std::size_t>>{{0, 0, 0, 2, 3, 0, 5}, {1, 0, 2, 0, 3, 0, 3}, {2, 0, 2, 1, 0, 0, 1}});
    CHECK(asked.shape() == dimensions{1, 3, 5});
}

TEST_CASE("requests whose numbers do not fit are refused by name")
{
    const std::vector<int> two{1, 3}, one{1}, shorter{1, 2}, below{1, -1};
    CHECK(error_of(mask::requests(two, one)) == error_is(errors::count_mismatch, no_row, 1, 2, "key_lengths"));
    CHECK(error_of(mask::requests(two, shorter)) == error_is(errors::queries_past_keys, 1, 3, 2));
    CHECK(error_of(mask::requests(two, below)) == error_is(errors::length_negative, 1, -1));
    CHECK(error_of(mask::requests(below, two)) == error_is(errors::length_negative, 1, -1));
}

TEST_CASE("queries out of order, over one another or outside of their rows are refused, and so are keys")
{
    const auto error_of_list = [](std::vector<query_segment> list, dimensions shape = {2, 4, 4}) {
        return error_of(mask::query_list(list, shape));
    };
    const auto own = [](std::size_t row, std::size_t first, std::size_t length) {
        return query_segment{{.length = length, .row = row, .first_column = first}, first, length};
    };
    CHECK(error_of_list({own(0, 0, 3), own(0, 2, 1)}) == error_is(errors::segment_misplaced, 0, 2, 3));
    CHECK(error_of_list({own(1, 0, 3), own(0, 3, 1)}) == error_is(errors::segment_misplaced, 0, 3, 3));
    CHECK(error_of_list({own(2, 0, 1)}) == error_is(errors::segment_row_out_of_range, no_row, 2, 2));
    CHECK(error_of_list({own(1, 2, 3)}) == error_is(errors::segment_past_row, 1, 5, 4, "the row"));
    CHECK(error_of_list({{{.length = 2, .row = 1}, 3, 2}}) == error_is(errors::keys_past_row, 1, 5, 4));
    CHECK(error_of_list({{{.length = 3, .row = 1}, 0, 2}}) == error_is(errors::queries_past_keys, 1, 3, 2));

    const std::size_t most = std::numeric_limits<std::size_t>::max();
    CHECK(error_of_list({own(0, 3, most - 1)}).code == errors::segment_past_row);
    CHECK(error_of_list({}, {most / 2, 3, 4}) == error_is(errors::size_overflow, no_row, most / 2, 3));
    CHECK(error_of_list({}, {1, 1, std::size_t{1} << 31U}) ==
          error_is(errors::value_not_representable, no_row, std::size_t{1} << 31U, 0, "intervals"));
}
