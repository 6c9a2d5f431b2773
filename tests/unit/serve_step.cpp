// SPDX-License-Identifier: MIT
// Steps and their arrays against the obvious loop; block tables that are updated from step to step; every error.

#include "step_support.hpp"

#include <batten/serve/decode.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

namespace errors = batten::serve::errors;
using serve_order = batten::serve::request_order;
using batten::set;
using tests::check_throws;
using tests::error_is;
using tests::expected_step;
using tests::line;
using tests::line_of;
using tests::live_request;
using tests::live_requests;
using tests::no_row;
using tests::step_error;
using tests::table_memory;
namespace serve = batten::serve;

namespace {

// One request that generates, one that is in the middle of its prompt, one at the end of it.
const std::vector<live_request> three{{{10, 11, 12, 13}, 3, 1, {7}, 1, 2},
                                      {{20, 21, 22, 23, 24, 25, 26}, 1, 4, {5, 9}, 2, 7},
                                      {{30, 31, 32, 33, 34}, 4, 1, {3, 8}, 3, 4}};
constexpr serve::step_options of_four{.cache = {.blocks = 10, .block_size = 4}};

// Every array of a step, as lines.
struct written_arrays {
    line ids{}, positions{}, slots{}, query_start_loc{}, query_ends{}, key_start_loc{}, query_lens{}, computed{}, seq_lens{},
        logits{}, pages{}, page_start_loc{}, last_page_len{}, order{};
    serve::step_shape shape{};
};

template <class Step>
written_arrays write_all(const Step& now, std::size_t pages, const serve::padded_size& size = {},
                         const serve::step_padding& pads = {})
{
    const std::size_t tokens = std::max(size.tokens, now.tokens());
    const std::size_t requests = std::max(size.requests, now.requests());
    std::vector<std::int64_t> ids(tokens), positions(tokens), slots(tokens);
    std::vector<std::int32_t> starts(requests + 1), ends(requests), keys(requests + 1), lens(requests), computed(requests),
        seq_lens(requests), logits(requests), indices(pages), page_starts(requests + 1), last(requests), order(requests);
    const auto shape = serve::write(
        now, pads, size, set<batten::token_ids>(ids), set<batten::position_ids>(positions), set<serve::slot_mapping>(slots),
        set<batten::cu_seqlens>(starts), set<serve::query_ends>(ends), set<serve::key_start_loc>(keys), set<batten::lengths>(lens),
        set<serve::computed_lens>(computed), set<serve::seq_lens>(seq_lens), set<serve::logits_indices>(logits),
        serve::page_indices(indices), set<serve::page_start_loc>(page_starts), set<serve::last_page_len>(last),
        set<serve::request_indices>(order));
    return {line_of(ids),      line_of(positions), line_of(slots),   line_of(starts),      line_of(ends), line_of(keys),
            line_of(lens),     line_of(computed),  line_of(seq_lens), line_of(logits),      line_of(indices),
            line_of(page_starts), line_of(last),   line_of(order),    shape};
}

void check_same(const written_arrays& found, const expected_step& expected)
{
    CHECK(found.ids == expected.ids);
    CHECK(found.positions == expected.positions);
    CHECK(found.slots == expected.slots);
    CHECK(found.query_start_loc == expected.query_start_loc);
    CHECK(found.query_ends == line(expected.query_start_loc.begin() + 1, expected.query_start_loc.end()));
    CHECK(found.key_start_loc == expected.key_start_loc);
    CHECK(found.query_lens == expected.query_lens);
    CHECK(found.computed == expected.computed);
    CHECK(found.seq_lens == expected.seq_lens);
    CHECK(found.logits == expected.logits);
    CHECK(found.pages == expected.pages);
    CHECK(found.page_start_loc == expected.page_start_loc);
    CHECK(found.last_page_len == expected.last_page_len);
}

constexpr bool steps_in_constant_evaluation()
{
    const std::array<int, 4> first{10, 11, 12, 13};
    const std::array<int, 6> second{20, 21, 22, 23, 24, 25};
    const std::array<std::span<const int>, 2> tokens{first, second};
    const std::array<int, 2> computed{3, 4}, scheduled{1, 2}, ids{1, 2};
    const std::array<int, 4> block_ids{7, 0, 5, 9};
    const batten::matrix_view<const int> blocks(block_ids.data(), 2, 2, 2);
    const serve::step now(serve::step_inputs{tokens, computed, scheduled, blocks, ids}, of_four);
    std::array<std::int64_t, 4> slots{};
    std::array<std::int32_t, 4> starts{}, positions{}, token_ids{};
    std::array<std::int32_t, 6> cells{};
    std::array<std::uint64_t, 3> row_ids{};
    std::array<serve::block_table_row_state, 3> states{};
    serve::block_table_buffer<std::int32_t> table(batten::matrix_view<std::int32_t>(cells.data(), 3, 2, 2), row_ids, states);
    const auto shape = serve::write(now, {}, {4, 3}, set<serve::slot_mapping>(slots), set<batten::cu_seqlens>(starts),
                                    set<batten::position_ids>(positions), set<batten::token_ids>(token_ids), serve::block_table(table));
    return shape == serve::step_shape{4, 3, 2, 6} && tests::holds(slots, {31, 36, 37, -1}) &&
           tests::holds(starts, {0, 1, 3, 3}) && tests::holds(positions, {3, 4, 5, 0}) &&
           tests::holds(token_ids, {13, 24, 25, 0}) &&
           tests::holds(cells, {7, -1, 5, 9, -1, -1});
}
static_assert(steps_in_constant_evaluation());

constexpr bool last_pages_are_full_at_multiples()
{
    const serve::block_geometry of_16(16);
    return of_16.in_last_block(0) == 0 && of_16.in_last_block(1) == 1 && of_16.in_last_block(15) == 15 &&
           of_16.in_last_block(16) == 16 && of_16.in_last_block(17) == 1 && of_16.blocks_of(0) == 0 &&
           of_16.blocks_of(16) == 1 && of_16.blocks_of(17) == 2;
}
static_assert(last_pages_are_full_at_multiples());

}  // namespace

// ---- arrays --------------------------------------------------------------------------------------------------------------

