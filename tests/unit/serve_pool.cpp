// SPDX-License-Identifier: MIT
// The block pool, and the blocks of a sequence, against a model that knows every token of every sequence.

#include "support.hpp"

#include <batten/detail/random.hpp>
#include <batten/serve/block_list.hpp>
#include <batten/serve/pool.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace serve = batten::serve;
namespace errors = batten::serve::errors;
using serve::block_copy;
using serve::block_id;
using serve::block_list;
using serve::block_pool;
using serve::append_result;
using tests::error_is;
using tests::no_row;

namespace {

constexpr bool runs_in_constant_evaluation()
{
    block_pool pool({.blocks = 5, .block_size = 4});
    std::array<block_id, 8> table{};
    block_list parent(pool, std::span(table).first(4));
    if (parent.append(6) != append_result{0, 2, {}} || !tests::holds(parent.blocks(), {1, 2}))
        return false;
    {
        block_list child = parent.fork(std::span(table).last(4));
        if (pool.free_blocks() != 2 || pool.ref_count(2) != 2)
            return false;
        if (child.append(3) != append_result{1, 2, block_copy{2, 3}} || !tests::holds(child.blocks(), {1, 3, 4}))
            return false;
        if (parent.append(2) != append_result{2, 0, {}} || parent.append(1))  // no block is left
            return false;
    }
    return parent.append(1) == append_result{2, 1, {}} && pool.live_blocks() == 3;
}
static_assert(runs_in_constant_evaluation());

std::vector<block_id> drawn(block_pool& pool)
{
    std::vector<block_id> all;
    while (const auto block = pool.allocate())
        all.push_back(*block);
    return all;
}

error_is pool_error(const serve::cache_layout& options)
{
    const auto made = block_pool::try_make(options);
    tests::check_throws(made.error(), [&] { static_cast<void>(block_pool(options)); });
    return made.error();
}

}  // namespace

// ---- the pool -----------------------------------------------------------------------------------------------------------

TEST_CASE("a pool gives every block but the reserved ones, the lowest first, and then nothing")
{
    block_pool pool({.blocks = 5, .block_size = 16});
    CHECK(pool.is_reserved(0));
    CHECK_FALSE(pool.is_reserved(1));
    CHECK(drawn(pool) == std::vector<block_id>{1, 2, 3, 4});
    CHECK_FALSE(pool.allocate().has_value());
    CHECK(pool.live_blocks() == 4);

    block_pool all({.blocks = 2, .block_size = 16, .reserved_blocks = 0});
    CHECK(drawn(all) == std::vector<block_id>{0, 1});
    block_pool three({.blocks = 4, .block_size = 16, .reserved_blocks = 3});
    CHECK(drawn(three) == std::vector<block_id>{3});
}

TEST_CASE("several blocks are given together or not at all")
{
    block_pool pool({.blocks = 4, .block_size = 16});
    std::vector<block_id> blocks(4, -7);
    CHECK_FALSE(pool.allocate(blocks));
    CHECK(blocks == std::vector<block_id>(4, -7));
    CHECK(pool.free_blocks() == 3);
    CHECK(pool.allocate(std::span(blocks).first(3)));
    CHECK(blocks == std::vector<block_id>{1, 2, 3, -7});
    CHECK(pool.allocate(std::span<block_id>()));
}

TEST_CASE("a block is free again when its last reference is released")
{
    block_pool pool({.blocks = 3, .block_size = 16});
    CHECK(pool.allocate() == 1);
    CHECK(pool.acquire(1) == 2);
    CHECK(pool.acquire(1) == 3);
    CHECK(pool.release(1) == 2);
    CHECK(pool.release(1) == 1);
    CHECK(pool.free_blocks() == 1);
    CHECK(pool.release(1) == 0);
    CHECK(pool.free_blocks() == 2);
}

