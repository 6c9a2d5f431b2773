// SPDX-License-Identifier: MIT
// Fields: what a segment writes into a row, and what a pad writes. The built-in ones, and what a field of your own is made of.
#ifndef BATTEN_FIELD_HPP_INCLUDED
#define BATTEN_FIELD_HPP_INCLUDED

#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/layout.hpp>
#include <batten/sequences.hpp>

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
        return fail(reason, {error_code::token_not_representable, row, first + i, values[i], name});
    } else {
        return true;
    }
}

template <class T>
constexpr bool check_count(std::size_t value, std::size_t row, std::string_view name, error& reason)
{
    return integer(value).fits<T>() || fail(reason, {error_code::value_not_representable, row, value, {}, name});
}

template <class T>
constexpr bool check_constant(const integer& value, error_code code, std::string_view name, error& reason)
{
    return value.fits<T>() || fail(reason, {code, error::no_row, value, {}, name});
}

}  // namespace detail

// ---- the built-in cell fields, [rows, width] ---------------------------------------------------------------------------

// Tokens | pad_id. Tokens that T can't hold are an error; they are read for it only where T may not hold them.
template <token T = std::int64_t>
struct token_ids {
    using value_type = T;
    static constexpr std::string_view name = "token_ids";
    static constexpr bool uses_pad_id = true;

    constexpr void write(const auto& segment, std::span<T> out) const { cells::convert(input(segment), out); }
    constexpr void write_row(const auto& segment, std::span<T> out) const
    {
        cells::convert_run(input(segment), out, segment.first_column, segment.values.pad_id.template to<T>());
    }
    constexpr void pad(const pad_run& pads, std::span<T> out) const { cells::fill(out, pads.values.pad_id.to<T>()); }

    constexpr bool check_options(const fill_values& values, error& reason) const
    {
        return detail::check_constant<T>(values.pad_id, error_code::pad_id_not_representable, name, reason);
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        return detail::check_values<T>(input(segment), segment.row, segment.source_begin, name, reason);
    }

private:
    static constexpr auto input(const auto& segment) { return segment.tokens().first(segment.length); }
};

// 1 | 0
template <class T = std::int64_t>
    requires std::is_arithmetic_v<T>
struct attention_mask {
    using value_type = T;
    static constexpr std::string_view name = "attention_mask";

    constexpr void write(const auto& /*segment*/, std::span<T> out) const { cells::fill(out, T{1}); }
    constexpr void write_row(const auto& segment, std::span<T> out) const
    {
        cells::fill_run(out, segment.first_column, segment.length, T{1}, T{0});
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, T{0}); }
};

// What position_ids writes on pads: the same value everywhere. 0 for most, 1 as HF generate, -1 as fairseq2.
template <std::int64_t Value>
struct pads_hold {
    static constexpr std::int64_t value = Value;

    template <class T>
    static constexpr void pad(const pad_run& /*pads*/, std::span<T> out)
    {
        cells::fill(out, static_cast<T>(Value));
    }
    template <class T>
    static constexpr bool check_options(std::string_view name, error& reason)
    {
        return detail::check_constant<T>(Value, error_code::pad_value_not_representable, name, reason);
    }
};

// What position_ids writes on pads: positions that count on past the last token. Where pads come after the tokens alone.
struct pads_count_on {
    static constexpr bool needs_pads_last = true;

    template <class T>
    static constexpr void pad(const pad_run& pads, std::span<T> out)
    {
        cells::iota(out, pads.position);
    }
};

// 0, 1, 2, ... from the first real token of the segment | what OnPads says
template <token T = std::int64_t, class OnPads = pads_hold<0>>
struct position_ids {
    using value_type = T;
    static constexpr std::string_view name = "position_ids";
    static constexpr bool needs_pads_last = requires { requires OnPads::needs_pads_last; };

