// SPDX-License-Identifier: MIT
// The arrays of a step, one small type each: what a scheduled request writes there, and what pads hold. All are checked before
// one is written: write(step, size, padding, arrays::positions(out), arrays::slot_mapping(slots), ...).
#ifndef BATTEN_SERVE_ARRAYS_HPP_INCLUDED
#define BATTEN_SERVE_ARRAYS_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/matrix.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/step.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batten::serve {

// ---- pads ------------------------------------------------------------------------------------------------------------------

// How many tokens and requests the arrays of a step are written for, so that a captured graph fits: pads behind the real ones.
// 0: as many as there are.
struct step_size {
    std::size_t tokens = 0;
    std::size_t requests = 0;

    friend constexpr bool operator==(const step_size&, const step_size&) noexcept = default;
};

// What pads hold. A slot or block of 0 or more must be one of the step's reserved blocks; a negative one is for kernels that
// skip it. Presets of backends: padding::vllm, ... (backends.hpp).
struct step_padding {
    std::int64_t token_id = 0;
    std::int64_t position = 0;
    std::int64_t slot = -1;
    std::int64_t block = -1;
    std::size_t query_len = 0;  // tokens of a request that is a pad: with 0, query_start_loc repeats its end
    std::size_t seq_len = 0;    // tokens that it attends to

    friend constexpr bool operator==(const step_padding&, const step_padding&) noexcept = default;
};

// What a call wrote, pads counted.
struct step_shape {
    std::size_t tokens = 0;
    std::size_t requests = 0;
    std::size_t max_query_len = 0;
    std::size_t max_seq_len = 0;

    friend constexpr bool operator==(const step_shape&, const step_shape&) noexcept = default;
};

// What an array is told beside the step: where pads begin and end, and what they hold.
struct pad_range {
    step_size real{};
    step_size end{};
    step_padding values{};

    [[nodiscard]] constexpr std::size_t requests() const noexcept { return end.requests - real.requests; }
};

// The first size of a ladder that holds n: plan::vllm_graph_sizes, sglang_graph_sizes, ... (plan/edges.hpp) are such.
//
// Errors  n over the last size. Cost O(log sizes).
[[nodiscard]] constexpr result<std::size_t> try_graph_size(std::span<const std::size_t> ladder, std::size_t n)
{
    const auto size = std::lower_bound(ladder.begin(), ladder.end(), n);
    if (size == ladder.end())
        return error::of(errors::size_past_last, n, ladder.empty() ? 0 : ladder.back());
    return *size;
}
[[nodiscard]] constexpr std::size_t graph_size(std::span<const std::size_t> ladder, std::size_t n)
{
    return try_graph_size(ladder, n).value();
}

// ---- the block table -------------------------------------------------------------------------------------------------------

namespace detail {

template <class T>
class block_table_array;

}  // namespace detail

// What a row of a block table holds. The memory is the caller's; block_rows alone reads and writes it.
struct block_row_state {
    static constexpr std::uint32_t no_block = std::numeric_limits<std::uint32_t>::max();
    static constexpr std::uint32_t no_row = no_block;

    std::uint32_t columns = 0;            // written; those behind hold the pad
    std::uint32_t last_block = no_block;  // in the last of them; none: nobody knows what they hold
    std::uint32_t next_stale = no_row;    // the next row that the step changes, where this is one
};

// The block table that a backend reads, in the caller's memory from step to step: of a row, a step writes the blocks of its
// scheduled tokens, and all only where another request came to lie there: let requests keep their rows, the last one filling
// the place of one that ends. Keep one for each table.
//
// Shapes    table [rows, blocks of a request]; ids (of who lies in a row), states [at least rows]: memory for notes.
// Requires  blocks of computed tokens stay as long as a request keeps its row; appends, copies on write and computing it again
//           from the start change none of them. Whoever does (it comes back with another prefix) says so, forget(row), unless a
//           step was written since in which the row had another request or none. What pads hold stays the same.
template <integer_number T>
class block_rows {
public:
    // Errors: fewer ids or states than rows; rows or columns that 32 bits don't count.
    constexpr block_rows(matrix_view<T> table, std::span<std::uint64_t> ids, std::span<block_row_state> states)
        : block_rows(try_make(table, ids, states).value())
    {
    }
    [[nodiscard]] static constexpr result<block_rows> try_make(matrix_view<T> table, std::span<std::uint64_t> ids,
                                                               std::span<block_row_state> states)
    {
        const std::size_t least = std::min(ids.size(), states.size());
        if (least < table.rows())
            return error::of(errors::span_too_small, table.rows(), least, "block_rows");
        if (const std::size_t most = std::max(table.rows(), table.width()); most >= block_row_state::no_row)
            return error::of(errors::value_not_representable, most, {}, "block_rows");
        // Nobody knows what the columns hold now.
        std::fill(states.begin(), states.end(), block_row_state{.columns = static_cast<std::uint32_t>(table.width())});
        std::fill(ids.begin(), ids.end(), std::uint64_t{0});
        return block_rows(checked{}, table, ids, states);
    }

