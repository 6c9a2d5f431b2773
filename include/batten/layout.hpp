// SPDX-License-Identifier: MIT
// Layouts: in which row and column each token of a batch is. A row consists of segments and pads, a segment is a slice of one
// sequence.
#ifndef BATTEN_LAYOUT_HPP_INCLUDED
#define BATTEN_LAYOUT_HPP_INCLUDED

#include <batten/bins.hpp>
#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/length.hpp>
#include <batten/overflow.hpp>
#include <batten/segment.hpp>
#include <batten/side.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

namespace batten {

// What a layout names for a policy that its options do not have. Without a length, a batch is as wide as its longest row.
struct no_side {};
struct no_length {
    template <class Lengths>
    [[nodiscard]] static constexpr std::size_t width(const Lengths& lengths)
    {
        return detail::longest(lengths);
    }
};
struct no_overflow {
    constexpr no_overflow() noexcept = default;
    // .overflow = truncate_right{} for such a layout is a compile error that says what to do instead.
    template <class Other>
        requires(!std::same_as<Other, no_overflow>)
    constexpr no_overflow(const Other&) noexcept
    {
        static_assert(std::same_as<Other, no_overflow>,
                      "batten: rows of this layout are not truncated: there is no .overflow; truncate the sequences before, or "
                      "use a padded collator");
    }
};

// Models: padded, packed_rows, varlen_row, and any stateless type with the members below. `in` is the bundle of the inputs
// (inputs.hpp), `options` has the members targets, side, length and overflow (collator.hpp); limit_of, columns_of and tokens_of
// say what fits. basic_collator<YourLayout, fields<...>> collates with it; examples/custom_layout.cpp is one.
//
//     using side_type, length_type, overflow_type;   the policies that its options hold, or no_side, no_length, no_overflow
//     static constexpr bool shares_rows;             whether a row may have any number of segments; else each has exactly one
//     rows(in)                                       number of rows
//     sequences(in, r, visit)                        calls visit(i) for each sequence of row r, true; or stops at a false, false
//     first_segment(in, r)                           number of segments in the rows before r
//     row(options, in, r, sink, reason)              calls sink(segment) for each segment of row r, true; or sets reason, false
//
// May be left out: is_one_row = true, where there is always one row (for fields that need it); tail_is_segment = true, where
// the pads after its segments count as one more; takes<In>(), a consteval bool with a static_assert on the inputs it needs.
//
// Requires  pure functions. Every segment has length == columns_of(options.targets, kept), and first_column, counted from the
//           row's first real token, at or after the end of the segment before it.
// Ensures   the segments of row r are the same at each call. The engine checks before the first write, in every build, that
//           slices are inside their sequences, and that segments and their slots do not overlap and are counted right.
template <class Layout>
concept layout = requires {
    typename Layout::side_type;
    typename Layout::length_type;
    typename Layout::overflow_type;
    { Layout::shares_rows } -> std::convertible_to<bool>;
} && (std::same_as<typename Layout::side_type, no_side> || padding_side<typename Layout::side_type>) &&
    length_strategy<typename Layout::length_type> &&
    (std::same_as<typename Layout::overflow_type, no_overflow> || overflow_policy<typename Layout::overflow_type>);

namespace detail {

// What a layout reads of the options.
template <class Layout>
struct layout_options {
    target_alignment targets;
    typename Layout::side_type side;
    typename Layout::length_type length;
    typename Layout::overflow_type overflow;
};
using visit_example = bool (*)(std::size_t);
using sink_example = void (*)(const segment&);

template <class Layout, class In>
concept has_rows = requires(const In& in) {
    { Layout::rows(in) } -> std::convertible_to<std::size_t>;
};
template <class Layout, class In>
concept has_sequences = requires(const In& in, std::size_t r, visit_example visit) {
    { Layout::sequences(in, r, visit) } -> std::convertible_to<bool>;
};
template <class Layout, class In>
concept has_first_segment = requires(const In& in, std::size_t r) {
    { Layout::first_segment(in, r) } -> std::convertible_to<std::size_t>;
};
template <class Layout, class In>
concept has_row =
    requires(const layout_options<Layout>& options, const In& in, std::size_t r, sink_example sink, error& reason) {
        { Layout::row(options, in, r, sink, reason) } -> std::convertible_to<bool>;
    };

}  // namespace detail

// A layout that can lay out the inputs of this bundle.
template <class Layout, class Bundle>
concept layout_of = layout<Layout> && bundle<Bundle> && detail::has_rows<Layout, Bundle> &&
                    detail::has_sequences<Layout, Bundle> && detail::has_first_segment<Layout, Bundle> &&
                    detail::has_row<Layout, Bundle>;

namespace detail {

// Says in a sentence what a type lacks to be a layout. Always true: the sentence is the error.
template <class Layout>
consteval bool explain_layout()
{
    constexpr bool has_side = requires { typename Layout::side_type; };
    constexpr bool has_length = requires { typename Layout::length_type; };
    constexpr bool has_overflow = requires { typename Layout::overflow_type; };
    static_assert(has_side, "batten: this layout has no side_type: add using side_type = batten::no_side;");
    static_assert(has_length, "batten: this layout has no length_type: add using length_type = batten::dynamic_length;");
    static_assert(has_overflow, "batten: this layout has no overflow_type: add using overflow_type = batten::no_overflow;");
    static_assert(requires { { Layout::shares_rows } -> std::convertible_to<bool>; },
                  "batten: this layout does not say whether rows are shared: add static constexpr bool shares_rows = false;");
    if constexpr (has_side)
        static_assert(std::same_as<typename Layout::side_type, no_side> || padding_side<typename Layout::side_type>,
                      "batten: the side_type of this layout must be a padding_side or batten::no_side");
    if constexpr (has_length)
        static_assert(length_strategy<typename Layout::length_type>,
                      "batten: the length_type of this layout must be a length_strategy or batten::no_length");
    if constexpr (has_overflow)
        static_assert(
            std::same_as<typename Layout::overflow_type, no_overflow> || overflow_policy<typename Layout::overflow_type>,
            "batten: the overflow_type of this layout must be an overflow_policy or batten::no_overflow");
    return true;
}

template <class Layout, class In>
consteval bool explain_members()
{
    static_assert(has_rows<Layout, In>,
                  "batten: this layout lacks rows, for these inputs: add static std::size_t rows(const auto& in)");
    static_assert(has_sequences<Layout, In>, "batten: this layout lacks sequences, for these inputs: add "
                                             "static bool sequences(const auto& in, std::size_t r, auto visit)");
    static_assert(has_first_segment<Layout, In>, "batten: this layout lacks first_segment, for these inputs: add "
                                                 "static std::size_t first_segment(const auto& in, std::size_t r)");
    static_assert(has_row<Layout, In>,
                  "batten: this layout lacks row, for these inputs: add static bool row(const auto& options, const auto& in, "
                  "std::size_t r, auto&& sink, batten::error& reason)");
    return layout_of<Layout, In>;
}

// Whether Layout can lay out these inputs; says in a sentence why it cannot.
template <class Layout, class In>
consteval bool explain_layout_of()
{
    if constexpr (requires { Layout::template takes<In>(); }) {
        if constexpr (Layout::template takes<In>())
            return explain_members<Layout, In>();
        else
            return false;
    } else {
        return explain_members<Layout, In>();
    }
}

}  // namespace detail

// A layout of one sequence a row, padded to one width. Row r is sequence r.
//
// Errors  a sequence over the length's limit that the overflow policy rejects (row, its tokens, the limit).
template <padding_side Side, length_strategy Length, overflow_policy Overflow = reject>
struct padded {
    using side_type = Side;
    using length_type = Length;
    using overflow_type = Overflow;
    static constexpr bool shares_rows = false;

