// SPDX-License-Identifier: MIT
// Length-bucketed collation: the rows of one call, grouped by bucket, one batch for each bucket that has rows.
#ifndef BATTEN_BUCKETED_HPP_INCLUDED
#define BATTEN_BUCKETED_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/collator.hpp>
#include <batten/detail/engine.hpp>
#include <batten/detail/explain_inputs.hpp>
#include <batten/detail/field_list.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/executor.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>
#include <batten/inputs.hpp>
#include <batten/layout.hpp>
#include <batten/length.hpp>
#include <batten/outputs.hpp>
#include <batten/overflow.hpp>
#include <batten/sequences.hpp>
#include <batten/shape.hpp>
#include <batten/side.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace batten {

// One bucket of a call: its batch is rows [first_row, first_row + rows) of the order map, `width` columns wide.
struct bucket {
    std::size_t width = 0;
    std::size_t rows = 0;
    std::size_t first_row = 0;   // in the order map, and in the spans of segment fields
    std::size_t first_cell = 0;  // in the spans of cell fields without a row_stride
    summary totals{};

    friend constexpr bool operator==(const bucket&, const bucket&) noexcept = default;
};

// The size of all batches of a bucketed call together: elements<F>() says how many elements the span of a field needs.
template <class Fields>
class bucketed_extent : public detail::shape_elements<bucketed_extent<Fields>, Fields> {
public:
    constexpr bucketed_extent() = default;
    constexpr explicit bucketed_extent(const detail::extent& of) noexcept : extent_(of) {}

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return extent_.rows; }    // as many as sequences
    [[nodiscard]] constexpr std::size_t width() const noexcept { return extent_.width; }  // of the widest batch
    [[nodiscard]] constexpr std::size_t cells() const noexcept { return extent_.cells; }  // without a row_stride

    [[nodiscard]] constexpr detail::extent extent() const noexcept { return extent_; }

    friend constexpr bool operator==(const bucketed_extent&, const bucketed_extent&) noexcept = default;

private:
    detail::extent extent_{};
};

// The same with the batches told apart.
template <class Fields>
class bucketed_shape : public bucketed_extent<Fields> {
public:
    constexpr bucketed_shape() = default;
    constexpr bucketed_shape(const detail::extent& of, std::vector<bucket> buckets)
        : bucketed_extent<Fields>(of), buckets_(std::move(buckets))
    {
    }

    // Those that have rows, narrowest first.
    [[nodiscard]] constexpr const std::vector<bucket>& buckets() const noexcept { return buckets_; }

private:
    std::vector<bucket> buckets_{};
};

// One batch of a bucketed call, and which of the caller's rows are in it.
template <class Fields>
class bucket_batch : public batch_view<Fields> {
public:
    constexpr bucket_batch(const batch_view<Fields>& batch, std::span<const std::size_t> order) noexcept
        : batch_view<Fields>(batch), order_(order)
    {
    }

    // Row i of this batch is row order()[i] of the caller's sequences.
    [[nodiscard]] constexpr std::span<const std::size_t> order() const noexcept { return order_; }

private:
    std::span<const std::size_t> order_;
};

template <padding_side Side, bucketed_strategy Length, overflow_policy Overflow, class Fields>
class bucketed_collator;

// The batches of a bucketed call, narrowest first; owns their memory. Pass it back to the collator to reuse it.
template <class Fields>
class bucketed_batches {
    template <padding_side Side, bucketed_strategy Length, overflow_policy Overflow, class F>
    friend class bucketed_collator;

public:
    [[nodiscard]] constexpr std::size_t size() const noexcept { return buckets_.size(); }
    [[nodiscard]] constexpr bool empty() const noexcept { return size() == 0; }

    // Batch i: a view, valid as long as this object's memory.
    [[nodiscard]] constexpr bucket_batch<Fields> operator[](std::size_t i) const
    {
        BATTEN_ASSERT(i < size(), "batch past the end");
        return batch_of(buckets_.data()[i], std::make_index_sequence<fields_type::count>{});
    }
    [[nodiscard]] constexpr auto begin() const noexcept { return detail::index_iterator<bucketed_batches>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return detail::index_iterator<bucketed_batches>(this, size()); }

    [[nodiscard]] constexpr std::span<const bucket> buckets() const noexcept { return buckets_.cells(); }
    // The order map of all batches: the caller's rows, those of batch i at [first_row, first_row + rows) of its bucket.
    [[nodiscard]] constexpr std::span<const std::size_t> order() const noexcept { return order_.cells(); }
    // The sum over the batches.
    [[nodiscard]] constexpr const batten::summary& summary() const noexcept { return storage_.summary(); }

private:
    using fields_type = detail::with_reports<Fields>;

