// SPDX-License-Identifier: MIT
// presets: the collators that the usual tasks want, by name. All reject a row that is too long unless told to truncate it.
#ifndef BATTEN_PRESETS_HPP_INCLUDED
#define BATTEN_PRESETS_HPP_INCLUDED

#include <batten/bucketed.hpp>
#include <batten/collator.hpp>
#include <batten/field.hpp>
#include <batten/length.hpp>
#include <batten/overflow.hpp>
#include <batten/side.hpp>

namespace batten::presets {

// Training: pads after the tokens, as wide as the longest row, with labels. Where rows may be too long for the model, give .length
// a maximum and choose a truncation: training<truncate_right>.
template <overflow_policy Overflow = reject, length_strategy Length = dynamic_length>
using training = collator<pad_right, Length, Overflow, training_fields>;

// Training on rows grouped by bucket: at most as many shapes as .length has edges.
template <overflow_policy Overflow = reject>
using bucketed_training = bucketed_collator<pad_right, bucketed_length, Overflow, training_fields>;

// Generation: pads before the tokens, so that every row continues after the last column.
template <overflow_policy Overflow = reject, length_strategy Length = dynamic_length>
using generation = collator<pad_left, Length, Overflow, inference_fields>;

// Encoders: pads after the tokens, since [CLS] is read at column 0. encoder<truncate_right> cuts the end of what is too long.
template <overflow_policy Overflow = reject, length_strategy Length = dynamic_length>
using encoder = collator<pad_right, Length, Overflow, encoder_fields>;

// One width for every batch, for a compiled graph or an accelerator that compiles each shape. Set .length to a high percentile
// of measured lengths, not to their maximum (on a chat trace the 95th is under a third of it), and choose a truncation for the
// rows above it: fixed_shape<pad_right, truncate_right>.
template <padding_side Side = pad_right, overflow_policy Overflow = reject, class Fields = inference_fields>
using fixed_shape = collator<Side, fixed_length, Overflow, Fields>;

}  // namespace batten::presets

#endif