TEST_CASE("a step takes the scheduled tokens of each request from where its computed ones end")
{
    const live_requests live(three);
    const serve::step now(live.inputs(), of_four);
    CHECK(now.requests() == 3);
    CHECK(now.tokens() == 6);
    CHECK(now.max_query_len() == 4);
    CHECK(now.max_seq_len() == 5);
    CHECK(now.prefill_requests() == 1);
    CHECK(now.decode_requests() == 2);
    const written_arrays found = write_all(now, 5);
    CHECK(found.ids == line{13, 21, 22, 23, 24, 34});
    CHECK(found.positions == line{3, 1, 2, 3, 4, 4});
    CHECK(found.slots == line{31, 21, 22, 23, 36, 32});
    CHECK(found.query_start_loc == line{0, 1, 5, 6});
    CHECK(found.seq_lens == line{4, 5, 5});
    CHECK(found.logits == line{0, 4, 5});
    CHECK(found.shape == serve::step_shape{6, 3, 4, 5});
    check_same(found, expected_step(three, 4));
}

TEST_CASE("rule 11: request order is a policy of the step, which reports the permutation")
{
    const live_requests live(three);
    const auto order_of = [&](auto inputs, serve_order order, std::size_t pages = 5) {
        serve::step_options options = of_four;
        options.order = order;
        return write_all(serve::step(inputs, options), pages);
    };
    CHECK(order_of(live.inputs(), serve_order::as_given).order == line{0, 1, 2});
    const written_arrays prefill_first = order_of(live.inputs(), serve_order::prefill_first);
    CHECK(prefill_first.order == line{1, 0, 2});
    check_same(prefill_first, expected_step({three[1], three[0], three[2]}, 4));
    const written_arrays decode_first = order_of(live.inputs(), serve_order::decode_first);
    CHECK(decode_first.order == line{0, 2, 1});
    check_same(decode_first, expected_step({three[0], three[2], three[1]}, 4));
    // By prompt lengths, a chunk of one token is a context, too.
    std::vector<live_request> chunk_of_one = three;
    chunk_of_one[2].prompt = 5;
    const live_requests with_prompts(chunk_of_one);
    CHECK(order_of(with_prompts.inputs(), serve_order::prefill_first).order == line{1, 0, 2});
    CHECK(order_of(with_prompts.inputs_with_prompts(), serve_order::prefill_first).order == line{1, 2, 0});
    // One token each, and yet not as given.
    chunk_of_one[1].scheduled = 1;
    const live_requests all_ones(chunk_of_one);
    const written_arrays ones = order_of(all_ones.inputs_with_prompts(), serve_order::decode_first);
    CHECK(ones.order == line{0, 1, 2});
    const written_arrays contexts = order_of(all_ones.inputs_with_prompts(), serve_order::prefill_first, 4);
    CHECK(contexts.order == line{1, 2, 0});
    check_same(contexts, expected_step({chunk_of_one[1], chunk_of_one[2], chunk_of_one[0]}, 4));
}

TEST_CASE("a step of no requests has no tokens, and query_start_loc is {0}")
{
    const live_requests live({}, 2);
    const serve::step now(live.inputs(), of_four);
    CHECK(now.tokens() == 0);
    CHECK(now.max_seq_len() == 0);
    const written_arrays found = write_all(now, 0);
    CHECK(found.query_start_loc == line{0});
    CHECK(found.key_start_loc == line{0});
    // A pad's last token would be before the first.
    CHECK(write_all(now, 0, {.tokens = 0, .requests = 2}).logits == line{0, 0});
}

TEST_CASE("tokens come as rows of a matrix, too, and requests as a selection of the server's rows")
{
    const std::vector<std::uint16_t> matrix{10, 11, 12, 13, 0, 0, 0, 20, 21, 22, 23, 24, 25, 26, 30, 31, 32, 33, 34, 0, 0};
    const std::vector<int> lengths{4, 7, 5};
    const batten::strided_sequences known(matrix, 7, lengths);
    const live_requests live(three);
    const auto from_matrix = serve::step_inputs{known, live.computed, live.scheduled, live.blocks(), live.ids};
    check_same(write_all(serve::step(from_matrix, of_four), 5), expected_step(three, 4));

    const std::vector<std::uint8_t> rows{2, 1};
    const auto chosen = batten::select(from_matrix, rows);
    const written_arrays found = write_all(serve::step(chosen, of_four), 4);
    check_same(found, expected_step({three[2], three[1]}, 4));
    CHECK(found.order == line{0, 1});
    const std::vector<int> decoding{2, 0};
    check_same(write_all(serve::step(batten::select(from_matrix, decoding), of_four), 3),
               expected_step({three[2], three[0]}, 4));
}

TEST_CASE("steps of any mix, block size and order are what the loop over requests and tokens makes")
{
    std::mt19937 random(7);
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    for (int round = 0; round < 300; ++round) {
        const int block_size = std::array{1, 3, 4, 16, 32}[static_cast<std::size_t>(below(5))];
        const bool only_ones = below(2) == 0;
        std::vector<live_request> requests(static_cast<std::size_t>(below(12)));
        int block = 1;
        std::size_t pages = 0;
        for (live_request& r : requests) {
            r.tokens.resize(static_cast<std::size_t>(1 + below(90)));
            std::iota(r.tokens.begin(), r.tokens.end(), 1000 * block);
            const int known = static_cast<int>(r.tokens.size());
            r.scheduled = only_ones ? 1 : 1 + below(known);
            r.computed = below(known - r.scheduled + 1);
            r.prompt = below(known + 1);
            const int blocks = (r.computed + r.scheduled + block_size - 1) / block_size;
            pages += static_cast<std::size_t>(blocks);
            for (int b = 0; b < blocks; ++b)
                r.blocks.push_back(block++);
            std::shuffle(r.blocks.begin(), r.blocks.end(), random);
        }
        const live_requests live(requests);
        const auto order = std::array{serve_order::as_given, serve_order::prefill_first,
                                      serve_order::decode_first}[static_cast<std::size_t>(below(3))];
        std::vector<live_request> ordered = requests;
        if (order != serve_order::as_given)
            std::stable_partition(ordered.begin(), ordered.end(), [&](const live_request& r) {
                return (r.computed < r.prompt) == (order == serve_order::prefill_first);
            });
        CAPTURE(round, block_size, static_cast<int>(order));
        const serve::step now(live.inputs_with_prompts(), {.cache = {.blocks = static_cast<std::size_t>(block) + 1,
                                                                     .block_size = static_cast<std::size_t>(block_size)},
                                                           .order = order});
        check_same(write_all(now, pages), expected_step(ordered, block_size));
    }
}

