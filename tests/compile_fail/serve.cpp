// SPDX-License-Identifier: MIT
// What serves live requests is made of what it needs: steps, their arrays and backends, schedules, queues, blocks, batches that
// decode.
#include <batten/serve/backends.hpp>
#include <batten/serve/decode.hpp>
#include <batten/serve/block_list.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/queue.hpp>
#include <batten/serve/schedule.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace serve = batten::serve;
using batten::attention_mask;
using batten::fields;
using batten::matrix_view;
using batten::outputs;
using batten::position_ids;
using batten::set;
using batten::token_ids;

struct ones {
    std::span<int> out;

    static constexpr bool check(const auto& /*now*/, const serve::pad_range& /*pads*/, batten::error& /*why*/) { return true; }
    constexpr void write(const auto& now, const serve::pad_range& /*pads*/) const
    {
        batten::cells::fill(out.first(now.tokens()), 1);
    }
};
struct ones_that_check_nothing {
    std::span<int> out;

    constexpr void write(const auto& now, const serve::pad_range& /*pads*/) const
    {
        batten::cells::fill(out.first(now.tokens()), 1);
    }
};

struct backend {
    ones array;
    serve::step_padding pads{};

    constexpr auto with_arrays(auto use) const { return use(array); }
};
struct backend_without_pads {
    ones array;

    constexpr auto with_arrays(auto use) const { return use(array); }
};
struct backend_without_arrays {
    ones array;
    serve::step_padding pads{};
};

struct tick_without_difference {
    long count = 0;

    friend auto operator<=>(const tick_without_difference&, const tick_without_difference&) = default;
};
struct tick {
    long count = 0;

    friend auto operator<=>(const tick&, const tick&) = default;
    friend constexpr long operator-(tick a, tick b) { return a.count - b.count; }
    friend constexpr tick operator-(tick a, long difference) { return {a.count - difference}; }
    friend constexpr tick operator+(tick a, long difference) { return {a.count + difference}; }
};

struct every_other_column {
    static constexpr std::size_t next(std::size_t /*width*/, std::size_t length) { return 2 * length; }
};
struct column_of_one_number {
    static constexpr std::size_t next(std::size_t length) { return length; }
};

void steps()
{
    const std::vector<std::vector<int>> ids{{1, 2, 3}, {4}};
    const std::vector<int> computed{2, 0};
    const std::vector<int> scheduled{1, 1};
    const std::vector<int> names{7, 8};
    const std::vector<int> prompts{2, 1};
    const std::vector<int> order{1, 0};
    const std::vector<float> floats{1.0F, 1.0F};
    const std::vector<int> held{1, 2};
    const matrix_view<const int> blocks(held.data(), 2, 1, 1);
    const serve::step_options options{.cache = {.blocks = 4}, .order = serve::request_order::prefill_first};

    // ---- what a step is made of ----

#ifdef FORBIDDEN_tokens_that_are_floats  // expect: step_inputs: .tokens must be what a collator takes
    const std::vector<std::vector<float>> fractions{{1.0F, 2.0F, 3.0F}, {4.0F}};
    static_cast<void>(serve::step(serve::step_inputs{fractions, computed, scheduled}, options));
#else
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled}, options));
#endif

#ifdef FORBIDDEN_computed_that_are_floats  // expect: step_inputs: .computed and .scheduled must be random-access ranges
    static_cast<void>(serve::step(serve::step_inputs{ids, floats, scheduled}, options));
#else
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled}, options));
#endif

#ifdef FORBIDDEN_scheduled_that_are_floats  // expect: step_inputs: .computed and .scheduled must be random-access ranges
    static_cast<void>(serve::try_step(serve::step_inputs{ids, computed, floats}, options));
#else
    static_cast<void>(serve::try_step(serve::step_inputs{ids, computed, scheduled}, options));
#endif

#ifdef FORBIDDEN_selected_counts_that_are_floats  // expect: step_inputs: .computed and .scheduled must be random-access ranges
    static_cast<void>(serve::step(batten::select(serve::step_inputs{ids, floats, scheduled}, order), options));
#else
    static_cast<void>(serve::step(batten::select(serve::step_inputs{ids, computed, scheduled}, order), options));
#endif

#ifdef FORBIDDEN_counts_of_a_step_that_are_gone  // expect: deleted && borrowed
    const serve::step_inputs gone{ids, std::vector<int>{2, 0}, scheduled};
