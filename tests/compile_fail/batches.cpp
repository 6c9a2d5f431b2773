// SPDX-License-Identifier: MIT
// What is asked of a batch is in it, and meant once.
#include <batten/collator.hpp>

#include <cstdint>
#include <vector>

using batten::fields;
using batten::token_ids;

int main()
{
    const std::vector<std::vector<int>> rows{{1, 2}, {3}};
    const batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    const auto batch = collate(rows);

#ifdef FORBIDDEN_get_of_a_field_that_is_not_there  // only: this collator has no such field: add labels<> to its fields<...>
    static_cast<void>(batch.get<batten::labels>());
#else
    static_cast<void>(batch.get<batten::loss_mask>());
#endif

#ifdef FORBIDDEN_accessor_of_a_field_that_is_not_there  // only: this collator has no such field: add segment_ids<> to its fields<...>
    static_cast<void>(batch.segment_ids()[0]);
#else
    static_cast<void>(batch.loss_mask()[0]);
#endif

#ifdef FORBIDDEN_get_of_a_column_that_is_not_there  // only: this collator has no such field: add column<"name", float> to its fields<...>
    static_cast<void>(batch.get<"weights">());
#else
    static_cast<void>(batch.get<token_ids<>>());
#endif

#ifdef FORBIDDEN_get_of_a_field_of_another_type  // only: this collator has no such field: add token_ids<> to its fields<...>
    static_cast<void>(batch.get<token_ids<std::int32_t>>());
#else
    static_cast<void>(batch.get<token_ids<std::int64_t>>());
#endif

#ifdef FORBIDDEN_elements_of_a_field_that_is_not_there  // only: this collator has no such field: add labels<> to its fields<...>
    static_cast<void>(collate.shape(rows).elements<batten::labels>());
#else
    static_cast<void>(collate.shape(rows).elements<batten::loss_mask>());
#endif

    using twice = fields<token_ids<std::int32_t>, token_ids<std::int64_t>>;
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, twice> collate_twice{{.pad_id = 0}};
    const auto both = collate_twice(rows);
#ifdef FORBIDDEN_get_of_a_field_that_is_there_twice  // only: name the whole type, as token_ids<int>
    static_cast<void>(both.get<token_ids>());
#else
    static_cast<void>(both.get<token_ids<std::int32_t>>());
#endif

    // A report has one entry a segment.
#ifdef FORBIDDEN_view_of_a_segment_field  // expect: a segment field has no rows and columns
    static_cast<void>(batch.view<batten::lengths>());
#else
    static_cast<void>(batch.get<batten::lengths>());
#endif

#ifdef FORBIDDEN_get_of_two_rows  // only: get takes a row or nothing: a cell is view<token_ids>()(r, c), or token_ids(r)[c]
    static_cast<void>(batch.get<token_ids>(0, 1));
#else
    static_cast<void>(batch.get<token_ids>(0));
#endif

    // The matrix has two indices, so that no number is taken for a row or for a cell by mistake.
#ifdef FORBIDDEN_view_with_one_index  // expect: matrix_view
    static_cast<void>(batch.view<token_ids>()[0]);
#else
    static_cast<void>(batch.view<token_ids>()(0, 0));
#endif
}
