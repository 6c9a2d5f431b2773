// SPDX-License-Identifier: MIT

#include "support.hpp"

#include <batten/plan/stream.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

namespace plan = batten::plan;
namespace errors = batten::plan::errors;
using tests::error_is;
using tests::no_row;

namespace {

using batch = std::pair<std::vector<std::uint64_t>, std::size_t>;

batch copied(const plan::streamed_batch& left) { return {{left.ids.begin(), left.ids.end()}, left.width}; }

std::size_t length_of(std::uint64_t id) { return static_cast<std::size_t>((id * 2654435761U >> 7U) % 101); }

constexpr bool runs_in_constant_evaluation()
{
    plan::stream_batcher stream({.edges = {2, 4}, .max_rows = 2});
    if (stream.push(7, 3) || stream.push(8, 1))
        return false;
    const auto left = stream.push(9, 4);
    if (!left || left->width != 4 || !tests::holds(left->ids, {7, 9}))
        return false;
    const auto rest = stream.flush();
    return rest && tests::holds(rest->ids, {8}) && !stream.flush();
}
static_assert(runs_in_constant_evaluation());

}  // namespace

TEST_CASE("a batch leaves when its bucket is full, by rows or by cells")
{
    plan::stream_batcher stream({.edges = {4, 10}, .max_rows = 3, .max_cells = 20});
    CHECK_FALSE(stream.push(1, 10));
    CHECK_FALSE(stream.push(2, 4));
    CHECK(copied(*stream.push(3, 5)) == batch{{1, 3}, 10});  // two rows of 10
    CHECK_FALSE(stream.push(4, 0));
    CHECK(stream.pending() == 2);
    CHECK(copied(*stream.push(5, 1)) == batch{{2, 4, 5}, 4});  // three rows, though five of 4 would fit
    CHECK(stream.pending() == 0);
    CHECK(stream.max_pending() == 1 + 2);
    CHECK(stream.pushed() == 5);
}

TEST_CASE("flush brings what waits, the widest first, and loses nothing")
{
    plan::stream_batcher stream({.edges = {10, 30, 100}, .max_cells = 400});
    std::map<std::uint64_t, int> seen;
    std::size_t most = 0;
    const auto take = [&](const plan::streamed_batch& left) {
        CHECK(left.ids.size() * left.width <= 400);
        for (const auto id : left.ids) {
            CHECK(length_of(id) <= left.width);
            ++seen[id];
        }
    };
    for (std::uint64_t id = 0; id < 1000; ++id) {
        if (const auto left = stream.push(id, length_of(id)))
            take(*left);
        most = std::max(most, stream.pending());
    }
    CHECK(most <= stream.max_pending());
    std::size_t width = 1000;
    while (const auto left = stream.flush()) {
        CHECK(left->width < width);
        width = left->width;
        take(*left);
    }
    CHECK(seen.size() == 1000);
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& one) { return one.second == 1; }));
}

TEST_CASE("a stream that is restored goes on as if it had never stopped")
{
    const plan::stream_options options{.edges = {10, 30, 100}, .max_rows = 7, .max_cells = 400};
    const auto run = [&](plan::stream_batcher& stream, std::uint64_t from, std::uint64_t to) {
        std::vector<batch> left;
        for (std::uint64_t id = from; id < to; ++id)
            if (const auto one = stream.push(id, length_of(id)))
                left.push_back(copied(*one));
        return left;
    };
    for (std::uint64_t stop = 0; stop < 60; ++stop) {
        plan::stream_batcher whole(options);
        run(whole, 0, stop);
        plan::stream_batcher restored(options);
        CHECK(restored.restore(whole.state()) == whole.pending());
        CHECK(restored.pushed() == stop);
        CHECK(run(restored, stop, 200) == run(whole, stop, 200));
        while (const auto left = whole.flush())
            CHECK(copied(*restored.flush()) == copied(*left));
        CHECK_FALSE(restored.flush());
    }
}

TEST_CASE("a sequence that no batch takes is an error, and the stream goes on")
{
    plan::stream_batcher stream({.edges = {4, 10}, .max_cells = 8});
    CHECK_FALSE(stream.push(1, 4));
    CHECK(error_is(stream.try_push(2, 11).error()) == error_is(errors::row_over_limit, 1, 11, 10));
    CHECK(error_is(stream.try_push(2, 5).error()) == error_is(errors::row_over_max_cells, 1, 5, 10));
    tests::check_throws(stream.try_push(2, 11).error(), [&] { static_cast<void>(stream.push(2, 11)); });
    CHECK(stream.pending() == 1);
    CHECK(copied(*stream.push(3, 2)) == batch{{1, 3}, 4});

    plan::stream_batcher alone({.edges = {4, 10}, .max_cells = 8, .over = plan::over_max_cells::is_alone});
    CHECK(copied(*alone.push(2, 5)) == batch{{2}, 10});
}

TEST_CASE("a sequence whose bucket is over the cells is named with its tokens, the width and the limit")
{
    plan::stream_batcher stream({.edges = {8, 104}, .max_cells = 101});
    CHECK(stream.try_push(7, 97).error().message() ==
          "batten: row 0 has 97 tokens and takes 104 cells when padded, max_cells is 101");
}

TEST_CASE("options and states that do not fit a stream are errors")
{
    const auto error_of = [](plan::stream_options options) {
        const auto made = plan::stream_batcher::try_make(options);
        CHECK_FALSE(made.has_value());
        tests::check_throws(made.error(), [&] { static_cast<void>(plan::stream_batcher(options)); });
        return error_is(made.error());
    };
    CHECK(error_of({.max_rows = 2}) == error_is(errors::edges_empty, no_row));
    CHECK(error_of({.edges = {4, 2}, .max_rows = 2}) == error_is(errors::edges_not_increasing, no_row, 4, 2));
    CHECK(error_of({.edges = {4}}) == error_is(errors::batches_unlimited, no_row));
    CHECK(error_of({.edges = {4}, .max_rows = 0}) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_rows"));
    CHECK(error_of({.edges = {4}, .max_cells = 0}) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_cells"));

    plan::stream_batcher stream({.edges = {4, 10}, .max_rows = 3});
    static_cast<void>(stream.push(1, 2));
    const auto good = stream.state();
    const auto refuses = [&](std::vector<std::uint64_t> numbers) {
        const bool refused = stream.try_restore(numbers).error().code == errors::state_of_another;
        return refused && stream.state() == good;
    };
    CHECK(refuses({}));
    CHECK(refuses(plan::stream_batcher({.edges = {4, 10}, .max_rows = 4}).state()));
    CHECK(refuses(plan::stream_batcher({.edges = {4, 11}, .max_rows = 3}).state()));
    for (std::size_t n = 0; n < good.size(); ++n)
        CHECK(refuses({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)}));
    auto longer = good;
    longer.push_back(0);
    CHECK(refuses(longer));
    auto full = good;
    full[2] = 3;
    CHECK(refuses(full));
}