#else
    const std::vector<int> as_computed{2, 0};
    const serve::step_inputs gone{ids, as_computed, scheduled};
#endif
    static_cast<void>(gone);

#ifdef FORBIDDEN_blocks_that_are_no_matrix  // expect: step_inputs: .blocks must be a matrix_view of integers
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, held}, options));
#else
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, blocks}, options));
#endif

#ifdef FORBIDDEN_blocks_that_are_floats  // expect: step_inputs: .blocks must be a matrix_view of integers
    const matrix_view<const float> fractions(floats.data(), 2, 1, 1);
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, fractions}, options));
#else
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, blocks}, options));
#endif

#ifdef FORBIDDEN_ids_that_are_floats  // expect: step_inputs: .ids must be a random-access range of integers
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, blocks, floats}, options));
#else
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, blocks, names}, options));
#endif

#ifdef FORBIDDEN_prompt_lengths_that_are_floats  // expect: step_inputs: .prompt_lengths must be a random-access range
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, blocks, names, floats}, options));
#else
    static_cast<void>(serve::step(serve::step_inputs{ids, computed, scheduled, blocks, names, prompts}, options));
#endif

#ifdef FORBIDDEN_strided_sequences_with_lengths_of_floats  // expect: strided_sequences
    static_cast<void>(batten::strided_sequences(names, 1, floats));
#else
    static_cast<void>(batten::strided_sequences(names, 1, scheduled));
#endif

    const serve::step bare(serve::step_inputs{ids, computed, scheduled}, options);
    const serve::step paged(serve::step_inputs{ids, computed, scheduled, blocks}, options);
    const serve::step named(serve::step_inputs{ids, computed, scheduled, blocks, names}, options);
    const serve::step prompted(serve::step_inputs{ids, computed, scheduled, blocks, names, prompts}, options);

    // ---- what its arrays are made of, and written to ----

    std::vector<std::int32_t> out(2);
    std::vector<std::int64_t> wide(2);
#ifdef FORBIDDEN_slot_mapping_without_blocks  // expect: add step_inputs{..., .blocks = ...}
    serve::write(bare, {}, {}, set<serve::slot_mapping>(wide));
#else
    serve::write(paged, {}, {}, set<serve::slot_mapping>(wide));
#endif

#ifdef FORBIDDEN_page_indices_without_blocks  // expect: add step_inputs{..., .blocks = ...}
    serve::write(bare, {}, {}, serve::page_indices(out));
#else
    serve::write(paged, {}, {}, serve::page_indices(out));
#endif

    std::vector<std::uint64_t> who(2);
    std::vector<serve::block_table_row_state> states(2);
#ifdef FORBIDDEN_block_table_buffer_of_floats  // expect: constraints not satisfied && block_table_buffer
    std::vector<float> table(2);
    serve::block_table_buffer rows(matrix_view<float>(table.data(), 2, 1, 1), who, states);
#else
    std::vector<std::int32_t> table(2);
    serve::block_table_buffer rows(matrix_view<std::int32_t>(table.data(), 2, 1, 1), who, states);
#endif

#ifdef FORBIDDEN_block_table_without_blocks  // expect: add step_inputs{..., .blocks = ...}
    serve::write(bare, {}, {}, serve::block_table(rows));
#else
    serve::write(named, {}, {}, serve::block_table(rows));
#endif

#ifdef FORBIDDEN_block_table_without_ids  // expect: which request is which: add step_inputs{..., .ids = ...}
    serve::write(paged, {}, {}, serve::block_table(rows));
#else
    serve::write(named, {}, {}, serve::block_table(rows));
#endif

#ifdef FORBIDDEN_array_of_const  // expect: the span is const, a field is written to it
    const std::vector<std::int32_t> read_only(2);
    serve::write(bare, {}, {}, set<batten::position_ids>(read_only));
#else
    serve::write(bare, {}, {}, set<batten::position_ids>(out));
#endif

#ifdef FORBIDDEN_array_that_is_gone  // expect: the memory is a temporary and would be gone before it is written
    const serve::field_array lost(batten::position_ids<std::int32_t>(), std::vector<std::int32_t>(2));
#else
    const serve::field_array lost(batten::position_ids<std::int32_t>(), out);
#endif
    serve::write(bare, {}, {}, lost);

#ifdef FORBIDDEN_pages_that_are_gone  // expect: the memory is a temporary and would be gone before it is written
    serve::write(paged, {}, {}, serve::page_indices(std::vector<std::int32_t>(2)));
#else
    serve::write(paged, {}, {}, serve::page_indices(out));