TEST_CASE("several blocks are released together or, where one of them has no reference, not at all")
{
    block_pool pool({.blocks = 6, .block_size = 16});
    std::vector<block_id> blocks(4);
    CHECK(pool.allocate(blocks));
    CHECK(pool.acquire(2) == 2);
    CHECK(pool.release(std::vector<block_id>{1, 2, 3}) == 2);
    CHECK(pool.ref_count(2) == 1);
    CHECK(pool.acquire(4) == 2);
    const std::vector<block_id> with_a_free_one{4, 2, 4, 1, 2};
    CHECK(error_is(pool.try_release(with_a_free_one).error()) == error_is(errors::block_not_live, no_row, 1));
    const std::vector<block_id> one_too_often{2, 4, 4, 4};
    CHECK(error_is(pool.try_release(one_too_often).error()) == error_is(errors::block_not_live, no_row, 4));
    CHECK(pool.ref_count(4) == 2);
    CHECK(pool.ref_count(2) == 1);
    CHECK(pool.free_blocks() == 3);
    CHECK(pool.release(std::span<const block_id>()) == 0);
    tests::check_throws(pool.explain_not_live(1), [&] { pool.release(std::vector<block_id>{1}); });
    CHECK(pool.release(std::vector<block_id>{4, 2, 4}) == 2);
    CHECK(drawn(pool) == std::vector<block_id>{4, 2, 3, 1, 5});
}

TEST_CASE("a block has as many references as 16 bits count, and no more")
{
    block_pool pool({.blocks = 2, .block_size = 16});
    CHECK(pool.allocate() == 1);
    for (std::size_t holders = 2; holders <= 65535; ++holders)
        REQUIRE(pool.acquire(1) == holders);
    CHECK(error_is(pool.try_acquire(1).error()) == error_is(errors::value_not_representable, no_row, 65536, 0, "ref_count"));
    tests::check_throws(pool.try_acquire(1).error(), [&] { pool.acquire(1); });
    for (std::size_t holders = 65535; holders-- > 0;)
        REQUIRE(pool.release(1) == holders);
    CHECK(pool.free_blocks() == 1);
}

TEST_CASE("a block freed twice, a reserved and a foreign one are errors, and nothing changes")
{
    block_pool pool({.blocks = 4, .block_size = 16});
    CHECK(pool.allocate() == 1);
    CHECK(pool.release(1) == 0);
    constexpr block_id last = std::numeric_limits<block_id>::max();
    const std::vector<std::pair<block_id, error_is>> refused{
        {1, {errors::block_not_live, no_row, 1}},          {3, {errors::block_not_live, no_row, 3}},
        {0, {errors::block_reserved, no_row, 0, 1}},       {4, {errors::block_out_of_range, no_row, 4, 4}},
        {-1, {errors::block_out_of_range, no_row, -1, 4}}, {last, {errors::block_out_of_range, no_row, last, 4}},
    };
    for (const auto& [block, expected] : refused) {
        CHECK(error_is(pool.try_release(block).error()) == expected);
        CHECK(error_is(pool.try_acquire(block).error()) == expected);
        tests::check_throws(pool.explain_not_live(block), [&, b = block] { pool.release(b); });
        tests::check_throws(pool.explain_not_live(block), [&, b = block] { pool.acquire(b); });
        CHECK(pool.ref_count(block) == 0);
    }
    CHECK(drawn(pool) == std::vector<block_id>{1, 2, 3});
}

TEST_CASE("options that make no pool are errors")
{
    CHECK(pool_error({.blocks = 4, .block_size = 0}) ==
          error_is(errors::argument_not_positive, no_row, 0, 0, "block_size"));
    CHECK(pool_error({}) == error_is(errors::pool_without_blocks, no_row, 0, 1));
    CHECK(pool_error({.blocks = 0, .reserved_blocks = 0}) == error_is(errors::pool_without_blocks, no_row, 0, 0));
    CHECK(pool_error({.blocks = 2, .reserved_blocks = 2}) == error_is(errors::pool_without_blocks, no_row, 2, 2));
    constexpr std::size_t most_ids = std::size_t{1} << 31U;
    CHECK(pool_error({.blocks = most_ids + 1}) ==
          error_is(errors::value_not_representable, no_row, most_ids, 0, "block_table"));
    CHECK(pool_error({.blocks = 4, .block_size = std::size_t{1} << 62U}) ==
          error_is(errors::size_overflow, no_row, 4, std::size_t{1} << 62U));
    CHECK(pool_error({.blocks = 2, .block_size = std::size_t{1} << 62U}) ==  // in 64 bits, but one bit is the sign's
          error_is(errors::size_overflow, no_row, 2, std::size_t{1} << 62U));
}

