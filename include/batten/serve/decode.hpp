// SPDX-License-Identifier: MIT
// Decoding a padded batch: after the prefill, each step appends its tokens to what the caller's buffers already hold.
#ifndef BATTEN_SERVE_DECODE_HPP_INCLUDED
#define BATTEN_SERVE_DECODE_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/collator.hpp>
#include <batten/detail/field_list.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>
#include <batten/inputs.hpp>
#include <batten/matrix.hpp>
#include <batten/outputs.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/fields.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten::serve {

// ---- where a step's tokens go ------------------------------------------------------------------------------------------

// A column policy: every row goes on in the same column of the mask and the KV cache. For batches padded left, and for runtimes
// that write one column for all rows. The column is not the position: that is the row's own.
struct shared_column {
    static constexpr std::size_t next(std::size_t width, std::size_t /*length*/) noexcept { return width; }
};

// A column policy: each row goes on behind its own last token. For batches padded right, and for kernels that take a length for
// each row. Column and position are the same.
struct own_column {
    static constexpr std::size_t next(std::size_t /*width*/, std::size_t length) noexcept { return length; }
};

// Models: shared_column, own_column.
//
// Requires  next(width, length): the column of the next token of a row of `length` tokens, in a batch that uses `width`
//           columns; a pure function.
template <class Columns>
concept column_policy = requires(std::size_t n) {
    { Columns::next(n, n) } -> std::same_as<std::size_t>;
};

// ---- what a step is given, and what comes of it --------------------------------------------------------------------------

// Rows that are not finished and yet get no token in a step.
enum class idle_rows : unsigned char {
    are_errors,   // the default: most likely the caller lost one
    leave_holes,  // they wait: mask 0 in the step's columns, and the row's position stays
};

// Tokens as a matrix [rows, at most k], of which row r takes the first counts[r]: what a draft model or a verifier yields.
//
// Errors  tokens that are no whole number for each row; a count that is negative or over k: at append.
template <integer_number T, integer_number Count>
class token_matrix {
public:
    constexpr token_matrix(std::span<const T> tokens, std::span<const Count> counts) noexcept
        : tokens_(tokens), counts_(counts), most_(counts.empty() ? 0 : tokens.size() / counts.size())
    {
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return counts_.size(); }
    // Requires: check(r).
    [[nodiscard]] constexpr std::span<const T> operator[](std::size_t r) const
    {
        return tokens_.subspan(r * most_, static_cast<std::size_t>(counts_[r]));
    }
    [[nodiscard]] constexpr bool check(std::size_t r, error& reason) const noexcept
    {
        if (most_ * counts_.size() != tokens_.size())
            return batten::detail::fail(reason, error::of(errors::span_too_large, most_ * counts_.size(),
                                                 tokens_.size(), "the step's tokens"));
        return (std::cmp_greater_equal(counts_[r], 0) && std::cmp_less_equal(counts_[r], most_)) ||
               batten::detail::fail(reason, error::of_row(errors::count_out_of_range, r, counts_[r], most_, "counts"));
    }
    [[nodiscard]] constexpr auto begin() const noexcept { return batten::detail::index_iterator<token_matrix>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return batten::detail::index_iterator<token_matrix>(this, size()); }

private:
    std::span<const T> tokens_;
    std::span<const Count> counts_;
    std::size_t most_;
};
template <std::ranges::contiguous_range Tokens, std::ranges::contiguous_range Counts>
token_matrix(const Tokens&, const Counts&)
    -> token_matrix<std::ranges::range_value_t<Tokens>, std::ranges::range_value_t<Counts>>;

// What a step came to. The KV cache of a shared_column batch takes it in columns [first_column, first_column + width).
struct decode_step {
    std::size_t first_column = 0;  // columns in use before it
    std::size_t width = 0;         // the most tokens that a row took
    std::size_t tokens = 0;        // of all rows

    friend constexpr bool operator==(const decode_step&, const decode_step&) noexcept = default;
};

// Everything that a decode_batch can be told: decode_options{.pad_id = 0}.
template <class Kept, class Step>
struct decode_options {
    static constexpr bool needs_pad_id = batten::detail::field_list<Kept>::template any<batten::detail::uses_pad_id> ||
                                         batten::detail::field_list<Step>::template any<batten::detail::uses_pad_id>;