#endif

#ifdef FORBIDDEN_array_of_another_type  // expect: the memory's element type is not the field's
    serve::write(bare, {}, {}, serve::field_array(batten::position_ids<>(), out));
#else
    serve::write(bare, {}, {}, serve::field_array(batten::position_ids<>(), wide));
#endif

#ifdef FORBIDDEN_array_of_vector_bool  // expect: vector<bool> is not contiguous: use vector<std::uint8_t>
    std::vector<bool> bits(2);
#else
    std::vector<std::uint8_t> bits(2);
#endif
    serve::write(bare, {}, {}, serve::attention_bounds(bits));

    // Counts may be floats, which are checked; ids may not.
    std::vector<float> fractional(2);
#ifdef FORBIDDEN_token_ids_that_are_floats  // expect: constraint && token_ids
    serve::write(bare, {}, {}, set<batten::token_ids>(fractional));
#else
    serve::write(bare, {}, {}, set<batten::lengths>(fractional));
#endif

#ifdef FORBIDDEN_array_that_is_none  // expect: constraints not satisfied && step_array
    serve::write(bare, {}, {}, set<batten::token_ids>(out), out);
#else
    serve::write(bare, {}, {}, set<batten::token_ids>(out), ones{out});
#endif

#ifdef FORBIDDEN_array_that_checks_nothing  // expect: constraints not satisfied && step_array
    serve::write(bare, {}, {}, ones_that_check_nothing{out});
#else
    serve::write(bare, {}, {}, ones{out});
#endif

#ifdef FORBIDDEN_slot_field_of_floats  // expect: constraints not satisfied && slot_mapping
    static_cast<void>(serve::slot_mapping<float>{});
#else
    static_cast<void>(serve::slot_mapping<std::int32_t>{});
#endif

#ifdef FORBIDDEN_logits_field_of_floats  // expect: constraints not satisfied && logits_indices
    static_cast<void>(serve::logits_indices<float>{});
#else
    static_cast<void>(serve::logits_indices<std::int64_t>{});
#endif

    const batten::basic_collator<serve::step_row<>, fields<token_ids<>>> collate{{.pad_id = 0}};
#ifdef FORBIDDEN_layout_of_a_step_for_sequences  // expect: step_row is the layout of a step: collate(now)
    static_cast<void>(collate(ids));
#else
    static_cast<void>(collate(bare));
#endif

    const batten::basic_collator<serve::step_row<>, fields<serve::slot_mapping<>>> collate_slots{{}};
#ifdef FORBIDDEN_slots_of_a_step_without_blocks  // expect: add step_inputs{..., .blocks = ...}
    static_cast<void>(collate_slots(bare));
#else
    static_cast<void>(collate_slots(paged));
#endif

    const batten::basic_collator<batten::varlen_row<batten::dynamic_length>, fields<serve::key_start_loc<>>> collate_keys{{}};
#ifdef FORBIDDEN_field_of_a_step_for_sequences  // expect: this field is made of a server's step
    static_cast<void>(collate_keys(ids));
#else
    static_cast<void>(collate_keys);
#endif

    // ---- backends ----

#ifdef FORBIDDEN_backend_without_pads  // expect: constraints not satisfied && step_backend
    serve::write(bare, backend_without_pads{{out}});
#else
    serve::write(bare, backend{{out}});
#endif

#ifdef FORBIDDEN_backend_without_arrays  // expect: constraints not satisfied && step_backend
    serve::write(bare, backend_without_arrays{{out}});
#else
    serve::write(bare, backend{{out}});
#endif

#ifdef FORBIDDEN_array_beside_a_backend_that_is_none  // expect: constraints not satisfied && step_array
    serve::write(bare, backend{{out}}, {}, out);
#else
    serve::write(bare, backend{{out}}, {}, ones{out});
#endif

    std::vector<std::int32_t> sums(3);
    const serve::vllm_v1 vllm{out, wide, wide, sums, out, out, rows};
#ifdef FORBIDDEN_vllm_without_blocks  // expect: add step_inputs{..., .blocks = ...}
    serve::write(bare, vllm);
#else
    serve::write(named, vllm);
#endif

#ifdef FORBIDDEN_vllm_without_ids  // expect: which request is which: add step_inputs{..., .ids = ...}
    serve::write(paged, vllm);
#else
    serve::write(named, vllm);
#endif

    const serve::tensorrt_llm_packed tensorrt_llm{out, out, out, out, out, out, out};