TEST_CASE("whatever is allocated, shared and released, a pool does what counting by hand does")
{
    constexpr std::size_t blocks = 24;
    for (const std::size_t reserved : {0U, 1U, 5U}) {
        block_pool pool({.blocks = blocks, .block_size = 1, .reserved_blocks = reserved});
        std::map<block_id, std::size_t> held;
        for (std::uint64_t step = 0; step < 20000; ++step) {
            const auto draw = [&](std::uint64_t which, std::uint64_t n) {
                return batten::detail::below(n, batten::detail::draw(reserved, 3 * step + which));
            };
            const auto block = static_cast<block_id>(draw(1, blocks + 4)) - 2;  // some of them foreign
            const std::size_t asked = draw(2, 4);
            const std::size_t free = blocks - reserved - held.size();
            switch (draw(0, 5)) {
            case 0: {
                const auto given = pool.allocate();
                REQUIRE(given.has_value() == (free > 0));
                if (given)
                    REQUIRE(held.emplace(*given, 1).second);
                break;
            }
            case 1: {
                std::vector<block_id> several(asked);
                REQUIRE(pool.allocate(several) == (asked <= free));
                if (asked <= free)
                    for (const block_id one : several)
                        REQUIRE(held.emplace(one, 1).second);
                break;
            }
            case 2: {
                const auto count = pool.try_acquire(block);
                REQUIRE(count.has_value() == held.contains(block));
                if (count)
                    REQUIRE(*count == ++held[block]);
                break;
            }
            default: {
                const auto left = pool.try_release(block);
                REQUIRE(left.has_value() == held.contains(block));
                if (left) {
                    REQUIRE(*left == --held[block]);
                    if (*left == 0)
                        held.erase(block);
                }
            }
            }
            REQUIRE(pool.live_blocks() == held.size());
            REQUIRE(pool.free_blocks() == blocks - reserved - held.size());
            for (block_id b = -2; b < static_cast<block_id>(blocks) + 2; ++b)
                REQUIRE(pool.ref_count(b) == (held.contains(b) ? held[b] : 0));
            for (const auto& [b, count] : held)
                REQUIRE((b >= static_cast<block_id>(reserved) && b < static_cast<block_id>(blocks)));
        }
    }
}

// ---- the blocks of a sequence -------------------------------------------------------------------------------------------

TEST_CASE("append writes new blocks into the row, and says which columns they are")
{
    block_pool pool({.blocks = 8, .block_size = 4});
    std::vector<block_id> row(5, -1);
    block_list list(pool, row);
    CHECK(list.append(0) == append_result{0, 0, {}});
    CHECK(list.append(1) == append_result{0, 1, {}});
    CHECK(list.append(3) == append_result{1, 0, {}});
    CHECK(list.append(0) == append_result{1, 0, {}});
    CHECK(list.append(9) == append_result{1, 3, {}});
    CHECK(row == std::vector<block_id>{1, 2, 3, 4, -1});
    CHECK(list.tokens() == 13);
    CHECK(tests::holds(list.blocks(), {1, 2, 3, 4}));
    CHECK(list.max_tokens() == 20);
}

TEST_CASE("without blocks enough for all of its tokens append gives nothing and leaves everything as it was")
{
    block_pool pool({.blocks = 5, .block_size = 4});
    std::vector<block_id> first(4, -1);
    std::vector<block_id> second(4, -1);
    block_list one(pool, first);
    CHECK(one.append(8));
    block_list two(pool, second);
    CHECK(two.append(3));
    const auto exhausted = two.try_append(6);  // two blocks more, and there is one
    CHECK(exhausted.has_value());
    CHECK_FALSE(exhausted->has_value());
    CHECK(second == std::vector<block_id>{3, -1, -1, -1});
    CHECK(two.tokens() == 3);
    CHECK(pool.free_blocks() == 1);
    one.clear();
    CHECK(two.append(6));
    CHECK(two.tokens() == 9);
}