    constexpr void write(const auto& segment, std::span<T> out) const { cells::iota(out, segment.position_begin); }
    constexpr void write_row(const auto& segment, std::span<T> out) const
        requires requires { OnPads::value; }
    {
        cells::iota_run(out, segment.first_column, segment.length, segment.position_begin, static_cast<T>(OnPads::value));
    }
    constexpr void pad(const pad_run& pads, std::span<T> out) const { OnPads::template pad<T>(pads, out); }

    constexpr bool check_options(const fill_values& /*values*/, error& reason) const
    {
        if constexpr (requires { OnPads::template check_options<T>(name, reason); })
            return OnPads::template check_options<T>(name, reason);
        else
            return true;
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        if constexpr (sizeof(T) < sizeof(std::size_t)) {
            const std::size_t columns = needs_pads_last ? segment.width - segment.first_column : segment.length;
            return columns == 0 ||
                   detail::check_count<T>(segment.position_begin + (columns - 1), segment.row, name, reason);
        } else {
            return true;
        }
    }
};

// 1 on targets, 0 on the others (target_alignment, prompt lengths and the loss column say which) | 0
template <class T = std::int64_t>
    requires std::is_arithmetic_v<T>
struct loss_mask {
    using value_type = T;
    static constexpr std::string_view name = "loss_mask";

    constexpr void write(const auto& segment, std::span<T> out) const
    {
        const auto targets = out.subspan(segment.targets_begin, segment.targets_end - segment.targets_begin);
        cells::fill(out.first(segment.targets_begin), T{0});
        if constexpr (std::remove_cvref_t<decltype(segment)>::has_loss)
            cells::choose(segment.target_loss(), T{1}, T{0}, targets);
        else
            cells::fill(targets, T{1});
        cells::fill(out.subspan(segment.targets_end), T{0});
    }
    template <class Segment>
        requires(!Segment::has_loss)
    constexpr void write_row(const Segment& segment, std::span<T> out) const
    {
        cells::fill_run(out, segment.first_column + segment.targets_begin, segment.targets_end - segment.targets_begin, T{1},
                        T{0});
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, T{0}); }
};

// The target's token id on targets, ignore_index on the others | ignore_index
template <token T = std::int64_t>
struct labels {
    using value_type = T;
    static constexpr std::string_view name = "labels";

    constexpr void write(const auto& segment, std::span<T> out) const
    {
        const T ignored = segment.values.ignore_index.template to<T>();
        const auto targets = out.subspan(segment.targets_begin, segment.targets_end - segment.targets_begin);
        cells::fill(out.first(segment.targets_begin), ignored);
        if constexpr (std::remove_cvref_t<decltype(segment)>::has_loss)
            cells::select(segment.target_loss(), segment.target_tokens(), ignored, targets);
        else
            cells::convert(segment.target_tokens(), targets);
        cells::fill(out.subspan(segment.targets_end), ignored);
    }
    template <class Segment>
        requires(!Segment::has_loss)
    constexpr void write_row(const Segment& segment, std::span<T> out) const
    {
        cells::convert_run(segment.target_tokens(), out, segment.first_column + segment.targets_begin,
                           segment.values.ignore_index.template to<T>());
    }
    constexpr void pad(const pad_run& pads, std::span<T> out) const
    {
        cells::fill(out, pads.values.ignore_index.to<T>());
    }

    constexpr bool check_options(const fill_values& values, error& reason) const
    {
        return detail::check_constant<T>(values.ignore_index, error_code::ignore_index_not_representable, name, reason);
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        return detail::check_values<T>(segment.target_tokens(), segment.row,
                                       segment.source_begin + segment.targets_begin + segment.target_shift, name, reason);
    }
};

// The number of the segment in its row, from 1 | 0
template <token T = std::int64_t>
struct segment_ids {
    using value_type = T;
    static constexpr std::string_view name = "segment_ids";

    constexpr void write(const auto& segment, std::span<T> out) const
    {
        cells::fill(out, static_cast<T>(segment.index_in_row + 1));
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, T{0}); }

    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        return detail::check_count<T>(segment.index_in_row + 1, segment.row, name, reason);
    }
};

