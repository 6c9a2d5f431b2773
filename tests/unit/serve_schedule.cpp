// SPDX-License-Identifier: MIT
// The schedule of a step: by hand, against the definition spelled out, and over whole lives of requests.

#include "support.hpp"

#include <batten/detail/random.hpp>
#include <batten/serve/schedule.hpp>
#include <batten/serve/step.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <numeric>
#include <utility>
#include <vector>

namespace serve = batten::serve;
namespace errors = batten::serve::errors;
using serve::live_requests;
using serve::request_order;
using serve::schedule_options;
using serve::step_totals;
using tests::error_is;
using tests::no_row;

namespace {

using counts = std::vector<int>;

constexpr bool runs_in_constant_evaluation()
{
    const std::array computed{5, 0, 8};
    const std::array known{6, 100, 9};
    std::array<std::int32_t, 3> scheduled{};
    const auto totals = serve::schedule(live_requests{computed, known}, {.max_tokens = 20, .chunk_multiple = 8}, scheduled);
    return totals == step_totals{18, 2, 1} && tests::holds(scheduled, {1, 16, 1});
}
static_assert(runs_in_constant_evaluation());

// What each of the requests gets, left[i] tokens to compute each.
counts scheduled(const counts& left, const schedule_options& options)
{
    const counts computed(left.size(), 3);
    counts known;
    for (const int one : left)
        known.push_back(3 + one);
    counts out(left.size(), -1);
    serve::schedule(live_requests{computed, known}, options, out);
    return out;
}

}  // namespace

TEST_CASE("by prompt lengths a generation with drafts is a decode, and gets its token and its drafts before any prompt")
{
    // A prompt of 20, and two generations with three drafts each.
    const counts computed{0, 30, 40}, known{20, 34, 44}, prompts{20, 10, 44 - 20};
    const auto with_prompts = [&](const schedule_options& options) {
        counts out(3, -1);
        const auto totals = serve::schedule(live_requests{computed, known, batten::none, prompts}, options, out);
        CHECK(totals.prefills + totals.decodes == 3 - static_cast<std::size_t>(std::count(out.begin(), out.end(), 0)));
        return out;
    };
    CHECK(with_prompts({.max_tokens = 12}) == counts{4, 4, 4});
    CHECK(with_prompts({.max_tokens = 12, .order = request_order::prefill_first}) == counts{12, 0, 0});
    CHECK(with_prompts({.max_tokens = 12, .order = request_order::as_given}) == counts{12, 0, 0});
    // Drafts that do not fit are left out, the token and the part of the prompt that comes first are not.
    CHECK(with_prompts({.max_tokens = 6}) == counts{1, 4, 1});
    CHECK(with_prompts({.max_tokens = 24, .max_chunk = 2}) == counts{2, 2, 2});
    // A multiple is one of prompts.
    CHECK(with_prompts({.max_tokens = 23, .chunk_multiple = 16}) == counts{16, 4, 3});
    // Without prompt lengths tokens are counted: three prompts.
    counts out(3, -1);
    CHECK(serve::schedule(live_requests{computed, known}, {.max_tokens = 12}, out) == step_totals{12, 0, 1});
    CHECK(out == counts{12, 0, 0});
}

TEST_CASE("one order, as given, serves requests of both phases as they come")
{
    constexpr auto as_given = request_order::as_given;
    CHECK(scheduled({1, 40, 1, 30, 1}, {.max_tokens = 64, .order = as_given}) == counts{1, 40, 1, 22, 0});
    CHECK(scheduled({40, 1, 1}, {.max_tokens = 40, .order = as_given}) == counts{40, 0, 0});
    CHECK(scheduled({40, 0, 1, 1}, {.max_tokens = 34, .max_requests = 2, .order = as_given, .chunk_multiple = 16}) ==
          counts{32, 0, 1, 0});
}

TEST_CASE("prompt lengths that are negative, past what is known, or of another number are errors, and nothing is written")
{
    const counts computed{0, 30}, known{20, 34};
    const auto fails = [&](const counts& prompts) {
        counts out(2, -1);
        const auto done = serve::try_schedule(live_requests{computed, known, batten::none, prompts}, {.max_tokens = 8}, out);
        CHECK(out == counts{-1, -1});
        return error_is(done.error());
    };
    CHECK(fails({20, -1}) == error_is(errors::prompt_length_negative, 1, -1, 0, "prompt_lengths"));
    CHECK(fails({21, 4}) == error_is(errors::prompt_past_end, 0, 21, 20, "prompt_lengths"));
    CHECK(fails({20}) == error_is(errors::count_mismatch, no_row, 1, 2, "prompt_lengths"));
}

