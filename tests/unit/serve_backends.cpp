// SPDX-License-Identifier: MIT
// What each backend takes, against examples that are worked out by hand from its own source or documentation; pads; ladders.

#include "step_support.hpp"

#include <batten/serve/graphs.hpp>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

namespace errors = batten::serve::errors;
using serve_order = batten::serve::request_order;
using batten::set;
using tests::check_throws;
using tests::error_is;
using tests::line;
using tests::line_of;
using tests::live_request;
using tests::live_requests;
using tests::no_row;
using tests::table_memory;
namespace serve = batten::serve;
namespace padding = batten::serve::padding;

namespace {

// The tokens first, first + 1, ...
std::vector<int> tokens_from(int first, int count)
{
    std::vector<int> tokens;
    for (int i = 0; i < count; ++i)
        tokens.push_back(first + i);
    return tokens;
}

// Requests of `lengths` tokens in the cache and in the step, of which the last `scheduled` run in the step; blocks 1, 2, ...
live_requests appending(std::initializer_list<int> lengths, std::initializer_list<int> scheduled, int block_size)
{
    std::vector<live_request> made;
    int block = 1;
    auto appended = scheduled.begin();
    for (const int length : lengths) {
        live_request r{tokens_from(100 * (1 + static_cast<int>(made.size())), length), length - *appended, *appended, {}, 0, 0};
        r.id = static_cast<int>(made.size());
        for (int at = 0; at < length; at += block_size)
            r.blocks.push_back(block++);
        made.push_back(r);
        ++appended;
    }
    return live_requests(made);
}

// Block size 4; scheduled 2 and 1 after 3 and 5 tokens; blocks 7, 2 and 5, 9.
const live_requests two({{{10, 11, 12, 13, 14}, 3, 2, {7, 2}, 1, 5}, {{20, 21, 22, 23, 24, 25}, 5, 1, {5, 9}, 2, 4}});
constexpr serve::step_options of_four{.cache = {.blocks = 10, .block_size = 4}};

struct vllm_memory {
    static constexpr std::size_t most = 8;
    std::vector<std::int32_t> ids = std::vector<std::int32_t>(most, 99);
    std::vector<std::int64_t> positions = std::vector<std::int64_t>(most, 99);
    std::vector<std::int64_t> slots = std::vector<std::int64_t>(most, 99);
    std::vector<std::int32_t> starts = std::vector<std::int32_t>(most + 1, 99);
    std::vector<std::int32_t> seq_lens = std::vector<std::int32_t>(most, 99);
    std::vector<std::int32_t> logits = std::vector<std::int32_t>(most, 99);
    table_memory<> table{most, 3};

    serve::vllm_v1 arrays(const serve::backend_padding& pads = padding::vllm)
    {
        return {ids, positions, slots, starts, seq_lens, logits, table.rows_of, pads};
    }
};

}  // namespace

// ---- vLLM ----------------------------------------------------------------------------------------------------------------

TEST_CASE("vLLM: positions [3, 4, 5], starts [0, 2, 3], lengths [5, 6], slots [31, 8, 37], logits [1, 2]")
{
    vllm_memory memory;
    const auto shape = serve::write(serve::step(two.inputs(), of_four), memory.arrays());
    CHECK(shape == serve::step_shape{3, 2, 2, 6});
    CHECK(line_of(memory.ids) == line{13, 14, 25, 99, 99, 99, 99, 99});
    CHECK(line_of(memory.positions) == line{3, 4, 5, 99, 99, 99, 99, 99});
    CHECK(line_of(memory.slots) == line{31, 8, 37, 99, 99, 99, 99, 99});
    CHECK(line_of(memory.starts) == line{0, 2, 3, 99, 99, 99, 99, 99, 99});
    CHECK(line_of(memory.seq_lens) == line{5, 6, 99, 99, 99, 99, 99, 99});
    CHECK(line_of(memory.logits) == line{1, 2, 99, 99, 99, 99, 99, 99});
    CHECK(memory.table.row(0) == line{7, 2, 0});
    CHECK(memory.table.row(1) == line{5, 9, 0});
    CHECK(memory.table.row(2) == line{99, 99, 99});
}