// The entries of the inputs' column of that name | pad_value
//
// column<"token_type_ids">, column<"weights", float>{.pad_value = 1.0F}: give the values as
// inputs{..., .columns = columns{named<"weights">(weights)}}.
template <fixed_string Name, class T = std::int64_t>
    requires std::is_arithmetic_v<T>
struct column {
    using value_type = T;
    static constexpr fixed_string column_name = Name;
    static constexpr std::string_view name = column_name.view();

    T pad_value{};

    template <class Segment>
    constexpr void write(const Segment& segment, std::span<T> out) const
    {
        cells::convert(values(segment), out);
    }
    template <class Segment>
    constexpr void write_row(const Segment& segment, std::span<T> out) const
    {
        cells::convert_run(values(segment), out, segment.first_column, pad_value);
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, pad_value); }

    template <class Segment>
    constexpr bool check_segment(const Segment& segment, error& reason) const
    {
        return detail::check_values<T>(values(segment), segment.row, segment.source_begin, name, reason);
    }

private:
    template <class Segment>
    static constexpr auto values(const Segment& segment)
    {
        static_assert(Segment::template has_column<Name>,
                      "batten: this collator writes a column that its inputs do not bring: add it as "
                      "inputs{..., .columns = columns{named<\"the name\">(values)}}");
        const auto entries = segment.template column_values<Name>().first(segment.length);
        using source = typename decltype(entries)::value_type;
        static_assert(std::is_floating_point_v<T> || std::is_integral_v<source>,
                      "batten: a column of floating-point values needs a floating-point element type: column<name, float>");
        return entries;
    }
};

// ---- the built-in segment fields, [segments] ---------------------------------------------------------------------------

namespace detail {

// A segment field of one count a segment; Count says which.
template <class T, class Count>
struct segment_count {
    using value_type = T;
    static constexpr std::string_view name = Count::name;

    constexpr void begin(std::span<T> /*out*/) const noexcept {}
    constexpr void write(const auto& segment, std::size_t index, std::span<T> out) const
    {
        out[index] = static_cast<T>(Count::of(segment));
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        if constexpr (sizeof(T) < sizeof(std::size_t))
            return check_count<T>(Count::of(segment), segment.row, name, reason);
        else
            return true;
    }
};

struct count_length {
    static constexpr std::string_view name = "lengths";
    static constexpr std::size_t of(const auto& segment) { return segment.length; }
};
struct count_dropped {
    static constexpr std::string_view name = "dropped_tokens";
    static constexpr std::size_t of(const auto& segment) { return segment.dropped; }
};
struct count_targets {
    static constexpr std::string_view name = "targets";
    static constexpr std::size_t of(const auto& segment) { return segment.target_count(); }
};

}  // namespace detail

// Columns with a real token.
template <token T = std::int64_t>
struct lengths : detail::segment_count<T, detail::count_length> {};

// Tokens that truncation dropped.
template <token T = std::int64_t>
struct dropped_tokens : detail::segment_count<T, detail::count_dropped> {};

// Targets that are trained; not among them column 0 of model_shifts, which the model's shift drops.
template <token T = std::int64_t>
struct targets : detail::segment_count<T, detail::count_targets> {};

// Where each segment of a packed batch begins, and where the last one ends: segments + 1 entries, from 0, what variable-length
// attention kernels take. A pad tail that is a segment of its own has an entry, too.
template <token T = std::int32_t>
struct cu_seqlens {
    using value_type = T;
    static constexpr std::string_view name = "cu_seqlens";
    static constexpr std::size_t extra = 1;
    static constexpr bool counts_pad_segments = true;
    static constexpr bool needs_one_row = true;

    constexpr void begin(std::span<T> out) const { out.front() = 0; }
    constexpr void write(const auto& segment, std::size_t index, std::span<T> out) const
    {
        out[index + 1] = static_cast<T>(segment.first_column + segment.length);
    }
    constexpr void write_tail(const pad_run& tail, std::span<T> out) const { out.back() = static_cast<T>(end_of(tail)); }

    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        return detail::check_count<T>(segment.first_column + segment.length, segment.row, name, reason);
    }
    constexpr bool check_tail(const pad_run& tail, error& reason) const
    {
        return detail::check_count<T>(end_of(tail), tail.row, name, reason);
    }

