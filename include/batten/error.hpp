// SPDX-License-Identifier: MIT
// Error codes, the value that carries one, result<T>, and the exception.
#ifndef BATTEN_ERROR_HPP_INCLUDED
#define BATTEN_ERROR_HPP_INCLUDED

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

// A precondition of the caller's, checked in debug builds alone: what it guards can't be seen from the data.
// Define it before the first include to send it elsewhere. A failing one is also a compile error in constant evaluation.
#ifndef BATTEN_ASSERT
#ifdef NDEBUG
#define BATTEN_ASSERT(condition, text) static_cast<void>(0)
#else
#define BATTEN_ASSERT(condition, text) \
    ((condition) ? static_cast<void>(0) : ::batten::detail::assertion_failed(#condition, text, __FILE__, __LINE__))
#endif
#endif

namespace batten {

namespace detail {

[[noreturn]] inline void assertion_failed(const char* condition, const char* text, const char* file, int line)
{
    std::fprintf(stderr, "%s:%d: batten: %s [%s]\n", file, line, text, condition);
    std::abort();
}

}  // namespace detail

// An integer of any type, kept exactly: sign and magnitude. Pad ids, ignore indices and the numbers of an error are these.
class integer {
public:
    constexpr integer() noexcept = default;

    template <std::integral Int>
    constexpr integer(Int value) noexcept
        : magnitude_(is_below_zero(value) ? std::uint64_t{0} - static_cast<std::uint64_t>(value)
                                          : static_cast<std::uint64_t>(value)),
          negative_(is_below_zero(value))
    {
    }

    // Whether T holds the value. Every floating-point T is said to: it rounds, as static_cast does.
    template <class T>
    [[nodiscard]] constexpr bool fits() const noexcept
    {
        if constexpr (std::is_floating_point_v<T>)
            return true;
        else if (negative_)
            return std::is_signed_v<T> &&
                   magnitude_ <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()) + std::uint64_t{1};
        else
            return magnitude_ <= static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    }

    // The value as a T. Requires: fits<T>().
    template <class T>
    [[nodiscard]] constexpr T to() const noexcept
    {
        if constexpr (std::is_floating_point_v<T>)
            return negative_ ? -static_cast<T>(magnitude_) : static_cast<T>(magnitude_);
        else
            return static_cast<T>(negative_ ? std::uint64_t{0} - magnitude_ : magnitude_);
    }

    [[nodiscard]] constexpr bool is_negative() const noexcept { return negative_; }

    friend constexpr bool operator==(const integer&, const integer&) noexcept = default;

    [[nodiscard]] std::string text() const
    {
        std::string digits(negative_ ? "-" : "");
        return digits += std::to_string(magnitude_);
    }

private:
    template <std::integral Int>
    static constexpr bool is_below_zero([[maybe_unused]] Int value) noexcept
    {
        if constexpr (std::is_signed_v<Int>)
            return value < 0;
        else
            return false;
    }

    std::uint64_t magnitude_ = 0;
    bool negative_ = false;
};

// What went wrong. Behind each: what `row`, `first` and `second` of the error say; `field` is named where one is concerned.
enum class error_code : unsigned char {
    none,
    // the data
    row_over_limit,           // row, its tokens, the limit in tokens
    offset_negative,          // row, the offset
    offsets_decrease,         // row, where it begins, where it ends
    offset_past_end,          // row, where it ends, the number of tokens
    row_index_out_of_range,   // row, the index that it asks for, the number of sequences
    count_mismatch,           // -, entries of the field, number of sequences
    prompt_length_negative,   // row, the prompt length
    prompt_past_end,          // row, the prompt length, the row's tokens
    column_length_mismatch,   // row, entries of the column, the row's tokens
    token_not_representable,  // row, index of the token in its sequence, its value
    value_not_representable,  // row, the value (a position, a count) that the field's type can't hold
    length_negative,          // row, the length
    size_overflow,            // -, the two factors
    out_of_memory,            // -, bytes asked for
    // the outputs
    span_too_small,  // -, elements needed, elements given
    span_too_large,  // -, elements at the most, elements given
    pitch_too_small, // -, the row's width, the pitch
    // the options
    pad_id_not_representable,        // -, the pad id
    ignore_index_not_representable,  // -, the ignore index
    pad_value_not_representable,     // -, the value that the field writes on pads
    length_not_positive,             // -, the length
    ladder_empty,                    //
    ladder_not_increasing,           // -, the edge before, the edge
    // a plan
    argument_not_positive,  // -, the argument; field: its name
    nothing_to_plan,        // -; field: what is empty
    cost_decreases,         // -, the width before, the width that costs less
    batches_unlimited,      //
    rank_out_of_range,      // -, the rank, the number of ranks
    batch_out_of_range,     // -, the batch, the number of batches
    state_of_another,       // -; field: what does not take the state
    capacity_too_small,     // -, the capacity, the least one that holds anything
    capacity_too_large,     // -, the capacity, the largest one taken
    // a mask
    segment_past_row,             // row, where the segment ends, columns of the row; field: of queries or of keys
    segment_row_out_of_range,     // -, the row that a segment names, the number of rows
    offsets_not_from_zero,        // -, the first offset; field: which offsets
    queries_past_keys,            // row where one is concerned, its queries, its keys
    interval_outside_keys,        // row, the query, the number of its keys
    mask_id_missing,              //
    mask_id_not_representable,    // -, the mask id
    probability_out_of_range,     // -; field: its name
    probabilities_past_one,       // -, their sum in millionths
    vocabulary_too_small,         // -, ids of the vocabulary, those of them that are special
    // decoding
    decode_past_capacity,    // row, columns that its tokens take, columns that the capacity leaves
    row_finished,            // row, its tokens
    row_without_tokens,      // row
    count_out_of_range,      // row, the count, the most; field: which counts
    row_out_of_range,        // -, the row, the number of rows
    // serving; the row is a request's id, or where there are rows of requests the request's
    request_empty,           // row
    request_over_limit,      // row where one is concerned, its tokens, the limit
    request_duplicate,       // row
    request_unknown,         // row
    request_expired,         // row
    priority_out_of_range,   // row, the priority, the number of priorities
    queue_full,              // row, requests that wait
    queue_draining,          // row
    argument_negative,       // row where one is concerned, the argument where it is a number; field: its name
    pool_without_blocks,     // -, its blocks, those of them that are reserved
    block_out_of_range,      // -, the block, the number of blocks
    block_reserved,          // -, the block, the number of reserved ones
    block_not_live,          // -, the block
    tokens_not_there,        // -, the tokens asked for, those that the sequence has
    computed_past_known,     // row, its computed tokens, its known ones
    chunk_multiple_too_large,  // -, the multiple, the most tokens that a chunk can have
    // a step; the row is the request's place among the given ones
    nothing_scheduled,       // row
    scheduled_past_known,    // row, its computed and scheduled tokens together, its known ones
    blocks_missing,          // row, blocks that its tokens take, blocks that its row of the block table has room for
    pad_block_not_reserved,  // -, the block that pads point to, the number of reserved ones
    step_past_size,          // -, the step's tokens or requests, those of the size; field: which of the two
    size_past_ladder,        // -, the number, the last size of the ladder
    context_not_first,       // row
    chunk_not_of_blocks,     // row, tokens of the chunk, tokens of a block
    generation_of_several,   // row, its tokens in the step
    // a policy whose result does not fit
    width_past_maximum,      // -, the width, the maximum
    row_past_width,          // row, its columns, the width that the length strategy gave
    offset_past_width,       // row, offset that the side gave, columns free
    slice_outside_sequence,  // row, where the kept slice begins, its tokens
    slice_over_limit,        // row, tokens kept, the limit
    segment_misplaced,        // row, the column (or number) that the layout gave a segment, the first one free
    segment_columns_wrong,    // row, the columns that the layout gave a segment, those that its tokens take
    bucket_width_unsteady,   // -, width of the bucket alone, width of its rows together
};

// One error as a value: small, no allocation, the same from a throwing and from a try_ call.
struct error {
    static constexpr std::size_t no_row = static_cast<std::size_t>(-1);

    error_code code = error_code::none;
    std::size_t row = no_row;  // row of the batch, not of the data set behind a select
    integer first{};
    integer second{};
    std::string_view field{};  // refers to static storage

    // The sentence a person reads: "batten::collate: row 3 has 700 tokens, the limit is 512".
    [[nodiscard]] std::string message() const;
};

inline std::string error::message() const
{
    const std::string a = first.text();
    const std::string b = second.text();
    std::string at(row == no_row ? "the batch" : "row ");
    if (row != no_row)
        at += std::to_string(row);
    const std::string request = row == no_row ? "the request" : "request " + std::to_string(row);
    const std::string of_request = row == no_row ? "" : request + ": ";
    const std::string name(field.empty() ? std::string_view("a field") : field);
    std::string text;
    switch (code) {
    case error_code::none: return "batten: no error";
    case error_code::row_over_limit: text = at + " has " + a + " tokens, the limit is " + b; break;
    case error_code::offset_negative: text = at + " has the negative offset " + a; break;
    case error_code::offsets_decrease: text = at + " begins at offset " + a + " and ends before it, at " + b; break;
    case error_code::offset_past_end: text = at + " ends at offset " + a + ", there are " + b + " tokens"; break;
    case error_code::row_index_out_of_range:
        text = at + " asks for sequence " + a + ", there are " + b;
        break;
    case error_code::count_mismatch: text = name + " has " + a + " entries, there are " + b + " sequences"; break;
    case error_code::prompt_length_negative: text = at + " has the negative prompt length " + a; break;
    case error_code::prompt_past_end: text = at + " has a prompt length of " + a + ", but " + b + " tokens"; break;
    case error_code::column_length_mismatch:
        text = at + " has " + a + " entries in " + name + ", but " + b + " tokens";
        break;
    case error_code::token_not_representable:
        text = at + ", token " + a + " is " + b + ", which the element type of " + name + " cannot hold";
        break;
    case error_code::value_not_representable:
        text = at + " needs " + a + " in " + name + ", which its element type cannot hold";
        break;
    case error_code::length_negative: text = at + " has the negative length " + a; break;
    case error_code::argument_not_positive: text = name + " must be at least 1, not " + a; break;
    case error_code::nothing_to_plan: text = name + " is empty"; break;
    case error_code::cost_decreases: text = "a width of " + b + " costs less than one of " + a; break;
    case error_code::batches_unlimited: text = "neither rows nor a budget limits a batch: it would take everything"; break;
    case error_code::rank_out_of_range: text = "there is no rank " + a + " of " + b; break;
    case error_code::batch_out_of_range: text = "there is no batch " + a + ", the plan has " + b; break;
    case error_code::state_of_another: text = "the state is not one of " + name; break;
    case error_code::size_overflow: text = a + " x " + b + " elements overflow the size type"; break;
    case error_code::out_of_memory: text = a + " bytes could not be allocated"; break;
    case error_code::span_too_small: text = name + " needs " + a + " elements, the span has " + b; break;
    case error_code::span_too_large: text = name + " takes at most " + a + " elements, the span has " + b; break;
    case error_code::pitch_too_small: text = name + " has rows of " + a + " elements, the pitch is " + b; break;
    case error_code::pad_id_not_representable:
        text = "pad_id " + a + " cannot be held by the element type of " + name;
        break;
    case error_code::ignore_index_not_representable:
        text = "ignore_index " + a + " cannot be held by the element type of " + name;
        break;
    case error_code::pad_value_not_representable:
        text = "the value on pads, " + a + ", cannot be held by the element type of " + name;
        break;
    case error_code::length_not_positive: text = "a length must be at least 1, not " + a; break;
    case error_code::ladder_empty: text = "a ladder of lengths needs at least one edge"; break;
    case error_code::ladder_not_increasing: text = "edge " + b + " of the ladder follows edge " + a; break;
    case error_code::capacity_too_small: text = "a capacity of " + a + " columns is too small, the least is " + b; break;
    case error_code::capacity_too_large: text = "a capacity of " + a + " columns is too large, the most is " + b; break;
    case error_code::segment_past_row:
        text = at + ": a segment ends at column " + a + " of " + name + ", the row at column " + b;
        break;
    case error_code::segment_row_out_of_range: text = "a segment lies in row " + a + ", there are " + b + " rows"; break;
    case error_code::offsets_not_from_zero: text = name + " begins with " + a + ", not with 0"; break;
    case error_code::queries_past_keys: text = at + " has " + a + " queries, but " + b + " keys"; break;
    case error_code::interval_outside_keys:
        text = at + ": the interval of query " + a + " does not lie within its " + b + " keys";
        break;
    case error_code::mask_id_missing: text = "chosen tokens become mask_id, which is not given: write .mask_id = ..."; break;
    case error_code::mask_id_not_representable:
        text = "mask_id " + a + " cannot be held by the element type of " + name;
        break;
    case error_code::probability_out_of_range: text = name + " is not a probability: it lies outside of [0, 1]"; break;
    case error_code::probabilities_past_one: text = "the shares of mask_id and random ids sum to " + a + " millionths"; break;
    case error_code::vocabulary_too_small:
        text = "no random id can be drawn from a vocabulary of " + a + " ids, of which " + b + " are special";
        break;
    case error_code::decode_past_capacity:
        text = at + " takes " + a + " columns more, the capacity leaves " + b + ": grow it first";
        break;
    case error_code::row_finished: text = at + " is finished, but is given " + a + " tokens"; break;
    case error_code::row_without_tokens:
        text = at + " is not finished, but is given no token: finish it, or let rows wait (idle_rows::leave_holes)";
        break;
    case error_code::count_out_of_range: text = at + " has " + a + " in " + name + ", the most is " + b; break;
    case error_code::row_out_of_range: text = "there is no row " + a + ", the batch has " + b + " rows"; break;
    case error_code::request_empty: text = request + " has no tokens"; break;
    case error_code::request_over_limit: text = request + " comes to " + a + " tokens, the limit is " + b; break;
    case error_code::request_duplicate: text = request + " waits already"; break;
    case error_code::request_unknown: text = request + " does not wait here"; break;
    case error_code::request_expired: text = request + " came after its deadline"; break;
    case error_code::priority_out_of_range:
        text = request + " has priority " + a + ", there are " + b + " from 0 on";
        break;
    case error_code::queue_full: text = request + " finds the queue full: " + a + " wait"; break;
    case error_code::queue_draining: text = request + " came after drain()"; break;
    case error_code::argument_negative: text = of_request + name + " must not be negative"; break;
    case error_code::pool_without_blocks:
        text = "a pool of " + a + " blocks, of which " + b + " are reserved, has none to give";
        break;
    case error_code::block_out_of_range: text = of_request + "there is no block " + a + ", the pool has " + b; break;
    case error_code::block_reserved: text = of_request + "block " + a + " is one of the " + b + " reserved ones"; break;
    case error_code::block_not_live: text = "block " + a + " is free"; break;
    case error_code::tokens_not_there: text = "a sequence of " + b + " tokens is asked for " + a; break;
    case error_code::computed_past_known: text = at + " has " + a + " computed tokens, but " + b + " known ones"; break;
    case error_code::chunk_multiple_too_large:
        text = "no chunk is a multiple of " + a + " tokens: it has " + b + " at the most";
        break;
    case error_code::nothing_scheduled: text = request + " takes no token in this step: leave it out"; break;
    case error_code::scheduled_past_known:
        text = request + " comes to " + a + " tokens in this step, " + b + " are known";
        break;
    case error_code::blocks_missing:
        text = request + " takes " + a + " blocks, its row of the block table has room for " + b;
        break;
    case error_code::pad_block_not_reserved:
        text = "pads point to block " + a + ", the pool has reserved " + b + " from 0 on";
        break;
    case error_code::step_past_size: text = "the step has " + a + " " + name + ", its size is " + b; break;
    case error_code::size_past_ladder: text = "no size of the ladder holds " + a + ", the last is " + b; break;
    case error_code::context_not_first: text = request + " is in its context phase and lies behind one that generates"; break;
    case error_code::generation_of_several:
        text = request + " generates and takes " + a + " tokens in this step, of which it may take 1";
        break;
    case error_code::chunk_not_of_blocks:
        text = request + " takes " + a + " tokens of its prompt, not the last ones and no multiple of the " + b + " of a block";
        break;
    case error_code::width_past_maximum: text = "the width comes to " + a + ", the maximum is " + b; break;
    case error_code::row_past_width:
        text = at + " takes " + a + " columns, the length strategy gave a width of " + b;
        break;
    case error_code::offset_past_width:
        text = at + " was put at column " + a + " by the padding side, it fits up to column " + b;
        break;
    case error_code::slice_outside_sequence:
        text = at + ": the overflow policy kept " + b + " tokens from token " + a + ", past the sequence's end";
        break;
    case error_code::slice_over_limit:
        text = at + ": the overflow policy kept " + a + " tokens, the limit is " + b;
        break;
    case error_code::segment_misplaced:
        text = at + ": the layout put a segment at " + a + ", the first place free is " + b;
        break;
    case error_code::segment_columns_wrong:
        text = at + ": the layout gave a segment " + a + " columns, its tokens take " + b;
        break;
    case error_code::bucket_width_unsteady:
        text = "a bucket is " + a + " wide for one row and " + b + " for all of its rows";
        break;
    }
    return "batten::collate: " + text;
}

#if defined(__cpp_exceptions)
// What the throwing calls throw: what() is the message, error() the value behind it.
class collate_error : public std::runtime_error {
public:
    explicit collate_error(const batten::error& reason) : std::runtime_error(reason.message()), reason_(reason) {}
    [[nodiscard]] const batten::error& error() const noexcept { return reason_; }

private:
    batten::error reason_;
};
#endif

// Called by the throwing calls where exceptions are switched off (-fno-exceptions). Must not return; if it does, abort follows.
using error_handler = void (*)(const error&);

namespace detail {

inline void print_error(const error& reason) { std::fprintf(stderr, "%s\n", reason.message().c_str()); }

inline error_handler& current_error_handler() noexcept
{
    static error_handler handler = print_error;
    return handler;
}

// Cold and out of line, so that the calls which check stay small. Not constexpr: in constant evaluation it is a compile error.
[[noreturn]] inline void raise(const error& reason)
{
#if defined(__cpp_exceptions)
    throw collate_error(reason);
#else
    current_error_handler()(reason);
    std::abort();
#endif
}

}  // namespace detail

// Sets the handler of -fno-exceptions builds and returns the one before. Call it once, before threads start.
inline error_handler set_error_handler(error_handler handler) noexcept
{
    return std::exchange(detail::current_error_handler(), handler == nullptr ? detail::print_error : handler);
}

// A value or an error, as std::expected<T, error> of C++23.
template <class T>
class [[nodiscard]] result {
public:
    using value_type = T;

    constexpr result(T value) : value_(std::move(value)) {}
    constexpr result(const batten::error& reason) : error_(reason) {}

    [[nodiscard]] constexpr bool has_value() const noexcept { return value_.has_value(); }
    [[nodiscard]] constexpr explicit operator bool() const noexcept { return value_.has_value(); }

    // The value. Errors: raises the error that it holds instead, as the throwing calls do.
    [[nodiscard]] constexpr T& value() &
    {
        require_value();
        return *value_;
    }
    [[nodiscard]] constexpr const T& value() const&
    {
        require_value();
        return *value_;
    }
    [[nodiscard]] constexpr T&& value() &&
    {
        require_value();
        return *std::move(value_);
    }

    // The value, unchecked in release builds. Requires: has_value().
    [[nodiscard]] constexpr T& operator*() & { return asserted(*this); }
    [[nodiscard]] constexpr const T& operator*() const& { return asserted(*this); }
    [[nodiscard]] constexpr T&& operator*() && { return std::move(asserted(*this)); }
    [[nodiscard]] constexpr T* operator->() { return &asserted(*this); }
    [[nodiscard]] constexpr const T* operator->() const { return &asserted(*this); }

    // The error; code none where there is a value.
    [[nodiscard]] constexpr const batten::error& error() const noexcept { return error_; }

private:
    constexpr void require_value() const
    {
        if (!value_)
            detail::raise(error_);
    }

    template <class Self>
    static constexpr auto& asserted(Self& self)
    {
        BATTEN_ASSERT(self.value_.has_value(), "this result holds an error, not a value");
        return *self.value_;
    }

    std::optional<T> value_;
    batten::error error_{};
};

namespace detail {

// Records an error and says no: `return fail(reason, {...});` in a check that returns bool.
constexpr bool fail(error& reason, const error& what) noexcept
{
    reason = what;
    return false;
}

inline constexpr std::size_t size_limit = std::numeric_limits<std::size_t>::max();

// a + b, or false where it passes the size type.
constexpr bool add(std::size_t a, std::size_t b, std::size_t& sum) noexcept
{
    sum = a + b;
    return sum >= a;
}

// a * b, or false where it passes the size type.
constexpr bool multiply(std::size_t a, std::size_t b, std::size_t& product) noexcept
{
    product = a * b;
    return a == 0 || b <= size_limit / a;
}

}  // namespace detail

}  // namespace batten

#endif