TEST_CASE("a fork shares all blocks, and the first to write in a shared last block gets a copy of it")
{
    block_pool pool({.blocks = 10, .block_size = 4});
    std::vector<block_id> rows(12, -1);
    const auto row = [&](std::size_t r) { return std::span(rows).subspan(4 * r, 4); };
    block_list parent(pool, row(0));
    CHECK(parent.append(6));
    block_list left = parent.fork(row(1));
    block_list right = parent.fork(row(2));
    CHECK(rows == std::vector<block_id>{1, 2, -1, -1, 1, 2, -1, -1, 1, 2, -1, -1});
    CHECK(pool.ref_count(1) == 3);
    CHECK(left.append(0) == append_result{2, 0, {}});  // nothing is written, nothing copied
    CHECK(parent.append(1) == append_result{1, 1, block_copy{2, 3}});
    CHECK(right.append(3) == append_result{1, 2, block_copy{2, 4}});
    CHECK(left.append(1) == append_result{2, 0, {}});  // block 2 has no other reference any more
    CHECK(rows == std::vector<block_id>{1, 3, -1, -1, 1, 2, -1, -1, 1, 4, 5, -1});
}

TEST_CASE("full blocks that are shared are never copied")
{
    block_pool pool({.blocks = 10, .block_size = 4});
    std::vector<block_id> first(4);
    std::vector<block_id> second(4);
    block_list parent(pool, first);
    CHECK(parent.append(8));
    block_list child = parent.fork(second);
    CHECK(parent.append(1) == append_result{2, 1, {}});
    CHECK(child.append(1) == append_result{2, 1, {}});
    CHECK(pool.ref_count(1) == 2);
    CHECK(pool.ref_count(2) == 2);
}

TEST_CASE("a fork of a prefix that ends within a block copies that block before it is written")
{
    block_pool pool({.blocks = 10, .block_size = 4});
    std::vector<block_id> first(4, -1);
    std::vector<block_id> second(4, -1);
    block_list parent(pool, first);
    CHECK(parent.append(11));
    block_list child = parent.fork(second, 6);
    CHECK(second == std::vector<block_id>{1, 2, -1, -1});
    CHECK(parent.append(1) == append_result{3, 0, {}});  // block 3 is the parent's alone
    CHECK(child.append(1) == append_result{1, 1, block_copy{2, 4}});
    block_list none = parent.fork(second, 0);
    CHECK(none.blocks().empty());
}

TEST_CASE("a beam gives way to another in its own row, and what both had in common stays")
{
    block_pool pool({.blocks = 6, .block_size = 4});
    std::vector<block_id> first(3, -1);
    std::vector<block_id> second(3, -1);
    block_list better(pool, first);
    CHECK(better.append(5));
    block_list worse = better.fork(second);
    CHECK(better.append(1) == append_result{1, 1, block_copy{2, 3}});
    CHECK(worse.append(4) == append_result{2, 1, {}});
    CHECK(second == std::vector<block_id>{1, 2, 4});
    CHECK(worse.fork_from(better) == 2);
    CHECK(second == std::vector<block_id>{1, 3, 4});
    CHECK(worse.tokens() == 6);
    CHECK(pool.ref_count(1) == 2);
    CHECK(pool.ref_count(3) == 2);
    CHECK(pool.live_blocks() == 2);
    CHECK(worse.append(1) == append_result{1, 1, block_copy{3, 2}});
    CHECK(better.append(1) == append_result{2, 0, {}});

    CHECK(worse.fork_from(worse, 4) == 1);  // of itself it keeps the beginning
    CHECK(worse.blocks().size() == 1);
    CHECK(error_is(worse.try_fork_from(better, 8).error()) == error_is(errors::tokens_missing, no_row, 8, 7));
    CHECK(worse.tokens() == 4);
    std::vector<block_id> third(1, -1);
    block_list narrow(pool, third);
    CHECK(narrow.append(2));
    tests::check_throws(narrow.try_fork_from(better).error(), [&] { narrow.fork_from(better); });
    CHECK(error_is(narrow.try_fork_from(better).error()) == error_is(errors::span_too_small, no_row, 2, 1, "block_table"));
    CHECK(narrow.tokens() == 2);
    CHECK(pool.ref_count(third[0]) == 1);
}

TEST_CASE("how many blocks append takes is known before, a copy of a shared tail among them")
{
    block_pool pool({.blocks = 10, .block_size = 4});
    std::vector<block_id> first(4);
    std::vector<block_id> second(4);
    block_list list(pool, first);
    CHECK(list.blocks_needed(0) == 0);
    CHECK(list.blocks_needed(9) == 3);
    CHECK(list.append(6));
    CHECK(list.blocks_needed(2) == 0);
    CHECK(list.blocks_needed(3) == 1);
    const block_list fork = list.fork(second);
    CHECK(list.blocks_needed(0) == 0);
    CHECK(list.blocks_needed(2) == 1);
    CHECK(list.blocks_needed(3) == 2);
    const std::size_t free = pool.free_blocks();
    CHECK(list.append(3));
    CHECK(free - pool.free_blocks() == 2);
}