    template <std::size_t... I>
    constexpr bucket_batch<Fields> batch_of(const bucket& b, std::index_sequence<I...>) const
    {
        return {batch_view<Fields>(b.rows, b.width, b.totals, {part<I>(b)...}),
                order().subspan(b.first_row, b.rows)};
    }
    template <std::size_t I>
    constexpr auto part(const bucket& b) const
    {
        using field = typename detail::field_list<fields_type>::template type<I>;
        const auto all = storage_.template field_span<I>();
        if constexpr (segment_field<field>)
            return all.subspan(b.first_row, b.rows);
        else
            return all.subspan(b.first_cell, b.rows * b.width);
    }

    basic_batch<Fields> storage_{};  // the batches one after the other
    detail::buffer<std::size_t> order_{};
    detail::buffer<bucket> buckets_{};
    detail::buffer<bucket> spare_{};  // counted into first, so that an error leaves buckets_ as it is
};

// Routes every row to its bucket and yields one batch for each bucket that has rows; no batch for no rows. Rows keep their
// order inside a bucket, and each batch comes with the map back to the caller's rows.
//
// A bucket is an edge of the length strategy; edges that come to the same width (round_up_to) are one bucket. Options
// and calls are those of basic_collator. The maximum of rows in a batch is the caller's: give as many sequences in one call.
//
// Cost     as basic_collator, and O(rows * log edges) to route.
template <padding_side Side, bucketed_strategy Length = bucketed_length, overflow_policy Overflow = reject,
          class Fields = causal_lm_fields>