TEST_CASE("vLLM: pads have slot -1, length 0 and the null block, and query_start_loc repeats its end")
{
    vllm_memory memory;
    const serve::step now(two.inputs(), of_four);
    const auto shape = serve::write(now, memory.arrays(), {.tokens = 6, .requests = 4});
    CHECK(shape == serve::step_shape{6, 4, 2, 6});
    CHECK(line_of(memory.ids) == line{13, 14, 25, 0, 0, 0, 99, 99});
    CHECK(line_of(memory.positions) == line{3, 4, 5, 0, 0, 0, 99, 99});
    CHECK(line_of(memory.slots) == line{31, 8, 37, -1, -1, -1, 99, 99});
    CHECK(line_of(memory.starts) == line{0, 2, 3, 3, 3, 99, 99, 99, 99});
    CHECK(line_of(memory.seq_lens) == line{5, 6, 0, 0, 99, 99, 99, 99});
    CHECK(memory.table.row(2) == line{0, 0, 0});
    CHECK(memory.table.row(3) == line{0, 0, 0});
    CHECK(memory.table.row(4) == line{99, 99, 99});
    // Piecewise graphs pad tokens alone.
    CHECK(serve::write(now, memory.arrays(), {.tokens = 8}) == serve::step_shape{8, 2, 2, 6});
    CHECK(line_of(memory.slots) == line{31, 8, 37, -1, -1, -1, -1, -1});
}

// ---- FlashInfer ------------------------------------------------------------------------------------------------------------

TEST_CASE("FlashInfer: the last of 16, 17 and 32 tokens in pages of 16 are at 16, 1 and 16, never at 0")
{
    const live_requests live = appending({1, 15, 16, 17, 32}, {1, 1, 1, 1, 1}, 16);
    std::vector<std::int32_t> qo(6), kv(6), indices(7), last(5);
    const serve::flashinfer out{qo, kv, indices, last};
    serve::write(serve::step(live.inputs(), {.cache = {.blocks = 10, .block_size = 16}}), out);
    CHECK(line_of(qo) == line{0, 1, 2, 3, 4, 5});
    CHECK(line_of(kv) == line{0, 1, 2, 3, 5, 7});
    CHECK(line_of(indices) == line{1, 2, 3, 4, 5, 6, 7});
    CHECK(line_of(last) == line{1, 15, 16, 1, 16});
    // kv_len = page_size * (pages - 1) + last_page_len
    for (std::size_t r = 0; r < 5; ++r)
        CHECK(16 * (kv[r + 1] - kv[r] - 1) + last[r] == std::vector{1, 15, 16, 17, 32}[r]);
}

TEST_CASE("FlashInfer: appended tokens are the rightmost ones: 1 to 4 of [5, 5, 5, 5] are 4 | 3 4 | 2 3 4 | 1 2 3 4")
{
    const live_requests live = appending({5, 5, 5, 5}, {1, 2, 3, 4}, 16);
    std::vector<std::int32_t> positions(10);
    serve::write(serve::step(live.inputs(), {.cache = {.blocks = 10, .block_size = 16}}), padding::flashinfer, {},
                 set<batten::position_ids>(positions));
    CHECK(line_of(positions) == line{4, 3, 4, 2, 3, 4, 1, 2, 3, 4});
}

TEST_CASE("FlashInfer: a pad has no page, and so last_page_len 0; or the page of a reserved block by name")
{
    std::vector<std::int32_t> qo(5), kv(5), indices(6, 99), last(4);
    const serve::step now(two.inputs(), of_four);
    serve::write(now, serve::flashinfer{qo, kv, indices, last}, {.requests = 4});
    CHECK(line_of(qo) == line{0, 2, 3, 3, 3});
    CHECK(line_of(kv) == line{0, 2, 4, 4, 4});
    CHECK(line_of(indices) == line{7, 2, 5, 9, 99, 99});
    CHECK(line_of(last) == line{1, 2, 0, 0});

    const auto shape = serve::write(now, serve::flashinfer{qo, kv, indices, last, padding::dummy_block(0, 4)}, {.requests = 4});
    CHECK(shape == serve::step_shape{5, 4, 2, 6});
    CHECK(line_of(qo) == line{0, 2, 3, 4, 5});
    CHECK(line_of(kv) == line{0, 2, 4, 5, 6});
    CHECK(line_of(indices) == line{7, 2, 5, 9, 0, 0});
    CHECK(line_of(last) == line{1, 2, 1, 1});
}

// ---- ONNX Runtime GenAI ----------------------------------------------------------------------------------------------------

