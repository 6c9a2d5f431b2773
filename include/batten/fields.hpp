// SPDX-License-Identifier: MIT
// The built-in fields, and the lists of them that collators write by default.
#ifndef BATTEN_FIELDS_HPP_INCLUDED
#define BATTEN_FIELDS_HPP_INCLUDED

#include <batten/detail/loops.hpp>
#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/half.hpp>
#include <batten/inputs.hpp>
#include <batten/integer.hpp>
#include <batten/sequences.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace batten {

// ---- the built-in cell fields, [rows, width] ---------------------------------------------------------------------------

// Tokens | pad_id
//
// Errors  a token that T cannot hold. Tokens are checked only where T is narrower than their type.
template <integer_number T = std::int64_t>
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
        return detail::check_constant<T>(values.pad_id, errors::pad_id_not_representable, name, reason);
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        return detail::check_values<T>(input(segment), segment.row, segment.source_begin, name, reason);
    }

    constexpr void write_one_each(const auto& now, std::span<T> out) const
    {
        const auto list = now.list();  // a copy, so that the loop keeps it in registers
        detail::visit_each(out.size(), [&](std::size_t i) { out[i] = static_cast<T>(list.tokens(i)[list.computed(i)]); });
    }
    template <class Step>
    constexpr bool fits_step(const Step& /*now*/) const noexcept
    {
        return detail::holds_all<T, typename Step::token_type>();
    }

private:
    static constexpr auto input(const auto& segment) { return segment.tokens().first(segment.length); }
};

// 1 | 0. T is a number, bfloat16 or float16.
template <mask_element T = std::int64_t>
struct attention_mask {
    using value_type = T;
    static constexpr std::string_view name = "attention_mask";

    constexpr void write(const auto& /*segment*/, std::span<T> out) const { cells::fill(out, one_of<T>); }
    constexpr void write_row(const auto& segment, std::span<T> out) const
    {
        cells::fill_run(out, segment.first_column, segment.length, one_of<T>, T{});
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, T{}); }
};

// What position_ids writes on pads: the same value everywhere. 0 for most, 1 as HF generate, -1 as fairseq2.
template <std::int64_t Value>
struct pad_position {
    static constexpr std::int64_t value = Value;

    template <class T>
    static constexpr void pad(const pad_run& /*pads*/, std::span<T> out)
    {
        cells::fill(out, static_cast<T>(Value));
    }
    template <class T>
    static constexpr bool check_options(std::string_view name, error& reason)
    {
        return detail::check_constant<T>(Value, errors::pad_value_not_representable, name, reason);
    }
};

// What position_ids writes on pads: the positions after that of the last token. Only where all pads come after the tokens.
struct continue_positions {
    static constexpr bool needs_pads_last = true;

    template <class T>
    static constexpr void pad(const pad_run& pads, std::span<T> out)
    {
        cells::iota(out, pads.position);
    }
};

// 0, 1, 2, ... from the first real token of the segment | what OnPads says
template <integer_number T = std::int64_t, class OnPads = pad_position<0>>
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

    constexpr void write_one_each(const auto& now, std::span<T> out) const
    {
        const auto list = now.list();
        if constexpr (requires { list.computed_run(); })
            cells::convert(list.computed_run(), out);
        else
            for (std::size_t i = 0; i < out.size(); ++i)
                out[i] = static_cast<T>(list.computed(i));
    }
    constexpr bool fits_step(const auto& now) const
    {
        return !needs_pads_last && (now.requests() == 0 || detail::holds_count<T>(now.max_seq_len() - 1));
    }
};

// 1 on targets, 0 on the others (target_alignment, prompt lengths and the loss column say which) | 0
template <mask_element T = std::int64_t>
struct loss_mask {
    using value_type = T;
    static constexpr std::string_view name = "loss_mask";

    constexpr void write(const auto& segment, std::span<T> out) const
    {
        const auto targets = out.subspan(segment.targets_begin, segment.targets_end - segment.targets_begin);
        cells::fill(out.first(segment.targets_begin), T{});
        if constexpr (std::remove_cvref_t<decltype(segment)>::has_loss)
            cells::choose(segment.target_loss(), one_of<T>, T{}, targets);
        else
            cells::fill(targets, one_of<T>);
        cells::fill(out.subspan(segment.targets_end), T{});
    }
    template <class Segment>
        requires(!Segment::has_loss)
    constexpr void write_row(const Segment& segment, std::span<T> out) const
    {
        cells::fill_run(out, segment.first_column + segment.targets_begin, segment.targets_end - segment.targets_begin,
                        one_of<T>, T{});
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, T{}); }
};

// The target's token id on targets, ignore_index on the others | ignore_index
//
// Errors  a target that T cannot hold, or that is the ignore_index and so would not be trained. Both are looked for only where
//         they can be: an ignore_index below 0, such as -100, costs no pass.
template <integer_number T = std::int64_t>
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
        return detail::check_constant<T>(values.ignore_index, errors::ignore_index_not_representable, name, reason);
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        const auto targets = segment.target_tokens();
        const std::size_t first = segment.source_begin + segment.targets_begin + segment.target_shift;
        return detail::check_values<T>(targets, segment.row, first, name, reason) &&
               are_not_ignored(segment, targets, first, reason);
    }

