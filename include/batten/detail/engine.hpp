// SPDX-License-Identifier: MIT
// The engine: validates a call in O(rows), then walks the rows once, and every field writes a row while it is in the cache.
// It knows no particular side, strategy, layout or field.
#ifndef BATTEN_DETAIL_ENGINE_HPP_INCLUDED
#define BATTEN_DETAIL_ENGINE_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/detail/field_list.hpp>
#include <batten/detail/field_ops.hpp>
#include <batten/detail/memory.hpp>
#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/executor.hpp>
#include <batten/field.hpp>
#include <batten/inputs.hpp>
#include <batten/layout.hpp>
#include <batten/length.hpp>
#include <batten/outputs.hpp>
#include <batten/segment.hpp>
#include <batten/shape.hpp>
#include <batten/side.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten::detail {

// What validation finds, and filling needs.
struct measured {
    std::size_t rows = 0;
    std::size_t width = 0;
    std::size_t segments = 0;
    std::size_t longest = 0;  // row, in columns
    std::size_t pad_segments = 0;
    summary totals{};
};

template <class Layout, class Options, class In>
class engine {
public:
    constexpr engine(const Options& options, const In& in) noexcept : options_(options), in_(in) {}

    // Everything that can be wrong with the inputs and the policies' answers, before a byte is written.
    // Cost: O(rows); over tokens where a field's type may not hold them, over the loss column where there is one.
    template <class... Field>
    [[nodiscard]] constexpr bool measure(measured& found, error& reason, const bound_field<Field>&... out) const
    {
        return measure_rows(found, reason) && measure_width(found, reason) && check_fields(found, reason, out...);
    }

    // The two halves of it for one row, for callers that choose the width themselves: rows in order, widths of at least their
    // length. The first finds the row's length, in `found.longest` where that was 0 before.
    [[nodiscard]] constexpr bool measure_row(std::size_t r, measured& found, error& reason) const
    {
        if (!Layout::sequences(in_, r, [&](std::size_t i) { return check_sequence(i, r, reason); }))
            return false;
        if (Layout::first_segment(in_, r) != found.segments)
            return fail(reason, error::of_row(errors::segment_misplaced, r, Layout::first_segment(in_, r), found.segments));
        std::size_t end = 0;
        bool good = true;
        if (!row(r, reason, [&](const segment& s) { good = good && measure_segment(s, r, end, found, reason); }) || !good)
            return false;
        if (!Layout::shares_rows && found.segments != r + 1)
            return fail(reason, error::of_row(errors::segment_misplaced, r, found.segments, r + 1));
        found.longest = std::max(found.longest, end);
        ++found.rows;
        return true;
    }
    template <class... Field>
    [[nodiscard]] constexpr bool check_row(std::size_t r, std::size_t width, summary& totals, error& reason,
                                           const bound_field<Field>&... out) const
    {
        std::size_t targets = 0;
        std::size_t start = 0;
        bool good = !Layout::shares_rows || place(row_length(r, reason), r, width, start, reason);
        static_cast<void>(row(r, reason, [&](const segment& s) {
            if constexpr (!Layout::shares_rows)
                good = place(s.columns(), r, width, start, reason);
            if (!good) [[unlikely]]
                return;
            const segment_view<In> view = seen(s, r, start, width);
            good = (true && ... && check_segment(*out.field, view, reason));
            targets += view.target_count();
        }));
        totals.targets += targets;
        totals.rows_without_targets += targets == 0 ? 1U : 0U;
        return good;
    }

    // Columns of row r. Requires: the row was found good.
    [[nodiscard]] constexpr std::size_t row_length(std::size_t r) const
    {
        error unused;
        return row_length(r, unused);
    }

