// SPDX-License-Identifier: MIT
// Fields: what is written for a segment and for pads. The built-in fields are in fields.hpp.
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

// A run of `length` pads from column `first_column`. `position` is one more than the last position of the segment before them
// in the row, 0 without such a segment.
struct pad_run {
    std::size_t row = 0;
    std::size_t first_column = 0;
    std::size_t length = 0;
    std::size_t position = 0;
    fill_values values{};
};

// One segment as a field sees it: its place (the members of segment, `first_column` counted from column 0), and its tokens.
template <class Bundle>
class segment_view : public segment {
public:
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

    // How many of target_tokens(), from the first, the model's shift drops: 1 for column 0 under model_shifts, else 0.
    [[nodiscard]] constexpr std::size_t targets_shifted_out() const
    {
        return std::min(std::max(targets_begin, counted_from_), targets_end) - targets_begin;
    }

    // Targets that are trained: not among them column 0 of model_shifts, which the model's shift drops.
    // Cost: O(1); O(length) where there is a loss column.
    [[nodiscard]] constexpr std::size_t target_count() const
    {
        const std::size_t begin = targets_begin + targets_shifted_out();
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
// Each writes every cell of `out`; make them constexpr for constant evaluation. batten::cells has primitives to compose them
// from: fill, iota, convert, select, choose.
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
// One with the flag counts_pad_segments has one element more where trailing pads are a segment of their own (varlen), written by
//
//     void write_tail(const pad_run& tail, std::span<value_type> out) const;
//     bool check_tail(const pad_run& tail, error&) const;                          before the first write; may be left out
template <class Field>
concept segment_field =
    std::copyable<Field> && requires(const Field& field, std::span<typename Field::value_type> out) { field.begin(out); };

// A cell field or a segment field. Either may have these flags, each a static constexpr bool; a flag left out is false:
//
//     uses_pad_id           it writes values.pad_id: the collator's options then have no default for .pad_id
//     needs_one_row         it makes sense in one row alone, as cu_seqlens does: refused with a layout that is not is_one_row
//     needs_pads_last       it needs all pads of a row after its tokens: refused with a side that is not pads_come_last
//     counts_pad_segments   a segment field has an element for the trailing pads, too, where they are a segment of their own
//     needs_step            it is made of a server's step (serve/step.hpp): refused with other inputs
//
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

// Whether T holds every value of Source: integers exactly, floating-point numbers rounded, but not to infinity.
template <class T, class Source>
constexpr bool holds_all() noexcept
{
    using to = std::numeric_limits<T>;
    using from = std::numeric_limits<Source>;
    if constexpr (std::is_floating_point_v<T> && std::is_floating_point_v<Source>)
        return to::max_exponent >= from::max_exponent;
    else if constexpr (std::is_floating_point_v<T>)
        return to::digits >= from::digits;
    else if constexpr (std::same_as<Source, bool>)
        return true;
    else
        return integer(from::min()).template fits<T>() && integer(from::max()).template fits<T>();
}

// Whether T holds `value`: an integer comes back unchanged, sign included; a finite number stays finite. No branch.
template <class T, class Source>
constexpr bool is_held(Source value) noexcept
{
    if constexpr (std::is_floating_point_v<T> && std::is_floating_point_v<Source>) {
        const Source magnitude = value < 0 ? -value : value;
        const bool is_finite = magnitude <= std::numeric_limits<Source>::max();  // false for NaN as well
        return !is_finite | (magnitude <= static_cast<Source>(std::numeric_limits<T>::max()));
    } else if constexpr (std::is_floating_point_v<T>) {
        // From its lowest bit that is set to its highest there are no more bits than T has.
        const auto bits = static_cast<std::uint64_t>(value);
        const std::uint64_t magnitude = value < 0 ? std::uint64_t{0} - bits : bits;
        const std::uint64_t lowest = magnitude & (std::uint64_t{0} - magnitude);
        return ((magnitude >> std::numeric_limits<T>::digits) < lowest) | (magnitude == 0);
    } else {
        const T converted = static_cast<T>(value);
        return (static_cast<Source>(converted) == value) & ((converted < T{}) == (value < Source{}));
    }
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
        if constexpr (std::is_floating_point_v<Source>)
            return fail(reason, error::of_row(errors::entry_out_of_range, row, first + i, {}, name));
        else
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

namespace detail {

// Says in a sentence what a type lacks to be a field. Always true: the sentence is the error.
template <class Field>
consteval bool explain_field()
{
    constexpr bool has_value = requires { typename Field::value_type; };
    static_assert(has_value, "batten: this field has no value_type: add using value_type = float;");
    static_assert(std::copyable<Field>, "batten: a field must be copyable: a collator keeps it by value");
    if constexpr (has_value)
        static_assert(any_field<Field> || !std::copyable<Field>,
                      "batten: this field has neither pad, as a cell field needs it, nor begin, as a segment field needs it: "
                      "add void pad(const batten::pad_run& pads, std::span<value_type> out) const");
    return true;
}

// Whether Field can write segments of these inputs; says in a sentence why it cannot.
template <class Field, class In>
consteval bool explain_write()
{
    using value = typename Field::value_type;
    if constexpr (requires { requires Field::needs_step; } && !requires(const In& in) { in.step(); }) {
        static_assert(sizeof(Field) == 0, "batten: this field is made of a server's step: collate a serve::step, or write it by "
                                          "serve::write");
        return false;
    } else if constexpr (segment_field<Field>) {
        constexpr bool writes = requires(const Field& field, const segment_view<In>& segment, std::span<value> out) {
            field.write(segment, std::size_t{}, out);
        };
        static_assert(writes, "batten: this segment field has no write for these inputs: add "
                              "void write(const auto& segment, std::size_t index, std::span<value_type> out) const");
        return writes;
    } else {
        constexpr bool writes = requires(const Field& field, const segment_view<In>& segment, std::span<value> out) {
            field.write(segment, out);
        };
        static_assert(writes, "batten: this cell field has no write for these inputs: add "
                              "void write(const auto& segment, std::span<value_type> out) const");
        return writes;
    }
}

}  // namespace detail

// The fields that a collator writes, as objects, since a field may have options of its own (column's pad_value).
template <class... Field>
class fields {
    static_assert((true && ... && detail::explain_field<Field>()));
    template <class One>
    static constexpr bool is_once = (std::size_t{0} + ... + (std::same_as<Field, One> ? 1U : 0U)) == 1;
    static_assert((true && ... && is_once<Field>), "batten::fields: a field is named twice: leave one of them out");

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

namespace detail {

template <class Fields>
struct explained;
template <class... Field>
struct explained<fields<Field...>> {
    static constexpr bool fields_alone = (true && ... && explain_field<Field>());
    template <class In>
    static constexpr bool writes = (true && ... && explain_write<Field, In>());
};

template <class Fields>
consteval bool explain_fields()
{
    return explained<Fields>::fields_alone;
}
template <class Fields, class In>
consteval bool explain_writes()
{
    return explained<Fields>::template writes<In>;
}

}  // namespace detail

}  // namespace batten

#endif
