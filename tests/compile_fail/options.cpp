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
#ifdef FORBIDDEN_pad_id_left_out  // expect: write .pad_id = ...
    const collator<pad_right, dynamic_length> collate{{}};
#else
    const collator<pad_right, dynamic_length> collate{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_pad_id_left_out_of_a_bucketed_collator  // expect: write .pad_id = ...
    const batten::bucketed_collator<pad_right> bucketed{{.length = {64, 128}}};
#else
    const batten::bucketed_collator<pad_right> bucketed{{.pad_id = 0, .length = {64, 128}}};
#endif

#ifdef FORBIDDEN_fixed_length_left_out  // expect: write .length = {512}
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

    static_cast<void>(collate);
    static_cast<void>(bucketed);
    static_cast<void>(fixed);
    static_cast<void>(fraction);
    static_cast<void>(positions);
}
