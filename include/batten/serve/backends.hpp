// SPDX-License-Identifier: MIT
// What backends take: a list of fields over the caller's memory, under each backend's names and types, and its pads. Allocate the
// memory once, for the largest size; every step writes to it again.
//
//     serve::step now(serve::step_inputs{...}, {.cache = {.blocks = 4096, .block_size = 16}});
//     serve::vllm_v1 arrays{.input_ids = ids, .positions = positions, ...};
//     serve::step_shape shape = serve::write(now, arrays, {.tokens = 256, .requests = 256});
#ifndef BATTEN_SERVE_BACKENDS_HPP_INCLUDED
#define BATTEN_SERVE_BACKENDS_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/fields.hpp>
#include <batten/outputs.hpp>
#include <batten/segment.hpp>
#include <batten/serve/arrays.hpp>
#include <batten/serve/block_table.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/fields.hpp>
#include <batten/serve/step.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace batten::serve {

// ---- what pads hold --------------------------------------------------------------------------------------------------------

// The pads of a backend: it gives `slot` and `block` to its fields, the rest to the step. A slot or block of 0 or more must be one
// of the step's reserved blocks; a negative one is for kernels that skip it. Presets: padding::vllm, ...
struct backend_padding {
    std::int64_t slot = -1;
    std::int64_t block = -1;
    std::size_t query_len = 0;  // as in step_padding
    std::size_t seq_len = 0;
    integer pad_id{};

    constexpr operator step_padding() const noexcept { return {pad_id, query_len, seq_len}; }
    friend constexpr bool operator==(const backend_padding&, const backend_padding&) noexcept = default;
};

namespace padding {

inline constexpr backend_padding vllm{.slot = -1, .block = 0};         // block 0 is its null block
inline constexpr backend_padding flashinfer{.slot = -1, .block = -1};  // a pad has no pages, and so no block
inline constexpr backend_padding onnxruntime_genai{.slot = -1, .block = -1};
inline constexpr backend_padding scalellm{.slot = 0, .block = 0, .query_len = 1, .seq_len = 1};  // offsets grow; xLLM, too

// A request of one token, written to the first slot of a block that is reserved for it: gLLM's dummy slot. For backends that fail
// on a request without tokens.
//
// Requires  block >= 0.
// Errors    a block that is not reserved: when the step is written.
[[nodiscard]] constexpr backend_padding dummy_block(std::int64_t block, std::size_t block_size) noexcept
{
    const auto size = static_cast<std::int64_t>(block_size);
    const std::int64_t most = std::numeric_limits<std::int64_t>::max();
    return {.slot = size > 0 && block > most / size ? most : block * size, .block = block, .query_len = 1, .seq_len = 1};
}

}  // namespace padding

// ---- backends --------------------------------------------------------------------------------------------------------------

// Models: the types below. For a backend of your own, give a type `pads` and
//
//     auto with_arrays(auto use) const        calls use(arrays...), each set<a field>(memory) or another step_array
template <class Backend>
concept step_backend = requires(const Backend& backend) {
    { backend.pads } -> std::convertible_to<step_padding>;
    backend.with_arrays([](auto&&...) { return 0; });
};

// vLLM, version 1. Full graphs pad requests, too, before attention metadata is made; piecewise ones tokens alone.
struct vllm_v1 {
    std::span<std::int32_t> input_ids;        // [tokens]
    std::span<std::int64_t> positions;        // [tokens]
    std::span<std::int64_t> slot_mapping;     // [tokens]
    std::span<std::int32_t> query_start_loc;  // [requests + 1]
    std::span<std::int32_t> seq_lens;         // [requests]
    std::span<std::int32_t> logits_indices;   // [requests]
    block_table_buffer<std::int32_t>& block_table;    // [requests, blocks]
    backend_padding pads = padding::vllm;

    constexpr auto with_arrays(auto use) const
    {
        return use(field_array(serve::slot_mapping<>{.pad_slot = pads.slot}, slot_mapping),
                   serve::block_table(block_table, pads.block), set<position_ids>(positions),
                   set<cu_seqlens>(query_start_loc), set<serve::seq_lens>(seq_lens),
                   set<serve::logits_indices>(logits_indices), set<token_ids>(input_ids));
    }
};

