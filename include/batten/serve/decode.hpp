// SPDX-License-Identifier: MIT
// Decoding a padded batch: after the prefill, each step appends its tokens to what the caller's buffers already hold.
#ifndef BATTEN_SERVE_DECODE_HPP_INCLUDED
#define BATTEN_SERVE_DECODE_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/detail/field_ops.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>
#include <batten/inputs.hpp>
#include <batten/integer.hpp>
#include <batten/matrix.hpp>
#include <batten/outputs.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/cache_policy.hpp>
#include <batten/serve/decode_options.hpp>
#include <batten/serve/detail/prefill.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/fields.hpp>
#include <batten/shape.hpp>
#include <batten/targets.hpp>

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

// What a step came to. The KV cache of an aligned_cache batch takes it in columns [first_column, first_column + width).
struct decode_step {
    std::size_t first_column = 0;  // columns in use before it
    std::size_t width = 0;         // the most tokens that a row took
    std::size_t tokens = 0;        // of all rows

    friend constexpr bool operator==(const decode_step&, const decode_step&) noexcept = default;
};

// In a map of compaction: the row is gone.
inline constexpr std::size_t dropped_row = static_cast<std::size_t>(-1);

namespace detail {

// One token for each row, as a sampler yields them: a sequence of one, or of none where the row is finished.
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

}  // namespace detail

// ---- the batch ---------------------------------------------------------------------------------------------------------

// A batch that grows by a step at a time, in memory of the caller's, which must outlive it: what a server feeds its model.
//
//     decode_batch<> decode({.pad_id = 0}, prefill, capacity, outputs{set<attention_mask>(mask)});
//     decode.append(sampled, outputs{set<token_ids>(ids), set<position_ids>(positions)});
//
// Persistent fields grow, [rows, capacity]; Step fields are written anew by each step, [rows, k], k the most tokens that a row
// takes. Any cell field may be either. Positions count the tokens of a row; Cache says which columns they take. A row without a
// token in a column has a hole there, written as a pad: mask 0, pad_id, ignore_index, position 0. Segment fields see the step's
// tokens in their row of the batch, so that first_columns are columns of the cache.
//
// Cost  a step writes the new cells alone, O(rows * k): it neither moves the others nor allocates.
template <class Persistent = fields<attention_mask<>>, class Step = fields<token_ids<>, position_ids<>>,
          cache_policy Cache = aligned_cache>
class decode_batch {
public:
    using options_type = decode_options<Persistent, Step>;

    // Starts from a prefill that is in the persistent buffers already: collator.into(prompts, ...) with a row_stride wrote it
    // there. It stays as it is; only the columns to come are written, as pads.
    //
    // Shapes    lengths [rows], tokens of each row (a batch's lengths()); persistent spans (rows - 1) * row_stride + capacity or
    //           more; a row_stride of 0 is the capacity; `begin`: the prefill's side, or [rows] first columns. With
    //           aligned_cache it may be left out
    // Errors    a length that is negative or past the width; a row whose next token would take a column in use (ragged_cache
    //           over pads on the left); a capacity under the width; spans too small; the options.
    // Cost      O(rows * (capacity - width)), once; the one allocation: some bytes for each row.
    template <integer_range Lengths, class... Named, detail::row_begins Begin>
    [[nodiscard]] static constexpr result<decode_batch> try_start(options_type settings, const Lengths& lengths,
                                                                  std::size_t width, std::size_t capacity,
                                                                  const outputs<Named...>& persistent, const Begin& begin)
    {
        decode_batch made(std::move(settings));
        error reason;
        if (!made.take(lengths, begin, width, capacity, persistent, reason))
            return reason;
        made.pad_from(width);
        return made;
    }
    template <integer_range Lengths, class... Named, detail::row_begins Begin>
    constexpr decode_batch(options_type settings, const Lengths& lengths, std::size_t width, std::size_t capacity,
                           const outputs<Named...>& persistent, const Begin& begin)
        : decode_batch(try_start(std::move(settings), lengths, width, capacity, persistent, begin).value())
    {
    }
    template <integer_range Lengths, class... Named>
    [[nodiscard]] static constexpr result<decode_batch> try_start(options_type settings, const Lengths& lengths,
                                                                  std::size_t width, std::size_t capacity,
                                                                  const outputs<Named...>& persistent)
    {
        static_assert(std::same_as<Cache, aligned_cache>,
                      "batten::decode_batch: this cache policy depends on where the rows of the prefill begin: give its side as "
                      "the last argument, pad_right{}, or start from the batch");
        return try_start(std::move(settings), lengths, width, capacity, persistent, detail::any_column{});
    }
    template <integer_range Lengths, class... Named>
    constexpr decode_batch(options_type settings, const Lengths& lengths, std::size_t width, std::size_t capacity,
                           const outputs<Named...>& persistent)
        : decode_batch(try_start(std::move(settings), lengths, width, capacity, persistent).value())
    {
    }