class bucketed_collator
    : detail::refusing_calls<bucketed_shape<Fields>, bucketed_batches<Fields>, written<bucketed_extent<Fields>>> {
    using refusing = detail::refusing_calls<bucketed_shape<Fields>, bucketed_batches<Fields>, written<bucketed_extent<Fields>>>;
    using layout = padded<Side, Length, Overflow>;
    using inner_type = basic_collator<layout, Fields>;

public:
    using layout_type = layout;
    using fields_type = Fields;
    using options_type = batten::options<layout, Fields>;
    using shape_type = bucketed_shape<Fields>;
    using written_type = written<bucketed_extent<Fields>>;
    using batch_type = bucketed_batches<Fields>;

    constexpr explicit bucketed_collator(options_type settings) : bucketed_collator(inner_type(std::move(settings))) {}

    // The constructor that returns its error.
    [[nodiscard]] static constexpr result<bucketed_collator> try_make(options_type settings)
    {
        result<inner_type> inner = inner_type::try_make(std::move(settings));
        if (!inner)
            return inner.error();
        return bucketed_collator(*std::move(inner));
    }

    [[nodiscard]] constexpr const options_type& options() const noexcept { return inner_.options(); }

    // The buckets that `in` would fill, and elements a field. Validates all that `into` would.
    template <collatable In>
    [[nodiscard]] constexpr result<shape_type> try_shape(const In& in) const
    {
        const auto bundle = bundle_of(in);
        std::vector<bucket> buckets(edges_.size());
        routed found;
        error reason;
        if (!validate(bundle, detail::bind_fields<Fields>(fields_of()), found, reason, counter{buckets}))
            return reason;
        buckets.resize(lay_out(buckets));
        return shape_type(found.of, std::move(buckets));
    }
    template <collatable In>
    [[nodiscard]] constexpr shape_type shape(const In& in) const
    {
        return try_shape(in).value();
    }

    // Writes into the caller's memory: the batches one after the other, narrowest first, and the order map. Returns the size and
    // the totals of all batches; shape() tells them apart. Never allocates.
    //
    // Shapes    order [rows of the inputs]: row i of the batches is the caller's row order[i]; each other span as shape() says;
    //           all of them or more
    template <collatable In, class... Named, executor Executor = serial>
    constexpr result<written_type> try_into(const In& in, const outputs<Named...>& out, std::span<std::size_t> order,
                                       const Executor& run = {}) const
    {
        using list = detail::written_fields<Fields, Named...>;
        const auto bundle = bundle_of(in);
        auto bound = detail::bind_fields<list>(fields_of());
        routed found;
        error reason;
        if (!validate(bundle, bound, found, reason, [](auto&&...) {}) ||
            !detail::bind_spans<list>(out, found.of, bound, reason))
            return reason;
        if (order.size() < found.of.rows)
            return error::of(errors::span_too_small, found.of.rows, order.size(), "the order map");
        route(bundle, bound, order.first(found.of.rows), run);
        return written_type{bucketed_extent<Fields>(found.of), found.totals};
    }
    template <collatable In, class... Named, executor Executor = serial>
    constexpr written_type into(const In& in, const outputs<Named...>& out, std::span<std::size_t> order,
                           const Executor& run = {}) const
    {
        return try_into(in, out, order, run).value();
    }

    // New batches that own their memory.
    template <collatable In>
    [[nodiscard]] constexpr result<batch_type> try_collate(const In& in) const
    {
        batch_type batches;
        const result<written_type> done = try_collate(in, batches);
        if (!done)
            return done.error();
        return batches;
    }
    template <collatable In>
    [[nodiscard]] constexpr batch_type operator()(const In& in) const
    {
        return try_collate(in).value();
    }

    // The same into batches that are reused: allocates only where they have less room than they ever had.
    template <collatable In, executor Executor = serial>
    constexpr result<written_type> try_collate(const In& in, batch_type& batches, const Executor& run = {}) const
    {
        const auto bundle = bundle_of(in);
        auto bound = detail::bind_fields<detail::with_reports<Fields>>(fields_of());
        detail::buffer<bucket>& counted = batches.spare_;
        detail::buffer<std::size_t> order;
        routed found;
        error reason;
        if (!counted.reserve(edges_.size()))
            return error::of(errors::out_of_memory, edges_.size() * sizeof(bucket));
        counted.resize_within(edges_.size());
        std::fill_n(counted.data(), counted.size(), bucket{});
        if (!validate(bundle, bound, found, reason, counter{counted.cells()}) ||
            !detail::grow_aside(batches.order_, order, found.of.rows, reason) ||
            !batches.storage_.prepare(found.of, reason))
            return reason;
        detail::take_grown(batches.order_, order, found.of.rows);
        counted.resize_within(lay_out(counted.cells()));
        std::swap(batches.buckets_, batches.spare_);
        static_cast<void>(batches.spare_.reserve(edges_.size()));  // now, so that the next call need not
        detail::bind_batch(batches.storage_, bound);
        route(bundle, bound, batches.order_.cells(), run);
        batches.storage_.set_summary(found.totals);
        return written_type{bucketed_extent<Fields>(found.of), found.totals};
    }
    template <collatable In, executor Executor = serial>
    constexpr written_type operator()(const In& in, batch_type& batches, const Executor& run = {}) const
    {
        return try_collate(in, batches, run).value();
    }

    // Inputs that no call takes: a sentence, instead of a list of candidates.
    using refusing::into;
    using refusing::operator();
    using refusing::shape;
    using refusing::try_collate;
    using refusing::try_into;
    using refusing::try_shape;

private:
    // What validation found out about all rows together.
    struct routed {
        detail::extent of{};
        summary totals{};
    };

    // Adds a row up in its bucket.
    struct counter {
        std::span<bucket> buckets;

        constexpr void operator()(std::size_t index, const detail::measured& row) const
        {
            bucket& into = buckets[index];
            into.width = row.width;
            into.rows += 1;
            into.totals += row.totals;
        }
    };

    constexpr explicit bucketed_collator(inner_type&& inner) : inner_(std::move(inner))
    {
        const Length& strategy = options().length;
        for (const std::size_t edge : length_traits<Length>::edges(strategy)) {
            const std::size_t width = length_traits<Length>::width(strategy, std::span(&edge, 1));
            if (!widths_.empty() && widths_.back() == width) {
                edges_.back() = edge;
            } else {
                edges_.push_back(edge);
                widths_.push_back(width);
            }
        }
    }

    constexpr const Fields& fields_of() const noexcept { return options().fields; }

    // Everything that can be wrong is found here, before the first write.
    template <class Bundle, class Bound, class OnRow>
    constexpr bool validate(const Bundle& bundle, const Bound& bound, routed& found, error& reason, OnRow&& on_row) const
    {
        const detail::engine<layout, options_type, Bundle> engine(options(), bundle);
        if (!bundle.check(reason))
            return false;
        const std::size_t maximum = max_width_of(options().length);
        found.of.rows = found.of.segments = bundle.sequence_count();
        for (std::size_t r = 0; r < found.of.rows; ++r) {
            detail::measured row{.rows = r, .segments = r};
            if (!engine.measure_row(r, row, reason))
                return false;
            const std::size_t length = row.longest;
            row.width = length_traits<Length>::width(options().length, std::span(&length, 1));
            if (row.width > maximum)
                return detail::fail(reason, error::of(errors::width_past_maximum, row.width, maximum));
            const std::size_t index = detail::bucket_of(edges_, length);
            if (index == edges_.size() || length > row.width) {
                const std::size_t most = index != edges_.size() ? row.width : (widths_.empty() ? 0 : widths_.back());
                return detail::fail(reason, error::of_row(errors::row_past_width, r, length, most));
            }
            if (row.width != widths_[index])
                return detail::fail(
                    reason, error::of(errors::bucket_width_unsteady, row.width, widths_[index]));
            row.totals.padded_cells = row.width - length;
            const auto check = [&](const auto&... out) { return engine.check_row(r, row.width, row.totals, reason, out...); };
            if (!std::apply(check, bound))
                return false;
            if (!detail::add(found.of.cells, row.width, found.of.cells) || found.of.cells > detail::size_limit / 16)
                return detail::fail(reason, error::of(errors::size_overflow, found.of.rows, row.width));
            found.of.width = std::max(found.of.width, row.width);
            found.totals += row.totals;
            on_row(index, row);
        }
        return true;
    }

    // Takes the buckets without rows out and sets where the others begin; returns how many are left.
    static constexpr std::size_t lay_out(std::span<bucket> buckets)
    {
        std::size_t filled = 0;
        std::size_t first_row = 0;
        std::size_t first_cell = 0;
        for (bucket b : buckets) {
            if (b.rows == 0)
                continue;
            b.first_row = first_row;
            b.first_cell = first_cell;
            first_row += b.rows;
            first_cell += b.rows * b.width;
            buckets[filled++] = b;
        }
        return filled;
    }

    // Writes the order map and the batches: a stable counting sort, some buckets at a time, so that nothing is allocated whatever
    // the number of buckets.
    template <class Bundle, class Bound, class Executor>
    constexpr void route(const Bundle& bundle, const Bound& bound, std::span<std::size_t> order, const Executor& run) const
    {
        constexpr std::size_t at_a_time = 128;
        const detail::engine<layout, options_type, Bundle> all(options(), bundle);
        std::size_t first_row = 0;
        std::size_t first_cell = 0;
        for (std::size_t first = 0; first < edges_.size(); first += at_a_time) {
            std::array<std::size_t, at_a_time + 1> begin{};  // of each bucket's rows; one slot further while they are counted
            const auto each_row = [&](auto&& body) {
                for (std::size_t r = 0; r < order.size(); ++r) {
                    const std::size_t index = detail::bucket_of(edges_, all.row_length(r));
                    if (index >= first && index - first < at_a_time)
                        body(r, index - first);
                }
            };
            each_row([&](std::size_t, std::size_t index) { ++begin[index + 1]; });
            begin[0] = first_row;
            for (std::size_t i = 1; i <= at_a_time; ++i)
                begin[i] += begin[i - 1];
            std::array<std::size_t, at_a_time + 1> next = begin;
            each_row([&](std::size_t r, std::size_t index) { order[next[index]++] = r; });
            for (std::size_t i = 0; i < at_a_time && first + i < edges_.size(); ++i) {
                const std::size_t rows = begin[i + 1] - begin[i];
                if (rows == 0)
                    continue;
                fill_bucket(bundle, bound, order.subspan(begin[i], rows), widths_[first + i], begin[i], first_cell,
                            run);
                first_cell += rows * widths_[first + i];
            }
            first_row = begin[at_a_time];
        }
    }

    template <class Bundle, class Bound, class Executor>
    constexpr void fill_bucket(const Bundle& bundle, Bound bound, std::span<const std::size_t> rows, std::size_t width,
                               std::size_t first_row, std::size_t first_cell, const Executor& run) const
    {
        const selected_bundle<Bundle, std::size_t> chosen(bundle, rows);
        const detail::engine<layout, options_type, selected_bundle<Bundle, std::size_t>> engine(options(), chosen);
        const detail::measured found{.rows = rows.size(), .width = width, .segments = rows.size()};
        const auto move_to = [&]<class Field>(detail::bound_field<Field>& out) {
            static_assert(detail::extra_of<Field>() == 0,
                          "batten: a segment field with extra elements has no place in a bucketed call");
            if constexpr (segment_field<Field>) {
                out.data += first_row;
                out.elements = rows.size();
            } else {
                out.data += out.row_stride == 0 ? first_cell : first_row * out.row_stride;
            }
        };
        std::apply(
            [&](auto&... out) {
                (move_to(out), ...);
                engine.fill(found, run, out...);
            },
            bound);
    }

    inner_type inner_;
    std::vector<std::size_t> edges_{};   // bucket i holds rows of up to edges_[i] columns
    std::vector<std::size_t> widths_{};  // in batches that are widths_[i] wide
};

}  // namespace batten

#endif
