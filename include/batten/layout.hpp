// SPDX-License-Identifier: MIT
// Layouts: where the tokens of a batch are. A row is a run of segments and pads, a segment is a slice of one sequence.
#ifndef BATTEN_LAYOUT_HPP_INCLUDED
#define BATTEN_LAYOUT_HPP_INCLUDED

#include <batten/bins.hpp>
#include <batten/error.hpp>
#include <batten/length.hpp>
#include <batten/overflow.hpp>
#include <batten/segment.hpp>
#include <batten/side.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

namespace batten {

// The axes that a layout lacks: empty types in its options.
struct no_side {};
struct no_length {};
struct no_overflow {};

// A layout is a stateless type. To write one, give it these members; `in` is what bundle (sequences.hpp) describes,
// `options` what options (collator.hpp) describes.
//
//     using side_type, length_type, overflow_type;    the policies that its options hold, or no_side, no_length, no_overflow
//     static constexpr bool shares_rows;              whether a row may have any number of segments; else it has exactly one
//     rows(in)                                        how many
//     sequences(in, r, visit)                         visit(i) for the sequences of row r, until one says false
//     first_segment(in, r)                            segments in the rows before r
//     row(options, in, r, sink, reason)               sink(segment) for each segment of row r, by growing column; or the reason
//                                                     why not and false. Asked again for a row, it must answer the same
//
//     static constexpr bool is_one_row, tail_is_segment;              may be left out: whether there is always one row, and
//                                                                     whether pads after its segments count as one more
//
// The engine checks before the first write that slices are within their sequences, and that segments and their slots do not
// overlap.

// The padded layout: one sequence a row, padded to one width.
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
        const std::size_t limit = tokens_of(options.targets, detail::limit_of(options.length));
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
    static constexpr std::size_t rows(const In& in)
    {
        static_assert(requires { in.bins(); }, "batten: this collator packs rows: say how, collate(packed(inputs, bins))");
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
        const std::size_t limit = detail::limit_of(options.length);
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
        const std::size_t limit = detail::limit_of(options.length);
        return column <= limit || detail::fail(reason, error::of_row(errors::row_over_limit, r, column, limit));
    }
};

}  // namespace batten

#endif
