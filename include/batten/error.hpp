// SPDX-License-Identifier: MIT
// What can go wrong: the codes of the core with their sentences, the value that carries one, result<T>, and the exception.
// The codes of a wing are in its own errors.hpp: plan/errors.hpp, mask/errors.hpp, serve/errors.hpp.
#ifndef BATTEN_ERROR_HPP_INCLUDED
#define BATTEN_ERROR_HPP_INCLUDED

#include <batten/integer.hpp>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#if defined(__cpp_exceptions)
#include <stdexcept>
#endif

// A precondition that the data cannot show, checked in debug builds alone. A failing one is a compile error in constant
// evaluation. Define it before the first include to replace it.
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

// One kind of error: its name, and the sentence that a person reads. In a sentence
//
//     {row}        "row 3", or "the batch" where the error concerns no row
//     {request}    "request 7", or "the request"; {request:} is "request 7: ", or nothing
//     {first}, {second}, {third}, {name}    the members of the error; {name} is its field
//
// To add one of your own, define an error_text at namespace scope, inline and constexpr.
struct error_text {
    std::string_view name{};
    std::string_view sentence{};
};

// Refers to an error_text. Two codes are equal where they refer to the same one.
class error_code {
public:
    constexpr error_code() noexcept = default;  // no error
    constexpr error_code(const error_text& text) noexcept : text_(&text) {}
    error_code(const error_text&&) = delete;  // a code refers to its text: define the text at namespace scope

    [[nodiscard]] constexpr explicit operator bool() const noexcept { return text_ != nullptr; }
    [[nodiscard]] constexpr std::string_view name() const noexcept { return text_ ? text_->name : "none"; }
    [[nodiscard]] constexpr std::string_view sentence() const noexcept { return text_ ? text_->sentence : "no error"; }

    friend constexpr bool operator==(const error_code&, const error_code&) noexcept = default;

private:
    const error_text* text_ = nullptr;
};