TEST_CASE("a list that was moved from has no row, and room for nothing")
{
    block_pool pool({.blocks = 4, .block_size = 4});
    std::vector<block_id> row(2);
    block_list list(pool, row);
    CHECK(list.append(4));
    const block_list other = std::move(list);
    CHECK(list.row().empty());
    CHECK(list.max_tokens() == 0);
    CHECK(error_is(list.try_append(1).error()) == error_is(errors::request_over_limit, no_row, 1, 0));
    CHECK(row[0] == 1);
    list = block_list(pool, std::span(row).last(1));
    CHECK(list.append(4) == append_result{0, 1, {}});
    CHECK(other.blocks()[0] == 1);
}

TEST_CASE("a fork of a block that as many hold as can is an error, and nothing is held")
{
    block_pool pool({.blocks = 3, .block_size = 4});
    std::vector<block_id> first(2);
    std::vector<block_id> second(2);
    block_list list(pool, first);
    CHECK(list.append(8));
    while (pool.ref_count(2) < 65535)
        pool.acquire(2);
    CHECK(list.try_fork(second).error().code == errors::value_not_representable);
    CHECK(pool.ref_count(1) == 1);
    CHECK(list.try_fork(second, 4).has_value());
    pool.release(std::vector<block_id>(65534, 2));
}

TEST_CASE("truncate releases the blocks after the cut, and append continues there, on a copy where the block is shared")
{
    block_pool pool({.blocks = 10, .block_size = 4});
    std::vector<block_id> first(4, -1);
    std::vector<block_id> second(4, -1);
    block_list list(pool, first);
    CHECK(list.append(13));
    CHECK(list.truncate(9) == 3);
    CHECK(pool.live_blocks() == 3);
    block_list fork = list.fork(second);
    CHECK(list.truncate(6) == 2);
    CHECK(pool.live_blocks() == 3);
    CHECK(list.append(1) == append_result{1, 1, block_copy{2, 4}});
    CHECK(error_is(list.try_truncate(8).error()) == error_is(errors::tokens_missing, no_row, 8, 7));
    CHECK(list.truncate(0) == 0);
    fork.clear();
    CHECK(pool.live_blocks() == 0);
}

TEST_CASE("a list moves to another row of the table, and to another object")
{
    block_pool pool({.blocks = 10, .block_size = 4});
    std::vector<block_id> first(4, -1);
    std::vector<block_id> second(3, -1);
    block_list list(pool, first);
    CHECK(list.append(9));
    CHECK(list.move_to(second) == 3);
    CHECK(second == std::vector<block_id>{1, 2, 3});
    std::fill(first.begin(), first.end(), -1);
    CHECK(list.append(3));
    CHECK(error_is(list.try_move_to(std::span(first).first(2)).error()) ==
          error_is(errors::span_too_small, no_row, 3, 2, "block_table"));
    {
        block_list taken = std::move(list);
        CHECK(taken.tokens() == 12);
        block_list other(pool, first);
        CHECK(other.append(1));
        CHECK(pool.live_blocks() == 4);
        other = std::move(taken);
        CHECK(pool.live_blocks() == 3);
        CHECK(tests::holds(other.blocks(), {1, 2, 3}));
    }
    CHECK(pool.live_blocks() == 0);
}

TEST_CASE("a sequence over its row or over all blocks is an error, not a matter of waiting")
{
    block_pool pool({.blocks = 4, .block_size = 4});
    std::vector<block_id> wide(8);
    std::vector<block_id> narrow(2);
    block_list over_blocks(pool, wide);
    CHECK(over_blocks.append(5));
    CHECK(error_is(over_blocks.try_append(8).error()) == error_is(errors::request_over_limit, no_row, 13, 12));
    tests::check_throws(over_blocks.try_append(8).error(), [&] { static_cast<void>(over_blocks.append(8)); });
    CHECK(over_blocks.append(7));
    block_list over_row(pool, narrow);
    CHECK(error_is(over_row.try_append(9).error()) == error_is(errors::request_over_limit, no_row, 9, 8));
    CHECK(over_row.try_append(batten::no_limit).error().code == errors::request_over_limit);
    CHECK(over_row.try_append(8)->has_value() == false);
}

