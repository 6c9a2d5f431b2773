// SPDX-License-Identifier: MIT
// What can go wrong in masks, beside the errors of the core: the codes and their sentences (error.hpp says how they are read).
#ifndef BATTEN_MASK_ERRORS_HPP_INCLUDED
#define BATTEN_MASK_ERRORS_HPP_INCLUDED

#include <batten/error.hpp>

namespace batten::mask::errors {

using namespace batten::errors;

// ---- Queries and keys 

// row where one is concerned, its queries, its keys
inline constexpr error_text queries_past_keys{"queries_past_keys", "{row} has {first} queries, but only {second} keys"};
// row, end of a segment's keys, keys of the row
inline constexpr error_text keys_past_row{
    "keys_past_row", "{row}: the keys of a segment end at key {first}, the row has {second} keys"};
// row, the query, number of its keys
inline constexpr error_text interval_outside_keys{
    "interval_outside_keys", "{row}: the interval of query {first} is not within its {second} keys"};

// ---- Masked language modelling 

inline constexpr error_text mask_id_missing{
    "mask_id_missing", "chosen tokens become mask_id, and no mask_id is given: set .mask_id"};
// -, the mask id; field
inline constexpr error_text mask_id_not_representable{
    "mask_id_not_representable", "mask_id {first} does not fit the element type of {name}"};
// -; field: its name
inline constexpr error_text probability_out_of_range{"probability_out_of_range", "{name} must be a probability, from 0 to 1"};
// -, their sum in millionths
inline constexpr error_text probabilities_past_one{
    "probabilities_past_one", "the probabilities of mask_id and of random ids sum to {first} millionths, more than 1"};
// -, ids of the vocabulary, special ones
inline constexpr error_text vocabulary_too_small{
    "vocabulary_too_small", "a random id cannot be drawn: {second} of the {first} ids of the vocabulary are special"};

}  // namespace batten::mask::errors

#endif