// ---- the block table -----------------------------------------------------------------------------------------------------

TEST_CASE("a block table is updated from step to step: requests join, leave, move, fork and are computed again")
{
    constexpr int block_size = 4;
    constexpr std::size_t most = 8, width = 12;
    std::mt19937 random(11);
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    for (const serve_order order : {serve_order::as_given, serve_order::decode_first}) {
        table_memory<> table(most, width);
        std::vector<live_request> requests;
        int next_id = 1;
        const auto fresh_block = [&] { return 1 + below(998); };
        const auto grow = [&](live_request& r) {
            while (static_cast<int>(r.blocks.size()) * block_size < r.computed + r.scheduled)
                r.blocks.push_back(fresh_block());
        };
        for (int step = 0; step < 2000; ++step) {
            for (live_request& r : requests)
                r.computed += r.scheduled;
            std::erase_if(requests, [&](const live_request& r) {
                return r.computed >= static_cast<int>(r.tokens.size()) || below(40) == 0;
            });
            if (requests.size() < most && below(3) == 0) {
                live_request joins{std::vector<int>(static_cast<std::size_t>(1 + below(46)), 5), 0, 0, {}, next_id++, 0};
                if (!requests.empty() && below(3) == 0) {  // a fork, whose tail is shared until one of them writes
                    const int id = joins.id;
                    joins = requests[static_cast<std::size_t>(below(static_cast<int>(requests.size())))];
                    joins.id = id;
                } else if (joins.tokens.size() > 8 && below(3) == 0) {  // a prefix of the cache
                    joins.blocks = {fresh_block(), fresh_block()};
                    joins.computed = 8;
                }
                requests.insert(requests.begin() + below(static_cast<int>(requests.size()) + 1), joins);
            }
            for (live_request& r : requests) {
                if (below(50) == 0) {  // preempted and computed again, in other blocks
                    r.computed = 0;
                    r.blocks.clear();
                }
                if (r.computed % block_size != 0 && below(5) == 0)  // copied on write
                    r.blocks.at(static_cast<std::size_t>(r.computed / block_size)) = fresh_block();
                const int left = static_cast<int>(r.tokens.size()) - r.computed;
                r.scheduled = below(4) == 0 ? 1 + below(left) : 1;
                r.blocks.resize(std::min(r.blocks.size(), static_cast<std::size_t>((r.computed + 3) / block_size)));
                grow(r);
            }
            if (below(10) == 0)
                std::shuffle(requests.begin(), requests.end(), random);
            std::vector<live_request> ordered = requests;
            if (order == serve_order::decode_first)
                std::stable_partition(ordered.begin(), ordered.end(),
                                      [](const live_request& r) { return r.scheduled == 1 && r.computed != 0; });
            const live_requests live(requests, width);
            const serve::step now(live.inputs(), {.cache = {.blocks = 1000, .block_size = block_size}, .order = order});
            const int free_rows = static_cast<int>(most - requests.size());
            const std::size_t rows = requests.size() + static_cast<std::size_t>(below(free_rows + 1));
            serve::write(now, {}, {.requests = rows}, serve::block_table(table.rows_of));
            const expected_step expected(ordered, block_size);
            for (std::size_t r = 0; r < rows; ++r) {
                CAPTURE(step, r);
                REQUIRE(table.row(r) == tests::padded_row(r < requests.size() ? expected.blocks[r] : line{}, width, -1));
            }
        }
    }
}

TEST_CASE("a step writes no column of the block table whose tokens were computed before")
{
    std::vector<live_request> requests(3);
    for (std::size_t r = 0; r < 3; ++r) {
        const int n = static_cast<int>(r);
        requests[r] = {std::vector<int>(24, 1), 11 + n, 1, std::vector<int>(6), n, 0};
        std::iota(requests[r].blocks.begin(), requests[r].blocks.end(), 10 * n + 1);
    }
    table_memory<> table(3, 6);
    const auto step = [&] {
        const live_requests live(requests);
        serve::write(serve::step(live.inputs(), {.cache = {.blocks = 100, .block_size = 4}}), {}, {}, serve::block_table(table.rows_of));
        for (live_request& r : requests)
            r.computed += 1;
    };
    step();
    CHECK(table.row(0) == line{1, 2, 3, -1, -1, -1});
    CHECK(table.row(1) == line{11, 12, 13, 14, -1, -1});
    // What is in columns of computed tokens stays there.
    for (std::size_t r = 0; r < 3; ++r)
        table.rows_of.table()(r, 0) = table.rows_of.table()(r, 1) = 77;
    step();
    step();
    CHECK(table.row(0) == line{77, 77, 3, 4, -1, -1});
    CHECK(table.row(1) == line{77, 77, 13, 14, -1, -1});
    // Until another request takes the row, or the row is invalidated.
    requests[0].id = 9;
    table.rows_of.invalidate(2);
    step();
    CHECK(table.row(0) == line{1, 2, 3, 4, -1, -1});
    CHECK(table.row(1) == line{77, 77, 13, 14, -1, -1});
    CHECK(table.row(2) == line{21, 22, 23, 24, 25, -1});
    // A request that misses a step is not known any more, even where it comes back to its row.
    table.rows_of.table()(2, 0) = 77;
    const live_request away = requests.back();
    requests.pop_back();
    step();
    requests.push_back(away);
    step();
    CHECK(table.row(2) == line{21, 22, 23, 24, 25, -1});
}

TEST_CASE("blocks of tokens that no step had are written, and checked, too: a request comes back with a prefix from elsewhere")
{
    live_request one{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}, 1, 1, {1, -1, -1, -1}, 9, 0};
    table_memory<std::int8_t> table(1, 4);
    const auto write = [&] {
        const live_requests live({one});
        return serve::try_write(serve::step(live.inputs(), of_four), {}, {}, serve::block_table(table.rows_of));
    };
    for (const int scheduled : {1, 2}) {  // of one token, and of several
        table.rows_of.invalidate();
        one.computed = one.scheduled = 1;
        one.blocks = {1, -1, -1, -1};
        CHECK(write().has_value());
        CHECK(table.row(0) == line{1, -1, -1, -1});
        one.computed = 9;
        one.scheduled = scheduled;
        one.blocks = {1, 10, 5, -1};
        CHECK(error_is(write().error()) == error_is(errors::block_out_of_range, 0, 10, 10));
        CHECK(table.row(0) == line{1, -1, -1, -1});
        one.blocks = {1, 3, 5, -1};
        CHECK(write().has_value());
        CHECK(table.row(0) == line{1, 3, 5, -1});
    }
    check_throws({errors::row_out_of_range, no_row, 1, 1, {}}, [&] { table.rows_of.invalidate(1); });
}

