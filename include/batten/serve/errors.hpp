// SPDX-License-Identifier: MIT
// What can go wrong in serving, beside the errors of the core: the codes and their sentences (error.hpp says how they are read).
#ifndef BATTEN_SERVE_ERRORS_HPP_INCLUDED
#define BATTEN_SERVE_ERRORS_HPP_INCLUDED

#include <batten/error.hpp>

namespace batten::serve::errors {

using namespace batten::errors;

// ---- Decoding 

// row, columns that its tokens take, columns left
inline constexpr error_text decode_past_capacity{
    "decode_past_capacity", "{row} takes {first} more columns, the capacity leaves {second}: grow it first"};
// -, the capacity, the width
inline constexpr error_text capacity_below_width{
    "capacity_below_width", "a capacity of {first} columns is too small, the batch is {second} wide"};
// row, its tokens
inline constexpr error_text row_finished{"row_finished", "{row} is finished, but was given {first} tokens"};
// row
inline constexpr error_text row_without_tokens{
    "row_without_tokens",
    "{row} is not finished, but was given no token: finish it, or let rows wait (idle_rows::leave_holes)"};
// row, the count, the most; field: which counts
inline constexpr error_text count_out_of_range{"count_out_of_range", "{row} has {first} in {name}, the most is {second}"};
// row, its first column, the last one possible
inline constexpr error_text first_column_out_of_range{
    "first_column_out_of_range", "{row} of the prefill begins in column {first}, its tokens fit up to column {second}"};
// row, the column that its next token would take, the first column after its tokens
inline constexpr error_text cache_column_taken{
    "cache_column_taken",
    "{row}: the cache policy puts the next token in column {first}, but the row's tokens end before column {second}: pad the "
    "prefill right (pad_right), or use aligned_cache"};
// row
inline constexpr error_text prefill_row_shared{
    "prefill_row_shared", "{row} of the prefill does not hold exactly one sequence: a decode batch has one in each row"};
// -
inline constexpr error_text target_without_column{
    "target_without_column",
    "next_token_drop_last leaves the last token without a column, but every token of a step takes one: use next_token"};
// -, the row, number of rows
inline constexpr error_text row_out_of_range{"row_out_of_range", "there is no row {first}, the batch has {second} rows"};

// ---- Queueing: the row is a request's id 

// row
inline constexpr error_text request_empty{"request_empty", "{request} has no tokens"};
// row where one is concerned, its tokens, the limit
inline constexpr error_text request_over_limit{
    "request_over_limit", "{request} comes to {first} tokens, the limit is {second}"};
// row
inline constexpr error_text request_duplicate{"request_duplicate", "{request} is already waiting"};
// row
inline constexpr error_text request_unknown{"request_unknown", "{request} is not waiting"};
// row
inline constexpr error_text request_expired{"request_expired", "{request} arrived after its deadline"};
// row, the priority, number of priorities
inline constexpr error_text priority_out_of_range{
    "priority_out_of_range", "{request} has priority {first}, valid priorities are 0 to {second} - 1"};
// row, requests waiting
inline constexpr error_text queue_full{"queue_full", "{request} was rejected: the queue is full ({first} waiting)"};
// row
inline constexpr error_text queue_draining{"queue_draining", "{request} arrived after drain()"};
// -, the last edge, the limit
inline constexpr error_text edge_over_max_cells{
    "edge_over_max_cells", "a row of the last bucket takes {first} cells, max_cells is {second}"};
// row where one is concerned; field: its name
inline constexpr error_text argument_negative{"argument_negative", "{request:}{name} must not be negative"};

// ---- The block pool 

// -, its blocks, reserved ones
inline constexpr error_text pool_without_blocks{
    "pool_without_blocks", "the pool has {first} blocks and reserves {second}: none is left to allocate"};
// row where one is concerned, the block, number of blocks
inline constexpr error_text block_out_of_range{
    "block_out_of_range", "{request:}there is no block {first}, the pool has {second}"};
// row where one is concerned, the block, number of reserved ones
inline constexpr error_text block_reserved{"block_reserved", "{request:}block {first} is one of the {second} reserved blocks"};
// -, the block
inline constexpr error_text block_not_live{"block_not_live", "block {first} is free"};
// -, tokens asked for, tokens of the sequence
inline constexpr error_text tokens_missing{"tokens_missing", "{first} tokens were asked for, the sequence has {second}"};

// ---- Scheduling 

// row, computed tokens, known tokens
inline constexpr error_text computed_past_known{
    "computed_past_known", "{request} has {first} computed tokens, but only {second} known ones"};
// -, the multiple, most tokens of a chunk
inline constexpr error_text chunk_multiple_too_large{
    "chunk_multiple_too_large", "no chunk can be a multiple of {first} tokens: a chunk has at most {second}"};

// ---- Fields for serving 

// row, the segment's number in its row; field
inline constexpr error_text segment_without_tokens{
    "segment_without_tokens", "{row}: segment {first} has no tokens, so {name} has no last token to point to"};
// row, the segment's first token in its sequence
inline constexpr error_text positions_restart{
    "positions_restart",
    "{row}: a piece begins with token {first} of its sequence but with position 0: the slots of position 0 belong to the first piece"};

// ---- A step: the row is the request's number among those given 

// row
inline constexpr error_text nothing_scheduled{"nothing_scheduled", "{request} takes no token in this step: leave it out"};
// row, computed and scheduled tokens, known tokens
inline constexpr error_text scheduled_past_known{
    "scheduled_past_known", "{request} comes to {first} tokens in this step, but only {second} are known"};
// row, blocks needed, blocks of its row
inline constexpr error_text blocks_missing{
    "blocks_missing", "{request} needs {first} blocks, its row of the block table has {second}"};
// -, the block, number of reserved ones
inline constexpr error_text pad_block_not_reserved{
    "pad_block_not_reserved", "pads point to block {first}, but only the first {second} blocks are reserved"};
// -, tokens of a pad, tokens that it attends to
inline constexpr error_text pad_past_seq_len{
    "pad_past_seq_len", "a request that is a pad has a query_len of {first}, but a seq_len of {second}, which includes it"};
// -, tokens or requests, the size; field: which
inline constexpr error_text step_past_size{"step_past_size", "the step has {first} {name}, its padded size is {second}"};
// -, the number, the last size
inline constexpr error_text size_past_last{"size_past_last", "no size holds {first}, the last one is {second}"};
// row
inline constexpr error_text prefill_not_first{"prefill_not_first", "{request} is a prefill and comes after a decode"};
// row, its tokens
inline constexpr error_text generation_of_several{
    "generation_of_several", "{request} decodes and takes {first} tokens in this step, it may take 1"};
// row, tokens of the chunk, tokens of a block
inline constexpr error_text chunk_not_of_blocks{
    "chunk_not_of_blocks",
    "{request} takes {first} tokens of its prompt: neither its last ones nor a multiple of the block size {second}"};

}  // namespace batten::serve::errors

#endif