    // Starts from a batch: copies its persistent fields, which it must have with the same element types, into the buffers. The
    // batch knows where its rows begin.
    //
    // Errors  as above; a row that holds several sequences, or none.
    // Cost    O(rows * capacity), once.
    template <detail::collated Batch, class... Named>
    [[nodiscard]] static constexpr result<decode_batch> try_start(options_type settings, const Batch& prefill,
                                                                  std::size_t capacity, const outputs<Named...>& persistent)
    {
        decode_batch made(std::move(settings));
        error reason;
        if (!detail::check_one_sequence_per_row(prefill, reason) ||
            !made.take(prefill.lengths(), prefill.first_columns(), prefill.width(), capacity, persistent, reason))
            return reason;
        made.each_persistent([&]<class Field>(const Field&, const auto& to) {
            const auto from = prefill.template view<Field>();
            for (std::size_t r = 0; r < from.rows(); ++r)
                std::copy_n(from.row(r).data(), from.width(), to.row(r).data());
        });
        made.pad_from(prefill.width());
        return made;
    }
    template <detail::collated Batch, class... Named>
    constexpr decode_batch(options_type settings, const Batch& prefill, std::size_t capacity,
                           const outputs<Named...>& persistent)
        : decode_batch(try_start(std::move(settings), prefill, capacity, persistent).value())
    {
    }

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] constexpr std::size_t unfinished_rows() const noexcept { return unfinished_; }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return width_; }  // columns in use, holes among them
    [[nodiscard]] constexpr std::size_t capacity() const noexcept { return capacity_; }

    // Tokens of each row so far, and so the position of its next one.
    [[nodiscard]] constexpr std::span<const std::size_t> lengths() const noexcept { return lengths_.cells(); }

    // The column of row r's next token. Requires: r < rows().
    [[nodiscard]] constexpr std::size_t column(std::size_t r) const { return Cache::next(width_, lengths()[r]); }

    // A persistent field up to the columns in use: [rows, width()], with the buffer's row_stride. Named as get.
    template <class Field>
    [[nodiscard]] constexpr auto view() const noexcept
    {
        return matrix<detail::by_type<Field>>(width_);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto view() const noexcept
    {
        return matrix<detail::by_template<Field>>(width_);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto view() const noexcept
    {
        return matrix<detail::by_name<Name>>(width_);
    }

    // The same with all columns, those to come as pads: [rows, capacity], one shape for every step.
    template <class Field>
    [[nodiscard]] constexpr auto full_view() const noexcept
    {
        return matrix<detail::by_type<Field>>(capacity_);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto full_view() const noexcept
    {
        return matrix<detail::by_template<Field>>(capacity_);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto full_view() const noexcept
    {
        return matrix<detail::by_name<Name>>(capacity_);
    }

    // Appends one step: a sequence of tokens for each row, empty for those that are finished. Any inputs that a collator takes,
    // so vector<vector<int>>, ragged_view, inputs{...} with columns; strided_sequences for [rows, k] and counts.
    //
    // Shapes   a sequence for each row; `out`: each field of Step [rows, k] or more, or with a row_stride; segment fields [rows]
    // Errors   other than one sequence for each row; a finished row with tokens, another without (idle_rows); a row past the
    //          capacity; spans too small; a token or position that a field's type cannot hold. Then nothing has changed.
    template <collatable In, class... Named>
    constexpr result<decode_step> try_append(const In& in, const outputs<Named...>& out)
    {
        const auto bundle = bundle_of(in);
        decode_step step{.first_column = width_};
        auto bound = detail::bind_fields<Step>(options_.step);
        error reason;
        if (!measure(bundle, step, reason) || !bind(out, {rows_, step.width, rows_, rows_ * step.width}, bound, reason))
            return reason;
        const auto check_each = [&](const auto&... field) { return check(bundle, step, reason, field...); };
        if (!std::apply(check_each, bound))
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

    // The same where every field is persistent.
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
    // draft. The others become holes that take no position; columns in which no row has a token left are free again.
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
            const std::size_t end = Cache::next(step_.first_column, before) + accepted;
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
    // no other row moves. map[old row] is the new one, or dropped_row; move the KV cache by it, row by row in any order: rows
    // move from places after the new end to places before it.
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

    // Moves to larger buffers of the caller's: copies the columns in use and fills those to come. The old ones are free afterwards.
    //
    // Requires  buffers that do not overlap the old ones.
    // Errors    a capacity under width(); spans too small. Then all is as before.
    // Cost      O(rows * capacity)
    template <class... Named>
    constexpr result<std::size_t> try_grow(std::size_t capacity, const outputs<Named...>& persistent)
    {
        const persistent_cells old = persistent_;
        error reason;
        if (!rehome(capacity, persistent, reason))
            return reason;
        copy_from(old);
        pad_from(width_);
        return capacity;
    }
    template <class... Named>
    constexpr void grow(std::size_t capacity, const outputs<Named...>& persistent)
    {
        static_cast<void>(try_grow(capacity, persistent).value());
    }

private:
    using persistent_list = detail::field_list<Persistent>;
    using persistent_cells = typename detail::matrix_list<Persistent>::type;  // full matrices, of as many rows as at the start
    using indices = std::make_index_sequence<Persistent::count>;

    constexpr explicit decode_batch(options_type settings) : options_(std::move(settings)) {}

    // ---- the start ----

    // Everything that can be wrong with a start. Nothing of the caller's is written.
    template <class Lengths, class Begin, class... Named>
    constexpr bool take(const Lengths& lengths, const Begin& begin, std::size_t width, std::size_t capacity,
                        const outputs<Named...>& persistent, error& reason)
    {
        rows_ = unfinished_ = detail::count(lengths);
        width_ = width;
        if (!check_options(reason) || !detail::check_prefill<Cache>(lengths, begin, width, reason) ||
            !rehome(capacity, persistent, reason))
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

    constexpr bool check_options(error& reason) const
    {
        if (options_.targets == next_token_drop_last)
            return detail::fail(reason, error::of(errors::target_without_column));
        return detail::check_all_options(options_.persistent, options_.values(), reason) &&
               detail::check_all_options(options_.step, options_.values(), reason);
    }

    // Binds persistent buffers of `capacity` columns; or says why not, and all is as before.
    template <class... Named>
    constexpr bool rehome(std::size_t capacity, const outputs<Named...>& persistent, error& reason)
    {
        if (capacity < width_)
            return detail::fail(reason, error::of(errors::capacity_below_width, capacity, width_));
        std::size_t cells = 0;
        if (!detail::multiply(rows_, capacity, cells))
            return detail::fail(reason, error::of(errors::size_overflow, rows_, capacity));
        typename detail::bound_list<Persistent>::type bound{};
        if (!bind(persistent, {rows_, capacity, rows_, cells}, bound, reason))
            return false;
        std::apply(
            [&](const auto&... field) {
                persistent_ = {{field.data, rows_, capacity, field.row_stride == 0 ? capacity : field.row_stride}...};
            },
            bound);
        capacity_ = capacity;
        return true;
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

    // ---- the persistent buffers ----

    template <class Key>
    constexpr auto matrix(std::size_t columns) const noexcept
    {
        const auto& all = std::get<persistent_list::template find<Key>()>(persistent_);
        return std::remove_cvref_t<decltype(all)>(all.data(), rows_, columns, all.row_stride());
    }

    // visit(field, its full matrix) for each persistent field.
    template <class Visit>
    constexpr void each_persistent(Visit visit) const
    {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            (visit(options_.persistent.template at<I>(), std::get<I>(persistent_)), ...);
        }(indices{});
    }

    // Makes pads of columns [first, first + count) of row r.
    constexpr void pad(std::size_t r, std::size_t first, std::size_t count) const
    {
        if (count == 0)
            return;
        const pad_run pads{r, first, count, lengths()[r], options_.values()};
        each_persistent([&](const auto& field, const auto& to) { field.pad(pads, to.row(r).subspan(first, count)); });
    }
    constexpr void pad_from(std::size_t first) const
    {
        for (std::size_t r = 0; r < rows_; ++r)
            pad(r, first, capacity_ - first);
    }

    constexpr void copy_from(const persistent_cells& from) const
    {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            for (std::size_t r = 0; r < rows_; ++r)
                (std::copy_n(std::get<I>(from).row(r).data(), width_, std::get<I>(persistent_).row(r).data()), ...);
        }(indices{});
    }

    constexpr void move_row(std::size_t from, std::size_t to)
    {
        each_persistent([&](const auto&, const auto& cells) {
            std::copy_n(cells.row(from).data(), width_, cells.row(to).data());
        });
        lengths_.data()[to] = lengths_.data()[from];
        taken_.data()[to] = taken_.data()[from];
        finished_.data()[to] = false;
    }

    // ---- a step ----

    // How many tokens each row takes, and whether there is room for them.
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

    // Row r's tokens as one segment of its row, of `capacity` columns. `values`: those of the options, put together once a step.
    template <class Bundle>
    constexpr segment_view<Bundle> seen(const Bundle& bundle, std::size_t r, const fill_values& values) const
    {
        const std::size_t tokens = bundle.length(r);
        segment_view<Bundle> view(bundle, {.sequence = r,
                                           .kept = tokens,
                                           .length = tokens,
                                           .position_begin = lengths()[r],
                                           .first_column = column(r)});
        view.row = r;
        view.width = capacity_;
        view.values = values;
        // The token before the first one stands in the same row, and predicts it: under model_shifts, too, each is a target.
        view.align(options_.targets == model_shifts && view.position_begin != 0 ? same_position : options_.targets, false);
        return view;
    }

    // The same as the cell fields of Step see it: in the matrix of the step.
    template <class Bundle>
    static constexpr void move_to_step(segment_view<Bundle>& view, std::size_t width) noexcept
    {
        view.first_column = 0;
        view.width = width;
    }

    template <class Bundle, class... Field>
    constexpr bool check(const Bundle& bundle, const decode_step& step, error& reason,
                         const detail::bound_field<Field>&... out) const
    {
        const fill_values values = options_.values();
        for (std::size_t r = 0; r < rows_; ++r) {
            auto view = seen(bundle, r, values);
            if (!detail::check_all_segments(options_.persistent, view, reason) ||
                !(true && ... && (cell_field<Field> || detail::check_segment(*out.field, view, reason))))
                return false;
            move_to_step(view, step.width);
            if (!(true && ... && (segment_field<Field> || detail::check_segment(*out.field, view, reason))))
                return false;
        }
        return true;
    }

    template <class Bundle, class... Field>
    constexpr void write(const Bundle& bundle, const decode_step& step, const detail::bound_field<Field>&... out)
    {
        (detail::begin_field(out), ...);
        const fill_values values = options_.values();
        std::size_t width = width_;
        for (std::size_t r = 0; r < rows_; ++r) {
            auto view = seen(bundle, r, values);
            append_row(view);
            (write_segment(out, view), ...);
            width = std::max(width, view.first_column + view.length);
            lengths_.data()[r] += view.length;
            taken_.data()[r] = view.length;
            move_to_step(view, step.width);
            (write_tokens(out, view), ...);
        }
        width_ = width;
        step_ = step;
    }

    // Writes the new cells of a row to the persistent buffers. Those where it has a hole are pads already.
    template <class Bundle>
    constexpr void append_row(const segment_view<Bundle>& view) const
    {
        if (view.length != 0)
            each_persistent([&](const auto& field, const auto& to) {
                field.write(view, to.row(view.row).subspan(view.first_column, view.length));
            });
    }

    template <class Field, class View>
    static constexpr void write_segment(const detail::bound_field<Field>& out, const View& view)
    {
        if constexpr (segment_field<Field>)
            out.field->write(view, view.row, detail::elements(out));
    }
    // Writes a row of a cell field of Step: its tokens, and pads after them.
    template <class Field, class View>
    static constexpr void write_tokens(const detail::bound_field<Field>& out, const View& view)
    {
        using value = typename Field::value_type;
        if constexpr (cell_field<Field>)
            detail::write_with_pads_after(*out.field, view,
                                          std::span<value>(detail::cell(out, view.row, view.width, 0), view.width));
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
    persistent_cells persistent_{};
    decode_step step_{};                   // the last one
    detail::buffer<std::size_t> lengths_;  // [rows]
    detail::buffer<std::size_t> taken_;    // [rows], tokens in the last step
    detail::buffer<bool> finished_;        // [rows]
};

}  // namespace batten::serve

#endif
