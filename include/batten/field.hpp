// SPDX-License-Identifier: MIT
// Fields: what a segment writes into a row, and what a pad writes. The built-in ones are in fields.hpp.
#ifndef BATTEN_FIELD_HPP_INCLUDED
#define BATTEN_FIELD_HPP_INCLUDED

#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/integer.hpp>
#include <batten/layout.hpp>
#include <batten/sequences.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten {

// ---- what a field sees -----------------------------------------------------------------------------------------------

// The values that pads and untrained columns get, from the collator's options.
struct fill_values {
    integer pad_id{};
    integer ignore_index{};
};

// A run of pads: `length` of them from `first_column` on. `position` counts on from the segment before them in the row, 0
// without one.
struct pad_run {
    std::size_t row = 0;
    std::size_t first_column = 0;
    std::size_t length = 0;
    std::size_t position = 0;
    fill_values values{};
};

// One segment as a field sees it: where it lies (the members of segment, `first_column` in the row), and what it carries.
template <class Bundle>
class segment_view : public segment {
public:
    std::size_t row = 0;
    std::size_t width = 0;
    fill_values values{};

    // Columns [targets_begin, targets_end) of the segment may be targets; the target of column j is token j + target_shift.
    // Where the inputs bring a loss column, those whose target token has loss 0 are not.
    std::size_t targets_begin = 0;
    std::size_t targets_end = 0;
    std::size_t target_shift = 0;

    constexpr segment_view(const Bundle& in, const segment& where) noexcept : segment(where), in_(&in) {}

    static constexpr bool has_loss = Bundle::has_loss;
    template <fixed_string Name>
    static constexpr bool has_column = Bundle::template has_column<Name>;

    // What the collator was given, for fields that read more than tokens and columns: those of a layout of your own.
    [[nodiscard]] constexpr const Bundle& inputs() const noexcept { return *in_; }

    // The kept tokens: `kept` of them; the first `length` have a column.
    [[nodiscard]] constexpr auto tokens() const { return in_->tokens(sequence).subspan(source_begin, kept); }

    // The entries of the loss column, or of another column, beside the kept tokens.
    [[nodiscard]] constexpr auto loss() const
        requires has_loss
    {
        return in_->loss(sequence).subspan(source_begin, kept);
    }
    template <fixed_string Name>
        requires has_column<Name>
    [[nodiscard]] constexpr auto column_values() const
    {
        return in_->template column_values<Name>(sequence).subspan(source_begin, kept);
    }

    // The tokens that columns [targets_begin, targets_end) predict, and their loss entries.
    [[nodiscard]] constexpr auto target_tokens() const
    {
        return tokens().subspan(targets_begin + target_shift, targets_end - targets_begin);
    }
    [[nodiscard]] constexpr auto target_loss() const
        requires has_loss
    {
        return loss().subspan(targets_begin + target_shift, targets_end - targets_begin);
    }

    // Targets that are trained: not among them column 0 of model_shifts, which the model's shift drops.
    // Cost: O(1); O(length) where there is a loss column.
    [[nodiscard]] constexpr std::size_t target_count() const
    {
        const std::size_t begin = std::min(std::max(targets_begin, counted_from_), targets_end);
        if constexpr (has_loss) {
            std::size_t trained = 0;
            for (const auto entry : loss().subspan(begin + target_shift, targets_end - begin))
                trained += entry != 0 ? 1U : 0U;
            return trained;
        } else {
            return targets_end - begin;
        }
    }

    // Sets the members on targets. Requires: `first_column` is the column in the row.
    constexpr void align(target_alignment targets, bool shares_rows)
    {
        const std::size_t prompt_in_source = in_->prompt_length(sequence);
        const std::size_t prompt = prompt_in_source > source_begin ? std::min(prompt_in_source - source_begin, kept) : 0;
        if (targets == same_position || targets == model_shifts) {
            const bool first_is_off = targets == model_shifts && (first_column != 0 || shares_rows);
            counted_from_ = targets == model_shifts ? 1 : 0;
            targets_end = length;
            targets_begin = std::min(std::max(prompt, std::size_t{first_is_off}), targets_end);
        } else {
            target_shift = kept == 0 ? 0 : 1;
            targets_end = kept == 0 ? 0 : kept - 1;
            targets_begin = std::min(prompt == 0 ? 0 : prompt - 1, targets_end);
        }
    }

private:
    const Bundle* in_;
    std::size_t counted_from_ = 0;
};

namespace detail {

// A segment_view that no collation makes: what the concepts below try a field on.
using example_segment = segment_view<bundle<std::span<const std::span<const int>>, none_t, none_t, columns<>>>;

}  // namespace detail

// A cell field writes a [rows, width] matrix of value_type. Give a type these members and it is one:
//
//     using value_type = float;
//     static constexpr std::string_view name = "weights";                          for messages; may be left out
//     void write(const auto& segment, std::span<value_type> out) const;            segment.length cells
//     void pad(const pad_run& pads, std::span<value_type> out) const;              pads.length cells
//     void write_row(const auto& segment, std::span<value_type> out) const;        may be left out: both at once, where the
//                                                                                  segment is alone in its row; width cells
//     bool check_options(const fill_values&, error&) const;                        when the collator is made; may be left out
//     bool check_segment(const auto& segment, error&) const;                       before the first write; may be left out
//
// Each writes every cell of `out`, all constexpr where the field is to run in constant evaluation. The primitives of
// batten::cells (fill, iota, convert, select, choose) are there to compose them from.
template <class Field>
concept cell_field = std::copyable<Field> && !requires(const Field& field, std::span<typename Field::value_type> out) {
    field.begin(out);
} && requires(const Field& field, std::span<typename Field::value_type> out, const pad_run& pads) { field.pad(pads, out); };