    [[nodiscard]] constexpr const matrix_view<T>& table() const noexcept { return table_; }

    // The next step writes the row whole; all rows. Errors: a row that the table lacks.
    constexpr void forget(std::size_t row)
    {
        if (row >= table_.rows())
            batten::detail::raise(error::of(errors::row_out_of_range, row, table_.rows()));
        states_[row].last_block = block_row_state::no_block;
        known_ = std::min(known_, row);
    }
    constexpr void forget() noexcept
    {
        for (std::size_t row = 0; row < table_.rows(); ++row)
            states_[row].last_block = block_row_state::no_block;
        known_ = 0;
    }

private:
    struct checked {};
    constexpr block_rows(checked, matrix_view<T> table, std::span<std::uint64_t> ids,
                         std::span<block_row_state> states) noexcept
        : table_(table), ids_(ids), states_(states)
    {
    }

    friend class detail::block_table_array<T>;

    matrix_view<T> table_;
    std::span<std::uint64_t> ids_;
    std::span<block_row_state> states_;
    std::size_t known_ = 0;   // the first rows, of which none is forgotten
    std::size_t used_ = 0;    // rows that the last step had requests in
    // What check found out, for the write behind it: whether the step changes the rows of a list alone, and its first one.
    bool knows_all_ = false;
    std::uint32_t first_stale_ = block_row_state::no_row;
};

// ---- what an array is made of ----------------------------------------------------------------------------------------------

// Models, for a Step: those that the functions in `arrays` make. To write one of your own, give it
//
//     bool check(const auto& step, const pad_range& pads, error& reason) const    before any array is written
//     void write(const auto& step, const pad_range& pads) const                   with step.walk; then pads
template <class Array, class Step>
concept step_array = requires(const Array& array, const Step& now, const pad_range& pads, error& reason) {
    { array.check(now, pads, reason) } -> std::same_as<bool>;
    array.write(now, pads);
};