    // Writes every field. Requires: measure returned true for the same inputs. Rows go to the executor in pieces of some 64 Ki
    // cells, and are written by one of its calls each.
    template <executor Executor, class... Field>
    constexpr void fill(const measured& found, const Executor& run, const bound_field<Field>&... out) const
    {
        (begin_field(out), ...);
        if (found.pad_segments != 0)
            (write_tail(out, tail(found)), ...);
        const std::size_t piece = std::same_as<Executor, serial> ? std::max<std::size_t>(found.rows, 1)
                                                                : piece_cells / std::max<std::size_t>(found.width, 1) + 1;
        run((found.rows + piece - 1) / piece, [&](std::size_t i) {
            const std::size_t first = i * piece;
            const std::size_t last = std::min(first + piece, found.rows);
            error unused;
            if (!std::is_constant_evaluated() && !Layout::shares_rows && options_.stores == non_temporal) {
                stream_rows(found, first, last, unused, out...);
                return;
            }
            for (std::size_t r = first; r < last; ++r)
                fill_row(found, r, unused, out...);
        });
    }

private:
    static constexpr bool has_pad_segment = requires { requires Layout::tail_is_segment; };
    static constexpr std::size_t piece_cells = std::size_t{1} << 16;

    // Lengths of the rows, in columns, after overflow: what a length strategy sees.
    class row_lengths {
    public:
        constexpr row_lengths(const engine& of, const measured& found) noexcept : of_(&of), found_(&found) {}

        [[nodiscard]] constexpr std::size_t size() const noexcept { return found_->rows; }
        [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }
        [[nodiscard]] constexpr std::size_t operator[](std::size_t r) const { return of_->row_length(r); }
        [[nodiscard]] constexpr std::size_t longest() const noexcept { return found_->longest; }
        [[nodiscard]] constexpr auto begin() const noexcept { return index_iterator<row_lengths>(this, 0); }
        [[nodiscard]] constexpr auto end() const noexcept { return index_iterator<row_lengths>(this, size()); }

    private:
        const engine* of_;
        const measured* found_;
    };

    template <class Sink>
    constexpr bool row(std::size_t r, error& reason, Sink&& sink) const
    {
        return Layout::row(options_, in_, r, std::forward<Sink>(sink), reason);
    }

    constexpr std::size_t row_length(std::size_t r, error& reason) const
    {
        std::size_t length = 0;
        static_cast<void>(row(r, reason, [&](const segment& s) { length = s.first_column + s.columns(); }));
        return length;
    }

    constexpr std::size_t offset(std::size_t length, std::size_t width) const
    {
        using side = typename Layout::side_type;
        if constexpr (padding_side<side>)
            return side_traits<side>::offset(options_.side, length, width);
        else
            return 0;
    }

    constexpr bool measure_rows(measured& found, error& reason) const
    {
        if (!in_.check(reason))
            return false;
        const std::size_t rows = Layout::rows(in_);
        for (std::size_t r = 0; r < rows; ++r)
            if (!measure_row(r, found, reason))
                return false;
        return true;
    }

    constexpr bool check_sequence(std::size_t i, std::size_t r, error& reason) const
    {
        const std::size_t sequences = in_.sequence_count();
        if (i >= sequences) [[unlikely]]
            return fail(reason, error::of_row(errors::row_index_out_of_range, r, i, sequences));
        return in_.check(i, reason);
    }

    // `end`: columns of row r that the segments before take.
    constexpr bool measure_segment(const segment& s, std::size_t r, std::size_t& end, measured& found, error& reason) const
    {
        if (s.sequence >= in_.sequence_count()) [[unlikely]]
            return fail(reason, error::of_row(errors::row_index_out_of_range, r, s.sequence, in_.sequence_count()));
        const std::size_t tokens = in_.length(s.sequence);
        if (s.source_begin > tokens || s.kept > tokens - s.source_begin) [[unlikely]]
            return fail(reason, error::of_row(errors::slice_outside_sequence, r, s.source_begin, s.kept));
        if (!are_columns_of(options_.targets, s.kept, s.length)) [[unlikely]]
            return fail(reason, error::of_row(errors::segment_columns_wrong, r, s.length, columns_of(options_.targets, s.kept)));
        if (s.slot != 0 && s.slot < s.length) [[unlikely]]
            return fail(reason, error::of_row(errors::slot_too_small, r, s.length, s.slot));
        if (s.first_column < end || s.columns() > size_limit - s.first_column) [[unlikely]]
            return fail(reason, error::of_row(errors::segment_misplaced, r, s.first_column, end));
        if (!add(found.totals.real_tokens, s.length, found.totals.real_tokens) ||
            !add(found.totals.truncated_tokens, s.dropped, found.totals.truncated_tokens)) [[unlikely]]
            return fail(reason, error::of_row(errors::size_overflow, r, found.totals.real_tokens, s.length));
        end = s.first_column + s.columns();
        found.totals.max_seqlen = std::max(found.totals.max_seqlen, s.length);
        ++found.segments;
        return true;
    }