// The codes of the core. The comment before each says what `row`, `first` and `second` of the error hold, - for nothing, and
// what its `field` names.
namespace errors {

// ---- The data 

// row, its tokens, the limit in tokens
inline constexpr error_text row_over_limit{"row_over_limit", "{row} has {first} tokens, the limit is {second}"};
// row, the offset
inline constexpr error_text offset_negative{"offset_negative", "{row} has the negative offset {first}"};
// row, its first offset, its end
inline constexpr error_text offsets_decrease{
    "offsets_decrease", "{row} begins at offset {first} and ends before it, at {second}"};
// row, its end, number of tokens
inline constexpr error_text offset_past_end{"offset_past_end", "{row} ends at offset {first}, there are {second} tokens"};
// row, the index, number of sequences
inline constexpr error_text row_index_out_of_range{
    "row_index_out_of_range", "{row} refers to sequence {first}, there are {second}"};
// -, entries, number of sequences; field
inline constexpr error_text count_mismatch{"count_mismatch", "{name} has {first} entries, there are {second} sequences"};
// row, the prompt length
inline constexpr error_text prompt_length_negative{"prompt_length_negative", "{row} has the negative prompt length {first}"};
// row, the prompt length, the row's tokens
inline constexpr error_text prompt_past_end{
    "prompt_past_end", "{row} has a prompt length of {first}, but only {second} tokens"};
// row, entries, the row's tokens; field
inline constexpr error_text column_length_mismatch{
    "column_length_mismatch", "{row} has {first} entries in {name}, but {second} tokens"};
// row, index of the token in its sequence, its value; field
inline constexpr error_text token_not_representable{
    "token_not_representable", "{row}, token {first}: the element type of {name} cannot hold {second}"};
// row, index of the entry in its sequence; field
inline constexpr error_text entry_out_of_range{
    "entry_out_of_range", "{row}, entry {first}: the element type of {name} cannot hold a number so large"};
// row, index of the target in its sequence, the ignore index; field
inline constexpr error_text target_is_ignore_index{
    "target_is_ignore_index",
    "{row}, token {first}: a target in {name} is {second}, which is the ignore_index: a loss would leave it out"};
// row, the value (a position, a count); field
inline constexpr error_text value_not_representable{
    "value_not_representable", "{row}: the element type of {name} cannot hold {first}"};
// row, the length
inline constexpr error_text length_negative{"length_negative", "{row} has the negative length {first}"};
// -, the two factors
inline constexpr error_text size_overflow{"size_overflow", "{first} x {second} elements overflow the size type"};
// -, bytes
inline constexpr error_text out_of_memory{"out_of_memory", "{first} bytes could not be allocated"};
// -, the first offset; field: which offsets
inline constexpr error_text offsets_not_from_zero{"offsets_not_from_zero", "{name} begins with {first}, it must begin with 0"};
// -, the argument; field: its name
inline constexpr error_text argument_not_positive{"argument_not_positive", "{name} must be at least 1, not {first}"};
// -, slots, pieces
inline constexpr error_text slot_count_mismatch{
    "slot_count_mismatch", "there are {first} slots and {second} pieces: give each piece one slot, or none"};
// row, the columns that a piece takes, its slot
inline constexpr error_text slot_too_small{
    "slot_too_small", "{row}: a piece takes {first} columns, but its slot has {second}"};
// -; field: which input
inline constexpr error_text input_empty{"input_empty", "{name} is empty"};

// ---- The outputs 

// -, elements needed, elements given; field
inline constexpr error_text span_too_small{"span_too_small", "{name} needs {first} elements, the span has {second}"};
// -, most elements, elements given; field
inline constexpr error_text span_too_large{"span_too_large", "{name} takes at most {first} elements, the span has {second}"};
// -, the row's width, the stride; field
inline constexpr error_text row_stride_too_small{
    "row_stride_too_small", "{name} has rows of {first} elements, the row stride is {second}"};

// ---- The options 

// -, the pad id; field
inline constexpr error_text pad_id_not_representable{
    "pad_id_not_representable", "pad_id {first} does not fit the element type of {name}"};
// -, the ignore index; field
inline constexpr error_text ignore_index_not_representable{
    "ignore_index_not_representable", "ignore_index {first} does not fit the element type of {name}"};
// -, the value on pads; field
inline constexpr error_text pad_value_not_representable{
    "pad_value_not_representable", "the pad value {first} does not fit the element type of {name}"};
// -, the length
inline constexpr error_text length_not_positive{"length_not_positive", "a length must be at least 1, not {first}"};
inline constexpr error_text edges_empty{"edges_empty", "a list of bucket edges needs at least one edge"};
// -, the edge before, the edge
inline constexpr error_text edges_not_increasing{
    "edges_not_increasing", "bucket edges must increase, but {second} follows {first}"};
inline constexpr error_text batches_unlimited{"batches_unlimited", "a batch has no limit: give a number of rows or a budget"};

// ---- A policy or layout whose result does not fit 

// -, the width, the maximum
inline constexpr error_text width_past_maximum{"width_past_maximum", "the width comes to {first}, the maximum is {second}"};
// row, its columns, the width
inline constexpr error_text row_past_width{
    "row_past_width", "{row} takes {first} columns, but the length strategy gave a width of {second}"};
// row, the offset, columns free
inline constexpr error_text offset_past_width{
    "offset_past_width", "the padding side put {row} at column {first}, it fits up to column {second}"};
// row, begin of the kept slice, its tokens
inline constexpr error_text slice_outside_sequence{
    "slice_outside_sequence",
    "{row}: the overflow policy kept {second} tokens from token {first}, which is past the end of the sequence"};
// row, tokens kept, the limit
inline constexpr error_text slice_over_limit{
    "slice_over_limit", "{row}: the overflow policy kept {first} tokens, the limit is {second}"};
// row, end of the segment, columns of the row; field: of what
inline constexpr error_text segment_past_row{
    "segment_past_row", "{row}: a segment ends at column {first} of {name}, the row at column {second}"};
// -, the segment's row, number of rows
inline constexpr error_text segment_row_out_of_range{
    "segment_row_out_of_range", "a segment is in row {first}, there are {second} rows"};
// row, the segment's column or number, the first one free
inline constexpr error_text segment_misplaced{
    "segment_misplaced", "{row}: the layout put a segment at {first}, the first free place is {second}"};
// row, the segment's columns, columns that its tokens take
inline constexpr error_text segment_columns_wrong{
    "segment_columns_wrong", "{row}: the layout gave a segment {first} columns, its tokens take {second}"};
// -, the bucket's width for one row, for all rows
inline constexpr error_text bucket_width_unsteady{
    "bucket_width_unsteady", "a bucket is {first} wide for one row and {second} wide for all its rows"};

}  // namespace errors