namespace detail {

// The memory that an array is written to.
template <class Out>
struct array_memory {
    static_assert(number_sequence<Out>, "batten::serve::arrays: an array is written to a contiguous run of numbers (vector<bool> is "
                                   "not contiguous: use vector<std::uint8_t>)");
    using element = typename decltype(std::span(std::declval<Out&>()))::element_type;
    static_assert(!std::is_const_v<element>, "batten::serve::arrays: the memory is const, an array is written to it");
};
template <class Out>
using element_of = typename array_memory<Out>::element;

constexpr bool check_room(std::size_t elements, std::size_t room, std::string_view name, error& reason)
{
    return elements <= room || fail(reason, error::of(errors::span_too_small, elements, room, name));
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
constexpr bool check_count(std::size_t n, std::string_view name, error& reason, std::size_t row = error::no_row)
{
    return holds_count<T>(n) || fail(reason, error::of_row(errors::value_not_representable, row, n, {}, name));
}

template <class T>
constexpr bool check_pad(integer value, std::string_view name, error& reason)
{
    return value.fits<T>() || fail(reason, error::of(errors::pad_value_not_representable, value, {}, name));
}

// Whether pads may point to `block`.
constexpr bool check_pad_block(std::int64_t block, const step_options& options, error& reason)
{
    return (block >= 0 && std::cmp_less(block, options.reserved_blocks)) ||
           fail(reason, error::of(errors::pad_block_not_reserved, block, options.reserved_blocks));
}

// consteval: it is told before the errors that follow from it.
template <class List>
consteval void require_blocks()
{
    static_assert(List::has_blocks, "batten: this array is made of the block table: add step_inputs{..., .blocks = ...}");
}

// The shape that is written.
constexpr step_shape shape_of(const auto& now, const pad_range& pads)
{
    const bool has_pads = pads.requests() != 0;
    return {pads.end.tokens, pads.end.requests, std::max(now.max_query_len(), has_pads ? pads.values.query_len : 0),
            std::max(now.max_seq_len(), has_pads ? pads.values.seq_len : 0)};
}

// ---- arrays of tokens, [tokens] --------------------------------------------------------------------------------------------

// Run says what requests write to their cells, and what pads hold.
template <class T, class Run>
class token_array {
    static_assert(integer_number<T>, "batten::serve::arrays: token ids, positions and slots are integers");

public:
    constexpr explicit token_array(std::span<T> out) noexcept : out_(out) {}

    constexpr bool check(const auto& now, const pad_range& pads, error& reason) const
    {
        return check_room(pads.end.tokens, out_.size(), Run::name, reason) &&
               check_pad<T>(Run::pad(pads.values), Run::name, reason) && Run::template check<T>(now, pads, reason);
    }
    constexpr void write(const auto& now, const pad_range& pads) const
    {
        if (now.has_one_token_each())
            Run::write_ones(now.list(), now.divider(), out_.first(now.requests()));
        else
            now.walk([&](const auto& r) { Run::write(r, now.divider(), out_.subspan(r.first_token, r.length)); });
        cells::fill(out_.subspan(pads.real.tokens, pads.end.tokens - pads.real.tokens), static_cast<T>(Run::pad(pads.values)));
    }

private:
    std::span<T> out_;
};

struct token_run {
    static constexpr std::string_view name = "token_ids";
    static constexpr std::int64_t pad(const step_padding& values) noexcept { return values.token_id; }

    template <class T>
    static constexpr void write(const auto& r, const block_divider& /*divider*/, std::span<T> out)
    {
        cells::convert(r.tokens(), out);
    }
    template <class List, class T>
    static constexpr void write_ones(const List& requests, const block_divider& /*divider*/, std::span<T> out)
    {
        const List list = requests;
        visit_each(out.size(), [&](std::size_t i) { out[i] = static_cast<T>(list.tokens(i)[list.computed(i)]); });
    }
    template <class T, class List>
    static constexpr bool check(const step<List>& now, const pad_range& /*pads*/, error& reason)
    {
        bool good = true;
        if constexpr (!batten::detail::holds_all<T, typename List::token_type>())
            now.walk([&](const auto& r) {
                good = good && batten::detail::check_values<T>(r.tokens(), r.request, r.computed, name, reason);
            });
        return good;
    }
};

struct position_run {
    static constexpr std::string_view name = "positions";
    static constexpr std::int64_t pad(const step_padding& values) noexcept { return values.position; }

    template <class T>
    static constexpr void write(const auto& r, const block_divider& /*divider*/, std::span<T> out)
    {
        cells::iota(out, r.computed);
    }
    template <class T>
    static constexpr void write_ones(const auto& list, const block_divider& /*divider*/, std::span<T> out)
    {
        if constexpr (std::remove_cvref_t<decltype(list)>::has_computed_run)
            cells::convert(list.computed_run(), out);
        else
            for (std::size_t i = 0; i < out.size(); ++i)
                out[i] = static_cast<T>(list.computed(i));
    }
    template <class T>
    static constexpr bool check(const auto& now, const pad_range& /*pads*/, error& reason)
    {
        if (now.requests() == 0 || holds_count<T>(now.max_seq_len() - 1))
            return true;
        const auto is_wide = [](const auto& list, std::size_t i) {
            return !holds_count<T>(list.computed(i) + list.scheduled(i) - 1);
        };
        const std::size_t i = now.find(is_wide);
        return check_count<T>(now.list().computed(i) + now.list().scheduled(i) - 1, name, reason, i);
    }
};

// block * block_size + position % block_size
struct slot_run {
    static constexpr std::string_view name = "slot_mapping";
    static constexpr std::int64_t pad(const step_padding& values) noexcept { return values.slot; }

    template <class T>
    static constexpr void write(const auto& r, const block_divider& divider, std::span<T> out)
    {
        write_from(r.computed, r.blocks(), divider, out);
    }
    // Of tokens from `first` on, whose row of the block table `blocks` is.
    template <class T>
    static constexpr void write_from(std::size_t first, const auto& blocks, const block_divider& divider, std::span<T> out)
    {
        for (std::size_t done = 0; done < out.size();) {
            const std::size_t position = first + done;
            const std::size_t run = std::min(divider.size() - divider.offset(position), out.size() - done);
            cells::iota(out.subspan(done, run), slot(divider, blocks, position));
            done += run;
        }
    }
    template <class List, class T>
    static constexpr void write_ones(const List& requests, const block_divider& divider, std::span<T> out)
    {
        const List list = requests;  // here, so that the loop need not read it again and again
        divider.visit([&](const auto divide) {
            visit_each(out.size(), [&](std::size_t i) {
                out[i] = static_cast<T>(slot(divide, list.blocks(i), list.computed(i)));
            });
        });
    }
    template <class T, class List>
    static constexpr bool check(const step<List>& now, const pad_range& pads, error& reason)
    {
        require_blocks<List>();
        const step_options& options = now.options();
        // Of the whole pool: a type that is too narrow fails at the first step, not at the first full one.
        if (!check_count<T>(options.blocks * options.block_size - 1, name, reason))
            return false;
        return check_pad_slot(pads.values.slot, options, reason);
    }
    static constexpr bool check_pad_slot(std::int64_t slot, const step_options& options, error& reason)
    {
        return slot < 0 || check_pad_block(static_cast<std::int64_t>(static_cast<std::size_t>(slot) / options.block_size),
                                           options, reason);
    }

private:
    static constexpr std::size_t slot(const auto& divider, const auto& blocks, std::size_t position)
    {
        const std::size_t index = divider.index(position);
        // block * size + (position - index * size), with one product
        return divider.slots(static_cast<std::size_t>(blocks[index]) - index) + position;
    }
};

// ---- arrays of requests, [requests] ----------------------------------------------------------------------------------------

// Value says what a request has there, never more than most(step), and what a pad has.
template <class T, class Value>
class request_array {
public:
    constexpr explicit request_array(std::span<T> out) noexcept : out_(out) {}

    constexpr bool check(const auto& now, const pad_range& pads, error& reason) const
    {
        if (!check_room(pads.end.requests, out_.size(), Value::name, reason) ||
            !check_count<T>(Value::pad(now, pads.values), Value::name, reason))
            return false;
        bool good = true;
        if (!holds_count<T>(Value::most(now)))
            now.walk([&](const auto& r) { good = good && check_count<T>(Value::of(r, now), Value::name, reason, r.request); });
        return good;
    }
    constexpr void write(const auto& now, const pad_range& pads) const
    {
        const std::span<T> out = out_;
        if (now.has_one_token_each())
            write_ones(now, out.first(now.requests()));
        else
            now.walk([&](const auto& r) { out[r.row] = static_cast<T>(Value::of(r, now)); });
        cells::fill(out.subspan(pads.real.requests, pads.requests()), static_cast<T>(Value::pad(now, pads.values)));
    }

private:
    template <class List>
    static constexpr void write_ones(const step<List>& now, std::span<T> out)
    {
        const List list = now.list();
        visit_each(out.size(), [&](std::size_t i) {
            out[i] = static_cast<T>(Value::of(scheduled_request<List>{list, i, i, i, list.computed(i), 1}, now));
        });
    }

    std::span<T> out_;
};

struct no_more_than_seq_len {
    static constexpr std::size_t most(const auto& now) noexcept { return now.max_seq_len(); }
};
struct seq_len_of : no_more_than_seq_len {
    static constexpr std::string_view name = "seq_lens";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept { return r.seq_len(); }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& values) noexcept { return values.seq_len; }
};
struct computed_of : no_more_than_seq_len {
    static constexpr std::string_view name = "computed_lens";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept { return r.computed; }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& values) noexcept
    {
        return values.seq_len - std::min(values.query_len, values.seq_len);
    }
};
struct query_len_of : no_more_than_seq_len {
    static constexpr std::string_view name = "query_lens";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept { return r.length; }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& values) noexcept { return values.query_len; }
};
struct last_page_len_of : no_more_than_seq_len {
    static constexpr std::string_view name = "last_page_len";
    static constexpr std::size_t of(const auto& r, const auto& now) noexcept
    {
        return now.divider().in_last_block(r.seq_len());
    }
    static constexpr std::size_t pad(const auto& now, const step_padding& values) noexcept
    {
        return now.divider().in_last_block(values.seq_len);
    }
};
struct is_complete_of {
    static constexpr std::string_view name = "is_complete";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) { return r.seq_len() == r.list.length(r.request); }
    static constexpr std::size_t most(const auto& /*now*/) noexcept { return 1; }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& /*values*/) noexcept { return 0; }
};
struct number_of {
    static constexpr std::string_view name = "request_order";
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept { return r.request; }
    static constexpr std::size_t most(const auto& now) noexcept { return now.requests(); }
    static constexpr std::size_t pad(const auto& now, const step_padding& /*values*/) noexcept { return now.requests(); }
};

