// SPDX-License-Identifier: MIT
// The block table of a backend, which a step updates and does not rewrite.
#ifndef BATTEN_SERVE_BLOCK_TABLE_HPP_INCLUDED
#define BATTEN_SERVE_BLOCK_TABLE_HPP_INCLUDED

#include <batten/detail/loops.hpp>
#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/matrix.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/arrays.hpp>
#include <batten/serve/cache.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/fields.hpp>
#include <batten/serve/step.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace batten::serve {

namespace detail {

template <class T>
class block_table_array;

}  // namespace detail

// What a row of a block table holds. The memory is the caller's; only block_table_buffer reads and writes it.
struct block_table_row_state {
    static constexpr std::uint32_t no_block = std::numeric_limits<std::uint32_t>::max();
    static constexpr std::uint32_t no_row = no_block;

    std::uint32_t columns = 0;            // columns written; those after them hold the pad
    std::uint32_t last_block = no_block;  // the block in the last of these; no_block: the columns' content is unknown
    std::uint32_t next_stale = no_row;    // the next row that the step changes, where this row is one
};

// The block table that a backend reads, in the caller's memory from step to step. A step writes the blocks of its scheduled
// tokens, and a whole row only where another request took the row: let requests keep their rows, and move the last one to the
// row of one that ends. Keep one buffer for each table.
//
// Shapes    table [rows, blocks of a request]; ids (of the request in each row), states [at least rows]: memory for notes.
// Requires  the blocks of computed tokens do not change while a request keeps its row; appends, copies on write and a restart
//           from the first token change none of them. If they change (a preempted request resumes with a different prefix), call
//           invalidate(row) before the next step. Not needed if another request, or none, was in the row in a step in between.
//           The pad stays the same.
template <integer_number T>
class block_table_buffer {
public:
    // Errors: fewer ids or states than rows; 2^32 - 1 rows or columns, or more.
    constexpr block_table_buffer(matrix_view<T> table, std::span<std::uint64_t> ids, std::span<block_table_row_state> states)
        : block_table_buffer(try_make(table, ids, states).value())
    {
    }
    [[nodiscard]] static constexpr result<block_table_buffer> try_make(matrix_view<T> table, std::span<std::uint64_t> ids,
                                                               std::span<block_table_row_state> states)
    {
        const std::size_t least = std::min(ids.size(), states.size());
        if (least < table.rows())
            return error::of(errors::span_too_small, table.rows(), least, "block_table_buffer");
        if (const std::size_t most = std::max(table.rows(), table.width()); most >= block_table_row_state::no_row)
            return error::of(errors::value_not_representable, most, {}, "block_table_buffer");
        // What the columns hold is unknown.
        std::fill(states.begin(), states.end(), block_table_row_state{.columns = static_cast<std::uint32_t>(table.width())});
        std::fill(ids.begin(), ids.end(), std::uint64_t{0});
        return block_table_buffer(checked{}, table, ids, states);
    }

    [[nodiscard]] constexpr const matrix_view<T>& table() const noexcept { return table_; }

    // The next step writes the whole row; without an argument, all rows. Errors: a row past the table.
    constexpr void invalidate(std::size_t row)
    {
        if (row >= table_.rows())
            batten::detail::raise(error::of(errors::row_out_of_range, row, table_.rows()));
        states_[row].last_block = block_table_row_state::no_block;
        known_ = std::min(known_, row);
    }
    constexpr void invalidate() noexcept
    {
        for (std::size_t row = 0; row < table_.rows(); ++row)
            states_[row].last_block = block_table_row_state::no_block;
        known_ = 0;
    }

private:
    struct checked {};
    constexpr block_table_buffer(checked, matrix_view<T> table, std::span<std::uint64_t> ids,
                         std::span<block_table_row_state> states) noexcept
        : table_(table), ids_(ids), states_(states)
    {
    }

    friend class detail::block_table_array<T>;

    matrix_view<T> table_;
    std::span<std::uint64_t> ids_;
    std::span<block_table_row_state> states_;
    std::size_t known_ = 0;   // of the first `known_` rows the content is known
    std::size_t used_ = 0;    // rows of the last step's requests
    // What check found, for the write after it: whether the step changes only the rows of a list, and the first of these.
    bool knows_all_ = false;
    std::uint32_t first_stale_ = block_table_row_state::no_row;
};

namespace detail {

template <class T>
class block_table_array {
public:
    constexpr block_table_array(block_table_buffer<T>& table, std::int64_t pad_block) noexcept
        : rows_(&table), pad_block_(pad_block)
    {
    }

