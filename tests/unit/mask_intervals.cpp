// SPDX-License-Identifier: MIT
// Every kind on every form of rows against a predicate of (query, key), which is asked for each pair.

#include "mask_support.hpp"

#include <batten/mask/intervals.hpp>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <type_traits>
#include <vector>

namespace {

using namespace tests;
namespace errors = batten::mask::errors;
using mask::interval;

// Whether each interval holds exactly the keys of its row that `sees(query, key)` says, both of one sequence.
template <class Sees>
void check_against(const rows_of_columns& rows, const std::vector<interval>& found, Sees sees)
{
    std::size_t cell = 0;
    for (const std::vector<column>& row : rows)
        for (const column& q : row) {
            bool any = false;
            for (std::size_t k = 0; k < row.size(); ++k) {
                const bool expected = q.sequence >= 0 && row[k].sequence == q.sequence && sees(q, row[k]);
                any = any || expected;
                if (found.at(cell).contains(static_cast<std::int32_t>(k)) != expected)
                    FAIL("cell " << cell << ", key " << k << ": " << found[cell].begin << " to " << found[cell].end);
            }
            if (!any)
                CHECK(found[cell] == interval{});
            ++cell;
        }
    CHECK(found.size() == cell);
}

// All kinds, alone and in pairs.
template <class Where>
void check_kinds(const Where& where, const rows_of_columns& rows, const std::vector<std::int64_t>& prefixes)
{
    const auto is_causal = [](const column& q, const column& k) { return k.position <= q.position; };
    const auto is_any = [](const column&, const column&) { return true; };
    const auto in_prefix = [&](const column& q, const column& k) {
        return k.position <= q.position || k.position < prefixes[static_cast<std::size_t>(q.sequence)];
    };
    const auto before_two = [](const column&, const column& k) { return k.position < 2; };
    const auto own = [](const mask::query&) { return interval{-3, 2}; };  // cut to the sequence
    check_against(rows, intervals_of(where, mask::causal{}), is_causal);
    check_against(rows, intervals_of(where, mask::bidirectional{}), is_any);
    check_against(rows, intervals_of(where, mask::prefix_lm(prefixes)), in_prefix);
    check_against(rows, intervals_of(where, own), before_two);
    for (const int width : {1, 2, 3, 7, std::numeric_limits<int>::max()}) {
        const auto in_window = [&](const column& q, const column& k) { return std::abs(q.position - k.position) < width; };
        const auto both = [](const auto& a, const auto& b) {
            return [&](const column& q, const column& k) { return a(q, k) && b(q, k); };
        };
        const mask::symmetric_window window{.width = width};
        check_against(rows, intervals_of(where, mask::sliding_window{.width = width}), both(in_window, is_causal));
        check_against(rows, intervals_of(where, window), in_window);
        check_against(rows, intervals_of(where, window & mask::causal{}), both(in_window, is_causal));
        check_against(rows, intervals_of(where, mask::prefix_lm(prefixes) & window), both(in_prefix, in_window));
        check_against(rows, intervals_of(where, window & own), both(in_window, before_two));
        const auto all_of_them = own & (mask::prefix_lm(prefixes) & window);
        check_against(rows, intervals_of(where, all_of_them), [&](const column& q, const column& k) {
            return in_window(q, k) && in_prefix(q, k) && before_two(q, k);
        });
    }
}

template <class T>
std::vector<T> segment_ids_of(const rows_of_columns& rows)
{
    std::vector<T> ids;
    for (const auto& row : rows)
        for (const column& c : row)
            ids.push_back(static_cast<T>(c.sequence + 1));
    return ids;
}

constexpr std::array<interval, 4> a_row_of_four()
{
    const std::array<int, 1> lengths{3};
    std::array<interval, 4> out{};
    mask::intervals(batten::padded_rows(lengths, 4, batten::pad_left{}), mask::causal{} & mask::sliding_window{.width = 2},
                    std::span<interval>(out));
    return out;
}
static_assert(a_row_of_four() == std::array<interval, 4>{{{0, 0}, {1, 2}, {1, 3}, {2, 4}}});

// A list of intervals is an int32 array [queries, 2].
static_assert(sizeof(interval) == 2 * sizeof(std::int32_t) && std::is_standard_layout_v<interval>);

static_assert((interval{0, 5} & interval{3, 9}) == interval{3, 5} && (interval{0, 3} & interval{3, 9}) == interval{});
static_assert(mask::mask_kind<mask::causal> && mask::mask_kind<mask::prefix_lm<int>>);
static_assert(mask::mask_kind<decltype(mask::causal{} & mask::bidirectional{} & mask::sliding_window{})>);
static_assert(!mask::mask_kind<bool (*)(int, int)> && !mask::mask_kind<int>);
static_assert(std::is_empty_v<mask::causal> && std::is_empty_v<mask::bidirectional>);

}  // namespace