// FlashInfer: all int32. It takes kv_len of a request as page_size * (pages - 1) + last_page_len.
struct flashinfer {
    std::span<std::int32_t> qo_indptr;         // [requests + 1]
    std::span<std::int32_t> kv_indptr;         // [requests + 1]
    std::span<std::int32_t> kv_indices;        // [pages]
    std::span<std::int32_t> kv_last_page_len;  // [requests]
    backend_padding pads = padding::flashinfer;

    constexpr auto with_arrays(auto use) const
    {
        return use(set<cu_seqlens>(qo_indptr), set<page_start_loc>(kv_indptr), page_indices(kv_indices, pads.block),
                   set<last_page_len>(kv_last_page_len));
    }
};

// ONNX Runtime GenAI's engine without padding. Past lengths are the tokens in the cache, not one less than the sequence.
struct onnxruntime_genai_varlen {
    std::span<std::int64_t> input_ids;                    // [tokens]
    std::span<std::int32_t> cumulative_sequence_lengths;  // [requests + 1]
    std::span<std::int32_t> past_sequence_lengths;        // [requests]
    block_table_buffer<std::int32_t>& block_table;                // [requests, blocks], -1 after a request's last
    std::span<std::int32_t> attention_metadata;           // [3] most queries, most keys from above, from below; of the CPU
    backend_padding pads = padding::onnxruntime_genai;

    constexpr auto with_arrays(auto use) const
    {
        return use(set<token_ids>(input_ids), set<cu_seqlens>(cumulative_sequence_lengths),
                   set<computed_lens>(past_sequence_lengths), serve::block_table(block_table, pads.block),
                   attention_bounds(attention_metadata));
    }
};

// FlashAttention's functions of variable length. max_seqlen_q and _k are in the step_shape.
struct flash_attention_varlen {
    std::span<std::int32_t> cu_seqlens_q;  // [requests + 1]
    std::span<std::int32_t> cu_seqlens_k;  // [requests + 1]
    backend_padding pads{};

    constexpr auto with_arrays(auto use) const
    {
        return use(set<cu_seqlens>(cu_seqlens_q), set<key_start_loc>(cu_seqlens_k));
    }
};

// Triton's batch inputs for a ragged input: BATCH_ACCUMULATED_ELEMENT_COUNT (ends, no 0 before them), ..._WITH_ZERO,
// BATCH_ELEMENT_COUNT. BATCH_MAX_ELEMENT_COUNT_AS_SHAPE is the step_shape's max_query_len. With Index = float, as in Triton's
// own example, counts are exact up to 2^24; more is an error.
template <class Index = std::int32_t>
struct triton_ragged {
    std::span<std::int32_t> input;                               // [tokens]
    std::span<Index> batch_accumulated_element_count;            // [requests]
    std::span<Index> batch_accumulated_element_count_with_zero;  // [requests + 1]
    std::span<Index> batch_element_count;                        // [requests]
    backend_padding pads{};

    constexpr auto with_arrays(auto use) const
    {
        return use(set<token_ids>(input), set<query_ends>(batch_accumulated_element_count),
                   set<cu_seqlens>(batch_accumulated_element_count_with_zero), set<lengths>(batch_element_count));
    }
};

