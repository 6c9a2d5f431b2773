// SPDX-License-Identifier: MIT
// What backends take: the arrays of a step under each one's names and types, and what pads hold for it. The memory is the
// caller's, of the largest size that he ever has, and used again for every step.
//
//     serve::step now(serve::step_inputs{...}, {.block_size = 16, .blocks = 4096});
//     serve::vllm_v1 arrays{.input_ids = ids, .positions = positions, ...};
//     serve::step_shape shape = serve::write(now, arrays, {.tokens = 256, .requests = 256});
#ifndef BATTEN_SERVE_BACKENDS_HPP_INCLUDED
#define BATTEN_SERVE_BACKENDS_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/fields.hpp>
#include <batten/serve/arrays.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/step.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace batten::serve {

// ---- what pads hold --------------------------------------------------------------------------------------------------------

namespace padding {

inline constexpr step_padding vllm{.slot = -1, .block = 0};                 // block 0 is its null block
inline constexpr step_padding flashinfer{.slot = -1, .block = -1};          // no pages: nothing is pointed at
inline constexpr step_padding onnxruntime_genai{.slot = -1, .block = -1};
inline constexpr step_padding scalellm{.slot = 0, .block = 0, .query_len = 1, .seq_len = 1};  // offsets grow; xLLM, too

// A request of one token, which is written to the first slot of a block that is reserved for it: gLLM's dummy slot. For
// backends that stumble over a request of nothing.
//
// Requires  block >= 0. One that is not reserved is refused with the step.
[[nodiscard]] constexpr step_padding dummy_block(std::int64_t block, std::size_t block_size) noexcept
{
    const auto size = static_cast<std::int64_t>(block_size);
    const std::int64_t most = std::numeric_limits<std::int64_t>::max();
    return {.slot = size > 0 && block > most / size ? most : block * size, .block = block, .query_len = 1, .seq_len = 1};
}

}  // namespace padding

// ---- backends --------------------------------------------------------------------------------------------------------------

// Models: the types below. To write one of your own, give it `pads` and
//
//     auto with_arrays(auto use) const        calls use(arrays...)
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
    block_rows<std::int32_t>& block_table;    // [requests, blocks]
    step_padding pads = padding::vllm;

    constexpr auto with_arrays(auto use) const
    {
        return use(arrays::slot_mapping(slot_mapping), arrays::block_table(block_table), arrays::positions(positions),
                   arrays::query_start_loc(query_start_loc), arrays::seq_lens(seq_lens),
                   arrays::logits_indices(logits_indices), arrays::token_ids(input_ids));
    }
};

// FlashInfer: all int32. It takes kv_len of a request as page_size * (pages - 1) + last_page_len.
struct flashinfer {
    std::span<std::int32_t> qo_indptr;         // [requests + 1]
    std::span<std::int32_t> kv_indptr;         // [requests + 1]
    std::span<std::int32_t> kv_indices;        // [pages]
    std::span<std::int32_t> kv_last_page_len;  // [requests]
    step_padding pads = padding::flashinfer;

    constexpr auto with_arrays(auto use) const
    {
        return use(arrays::query_start_loc(qo_indptr), arrays::page_start_loc(kv_indptr), arrays::page_indices(kv_indices),
                   arrays::last_page_len(kv_last_page_len));
    }
};

// ONNX Runtime GenAI's engine without padding. Past lengths are the tokens in the cache, not one less than the sequence.
struct onnxruntime_genai_varlen {
    std::span<std::int64_t> input_ids;                    // [tokens]
    std::span<std::int32_t> cumulative_sequence_lengths;  // [requests + 1]
    std::span<std::int32_t> past_sequence_lengths;        // [requests]
    block_rows<std::int32_t>& block_table;                // [requests, blocks], -1 behind a request's last
    std::span<std::int32_t> attention_metadata;           // [3] most queries, most keys from above, from below; of the CPU
    step_padding pads = padding::onnxruntime_genai;

    constexpr auto with_arrays(auto use) const
    {
        return use(arrays::token_ids(input_ids), arrays::query_start_loc(cumulative_sequence_lengths),
                   arrays::computed_lens(past_sequence_lengths), arrays::block_table(block_table),
                   arrays::attention_bounds(attention_metadata));
    }
};

// FlashAttention's functions of variable length. max_seqlen_q and _k are in the step_shape.
struct flash_attention_varlen {
    std::span<std::int32_t> cu_seqlens_q;  // [requests + 1]
    std::span<std::int32_t> cu_seqlens_k;  // [requests + 1]
    step_padding pads{};

