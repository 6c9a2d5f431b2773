// SPDX-License-Identifier: MIT
// The caller's memory: each field has one span, of its own type, that can be written.
#include <batten/collator.hpp>

#include <cstdint>
#include <span>
#include <vector>

using batten::attention_mask;
using batten::outputs;
using batten::set;
using batten::token_ids;

int main()
{
    const std::vector<std::vector<int>> rows{{1, 2}, {3}};
    using collator = batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::encoder_fields>;
    const collator collate{{.pad_id = 0}};
    std::vector<std::int64_t> ids(4);
    std::vector<std::int64_t> mask(4);

#ifdef FORBIDDEN_field_left_out  // only: attention_mask has no span: add set<attention_mask>(span)
    collate.into(rows, outputs{set<token_ids>(ids)});
#else
    collate.into(rows, outputs{set<token_ids>(ids), set<attention_mask>(mask)});
#endif

#ifdef FORBIDDEN_span_of_another_type  // only: this field writes std::int64_t, its span holds another type: pass a span of std::int64_t
    std::vector<std::int32_t> narrow(4);
    collate.into(rows, outputs{set<token_ids>(narrow), set<attention_mask>(mask)});
#else
    std::vector<std::int64_t> wide(4);
    collate.into(rows, outputs{set<token_ids>(wide), set<attention_mask>(mask)});
#endif

#ifdef FORBIDDEN_two_spans_for_one_field  // only: token_ids has two spans: leave one set<token_ids> out
    std::vector<std::int64_t> more(4);
    collate.into(rows, outputs{set<token_ids>(ids), set<token_ids>(more), set<attention_mask>(mask)});
#else
    collate.into(rows, outputs{set<token_ids<>>(ids), set<attention_mask<>>(mask)});
#endif

    // The reports, which every collator has, may be added; any other field may not.
#ifdef FORBIDDEN_span_for_a_field_that_is_not_there  // only: the collator has no labels: add labels<> to its fields<...>, or leave its span out
    collate.into(rows, outputs{set<token_ids>(ids), set<attention_mask>(mask), set<batten::labels>(ids)});
#else
    std::vector<int> lengths(2);
    collate.into(rows, outputs{set<token_ids>(ids), set<attention_mask>(mask), set<batten::lengths>(lengths)});
#endif

#ifdef FORBIDDEN_temporary_vector  // expect: a temporary is given, what is written to it would be lost: give it a name first
    collate.into(rows, outputs{set<token_ids>(std::vector<std::int64_t>(4)), set<attention_mask>(mask)});
#else
    collate.into(rows, outputs{set<token_ids>(std::span(ids)), set<attention_mask>(mask)});
#endif

    using weighted = batten::fields<token_ids<>, batten::column<"weights", float>>;
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, weighted> collate_weights{{.pad_id = 0}};
    const std::vector<std::vector<float>> weights{{0.5F, 1.0F}, {2.0F}};
    const batten::inputs in{rows, batten::none, batten::none, batten::columns{batten::named<"weights">(weights)}};
    std::vector<float> to_weights(4);
#ifdef FORBIDDEN_column_left_out  // only: a column has no span: add set<"its name">(span)
    collate_weights.into(in, outputs{set<token_ids>(ids)});
#else
    collate_weights.into(in, outputs{set<token_ids>(ids), set<"weights">(to_weights)});
#endif

#ifdef FORBIDDEN_span_of_doubles_for_a_column_of_floats  // only: this field writes float, its span holds another type
    std::vector<double> doubles(4);
    collate_weights.into(in, outputs{set<token_ids>(ids), set<"weights">(doubles)});
#else
    std::vector<float> floats(4);
    collate_weights.into(in, outputs{set<token_ids>(ids), set<"weights">(floats)});
#endif

#ifdef FORBIDDEN_const_span  // expect: the span is const, a field is written to it
    const auto read_only = set<token_ids>(std::span<const std::int64_t>(ids));
    static_cast<void>(read_only);
#else
    const auto writable = set<token_ids>(std::span<std::int64_t>(ids));
    static_cast<void>(writable);
#endif

#ifdef FORBIDDEN_const_vector  // expect: the span is const, a field is written to it
    const std::vector<std::int64_t> constant(4);
    const auto to_constant = set<token_ids>(constant);
    static_cast<void>(to_constant);
#else
    const auto to_vector = set<token_ids>(ids);
    static_cast<void>(to_vector);
#endif

#ifdef FORBIDDEN_vector_of_bool  // expect: vector<bool> is not: use std::uint8_t
    std::vector<bool> bits(4);
    const auto to_bits = set<attention_mask>(bits);
    static_cast<void>(to_bits);
#else
    std::vector<std::uint8_t> bytes(4);
    const auto to_bytes = set<attention_mask>(bytes);
    static_cast<void>(to_bytes);
#endif
}