// ---- running sums over the requests ----------------------------------------------------------------------------------------

// Sum says what a request and a pad add. Entry r + extra is the sum up to request r, less `back`; extra 1: entry 0 is 0.
template <class T, class Sum>
class sum_array {
public:
    constexpr explicit sum_array(std::span<T> out) noexcept : out_(out) {}

    constexpr bool check(const auto& now, const pad_range& pads, error& reason) const
    {
        std::size_t total = 0;
        if (!Sum::total(now, pads, total))
            return fail(reason, error::of(errors::size_overflow, pads.requests(), Sum::pad(now, pads.values)));
        return check_room(pads.end.requests + Sum::extra, out_.size(), Sum::name, reason) &&
               check_count<T>(less(total), Sum::name, reason);
    }
    constexpr void write(const auto& now, const pad_range& pads) const
    {
        std::size_t sum = 0;
        const std::span<T> out = out_.subspan(Sum::extra);
        if constexpr (Sum::extra != 0)
            out_[0] = T{0};
        if (Sum::counts_tokens && now.has_one_token_each()) {
            sum = now.requests();
            if constexpr (Sum::counts_tokens)
                cells::iota(out.first(now.requests()), std::size_t{1} - Sum::back);
        } else {
            now.walk([&](const auto& r) {
                sum += Sum::of(r, now);
                out[r.row] = static_cast<T>(less(sum));
            });
        }
        for (std::size_t row = pads.real.requests; row < pads.end.requests; ++row) {
            sum += Sum::pad(now, pads.values);
            out[row] = static_cast<T>(less(sum));
        }
    }

private:
    // A pad that takes no token, in front of which none lies, has no last one: 0.
    static constexpr std::size_t less(std::size_t sum) noexcept { return sum - std::min(Sum::back, sum); }

    std::span<T> out_;
};

// a + pads * each
constexpr bool add_pads(std::size_t a, std::size_t pads, std::size_t each, std::size_t& total) noexcept
{
    std::size_t more = 0;
    return batten::detail::multiply(pads, each, more) && batten::detail::add(a, more, total);
}