    template <class In>
    static constexpr std::size_t rows(const In& in)
    {
        return in.sequence_count();
    }
    template <class In, class Visit>
    static constexpr bool sequences(const In& /*in*/, std::size_t r, Visit visit)
    {
        return visit(r);
    }
    template <class In>
    static constexpr std::size_t first_segment(const In& /*in*/, std::size_t r) noexcept
    {
        return r;
    }

    template <class Options, class In, class Sink>
    static constexpr bool row(const Options& options, const In& in, std::size_t r, Sink&& sink, error& reason)
    {
        const std::size_t tokens = in.length(r);
        const std::size_t limit = tokens_of(options.targets, limit_of(options.length));
        slice kept{0, tokens};
        if (tokens > limit && !cut(options.overflow, r, tokens, limit, kept, reason)) [[unlikely]]
            return false;
        sink(segment{.sequence = r,
                     .source_begin = kept.begin,
                     .kept = kept.length,
                     .dropped = tokens - std::min(kept.length, tokens),
                     .length = columns_of(options.targets, kept.length)});
        return true;
    }

private:
    static constexpr bool cut(const Overflow& overflow, std::size_t r, std::size_t tokens, std::size_t limit, slice& kept,
                              error& reason)
    {
        const std::optional<slice> chosen = overflow_traits<Overflow>::keep(overflow, tokens, limit);
        if (!chosen)
            return detail::fail(reason, error::of_row(errors::row_over_limit, r, tokens, limit));
        if (chosen->length > limit)
            return detail::fail(reason, error::of_row(errors::slice_over_limit, r, chosen->length, limit));
        kept = *chosen;
        return true;
    }
};

// The packed layout (sequence packing): a row for each bin, several pieces of sequences in it, each with positions of its own.
// For inputs that come as packed(inputs, bins). A piece begins at the next column that is a multiple of the bins' slot_multiple,
// and takes its slot where the bins give one; an empty piece without a slot takes no column.
//
// Errors  a bin that takes more columns than the length's limit (row, its columns, the limit); a slot smaller than its piece.
template <length_strategy Length, padding_side Side = pad_right>
struct packed_rows {
    using side_type = Side;
    using length_type = Length;
    using overflow_type = no_overflow;
    static constexpr bool shares_rows = true;

