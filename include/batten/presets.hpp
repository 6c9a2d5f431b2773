// SPDX-License-Identifier: MIT
// The advice of the field as names: the right thing is the short thing.
#ifndef BATTEN_PRESETS_HPP_INCLUDED
#define BATTEN_PRESETS_HPP_INCLUDED

#include <batten/bucketed.hpp>
#include <batten/collator.hpp>
#include <batten/field.hpp>
#include <batten/length.hpp>
#include <batten/overflow.hpp>
#include <batten/side.hpp>

namespace batten::presets {

// Training: pads after the tokens, as wide as the longest row, with labels. Give .length a maximum, and choose truncation,
// where rows may be too long for the model.
template <overflow_policy Overflow = reject, length_strategy Length = dynamic_length>
using training = collator<pad_right, Length, Overflow, training_fields>;

// Training on rows grouped by bucket: at most as many shapes as the ladder .length has edges.
template <overflow_policy Overflow = reject>
using bucketed_training = bucketed_collator<pad_right, bucketed_length, Overflow, training_fields>;

// Generation: pads before the tokens, so that every row goes on from the last column.
template <overflow_policy Overflow = reject, length_strategy Length = dynamic_length>
using generation = collator<pad_left, Length, Overflow, inference_fields>;

// Encoders: pads after the tokens, since [CLS] is read at column 0; the end of what is too long is cut.
template <overflow_policy Overflow = truncate_right, length_strategy Length = dynamic_length>
using encoder = collator<pad_right, Length, Overflow, encoder_fields>;

// Static shapes (a compiled graph, an accelerator that compiles each shape): one width for every batch. Set .length to a high
// percentile of measured lengths, not to their maximum: on a chat trace the 95th is under a third of it.
template <padding_side Side = pad_right, overflow_policy Overflow = truncate_right, class Fields = inference_fields>
using fixed_shape = collator<Side, fixed_length, Overflow, Fields>;

}  // namespace batten::presets

#endif
