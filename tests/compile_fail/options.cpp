// SPDX-License-Identifier: MIT
// What a collator must be told, and the options that do not go together.
#include <batten/bucketed.hpp>
#include <batten/collator.hpp>

using batten::collator;
using batten::dynamic_length;
using batten::fixed_length;
using batten::pad_left;
using batten::pad_right;

int main()
{
#ifdef FORBIDDEN_pad_id_left_out  // first: write .pad_id = ...
    const collator<pad_right, dynamic_length> collate{{}};
#else
    const collator<pad_right, dynamic_length> collate{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_pad_id_left_out_of_a_bucketed_collator  // first: write .pad_id = ...
    const batten::bucketed_collator<pad_right> bucketed{{.length = {64, 128}}};
#else
    const batten::bucketed_collator<pad_right> bucketed{{.pad_id = 0, .length = {64, 128}}};
#endif

#ifdef FORBIDDEN_fixed_length_left_out  // only: write .length = {512}
    const collator<pad_left, fixed_length> fixed{{.pad_id = 0}};
#else
    const collator<pad_left, fixed_length> fixed{{.pad_id = 0, .length = {512}}};
#endif

#ifdef FORBIDDEN_fixed_length_of_a_fraction  // expect: no matching && fixed_length
    const collator<pad_left, fixed_length> fraction{{.pad_id = 0, .length = {512.5}}};
#else
    const collator<pad_left, fixed_length> fraction{{.pad_id = 0, .length = {512}}};
#endif

    using counting_on = batten::fields<batten::token_ids<>, batten::position_ids<int, batten::continue_positions>>;
#ifdef FORBIDDEN_pads_count_on_with_pad_left  // expect: use pad_right, or pad_position<0>
    const collator<pad_left, dynamic_length, batten::reject, counting_on> positions{{.pad_id = 0}};
#else
    const collator<pad_right, dynamic_length, batten::reject, counting_on> positions{{.pad_id = 0}};
#endif

    // The names that these have in other libraries.
#ifdef FORBIDDEN_max_length  // only: there is no option .max_length: write .length = {.max_length = 512} for dynamic_length
    const collator<pad_right, dynamic_length> limited{{.pad_id = 0, .max_length = 512}};
#else
    const collator<pad_right, dynamic_length> limited{{.pad_id = 0, .length = {.max_length = 512}}};
#endif

#ifdef FORBIDDEN_truncation  // only: there is no option .truncation: name the policy in the type
    const collator<pad_right, fixed_length> cut{{.pad_id = 0, .length = {512}, .truncation = true}};
#else
    const collator<pad_right, fixed_length, batten::truncate_right> cut{{.pad_id = 0, .length = {512}}};
#endif

#ifdef FORBIDDEN_padding  // only: there is no option .padding: name the length strategy in the type
    const collator<pad_right, dynamic_length> longest{{.pad_id = 0, .padding = true}};
#else
    const collator<pad_right, dynamic_length> longest{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_padding_side  // only: there is no option .padding_side: name the side in the type
    const collator<pad_right, dynamic_length> side{{.pad_id = 0, .padding_side = "left"}};
#else
    const collator<pad_left, dynamic_length> side{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_pad_to_multiple_of  // only: there is no option .pad_to_multiple_of: name the multiple in the type
    const collator<pad_right, dynamic_length> rounded{{.pad_id = 0, .pad_to_multiple_of = 8}};
#else
    const collator<pad_right, batten::round_up_to<8>> rounded{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_pad_token_id  // first: there is no option .pad_token_id: write .pad_id
    const collator<pad_right, dynamic_length> pad_token{{.pad_token_id = 0}};
#else
    const collator<pad_right, dynamic_length> pad_token{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_label_pad_token_id  // only: there is no option .label_pad_token_id: write .ignore_index = -100
    const collator<pad_right, dynamic_length> ignored{{.pad_id = 0, .label_pad_token_id = -100}};
#else
    const collator<pad_right, dynamic_length> ignored{{.pad_id = 0, .ignore_index = -100}};
#endif

#ifdef FORBIDDEN_return_tensors  // only: there is no option .return_tensors: batches are plain memory
    const collator<pad_right, dynamic_length> plain{{.pad_id = 0, .return_tensors = "pt"}};
#else
    const collator<pad_right, dynamic_length> plain{{.pad_id = 0}};
#endif

    // Braces that fit no aggregate are no constructor: the sentence is among the notes.
#ifdef FORBIDDEN_misspelt_option  // expect: misspelt_or_out_of_order_options_are_pad_id_length_overflow_side_targets_ignore_index
    const collator<pad_right, dynamic_length> misspelt{{.pad_id = 0, .lenght = {512}}};
#else
    const collator<pad_right, dynamic_length> misspelt{{.pad_id = 0, .length = {512}}};
#endif

#ifdef FORBIDDEN_overflow_that_rejects_and_truncates  // only: truncation is part of its type
    const collator<pad_right, fixed_length> overflow{{.pad_id = 0, .length = {512}, .overflow = batten::truncate_right{}}};
#else
    const collator<pad_right, fixed_length, batten::truncate_right> overflow{{.pad_id = 0, .length = {512}, .overflow = {}}};
#endif

    static_cast<void>(limited);
    static_cast<void>(cut);
    static_cast<void>(longest);
    static_cast<void>(side);
    static_cast<void>(rounded);
    static_cast<void>(pad_token);
    static_cast<void>(ignored);
    static_cast<void>(plain);
    static_cast<void>(misspelt);
    static_cast<void>(overflow);
    static_cast<void>(collate);
    static_cast<void>(bucketed);
    static_cast<void>(fixed);
    static_cast<void>(fraction);
    static_cast<void>(positions);
}