    template <class In>
    static consteval bool takes()
    {
        constexpr bool has_bins = requires(const In& in) { in.bins(); };
        static_assert(has_bins, "batten: this collator packs rows and needs bins: write collate(packed(inputs, bins))");
        return has_bins;
    }
    template <class In>
    static constexpr std::size_t rows(const In& in)
        requires requires { in.bins(); }
    {
        return in.bins().offsets.empty() ? 0 : in.bins().offsets.size() - 1;
    }
    template <class In, class Visit>
    static constexpr bool sequences(const In& in, std::size_t r, Visit visit)
    {
        for (const piece& p : in.pieces(r))
            if (!visit(p.sequence))
                return false;
        return true;
    }
    template <class In>
    static constexpr std::size_t first_segment(const In& in, std::size_t r)
    {
        return in.bins().offsets[r];
    }

    template <class Options, class In, class Sink>
    static constexpr bool row(const Options& options, const In& in, std::size_t r, Sink&& sink, error& reason)
    {
        const bins& how = in.bins();
        std::size_t column = 0;
        segment at;
        for (const piece& p : in.pieces(r)) {
            at.sequence = p.sequence;
            at.source_begin = p.begin;
            at.kept = p.length;
            at.length = columns_of(options.targets, p.length);
            at.position_begin = how.positions == piece_positions::from_source ? p.begin : 0;
            at.slot = at.length;
            if (!how.slots.empty() && !take_slot(in, p, how.slots[how.offsets[r] + at.index_in_row], at, r, reason))
                return false;
            if (how.look_ahead && options.targets == next_token && p.length != 0 &&
                std::size_t{p.begin} + p.length < in.length(p.sequence))
                at.kept += 1;
            if (at.slot != 0 && column % how.slot_multiple != 0 &&
                !detail::add(column, how.slot_multiple - column % how.slot_multiple, column))
                return detail::fail(reason, error::of_row(errors::size_overflow, r, how.slot_multiple, at.index_in_row + 1));
            at.first_column = column;
            sink(std::as_const(at));
            if (!detail::add(column, at.slot, column))
                return detail::fail(reason, error::of_row(errors::size_overflow, r, at.first_column, at.slot));
            at.index_in_row += 1;
        }
        const std::size_t limit = limit_of(options.length);
        return column <= limit || detail::fail(reason, error::of_row(errors::row_over_limit, r, column, limit));
    }

private:
    // Reserves the columns of a slot. Of an empty piece that reserves some, `begin` is a position, not a token.
    template <class In>
    static constexpr bool take_slot(const In& in, const piece& p, std::size_t slot, segment& at, std::size_t r, error& reason)
    {
        if (slot < at.length)
            return detail::fail(reason, error::of_row(errors::slot_too_small, r, at.length, slot));
        at.slot = slot;
        if (p.length == 0 && slot != 0)
            at.source_begin = std::min(at.source_begin, in.length(p.sequence));
        return true;
    }
};

// What the pads after the last sequence of a varlen row are.
enum class trailing_pads : unsigned char {
    own_segment,  // one more segment, which attends to itself alone: for training
    excluded,     // no segment, so that cu_seqlens leaves them out: for inference
};

// The varlen layout (padding-free): one row, all sequences one after the other, without a pad between them. The length strategy
// is asked about the row: round_up_to<8> pads the total.
//
// Errors  a total over the length's limit (row 0, the total, the limit).
template <length_strategy Length, trailing_pads Tail = trailing_pads::own_segment>
struct varlen_row {
    using side_type = no_side;
    using length_type = Length;
    using overflow_type = no_overflow;
    static constexpr bool shares_rows = true;
    static constexpr bool is_one_row = true;
    static constexpr bool tail_is_segment = Tail == trailing_pads::own_segment;

    template <class In>
    static constexpr std::size_t rows(const In& /*in*/) noexcept
    {
        return 1;
    }
    template <class In, class Visit>
    static constexpr bool sequences(const In& in, std::size_t /*r*/, Visit visit)
    {
        const std::size_t count = in.sequence_count();
        for (std::size_t i = 0; i < count; ++i)
            if (!visit(i))
                return false;
        return true;
    }
    template <class In>
    static constexpr std::size_t first_segment(const In& /*in*/, std::size_t /*r*/) noexcept
    {
        return 0;
    }

    template <class Options, class In, class Sink>
    static constexpr bool row(const Options& options, const In& in, std::size_t r, Sink&& sink, error& reason)
    {
        const std::size_t count = in.sequence_count();
        std::size_t column = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t tokens = in.length(i);
            const std::size_t length = columns_of(options.targets, tokens);
            sink(segment{.sequence = i, .kept = tokens, .length = length, .first_column = column, .index_in_row = i});
            column += length;
        }
        const std::size_t limit = limit_of(options.length);
        return column <= limit || detail::fail(reason, error::of_row(errors::row_over_limit, r, column, limit));
    }
};

}  // namespace batten

#endif