TEST_CASE("a schedule and the step that it makes agree on which requests are prefills")
{
    const tests::ragged tokens{{1}, {1, 2}, {1, 2, 3, 4, 5, 6}, {1, 2, 3, 4}};
    const counts computed{0, 1, 2, 3}, known{1, 2, 6, 4}, prompts{1, 2, 2, 3};
    const auto agree = [&](const auto& live, const auto& inputs_of, std::size_t prefills) {
        counts out(4, -1);
        const auto totals = serve::schedule(live, {.max_tokens = 100}, out);
        const serve::step now(inputs_of(out), {});
        CHECK(totals.prefills == prefills);
        CHECK(now.prefill_requests() == totals.prefills);
        CHECK(now.decode_requests() == totals.decodes);
    };
    agree(live_requests{computed, known}, [&](const counts& out) { return serve::step_inputs{tokens, computed, out}; }, 2);
    agree(live_requests{computed, known, batten::none, prompts},
          [&](const counts& out) {
              return serve::step_inputs{tokens, computed, out, batten::none, batten::none, prompts};
          },
          2);
}

TEST_CASE("decode first: every decode gets a token, prompts share the tokens that are left")
{
    CHECK(scheduled({40, 1, 1, 30, 1}, {.max_tokens = 64}) == counts{40, 1, 1, 21, 1});
    CHECK(scheduled({40, 1, 1, 30, 1}, {.max_tokens = 20}) == counts{17, 1, 1, 0, 1});
    CHECK(scheduled({40, 1, 1, 30, 1}, {.max_tokens = 2}) == counts{1, 1, 0, 0, 0});
    CHECK(scheduled({1, 40, 1, 30, 1}, {.max_tokens = 2}) == counts{1, 0, 1, 0, 0});
}

TEST_CASE("prefill first: prompts are served first, decodes get the tokens that are left")
{
    const auto first = request_order::prefill_first;
    CHECK(scheduled({40, 1, 1, 30, 1}, {.max_tokens = 72, .order = first}) == counts{40, 1, 1, 30, 0});
    CHECK(scheduled({40, 1, 30, 1}, {.max_tokens = 50, .order = first}) == counts{40, 0, 10, 0});
    CHECK(scheduled({40, 1, 30, 1}, {.max_tokens = 50, .max_requests = 2, .order = first, .max_chunk = 8}) == counts{8, 0, 8, 0});
}

TEST_CASE("the first in the order that has tokens to compute gets some in every step, whatever comes first")
{
    const auto first = request_order::prefill_first;
    CHECK(scheduled({0, 1, 40, 30, 1}, {.max_tokens = 50, .order = first}) == counts{0, 1, 40, 9, 0});
    CHECK(scheduled({1, 40, 30, 1}, {.max_tokens = 50, .max_requests = 2, .order = first, .max_chunk = 8}) == counts{1, 8, 0, 0});
    CHECK(scheduled({1, 40}, {.max_tokens = 16, .order = first, .chunk_multiple = 16}) == counts{1, 0});
    CHECK(scheduled({0, 40, 1, 1}, {.max_tokens = 18, .chunk_multiple = 16}) == counts{0, 16, 1, 1});
    CHECK(scheduled({40, 1, 1}, {.max_tokens = 17, .chunk_multiple = 16}) == counts{16, 1, 0});
    CHECK(scheduled({3, 1, 1, 1}, {.max_tokens = 5, .chunk_multiple = 4}) == counts{3, 1, 1, 0});  // all that it needs
}

TEST_CASE("no more requests have tokens in a step than it takes")
{
    CHECK(scheduled({40, 1, 1, 30, 1}, {.max_tokens = 64, .max_requests = 4}) == counts{40, 1, 1, 0, 1});
    CHECK(scheduled({40, 1, 1, 30, 1}, {.max_tokens = 64, .max_requests = 2}) == counts{40, 1, 0, 0, 0});
    CHECK(scheduled({1, 40, 1, 30, 1}, {.max_tokens = 64, .max_requests = 2}) == counts{1, 0, 1, 0, 0});
    CHECK(scheduled({40, 1, 1, 30, 1}, {.max_tokens = 64, .max_requests = 1, .order = request_order::prefill_first}) ==
          counts{40, 0, 0, 0, 0});
}