namespace detail {

// No array: TensorRT-LLM's own conditions.
struct tensorrt_llm_rules {
    template <class List>
    constexpr bool check(const step<List>& now, const pad_range& /*pads*/, error& reason) const
    {
        static_assert(List::has_prompts, "batten: TensorRT-LLM must know which requests are prefills: add "
                                         "step_inputs{..., .prompt_lengths = ...}");
        bool good = true;
        bool has_decodes = false;
        now.walk([&](const segment& s) { good = good && check_request(now, s, has_decodes, reason); });
        return good;
    }
    constexpr void write(const auto& /*now*/, const pad_range& /*pads*/) const noexcept {}

private:
    static constexpr bool check_request(const auto& now, const segment& s, bool& has_decodes, error& reason)
    {
        const std::size_t request = s.sequence;
        if (!now.list().is_prefill(request)) {
            has_decodes = true;
            return s.length == 1 || fail(reason, error::of_row(errors::generation_of_several, request, s.length));
        }
        if (has_decodes)
            return fail(reason, error::of_row(errors::prefill_not_first, request));
        const std::size_t block_size = now.geometry().block_size();
        const auto prompt_length = static_cast<std::size_t>(now.list().given_prompt_length(request));
        return end_position(s) >= prompt_length || s.length % block_size == 0 ||
               fail(reason, error::of_row(errors::chunk_not_of_blocks, request, s.length, block_size));
    }
};

constexpr bool is_prefill(const auto& segment) { return segment.inputs().step().list().is_prefill(segment.sequence); }

// 0: a prefill, which it calls a context; 1: a generation
struct tensorrt_llm_type {
    static constexpr std::string_view name = "host_request_types";
    static constexpr std::size_t of(const auto& segment) { return is_prefill(segment) ? 0 : 1; }
    static constexpr std::size_t of_pad(const auto& /*now*/, const segment& /*pad*/) { return 1; }
    static constexpr std::size_t most(const auto& /*now*/) { return 1; }
};
struct tensorrt_llm_context_length {
    static constexpr std::string_view name = "context_lengths";
    static constexpr std::size_t of(const auto& segment)
    {
        return is_prefill(segment) ? segment.length : segment.inputs().prompt_length(segment.sequence);
    }
    static constexpr std::size_t of_pad(const auto& /*now*/, const segment& pad) { return end_position(pad); }
    static constexpr std::size_t most(const auto& now) { return now.max_seq_len(); }
};
struct tensorrt_llm_past_length {
    static constexpr std::string_view name = "host_past_key_value_lengths";
    static constexpr std::size_t of(const auto& segment) { return end_position(segment) - (is_prefill(segment) ? 0 : 1); }
    static constexpr std::size_t of_pad(const auto& /*now*/, const segment& pad) { return pad.position_begin; }
    static constexpr std::size_t most(const auto& now) { return now.max_seq_len(); }
};

}  // namespace detail

// TensorRT-LLM's packed inputs. Pads are generations.
//
// Requires  request_order::prefill_first, and prompt lengths. A request that is computed again is a prefill up to its last known
//           token: give the number of its known tokens as its prompt length until then. The block size is the cache's.
// Errors    a prefill after a decode; a decode of several tokens (drafts have logits of their own); a chunk of a prompt that is
//           not the last one and no multiple of the block size.
struct tensorrt_llm_packed {
    std::span<std::int32_t> input_ids;                    // [tokens]
    std::span<std::int32_t> position_ids;                 // [tokens]
    std::span<std::int32_t> last_token_ids;               // [requests] counted from 1: running sums
    std::span<std::int32_t> host_request_types;           // [requests] 0 context, 1 generation
    std::span<std::int32_t> context_lengths;              // [requests] the chunk; of a generation the prompt
    std::span<std::int32_t> sequence_lengths;             // [requests]
    std::span<std::int32_t> host_past_key_value_lengths;  // [requests] of a context: with the chunk
    backend_padding pads{.query_len = 1, .seq_len = 1};

    constexpr auto with_arrays(auto use) const
    {
        using batten::detail::segment_count;
        return use(detail::tensorrt_llm_rules(), set<token_ids>(input_ids), set<batten::position_ids>(position_ids),
                   set<query_ends>(last_token_ids),
                   field_array(segment_count<std::int32_t, detail::tensorrt_llm_type>(), host_request_types),
                   field_array(segment_count<std::int32_t, detail::tensorrt_llm_context_length>(), context_lengths),
                   set<seq_lens>(sequence_lengths),
                   field_array(segment_count<std::int32_t, detail::tensorrt_llm_past_length>(), host_past_key_value_lengths));
    }
};

// ---- writing ---------------------------------------------------------------------------------------------------------------

// Writes all arrays of a backend, and others (set<serve::request_indices>(out), ...), padded to a size: see try_write in
// arrays.hpp.
template <class List, step_backend Backend, step_array<step<List>>... Array>
constexpr result<step_shape> try_write(const step<List>& now, const Backend& backend, const padded_size& size = {},
                                       const Array&... array)
{
    return backend.with_arrays(
        [&](const auto&... own) { return try_write(now, step_padding(backend.pads), size, own..., array...); });
}
template <class List, step_backend Backend, step_array<step<List>>... Array>
constexpr step_shape write(const step<List>& now, const Backend& backend, const padded_size& size = {}, const Array&... array)
{
    return try_write(now, backend, size, array...).value();
}

}  // namespace batten::serve

#endif