struct query_sum {
    static constexpr bool counts_tokens = true;
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept { return r.length; }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& values) noexcept { return values.query_len; }
    static constexpr bool total(const auto& now, const pad_range& pads, std::size_t& total)
    {
        return add_pads(now.tokens(), pads.requests(), pads.values.query_len, total);
    }
};
struct key_sum {
    static constexpr bool counts_tokens = false;
    static constexpr std::size_t of(const auto& r, const auto& /*now*/) noexcept { return r.seq_len(); }
    static constexpr std::size_t pad(const auto& /*now*/, const step_padding& values) noexcept { return values.seq_len; }
    static constexpr bool total(const auto& now, const pad_range& pads, std::size_t& total)
    {
        std::size_t keys = 0;
        now.walk([&](const auto& r) { keys += r.seq_len(); });
        return add_pads(keys, pads.requests(), pads.values.seq_len, total);
    }
};
struct page_sum {
    static constexpr bool counts_tokens = false;
    static constexpr std::size_t of(const auto& r, const auto& now) noexcept { return now.divider().blocks_of(r.seq_len()); }
    static constexpr std::size_t pad(const auto& now, const step_padding& values) noexcept
    {
        return now.divider().blocks_of(values.seq_len);
    }
    static constexpr bool total(const auto& now, const pad_range& pads, std::size_t& total)
    {
        std::size_t pages = 0;
        now.walk([&](const auto& r) { pages += of(r, now); });
        return add_pads(pages, pads.requests(), pad(now, pads.values), total);
    }
};

struct query_start_loc_sum : query_sum {
    static constexpr std::string_view name = "query_start_loc";
    static constexpr std::size_t extra = 1, back = 0;
};
struct query_end_sum : query_sum {
    static constexpr std::string_view name = "query_ends";
    static constexpr std::size_t extra = 0, back = 0;
};
struct logits_index_sum : query_sum {
    static constexpr std::string_view name = "logits_indices";
    static constexpr std::size_t extra = 0, back = 1;
};
struct key_start_loc_sum : key_sum {
    static constexpr std::string_view name = "key_start_loc";
    static constexpr std::size_t extra = 1, back = 0;
};
struct page_start_loc_sum : page_sum {
    static constexpr std::string_view name = "page_start_loc";
    static constexpr std::size_t extra = 1, back = 0;
};

// ---- arrays of blocks ------------------------------------------------------------------------------------------------------

// Whether blocks of a request are of the pool. Reserved ones may be among them: a window's cast-off blocks.
constexpr bool check_pool(const auto& blocks, const step_options& options, std::size_t row, error& reason)
{
    for (const auto block : blocks)
        if (std::cmp_less(block, 0) || std::cmp_greater_equal(block, options.blocks)) [[unlikely]]
            return fail(reason, error::of_row(errors::block_out_of_range, row, block, options.blocks));
    return true;
}

template <class T>
class block_table_array {
public:
    constexpr explicit block_table_array(block_rows<T>& table) noexcept : rows_(&table) {}

    template <class List>
    constexpr bool check(const step<List>& now, const pad_range& pads, error& reason) const
    {
        require_blocks<List>();
        static_assert(List::has_ids, "batten: a block table that is updated must know which request is which: add "
                                     "step_inputs{..., .ids = ...}");
        const matrix_view<T>& table = rows_->table_;
        const std::size_t most = now.divider().blocks_of(now.max_seq_len());
        if (most > table.width()) {
            const auto is_longest = [&](const List& list, std::size_t i) {
                return list.computed(i) + list.scheduled(i) == now.max_seq_len();
            };
            return fail(reason, error::of_row(errors::blocks_missing, now.find(is_longest), most, table.width()));
        }
        if (!check_room(pads.end.requests, table.rows(), name, reason) ||
            !check_count<T>(now.options().blocks - 1, name, reason) ||
            !check_count<std::uint32_t>(now.options().blocks, name, reason) ||
            !check_pad<T>(pads.values.block, name, reason) ||
            !(pads.values.block < 0 || check_pad_block(pads.values.block, now.options(), reason)))
            return false;
        // Blocks of scheduled tokens are checked by the step. Others are copied where a row is new, or tokens were computed
        // that no step had.
        bool good = true;
        const auto check_copied = [&](std::size_t first, std::size_t row, const auto& blocks, std::size_t last) {
            if (first < last) [[unlikely]]
                good = good && check_pool(blocks.first(last).subspan(first), now.options(), row, reason);
        };
        rows_->knows_all_ = knows_all(now);
        if (rows_->knows_all_)
            now.divider().visit([&](const auto divide) {
                list_stale(now.list(), divide, [&](std::size_t i, std::size_t last) {
                    check_copied(rows_->states_[i].columns, i, now.list().blocks(i), last);
                });
            });
        else
            now.walk([&](const auto& r) {
                check_copied(held_columns(r.row, r.list.id(r.request)), r.request, r.blocks(), now.divider().index(r.computed));
            });
        return good;
    }