TEST_CASE("ONNX Runtime GenAI: past lengths are the tokens in the cache, and the block table is -1 after a request's last")
{
    std::vector<std::int64_t> ids(6);
    std::vector<std::int32_t> cumulative(5), past(4), metadata(3);
    table_memory<> table(4, 3);
    const serve::onnxruntime_genai_varlen out{ids, cumulative, past, table.rows_of, metadata};
    const serve::step now(two.inputs(), of_four);
    serve::write(now, out);
    CHECK(line_of(ids) == line{13, 14, 25, 0, 0, 0});
    CHECK(line_of(cumulative) == line{0, 2, 3, 0, 0});
    CHECK(line_of(past) == line{3, 5, 0, 0});
    CHECK(table.row(0) == line{7, 2, -1});
    CHECK(table.row(1) == line{5, 9, -1});
    CHECK(line_of(metadata) == line{2, 6, 6});
    std::vector<std::uint8_t> order(4);  // others are written along with a backend's
    serve::write(now, out, {.tokens = 6, .requests = 4}, set<serve::request_indices>(order));
    CHECK(line_of(order) == line{0, 1, 2, 2});
    CHECK(line_of(cumulative) == line{0, 2, 3, 3, 3});
    CHECK(table.row(3) == line{-1, -1, -1});
    // The op writes token j of a request at past + j: where slot_mapping says it goes.
    std::vector<std::int64_t> slots(3);
    serve::write(now, padding::vllm, {}, set<serve::slot_mapping>(slots));
    std::size_t t = 0;
    for (std::size_t r = 0; r < 2; ++r)
        for (std::int32_t j = 0; j < cumulative[r + 1] - cumulative[r]; ++j) {
            const std::int32_t at = past[r] + j;
            CHECK(slots[t++] == table.rows_of.table()(r, static_cast<std::size_t>(at / 4)) * 4 + at % 4);
        }
}

TEST_CASE("ONNX Runtime GenAI: bounds from above count pads, too, the one from below does not")
{
    std::vector<std::int64_t> ids(9);
    std::vector<std::int32_t> cumulative(5), past(4), metadata(3);
    table_memory<> table(4, 3);
    const serve::backend_padding pads{.block = 0, .query_len = 3, .seq_len = 8};
    const serve::onnxruntime_genai_varlen out{ids, cumulative, past, table.rows_of, metadata, pads};
    CHECK(serve::write(serve::step(two.inputs(), of_four), out, {.requests = 4}) == serve::step_shape{9, 4, 3, 8});
    CHECK(line_of(metadata) == line{3, 8, 6});
}

// ---- TensorRT-LLM ----------------------------------------------------------------------------------------------------------

namespace {

struct tensorrt_memory {
    std::vector<std::int32_t> ids = std::vector<std::int32_t>(12), positions = ids, last = ids, types = ids, contexts = ids,
                              sequences = ids, past = ids;
    serve::tensorrt_llm_packed arrays() { return {ids, positions, last, types, contexts, sequences, past}; }
};

line first_of(const std::vector<std::int32_t>& cells, std::size_t n)
{
    return line_of(std::span(cells).first(n));
}

}  // namespace

TEST_CASE("TensorRT-LLM: prefills come first, and last_token_ids counts from 1")
{
    // A generation with a prompt of 4 and 2 generated tokens, a whole prompt of 3, a chunk of 4 of a prompt of 9 after 4.
    const live_requests live({{tokens_from(10, 6), 5, 1, {1, 2}, 1, 4},
                              {tokens_from(20, 3), 0, 3, {3}, 2, 3},
                              {tokens_from(30, 9), 4, 4, {4, 5}, 3, 9}});
    serve::step_options options = of_four;
    options.order = serve_order::prefill_first;
    tensorrt_memory memory;
    const serve::step now(live.inputs_with_prompts(), options);
    CHECK(serve::write(now, memory.arrays()) == serve::step_shape{8, 3, 4, 8});
    CHECK(first_of(memory.ids, 8) == line{20, 21, 22, 34, 35, 36, 37, 15});
    CHECK(first_of(memory.positions, 8) == line{0, 1, 2, 4, 5, 6, 7, 5});
    CHECK(first_of(memory.last, 3) == line{3, 7, 8});
    CHECK(first_of(memory.types, 3) == line{0, 0, 1});
    CHECK(first_of(memory.contexts, 3) == line{3, 4, 4});
    CHECK(first_of(memory.sequences, 3) == line{3, 8, 6});
    CHECK(first_of(memory.past, 3) == line{3, 8, 5});
    // A pad is a generation of one token.
    CHECK(serve::write(now, memory.arrays(), {.requests = 5}) == serve::step_shape{10, 5, 4, 8});
    CHECK(first_of(memory.last, 5) == line{3, 7, 8, 9, 10});
    CHECK(first_of(memory.types, 5) == line{0, 0, 1, 1, 1});
    CHECK(first_of(memory.sequences, 5) == line{3, 8, 6, 1, 1});
    CHECK(first_of(memory.past, 5) == line{3, 8, 5, 0, 0});
}

