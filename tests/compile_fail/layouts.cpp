// SPDX-License-Identifier: MIT
// Layouts get what they need, fields the layout they speak of, and plans outlive what refers to them.
#include <batten/batten.hpp>

#include <cstddef>
#include <vector>

int main()
{
    const std::vector<std::vector<int>> ids{{1, 2}, {3}};
    const std::vector<batten::piece> pieces{{0, 0, 2}, {1, 0, 1}};
    const std::vector<std::size_t> offsets{0, 2};
    const batten::packed_collator<> pack{{.pad_id = 0, .length = {4}}};

#ifdef FORBIDDEN_bins_that_are_not_given  // expect: say how, collate(packed(inputs, bins))
    static_cast<void>(pack(ids));
#else
    static_cast<void>(pack(batten::packed(ids, {pieces, offsets})));
#endif

#ifdef FORBIDDEN_sequences_that_are_gone_before_they_are_binned  // expect: sequences gone before they are read: name them first
    static_cast<void>(pack(batten::packed(std::vector<std::vector<int>>{{1, 2}, {3}}, {pieces, offsets})));
#else
    static_cast<void>(pack(batten::packed(batten::select(ids, offsets), {pieces, offsets})));
#endif

#ifdef FORBIDDEN_cu_seqlens_of_padded_rows  // expect: cu_seqlens belongs to the packed layout
    using fields = batten::fields<batten::token_ids<>, batten::cu_seqlens<>>;
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields> collate{{.pad_id = 0}};
#else
    using fields = batten::fields<batten::token_ids<>, batten::cu_seqlens<>>;
    const batten::varlen_collator<batten::dynamic_length, fields> collate{{.pad_id = 0}};
#endif
    static_cast<void>(collate(ids));

#ifdef FORBIDDEN_truncation_of_a_packed_row  // expect: overflow
    const batten::varlen_collator<> truncating{{.pad_id = 0, .overflow = batten::truncate_right{}}};
#else
    const batten::varlen_collator<> truncating{{.pad_id = 0}};
#endif
    static_cast<void>(truncating(ids));

    const std::vector<int> lengths{2, 1};
#ifdef FORBIDDEN_a_share_of_a_plan_that_is_gone  // expect: the plan would be gone: name it first
    const auto share = batten::plan::for_rank(batten::plan::batches(lengths, {.max_rows = 1}), 0, 1);
#else
    const auto plan = batten::plan::batches(lengths, {.max_rows = 1});
    const auto share = batten::plan::for_rank(plan, 0, 1);
#endif
    static_cast<void>(share);
}