TEST_CASE("a chunk is a multiple of the block, unless it is the last of its prompt")
{
    CHECK(scheduled({100, 1}, {.max_tokens = 64, .chunk_multiple = 16}) == counts{48, 1});
    CHECK(scheduled({50, 1}, {.max_tokens = 64, .chunk_multiple = 16}) == counts{50, 1});
    CHECK(scheduled({50, 50}, {.max_tokens = 64, .chunk_multiple = 16}) == counts{50, 0});
    CHECK(scheduled({50, 14}, {.max_tokens = 64, .chunk_multiple = 16}) == counts{50, 14});
    CHECK(scheduled({100, 100, 100}, {.max_tokens = 64, .max_chunk = 30, .chunk_multiple = 16}) == counts{16, 16, 16});
    CHECK(scheduled({100, 20, 100}, {.max_tokens = 64, .max_chunk = 30, .chunk_multiple = 16}) == counts{16, 20, 16});
}

TEST_CASE("a prompt that finds no room for a chunk keeps those after it from overtaking")
{
    CHECK(scheduled({1, 1, 100, 3}, {.max_tokens = 17, .chunk_multiple = 16}) == counts{1, 1, 0, 0});
    CHECK(scheduled({1, 1, 100, 3}, {.max_tokens = 18, .chunk_multiple = 16}) == counts{1, 1, 16, 0});
    CHECK(scheduled({1, 1, 15, 3}, {.max_tokens = 17, .chunk_multiple = 16}) == counts{1, 1, 15, 0});
}

TEST_CASE("a prompt of one token is a prompt, and overtakes none")
{
    const counts computed{1, 0, 0};
    const counts known{2, 100, 1};
    counts out(3, -1);
    const live_requests live{computed, known};
    CHECK(serve::schedule(live, {.max_tokens = 18, .chunk_multiple = 16}, out) == step_totals{18, 1, 2});
    CHECK(out == counts{1, 16, 1});
    CHECK(serve::schedule(live, {.max_tokens = 16, .chunk_multiple = 16}, out) == step_totals{1, 1, 0});
    CHECK(out == counts{1, 0, 0});
}

TEST_CASE("a request that waits for its next token gets none, and a step without requests has no tokens")
{
    CHECK(scheduled({0, 5, 0, 1}, {.max_tokens = 10, .max_requests = 2}) == counts{0, 5, 0, 1});
    CHECK(scheduled({0, 0}, {.max_tokens = 10}) == counts{0, 0});
    CHECK(scheduled({}, {.max_tokens = 10}).empty());
}

TEST_CASE("the order of arrival is the given one: a request that is not in it waits, and twice counts once")
{
    const counts computed{0, 0, 0, 7};
    const counts known{30, 30, 30, 8};
    counts out(4, -1);
    const auto with = [&](const std::vector<std::uint16_t>& order, std::size_t budget) {
        serve::schedule(live_requests{computed, known, order}, {.max_tokens = budget}, out);
        return out;
    };
    CHECK(with({2, 3, 0, 1}, 41) == counts{10, 0, 30, 1});
    CHECK(with({1}, 41) == counts{0, 30, 0, 0});
    CHECK(with({1, 1, 3, 3, 2}, 41) == counts{0, 30, 10, 1});
    CHECK(with({}, 41) == counts{0, 0, 0, 0});
}

TEST_CASE("counts may be in the caller's own structures, and be integers of any type")
{
    struct live {
        std::uint8_t computed;
        std::int64_t known;
    };
    const std::vector<live> requests{{200, 201}, {0, 100000}};
    std::array<std::uint16_t, 3> out{9, 9, 9};
    const auto computed = batten::each(requests, &live::computed);
    const auto known = batten::each(requests, &live::known);
    const auto totals = serve::schedule(live_requests{computed, known}, {.max_tokens = 65535}, out);
    CHECK(totals == step_totals{65535, 1, 1});
    CHECK(totals.requests() == 2);
    CHECK(out == std::array<std::uint16_t, 3>{1, 65534, 9});  // elements after the requests are left alone
}

// ---- errors -------------------------------------------------------------------------------------------------------------