TEST_CASE("views that a step is made of may be temporaries")
{
    const std::vector<live_request> requests = three;
    const live_requests live(requests);
    const serve::step expected(live.inputs(), of_four);
    const serve::step now(serve::step_inputs{batten::each(requests, &live_request::tokens),
                                             batten::each(requests, &live_request::computed),
                                             batten::each(requests, &live_request::scheduled), live.blocks(),
                                             batten::each(requests, &live_request::id)},
                          of_four);
    const written_arrays from_views = write_all(now, 5, {});
    const written_arrays from_vectors = write_all(expected, 5, {});
    CHECK(from_views.ids == from_vectors.ids);
    CHECK(from_views.positions == from_vectors.positions);
    CHECK(from_views.slots == from_vectors.slots);
}

TEST_CASE("is_complete tells the requests whose next token is sampled from chunks of a prompt that do not end it")
{
    std::vector<live_request> requests = three;
    requests[1].scheduled = 1;
    requests[1].tokens.resize(static_cast<std::size_t>(requests[1].computed) + 2);
    for (const std::size_t i : {0U, 2U})
        requests[i].tokens.resize(static_cast<std::size_t>(requests[i].computed + requests[i].scheduled));
    const live_requests live(requests);
    std::vector<std::uint8_t> complete(4, 9);
    serve::write(serve::step(live.inputs(), of_four), {}, {.requests = 4}, set<serve::is_complete>(complete));
    CHECK(line_of(complete) == line{1, 0, 1, 0});
}

// ---- a step as a layout --------------------------------------------------------------------------------------------------

