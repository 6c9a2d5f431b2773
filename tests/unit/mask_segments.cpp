// SPDX-License-Identifier: MIT

#include "mask_support.hpp"

#include <batten/mask/segments.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using namespace tests;
namespace errors = batten::mask::errors;
using mask::dimensions;
using mask::place;

template <class Where>
std::vector<place> walked(const Where& where)
{
    std::vector<place> places;
    batten::error reason;
    CHECK(where.walk([&](const place& at) { places.push_back(at); return true; }, reason));
    return places;
}

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

static_assert(mask::arrangement<mask::padded_rows<std::int64_t>> && mask::arrangement<mask::packed_row<std::int32_t>>);
static_assert(mask::arrangement<mask::rows_by_segment_ids<int>> && mask::arrangement<mask::requests<int, long>>);
static_assert(mask::arrangement<mask::placed> && !mask::arrangement<int>);

struct in_the_middle {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};
struct past_the_row {
    static constexpr std::size_t offset(std::size_t /*length*/, std::size_t width) { return width; }
};

}  // namespace

TEST_CASE("padded_rows puts a row's one sequence where its side does")
{
    const std::vector<std::int64_t> lengths{2, 0, 4};
    CHECK(walked(mask::padded_rows(lengths, 4)) ==
          std::vector<place>{place::of_columns(0, 0, 2), place::of_columns(1, 0, 0), place::of_columns(2, 0, 4)});
    CHECK(walked(mask::padded_rows(lengths, 4, batten::pad_left{})) ==
          std::vector<place>{place::of_columns(0, 2, 2), place::of_columns(1, 4, 0), place::of_columns(2, 0, 4)});
    CHECK(walked(mask::padded_rows(lengths, 4, in_the_middle{}))[0] == place::of_columns(0, 1, 2));
    CHECK(mask::padded_rows(lengths, 4).measured() == dimensions{3, 4, 4});
}

TEST_CASE("a batch's own lengths, width and segment ids make an arrangement")
{
    const batten::collator<batten::pad_left, batten::dynamic_length> collate{{.pad_id = 0}};
    const auto batch = collate(ragged{{7, 8, 9}, {5}});
    const auto places = walked(mask::padded_rows(batch.lengths(), batch.width(), batten::pad_left{}));
    CHECK(places == std::vector<place>{place::of_columns(0, 0, 3), place::of_columns(1, 2, 1)});
}

TEST_CASE("packed_row cuts one row at its offsets, and what is behind the last is pads")
{
    const std::vector<std::int32_t> cu_seqlens{0, 3, 3, 5};
    const std::vector<place> expected{place::of_columns(0, 0, 3), place::of_columns(0, 3, 0), place::of_columns(0, 3, 2)};
    CHECK(walked(mask::packed_row(cu_seqlens)) == expected);
    CHECK(mask::packed_row(cu_seqlens).measured() == dimensions{1, 5, 5});
    CHECK(walked(mask::packed_row(cu_seqlens, 8)) == expected);
    CHECK(mask::packed_row(cu_seqlens, 8).measured() == dimensions{1, 8, 8});
    const std::array<std::int32_t, 1> nothing{0};
    CHECK(walked(mask::packed_row(nothing)).empty());
}

TEST_CASE("rows_by_segment_ids takes a run of one number for a sequence and 0 for pads")
{
    const std::vector<std::int64_t> ids{0, 1, 1, 2, 0,   //
                                        2, 2, 0, 0, 1,   //
                                        0, 0, 0, 0, 0};  //
    CHECK(walked(mask::rows_by_segment_ids(ids, 5)) ==
          std::vector<place>{place::of_columns(0, 1, 2), place::of_columns(0, 3, 1), place::of_columns(1, 0, 2),
                             place::of_columns(1, 4, 1)});
    CHECK(mask::rows_by_segment_ids(ids, 5).measured() == dimensions{3, 5, 5});
    CHECK(mask::rows_by_segment_ids(std::span<const int>{}, 0).measured() == dimensions{0, 0, 0});
}

TEST_CASE("requests have their queries one behind the other, each over its own keys")
{
    const std::vector<int> queries{2, 0, 1};
    const std::vector<std::int64_t> keys{5, 3, 1};
    CHECK(walked(mask::requests(queries, keys)) == std::vector<place>{{0, 0, 2, 0, 5}, {0, 2, 0, 0, 3}, {0, 2, 1, 0, 1}});
    CHECK(mask::requests(queries, keys).measured() == dimensions{1, 3, 5});
}