    constexpr auto with_arrays(auto use) const
    {
        return use(arrays::query_start_loc(cu_seqlens_q), arrays::key_start_loc(cu_seqlens_k));
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
    step_padding pads{};

    constexpr auto with_arrays(auto use) const
    {
        return use(arrays::token_ids(input), arrays::query_ends(batch_accumulated_element_count),
                   arrays::query_start_loc(batch_accumulated_element_count_with_zero),
                   arrays::query_lens(batch_element_count));
    }
};

namespace detail {

// Not an array: TensorRT-LLM's own conditions.
struct tensorrt_llm_rules {
    template <class List>
    constexpr bool check(const step<List>& now, const pad_range& /*pads*/, error& reason) const
    {
        static_assert(List::has_prompts, "batten: TensorRT-LLM must know which requests are in their context phase: add "
                                         "step_inputs{..., .prompt_lengths = ...}");
        bool good = true;
        bool generates = false;
        now.walk([&](const auto& r) { good = good && check_request(now, r, generates, reason); });
        return good;
    }
    constexpr void write(const auto& /*now*/, const pad_range& /*pads*/) const noexcept {}

private:
    constexpr bool check_request(const auto& now, const auto& r, bool& generates, error& reason) const
    {
        if (!r.is_context()) {
            generates = true;
            return r.length == 1 || fail(reason, error::of_row(errors::generation_of_several, r.request, r.length));
        }
        if (generates)
            return fail(reason, error::of_row(errors::prefill_not_first, r.request));
        const std::size_t block_size = now.divider().size();
        return r.seq_len() >= r.prompt_length() || r.length % block_size == 0 ||
               fail(reason, error::of_row(errors::chunk_not_of_blocks, r.request, r.length, block_size));
    }
};

// 0: a context, 1: a generation
struct tensorrt_llm_type {
    static constexpr std::string_view name = "host_request_types";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept { return r.is_context() ? 0 : 1; }
    static constexpr std::size_t most(const auto& /*now*/) noexcept { return 1; }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& /*values*/) noexcept { return 1; }
};
struct tensorrt_llm_context_length : no_more_than_seq_len {
    static constexpr std::string_view name = "context_lengths";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept
    {
        return r.is_context() ? r.length : r.prompt_length();
    }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& values) noexcept { return values.seq_len; }
};
struct tensorrt_llm_past_length : no_more_than_seq_len {
    static constexpr std::string_view name = "host_past_key_value_lengths";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept
    {
        return r.is_context() ? r.seq_len() : r.seq_len() - 1;
    }
    static constexpr std::size_t pad(const auto& now, const step_padding& values) noexcept
    {
        return computed_of::pad(now, values);
    }
};

}  // namespace detail

// TensorRT-LLM's packed inputs. Pads, where there are any, are generations.
//
// Requires  request_order::context_first, and prompt lengths. A request that is computed again is in its context up to all that
//           is known of it: that is its prompt length until then. Blocks are those of step_options::block_size.
// Errors    a context behind a generation; a generation of several tokens (drafts have logits of their own); a chunk of a
//           prompt that is not the last one and no multiple of the block.
struct tensorrt_llm_packed {
    std::span<std::int32_t> input_ids;                    // [tokens]
    std::span<std::int32_t> position_ids;                 // [tokens]
    std::span<std::int32_t> last_token_ids;               // [requests] counted from 1: running sums
    std::span<std::int32_t> host_request_types;           // [requests] 0 context, 1 generation
    std::span<std::int32_t> context_lengths;              // [requests] the chunk; of a generation the prompt
    std::span<std::int32_t> sequence_lengths;             // [requests]
    std::span<std::int32_t> host_past_key_value_lengths;  // [requests] of a context: with the chunk
    step_padding pads{.query_len = 1, .seq_len = 1};

    constexpr auto with_arrays(auto use) const
    {
        using detail::request_array;
        return use(detail::tensorrt_llm_rules(), arrays::token_ids(input_ids), arrays::positions(position_ids),
                   arrays::query_ends(last_token_ids),
                   request_array<std::int32_t, detail::tensorrt_llm_type>(host_request_types),
                   request_array<std::int32_t, detail::tensorrt_llm_context_length>(context_lengths),
                   arrays::seq_lens(sequence_lengths),
                   request_array<std::int32_t, detail::tensorrt_llm_past_length>(host_past_key_value_lengths));
    }
};

// ---- writing ---------------------------------------------------------------------------------------------------------------

// Writes all arrays of a backend, and others that you like (arrays::request_order(out), ...), padded to a size: see try_write
// in arrays.hpp.
template <class List, step_backend Backend, step_array<step<List>>... Array>
constexpr result<step_shape> try_write(const step<List>& now, const Backend& backend, const step_size& size = {},
                                       const Array&... array)
{
    return backend.with_arrays(
        [&](const auto&... own) { return try_write(now, size, backend.pads, own..., array...); });
}
template <class List, step_backend Backend, step_array<step<List>>... Array>
constexpr step_shape write(const step<List>& now, const Backend& backend, const step_size& size = {}, const Array&... array)
{
    return try_write(now, backend, size, array...).value();
}

}  // namespace batten::serve

#endif