TEST_CASE("a collator of a step's layout and its arrays say the same, and fields of the user's work on steps")
{
    using fields = batten::fields<batten::token_ids<>, batten::position_ids<>, batten::cu_seqlens<>, serve::seq_lens<>,
                                  serve::logits_indices<>, serve::slot_mapping<>, serve::key_start_loc<>, serve::last_page_len<>,
                                  serve::request_indices<>, serve::is_complete<>, batten::column<"weights", float>>;
    const live_requests live(three);
    const batten::basic_collator<serve::step_row<batten::round_up_to<8>>, fields> collate{
        {.pad_id = 0, .fields = {{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}}};
    std::vector<std::vector<float>> weights;
    for (const live_request& r : three)
        weights.emplace_back(r.tokens.begin(), r.tokens.end());
    const auto columns = batten::columns{batten::named<"weights">(weights)};
    const batten::inputs everything{live.tokens, batten::none, batten::none, columns};
    for (const serve_order order : {serve_order::as_given, serve_order::prefill_first, serve_order::decode_first}) {
        serve::step_options options = of_four;
        options.order = order;
        const serve::step now(serve::step_inputs{everything, live.computed, live.scheduled, live.blocks(), live.ids}, options);
        const auto batch = collate(now);
        std::vector<std::uint8_t> complete(3);
        std::vector<float> weight(8, 9.0F);
        serve::write(now, {}, {.tokens = 8}, set<serve::is_complete>(complete), set<"weights">(weight));
        const written_arrays found = write_all(now, 5, {.tokens = 8});
        CHECK(batch.rows() == 1);
        CHECK(line_of(batch.token_ids()) == found.ids);
        CHECK(line_of(batch.position_ids()) == found.positions);
        CHECK(line_of(batch.cu_seqlens()) == found.query_start_loc);
        CHECK(line_of(batch.get<serve::seq_lens>()) == found.seq_lens);
        CHECK(line_of(batch.get<serve::logits_indices>()) == found.logits);
        CHECK(line_of(batch.get<serve::slot_mapping>()) == found.slots);
        CHECK(line_of(batch.get<serve::key_start_loc>()) == found.key_start_loc);
        CHECK(line_of(batch.get<serve::last_page_len>()) == found.last_page_len);
        CHECK(line_of(batch.get<serve::request_indices>()) == found.order);
        CHECK(line_of(batch.get<serve::is_complete>()) == line_of(complete));
        CHECK(line_of(batch.get<"weights">()) == found.ids);
        CHECK(line_of(weight) == found.ids);
    }
}

TEST_CASE("a step is collated with labels by prompt lengths, and refused where it is longer than the length's limit")
{
    using fields = batten::fields<batten::token_ids<>, batten::labels<>>;
    std::vector<live_request> requests = three;
    requests[1].prompt = 3;  // tokens 1 and 2 are of the prompt, 3 and 4 are not
    const live_requests live(requests);
    const serve::step now(live.inputs_with_prompts(), of_four);
    const auto batch = batten::basic_collator<serve::step_row<>, fields>{{.pad_id = 0, .targets = batten::same_position}}(now);
    CHECK(line_of(batch.token_ids()) == line{13, 21, 22, 23, 24, 34});
    CHECK(line_of(batch.labels()) == line{13, -100, -100, 23, 24, 34});
    std::vector<std::int64_t> labels(6);
    serve::write(now, {}, {}, set<batten::labels>(labels));  // the model shifts: the first column of a segment is no target
    CHECK(line_of(labels) == line{-100, -100, -100, 23, 24, -100});
    const batten::basic_collator<serve::step_row<batten::fixed_length>, fields> short_row{{.pad_id = 0, .length = {5}}};
    CHECK(error_is(short_row.try_collate(now).error()) == error_is(errors::row_over_limit, 0, 6, 5));
}

TEST_CASE("positions of pads count on from the last request of the step, where a field says so")
{
    const live_requests live(three);
    std::vector<std::int64_t> positions(8);
    using counting = batten::position_ids<std::int64_t, batten::continue_positions>;
    serve::write(serve::step(live.inputs(), of_four), {}, {.tokens = 8}, set<counting>(positions));
    CHECK(line_of(positions) == line{3, 1, 2, 3, 4, 4, 5, 6});
    std::vector<std::int8_t> narrow(200);
    using counting_narrow = batten::position_ids<std::int8_t, batten::continue_positions>;
    CHECK(error_is(serve::try_write(serve::step(live.inputs(), of_four), {}, {.tokens = 200}, set<counting_narrow>(narrow)).error())
              .code == errors::value_not_representable);
}

TEST_CASE("the logits index of a segment without tokens is refused, wherever the segment is")
{
    using collator = batten::varlen_collator<batten::dynamic_length, batten::fields<serve::logits_indices<>>>;
    const collator collate{{}};
    CHECK(line_of(collate(tests::ragged{{1, 2}, {3}}).get<serve::logits_indices>()) == line{1, 2});
    for (const std::size_t empty : {0U, 1U, 2U}) {
        tests::ragged rows{{1, 2}, {3}};
        rows.insert(rows.begin() + static_cast<std::ptrdiff_t>(empty), std::vector<int>{});
        const batten::error reason = collate.try_collate(rows).error();
        CHECK(error_is(reason) == error_is(errors::segment_without_tokens, 0, empty, 0, "logits_indices"));
        CHECK(reason.message() == "batten: row 0: segment " + std::to_string(empty) +
                                      " has no tokens, so logits_indices has no last token to point to");
    }
    const tests::ragged padded{{1}, {}};
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::fields<serve::logits_indices<>>>
        one_a_row{{}};
    CHECK(error_is(one_a_row.try_collate(padded).error()) ==
          error_is(errors::segment_without_tokens, 1, 0, 0, "logits_indices"));
}

TEST_CASE("a second piece of a sequence whose positions restart is refused by slots: they would be those of the first")
{
    using slots = serve::slot_mapping<>;
    const tests::ragged one{{1, 2, 3, 4, 5, 6}};
    const std::vector<std::int32_t> table{3, 4};
    const slots field{.blocks = {table.data(), 1, 2, 2}, .cache = {.blocks = 8, .block_size = 4}};
    const batten::packed_collator<batten::dynamic_length, batten::fields<slots>> collate{{.fields = field}};
    const std::vector<batten::piece> pieces{{0, 0, 4}, {0, 4, 2}};
    const std::vector<std::size_t> offsets{0, 2};
    CHECK(error_is(collate.try_collate(batten::packed(one, batten::bins{pieces, offsets})).error()) ==
          error_is(errors::positions_restart, 0, 4));
    const std::vector<batten::piece> first{{0, 0, 4}};
    const std::vector<std::size_t> of_first{0, 1};
    CHECK(line_of(collate(batten::packed(one, batten::bins{first, of_first})).get<slots>()) == line{12, 13, 14, 15});
    // What truncation drops is not a piece: the kept tokens begin at position 0.
    using truncating = batten::collator<batten::pad_right, batten::fixed_length, batten::truncate_left, batten::fields<slots>>;
    CHECK(line_of(truncating{{.length = {4}, .fields = field}}(one).get<slots>()) == line{12, 13, 14, 15});
}

TEST_CASE("slots are a field of padded and packed rows, too: prompts fill a paged cache")
{
    const tests::ragged prompts{{1, 2, 3, 4, 5}, {}, {6, 7}};
    const std::vector<std::int32_t> table{7, 2, -9, -9, 5, -9};
    using slots = serve::slot_mapping<>;
    slots by_blocks{.blocks = {table.data(), 3, 2, 2}, .cache = {.blocks = 8, .block_size = 4}};
    using padded = batten::collator<batten::pad_left, batten::round_up_to<8>, batten::truncate_right, batten::fields<slots>>;
    const auto left = padded{{.fields = by_blocks}}(prompts);
    CHECK(line_of(left.get<slots>(0)) == line{-1, -1, -1, 28, 29, 30, 31, 8});
    CHECK(line_of(left.get<slots>(1)) == line(8, -1));
    CHECK(line_of(left.get<slots>(2)) == line{-1, -1, -1, -1, -1, -1, 20, 21});
    by_blocks.pad_slot = 3;  // of block 0, which is reserved
    const auto flat = batten::varlen_collator<batten::round_up_to<8>, batten::fields<slots>>{{.fields = by_blocks}}(prompts);
    CHECK(line_of(flat.get<slots>()) == line{28, 29, 30, 31, 8, 20, 21, 3});
}

TEST_CASE("a field of slots whose cache, pads or block table do not fit is an error, and nothing is written")
{
    using slots = serve::slot_mapping<std::uint8_t, int>;
    using collator = batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::fields<slots>>;
    const std::vector<int> table{7, 2};
    const slots good{.blocks = {table.data(), 1, 2, 2}, .cache = {.blocks = 64, .block_size = 4}, .pad_slot = 0};
    CHECK(collator::try_make({.fields = good}).has_value());
    const auto with = [&](auto change) {
        slots changed = good;
        change(changed);
        return error_is(collator::try_make({.fields = changed}).error());
    };
    // Without a cache it is the field of a step.
    CHECK(error_is(collator::try_make({.fields = slots{.pad_slot = 0}}).value().try_collate(tests::ragged{{1}}).error()) ==
          error_is(errors::pool_without_blocks, no_row, 0, 1));
    CHECK(with([](slots& s) { s.cache.blocks = 0; }) == error_is(errors::pool_without_blocks, no_row, 0, 1));
    CHECK(with([](slots& s) { s.cache.block_size = 0; }) ==
          error_is(errors::argument_not_positive, no_row, 0, 0, "block_size"));
    CHECK(with([](slots& s) { s.cache.blocks = 65; }) ==
          error_is(errors::value_not_representable, no_row, 259, 0, "slot_mapping"));
    CHECK(with([](slots& s) { s.pad_slot = -1; }) ==
          error_is(errors::pad_value_not_representable, no_row, -1, 0, "slot_mapping"));
    CHECK(with([](slots& s) { s.pad_slot = 4; }) == error_is(errors::pad_block_not_reserved, no_row, 1, 1));
    CHECK(with([](slots& s) { s.cache.reserved_blocks = 0; }) == error_is(errors::pad_block_not_reserved, no_row, 0, 0));

    const auto refused = [](const slots& field, const tests::ragged& rows) {
        const collator collate{{.fields = field}};
        std::vector<std::uint8_t> memory(64, 77);
        const auto outputs = batten::outputs{batten::set<slots>(memory)};
        const batten::error reason = collate.try_into(rows, outputs).error();
        tests::check_throws(reason, [&] { collate.into(rows, outputs); });
        CHECK(memory == std::vector<std::uint8_t>(64, 77));
        return error_is(reason);
    };
    CHECK(refused(good, {{1, 2}, {3}}) == error_is(errors::blocks_missing, 1, 1, 0));
    CHECK(refused(good, {std::vector<int>(9, 1)}) == error_is(errors::blocks_missing, 0, 3, 2));
    slots other = good;
    other.cache.reserved_blocks = 3;
    CHECK(refused(other, {{1, 2, 3, 4, 5}}) == error_is(errors::block_reserved, 0, 2, 3));
    other = good;
    other.cache.blocks = 7;
    CHECK(refused(other, {{1}}) == error_is(errors::block_out_of_range, 0, 7, 7));
}

namespace {

// An array of the user's: which tokens of a step are of a prompt; 2 on pads.
struct of_a_prompt {
    std::span<std::uint8_t> out;

    constexpr bool check(const auto& /*now*/, const serve::pad_range& pads, batten::error& reason) const
    {
        return pads.end.tokens <= out.size() ||
               batten::detail::fail(reason, {errors::span_too_small, no_row, pads.end.tokens, out.size(), "of_a_prompt"});
    }
    constexpr void write(const auto& now, const serve::pad_range& pads) const
    {
        now.walk([&](const batten::segment& s) {
            const auto prompt = static_cast<std::size_t>(now.list().given_prompt_length(s.sequence));
            for (std::size_t i = 0; i < s.length; ++i)
                out[s.first_column + i] = s.position_begin + i < prompt ? 1 : 0;
        });
        for (std::size_t i = pads.real.tokens; i < pads.end.tokens; ++i)
            out[i] = 2;
    }
};

}  // namespace

TEST_CASE("an array of the user's is written with the others")
{
    std::vector<live_request> requests = three;
    requests[1].prompt = 3;
    const live_requests live(requests);
    const serve::step now(live.inputs_with_prompts(), of_four);
    std::vector<std::uint8_t> prompt(8);
    std::vector<std::int32_t> positions(8);
    serve::write(now, {}, {.tokens = 8}, of_a_prompt{prompt}, set<batten::position_ids>(positions));
    CHECK(line_of(prompt) == line{0, 1, 1, 0, 0, 0, 2, 2});
    CHECK(line_of(positions) == line{3, 1, 2, 3, 4, 4, 0, 0});
    CHECK(error_is(serve::try_write(now, {}, {.tokens = 9}, of_a_prompt{prompt}).error()) ==
          error_is(errors::span_too_small, no_row, 9, 8, "of_a_prompt"));
}

// ---- errors of a step ----------------------------------------------------------------------------------------------------

TEST_CASE("a request with nothing scheduled, or more than is known, is an error that names it")
{
    std::vector<live_request> requests = three;
    requests[1].scheduled = 0;
    CHECK(step_error(live_requests(requests).inputs(), of_four) == error_is(errors::nothing_scheduled, 1));
    requests[1].scheduled = 7;
    CHECK(step_error(live_requests(requests).inputs(), of_four) == error_is(errors::scheduled_past_known, 1, 8, 7));
    requests[1].computed = 9;
    requests[1].scheduled = 1;
    CHECK(step_error(live_requests(requests).inputs(), of_four) == error_is(errors::scheduled_past_known, 1, 10, 7));
    requests[1].computed = -1;
    CHECK(step_error(live_requests(requests).inputs(), of_four) ==
          error_is(errors::argument_negative, 1, -1, 0, "computed"));
    requests[1].computed = 1;
    requests[1].scheduled = -2;
    CHECK(step_error(live_requests(requests).inputs(), of_four) ==
          error_is(errors::argument_negative, 1, -2, 0, "scheduled"));

    // The largest of their types, so that sums overflow.
    const std::vector<std::uint64_t> computed{0, std::numeric_limits<std::uint64_t>::max(), 0}, scheduled{1, 3, 1};
    const live_requests live(three);
    CHECK(step_error(serve::step_inputs{live.tokens, computed, scheduled}, {}).code == errors::scheduled_past_known);
}

TEST_CASE("a request past the maximum context, or past the blocks of its row, is an error that names it")
{
    serve::step_options options = of_four;
    options.max_context = 4;
    CHECK(step_error(live_requests(three).inputs(), options) == error_is(errors::request_over_limit, 1, 5, 4));
    options.max_context = 5;
    CHECK(serve::try_step(live_requests(three).inputs(), options).has_value());

    std::vector<live_request> requests = three;
    for (live_request& r : requests)
        r.blocks.resize(1);
    CHECK(step_error(live_requests(requests).inputs(), of_four) == error_is(errors::blocks_missing, 1, 2, 1));
}

TEST_CASE("a scheduled token in a block outside of the pool, or in a reserved one, is an error that names the request")
{
    for (const auto& [block, code] : {std::pair<int, batten::error_code>{10, errors::block_out_of_range}, {-1, errors::block_out_of_range},
                                      {0, errors::block_reserved}, {1, errors::block_reserved}}) {
        serve::step_options options = of_four;
        options.cache.reserved_blocks = 2;
        std::vector<live_request> requests = three;
        requests[1].blocks[1] = block;  // the second block of a chunk
        const int limit = code == errors::block_reserved ? 2 : 10;
        CHECK(step_error(live_requests(requests).inputs(), options) == error_is(code, 1, block, limit));
        requests = three;
        requests[1].scheduled = 1;  // all take one token
        requests[2].blocks[1] = block;
        CHECK(step_error(live_requests(requests).inputs(), options) == error_is(code, 2, block, limit));
    }
    // Blocks of tokens that were computed before are not checked: a window may have freed them.
    std::vector<live_request> requests = three;
    requests[2].blocks[0] = 0;
    CHECK(serve::try_step(live_requests(requests).inputs(), of_four).has_value());
}

TEST_CASE("arrays of other lengths, prompts longer than their request, rows that are not there are errors")
{
    const live_requests live(three);
    const std::vector<int> two{1, 1};
    CHECK(step_error(serve::step_inputs{live.tokens, two, live.scheduled, live.blocks(), live.ids}, of_four) ==
          error_is(errors::count_mismatch, no_row, 2, 3, "computed"));
    CHECK(step_error(serve::step_inputs{live.tokens, live.computed, two, live.blocks(), live.ids}, of_four) ==
          error_is(errors::count_mismatch, no_row, 2, 3, "scheduled"));
    CHECK(step_error(serve::step_inputs{live.tokens, live.computed, live.scheduled, live.blocks(), two}, of_four) ==
          error_is(errors::count_mismatch, no_row, 2, 3, "ids"));
    CHECK(step_error(serve::step_inputs{live.tokens, live.computed, live.scheduled, live.blocks(), live.ids, two}, of_four) ==
          error_is(errors::count_mismatch, no_row, 2, 3, "prompt_lengths"));
    const batten::matrix_view<const int> short_table(live.blocks().data(), 2, 2, 2);
    CHECK(step_error(serve::step_inputs{live.tokens, live.computed, live.scheduled, short_table, live.ids}, of_four) ==
          error_is(errors::count_mismatch, no_row, 2, 3, "blocks"));

    std::vector<live_request> requests = three;
    requests[2].prompt = 6;
    CHECK(step_error(live_requests(requests).inputs_with_prompts(), of_four) ==
          error_is(errors::prompt_past_end, 2, 6, 5, "prompt_lengths"));
    requests[2].prompt = -6;
    CHECK(step_error(live_requests(requests).inputs_with_prompts(), of_four) ==
          error_is(errors::prompt_length_negative, 2, -6, 0, "prompt_lengths"));

    const std::vector<int> rows{0, 3}, negative{-1};
    CHECK(step_error(batten::select(live.inputs(), rows), of_four) == error_is(errors::row_index_out_of_range, 1, 3, 3));
    CHECK(step_error(batten::select(live.inputs(), negative), of_four) ==
          error_is(errors::row_index_out_of_range, 0, -1, 3));

    const std::vector<int> matrix(20), lengths{4, 11, 5}, negative_length{4, -1, 5}, inside{4, 7, 5};
    const batten::strided_sequences over(matrix, 6, lengths), below_zero(matrix, 6, negative_length), too_few(matrix, 7, inside);
    CHECK(step_error(serve::step_inputs{over, live.computed, live.scheduled}, of_four) ==
          error_is(errors::row_over_limit, 1, 11, 6));
    CHECK(step_error(serve::step_inputs{below_zero, live.computed, live.scheduled}, of_four) ==
          error_is(errors::length_negative, 1, -1));
    CHECK(step_error(serve::step_inputs{too_few, live.computed, live.scheduled}, of_four) ==
          error_is(errors::span_too_small, 0, 21, 20, "strided_sequences"));
}

TEST_CASE("a block size of 0, a pool without blocks, a maximum context of 0 are errors of the options")
{
    const live_requests live(three);
    serve::step_options options = of_four;
    options.cache.block_size = 0;
    CHECK(step_error(live.inputs(), options) == error_is(errors::argument_not_positive, no_row, 0, 0, "block_size"));
    options = of_four;
    options.max_context = 0;
    CHECK(step_error(live.inputs(), options) == error_is(errors::argument_not_positive, no_row, 0, 0, "max_context"));
    CHECK(step_error(live.inputs(), {.cache = {.block_size = 4}}) == error_is(errors::pool_without_blocks, no_row, 0, 1));
    options.max_context = 9;
    options.cache.blocks = std::numeric_limits<std::size_t>::max();
    CHECK(step_error(live.inputs(), options) ==
          error_is(errors::size_overflow, no_row, std::numeric_limits<std::size_t>::max(), 4));
}

// ---- errors of the arrays ------------------------------------------------------------------------------------------------

TEST_CASE("an array that is too small, or too narrow for what it is to hold, is an error, and nothing is written")
{
    const live_requests live(three);
    const serve::step now(live.inputs(), of_four);
    tests::guarded<std::int32_t> before(6), starts(4);
    table_memory<> table(3, 2);
    // The array that fails is asked last.
    const auto fails = [&](auto array, const serve::step_padding& pads = {}) {
        const auto done = serve::try_write(now, pads, {}, set<batten::position_ids>(before.cells()),
                                           set<batten::cu_seqlens>(starts.cells()), serve::block_table(table.rows_of), array);
        CHECK_FALSE(done.has_value());
        check_throws(done.error(), [&] { serve::write(now, pads, {}, array); });
        CHECK(before.untouched());
        CHECK(starts.untouched());
        CHECK(table.cells == std::vector<std::int32_t>(6, 99));
        return error_is(done.error());
    };
    std::vector<std::int32_t> five(5), three_starts(3), two(2);
    CHECK(fails(set<batten::token_ids>(five)) == error_is(errors::span_too_small, no_row, 6, 5, "token_ids"));
    CHECK(fails(set<serve::slot_mapping>(five)) == error_is(errors::span_too_small, no_row, 6, 5, "slot_mapping"));
    CHECK(fails(set<batten::cu_seqlens>(three_starts)) ==
          error_is(errors::span_too_small, no_row, 4, 3, "cu_seqlens"));
    CHECK(fails(set<serve::logits_indices>(two)) == error_is(errors::span_too_small, no_row, 3, 2, "logits_indices"));
    CHECK(fails(set<serve::seq_lens>(two)) == error_is(errors::span_too_small, no_row, 3, 2, "seq_lens"));
    CHECK(fails(serve::page_indices(two)) == error_is(errors::span_too_small, no_row, 5, 2, "page_indices"));
    table_memory<> two_rows(2, 2), one_column(3, 1);
    CHECK(fails(serve::block_table(two_rows.rows_of)) == error_is(errors::span_too_small, no_row, 3, 2, "block_table"));
    CHECK(fails(serve::block_table(one_column.rows_of)) == error_is(errors::blocks_missing, 1, 2, 1));

    std::vector<std::int8_t> narrow(8);
    CHECK(fails(serve::field_array(serve::slot_mapping<std::int8_t>{.pad_slot = -200}, narrow)) ==
          error_is(errors::pad_value_not_representable, no_row, -200, 0, "slot_mapping"));
    CHECK(fails(set<batten::token_ids>(narrow), {.pad_id = 128}) ==
          error_is(errors::pad_id_not_representable, no_row, 128, 0, "token_ids"));
    std::vector<std::int32_t> wide_enough(8);
    CHECK(fails(set<serve::seq_lens>(wide_enough), {.query_len = 2, .seq_len = 1}) ==
          error_is(errors::pad_past_seq_len, no_row, 2, 1));
}

TEST_CASE("tokens, positions, slots, counts and sums beyond their type are errors that name the first that does not fit")
{
    live_requests live({{std::vector<int>(200, 5), 100, 1, std::vector<int>(60, 1), 1, 0},
                        {std::vector<int>(200, 5), 127, 2, std::vector<int>(60, 2), 2, 0}});
    live.tokens[1][128] = 300;
    std::vector<std::int8_t> narrow(8);
    const auto fails = [&](const serve::step_options& options, auto array) {
        return error_is(serve::try_write(serve::step(live.inputs(), options), {}, {}, array).error());
    };
    CHECK(fails(of_four, set<batten::token_ids>(narrow)) == error_is(errors::token_not_representable, 1, 128, 300, "token_ids"));
    CHECK(fails(of_four, set<batten::position_ids>(narrow)) == error_is(errors::value_not_representable, 1, 128, 0, "position_ids"));
    CHECK(fails(of_four, set<serve::seq_lens>(narrow)) == error_is(errors::value_not_representable, 1, 129, 0, "seq_lens"));
    CHECK(fails(of_four, set<serve::key_start_loc>(narrow)) ==
          error_is(errors::value_not_representable, no_row, 230, 0, "key_start_loc"));
    CHECK(fails({.cache = {.blocks = 33, .block_size = 4}}, set<serve::slot_mapping>(narrow)) ==
          error_is(errors::value_not_representable, no_row, 131, 0, "slot_mapping"));
    CHECK(serve::try_write(serve::step(live.inputs(), {.cache = {.blocks = 32, .block_size = 4}}), {}, {}, set<serve::slot_mapping>(narrow),
                           set<serve::computed_lens>(narrow))
              .has_value());
    table_memory<std::int8_t> table(2, 60);
    CHECK(fails({.cache = {.blocks = 129, .block_size = 4}}, serve::block_table(table.rows_of)) ==
          error_is(errors::value_not_representable, no_row, 128, 0, "block_table"));
    // A slot needs 64 bits long before a block id does.
    std::vector<std::int32_t> slots(8);
    CHECK(fails({.cache = {.blocks = (std::size_t{1} << 21) + 1, .block_size = 1024}}, set<serve::slot_mapping>(slots)) ==
          error_is(errors::value_not_representable, no_row, (std::uint64_t{1} << 31) + 1023, 0, "slot_mapping"));
    std::vector<std::int64_t> wide(8);
    CHECK(serve::try_write(serve::step(live.inputs(), {.cache = {.blocks = (std::size_t{1} << 21) + 1, .block_size = 1024}}), {}, {},
                           set<serve::slot_mapping>(wide))
              .has_value());
}

TEST_CASE("sums over the requests that pass the size type are an error")
{
    constexpr auto length = std::numeric_limits<std::size_t>::max() / 4;
    static const int nothing = 0;
    const std::vector<std::span<const int>> sequences(5, std::span<const int>(&nothing, length));
    const std::vector<std::size_t> computed(5, length - 1), scheduled(5, 1);
    CHECK(step_error(serve::step_inputs{sequences, computed, scheduled}, {}) ==
          error_is(errors::size_overflow, no_row, length, 5));
}

TEST_CASE("a row that is written whole must hold blocks of the pool alone; reserved ones may be among them")
{
    std::vector<live_request> requests = three;
    requests[2].blocks[0] = 10;
    table_memory<> table(3, 2);
    std::vector<std::int32_t> pages(5);
    {
        const live_requests live(requests);
        const serve::step now(live.inputs(), of_four);
        CHECK(error_is(serve::try_write(now, {}, {}, serve::block_table(table.rows_of)).error()) ==
              error_is(errors::block_out_of_range, 2, 10, 10));
        CHECK(error_is(serve::try_write(now, {}, {}, serve::page_indices(pages)).error()) ==
              error_is(errors::block_out_of_range, 2, 10, 10));
        CHECK(table.cells == std::vector<std::int32_t>(6, 99));
    }
    requests[2].blocks[0] = 0;
    const live_requests live(requests);
    const serve::step now(live.inputs(), of_four);
    serve::write(now, {}, {}, serve::block_table(table.rows_of));
    CHECK(table.row(2) == line{0, 8});
}

TEST_CASE("blocks of a row that was forgotten, or whose request missed a step, are checked again")
{
    std::vector<live_request> requests = three;
    requests[1].scheduled = 1;  // all take one token
    table_memory<> table(3, 2);
    const auto write = [&](std::vector<live_request> of) {
        const live_requests live(std::move(of), 2);
        return serve::try_write(serve::step(live.inputs(), of_four), {}, {}, serve::block_table(table.rows_of));
    };
    const error_is outside(errors::block_out_of_range, 2, 10, 10);
    CHECK(write(requests).has_value());
    std::vector<live_request> lost = requests;
    lost[2].blocks[0] = 10;
    CHECK(write(lost).has_value());  // of tokens computed before, in a row that is known
    table.rows_of.invalidate(2);
    CHECK(error_is(write(lost).error()) == outside);
    CHECK(write(requests).has_value());
    CHECK(write({requests[0], requests[1]}).has_value());
    CHECK(error_is(write(lost).error()) == outside);
}

TEST_CASE("notes for fewer rows than the table has are an error")
{
    std::vector<std::int32_t> cells(6);
    std::vector<std::uint64_t> ids(2);
    std::vector<serve::block_table_row_state> states(3);
    const batten::matrix_view<std::int32_t> table(cells.data(), 3, 2, 2);
    CHECK(error_is(serve::block_table_buffer<std::int32_t>::try_make(table, ids, states).error()) ==
          error_is(errors::span_too_small, no_row, 3, 2, "block_table_buffer"));
    check_throws({errors::span_too_small, no_row, 3, 2, "block_table_buffer"},
                 [&] { static_cast<void>(serve::block_table_buffer<std::int32_t>(table, ids, states)); });
}