    constexpr bool measure_width(measured& found, error& reason) const
    {
        using strategy = typename Layout::length_type;
        found.width = length_traits<strategy>::width(options_.length, row_lengths(*this, found));
        const std::size_t maximum = max_width_of(options_.length);
        if (found.width > maximum)
            return fail(reason, error::of(errors::width_past_maximum, found.width, maximum));
        if (found.longest > found.width)
            return fail(reason, error::of_row(errors::row_past_width, longest_row(found), found.longest, found.width));
        std::size_t cells = 0;
        if (!multiply(found.rows, found.width, cells) || cells > size_limit / 2)
            return fail(reason, error::of(errors::size_overflow, found.rows, found.width));
        found.totals.padded_cells = cells - found.totals.real_tokens;
        if constexpr (has_pad_segment) {
            found.pad_segments = found.width != found.longest ? 1 : 0;
            found.totals.max_seqlen = std::max(found.totals.max_seqlen, found.width - found.longest);
        }
        return true;
    }

    constexpr std::size_t longest_row(const measured& found) const
    {
        std::size_t r = 0;
        while (row_length(r) != found.longest)
            ++r;
        return r;
    }

    // The view of a segment that fields get. `start`: column of the row's first real token.
    constexpr segment_view<In> seen(const segment& s, std::size_t r, std::size_t start, std::size_t width) const
    {
        segment_view<In> view(in_, s);
        view.row = r;
        view.width = width;
        view.first_column = start + s.first_column;
        view.values = options_.values();
        view.align(options_.targets, Layout::shares_rows);
        return view;
    }

    template <class... Field>
    constexpr bool check_fields(measured& found, error& reason, const bound_field<Field>&... out) const
    {
        std::size_t bytes = 0;
        const bool addressable =
            (true && ... && (multiply(found.rows * found.width, sizeof(typename Field::value_type), bytes) &&
                             bytes <= size_limit / 2));
        if (!addressable)
            return fail(reason, error::of(errors::size_overflow, found.rows, found.width));
        for (std::size_t r = 0; r < found.rows; ++r)
            if (!check_row(r, found.width, found.totals, reason, out...))
                return false;
        return found.pad_segments == 0 || (true && ... && check_tail(*out.field, tail(found), reason));
    }

    // The pads after all segments of the one row, where they are a segment of their own.
    constexpr pad_run tail(const measured& found) const
    {
        return {.row = 0, .first_column = found.longest, .length = found.width - found.longest, .values = options_.values()};
    }
    template <class Field>
    static constexpr bool check_tail([[maybe_unused]] const Field& field, [[maybe_unused]] const pad_run& tail,
                                     [[maybe_unused]] error& reason)
    {
        if constexpr (requires { field.check_tail(tail, reason); })
            return field.check_tail(tail, reason);
        else
            return true;
    }
    template <class Field>
    static constexpr void write_tail(const bound_field<Field>& out, const pad_run& tail)
    {
        if constexpr (counts_pad_segments<Field>::value)
            out.field->write_tail(tail, elements(out));
    }

    // Finds column `start` of a row's first token, or why it does not fit.
    constexpr bool place(std::size_t length, std::size_t r, std::size_t width, std::size_t& start, error& reason) const
    {
        start = offset(length, width);
        return start <= width - length ||
               fail(reason, error::of_row(errors::offset_past_width, r, start, width - length));
    }

    template <class... Field>
    constexpr void fill_row(const measured& found, std::size_t r, error& unused, const bound_field<Field>&... out) const
    {
        if constexpr (Layout::shares_rows)
            fill_shared_row(found, r, unused, out...);
        else
            fill_own_row(found, r, unused, out...);
    }

    // The same through a row in the first-level cache, from which whole cache lines go to memory.
    template <class... Field>
    void stream_rows(const measured& found, std::size_t first, std::size_t last, error& unused,
                     const bound_field<Field>&... out) const
    {
        alignas(line_bytes) std::array<std::byte, stage_bytes> stage;
        for (std::size_t r = first; r < last; ++r)
            fill_own_row(found, r, unused, streamed<Field>{out, stage}...);
        simd::end_of_stream();
    }

