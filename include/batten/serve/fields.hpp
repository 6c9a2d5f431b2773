// SPDX-License-Identifier: MIT
// Fields for serving: lengths and indices of requests, and the slots of a paged cache. Like the fields of the core they are
// written in every layout; those that say so belong to a step.
#ifndef BATTEN_SERVE_FIELDS_HPP_INCLUDED
#define BATTEN_SERVE_FIELDS_HPP_INCLUDED

#include <batten/detail/loops.hpp>
#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>
#include <batten/matrix.hpp>
#include <batten/segment.hpp>
#include <batten/serve/cache.hpp>
#include <batten/serve/errors.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace batten::serve {

namespace detail {

// consteval, so that its message comes before the errors that follow from it.
template <class Step>
consteval void require_blocks()
{
    static_assert(Step::has_blocks, "batten: this array is made of the block table: add step_inputs{..., .blocks = ...}");
}

// Whether a segment is of a step.
template <class Segment>
concept step_segment = requires(const Segment& segment) { segment.inputs().step(); };

constexpr std::size_t end_position(const segment& s) noexcept { return s.position_begin + s.length; }

struct count_seq_len {
    static constexpr std::string_view name = "seq_lens";
    static constexpr std::size_t of(const auto& segment) { return end_position(segment); }
    static constexpr std::size_t of_pad(const auto& /*now*/, const segment& pad) { return end_position(pad); }
    static constexpr std::size_t most(const auto& now) { return now.max_seq_len(); }
};
struct count_computed {
    static constexpr std::string_view name = "computed_lens";
    static constexpr std::size_t of(const auto& segment) { return segment.position_begin; }
    static constexpr std::size_t of_pad(const auto& /*now*/, const segment& pad) { return pad.position_begin; }
    static constexpr std::size_t most(const auto& now) { return now.max_seq_len(); }
};
struct count_in_last_page {
    static constexpr std::string_view name = "last_page_len";
    template <step_segment Segment>
    static constexpr std::size_t of(const Segment& segment)
    {
        return segment.inputs().step().geometry().in_last_block(end_position(segment));
    }
    static constexpr std::size_t of_pad(const auto& now, const segment& pad)
    {
        return now.geometry().in_last_block(end_position(pad));
    }
    static constexpr std::size_t most(const auto& now) { return now.max_seq_len(); }
};
struct count_complete {
    static constexpr std::string_view name = "is_complete";
    static constexpr std::size_t of(const auto& segment)
    {
        return segment.source_begin + segment.kept == segment.inputs().length(segment.sequence) ? 1 : 0;
    }
    static constexpr std::size_t most(const auto& /*now*/) { return 1; }
};
struct count_request {
    static constexpr std::string_view name = "request_indices";
    static constexpr std::size_t of(const auto& segment) { return segment.sequence; }
    static constexpr std::size_t of_pad(const auto& now, const segment& /*pad*/) { return now.requests(); }
    static constexpr std::size_t most(const auto& now) { return now.requests(); }
};
struct count_end {
    static constexpr std::string_view name = "query_ends";
    static constexpr std::size_t of(const auto& segment) { return segment.first_column + segment.length; }
    static constexpr std::size_t of_pad(const auto& /*now*/, const segment& pad) { return pad.first_column + pad.length; }
    static constexpr std::size_t most(const auto& now) { return now.tokens(); }
};

// Running sums over the requests of a step: entry r + 1 is the sum up to request r. Sum::of(now, seq_len) is what a request of
// seq_len tokens adds.
template <class T, class Sum>
struct running_sum {
    using value_type = T;
    static constexpr std::string_view name = Sum::name;
    static constexpr std::size_t extra = 1;
    static constexpr bool needs_one_row = true;
    static constexpr bool needs_step = true;

    constexpr void begin(std::span<T> out) const { out.front() = T{0}; }
    template <step_segment Segment>
    constexpr void write(const Segment& segment, std::size_t index, std::span<T> out) const
    {
        write_next(Sum::of(segment.inputs().step(), end_position(segment)), index, out);
    }
    template <step_segment Segment>
    constexpr bool check_segment(const Segment& segment, error& reason) const
    {
        return segment.index_in_row != 0 || check_step(segment.inputs().step(), reason);
    }

