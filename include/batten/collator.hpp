// SPDX-License-Identifier: MIT
// The front door: options, basic_collator, collator.
#ifndef BATTEN_COLLATOR_HPP_INCLUDED
#define BATTEN_COLLATOR_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/detail/engine.hpp>
#include <batten/detail/explain_inputs.hpp>
#include <batten/detail/field_list.hpp>
#include <batten/detail/field_ops.hpp>
#include <batten/detail/near_misses.hpp>
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
#include <batten/targets.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten {

namespace detail {

// Run only where the option is left out.
template <class Length>
constexpr Length default_length()
{
    static_assert(std::is_default_constructible_v<Length>, "batten: this length has no default: write .length = {512}");
    if constexpr (std::is_default_constructible_v<Length>)
        return Length{};
    else
        return default_length<Length>();  // after the error, so that there is no second one
}

}  // namespace detail

// The options of a collator, as one aggregate, in the order below: options{.pad_id = 0, .length = {512}}.
template <class Layout, class Fields>
struct options {
    static_assert(detail::explain_layout<Layout>());
    static_assert(!detail::field_list<Fields>::template any<detail::needs_one_row> || requires { requires Layout::is_one_row; },
                  "batten: cu_seqlens belongs to the packed layout: use a varlen_collator; for padded rows see varlen.hpp");
    static constexpr bool needs_pad_id = detail::field_list<Fields>::template any<detail::uses_pad_id>;
    using side_type = typename Layout::side_type;
    using length_type = typename Layout::length_type;
    using overflow_type = typename Layout::overflow_type;

    integer pad_id = detail::default_pad_id<needs_pad_id>();  // what token ids hold on pads; has no default
    [[no_unique_address]] length_type length = detail::default_length<length_type>();
    [[no_unique_address]] overflow_type overflow{};
    [[no_unique_address]] side_type side{};
    target_alignment targets = model_shifts;                  // which token a column is trained to predict
    integer ignore_index = -100;                              // what labels hold where nothing is trained
    [[no_unique_address]] Fields fields{};                    // for fields with options of their own
    store_policy stores = ordinary;                           // non_temporal: past the caches, see executor.hpp

    // No options: each is a compile error that names the option meant.
    [[no_unique_address]] detail::max_length_option max_length{};
    [[no_unique_address]] detail::truncation_option truncation{};
    [[no_unique_address]] detail::padding_option padding{};
    [[no_unique_address]] detail::padding_side_option padding_side{};
    [[no_unique_address]] detail::pad_to_multiple_of_option pad_to_multiple_of{};
    [[no_unique_address]] detail::pad_token_id_option pad_token_id{};
    [[no_unique_address]] detail::label_pad_token_id_option label_pad_token_id{};
    [[no_unique_address]] detail::return_tensors_option return_tensors{};

    [[nodiscard]] constexpr fill_values values() const noexcept { return {pad_id, ignore_index}; }
};

// Turns ragged sequences into one batch. Layout says where tokens go, Fields what is written there.
//
// Every call takes sequences (vector<vector<int>>, ragged_view, each(...)), a bundle (inputs{...}) or a selection of either
// (select(...)). A call that ends in an error writes nothing, and leaves a batch passed back as before.
//
// Errors   of the options: when the collator is made; of the data: at each call (error.hpp lists them). The calls throw
//          batten::exception; those named try_ return the error instead. Both validate alike.
// Threads  none of its own; into() and the reusing calls take an executor (executor.hpp) as their last argument.
// Cost     bytes written once, tokens read once; O(rows) to validate. A const collator may be used by many threads.
template <class Layout, class Fields>
class basic_collator : detail::refusing_calls<batch_shape<Fields>, basic_batch<Fields>, written<batch_shape<Fields>>> {
    using refusing = detail::refusing_calls<batch_shape<Fields>, basic_batch<Fields>, written<batch_shape<Fields>>>;
    static_assert(detail::explain_layout<Layout>() && detail::explain_fields<Fields>());

public:
    using layout_type = Layout;
    using fields_type = Fields;
    using options_type = batten::options<Layout, Fields>;
    using shape_type = batch_shape<Fields>;
    using written_type = written<shape_type>;
    using batch_type = basic_batch<Fields>;

    constexpr explicit basic_collator(options_type settings) : options_(std::move(settings))
    {
        error reason;
        if (!check(options_, reason))
            detail::raise(reason);
    }

    // Never called. Compilers show a misspelt option as a constructor that was not found, with what they tried: this name.
    template <class misspelt_or_out_of_order_options_are_pad_id_length_overflow_side_targets_ignore_index_fields_stores>
    explicit basic_collator(
        std::type_identity<
            misspelt_or_out_of_order_options_are_pad_id_length_overflow_side_targets_ignore_index_fields_stores>) = delete;

    // The constructor, with the error returned.
    [[nodiscard]] static constexpr result<basic_collator> try_make(options_type settings)
    {
        error reason;
        if (!check(settings, reason))
            return reason;
        return basic_collator(std::move(settings), checked{});
    }

    [[nodiscard]] constexpr const options_type& options() const noexcept { return options_; }

    // The size of the batch that `in` would become. Validates all that `into` would. Cost: O(rows).
    template <collatable In>
    [[nodiscard]] constexpr result<shape_type> try_shape(const In& in) const
    {
        const auto bundle = bundle_of(in);
        detail::measured found;
        error reason;
        if (!measure(bundle, detail::bind_fields<Fields>(options_.fields), found, reason))
            return reason;
        return shape_type(extent_of(found));
    }
    template <collatable In>
    [[nodiscard]] constexpr shape_type shape(const In& in) const
    {
        return try_shape(in).value();
    }

