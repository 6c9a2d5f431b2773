// SPDX-License-Identifier: MIT
// Layouts get what they need, fields the layout they speak of, and plans outlive what refers to them.
#include <batten/batten.hpp>

#include <cstddef>
#include <vector>

// One sequence a row.
struct one_a_row {
    using side_type = batten::no_side;
    using length_type = batten::no_length;
    using overflow_type = batten::no_overflow;
    static constexpr bool shares_rows = false;

    static constexpr std::size_t rows(const auto& in) { return in.sequence_count(); }
    static constexpr bool sequences(const auto& /*in*/, std::size_t r, auto visit) { return visit(r); }
    static constexpr std::size_t first_segment(const auto& /*in*/, std::size_t r) { return r; }
    static constexpr bool row(const auto& options, const auto& in, std::size_t r, auto&& sink, batten::error& /*reason*/)
    {
        sink(batten::segment{
            .sequence = r, .kept = in.length(r), .length = batten::columns_of(options.targets, in.length(r))});
        return true;
    }
};

// Each hides what a layout needs, or has it otherwise.
class without_a_side_type : public one_a_row {
    using side_type = void;
};
struct with_no_side_as_its_overflow : one_a_row {
    using overflow_type = batten::no_side;
};
class that_does_not_say_whether_rows_are_shared : public one_a_row {
    static constexpr bool shares_rows = false;
};
class that_does_not_count_segments : public one_a_row {
    static constexpr std::size_t first_segment(const auto& /*in*/, std::size_t r) { return r; }
};
struct whose_rows_have_no_sink : one_a_row {
    static constexpr bool row(const auto& /*options*/, const auto& /*in*/, std::size_t /*r*/) { return true; }
};

template <class Layout>
using collator_by = batten::basic_collator<Layout, batten::encoder_fields>;

int main()
{
    const std::vector<std::vector<int>> ids{{1, 2}, {3}};
    const std::vector<batten::piece> pieces{{0, 0, 2}, {1, 0, 1}};
    const std::vector<std::size_t> offsets{0, 2};
    const batten::packed_collator<> pack{{.pad_id = 0, .length = {4}}};

#ifdef FORBIDDEN_bins_that_are_not_given  // expect: this collator packs rows and needs bins: write collate(packed(inputs, bins))
    static_cast<void>(pack(ids));
#else
    static_cast<void>(pack(batten::packed(ids, {pieces, offsets})));
#endif

#ifdef FORBIDDEN_sequences_that_are_gone_before_they_are_binned  // expect: sequences gone before they are read: name them first
    static_cast<void>(pack(batten::packed(std::vector<std::vector<int>>{{1, 2}, {3}}, {pieces, offsets})));
#else
    static_cast<void>(pack(batten::packed(batten::select(ids, offsets), {pieces, offsets})));
#endif

#ifdef FORBIDDEN_bins_of_temporary_pieces  // expect: deleted && would be gone before they are read: name the container first
    const batten::bins kept{std::vector<batten::piece>{{0, 0, 2}}, offsets};
#else
    const batten::bins kept{pieces, offsets};
#endif
    static_cast<void>(pack(batten::packed(ids, kept)));

    const std::vector<int> counts{2, 1};
#ifdef FORBIDDEN_packing_that_is_gone  // expect: deleted function && operator
    static_cast<void>(pack(batten::packed(ids, batten::plan::pack_best_fit(counts, {.capacity = 4}))));
#else
    const auto packing = batten::plan::pack_best_fit(counts, {.capacity = 4});
    static_cast<void>(pack(batten::packed(ids, packing)));
#endif

#ifdef FORBIDDEN_cu_seqlens_of_padded_rows  // expect: cu_seqlens belongs to the packed layout
    using fields = batten::fields<batten::token_ids<>, batten::cu_seqlens<>>;
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields> collate{{.pad_id = 0}};
#else
    using fields = batten::fields<batten::token_ids<>, batten::cu_seqlens<>>;
    const batten::varlen_collator<batten::dynamic_length, fields> collate{{.pad_id = 0}};
#endif
    static_cast<void>(collate(ids));

#ifdef FORBIDDEN_truncation_of_a_varlen_row  // only: rows of this layout are not truncated: there is no .overflow
    const batten::varlen_collator<> truncating{{.pad_id = 0, .overflow = batten::truncate_right{}}};
#else
    const batten::varlen_collator<> truncating{{.pad_id = 0}};
#endif
    static_cast<void>(truncating(ids));

#ifdef FORBIDDEN_layout_without_a_side_type  // expect: this layout has no side_type: add using side_type = batten::no_side;
    static_cast<void>(collator_by<without_a_side_type>{{.pad_id = 0}}(ids));
#else
    static_cast<void>(collator_by<one_a_row>{{.pad_id = 0}}(ids));
#endif

#ifdef FORBIDDEN_layout_with_no_side_as_its_overflow  // expect: the overflow_type of this layout must be an overflow_policy
    static_cast<void>(collator_by<with_no_side_as_its_overflow>{{.pad_id = 0}}(ids));
#else
    static_cast<void>(collator_by<one_a_row>{{.pad_id = 0}}(ids));
#endif

#ifdef FORBIDDEN_layout_that_does_not_say_whether_rows_are_shared  // expect: add static constexpr bool shares_rows = false;
    static_cast<void>(collator_by<that_does_not_say_whether_rows_are_shared>{{.pad_id = 0}}(ids));
#else
    static_cast<void>(collator_by<one_a_row>{{.pad_id = 0}}(ids));
#endif

#ifdef FORBIDDEN_layout_that_does_not_count_segments  // expect: this layout lacks first_segment, for these inputs: add static
    static_cast<void>(collator_by<that_does_not_count_segments>{{.pad_id = 0}}(ids));
#else
    static_cast<void>(collator_by<one_a_row>{{.pad_id = 0}}(ids));
#endif

#ifdef FORBIDDEN_layout_whose_rows_have_no_sink  // expect: this layout lacks row, for these inputs: add static bool row(
    static_cast<void>(collator_by<whose_rows_have_no_sink>{{.pad_id = 0}}(ids));
#else
    static_cast<void>(collator_by<one_a_row>{{.pad_id = 0}}(ids));
#endif

    const std::vector<int> lengths{2, 1};
#ifdef FORBIDDEN_a_share_of_a_plan_that_is_gone  // expect: the plan would be gone: name it first
    const auto share = batten::plan::for_rank(batten::plan::batches(lengths, {.max_rows = 1}), 0, 1);
#else
    const auto plan = batten::plan::batches(lengths, {.max_rows = 1});
    const auto share = batten::plan::for_rank(plan, 0, 1);
#endif
    static_cast<void>(share);
}