namespace {

error_is schedule_error(const counts& computed, const counts& known, const schedule_options& options,
                        const counts& order = {}, std::size_t elements = 3)
{
    tests::guarded<std::int8_t> out(elements);
    const live_requests live{computed, known, order};
    const auto totals = serve::try_schedule(live, options, out.cells());
    CHECK_FALSE(totals.has_value());
    tests::check_throws(totals.error(), [&] { serve::schedule(live, options, out.cells()); });
    CHECK(out.untouched());
    return totals.error();
}

}  // namespace

TEST_CASE("what makes no schedule is an error, and nothing is written")
{
    const counts computed{4, 0, 2};
    const counts known{5, 9, 2};
    const auto zero = [&](const schedule_options& options) { return schedule_error(computed, known, options); };
    CHECK(zero({}) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_tokens"));
    CHECK(zero({.max_tokens = 1, .max_requests = 0}) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_requests"));
    CHECK(zero({.max_tokens = 1, .max_chunk = 0}) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_chunk"));
    CHECK(zero({.max_tokens = 1, .chunk_multiple = 0}) ==
          error_is(errors::argument_not_positive, no_row, 0, 0, "chunk_multiple"));
    CHECK(zero({.max_tokens = 31, .chunk_multiple = 32}) == error_is(errors::chunk_multiple_too_large, no_row, 32, 31));
    CHECK(zero({.max_tokens = 64, .max_chunk = 16, .chunk_multiple = 32}) ==
          error_is(errors::chunk_multiple_too_large, no_row, 32, 16));

    const schedule_options options{.max_tokens = 100};
    CHECK(schedule_error(computed, {5, 9}, options) == error_is(errors::count_mismatch, no_row, 2, 3, "known"));
    CHECK(schedule_error({4, -1, 2}, known, options) == error_is(errors::argument_negative, 1, -1, 0, "computed"));
    CHECK(schedule_error({4, 0, 3}, known, options) == error_is(errors::computed_past_known, 2, 3, 2));
    CHECK(schedule_error(computed, known, options, {0, 3}) == error_is(errors::row_index_out_of_range, 1, 3, 3));
    CHECK(schedule_error(computed, known, options, {-1}) == error_is(errors::row_index_out_of_range, 0, -1, 3));
    CHECK(schedule_error(computed, known, options, {}, 2) == error_is(errors::span_too_small, no_row, 3, 2, "scheduled"));
    CHECK(schedule_error(computed, {5, 9000, 2}, {.max_tokens = 128}) ==
          error_is(errors::value_not_representable, 1, 128, 0, "scheduled"));
}

TEST_CASE("the requests with tokens in the step are the rows that a step is made of")
{
    const counts out{0, 3, 0, 1, 1};
    std::vector<std::uint8_t> rows(5, 99);
    CHECK(tests::holds(serve::scheduled_rows(out, rows), {1, 3, 4}));
    CHECK(rows == std::vector<std::uint8_t>{1, 3, 4, 99, 99});
    CHECK(serve::scheduled_rows(counts{}, rows).empty());
    CHECK(error_is(serve::try_scheduled_rows(out, std::span(rows).first(2)).error()) ==
          error_is(errors::span_too_small, no_row, 3, 2, "rows"));
    CHECK(error_is(serve::try_scheduled_rows(counts(257, 0), rows).error()) ==
          error_is(errors::value_not_representable, no_row, 256, 0, "rows"));
    static_assert([] {
        std::array<int, 2> chosen{};
        return tests::holds(serve::scheduled_rows(std::array{0, 0, 7}, chosen), {2});
    }());
}

// ---- the definition -----------------------------------------------------------------------------------------------------

TEST_CASE("a schedule is what serving one request after the other gives, whatever requests and options are")
{
    for (std::uint64_t trial = 0; trial < 20000; ++trial) {
        std::uint64_t drawn = 0;
        const auto draw = [&](std::size_t n) {
            return static_cast<std::size_t>(batten::detail::below(n, batten::detail::draw(trial, drawn++)));
        };
        const std::size_t n = draw(9);
        counts computed(n), known(n);
        for (std::size_t r = 0; r < n; ++r) {
            computed[r] = draw(4) == 0 ? 0 : static_cast<int>(draw(50));
            known[r] = computed[r] + static_cast<int>(draw(2) == 0 ? draw(3) : draw(60));
        }
        std::vector<std::size_t> order(n);
        std::iota(order.begin(), order.end(), std::size_t{0});
        for (std::size_t i = n; i > 1; --i)
            std::swap(order[i - 1], order[draw(i)]);
        schedule_options options;
        options.chunk_multiple = 1 + draw(8);
        options.max_chunk = draw(2) == 0 ? batten::no_limit : options.chunk_multiple + draw(20);
        options.max_tokens = options.chunk_multiple + draw(80);
        options.max_requests = draw(2) == 0 ? batten::no_limit : 1 + draw(6);
        options.order = draw(2) == 0 ? request_order::decode_first : request_order::prefill_first;

        // Everyone in a line: by kind, then by order.
        const auto left = [&](std::size_t r) { return static_cast<std::size_t>(known[r] - computed[r]); };
        const auto is_decode = [&](std::size_t r) { return left(r) == 1 && computed[r] > 0; };
        std::vector<std::size_t> line = order;
        std::stable_partition(line.begin(), line.end(), [&](std::size_t r) {
            return is_decode(r) == (options.order == request_order::decode_first);
        });
        counts expected(n, 0);
        std::size_t tokens = 0, requests = 0;
        // The first request with tokens to compute has its share, and more in its turn.
        if (const auto first = std::find_if(order.begin(), order.end(), [&](std::size_t r) { return left(r) != 0; });
            first != order.end()) {
            tokens = is_decode(*first) ? 1 : std::min(left(*first), options.chunk_multiple);
            expected[*first] = static_cast<int>(tokens);
            requests = 1;
        }
        bool closed = false;  // to prompts
        for (const std::size_t r : line) {
            tokens -= static_cast<std::size_t>(expected[r]);
            requests -= expected[r] != 0 ? 1U : 0U;
            std::size_t most = std::min({left(r), options.max_tokens - tokens, options.max_chunk});
            if (most < left(r))
                most = most / options.chunk_multiple * options.chunk_multiple;
            if (requests == options.max_requests)
                most = 0;
            if (!is_decode(r) && left(r) > 0) {
                closed = closed || most == 0;
                most = closed ? 0 : most;
            }
            expected[r] = static_cast<int>(most);
            tokens += most;
            requests += most != 0 ? 1U : 0U;
        }

        counts out(n, -1);
        const step_totals totals = serve::schedule(live_requests{computed, known, order}, options, out);
        REQUIRE(out == expected);
        REQUIRE(totals.tokens == tokens);
        REQUIRE(totals.requests() == requests);
        const auto decoded = [&](std::size_t r) { return out[r] != 0 && is_decode(r); };
        REQUIRE(totals.decodes == static_cast<std::size_t>(std::count_if(order.begin(), order.end(), decoded)));
    }
}

// ---- fairness -----------------------------------------------------------------------------------------------------------

namespace {

struct life {
    std::size_t arrival = 0;  // its step
    int computed = 0;
    int known = 0;
    int length = 0;  // known tokens with which it ends

    bool is_decode() const { return computed > 0 && known - computed == 1; }
};

constexpr std::size_t slots = 20;
constexpr int longest_prompt = 500;
constexpr int longest_answer = 30;

// A few long prompts among short ones, some of one token.
int mixed_prompt(std::size_t request)
{
    if (request % 10 == 0)
        return longest_prompt;
    return 1 + static_cast<int>(batten::detail::below(40, batten::detail::draw(0, request)));
}

// A server under more requests than it can serve: 20 are live at a time, and the next one is let in as soon as one ends. The
// most steps that any of them was live. `each_step` sees every schedule.
template <class Prompt, class EachStep>
std::size_t longest_life(const schedule_options& options, std::size_t total, Prompt prompt_of, EachStep each_step)
{
    std::vector<life> live;  // by arrival
    std::size_t begun = 0;
    std::size_t ended = 0;
    std::size_t longest = 0;
    for (std::size_t step = 0; ended < total; ++step) {
        for (; live.size() < slots && begun < total; ++begun) {
            const int prompt = prompt_of(begun);
            const auto answer = batten::detail::below(longest_answer, batten::detail::draw(1, begun));
            live.push_back({step, 0, prompt, prompt + static_cast<int>(answer)});
        }
        const auto computed = batten::each(live, &life::computed);
        const auto known = batten::each(live, &life::known);
        counts out(live.size());
        const step_totals totals = serve::schedule(live_requests{computed, known}, options, out);
        REQUIRE(totals.tokens > 0);
        each_step(live, out, totals);
        for (std::size_t r = 0; r < live.size(); ++r) {
            live[r].computed += out[r];
            if (out[r] != 0 && live[r].computed == live[r].known)
                ++live[r].known;
        }
        ended += std::erase_if(live, [&](const life& one) {
            longest = std::max(longest, step - one.arrival);
            return one.known > one.length;
        });
    }
    return longest;
}

const auto look_away = [](const std::vector<life>&, const counts&, const step_totals&) {};

}  // namespace

TEST_CASE("in every step the oldest gets tokens, decodes or prompts before the others as it is asked, the oldest of them first")
{
    for (const std::size_t budget : {17U, 24U, 64U})
        for (const request_order order : {request_order::decode_first, request_order::prefill_first}) {
            const schedule_options options{.max_tokens = budget, .max_requests = 12, .order = order, .chunk_multiple = 16};
            std::size_t held_up = 0;
            const auto check = [&](const std::vector<life>& live, const counts& out, const step_totals& totals) {
                REQUIRE(out[0] > 0);
                bool seen_prompt = false;
                for (std::size_t r = 1; r < live.size(); ++r) {
                    const bool is_prompt = !live[r].is_decode();
                    const bool is_oldest_prompt = is_prompt && live[0].is_decode() && !std::exchange(seen_prompt, true);
                    if (order == request_order::decode_first && !is_prompt)
                        REQUIRE((out[r] == 1 || totals.tokens + 1 > budget || totals.requests() == 12));
                    if (is_oldest_prompt && order == request_order::prefill_first)
                        REQUIRE((out[r] > 0 || budget < 16 + 1));
                    if (is_oldest_prompt)
                        held_up += out[r] == 0 ? 1U : 0U;
                }
            };
            longest_life(options, 400, mixed_prompt, check);
            CAPTURE(budget, order);
            CHECK((held_up > 0) == (order == request_order::decode_first));
        }
}

TEST_CASE("no request waits forever: it ends in fewer steps than it and those before it have tokens")
{
    // Each step serves the oldest of those that are live: itself, or one of the 19 that came before it.
    constexpr std::size_t bound = slots * (longest_prompt + longest_answer);
    for (const request_order order : {request_order::decode_first, request_order::prefill_first})
        for (const std::size_t requests : {std::size_t{1}, std::size_t{3}, std::size_t{20}, batten::no_limit}) {
            const std::size_t longest = longest_life(
                {.max_tokens = 24, .max_requests = requests, .order = order, .chunk_multiple = 16}, 600, mixed_prompt, look_away);
            CAPTURE(order, requests, longest);
            CHECK(longest > 40);
            CHECK(longest < bound);
        }
}

TEST_CASE("no endless stream of others keeps a request waiting: of short prompts, of prompts alone, of all but computed ones")
{
    // The first request is served among newcomers of one kind, a request that ends is followed by the next. Steps until it has ended.
    const auto steps_of_first = [](life first, const life& newcomer, std::size_t live_ones, const schedule_options& options) {
        std::vector<life> live{first};
        for (std::size_t step = 1; step <= 100'000; ++step) {
            live.resize(live_ones, newcomer);
            const auto computed = batten::each(live, &life::computed);
            const auto known = batten::each(live, &life::known);
            counts out(live.size());
            serve::schedule(live_requests{computed, known}, options, out);
            for (std::size_t r = 0; r < live.size(); ++r) {
                live[r].computed += out[r];
                if (out[r] != 0 && live[r].computed == live[r].known)
                    ++live[r].known;
            }
            if (live[0].known > live[0].length)
                return step;
            std::erase_if(live, [](const life& one) { return one.known > one.length; });
        }
        return std::size_t{0};
    };
    const life prompt{0, 0, 500, 500}, decode{0, 9, 10, 29}, one_token{0, 0, 1, 1}, long_prompt{0, 0, 40, 40},
        all_but_computed{0, 99, 100, 100};
    const auto prefill_first = request_order::prefill_first;
    CHECK(steps_of_first(prompt, one_token, 20, {.max_tokens = 24, .chunk_multiple = 16}) == 31);  // the last 20 at once
    CHECK(steps_of_first(prompt, all_but_computed, 20, {.max_tokens = 17, .chunk_multiple = 16}) == 32);
    CHECK(steps_of_first(prompt, all_but_computed, 2, {.max_tokens = 64, .max_requests = 1}) == 8);
    CHECK(steps_of_first(decode, long_prompt, 2, {.max_tokens = 16, .order = prefill_first}) == 20);
    CHECK(steps_of_first(decode, one_token, 20, {.max_tokens = 64, .max_requests = 2, .order = prefill_first}) == 20);
}