    // Writes into the caller's memory, and returns the shape and the totals. Never allocates.
    //
    // Shapes    each span rows * width elements (or (rows - 1) * row_stride + width), as shape() says, or more: what is larger, a
    //           buffer for the largest batch, keeps its other elements
    // Requires  spans that do not overlap one another or the inputs.
    template <collatable In, class... Named, executor Executor = serial>
    constexpr result<written_type> try_into(const In& in, const outputs<Named...>& out, const Executor& run = {}) const
    {
        using list = detail::written_fields<Fields, Named...>;
        const auto bundle = bundle_of(in);
        auto bound = detail::bind_fields<list>(options_.fields);
        detail::measured found;
        error reason;
        if (!measure(bundle, bound, found, reason) || !detail::bind_spans<list>(out, extent_of(found), bound, reason))
            return reason;
        fill(bundle, bound, found, run);
        return written_type{shape_type(extent_of(found)), found.totals};
    }
    template <collatable In, class... Named, executor Executor = serial>
    constexpr written_type into(const In& in, const outputs<Named...>& out, const Executor& run = {}) const
    {
        return try_into(in, out, run).value();
    }

    // A new batch that owns its memory.
    template <collatable In>
    [[nodiscard]] constexpr result<batch_type> try_collate(const In& in) const
    {
        batch_type batch;
        const result<written_type> done = try_collate(in, batch);
        if (!done)
            return done.error();
        return batch;
    }
    template <collatable In>
    [[nodiscard]] constexpr batch_type operator()(const In& in) const
    {
        return try_collate(in).value();
    }

    // The same into a batch that is reused: allocates only where it has less room than it ever had.
    template <collatable In, executor Executor = serial>
    constexpr result<written_type> try_collate(const In& in, batch_type& batch, const Executor& run = {}) const
    {
        const auto bundle = bundle_of(in);
        auto bound = detail::bind_fields<typename batch_type::fields_type>(options_.fields);
        detail::measured found;
        error reason;
        if (!measure(bundle, bound, found, reason) || !batch.prepare(extent_of(found), reason))
            return reason;
        detail::bind_batch(batch, bound);
        fill(bundle, bound, found, run);
        batch.set_summary(found.totals);
        return written_type{batch.shape(), found.totals};
    }
    template <collatable In, executor Executor = serial>
    constexpr written_type operator()(const In& in, batch_type& batch, const Executor& run = {}) const
    {
        return try_collate(in, batch, run).value();
    }

    // Inputs that no call takes: a sentence, instead of a list of candidates.
    using refusing::into;
    using refusing::operator();
    using refusing::shape;
    using refusing::try_collate;
    using refusing::try_into;
    using refusing::try_shape;

private:
    struct checked {};
    constexpr basic_collator(options_type&& settings, checked) : options_(std::move(settings)) {}

    static constexpr bool check(const options_type& settings, error& reason)
    {
        using side = typename Layout::side_type;
        if constexpr (padding_side<side>)
            static_assert(!detail::field_list<Fields>::template any<detail::needs_pads_last> || detail::pads_come_last<side>(),
                          "batten: continue_positions needs pads that come after the tokens alone: use pad_right, or pad_position<0>");
        return detail::check_strategy(settings.length, reason) &&
               detail::check_all_options(settings.fields, settings.values(), reason);
    }

    // Whether layout and fields can be used with these inputs; a sentence for each that cannot.
    template <class Bundle>
    static consteval bool is_explained()
    {
        return detail::explain_layout_of<Layout, Bundle>() && detail::explain_writes<Fields, Bundle>();
    }

    template <class Bundle, class Bound>
    constexpr bool measure(const Bundle& bundle, const Bound& bound, detail::measured& found, error& reason) const
    {
        if constexpr (is_explained<Bundle>()) {
            const detail::engine<Layout, options_type, Bundle> engine(options_, bundle);
            return std::apply([&](const auto&... out) { return engine.measure(found, reason, out...); }, bound);
        } else {
            return false;
        }
    }
    template <class Bundle, class Bound, class Executor>
    constexpr void fill(const Bundle& bundle, const Bound& bound, const detail::measured& found, const Executor& run) const
    {
        if constexpr (is_explained<Bundle>()) {
            const detail::engine<Layout, options_type, Bundle> engine(options_, bundle);
            std::apply([&](const auto&... out) { engine.fill(found, run, out...); }, bound);
        }
    }

    static constexpr detail::extent extent_of(const detail::measured& found) noexcept
    {
        return {found.rows, found.width, found.segments, found.rows * found.width, found.pad_segments};
    }

    options_type options_;
};

// One sequence in each row, padded. The collator of the README.
template <padding_side Side, length_strategy Length, overflow_policy Overflow = reject, class Fields = causal_lm_fields>
using collator = basic_collator<padded<Side, Length, Overflow>, Fields>;

// Several sequences in a row, as bins say: collate(packed(inputs, bins)).
template <length_strategy Length = fixed_length, class Fields = packed_fields, padding_side Side = pad_right>
using packed_collator = basic_collator<packed_rows<Length, Side>, Fields>;

// All sequences in one row, without a pad between them (varlen).
template <length_strategy Length = dynamic_length, class Fields = varlen_fields, trailing_pads Tail = trailing_pads::own_segment>
using varlen_collator = basic_collator<varlen_row<Length, Tail>, Fields>;

}  // namespace batten

#endif
