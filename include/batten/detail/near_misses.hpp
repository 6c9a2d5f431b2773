// SPDX-License-Identifier: MIT
// Options by the names that other libraries give them. Each is an empty member of `options` which nothing can be given to: the
// compile error says how Batten spells it.
#ifndef BATTEN_DETAIL_NEAR_MISSES_HPP_INCLUDED
#define BATTEN_DETAIL_NEAR_MISSES_HPP_INCLUDED

namespace batten::detail {

template <class>
inline constexpr bool never = false;

#define BATTEN_NEAR_MISS(name, sentence)                                                                               \
    struct name##_option {                                                                                             \
        constexpr name##_option() noexcept = default;                                                                  \
        template <class Value>                                                                                         \
        constexpr name##_option(const Value&) noexcept                                                                 \
        {                                                                                                              \
            static_assert(never<Value>, "batten: there is no option ." #name ": " sentence);                           \
        }                                                                                                              \
    };

BATTEN_NEAR_MISS(max_length,
                 "write .length = {.max_length = 512} for dynamic_length, .length = {512} for fixed_length, "
                 ".length = {.inner = {.max_length = 512}} for round_up_to")
BATTEN_NEAR_MISS(truncation, "name the policy in the type, collator<pad_right, fixed_length, truncate_right>")
BATTEN_NEAR_MISS(padding, "name the length strategy in the type, as dynamic_length (longest) or fixed_length (max_length)")
BATTEN_NEAR_MISS(padding_side, "name the side in the type, as pad_right or pad_left")
BATTEN_NEAR_MISS(pad_to_multiple_of, "name the multiple in the type, as round_up_to<8>")
BATTEN_NEAR_MISS(pad_token_id, "write .pad_id = 0, with the tokenizer's id")
BATTEN_NEAR_MISS(label_pad_token_id, "write .ignore_index = -100")
BATTEN_NEAR_MISS(return_tensors, "batches are plain memory: read batch.token_ids(), or write into yours by collate.into(...)")

#undef BATTEN_NEAR_MISS

}  // namespace batten::detail

#endif