    constexpr void write_one_each(const auto& now, std::span<T> out) const
    {
        std::size_t sum = 0;
        for (std::size_t i = 0; i < now.requests(); ++i) {
            sum += Sum::of(now, now.list().computed(i) + 1);
            out[i + 1] = static_cast<T>(sum);
        }
    }
    constexpr bool fits_step(const auto& /*now*/) const noexcept { return true; }
    constexpr bool check_step(const auto& now, error& reason) const
    {
        return batten::detail::check_count<T>(total(now), error::no_row, name, reason);
    }
    constexpr void write_pad(const auto& now, const segment& pad, std::size_t index, std::span<T> out) const
    {
        write_next(Sum::of(now, end_position(pad)), index, out);
    }
    constexpr bool check_pad(const auto& now, const segment& last, error& reason) const
    {
        const std::size_t pads = last.index_in_row + 1 - now.requests();
        const std::size_t each = Sum::of(now, end_position(last));
        std::size_t sum = 0;
        if (!batten::detail::multiply(pads, each, sum) || !batten::detail::add(sum, total(now), sum))
            return fail(reason, error::of(errors::size_overflow, pads, each));
        return batten::detail::check_count<T>(sum, error::no_row, name, reason);
    }

private:
    static constexpr std::size_t total(const auto& now)
    {
        std::size_t sum = 0;
        now.walk([&](const segment& s) { sum += Sum::of(now, end_position(s)); });
        return sum;
    }
    static constexpr void write_next(std::size_t more, std::size_t index, std::span<T> out)
    {
        out[index + 1] = static_cast<T>(static_cast<std::size_t>(out[index]) + more);
    }
};

struct sum_keys {
    static constexpr std::string_view name = "key_start_loc";
    static constexpr std::size_t of(const auto& /*now*/, std::size_t seq_len) { return seq_len; }
};
struct sum_pages {
    static constexpr std::string_view name = "page_start_loc";
    static constexpr std::size_t of(const auto& now, std::size_t seq_len) { return now.geometry().blocks_of(seq_len); }
};

}  // namespace detail

// ---- segment fields, [requests] --------------------------------------------------------------------------------------------

// The tokens that a sequence has after the step: those computed before and those of the step. What kernels for rows of different
// lengths take.
template <integer_number T = std::int32_t>
struct seq_lens : batten::detail::segment_count<T, detail::count_seq_len> {};

// The tokens that a request had in the cache before the step.
template <integer_number T = std::int32_t>
struct computed_lens : batten::detail::segment_count<T, detail::count_computed> {};

// 1 where the segment ends with the last known token of its request, so that the next one is sampled from its logits; 0 for a
// chunk of a prompt that does not end it, and for pads.
template <integer_number T = std::uint8_t>
struct is_complete : batten::detail::segment_count<T, detail::count_complete> {};

// The permutation: which of the given requests (of a selection: of the selected ones) is in each row. Pads: the number of requests.
template <integer_number T = std::int32_t>
struct request_indices : batten::detail::segment_count<T, detail::count_request> {};

// Where each request's tokens end: cu_seqlens without its first 0. Counted from 1, it is the last token of each request.
template <class T = std::int32_t>
    requires integer_number<T> || std::floating_point<T>
struct query_ends : batten::detail::segment_count<T, detail::count_end> {
    static constexpr bool needs_one_row = true;

    constexpr void write_one_each(const auto& now, std::span<T> out) const
    {
        cells::iota(out.first(now.requests()), std::size_t{1});
    }
};

// The column of each segment's last token, whose logits are sampled. A pad without tokens: the column before it, or 0.
//
// Errors  a segment without tokens, which has no last token (row, the segment's number in its row).
template <integer_number T = std::int32_t>
struct logits_indices {
    using value_type = T;
    static constexpr std::string_view name = "logits_indices";

    constexpr void begin(std::span<T> /*out*/) const noexcept {}
    constexpr void write(const auto& segment, std::size_t index, std::span<T> out) const
    {
        out[index] = static_cast<T>(segment.first_column + segment.length - 1);
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        if (segment.length == 0)
            return detail::fail(reason,
                                error::of_row(errors::segment_without_tokens, segment.row, segment.index_in_row, {}, name));
        return batten::detail::check_count<T>(segment.first_column + segment.length - 1, segment.row, name, reason);
    }

    constexpr void write_one_each(const auto& now, std::span<T> out) const
    {
        cells::iota(out.first(now.requests()), std::size_t{0});
    }
    constexpr bool fits_step(const auto& now) const { return batten::detail::holds_count<T>(now.tokens()); }
    constexpr void write_pad(const auto& /*now*/, const segment& pad, std::size_t index, std::span<T> out) const
    {
        out[index] = static_cast<T>(last_column(pad));
    }
    constexpr bool check_pad(const auto& /*now*/, const segment& pad, error& reason) const
    {
        return batten::detail::check_count<T>(last_column(pad), error::no_row, name, reason);
    }

private:
    static constexpr std::size_t last_column(const segment& pad)
    {
        const std::size_t end = pad.first_column + pad.length;
        return end == 0 ? 0 : end - 1;
    }
};

// ---- segment fields of a step ----------------------------------------------------------------------------------------------

// The running sum of seq_lens, [requests + 1]: cu_seqlens_k.
template <integer_number T = std::int32_t>
struct key_start_loc : detail::running_sum<T, detail::sum_keys> {};

// Where each request's pages begin, and where the last one's end, [requests + 1].
template <integer_number T = std::int32_t>
struct page_start_loc : detail::running_sum<T, detail::sum_pages> {};

// Tokens in each request's last page, 1 to block_size; 0 for a pad without pages, [requests].
template <integer_number T = std::int32_t>
struct last_page_len : batten::detail::segment_count<T, detail::count_in_last_page> {
    static constexpr bool needs_step = true;
};