    integer pad_id = batten::detail::default_pad_id<needs_pad_id>();  // what token ids hold where a row has no token
    idle_rows idle = idle_rows::are_errors;
    [[no_unique_address]] Kept kept{};  // for fields with options of their own
    [[no_unique_address]] Step step{};

    [[nodiscard]] constexpr fill_values values() const noexcept { return {pad_id, {}}; }
};

// In a map of compaction: the row is gone.
inline constexpr std::size_t dropped_row = static_cast<std::size_t>(-1);

namespace detail {

using namespace batten::detail;

// One token a row, as a sampler yields them: a run of one, or of none where the row is finished.
template <class T>
class single_tokens {
public:
    constexpr single_tokens(std::span<const T> tokens, std::span<const bool> finished) noexcept
        : tokens_(tokens), finished_(finished)
    {
    }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return tokens_.size(); }
    [[nodiscard]] constexpr std::span<const T> operator[](std::size_t r) const
    {
        return tokens_.subspan(r, finished_[r] ? 0 : 1);
    }
    [[nodiscard]] constexpr auto begin() const noexcept { return index_iterator<single_tokens>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return index_iterator<single_tokens>(this, size()); }

private:
    std::span<const T> tokens_;
    std::span<const bool> finished_;
};

template <class Fields>
struct matrix_list;
template <class... Field>
struct matrix_list<fields<Field...>> {
    using type = std::tuple<matrix_view<typename Field::value_type>...>;
};

template <class Fields>
struct only_cell_fields;
template <class... Field>
struct only_cell_fields<fields<Field...>> : std::bool_constant<(true && ... && cell_field<Field>)> {};

// A batch that owns its memory or refers to it, as a collator makes it.
template <class Batch>
concept collated = requires(const Batch& batch) {
    { batch.rows() } -> std::same_as<std::size_t>;
    { batch.width() } -> std::same_as<std::size_t>;
    batch.lengths();
};

}  // namespace detail

// ---- the batch ---------------------------------------------------------------------------------------------------------

// A batch that goes on, in memory of the caller's, which must outlive it: what a server feeds its model, step by step.
//
//     decode_batch<> decode({.pad_id = 0}, lengths, width, capacity, outputs{set<attention_mask>(mask, capacity)});
//     decode.append(sampled, outputs{set<token_ids>(ids), set<position_ids>(positions)});
//
// Kept are the fields that grow, [rows, capacity]; Step those that a step writes anew, [rows, k], k the most tokens that a row
// takes. Any cell field may be either: keep token ids and positions, too, and a step adds their columns. Positions count the
// tokens of a row; columns are Columns' matter. A row without a token in a column has a hole there: mask 0, pad_id, position 0.
//
// Cost  a step writes the new cells alone, O(rows * k): it neither moves what is there nor allocates.
template <class Kept = fields<attention_mask<>>, class Step = fields<token_ids<>, position_ids<>>,
          column_policy Columns = shared_column>
class decode_batch {
    static_assert(detail::only_cell_fields<Kept>::value,
                  "batten::decode_batch: only cell fields can be kept: put segment fields into Step");
    static_assert(!detail::field_list<Kept>::template any<detail::needs_pads_last> &&
                      !detail::field_list<Step>::template any<detail::needs_pads_last>,
                  "batten::decode_batch: continue_positions has no place among holes: use pad_position<0>");

public:
    using options_type = decode_options<Kept, Step>;

    // Takes over a prefill that lies in the kept buffers already: collator.into(prompts, ...) with a row_stride wrote it there. It
    // stays as it is; only the columns that are still to come are written, as pads.
    //
    // Shapes    lengths [rows], tokens of each row (a batch's lengths()); kept spans (rows - 1) * row_stride + capacity, up to
    //           rows * row_stride; a row_stride of 0 is the capacity
    // Requires  with shared_column any padding side, with own_column pad_right.
    // Errors    a length that is negative or over the width; a capacity under the width; spans of other sizes; pad_id.
    // Cost      O(rows * (capacity - width)), once; the one allocation: some bytes for each row.
    template <integer_range Lengths, class... Named>
    [[nodiscard]] static constexpr result<decode_batch> try_start(options_type settings, const Lengths& lengths,
                                                                  std::size_t width, std::size_t capacity,
                                                                  const outputs<Named...>& kept)
    {
        decode_batch made(std::move(settings));
        error reason;
        if (!made.take(lengths, width, capacity, kept, reason))
            return reason;
        made.pad_from(width);
        return made;
    }
    template <integer_range Lengths, class... Named>
    constexpr decode_batch(options_type settings, const Lengths& lengths, std::size_t width, std::size_t capacity,
                           const outputs<Named...>& kept)
        : decode_batch(try_start(std::move(settings), lengths, width, capacity, kept).value())
    {
    }

