// SPDX-License-Identifier: MIT
// The options of a decode_batch.
#ifndef BATTEN_SERVE_DECODE_OPTIONS_HPP_INCLUDED
#define BATTEN_SERVE_DECODE_OPTIONS_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/detail/field_ops.hpp>
#include <batten/field.hpp>
#include <batten/integer.hpp>
#include <batten/targets.hpp>

#include <type_traits>

namespace batten::serve {

namespace detail {

using namespace batten::detail;

template <class Fields>
struct only_cell_fields;
template <class... Field>
struct only_cell_fields<fields<Field...>> : std::bool_constant<(true && ... && cell_field<Field>)> {};

// Whether a field of either list has a flag.
template <class Persistent, class Step, template <class> class Has>
inline constexpr bool either_has = field_list<Persistent>::template any<Has> || field_list<Step>::template any<Has>;

}  // namespace detail

// What a row without a token in a step means, where it is not finished.
enum class idle_rows : unsigned char {
    are_errors,   // an error: most likely the caller lost a token. The default
    leave_holes,  // the row waits: mask 0 in the step's columns, and its position stays
};

// The options of a decode_batch, as one aggregate: decode_options{.pad_id = 0}.
//
// .targets says which tokens are targets of labels and loss_mask in a step, whose tokens continue their row. Give the same as the
// prefill's collator.
//     same_position, model_shifts   each token, in its own column
//     next_token                    each but the last: its target comes with the next step
//     next_token_drop_last          an error at the start, as every token of a step takes a column
template <class Persistent, class Step>
struct decode_options {
    static_assert(detail::only_cell_fields<Persistent>::value,
                  "batten::decode_batch: only cell fields can be persistent: put segment fields into Step");
    static_assert(!detail::either_has<Persistent, Step, detail::needs_one_row>,
                  "batten::decode_batch: cu_seqlens belongs to one row without pads: a decode batch has a row for each "
                  "sequence, so use serve::seq_lens in Step");
    static_assert(!detail::either_has<Persistent, Step, detail::needs_pads_last>,
                  "batten::decode_batch: continue_positions has no place among holes: use pad_position<0>");
    static constexpr bool needs_pad_id = detail::either_has<Persistent, Step, detail::uses_pad_id>;

    integer pad_id = detail::default_pad_id<needs_pad_id>();  // what token ids hold where a row has no token; has no default
    target_alignment targets = model_shifts;                  // which token a column is trained to predict
    integer ignore_index = -100;                              // what labels hold where nothing is trained
    idle_rows idle = idle_rows::are_errors;
    [[no_unique_address]] Persistent persistent{};            // for fields with options of their own
    [[no_unique_address]] Step step{};

    [[nodiscard]] constexpr fill_values values() const noexcept { return {pad_id, ignore_index}; }
};

}  // namespace batten::serve

#endif