TEST_CASE("an arrangement whose numbers do not fit together is refused by name")
{
    const std::vector<int> lengths{1, 5, -1};
    CHECK(error_of(mask::padded_rows(lengths, 4)) == error_is(errors::segment_past_row, 1, 5, 4, "the row"));
    CHECK(error_of(mask::padded_rows(lengths, 5)) == error_is(errors::length_negative, 2, -1));
    const std::vector<int> fine{1};
    CHECK(error_of(mask::padded_rows(fine, 4, past_the_row{})) ==
          error_is(errors::segment_past_row, 0, 5, 4, "its queries"));

    const std::vector<std::int32_t> none;
    CHECK(error_of(mask::packed_row(none)) == error_is(errors::input_empty, no_row, 0, 0, "cu_seqlens"));
    const std::vector<std::int32_t> ends{3, 7, 12}, falling{0, 4, 3, 9}, negative{-2, 4};
    CHECK(error_of(mask::packed_row(ends)) == error_is(errors::offsets_not_from_zero, no_row, 3, 0, "cu_seqlens"));
    CHECK(error_of(mask::packed_row(falling)) == error_is(errors::offsets_decrease, 1, 4, 3));
    CHECK(error_of(mask::packed_row(negative)) == error_is(errors::offsets_not_from_zero, no_row, -2, 0, "cu_seqlens"));
    const std::vector<std::int32_t> offsets{0, 4, 6};
    CHECK(error_of(mask::packed_row(offsets, 5)) == error_is(errors::segment_past_row, 0, 6, 5, "its queries"));

    const std::vector<int> ids{1, 1, 2};
    CHECK(error_of(mask::rows_by_segment_ids(ids, 2)) == error_is(errors::span_too_large, no_row, 2, 3, "segment_ids"));
    CHECK(error_of(mask::rows_by_segment_ids(ids, 0)) == error_is(errors::span_too_large, no_row, 0, 3, "segment_ids"));

    const std::vector<int> two{1, 3}, one{1}, shorter{1, 2}, below{1, -1};
    CHECK(error_of(mask::requests(two, one)) == error_is(errors::count_mismatch, no_row, 1, 2, "key_lengths"));
    CHECK(error_of(mask::requests(two, shorter)) == error_is(errors::queries_past_keys, 1, 3, 2));
    CHECK(error_of(mask::requests(two, below)) == error_is(errors::length_negative, 1, -1));
    CHECK(error_of(mask::requests(below, two)) == error_is(errors::length_negative, 1, -1));
}

TEST_CASE("places out of order, over one another or outside of their rows are refused")
{
    const auto error_of_places = [](std::vector<place> places, dimensions of = {2, 4, 4}) {
        return error_of(mask::placed(places, of));
    };
    CHECK(error_of_places({place::of_columns(0, 0, 3), place::of_columns(0, 2, 1)}) ==
          error_is(errors::segment_misplaced, 0, 2, 3));
    CHECK(error_of_places({place::of_columns(1, 0, 3), place::of_columns(0, 3, 1)}) ==
          error_is(errors::segment_misplaced, 0, 3, 3));
    CHECK(error_of_places({place::of_columns(2, 0, 1)}) == error_is(errors::segment_row_out_of_range, no_row, 2, 2));
    CHECK(error_of_places({place::of_columns(1, 2, 3)}) == error_is(errors::segment_past_row, 1, 5, 4, "its queries"));
    CHECK(error_of_places({{1, 0, 2, 3, 2}}) == error_is(errors::segment_past_row, 1, 5, 4, "its keys"));
    CHECK(error_of_places({{1, 0, 3, 0, 2}}) == error_is(errors::queries_past_keys, 1, 3, 2));

    const std::size_t most = std::numeric_limits<std::size_t>::max();
    CHECK(error_of_places({place::of_columns(0, 3, most - 1)}).code == errors::segment_past_row);
    CHECK(error_of_places({}, {most / 2, 3, 4}) == error_is(errors::size_overflow, no_row, most / 2, 3));
    CHECK(error_of_places({}, {1, 1, std::size_t{1} << 31U}) ==
          error_is(errors::value_not_representable, no_row, std::size_t{1} << 31U, 0, "intervals"));
}