TEST_CASE("TensorRT-LLM: a prefill after a decode, drafts, a chunk that is no multiple of the block are errors")
{
    const live_request generation{tokens_from(10, 6), 5, 1, {1, 2}, 1, 4};
    const live_request chunk{tokens_from(30, 9), 4, 4, {4, 5, 6}, 3, 9};
    const auto fails = [](std::vector<live_request> requests) {
        const live_requests live(std::move(requests));
        tensorrt_memory memory;
        const auto done = serve::try_write(serve::step(live.inputs_with_prompts(), of_four), memory.arrays());
        CHECK(done.has_value() == (memory.last != std::vector<std::int32_t>(12)));
        return error_is(done.error());
    };
    CHECK(fails({generation, chunk}) == error_is(errors::prefill_not_first, 1));
    live_request odd = chunk;
    odd.scheduled = 3;
    CHECK(fails({odd, generation}) == error_is(errors::chunk_not_of_blocks, 0, 3, 4));
    odd.computed = 6;  // the last chunk may have any length
    CHECK(fails({odd, generation}) == error_is(batten::error{}));
    live_request drafts = generation;
    drafts.computed = 4;
    drafts.scheduled = 2;
    CHECK(fails({chunk, drafts}) == error_is(errors::generation_of_several, 1, 2));
}

// ---- FlashAttention --------------------------------------------------------------------------------------------------------

TEST_CASE("FlashAttention: cu_seqlens of queries and of keys, and the longest of both; no blocks are needed")
{
    std::vector<std::int32_t> queries(4), keys(4);
    const serve::step now(serve::step_inputs{two.tokens, two.computed, two.scheduled}, {});
    const auto shape = serve::write(now, serve::flash_attention_varlen{queries, keys});
    CHECK(line_of(queries) == line{0, 2, 3, 0});
    CHECK(line_of(keys) == line{0, 5, 11, 0});
    CHECK(shape.max_query_len == 2);
    CHECK(shape.max_seq_len == 6);
    serve::write(now, serve::flash_attention_varlen{queries, keys}, {.requests = 3});
    CHECK(line_of(queries) == line{0, 2, 3, 3});
    CHECK(line_of(keys) == line{0, 5, 11, 11});
}

// ---- Triton ----------------------------------------------------------------------------------------------------------------