private:
    // Whether no target that is trained is the ignore index.
    template <class Segment, class Token>
    static constexpr bool are_not_ignored(const Segment& segment, std::span<const Token> targets, std::size_t first,
                                          error& reason)
    {
        const integer& ignore_index = segment.values.ignore_index;
        if (ignore_index.is_negative() || !ignore_index.template fits<Token>()) [[likely]]
            return true;
        const Token ignored = ignore_index.template to<Token>();
        const auto is_ignored = [&](std::size_t i) {
            if constexpr (Segment::has_loss)
                return static_cast<bool>((targets[i] == ignored) & (segment.target_loss()[i] != 0));
            else
                return targets[i] == ignored;
        };
        for (std::size_t i = segment.targets_shifted_out(); i < targets.size(); ++i)
            if (is_ignored(i))
                return detail::fail(
                    reason, error::of_row(errors::target_is_ignore_index, segment.row, first + i, ignore_index, name));
        return true;
    }
};

// The number of the segment in its row, from 1 | 0
template <integer_number T = std::int64_t>
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
//
// Errors  an integer that T does not hold exactly (2^24 + 1 in a float); a finite number that T makes infinite (1e300).
//         Looked for only where the type of the values is wider than T.
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

// A segment field of one count for each segment. Count::of(segment) is the count; in a step, most(now) is at least the count of
// every request, and of_pad(now, pad) is the count of a request that is a pad.
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

    constexpr bool fits_step(const auto& now) const
        requires requires { Count::most(now); }
    {
        return holds_count<T>(Count::most(now));
    }
    constexpr void write_pad(const auto& now, const segment& pad, std::size_t index, std::span<T> out) const
        requires requires { Count::of_pad(now, pad); }
    {
        out[index] = static_cast<T>(Count::of_pad(now, pad));
    }
    constexpr bool check_pad(const auto& now, const segment& pad, error& reason) const
        requires requires { Count::of_pad(now, pad); }
    {
        return check_count<T>(Count::of_pad(now, pad), error::no_row, name, reason);
    }
};

struct count_length {
    static constexpr std::string_view name = "lengths";
    static constexpr std::size_t of(const auto& segment) { return segment.length; }
    static constexpr std::size_t of_pad(const auto& /*now*/, const segment& pad) { return pad.length; }
    static constexpr std::size_t most(const auto& now) { return now.max_query_len(); }
};
struct count_truncated {
    static constexpr std::string_view name = "truncated_tokens";
    static constexpr std::size_t of(const auto& segment) { return segment.dropped; }
};
struct count_first_column {
    static constexpr std::string_view name = "first_columns";
    static constexpr std::size_t of(const auto& segment) { return segment.first_column; }
};
struct count_row {
    static constexpr std::string_view name = "segment_rows";
    static constexpr std::size_t of(const auto& segment) { return segment.row; }
};
struct count_targets {
    static constexpr std::string_view name = "targets";
    static constexpr std::size_t of(const auto& segment) { return segment.target_count(); }
};

}  // namespace detail

// Columns with a real token.
template <class T = std::int64_t>
    requires integer_number<T> || std::floating_point<T>
struct lengths : detail::segment_count<T, detail::count_length> {};

// Tokens that truncation dropped.
template <integer_number T = std::int64_t>
struct truncated_tokens : detail::segment_count<T, detail::count_truncated> {};

// The column in its row of each segment's first token.
template <integer_number T = std::int64_t>
struct first_columns : detail::segment_count<T, detail::count_first_column> {};

// The row of each segment.
template <integer_number T = std::int64_t>
struct segment_rows : detail::segment_count<T, detail::count_row> {};

// Targets that are trained; not among them column 0 of model_shifts, which the model's shift drops.
template <integer_number T = std::int64_t>
struct target_counts : detail::segment_count<T, detail::count_targets> {};

// The columns at which the segments of a varlen batch begin, and at which the last one ends: segments + 1 entries, from 0, as
// variable-length attention kernels take them. Trailing pads that are a segment of their own have an entry, too.
template <class T = std::int32_t>
    requires integer_number<T> || std::floating_point<T>
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

    constexpr void write_one_each(const auto& now, std::span<T> out) const
    {
        cells::iota(out.subspan(1, now.requests()), std::size_t{1});
    }
    constexpr bool fits_step(const auto& now) const { return detail::holds_count<T>(now.tokens()); }
    constexpr void write_pad(const auto& /*now*/, const segment& pad, std::size_t index, std::span<T> out) const
    {
        out[index + 1] = static_cast<T>(pad.first_column + pad.length);
    }
    constexpr bool check_pad(const auto& /*now*/, const segment& pad, error& reason) const
    {
        return detail::check_count<T>(pad.first_column + pad.length, error::no_row, name, reason);
    }

private:
    static constexpr std::size_t end_of(const pad_run& tail) noexcept { return tail.first_column + tail.length; }
};

// ---- lists -----------------------------------------------------------------------------------------------------------

using causal_lm_fields = fields<token_ids<>, attention_mask<>, position_ids<>, loss_mask<>>;
using training_fields = fields<token_ids<>, attention_mask<>, position_ids<>, loss_mask<>, labels<>>;
using inference_fields = fields<token_ids<>, attention_mask<>, position_ids<>>;
using encoder_fields = fields<token_ids<>, attention_mask<>>;
using packed_fields = fields<token_ids<>, attention_mask<>, position_ids<>, segment_ids<>, loss_mask<>, labels<>>;
using varlen_fields = fields<token_ids<>, position_ids<>, loss_mask<>, labels<>, cu_seqlens<>>;
using varlen_inference_fields = fields<token_ids<>, position_ids<>, cu_seqlens<>>;

}  // namespace batten

#endif