TEST_CASE("each kind on rows padded right, with empty and full rows")
{
    const std::vector<int> lengths{3, 0, 8, 1, 5};
    check_kinds(batten::padded_rows(lengths, 8, batten::pad_right{}), columns_of({{3, -5}, {0, -8}, {8}, {1, -7}, {5, -3}}), {2, 0, 9, 1, 0});
}

TEST_CASE("each kind on rows padded left")
{
    const std::vector<std::uint16_t> lengths{3, 0, 8, 1, 5};
    check_kinds(batten::padded_rows(lengths, 8, batten::pad_left{}),
                columns_of({{-5, 3}, {-8, 0}, {8}, {-7, 1}, {-3, 5}}), {1, 3, 4, 0, 5});
}

TEST_CASE("each kind on rows of several sequences never crosses a border")
{
    const std::vector<row_of_runs> rows{{2, 3, 1, -2}, {-1, 4, -1, 2}, {-8}, {8}};
    const std::vector<batten::segment> segments = segments_of(rows);
    check_kinds(batten::segment_list(segments, {4, 8}), columns_of(rows), {1, 2, 3, 4, 5, 6});
    const auto ids = segment_ids_of<std::int64_t>(columns_of(rows));
    check_kinds(batten::rows_by_segment_ids(ids, 8), columns_of(rows), {1, 2, 3, 4, 5, 6});
}

TEST_CASE("each kind on a packed row, with empty sequences and a pad tail")
{
    const std::vector<std::int32_t> cu_seqlens{0, 4, 4, 5, 11};
    check_kinds(batten::varlen_rows(cu_seqlens), columns_of({{4, 0, 1, 6}}), {2, 1, 1, 0});
    check_kinds(batten::varlen_rows(cu_seqlens, 16), columns_of({{4, 0, 1, 6, -5}}), {2, 1, 1, 0});
    const std::vector<std::int64_t> with_tail{0, 4, 4, 5, 11, 16};
    check_kinds(batten::varlen_rows(with_tail), columns_of({{4, 0, 1, 6, 5}}), {2, 1, 1, 0, 0});
}

TEST_CASE("all lengths up to six, on either side, see what the predicate says")
{
    const auto right = [](int length) { return length == 6 ? row_of_runs{6} : row_of_runs{length, length - 6}; };
    const auto left = [](int length) { return length == 6 ? row_of_runs{6} : row_of_runs{length - 6, length}; };
    for (int a = 0; a <= 6; ++a)
        for (int b = 0; b <= 6; ++b) {
            const std::vector<int> lengths{a, b};
            check_kinds(batten::padded_rows(lengths, 6, batten::pad_right{}), columns_of({right(a), right(b)}), {b, a});
            check_kinds(batten::padded_rows(lengths, 6, batten::pad_left{}), columns_of({left(a), left(b)}), {b, a});
        }
}

TEST_CASE("a request's queries are the last of its keys")
{
    const std::vector<int> queries{2, 3, 0, 1}, keys{5, 3, 4, 9};
    const auto found = intervals_of(mask::requests(queries, keys), mask::sliding_window{.width = 4});
    std::vector<interval> expected;
    for (std::size_t r = 0; r < queries.size(); ++r)
        for (int i = 0; i < queries[r]; ++i) {
            const int position = keys[r] - queries[r] + i;
            expected.push_back({std::max(0, position - 3), position + 1});
        }
    CHECK(found == expected);
}

TEST_CASE("one query a row over a static KV cache sees the tokens that are there")
{
    // Left-padded prompts of 3 and 1 tokens in a cache of 6 columns, two tokens decoded since: the current one is column 4.
    const std::vector<mask::query_segment> segments{{.queries = {.length = 1, .row = 0}, .first_key = 0, .keys = 5},
                                                    {.queries = {.length = 1, .row = 1}, .first_key = 2, .keys = 3}};
    const mask::query_list where(segments, {2, 1, 6});
    CHECK(intervals_of(where, mask::causal{}) == std::vector<interval>{{0, 5}, {2, 5}});
    CHECK(intervals_of(where, mask::sliding_window{.width = 4}) == std::vector<interval>{{1, 5}, {2, 5}});
}