    constexpr void write(const auto& now, const pad_range& pads) const
    {
        const T pad = static_cast<T>(pads.values.block);
        if (rows_->knows_all_)
            for (std::uint32_t i = rows_->first_stale_; i != block_row_state::no_row; i = rows_->states_[i].next_stale) {
                const std::size_t last = now.divider().index(now.list().computed(i));
                update(i, now.list().id(i), now.list().blocks(i), last, last + 1, pad);
            }
        else
            now.walk([&](const auto& r) {
                update(r.row, r.list.id(r.request), r.blocks(), now.divider().index(r.computed),
                       now.divider().index(r.seq_len() - 1) + 1, pad);
            });
        rows_->known_ = pads.real.requests;
        clear(pads, pad);
    }

private:
    static constexpr std::string_view name = "block_table";

    // Columns of the row that hold the request's blocks.
    constexpr std::size_t held_columns(std::size_t at, std::uint64_t id) const
    {
        const block_row_state& state = rows_->states_[at];
        return rows_->ids_[at] == id && state.last_block != block_row_state::no_block ? state.columns : 0;
    }

    // Whether each row does, and each request takes one token.
    constexpr bool knows_all(const auto& now) const
    {
        return now.has_one_token_each() && now.requests() <= rows_->known_ &&
               now.list().has_same_ids(rows_->ids_.first(now.requests()));
    }

    // Most rows hold the block of the one token already: those that do not are looked for, once, and listed.
    // visit(request, column of its token)
    template <class List, class Visit>
    constexpr void list_stale(const List& list, const auto divide, Visit visit) const
    {
        const std::size_t count = list.sequence_count();
        std::uint32_t* end = &rows_->first_stale_;
        for (std::size_t i = find_stale(list, divide, 0); i < count; i = find_stale(list, divide, i + 1)) {
            visit(i, divide.index(list.computed(i)));
            *end = static_cast<std::uint32_t>(i);
            end = &rows_->states_[i].next_stale;
        }
        *end = block_row_state::no_row;
    }

    // The first row from `first` on that does not hold the block of its one token as the last one.
    template <class List>
    constexpr std::size_t find_stale(const List& requests, const auto divide, std::size_t first) const
    {
        const List list = requests;
        const std::span<const block_row_state> states = rows_->states_.first(list.sequence_count());
        return find_not(first, states.size(), [&](std::size_t i) {
            const std::size_t last = divide.index(list.computed(i));
            return states[i].columns == last + 1 && states[i].last_block == static_cast<std::uint32_t>(list.blocks(i)[last]);
        });
    }

    // Writes columns [first, columns) of a row, all of them where it has another request or fewer.
    [[gnu::noinline]] constexpr void update(std::size_t at, std::uint64_t id, auto blocks, std::size_t first,
                                            std::size_t columns, T pad) const
    {
        block_row_state& state = rows_->states_[at];
        const std::span<T> row = rows_->table_.row(at);
        for (std::size_t b = std::min(held_columns(at, id), first); b < columns; ++b)
            row[b] = static_cast<T>(blocks[b]);
        if (state.columns > columns)
            cells::fill(row.subspan(columns, state.columns - columns), pad);
        state.columns = static_cast<std::uint32_t>(columns);
        state.last_block = static_cast<std::uint32_t>(blocks[columns - 1]);
        rows_->ids_[at] = id;
    }

    // Rows of pads hold nothing but the pad; behind the last request none of the step before is known.
    constexpr void clear(const pad_range& pads, T pad) const
    {
        for (std::size_t row = pads.real.requests; row < std::max(rows_->used_, pads.end.requests); ++row) {
            block_row_state& state = rows_->states_[row];
            state.last_block = block_row_state::no_block;
            if (row < pads.end.requests) {
                cells::fill(rows_->table_.row(row).first(state.columns), pad);
                state.columns = 0;
            }
        }
        rows_->used_ = pads.real.requests;
    }

    block_rows<T>* rows_;
};

template <class T>
class page_array {
public:
    constexpr explicit page_array(std::span<T> out) noexcept : out_(out) {}

    template <class List>
    constexpr bool check(const step<List>& now, const pad_range& pads, error& reason) const
    {
        require_blocks<List>();
        std::size_t total = 0;
        if (!page_sum::total(now, pads, total))
            return fail(reason, error::of(errors::size_overflow, pads.requests(), pads.values.seq_len));
        if (!check_room(total, out_.size(), name, reason))
            return false;
        // A pad of no pages points to no block.
        bool good = check_count<T>(now.options().blocks - 1, name, reason) &&
                    (pads.values.seq_len == 0 || check_pad_block(pads.values.block, now.options(), reason));
        now.walk([&](const auto& r) {
            good = good && check_pool(r.blocks().first(page_sum::of(r, now)), now.options(), r.request, reason);
        });
        return good;
    }
    constexpr void write(const auto& now, const pad_range& pads) const
    {
        std::size_t done = 0;
        now.walk([&](const auto& r) {
            const auto blocks = r.blocks().first(page_sum::of(r, now));
            using block = std::add_const_t<typename decltype(blocks)::element_type>;
            cells::convert(std::span<block>(blocks), out_.subspan(done, blocks.size()));
            done += blocks.size();
        });
        const std::size_t more = pads.requests() * page_sum::pad(now, pads.values);
        if (more != 0)
            cells::fill(out_.subspan(done, more), static_cast<T>(pads.values.block));
    }

private:
    static constexpr std::string_view name = "page_indices";