TEST_CASE("Triton: accumulated counts of 3, 4 and 5 elements are [3, 7, 12], with zero [0, 3, 7, 12]")
{
    const tests::ragged sequences{{1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11, 12}};
    const std::vector<int> none_yet(3), lengths{3, 4, 5};
    const serve::step now(serve::step_inputs{sequences, none_yet, lengths}, {});
    std::vector<std::int32_t> input(12);
    std::vector<float> ends(3), starts(4), counts(3);
    const auto shape = serve::write(now, serve::triton_ragged<float>{input, ends, starts, counts});
    CHECK(line_of(input) == line{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
    CHECK(ends == std::vector<float>{3, 7, 12});
    CHECK(starts == std::vector<float>{0, 3, 7, 12});
    CHECK(counts == std::vector<float>{3, 4, 5});
    CHECK(shape.max_query_len == 5);

    const std::vector<int> one(3, 1);
    const serve::step first_tokens(serve::step_inputs{sequences, none_yet, one}, {});
    serve::write(first_tokens, serve::triton_ragged<float>{input, ends, starts, counts});
    CHECK(first_of(input, 3) == line{1, 4, 8});
    CHECK(ends == std::vector<float>{1, 2, 3});
    CHECK(starts == std::vector<float>{0, 1, 2, 3});
    CHECK(counts == std::vector<float>{1, 1, 1});
}

TEST_CASE("Triton: a float holds counts up to 2^24; one more is an error, where an integer is fine")
{
    // As many tokens as it takes, without the memory: every sequence is the same run.
    constexpr int length = 1 << 20;
    const std::vector<int> run(length + 1, 1);
    const std::vector<std::span<const int>> sequences(16, std::span<const int>(run));
    const std::vector<int> none_yet(16);
    std::vector<int> lengths(16, length);
    std::vector<float> ends(16);
    std::vector<std::int32_t> integers(16);
    const auto write = [&](auto array) {
        return serve::try_write(serve::step(serve::step_inputs{sequences, none_yet, lengths}, {}), {}, {}, array);
    };
    CHECK(write(set<serve::query_ends>(ends)).has_value());
    CHECK(ends.back() == 16777216.0F);
    lengths.back() += 1;
    CHECK(error_is(write(set<serve::query_ends>(ends)).error()) ==
          error_is(errors::value_not_representable, 15, 16777217, 0, "query_ends"));
    CHECK(write(set<serve::query_ends>(integers)).has_value());
    CHECK(integers.back() == 16777217);
}

// ---- pads ------------------------------------------------------------------------------------------------------------------

TEST_CASE("ScaleLLM: pads take a token each in slot 0 of block 0, and offsets grow")
{
    vllm_memory memory;
    std::vector<std::int32_t> keys(5);
    const serve::step now(two.inputs(), of_four);
    const auto shape = serve::write(now, memory.arrays(padding::scalellm), {.requests = 4});
    CHECK(shape == serve::step_shape{5, 4, 2, 6});
    CHECK(line_of(memory.slots) == line{31, 8, 37, 0, 0, 99, 99, 99});
    CHECK(line_of(memory.starts) == line{0, 2, 3, 4, 5, 99, 99, 99, 99});
    CHECK(line_of(memory.seq_lens) == line{5, 6, 1, 1, 99, 99, 99, 99});
    CHECK(line_of(memory.logits) == line{1, 2, 3, 4, 99, 99, 99, 99});
    serve::write(now, padding::scalellm, {.requests = 4}, set<serve::key_start_loc>(keys));
    CHECK(line_of(keys) == line{0, 5, 11, 12, 13});
}

TEST_CASE("gLLM: pads are written to a dummy block that is reserved for them")
{
    serve::step_options options = of_four;
    options.cache.reserved_blocks = 2;
    vllm_memory memory;
    serve::write(serve::step(two.inputs(), options), memory.arrays(padding::dummy_block(1, 4)), {.requests = 3});
    CHECK(line_of(memory.slots) == line{31, 8, 37, 4, 99, 99, 99, 99});
    CHECK(line_of(memory.seq_lens) == line{5, 6, 1, 99, 99, 99, 99, 99});
    CHECK(memory.table.row(2) == line{1, 1, 1});
}

TEST_CASE("pads that point to a block which the pool has not reserved are an error, whether there are pads or not")
{
    serve::step_options none_reserved = of_four;
    none_reserved.cache.reserved_blocks = 0;
    const serve::step now(two.inputs(), none_reserved);
    vllm_memory memory;
    const error_is block_0(errors::pad_block_not_reserved, no_row, 0, 0);
    CHECK(error_is(serve::try_write(now, memory.arrays()).error()) == block_0);
    CHECK(error_is(serve::try_write(now, memory.arrays(padding::scalellm), {.requests = 4}).error()) == block_0);
    CHECK(error_is(serve::try_write(now, memory.arrays(padding::dummy_block(3, 4))).error()) ==
          error_is(errors::pad_block_not_reserved, no_row, 3, 0));
    check_throws({errors::pad_block_not_reserved, no_row, 0, 0, {}}, [&] { serve::write(now, memory.arrays()); });
    CHECK(memory.slots == std::vector<std::int64_t>(8, 99));
    // The first slot after the reserved blocks.
    const serve::step one_reserved(two.inputs(), of_four);
    std::vector<std::int64_t> slots(3);
    CHECK(serve::try_write(one_reserved, {}, {}, serve::field_array(serve::slot_mapping<>{.pad_slot = 3}, slots)).has_value());
    CHECK(error_is(serve::try_write(one_reserved, {}, {}, serve::field_array(serve::slot_mapping<>{.pad_slot = 4}, slots)).error()) ==
          error_is(errors::pad_block_not_reserved, no_row, 1, 1));
    // What points nowhere needs no block, unless a pad is to have pages.
    std::vector<std::int32_t> qo(4), kv(4), indices(6), last(3);
    CHECK(serve::try_write(now, serve::flashinfer{qo, kv, indices, last}, {.requests = 3}).has_value());
    CHECK(error_is(serve::try_write(now, serve::flashinfer{qo, kv, indices, last, padding::scalellm}).error()) == block_0);
    CHECK(serve::try_write(now, {.seq_len = 1}, {.requests = 3}, serve::page_indices(indices)).error().code ==
          errors::pad_block_not_reserved);
    CHECK(serve::try_write(now, {}, {}, set<serve::slot_mapping>(slots)).has_value());
}

// ---- graphs ----------------------------------------------------------------------------------------------------------------

TEST_CASE("the sizes that servers capture graphs for, up to a limit")
{
    CHECK(serve::vllm_graph_sizes(512).size() == 51);
    CHECK(serve::sglang_graph_sizes(512).size() == 52);
    CHECK(serve::tensorrt_llm_graph_sizes(512).size() == 25);
    CHECK(serve::sglang_speculative_graph_sizes(512).size() == 67);
    CHECK(serve::fastdeploy_graph_sizes(256).size() == 27);
    CHECK(serve::vllm_graph_sizes(20) == std::vector<std::size_t>{1, 2, 4, 8, 16});
}

TEST_CASE("a step is padded to the next size of a published list")
{
    const auto vllm = serve::vllm_graph_sizes(512);
    const auto sglang = serve::sglang_graph_sizes(512);
    const auto tensorrt = serve::tensorrt_llm_graph_sizes(512);
    CHECK(serve::graph_size(vllm, 3) == 4);
    CHECK(serve::graph_size(vllm, 9) == 16);
    CHECK(serve::graph_size(sglang, 9) == 12);
    CHECK(serve::graph_size(tensorrt, 129) == 192);
    CHECK(serve::graph_size(vllm, 0) == 1);
    CHECK(serve::graph_size(vllm, 512) == 512);
    CHECK(error_is(serve::try_graph_size(vllm, 513).error()) == error_is(errors::size_past_last, no_row, 513, 512));
    CHECK(error_is(serve::try_graph_size({}, 1).error()) == error_is(errors::size_past_last, no_row, 1, 0));
    check_throws({errors::size_past_last, no_row, 513, 512, {}},
                 [&] { static_cast<void>(serve::graph_size(vllm, 513)); });

    vllm_memory memory;
    const serve::step now(two.inputs(), of_four);
    const std::size_t size = serve::graph_size(vllm, now.tokens());
    CHECK(serve::write(now, memory.arrays(), {size, size}) == serve::step_shape{4, 4, 2, 6});
    CHECK(line_of(memory.starts) == line{0, 2, 3, 3, 3, 99, 99, 99, 99});
}

TEST_CASE("a step larger than its size, or than its buffers, is an error, and nothing is written")
{
    const serve::step now(two.inputs(), of_four);
    vllm_memory memory;
    const auto fails = [&](const serve::padded_size& size, const serve::backend_padding& pads = padding::vllm) {
        const auto done = serve::try_write(now, memory.arrays(pads), size);
        CHECK(memory.starts == std::vector<std::int32_t>(9, 99));
        return error_is(done.error());
    };
    CHECK(fails({.tokens = 2}) == error_is(errors::step_past_size, no_row, 3, 2, "tokens"));
    CHECK(fails({.requests = 1}) == error_is(errors::step_past_size, no_row, 2, 1, "requests"));
    CHECK(fails({.tokens = 4, .requests = 4}, padding::scalellm) ==
          error_is(errors::step_past_size, no_row, 5, 4, "tokens"));
    CHECK(fails({.tokens = 9}) == error_is(errors::span_too_small, no_row, 9, 8, "slot_mapping"));
    CHECK(fails({.requests = 9}) == error_is(errors::span_too_small, no_row, 9, 8, "block_table"));
    const std::size_t most = std::numeric_limits<std::size_t>::max();
    CHECK(fails({.requests = most}) == error_is(errors::size_overflow, no_row, most, 1));
    CHECK(fails({.requests = most - 1}, {.query_len = 3, .seq_len = 3}) ==
          error_is(errors::size_overflow, no_row, most - 3, 3));
}