#ifdef FORBIDDEN_tensorrt_llm_without_prompt_lengths  // expect: add step_inputs{..., .prompt_lengths = ...}
    serve::write(named, tensorrt_llm);
#else
    serve::write(prompted, tensorrt_llm);
#endif

    // ---- a schedule ----

#ifdef FORBIDDEN_live_requests_of_floats  // expect: constraints not satisfied && live_requests
    const serve::live_requests live{floats, prompts};
#else
    const serve::live_requests live{computed, prompts};
#endif

#ifdef FORBIDDEN_live_requests_in_an_order_of_floats  // expect: constraints not satisfied && live_requests
    static_cast<void>(serve::live_requests{computed, prompts, floats});
#else
    static_cast<void>(serve::live_requests{computed, prompts, order});
#endif

#ifdef FORBIDDEN_live_requests_that_are_gone  // expect: deleted && borrowed
    static_cast<void>(serve::live_requests{computed, std::vector<int>{2, 1}});
#else
    static_cast<void>(serve::live_requests{computed, prompts});
#endif

    std::vector<int> counts(2);
#ifdef FORBIDDEN_schedule_into_floats  // expect: constraints not satisfied && count_memory
    serve::schedule(live, {.max_tokens = 8}, std::span(fractional));
#else
    serve::schedule(live, {.max_tokens = 8}, std::span(counts));
#endif

#ifdef FORBIDDEN_schedule_into_const  // expect: constraints not satisfied && output_range
    serve::schedule(live, {.max_tokens = 8}, scheduled);
#else
    serve::schedule(live, {.max_tokens = 8}, counts);
#endif

#ifdef FORBIDDEN_scheduled_rows_that_are_gone  // expect: constraints not satisfied && borrowed_range
    static_cast<void>(serve::scheduled_rows(counts, std::vector<int>(2)));
#else
    static_cast<void>(serve::scheduled_rows(counts, out));
#endif
}

void requests()
{
    const serve::queue_options<tick> options{.edges = {64}, .max_rows = 8};
#ifdef FORBIDDEN_time_without_difference  // expect: constraints not satisfied && time_value
    static_cast<void>(serve::request_queue<tick_without_difference>({.edges = {64}, .max_rows = 8}));
#else
    static_cast<void>(serve::request_queue<std::chrono::steady_clock::time_point>({.edges = {64}, .max_rows = 8}));
#endif

#ifdef FORBIDDEN_shared_time_without_difference  // expect: constraints not satisfied && time_value
    using shared_queue = serve::shared_request_queue<tick_without_difference>;
#else
    using shared_queue = serve::shared_request_queue<tick>;
#endif
    static_cast<void>(shared_queue(serve::request_queue<tick>(options)));

    serve::block_pool pool({.blocks = 4});
    std::vector<serve::block_id> row(2);
    serve::block_list list(pool, row);
#ifdef FORBIDDEN_block_list_that_is_copied  // expect: deleted && block_list
    const serve::block_list other = list;
#else
    const serve::block_list other = std::move(list);
#endif
    static_cast<void>(other);
}

