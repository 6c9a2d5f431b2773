// SPDX-License-Identifier: MIT
// What a field writes: its element type, its column, and what is no field.
#include <batten/collator.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

using batten::column;
using batten::fields;
using batten::token_ids;

template <class... Field>
using collator_of = batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields<token_ids<>, Field...>>;

struct ones {
    using value_type = int;
    constexpr void write(const auto& /*segment*/, std::span<int> out) const { batten::cells::fill(out, 1); }
    constexpr void pad(const batten::pad_run& /*pads*/, std::span<int> out) const { batten::cells::fill(out, 0); }
};
struct ones_without_a_type {
    constexpr void write(const auto& /*segment*/, std::span<int> out) const { batten::cells::fill(out, 1); }
    constexpr void pad(const batten::pad_run& /*pads*/, std::span<int> out) const { batten::cells::fill(out, 0); }
};
struct ones_without_a_segment {
    using value_type = int;
    constexpr void write(std::span<int> out) const { batten::cells::fill(out, 1); }
    constexpr void pad(const batten::pad_run& /*pads*/, std::span<int> out) const { batten::cells::fill(out, 0); }
};
struct ones_that_write_no_pads {
    using value_type = int;
    constexpr void write(const auto& /*segment*/, std::span<int> out) const { batten::cells::fill(out, 1); }
};

int main()
{
    const std::vector<std::vector<int>> ids{{1, 2}, {3}};
    const std::vector<std::vector<int>> kinds{{0, 1}, {0}};
    const std::vector<std::vector<float>> weights{{0.5F, 1.0F}, {2.0F}};

#ifdef FORBIDDEN_token_ids_of_float  // expect: constraints not satisfied && token_ids
    static_cast<void>(token_ids<float>{});
#else
    static_cast<void>(token_ids<std::uint32_t>{});
#endif

#ifdef FORBIDDEN_token_ids_of_bool  // expect: constraints not satisfied && token_ids
    static_cast<void>(token_ids<bool>{});
#else
    static_cast<void>(token_ids<std::uint8_t>{});
#endif

#ifdef FORBIDDEN_labels_of_float  // expect: constraints not satisfied && labels
    static_cast<void>(batten::labels<float>{});
#else
    static_cast<void>(batten::labels<std::int32_t>{});
#endif

#ifdef FORBIDDEN_mask_of_no_number  // expect: constraints not satisfied && attention_mask
    static_cast<void>(batten::attention_mask<std::string>{});
#else
    static_cast<void>(batten::attention_mask<bool>{});
#endif

#ifdef FORBIDDEN_column_of_no_number  // expect: constraints not satisfied && column
    static_cast<void>(column<"names", std::string>{});
#else
    static_cast<void>(column<"names", double>{});
#endif

    const collator_of<column<"kinds">> collate_kinds{{.pad_id = 0}};
#ifdef FORBIDDEN_column_that_the_inputs_do_not_bring  // expect: add it as inputs{..., .columns = columns{named<
    static_cast<void>(collate_kinds(ids));
#else
    static_cast<void>(collate_kinds(
        batten::inputs{ids, batten::none, batten::none, batten::columns{batten::named<"kinds">(kinds)}}));
#endif

#ifdef FORBIDDEN_column_that_the_inputs_call_otherwise  // expect: add it as inputs{..., .columns = columns{named<
    static_cast<void>(collate_kinds(
        batten::inputs{ids, batten::none, batten::none, batten::columns{batten::named<"types">(kinds)}}));
#else
    static_cast<void>(collate_kinds(
        batten::inputs{ids, batten::none, batten::none, batten::columns{batten::named<"kinds">(kinds)}}));
#endif

#ifdef FORBIDDEN_two_columns_of_one_name  // first: two columns have one name: rename one of them
    using named_kinds = decltype(batten::named<"kinds">(kinds));
    static_cast<void>(collate_kinds(batten::inputs{
        ids, batten::none, batten::none, batten::columns<named_kinds, named_kinds>(batten::named<"kinds">(kinds), {kinds})}));
#else
    static_cast<void>(collate_kinds(batten::inputs{ids, batten::none, batten::none,
        batten::columns{batten::named<"kinds">(kinds), batten::named<"more kinds">(kinds)}}));
#endif

#ifdef FORBIDDEN_field_named_twice  // first: a field is named twice: leave one of them out
    using ids_and_mask = fields<token_ids<>, batten::attention_mask<>, token_ids<>>;
#else
    using ids_and_mask = fields<token_ids<>, batten::attention_mask<>>;
#endif
    static_cast<void>(ids_and_mask{});

#ifdef FORBIDDEN_column_of_floats_in_a_field_of_integers  // expect: needs a floating-point element type: column<name, float>
    const collator_of<column<"weights", int>> collate_weights{{.pad_id = 0}};
#else
    const collator_of<column<"weights", float>> collate_weights{{.pad_id = 0}};
#endif
    static_cast<void>(collate_weights(
        batten::inputs{ids, batten::none, batten::none, batten::columns{batten::named<"weights">(weights)}}));

#ifdef FORBIDDEN_field_that_writes_no_pads  // expect: this field has neither pad, as a cell field needs it, nor begin
    static_cast<void>(collator_of<ones_that_write_no_pads>{{.pad_id = 0}}(ids));
#else
    static_cast<void>(collator_of<ones>{{.pad_id = 0}}(ids));
#endif

#ifdef FORBIDDEN_field_without_a_value_type  // expect: this field has no value_type: add using value_type = float;
    static_cast<void>(collator_of<ones_without_a_type>{{.pad_id = 0}}(ids));
#endif

#ifdef FORBIDDEN_field_whose_write_has_no_segment  // expect: this cell field has no write for these inputs: add void write(const
    static_cast<void>(collator_of<ones_without_a_segment>{{.pad_id = 0}}(ids));
#endif
}