    std::span<T> out_;
};

// ---- one array for the whole step ------------------------------------------------------------------------------------------

template <class T>
class bounds_array {
public:
    constexpr explicit bounds_array(std::span<T> out) noexcept : out_(out) {}

    constexpr bool check(const auto& now, const pad_range& pads, error& reason) const
    {
        const step_shape shape = shape_of(now, pads);
        return check_room(3, out_.size(), name, reason) &&
               check_count<T>(std::max(shape.max_query_len, shape.max_seq_len), name, reason);
    }
    constexpr void write(const auto& now, const pad_range& pads) const
    {
        const step_shape shape = shape_of(now, pads);
        out_[0] = static_cast<T>(shape.max_query_len);
        out_[1] = static_cast<T>(shape.max_seq_len);
        out_[2] = static_cast<T>(now.max_seq_len());
    }

private:
    static constexpr std::string_view name = "attention_bounds";

    std::span<T> out_;
};

}  // namespace detail

// ---- the arrays by name ----------------------------------------------------------------------------------------------------

// Each takes the memory to write to: a span, a vector, ... of integers.
namespace arrays {

// The scheduled tokens, [tokens].
constexpr auto token_ids(auto&& out) noexcept
{
    return detail::token_array<detail::element_of<decltype(out)>, detail::token_run>(out);
}
// computed + i for token i of a request, [tokens].
constexpr auto positions(auto&& out) noexcept
{
    return detail::token_array<detail::element_of<decltype(out)>, detail::position_run>(out);
}
// block * block_size + position % block_size: where a token's keys and values go, [tokens].
constexpr auto slot_mapping(auto&& out) noexcept
{
    return detail::token_array<detail::element_of<decltype(out)>, detail::slot_run>(out);
}

// Where each request's tokens begin, and where the last one's end, [requests + 1]: query_start_loc, cu_seqlens_q, qo_indptr.
constexpr auto query_start_loc(auto&& out) noexcept
{
    return detail::sum_array<detail::element_of<decltype(out)>, detail::query_start_loc_sum>(out);
}
// The same without the 0, [requests]: where they end; counted from 1, which is the last one.
constexpr auto query_ends(auto&& out) noexcept
{
    return detail::sum_array<detail::element_of<decltype(out)>, detail::query_end_sum>(out);
}
// Each request's last token, query_start_loc[r + 1] - 1, whose logits are sampled, [requests].
constexpr auto logits_indices(auto&& out) noexcept
{
    return detail::sum_array<detail::element_of<decltype(out)>, detail::logits_index_sum>(out);
}
// The running sum of seq_lens, [requests + 1]: cu_seqlens_k.
constexpr auto key_start_loc(auto&& out) noexcept
{
    return detail::sum_array<detail::element_of<decltype(out)>, detail::key_start_loc_sum>(out);
}

// Tokens that a request takes in the step; those computed before; both together; [requests] each.
constexpr auto query_lens(auto&& out) noexcept
{
    return detail::request_array<detail::element_of<decltype(out)>, detail::query_len_of>(out);
}
constexpr auto computed_lens(auto&& out) noexcept
{
    return detail::request_array<detail::element_of<decltype(out)>, detail::computed_of>(out);
}
constexpr auto seq_lens(auto&& out) noexcept
{
    return detail::request_array<detail::element_of<decltype(out)>, detail::seq_len_of>(out);
}

// 1 where a request's last known token is among those of the step, so that the next one is sampled from its logits; 0 for a
// chunk of a prompt that does not end it, and for pads, [requests].
constexpr auto is_complete(auto&& out) noexcept
{
    return detail::request_array<detail::element_of<decltype(out)>, detail::is_complete_of>(out);
}

// The permutation: which of the given requests (of a selection: of the selected ones) lies in each row, [requests]. Pads: the
// number of requests.
constexpr auto request_order(auto&& out) noexcept
{
    return detail::request_array<detail::element_of<decltype(out)>, detail::number_of>(out);
}

// The blocks of each request, [requests, blocks]. Table and states are changed; both must live on.
template <integer_number T>
constexpr auto block_table(block_rows<T>& rows) noexcept
{
    return detail::block_table_array<T>(rows);
}

// The blocks of all requests one behind the other, [pages]. Copied whole: O(pages) at each step lies in their form.
constexpr auto page_indices(auto&& out) noexcept { return detail::page_array<detail::element_of<decltype(out)>>(out); }
// Where each request's pages begin, and where the last one's end, [requests + 1].
constexpr auto page_start_loc(auto&& out) noexcept
{
    return detail::sum_array<detail::element_of<decltype(out)>, detail::page_start_loc_sum>(out);
}
// Tokens in each request's last page, 1 to block_size; 0 for a pad without pages, [requests].
constexpr auto last_page_len(auto&& out) noexcept
{
    return detail::request_array<detail::element_of<decltype(out)>, detail::last_page_len_of>(out);
}

// max_query_len and max_seq_len, pads counted; the most keys of a real request, [3]: bounds from above, from above, from below.
constexpr auto attention_bounds(auto&& out) noexcept { return detail::bounds_array<detail::element_of<decltype(out)>>(out); }

}  // namespace arrays