private:
    static constexpr std::size_t end_of(const pad_run& tail) noexcept { return tail.first_column + tail.length; }
};

// ---- lists of fields ---------------------------------------------------------------------------------------------------

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

using causal_lm_fields = fields<token_ids<>, attention_mask<>, position_ids<>, loss_mask<>>;
using training_fields = fields<token_ids<>, attention_mask<>, position_ids<>, loss_mask<>, labels<>>;
using inference_fields = fields<token_ids<>, attention_mask<>, position_ids<>>;
using encoder_fields = fields<token_ids<>, attention_mask<>>;
using binned_fields = fields<token_ids<>, attention_mask<>, position_ids<>, segment_ids<>, loss_mask<>, labels<>>;
using packed_fields = fields<token_ids<>, position_ids<>, loss_mask<>, labels<>, cu_seqlens<>>;
using packed_inference_fields = fields<token_ids<>, position_ids<>, cu_seqlens<>>;

namespace detail {

// What get, view and set name a field by: its type, its template, or a column's name.
template <class Field>
struct by_type {
    template <class Other>
    static constexpr bool matches = std::same_as<Field, Other>;
};

template <class Field, template <class...> class Template>
inline constexpr bool is_instance = false;
template <class... Argument, template <class...> class Template>
inline constexpr bool is_instance<Template<Argument...>, Template> = true;

template <template <class...> class Template>
struct by_template {
    template <class Other>
    static constexpr bool matches = is_instance<Other, Template>;
};

template <fixed_string Name>
struct by_name {
    template <class Other>
    static constexpr bool matches = [] {
        if constexpr (requires { Other::column_name.view(); })
            return Other::column_name == Name;
        else
            return false;
    }();
};

template <class List>
struct field_list;

template <class... Field>
struct field_list<fields<Field...>> {
    template <std::size_t I>
    using type = std::tuple_element_t<I, std::tuple<Field...>>;

    template <class Key>
    static constexpr std::size_t count_of = (std::size_t{0} + ... + (Key::template matches<Field> ? 1U : 0U));

    template <class Key>
    static constexpr std::size_t find()
    {
        static_assert(count_of<Key> != 0, "batten: this collator has no such field: add it to its fields<...>");
        static_assert(count_of<Key> <= 1,
                      "batten: more than one field of this collator is meant: name the whole type, as token_ids<int>");
        constexpr bool matches[] = {Key::template matches<Field>...};
        std::size_t i = 0;
        while (!matches[i])
            ++i;
        return i;
    }

    // The same list with Field at its end, unless an instance of Template is in it.
    template <class Extra, template <class...> class Template>
    using with = std::conditional_t<count_of<by_template<Template>> == 0, fields<Field..., Extra>, fields<Field...>>;

    // Whether `has` of any field; has is a struct template with a value.
    template <template <class> class Has>
    static constexpr bool any = (false || ... || Has<Field>::value);
};

template <class Field>
struct uses_pad_id : std::bool_constant<requires { requires Field::uses_pad_id; }> {};
template <class Field>
struct counts_pad_segments : std::bool_constant<requires { requires Field::counts_pad_segments; }> {};
template <class Field>
struct needs_one_row : std::bool_constant<requires { requires Field::needs_one_row; }> {};
template <class Field>
struct needs_pads_last : std::bool_constant<requires { requires Field::needs_pads_last; }> {};

// What every owning batch reports for each segment, whether its fields name it or not.
template <class Fields>
using with_lengths = typename field_list<Fields>::template with<lengths<>, lengths>;
template <class Fields>
using with_dropped = typename field_list<Fields>::template with<dropped_tokens<>, dropped_tokens>;
template <class Fields>
using with_targets = typename field_list<Fields>::template with<targets<>, targets>;
template <class Fields>
using with_reports = with_targets<with_dropped<with_lengths<Fields>>>;

}  // namespace detail

}  // namespace batten

#endif