TEST_CASE("the blocks that the most tokens of all would need are as many as they take, not 0")
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    block_pool pool({.blocks = 10, .block_size = 4});
    std::vector<block_id> row(8);
    block_list list(pool, row);
    CHECK(pool.blocks_for(most) == most / 4 + 1);
    CHECK(list.blocks_needed(most) == most / 4 + 1);
    CHECK(list.append(7));
    CHECK(list.blocks_needed(most) == most / 4 + 1 - 2);
    CHECK(list.blocks_needed(most - 7) == most / 4 + 1 - 2);
    CHECK(list.blocks_needed(most - 8) == most / 4 + 1 - 2);
    CHECK(error_is(list.try_append(most).error()) == error_is(errors::request_over_limit, no_row, most, 32));
    CHECK(error_is(list.try_truncate(most).error()) == error_is(errors::tokens_missing, no_row, most, 7));
    CHECK(list.tokens() == 7);
}

TEST_CASE("a fork of what is not there, or into too short a row, is an error")
{
    block_pool pool({.blocks = 6, .block_size = 4});
    std::vector<block_id> first(4, -1);
    std::vector<block_id> second(2, -1);
    block_list list(pool, first);
    CHECK(list.append(9));
    CHECK(error_is(list.try_fork(second, 10).error()) == error_is(errors::tokens_missing, no_row, 10, 9));
    CHECK(error_is(list.try_fork(second).error()) == error_is(errors::span_too_small, no_row, 3, 2, "block_table"));
    tests::check_throws(list.try_fork(second).error(), [&] { static_cast<void>(list.fork(second)); });
    CHECK(second == std::vector<block_id>{-1, -1});
    CHECK(pool.ref_count(1) == 1);
    CHECK(list.try_fork(second, 8).has_value());
}

TEST_CASE("a row that someone else wrote to is an error, and no block of others is freed")
{
    block_pool pool({.blocks = 6, .block_size = 4});
    std::vector<block_id> first(4, -1);
    std::vector<block_id> second(4, -1);
    block_list list(pool, first);
    CHECK(list.append(6));
    first[1] = -1;
    CHECK(error_is(list.try_append(1).error()) == error_is(errors::block_out_of_range, no_row, -1, 6));
    CHECK(error_is(list.try_truncate(4).error()) == error_is(errors::block_out_of_range, no_row, -1, 6));
    CHECK(error_is(list.try_fork(second).error()) == error_is(errors::block_out_of_range, no_row, -1, 6));
    CHECK(pool.live_blocks() == 2);
    list.clear();
    CHECK(pool.live_blocks() == 1);  // the block that is lost
}

// ---- the model ----------------------------------------------------------------------------------------------------------

namespace {

// Sequences as they are meant, every token a number of its own, and a cache that does what it is told: copies first, then
// writes through the block table.
class paged_world {
public:
    static constexpr std::size_t rows = 6;
    static constexpr std::size_t width = 8;

    paged_world(std::size_t blocks, std::size_t block_size)
        : block_size_(block_size), pool_({.blocks = blocks, .block_size = block_size}), cache_(blocks * block_size, -1)
    {
        lists_.reserve(rows);
        for (std::size_t r = 0; r < rows; ++r)
            lists_.emplace_back(pool_, row(r));
    }

    std::span<block_id> row(std::size_t r) { return std::span(table_).subspan(r * width, width); }