    static constexpr std::size_t stage_bytes = std::size_t{64} << 10;

    template <class Field>
    struct streamed {
        using field_type = Field;
        const bound_field<Field>& out;
        std::array<std::byte, stage_bytes>& stage;
    };

    template <class Field>
    static void write_own_row(const streamed<Field>& to, const segment_view<In>& view, std::size_t index)
    {
        using value = typename Field::value_type;
        const bound_field<Field>& out = to.out;
        const std::size_t bytes = view.width * sizeof(value);
        if constexpr (cell_field<Field>) {
            if (bytes != 0 && bytes <= stage_bytes) {
                write_cells(*out.field, view, std::span<value>(reinterpret_cast<value*>(to.stage.data()), view.width));
                simd::stream(reinterpret_cast<std::byte*>(cell(out, view.row, view.width, 0)), to.stage.data(), bytes);
                return;
            }
        }
        write_own_row(out, view, index);
    }

    // A row of one segment: each field writes its row from left to right, as one stream.
    template <class... Out>
    constexpr void fill_own_row(const measured& found, std::size_t r, error& unused, const Out&... out) const
    {
        const std::size_t width = found.width;
        static_cast<void>(row(r, unused, [&](const segment& s) {
            const std::size_t start = offset(s.columns(), width);
            if (s.columns() > width || start > width - s.columns()) [[unlikely]]
                return;  // only where a policy's answers differ from those that were checked: nothing is written past the row
            const segment_view<In> view = seen(s, r, start, width);
            const std::size_t index = Layout::first_segment(in_, r);
            (write_own_row(out, view, index), ...);
        }));
    }

    template <class Field>
    static constexpr void write_own_row(const bound_field<Field>& out, const segment_view<In>& view, std::size_t index)
    {
        using value = typename Field::value_type;
        if constexpr (segment_field<Field>) {
            out.field->write(view, index, elements(out));
        } else {
            write_cells(*out.field, view, std::span<value>(cell(out, view.row, view.width, 0), view.width));
        }
    }

    // A row of many segments: every field writes a segment while its tokens are in the cache.
    template <class... Field>
    constexpr void fill_shared_row(const measured& found, std::size_t r, error& unused,
                                   const bound_field<Field>&... out) const
    {
        const std::size_t width = found.width;
        const std::size_t length = std::min(row_length(r, unused), width);
        const std::size_t start = std::min(offset(length, width), width - length);
        std::size_t index = Layout::first_segment(in_, r);
        pad_run pads{.row = r, .values = options_.values()};
        static_cast<void>(row(r, unused, [&](const segment& s) {
            const segment_view<In> view = seen(s, r, start, width);
            if (view.first_column < pads.first_column || view.first_column > width || view.length > width - view.first_column)
                [[unlikely]]
                return;  // as above
            pads.length = view.first_column - pads.first_column;
            (write_segment(out, pads, view, index), ...);
            pads.first_column = view.first_column + view.length;
            pads.position = view.position_begin + view.length;
            ++index;
        }));
        pads.length = width - pads.first_column;
        (write_pads(out, pads, width), ...);
    }

    // The pads before a segment, and the segment.
    template <class Field>
    static constexpr void write_segment(const bound_field<Field>& out, const pad_run& pads, const segment_view<In>& view,
                                        std::size_t index)
    {
        using value = typename Field::value_type;
        if constexpr (segment_field<Field>) {
            out.field->write(view, index, elements(out));
        } else {
            write_pads(out, pads, view.width);
            out.field->write(view, std::span<value>(cell(out, view.row, view.width, view.first_column), view.length));
        }
    }

    template <class Field>
    static constexpr void write_pads(const bound_field<Field>& out, const pad_run& pads, std::size_t width)
    {
        using value = typename Field::value_type;
        if constexpr (cell_field<Field>)
            if (pads.length != 0)
                out.field->pad(pads, std::span<value>(cell(out, pads.row, width, pads.first_column), pads.length));
    }

    const Options& options_;
    const In& in_;
};

}  // namespace batten::detail

#endif