// ---- slots as a field ------------------------------------------------------------------------------------------------------

// A cell field: where the keys and values of each token go, block * block_size + position % block_size | pad_slot. So that rows
// of any layout fill a paged cache: prompts padded on either side, packed ones, the pieces of a step.
//
// Shapes    blocks [sequences, blocks of a sequence]: row s belongs to sequence s of what is collated.
// Requires  whoever owns the block table keeps it as long as the collator is used.
// Errors    options: no pool, or one that slots or T can't count; a pad slot of 0 or more in a block that is not reserved. At a
//           collation: a row, or blocks of it, that are not there; a block that is reserved or outside of the pool.
template <integer_number T = std::int64_t, integer_number Block = std::int32_t>
struct slot_mapping {
    using value_type = T;
    static constexpr std::string_view name = "slot_mapping";

    matrix_view<const Block> blocks{};
    step_options cache{};  // block_size, blocks, reserved_blocks
    std::int64_t pad_slot = -1;

    constexpr void write(const auto& segment, std::span<T> out) const
    {
        if (!out.empty())
            detail::slot_run::write_from(segment.position_begin, blocks.row(segment.sequence), block_divider(cache.block_size),
                                         out);
    }
    constexpr void pad(const pad_run& /*pads*/, std::span<T> out) const { cells::fill(out, static_cast<T>(pad_slot)); }

    constexpr bool check_options(const fill_values& /*values*/, error& reason) const
    {
        return detail::check_cache(cache, reason) &&
               detail::check_count<T>(cache.blocks * cache.block_size - 1, name, reason) &&
               detail::check_pad<T>(pad_slot, name, reason) && detail::slot_run::check_pad_slot(pad_slot, cache, reason);
    }
    constexpr bool check_segment(const auto& segment, error& reason) const
    {
        if (segment.length == 0)
            return true;
        const block_divider divider(cache.block_size);
        const std::size_t first = divider.index(segment.position_begin);
        const std::size_t last = divider.index(segment.position_begin + segment.length - 1);
        const std::size_t room = segment.sequence < blocks.rows() ? blocks.width() : 0;
        if (last >= room)
            return detail::fail(reason, error::of_row(errors::blocks_missing, segment.row, last + 1, room));
        const detail::allocated_blocks allocated(cache);
        const auto held = blocks.row(segment.sequence).subspan(first, last + 1 - first);
        return std::all_of(held.begin(), held.end(),
                           [&](Block block) { return allocated.check(block, segment.row, reason); });
    }
};

// ---- writing ---------------------------------------------------------------------------------------------------------------

namespace detail {

// From where pads begin up to where they end, or why the step does not fit.
template <class List>
constexpr bool find_pads(const step<List>& now, const step_size& size, const step_padding& values, pad_range& pads,
                         error& reason)
{
    pads = {{now.tokens(), now.requests()}, size, values};
    if (size.requests == 0)
        pads.end.requests = now.requests();
    if (pads.end.requests < now.requests())
        return fail(reason, error::of(errors::step_past_size, now.requests(), size.requests, "requests"));
    if (pads.end.requests == size_limit)  // arrays may have one more
        return fail(reason, error::of(errors::size_overflow, size.requests, 1));
    // Requests that are pads may take tokens, which are pads, too.
    std::size_t least = 0;
    if (!add_pads(now.tokens(), pads.requests(), values.query_len, least))
        return fail(reason, error::of(errors::size_overflow, pads.requests(), values.query_len));
    if (size.tokens == 0)
        pads.end.tokens = least;
    return pads.end.tokens >= least ||
           fail(reason, error::of(errors::step_past_size, least, size.tokens, "tokens"));
}

}  // namespace detail

// Writes arrays of a step, padded to a size. Memory behind the size is left as it is.
//
// Errors   a step larger than the size, a size larger than an array; values that an element type can't hold; blocks outside of
//          the pool; pads that point to a block that is not reserved. Nothing is written then.
// Cost     O(tokens + requests of the size), whatever the context (page_indices: O(pages)); no allocation.
template <class List, step_array<step<List>>... Array>
constexpr result<step_shape> try_write(const step<List>& now, const step_size& size, const step_padding& padding,
                                       const Array&... array)
{
    error reason;
    pad_range pads;
    if (!detail::find_pads(now, size, padding, pads, reason) || !(true && ... && array.check(now, pads, reason)))
        return reason;
    (array.write(now, pads), ...);
    return detail::shape_of(now, pads);
}
template <class List, step_array<step<List>>... Array>
constexpr step_shape write(const step<List>& now, const step_size& size, const step_padding& padding, const Array&... array)
{
    return try_write(now, size, padding, array...).value();
}

}  // namespace batten::serve

#endif