// An error as a value: small, without allocation, the same from a throwing and from a try_ call.
struct error {
    static constexpr std::size_t no_row = no_limit;

    error_code code{};
    std::size_t row = no_row;  // row of the batch, not of the data set that a select reads
    integer first{};
    integer second{};
    std::string_view field{};  // refers to static storage
    integer third{};           // for the few sentences with three numbers

    // An error that concerns no row, and one of row `r`.
    [[nodiscard]] static constexpr error of(error_code code, integer first = {}, integer second = {},
                                            std::string_view field = {}) noexcept
    {
        return {code, no_row, first, second, field, {}};
    }
    [[nodiscard]] static constexpr error of_row(error_code code, std::size_t r, integer first = {}, integer second = {},
                                                std::string_view field = {}, integer third = {}) noexcept
    {
        return {code, r, first, second, field, third};
    }

    // The sentence a person reads: "batten: row 3 has 700 tokens, the limit is 512".
    [[nodiscard]] std::string message() const
    {
        std::string text(write_message(nullptr), ' ');
        write_message(text.data());
        return text;
    }

private:
    // Writes the message to `out`, or only counts where it is null. Returns its characters. Written by hand: every program that
    // collates compiles it, and calls of std::string would take half a second of that.
    std::size_t write_message(char* out) const noexcept
    {
        std::size_t size = 0;
        const auto put = [&](std::string_view part) {
            for (const char character : part) {
                if (out != nullptr)
                    out[size] = character;
                ++size;
            }
        };
        const auto put_number = [&](const integer& number) {
            char digits[integer::most_characters];
            const std::size_t begin = number.write_to(digits);
            put({digits + begin, integer::most_characters - begin});
        };
        put("batten: ");
        const std::string_view sentence = code.sentence();
        for (std::size_t i = 0; i < sentence.size(); ++i) {
            std::size_t end = i;
            while (sentence[i] == '{' && sentence[end] != '}')
                ++end;
            const std::string_view placeholder = sentence.substr(i, end + 1 - i);
            i = end;
            if (placeholder == "{first}")
                put_number(first);
            else if (placeholder == "{second}")
                put_number(second);
            else if (placeholder == "{third}")
                put_number(third);
            else if (placeholder == "{name}")
                put(field.empty() ? "a field" : field);
            else if (placeholder.size() == 1)
                put(placeholder);
            else if (row != no_row) {
                put(placeholder == "{row}" ? "row " : "request ");
                put_number(row);
                put(placeholder == "{request:}" ? ": " : "");
            } else if (placeholder != "{request:}") {
                put(placeholder == "{row}" ? "the batch" : "the request");
            }
        }
        return size;
    }
};

#if defined(__cpp_exceptions)
// What the throwing calls throw: what() is the message, error() the value.
class exception : public std::runtime_error {
public:
    explicit exception(const batten::error& reason) : std::runtime_error(reason.message()), reason_(reason) {}
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
    throw exception(reason);
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

// Records an error and returns false: `return fail(reason, error::of(...));` in a check that returns bool.
constexpr bool fail(error& reason, const error& what) noexcept
{
    reason = what;
    return false;
}

}  // namespace detail

}  // namespace batten

#endif