void decoding()
{
    const std::vector<int> lengths{1, 1};
    const std::vector<int> sampled{5, 6};
    const std::vector<float> floats{1.0F, 1.0F};
    std::vector<std::int64_t> mask(16), ids(2), positions(2), kept(16);
    const outputs into{set<attention_mask>(mask)};
    const outputs step{set<token_ids>(ids), set<position_ids>(positions)};

#ifdef FORBIDDEN_persistent_segment_field  // expect: put segment fields into Step
    static_cast<void>(serve::decode_batch<fields<attention_mask<>, serve::seq_lens<>>>({.pad_id = 0}, lengths, 1, 8, into));
#else
    static_cast<void>(serve::decode_batch<fields<attention_mask<>>>({.pad_id = 0}, lengths, 1, 8, into));
#endif

#ifdef FORBIDDEN_persistent_positions_that_continue  // expect: continue_positions has no place among holes: use pad_position<0>
    using kept_positions = position_ids<std::int64_t, batten::continue_positions>;
#else
    using kept_positions = position_ids<std::int64_t, batten::pad_position<0>>;
#endif
    static_cast<void>(
        serve::decode_batch<fields<kept_positions>>({.pad_id = 0}, lengths, 1, 8, outputs{set<position_ids>(kept)}));

#ifdef FORBIDDEN_positions_of_a_step_that_continue  // expect: continue_positions has no place among holes: use pad_position<0>
    using step_positions = position_ids<std::int64_t, batten::continue_positions>;
#else
    using step_positions = position_ids<std::int64_t, batten::pad_position<0>>;
#endif
    static_cast<void>(serve::decode_batch<fields<attention_mask<>>, fields<step_positions>>({}, lengths, 1, 8, into));

#ifdef FORBIDDEN_cache_policy_without_a_column  // expect: constraints not satisfied && cache_policy
    using columns = column_of_one_number;
#else
    using columns = every_other_column;
#endif
    static_cast<void>(serve::decode_batch<fields<attention_mask<>>, fields<>, columns>({}, lengths, 1, 8, into, batten::pad_right{}));

    using per_row = serve::decode_batch<fields<attention_mask<>>, fields<>, serve::ragged_cache>;
#ifdef FORBIDDEN_ragged_cache_over_rows_that_begin_somewhere  // expect: give its side as the last argument, pad_right{}
    static_cast<void>(per_row({}, lengths, 1, 8, into));
#else
    static_cast<void>(per_row({}, lengths, 1, 8, into, batten::pad_right{}));
#endif

#ifdef FORBIDDEN_field_of_one_row_in_a_step  // expect: so use serve::seq_lens in Step
    using one_row = batten::cu_seqlens<>;
#else
    using one_row = serve::seq_lens<>;
#endif
    static_cast<void>(serve::decode_batch<fields<attention_mask<>>, fields<one_row>>({}, lengths, 1, 8, into));

#ifdef FORBIDDEN_pad_id_left_out  // expect: write .pad_id = ...
    serve::decode_batch<> decode({}, lengths, 1, 8, into);
#else
    serve::decode_batch<> decode({.pad_id = 0}, lengths, 1, 8, into);
#endif

#ifdef FORBIDDEN_lengths_that_are_floats  // expect: constraints not satisfied && integer_range
    static_cast<void>(serve::decode_batch<>({.pad_id = 0}, floats, 1, 8, into));
#else
    static_cast<void>(serve::decode_batch<>({.pad_id = 0}, lengths, 1, 8, into));
#endif

#ifdef FORBIDDEN_persistent_field_left_out  // expect: attention_mask has no span: add set<attention_mask>(span)
    static_cast<void>(serve::decode_batch<>({.pad_id = 0}, lengths, 1, 8, outputs{}));
#else
    static_cast<void>(serve::decode_batch<>({.pad_id = 0}, lengths, 1, 8, into));
#endif

#ifdef FORBIDDEN_field_of_a_step_left_out  // expect: position_ids has no span: add set<position_ids>(span)
    decode.append(sampled, outputs{set<token_ids>(ids)});
#else
    decode.append(sampled, outputs{set<token_ids>(ids), set<position_ids>(positions)});
#endif

#ifdef FORBIDDEN_append_into_nothing  // expect: token_ids has no span: add set<token_ids>(span)
    decode.append(sampled);
#else
    decode.append(sampled, step);
#endif

#ifdef FORBIDDEN_append_of_floats  // expect: constraints not satisfied && collatable
    decode.append(floats, step);
#else
    decode.append(sampled, step);
#endif

#ifdef FORBIDDEN_append_of_strided_floats  // expect: constraints not satisfied && collatable
    decode.append(batten::strided_sequences(floats, 1, lengths), step);
#else
    decode.append(batten::strided_sequences(sampled, 1, lengths), step);
#endif

#ifdef FORBIDDEN_strided_sequences_of_a_temporary  // expect: strided_sequences
    decode.append(batten::strided_sequences(std::vector<int>{5, 6}, 1, lengths), step);
#else
    decode.append(batten::strided_sequences(std::span<const int>(sampled), 1, lengths), step);
#endif

#ifdef FORBIDDEN_accept_of_floats  // expect: constraints not satisfied && integer_range
    decode.accept(floats);
#else
    decode.accept(lengths);
#endif

#ifdef FORBIDDEN_field_that_is_not_persistent  // expect: this collator has no such field
    static_cast<void>(decode.full_view<token_ids>());
#else
    static_cast<void>(decode.full_view<attention_mask>());
#endif

#ifdef FORBIDDEN_seq_lens_of_floats  // expect: constraints not satisfied && seq_lens
    static_cast<void>(serve::seq_lens<float>{});
#else
    static_cast<void>(serve::seq_lens<std::int64_t>{});
#endif
}

int main()
{
    steps();
    requests();
    decoding();
}