    template <class List>
    constexpr bool check(const step<List>& now, const pad_range& pads, error& reason) const
    {
        require_blocks<step<List>>();
        static_assert(List::has_ids, "batten: a block table that is updated must know which request is which: add "
                                     "step_inputs{..., .ids = ...}");
        const cache_layout& cache = now.options().cache;
        const matrix_view<T>& table = rows_->table_;
        const std::size_t most = now.geometry().blocks_of(now.max_seq_len());
        if (most > table.width()) {
            const auto is_longest = [&](const List& list, std::size_t i) {
                return list.computed(i) + list.scheduled(i) == now.max_seq_len();
            };
            return fail(reason, error::of_row(errors::blocks_missing, now.find(is_longest), most, table.width()));
        }
        if (!check_room(pads.end.requests, table.rows(), name, reason) ||
            !check_most<T>(cache.blocks - 1, name, reason) || !check_most<std::uint32_t>(cache.blocks, name, reason) ||
            !batten::detail::check_constant<T>(pad_block_, errors::pad_value_not_representable, name, reason) ||
            !(pad_block_ < 0 || check_pad_block(pad_block_, cache, reason)))
            return false;
        // The step has checked the blocks of scheduled tokens. Others are copied where a row is new, or where tokens were
        // computed outside of the steps.
        bool good = true;
        const auto check_copied = [&](std::size_t first, std::size_t row, const auto& blocks, std::size_t last) {
            if (first < last) [[unlikely]]
                good = good && check_in_cache(blocks.first(last).subspan(first), cache, row, reason);
        };
        rows_->knows_all_ = knows_all(now);
        if (rows_->knows_all_)
            now.geometry().visit([&](const auto geometry) {
                list_stale(now.list(), geometry, [&](std::size_t i, std::size_t last) {
                    check_copied(rows_->states_[i].columns, i, now.list().blocks(i), last);
                });
            });
        else
            now.walk([&](const segment& s) {
                check_copied(held_columns(s.index_in_row, now.list().id(s.sequence)), s.sequence, now.list().blocks(s.sequence),
                             now.geometry().index(s.position_begin));
            });
        return good;
    }

    constexpr void write(const auto& now, const pad_range& pads) const
    {
        const T pad = static_cast<T>(pad_block_);
        if (rows_->knows_all_)
            for (std::uint32_t i = rows_->first_stale_; i != block_table_row_state::no_row; i = rows_->states_[i].next_stale) {
                const std::size_t last = now.geometry().index(now.list().computed(i));
                update(i, now.list().id(i), now.list().blocks(i), last, last + 1, pad);
            }
        else
            now.walk([&](const segment& s) {
                update(s.index_in_row, now.list().id(s.sequence), now.list().blocks(s.sequence),
                       now.geometry().index(s.position_begin), now.geometry().blocks_of(end_position(s)), pad);
            });
        rows_->known_ = pads.real.requests;
        clear(pads, pad);
    }

private:
    static constexpr std::string_view name = "block_table";

    // Columns of the row that hold the request's blocks.
    constexpr std::size_t held_columns(std::size_t at, std::uint64_t id) const
    {
        const block_table_row_state& state = rows_->states_[at];
        return rows_->ids_[at] == id && state.last_block != block_table_row_state::no_block ? state.columns : 0;
    }

    // Whether each row has its request of the step before, and each request takes one token.
    constexpr bool knows_all(const auto& now) const
    {
        return now.has_one_token_each() && now.requests() <= rows_->known_ &&
               now.list().has_same_ids(rows_->ids_.first(now.requests()));
    }

    // Most rows hold the block of the one token already: the others are searched for once and listed.
    // visit(request, column of its token)
    template <class List, class Visit>
    constexpr void list_stale(const List& list, const auto geometry, Visit visit) const
    {
        const std::size_t count = list.sequence_count();
        std::uint32_t* end = &rows_->first_stale_;
        for (std::size_t i = find_stale(list, geometry, 0); i < count; i = find_stale(list, geometry, i + 1)) {
            visit(i, geometry.index(list.computed(i)));
            *end = static_cast<std::uint32_t>(i);
            end = &rows_->states_[i].next_stale;
        }
        *end = block_table_row_state::no_row;
    }

    // The first row from `first` on that does not hold the block of its one token as the last one.
    template <class List>
    constexpr std::size_t find_stale(const List& requests, const auto geometry, std::size_t first) const
    {
        const List list = requests;
        const std::span<const block_table_row_state> states = rows_->states_.first(list.sequence_count());
        return batten::detail::find_not(first, states.size(), [&](std::size_t i) {
            const std::size_t last = geometry.index(list.computed(i));
            return states[i].columns == last + 1 && states[i].last_block == static_cast<std::uint32_t>(list.blocks(i)[last]);
        });
    }

    // Writes columns [first, columns) of a row, or from its held ones on where it has another request or holds fewer.
    [[gnu::noinline]] constexpr void update(std::size_t at, std::uint64_t id, auto blocks, std::size_t first,
                                            std::size_t columns, T pad) const
    {
        block_table_row_state& state = rows_->states_[at];
        const std::span<T> row = rows_->table_.row(at);
        for (std::size_t b = std::min(held_columns(at, id), first); b < columns; ++b)
            row[b] = static_cast<T>(blocks[b]);
        if (state.columns > columns)
            cells::fill(row.subspan(columns, state.columns - columns), pad);
        state.columns = static_cast<std::uint32_t>(columns);
        state.last_block = static_cast<std::uint32_t>(blocks[columns - 1]);
        rows_->ids_[at] = id;
    }

    // Fills the rows of pads with the pad. After the last request no row of the step before is known any more.
    constexpr void clear(const pad_range& pads, T pad) const
    {
        for (std::size_t row = pads.real.requests; row < std::max(rows_->used_, pads.end.requests); ++row) {
            block_table_row_state& state = rows_->states_[row];
            state.last_block = block_table_row_state::no_block;
            if (row < pads.end.requests) {
                cells::fill(rows_->table_.row(row).first(state.columns), pad);
                state.columns = 0;
            }
        }
        rows_->used_ = pads.real.requests;
    }

    block_table_buffer<T>* rows_;
    std::int64_t pad_block_;
};

}  // namespace detail

// The blocks of each request as an array of a step, [requests, blocks]; `pad_block` is in all other cells. The buffer must outlive
// the call.
template <integer_number T>
[[nodiscard]] constexpr auto block_table(block_table_buffer<T>& buffer, std::int64_t pad_block = -1) noexcept
{
    return detail::block_table_array<T>(buffer, pad_block);
}

}  // namespace batten::serve

#endif