TEST_CASE("a query without keys is left alone, or attends to itself")
{
    const std::vector<int> lengths{2, 0};
    const batten::padded_rows where(lengths, 3, batten::pad_left{});
    CHECK(intervals_of(where, mask::causal{}) == std::vector<interval>{{0, 0}, {1, 2}, {1, 3}, {0, 0}, {0, 0}, {0, 0}});
    CHECK(intervals_of(where, mask::causal{}, mask::fully_masked::attend_to_self) ==
          std::vector<interval>{{0, 1}, {1, 2}, {1, 3}, {0, 1}, {1, 2}, {2, 3}});
    const auto nothing = [](const mask::query&) { return interval{}; };
    CHECK(intervals_of(where, nothing, mask::fully_masked::attend_to_self) ==
          std::vector<interval>{{0, 1}, {1, 2}, {2, 3}, {0, 1}, {1, 2}, {2, 3}});

    // Fewer queries than keys: columns are counted from the row's end.
    const std::vector<mask::query_segment> segments{{.queries = {.length = 1, .row = 1}, .first_key = 2, .keys = 3}};
    CHECK(intervals_of(mask::query_list(segments, {2, 1, 5}), mask::causal{}, mask::fully_masked::attend_to_self) ==
          std::vector<interval>{{4, 5}, {2, 5}});
    // More: a pad has no key of its own, a request's query has.
    const mask::query_list wide(segments, {2, 6, 5});
    std::vector<interval> out(12);
    CHECK(error_is(mask::try_intervals(wide, mask::causal{}, std::span(out), mask::fully_masked::attend_to_self).error()) ==
          error_is(errors::queries_past_keys, no_row, 6, 5));
    const std::vector<int> ones(7, 1);
    CHECK(intervals_of(mask::requests(ones, ones), nothing, mask::fully_masked::attend_to_self) ==
          std::vector<interval>(7, {0, 1}));
}

TEST_CASE("a batch of no rows, and rows of no columns, have no intervals")
{
    const std::vector<int> none, zeros{0, 0};
    CHECK(intervals_of(batten::padded_rows(none, 512, batten::pad_right{}), mask::causal{}).empty());
    CHECK(intervals_of(batten::padded_rows(zeros, 0, batten::pad_right{}), mask::causal{}, mask::fully_masked::attend_to_self).empty());
    const std::vector<int> start{0};
    CHECK(intervals_of(batten::varlen_rows(start), mask::causal{}).empty());
}

TEST_CASE("options of a kind and the size of the memory are checked before the first write")
{
    const std::vector<int> lengths{2, 1};
    const batten::padded_rows where(lengths, 3, batten::pad_right{});
    const auto error_of = [&](const auto& kind, std::size_t size = 6) {
        guarded<interval> memory(size);
        const auto done = mask::try_intervals(where, kind, memory.cells());
        CHECK_FALSE(done.has_value());
        CHECK(memory.untouched());
        check_throws(done.error(), [&] { mask::intervals(where, kind, memory.cells()); });
        return error_is(done.error());
    };
    const error_is window_of_zero(errors::argument_not_positive, no_row, 0, 0, "the window's width");
    CHECK(error_of(mask::sliding_window{}) == window_of_zero);
    CHECK(error_of(mask::symmetric_window{.width = 0}) == window_of_zero);
    CHECK(error_of(mask::causal{} & mask::sliding_window{.width = 0}) == window_of_zero);
    CHECK(error_of(mask::sliding_window{.width = -4}) ==
          error_is(errors::argument_not_positive, no_row, -4, 0, "the window's width"));
    const std::vector<int> one{1}, negative{1, -1};
    CHECK(error_of(mask::prefix_lm(one)) == error_is(errors::count_mismatch, no_row, 1, 2, "the prefix lengths"));
    CHECK(error_of(mask::prefix_lm(negative)) == error_is(errors::prompt_length_negative, 1, -1));
    CHECK(error_of(mask::causal{}, 5) == error_is(errors::span_too_small, no_row, 6, 5, "intervals"));
    CHECK(error_of(mask::causal{}, 7) == error_is(errors::span_too_large, no_row, 6, 7, "intervals"));
}