    void append(std::size_t r, std::size_t tokens)
    {
        if (lists_[r].tokens() + tokens > lists_[r].max_tokens())
            return;
        const std::vector<block_id> before(row(r).begin(), row(r).end());
        const std::size_t free = pool_.free_blocks();
        const auto change = lists_[r].append(tokens);
        if (!change) {
            ++exhausted;
            REQUIRE(std::equal(before.begin(), before.end(), row(r).begin()));
            REQUIRE(pool_.free_blocks() == free);
            const bool shared_tail = meant_[r].size() % block_size_ != 0 && pool_.ref_count(lists_[r].blocks().back()) > 1;
            const std::size_t more = pool_.blocks_for(meant_[r].size() + tokens) - lists_[r].blocks().size();
            REQUIRE(more + (shared_tail ? 1 : 0) > free);
            return;
        }
        for (std::size_t c = 0; c < width; ++c)
            REQUIRE((row(r)[c] == before[c] || (c >= change->first && c < change->first + change->count)));
        if (change->copy) {
            ++copies;
            std::copy_n(slot(change->copy->from), block_size_, slot(change->copy->to));
        }
        for (; tokens > 0; --tokens) {
            const std::size_t position = meant_[r].size();
            meant_[r].push_back(++next_);
            slot(row(r)[position / block_size_])[position % block_size_] = next_;
        }
    }
    void fork(std::size_t from, std::size_t to, std::size_t tokens)
    {
        if (from == to)
            return;
        lists_[to].clear();
        lists_[to] = lists_[from].fork(row(to), tokens);
        meant_[to].assign(meant_[from].begin(), meant_[from].begin() + static_cast<std::ptrdiff_t>(tokens));
    }
    void assign(std::size_t from, std::size_t to, std::size_t tokens)
    {
        const std::size_t columns = lists_[to].fork_from(lists_[from], tokens);
        REQUIRE(columns == lists_[to].blocks().size());
        const std::vector<std::int64_t> meant(meant_[from].begin(), meant_[from].begin() + static_cast<std::ptrdiff_t>(tokens));
        meant_[to] = meant;
    }
    void truncate(std::size_t r, std::size_t tokens)
    {
        lists_[r].truncate(tokens);
        meant_[r].resize(tokens);
    }
    std::size_t tokens(std::size_t r) const { return meant_[r].size(); }

    // Every sequence reads what it wrote, and every block is held as often as it is in the table.
    void check() const
    {
        std::map<block_id, std::size_t> held;
        for (std::size_t r = 0; r < rows; ++r) {
            REQUIRE(lists_[r].tokens() == meant_[r].size());
            REQUIRE(lists_[r].blocks().size() == pool_.blocks_for(meant_[r].size()));
            for (std::size_t p = 0; p < meant_[r].size(); ++p)
                REQUIRE(cache_[static_cast<std::size_t>(lists_[r].blocks()[p / block_size_]) * block_size_ + p % block_size_] ==
                        meant_[r][p]);
            for (const block_id block : lists_[r].blocks())
                ++held[block];
        }
        REQUIRE(pool_.live_blocks() == held.size());
        for (const auto& [block, count] : held)
            REQUIRE(pool_.ref_count(block) == count);
        for (std::size_t p = 0; p < block_size_; ++p)
            REQUIRE(cache_[p] == -1);  // block 0 is reserved
    }

    std::size_t copies = 0;
    std::size_t exhausted = 0;

private:
    std::int64_t* slot(block_id block) { return cache_.data() + static_cast<std::size_t>(block) * block_size_; }

    std::size_t block_size_;
    block_pool pool_;
    std::vector<std::int64_t> cache_;
    std::vector<block_id> table_ = std::vector<block_id>(rows * width, -1);
    std::vector<block_list> lists_{};
    std::array<std::vector<std::int64_t>, rows> meant_{};
    std::int64_t next_ = 0;
};

}  // namespace

TEST_CASE("whatever is appended, forked, cut and given back, every sequence reads the tokens that it wrote")
{
    for (const std::size_t block_size : {1U, 3U, 4U}) {
        paged_world world(20, block_size);
        for (std::uint64_t step = 0; step < 20000; ++step) {
            const auto draw = [&](std::uint64_t which, std::size_t n) {
                return static_cast<std::size_t>(batten::detail::below(n, batten::detail::draw(block_size, 4 * step + which)));
            };
            const std::size_t r = draw(1, paged_world::rows);
            switch (draw(0, 9)) {
            case 0: world.fork(r, draw(2, paged_world::rows), draw(3, world.tokens(r) + 1)); break;
            case 1: world.fork(r, draw(2, paged_world::rows), world.tokens(r)); break;
            case 2: world.assign(r, draw(2, paged_world::rows), draw(3, world.tokens(r) + 1)); break;
            case 3: world.truncate(r, draw(2, world.tokens(r) + 1)); break;
            case 4: world.truncate(r, draw(2, 3) == 0 ? 0 : world.tokens(r)); break;
            default: world.append(r, draw(2, 2 * block_size + 2));
            }
            world.check();
        }
        CHECK(world.exhausted > 100);
        CHECK((block_size == 1) == (world.copies == 0));
        CHECK((block_size == 1 || world.copies > 100));
    }
}