    // Takes over a prefill that lies elsewhere, in a batch: copies its kept fields, which the batch must have with the same
    // types. Cost: O(rows * capacity), once. The rest as above.
    template <detail::collated Batch, class... Named>
    [[nodiscard]] static constexpr result<decode_batch> try_start(options_type settings, const Batch& prefill,
                                                                  std::size_t capacity, const outputs<Named...>& kept)
    {
        decode_batch made(std::move(settings));
        error reason;
        if (!made.take(prefill.lengths(), prefill.width(), capacity, kept, reason))
            return reason;
        made.each_kept([&]<class Field>(const Field&, const auto& to) {
            const auto from = prefill.template view<Field>();
            for (std::size_t r = 0; r < from.rows(); ++r)
                std::copy_n(from.row(r).data(), from.width(), to.row(r).data());
        });
        made.pad_from(prefill.width());
        return made;
    }
    template <detail::collated Batch, class... Named>
    constexpr decode_batch(options_type settings, const Batch& prefill, std::size_t capacity, const outputs<Named...>& kept)
        : decode_batch(try_start(std::move(settings), prefill, capacity, kept).value())
    {
    }

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] constexpr std::size_t unfinished_rows() const noexcept { return unfinished_; }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return width_; }  // columns in use, holes among them
    [[nodiscard]] constexpr std::size_t capacity() const noexcept { return capacity_; }

    // Tokens of each row so far, and so the position of its next one.
    [[nodiscard]] constexpr std::span<const std::size_t> lengths() const noexcept { return lengths_.cells(); }

    // The column of row r's next token. Requires: r < rows().
    [[nodiscard]] constexpr std::size_t column(std::size_t r) const { return Columns::next(width_, lengths()[r]); }

    // A kept field with all its columns, those to come as pads: [rows, capacity], the same shape in every step. Named as get.
    template <class Field>
    [[nodiscard]] constexpr auto whole() const noexcept
    {
        return matrix<detail::by_type<Field>>(capacity_);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto whole() const noexcept
    {
        return matrix<detail::by_template<Field>>(capacity_);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto whole() const noexcept
    {
        return matrix<detail::by_name<Name>>(capacity_);
    }

    // The same up to the columns in use: [rows, width()], with the buffer's row_stride.
    template <class Field>
    [[nodiscard]] constexpr auto current() const noexcept
    {
        return matrix<detail::by_type<Field>>(width_);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto current() const noexcept
    {
        return matrix<detail::by_template<Field>>(width_);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto current() const noexcept
    {
        return matrix<detail::by_name<Name>>(width_);
    }

    // Appends one step: a run of tokens for each row, empty for those that are finished. Any inputs that a collator takes, so
    // vector<vector<int>>, ragged_view, inputs{...} with columns; token_matrix for [rows, k] and counts.
    //
    // Shapes   a run for each row; `out`: each field of Step [rows, k], or with a row_stride; segment fields [rows]
    // Errors   other than one run a row; a finished row with tokens, another without (idle_rows); a row past the capacity;
    //          spans of other sizes; a token or position that a field's type cannot hold. Then nothing has changed.
    template <collatable In, class... Named>
    constexpr result<decode_step> try_append(const In& in, const outputs<Named...>& out)
    {
        const auto bundle = detail::as_bundle(in);
        decode_step step{.first_column = width_};
        auto bound = step_fields(step_indices{});
        error reason;
        if (!measure(bundle, step, reason) || !bind(out, {rows_, step.width, rows_, rows_ * step.width}, bound, reason) ||
            !check(bundle, step, reason))
            return reason;
        std::apply([&](const auto&... field) { write(bundle, step, field...); }, bound);
        return step;
    }
    template <collatable In, class... Named>
    constexpr decode_step append(const In& in, const outputs<Named...>& out)
    {
        return try_append(in, out).value();
    }

    // The same with one token for each row, as a sampler yields them: [rows]. Those of finished rows are not read.
    template <std::ranges::contiguous_range Tokens, class... Named>
        requires integer_number<std::ranges::range_value_t<Tokens>>
    constexpr result<decode_step> try_append(const Tokens& tokens, const outputs<Named...>& out)
    {
        return try_append(detail::single_tokens(detail::as_span(tokens), std::span<const bool>(finished_.cells())), out);
    }
    template <std::ranges::contiguous_range Tokens, class... Named>
        requires integer_number<std::ranges::range_value_t<Tokens>>
    constexpr decode_step append(const Tokens& tokens, const outputs<Named...>& out)
    {
        return try_append(tokens, out).value();
    }

    // Where every field is kept and a step writes none anew.
    template <class In>
    constexpr result<decode_step> try_append(const In& in)
    {
        return try_append(in, outputs<>{});
    }
    template <class In>
    constexpr decode_step append(const In& in)
    {
        return try_append(in).value();
    }

    // Keeps of the last step's tokens only the first counts[r] of each row: speculative decoding, once the model has judged the
    // draft. The others become holes, and no position passed them; columns in which no row kept a token are free again.
    //
    // Errors  other than one count a row; a count that is negative or over what the row took.
    // Cost    O(rows + tokens rejected)
    template <integer_range Counts>
    constexpr result<decode_step> try_accept(const Counts& counts)
    {
        error reason;
        if (!check_accepted(counts, reason))
            return reason;
        step_.width = step_.tokens = 0;
        width_ = step_.first_column;
        for (std::size_t r = 0; r < rows_; ++r) {
            const auto accepted = static_cast<std::size_t>(detail::element_at(counts, r));
            const std::size_t took = std::exchange(taken_.data()[r], accepted);
            const std::size_t before = lengths_.data()[r] - took;
            const std::size_t end = Columns::next(step_.first_column, before) + accepted;
            lengths_.data()[r] = before + accepted;
            pad(r, end, took - accepted);
            width_ = std::max(width_, end);
            step_.width = std::max(step_.width, accepted);
            step_.tokens += accepted;
        }
        return step_;
    }
    template <integer_range Counts>
    constexpr decode_step accept(const Counts& counts)
    {
        return try_accept(counts).value();
    }

    // Row r takes no more tokens: it stays, with holes in the columns to come, until drop_finished. Returns how many rows are
    // not finished. Errors: no such row.
    constexpr result<std::size_t> try_finish(std::size_t r)
    {
        if (r >= rows_)
            return error::of(errors::row_out_of_range, r, rows_);
        unfinished_ -= std::exchange(finished_.data()[r], true) ? 0U : 1U;
        return unfinished_;
    }
    constexpr std::size_t finish(std::size_t r) { return try_finish(r).value(); }

    // Requires: r < rows().
    [[nodiscard]] constexpr bool is_finished(std::size_t r) const { return finished_.cells()[r]; }

    // Drops the finished rows and returns how many are left: the last rows move to the places that became free, in place, and
    // no other row moves. map[old row] is the new one, or dropped_row; move the KV cache by it, row by row in any order: what
    // is moved comes from behind the new end and goes before it.
    //
    // Shapes  map [rows], as many as there were
    // Errors  a map of another size.
    // Cost    O(rows + finished rows * width)
    constexpr result<std::size_t> try_drop_finished(std::span<std::size_t> map)
    {
        if (map.size() != rows_)
            return error::of(map.size() < rows_ ? errors::span_too_small : errors::span_too_large, rows_,
                         map.size(), "map");
        std::size_t end = rows_;
        for (std::size_t to = 0; to < end; ++to) {
            map[to] = to;
            if (!is_finished(to))
                continue;
            map[to] = dropped_row;
            while (--end != to && is_finished(end))
                map[end] = dropped_row;
            if (end != to) {
                map[end] = to;
                move_row(end, to);
            }
        }
        rows_ = unfinished_;
        lengths_.resize_within(end);
        taken_.resize_within(end);
        finished_.resize_within(end);
        return rows_;
    }
    constexpr std::size_t drop_finished(std::span<std::size_t> map) { return try_drop_finished(map).value(); }

    // Moves to larger buffers of the caller's: copies the columns in use, and fills those to come. The old ones are free then.
    //
    // Requires  buffers that do not overlap the old ones.
    // Errors    a capacity under width(); spans of other sizes. Then all is as before.
    // Cost      O(rows * capacity)
    template <class... Named>
    constexpr result<std::size_t> try_grow(std::size_t capacity, const outputs<Named...>& kept)
    {
        const kept_cells old = kept_;
        error reason;
        if (!rehome(capacity, kept, reason))
            return reason;
        copy_from(old, indices{});
        pad_from(width_);
        return capacity;
    }
    template <class... Named>
    constexpr void grow(std::size_t capacity, const outputs<Named...>& kept)
    {
        static_cast<void>(try_grow(capacity, kept).value());
    }

private:
    using kept_list = detail::field_list<Kept>;
    using kept_cells = typename detail::matrix_list<Kept>::type;  // whole matrices, of as many rows as there were at first
    using indices = std::make_index_sequence<Kept::count>;
    using step_indices = std::make_index_sequence<Step::count>;

    constexpr explicit decode_batch(options_type settings) : options_(std::move(settings)) {}

    // ---- taking over ----

    // Everything that can be wrong with a start. Nothing of the caller's is written.
    template <class Lengths, class... Named>
    constexpr bool take(const Lengths& lengths, std::size_t width, std::size_t capacity, const outputs<Named...>& kept,
                        error& reason)
    {
        rows_ = unfinished_ = detail::count(lengths);
        width_ = width;
        if (!check_options(reason) || !check_lengths(lengths, reason) || !rehome(capacity, kept, reason))
            return false;
        const auto reserve = [&](auto& of) {
            return of.reserve(rows_) ||
                   detail::fail(reason, error::of(errors::out_of_memory, rows_ * sizeof(*of.data())));
        };
        if (!reserve(lengths_) || !reserve(taken_) || !reserve(finished_))
            return false;
        lengths_.resize_within(rows_);
        taken_.resize_within(rows_);
        finished_.resize_within(rows_);
        for (std::size_t r = 0; r < rows_; ++r) {
            lengths_.data()[r] = static_cast<std::size_t>(detail::element_at(lengths, r));
            taken_.data()[r] = 0;
            finished_.data()[r] = false;
        }
        step_ = {.first_column = width};
        return true;
    }

    template <class Lengths>
    constexpr bool check_lengths(const Lengths& lengths, error& reason) const
    {
        for (std::size_t r = 0; r < rows_; ++r) {
            const auto length = detail::element_at(lengths, r);
            if (std::cmp_less(length, 0))
                return detail::fail(reason, error::of_row(errors::length_negative, r, length));
            if (std::cmp_greater(length, width_))
                return detail::fail(reason, error::of_row(errors::segment_past_row, r, length, width_, "the prefill"));
        }
        return true;
    }

    constexpr bool check_options(error& reason) const
    {
        return check_each(options_.kept, reason, indices{}) && check_each(options_.step, reason, step_indices{});
    }
    template <class Fields, std::size_t... I>
    constexpr bool check_each([[maybe_unused]] const Fields& list, [[maybe_unused]] error& reason,
                              std::index_sequence<I...>) const
    {
        return (true && ... && check_option(list.template at<I>(), options_.values(), reason));
    }
    template <class Field>
    static constexpr bool check_option([[maybe_unused]] const Field& field, [[maybe_unused]] const fill_values& values,
                                       [[maybe_unused]] error& reason)
    {
        if constexpr (requires { field.check_options(values, reason); })
            return field.check_options(values, reason);
        else
            return true;
    }

    // Binds kept buffers of `capacity` columns; or says why not, and all is as before.
    template <class... Named>
    constexpr bool rehome(std::size_t capacity, const outputs<Named...>& kept, error& reason)
    {
        if (capacity < width_)
            return detail::fail(reason, error::of(errors::capacity_below_width, capacity, width_));
        std::size_t cells = 0;
        if (!detail::multiply(rows_, capacity, cells))
            return detail::fail(reason, error::of(errors::size_overflow, rows_, capacity));
        typename detail::bound_list<Kept>::type bound{};
        if (!bind(kept, {rows_, capacity, rows_, cells}, bound, reason))
            return false;
        std::apply(
            [&](const auto&... field) {
                kept_ = {{field.data, rows_, capacity, field.row_stride == 0 ? capacity : field.row_stride}...};
            },
            bound);
        capacity_ = capacity;
        return true;
    }

    // The fields of Step, without memory yet.
    template <std::size_t... I>
    constexpr auto step_fields(std::index_sequence<I...>) const noexcept
    {
        return typename detail::bound_list<Step>::type{{.field = &options_.step.template at<I>()}...};
    }

    template <class... Named, class... Field>
    static constexpr bool bind(const outputs<Named...>& out, const detail::extent& of,
                               std::tuple<detail::bound_field<Field>...>& bound, error& reason)
    {
        if constexpr (sizeof...(Field) + sizeof...(Named) == 0)
            return true;
        else
            return detail::bind_spans<fields<Field...>>(out, of, bound, reason);
    }

    // ---- the kept buffers ----

    template <class Key>
    constexpr auto matrix(std::size_t columns) const noexcept
    {
        const auto& all = std::get<kept_list::template find<Key>()>(kept_);
        return std::remove_cvref_t<decltype(all)>(all.data(), rows_, columns, all.row_stride());
    }

    // visit(field, its whole matrix) for each kept field.
    template <class Visit>
    constexpr void each_kept(Visit visit) const
    {
        each_kept(visit, indices{});
    }
    template <class Visit, std::size_t... I>
    constexpr void each_kept(Visit& visit, std::index_sequence<I...>) const
    {
        (visit(options_.kept.template at<I>(), std::get<I>(kept_)), ...);
    }

    // Makes pads of columns [first, first + count) of row r.
    constexpr void pad(std::size_t r, std::size_t first, std::size_t count) const
    {
        if (count == 0)
            return;
        const pad_run pads{r, first, count, lengths()[r], options_.values()};
        each_kept([&](const auto& field, const auto& to) { field.pad(pads, to.row(r).subspan(first, count)); });
    }
    constexpr void pad_from(std::size_t first) const
    {
        for (std::size_t r = 0; r < rows_; ++r)
            pad(r, first, capacity_ - first);
    }

    template <std::size_t... I>
    constexpr void copy_from(const kept_cells& from, std::index_sequence<I...>) const
    {
        for (std::size_t r = 0; r < rows_; ++r)
            (std::copy_n(std::get<I>(from).row(r).data(), width_, std::get<I>(kept_).row(r).data()), ...);
    }

    constexpr void move_row(std::size_t from, std::size_t to)
    {
        each_kept([&](const auto&, const auto& cells) {
            std::copy_n(cells.row(from).data(), width_, cells.row(to).data());
        });
        lengths_.data()[to] = lengths_.data()[from];
        taken_.data()[to] = taken_.data()[from];
        finished_.data()[to] = false;
    }

    // ---- a step ----

    // Who takes how many tokens, and whether there is room for them.
    template <class Bundle>
    constexpr bool measure(const Bundle& bundle, decode_step& step, error& reason) const
    {
        if (bundle.sequence_count() != rows_)
            return detail::fail(reason,
                                error::of(errors::count_mismatch, bundle.sequence_count(), rows_, "the step"));
        if (!bundle.check(reason))
            return false;
        for (std::size_t r = 0; r < rows_; ++r) {
            if (!bundle.check(r, reason))
                return false;
            const std::size_t tokens = bundle.length(r);
            if (is_finished(r) && tokens != 0)
                return detail::fail(reason, error::of_row(errors::row_finished, r, tokens));
            if (!is_finished(r) && tokens == 0 && options_.idle == idle_rows::are_errors)
                return detail::fail(reason, error::of_row(errors::row_without_tokens, r));
            if (const std::size_t left = capacity_ - std::min(column(r), capacity_); tokens > left)
                return detail::fail(reason, error::of_row(errors::decode_past_capacity, r, tokens, left));
            step.width = std::max(step.width, tokens);
            step.tokens += tokens;
        }
        return true;
    }

    // Row r's tokens as fields see them, from `first_column` of a row of `width` on.
    template <class Bundle>
    constexpr segment_view<Bundle> seen(const Bundle& bundle, std::size_t r, std::size_t first_column, std::size_t width) const
    {
        const std::size_t tokens = bundle.length(r);
        segment_view<Bundle> view(bundle, {.sequence = r,
                                           .kept = tokens,
                                           .length = tokens,
                                           .position_begin = lengths()[r],
                                           .first_column = first_column});
        view.row = r;
        view.width = width;
        view.values = options_.values();
        return view;
    }

    template <class Bundle>
    constexpr bool check(const Bundle& bundle, const decode_step& step, error& reason) const
    {
        for (std::size_t r = 0; r < rows_; ++r)
            if (!check_fields(options_.kept, seen(bundle, r, column(r), capacity_), reason, indices{}) ||
                !check_fields(options_.step, seen(bundle, r, 0, step.width), reason, step_indices{}))
                return false;
        return true;
    }
    template <class Fields, class View, std::size_t... I>
    static constexpr bool check_fields([[maybe_unused]] const Fields& list, [[maybe_unused]] const View& view,
                                       [[maybe_unused]] error& reason, std::index_sequence<I...>)
    {
        return (true && ... && check_field(list.template at<I>(), view, reason));
    }
    template <class Field, class View>
    static constexpr bool check_field([[maybe_unused]] const Field& field, [[maybe_unused]] const View& view,
                                      [[maybe_unused]] error& reason)
    {
        if constexpr (requires { field.check_segment(view, reason); })
            return field.check_segment(view, reason);
        else
            return true;
    }

    template <class Bundle, class... Field>
    constexpr void write(const Bundle& bundle, const decode_step& step, const detail::bound_field<Field>&... out)
    {
        (begin(out), ...);
        std::size_t width = width_;
        for (std::size_t r = 0; r < rows_; ++r) {
            const auto view = seen(bundle, r, 0, step.width);
            (write_step(view, out), ...);
            append_row(seen(bundle, r, column(r), capacity_));
            width = std::max(width, column(r) + view.length);
            lengths_.data()[r] += view.length;
            taken_.data()[r] = view.length;
        }
        width_ = width;
        step_ = step;
    }

    // Writes the new cells of row r to the kept buffers. Those where it has a hole are pads already.
    template <class Bundle>
    constexpr void append_row(const segment_view<Bundle>& view) const
    {
        if (view.length != 0)
            each_kept([&](const auto& field, const auto& to) {
                field.write(view, to.row(view.row).subspan(view.first_column, view.length));
            });
    }

    template <class Field>
    static constexpr void begin(const detail::bound_field<Field>& out)
    {
        if constexpr (segment_field<Field>)
            out.field->begin(std::span(out.data, out.elements));
    }
    // Writes row r of a field of Step: its tokens, and pads behind them.
    template <class Bundle, class Field>
    static constexpr void write_step(const segment_view<Bundle>& view, const detail::bound_field<Field>& out)
    {
        if constexpr (segment_field<Field>) {
            out.field->write(view, view.row, std::span(out.data, out.elements));
        } else {
            const std::span row(out.data + view.row * (out.row_stride == 0 ? view.width : out.row_stride), view.width);
            if (view.length != 0)
                out.field->write(view, row.first(view.length));
            if (view.length != view.width)
                out.field->pad({.row = view.row,
                                .first_column = view.length,
                                .length = view.width - view.length,
                                .position = view.position_begin + view.length,
                                .values = view.values},
                               row.subspan(view.length));
        }
    }

    template <class Counts>
    constexpr bool check_accepted(const Counts& counts, error& reason) const
    {
        if (detail::count(counts) != rows_)
            return detail::fail(reason, error::of(errors::count_mismatch, detail::count(counts), rows_, "counts"));
        for (std::size_t r = 0; r < rows_; ++r) {
            const auto accepted = detail::element_at(counts, r);
            if (std::cmp_less(accepted, 0) || std::cmp_greater(accepted, taken_.cells()[r]))
                return detail::fail(reason, error::of_row(errors::count_out_of_range, r, accepted, taken_.cells()[r], "counts"));
        }
        return true;
    }

    options_type options_;
    std::size_t rows_ = 0;
    std::size_t unfinished_ = 0;  // rows
    std::size_t width_ = 0;
    std::size_t capacity_ = 0;
    kept_cells kept_{};
    decode_step step_{};                   // the last one
    detail::buffer<std::size_t> lengths_;  // [rows]
    detail::buffer<std::size_t> taken_;    // [rows], tokens in the last step
    detail::buffer<bool> finished_;        // [rows]
};

}  // namespace batten::serve

#endif