// ---- slots -----------------------------------------------------------------------------------------------------------------

// A cell field: where the keys and values of each token go in a paged cache, block * block_size + position % block_size |
// pad_slot. In a step, the step's blocks and cache are used: leave out `blocks` and `cache`.
//
// Shapes    blocks [sequences, blocks of a sequence]: row s is the block table of sequence s of what is collated.
// Requires  the block table stays as long as the collator is used.
// Errors    options: no cache, or one that slots or T cannot count; a pad_slot of 0 or more in a block that is not reserved. At a
//           collation: a row, or blocks of it, that do not exist; a block that is reserved or outside of the cache; a later piece
//           of a sequence whose positions restart at 0, since its slots would be those of the first piece.
template <integer_number T = std::int64_t, integer_number Block = std::int32_t>
struct slot_mapping {
    using value_type = T;
    static constexpr std::string_view name = "slot_mapping";

    matrix_view<const Block> blocks{};
    cache_layout cache{};
    std::int64_t pad_slot = -1;

    template <class Segment>
    constexpr void write(const Segment& segment, std::span<T> out) const
    {
        if (out.empty())
            return;
        if constexpr (detail::step_segment<Segment>) {
            const auto& now = segment.inputs().step();
            write_from(segment.position_begin, now.list().blocks(segment.sequence), now.geometry(), out);
        } else {
            write_from(segment.position_begin, blocks.row(segment.sequence), block_geometry(cache.block_size), out);
        }
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, static_cast<T>(pad_slot)); }

    constexpr bool check_options(const fill_values& /*values*/, error& reason) const
    {
        if (!batten::detail::check_constant<T>(pad_slot, errors::pad_value_not_representable, name, reason))
            return false;
        const bool are_of_the_step = cache == cache_layout{} && blocks.rows() == 0;
        return are_of_the_step || check_slots(cache, reason);
    }
    template <class Segment>
    constexpr bool check_segment(const Segment& segment, error& reason) const
    {
        if constexpr (detail::step_segment<Segment>) {
            return segment.index_in_row != 0 || check_step(segment.inputs().step(), reason);
        } else {
            if (cache.blocks == 0)
                return check_slots(cache, reason);
            if (segment.length == 0)
                return true;
            if (segment.source_begin != 0 && segment.position_begin == 0 && segment.dropped == 0)
                return detail::fail(reason, error::of_row(errors::positions_restart, segment.row, segment.source_begin));
            const block_geometry geometry(cache.block_size);
            const std::size_t first = geometry.index(segment.position_begin);
            const std::size_t last = geometry.index(segment.position_begin + segment.length - 1);
            const std::size_t room = segment.sequence < blocks.rows() ? blocks.width() : 0;
            if (last >= room)
                return detail::fail(reason, error::of_row(errors::blocks_missing, segment.row, last + 1, room));
            const detail::allocated_blocks allocated(cache);
            const auto held = blocks.row(segment.sequence).subspan(first, last + 1 - first);
            return std::all_of(held.begin(), held.end(),
                               [&](Block block) { return allocated.check(block, segment.row, reason); });
        }
    }

    constexpr void write_one_each(const auto& now, std::span<T> out) const
    {
        const auto list = now.list();  // a copy, so that the loop keeps it in registers
        now.geometry().visit([&](const auto geometry) {
            batten::detail::visit_each(out.size(), [&](std::size_t i) {
                out[i] = static_cast<T>(batten::detail::scalar(slot(geometry, list.blocks(i), list.computed(i))));
            });
        });
    }
    // The step has checked the blocks.
    constexpr bool fits_step(const auto& /*now*/) const noexcept { return true; }
    template <class Step>
    constexpr bool check_step(const Step& now, error& reason) const
    {
        detail::require_blocks<Step>();
        return check_slots(now.options().cache, reason);
    }

private:
    // Of the whole cache: a type that is too narrow fails at the first step, not at the first full one.
    constexpr bool check_slots(const cache_layout& of, error& reason) const
    {
        return detail::check_cache(of, detail::size_limit, reason) &&
               batten::detail::check_count<T>(of.blocks * of.block_size - 1, error::no_row, name, reason) &&
               detail::check_pad_slot(pad_slot, of, reason);
    }

    // Slots of the tokens from position `first` on.
    static constexpr void write_from(std::size_t first, const auto& held, const block_geometry& geometry, std::span<T> out)
    {
        for (std::size_t done = 0; done < out.size();) {
            const std::size_t position = first + done;
            const std::size_t run = std::min(geometry.block_size() - geometry.offset(position), out.size() - done);
            cells::iota(out.subspan(done, run), slot(geometry, held, position));
            done += run;
        }
    }

    static constexpr std::size_t slot(const auto& geometry, const auto& held, std::size_t position)
    {
        const std::size_t index = geometry.index(position);
        // block * size + (position - index * size), with one product
        return geometry.first_slot(static_cast<std::size_t>(held[index]) - index) + position;
    }
};

}  // namespace batten::serve

#endif