// A segment field writes [segments + extra] values of value_type:
//
//     static constexpr std::size_t extra = 1;                                      may be left out: 0
//     void begin(std::span<value_type> out) const;                                 always runs, first
//     void write(const auto& segment, std::size_t index, std::span<value_type> out) const;
//
// Where a pad tail is a segment of its own (packed layouts), one that says counts_pad_segments has an element more for it:
//
//     static constexpr bool counts_pad_segments = true;
//     void write_tail(const pad_run& tail, std::span<value_type> out) const;
//     bool check_tail(const pad_run& tail, error&) const;                          before the first write; may be left out
template <class Field>
concept segment_field =
    std::copyable<Field> && requires(const Field& field, std::span<typename Field::value_type> out) { field.begin(out); };

// Both kinds are written in steps of a server, too (serve/arrays.hpp), where `now` is a step. Optional members for them:
//
//     void write_one_each(const auto& now, std::span<value_type> out) const;       the whole step, where each request takes one
//                                                                                  token: the loop that matters for speed
//     bool fits_step(const auto& now) const;                                       whether no request can fail check_segment, so
//                                                                                  that requests are not checked one by one
//     bool check_step(const auto& now, error&) const;                              once a step, before its requests
//
// and of a segment field, for requests that are pads; without them their elements are 0:
//
//     void write_pad(const auto& now, const segment& pad, std::size_t index, std::span<value_type> out) const;
//     bool check_pad(const auto& now, const segment& pad, error&) const;           for the last pad, before the first write
template <class Field>
concept any_field = cell_field<Field> || segment_field<Field>;

namespace detail {

template <class Field>
constexpr std::string_view name_of() noexcept
{
    if constexpr (requires { std::string_view(Field::name); })
        return Field::name;
    else
        return "a field of the user's";
}

template <class Field>
constexpr std::size_t extra_of() noexcept
{
    if constexpr (requires { Field::extra; })
        return Field::extra;
    else
        return 0;
}

// Whether every value of Source is one of T.
template <class T, class Source>
constexpr bool holds_all() noexcept
{
    if constexpr (std::is_floating_point_v<T>)
        return true;
    else if constexpr (std::same_as<Source, bool>)
        return true;
    else
        return integer(std::numeric_limits<Source>::min()).template fits<T>() &&
               integer(std::numeric_limits<Source>::max()).template fits<T>();
}

// Whether T holds `value`: it comes back unchanged, sign included. No branch.
template <class T, class Source>
constexpr bool is_held(Source value) noexcept
{
    const T converted = static_cast<T>(value);
    return (static_cast<Source>(converted) == value) & ((converted < T{}) == (value < Source{}));
}

// Whether T holds each of `values`. A pass over them only where it may not. `first`: index of values[0] in its sequence.
template <class T, class Source>
constexpr bool check_values([[maybe_unused]] std::span<const Source> values, [[maybe_unused]] std::size_t row,
                            [[maybe_unused]] std::size_t first, [[maybe_unused]] std::string_view name,
                            [[maybe_unused]] error& reason)
{
    if constexpr (!holds_all<T, Source>()) {
        bool all = true;
        for (const Source value : values)
            all &= is_held<T>(value);
        if (all) [[likely]]
            return true;
        std::size_t i = 0;
        while (is_held<T>(values[i]))
            ++i;
        return fail(reason, error::of_row(errors::token_not_representable, row, first + i, values[i], name));
    } else {
        return true;
    }
}

// Whether T holds n exactly: floating-point types do up to 2^digits.
template <class T>
constexpr bool holds_count(std::size_t n) noexcept
{
    if constexpr (std::is_floating_point_v<T>)
        return std::numeric_limits<T>::digits >= 64 || n <= std::uint64_t{1} << std::numeric_limits<T>::digits;
    else
        return integer(n).fits<T>();
}

template <class T>
constexpr bool check_count(std::size_t value, std::size_t row, std::string_view name, error& reason)
{
    return holds_count<T>(value) || fail(reason, error::of_row(errors::value_not_representable, row, value, {}, name));
}

template <class T>
constexpr bool check_constant(const integer& value, error_code code, std::string_view name, error& reason)
{
    return value.fits<T>() || fail(reason, error::of(code, value, {}, name));
}

}  // namespace detail

// The fields that a collator writes, as objects, since a field may have options of its own (column's pad_value).
template <any_field... Field>
class fields {
public:
    static constexpr std::size_t count = sizeof...(Field);

    constexpr fields() = default;
    constexpr fields(Field... field)
        requires(sizeof...(Field) > 0)
        : list_(std::move(field)...)
    {
    }

    template <std::size_t I>
    [[nodiscard]] constexpr const auto& at() const noexcept
    {
        return std::get<I>(list_);
    }

private:
    std::tuple<Field...> list_;
};

}  // namespace batten

#endif
