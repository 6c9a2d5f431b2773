// SPDX-License-Identifier: MIT
// Compile errors that name a field: which one is missing, which one has no span, which type its span must hold.
#ifndef BATTEN_DETAIL_FIELD_SENTENCES_HPP_INCLUDED
#define BATTEN_DETAIL_FIELD_SENTENCES_HPP_INCLUDED

#include <batten/fields.hpp>
#include <batten/inputs.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace batten::detail {

// What get, view and set name a field by: its type, its template, or a column's name.
template <class Field>
struct by_type {
    template <class Other>
    static constexpr bool matches = std::same_as<Field, Other>;
};

template <class Field, template <class...> class Template>
inline constexpr bool is_instance = false;
template <class... Argument, template <class...> class Template>
inline constexpr bool is_instance<Template<Argument...>, Template> = true;

template <template <class...> class Template>
struct by_template {
    template <class Other>
    static constexpr bool matches = is_instance<Other, Template>;
};

template <fixed_string Name>
struct by_name {
    template <class Other>
    static constexpr bool matches = [] {
        if constexpr (requires { Other::column_name.view(); })
            return Other::column_name == Name;
        else
            return false;
    }();
};

// Whether a key, or a field itself, speaks of an instance of Template.
template <class Which, template <class...> class Template>
inline constexpr bool speaks_of = is_instance<Which, Template>;
template <class Field, template <class...> class Template>
inline constexpr bool speaks_of<by_type<Field>, Template> = is_instance<Field, Template>;
template <template <class...> class Named, template <class...> class Template>
inline constexpr bool speaks_of<by_template<Named>, Template> = std::same_as<by_template<Named>, by_template<Template>>;

template <class Which>
inline constexpr bool is_column = requires { Which::column_name.view(); };
template <fixed_string Name>
inline constexpr bool is_column<by_name<Name>> = true;
template <class Field>
inline constexpr bool is_column<by_type<Field>> = is_column<Field>;

// A sentence must be a literal, so each is written out for each field.
#define BATTEN_EACH_FIELD(say)                                                                                         \
    say(token_ids) say(attention_mask) say(position_ids) say(loss_mask) say(labels) say(segment_ids) say(cu_seqlens)   \
    say(lengths) say(first_columns) say(segment_rows) say(truncated_tokens) say(target_counts)
#define BATTEN_IS_FIELD(field) || speaks_of<Which, batten::field>

template <class Which>
inline constexpr bool is_built_in = false BATTEN_EACH_FIELD(BATTEN_IS_FIELD);

// Each of these fails to compile, with a sentence about this field.
template <class Which>
consteval void explain_missing_field()
{
#define BATTEN_SAY(field)                                                                                              \
    static_assert(!speaks_of<Which, batten::field>, "batten: this collator has no such field: add " #field "<> to its fields<...>");
    BATTEN_EACH_FIELD(BATTEN_SAY)
#undef BATTEN_SAY
    static_assert(!is_column<Which>,
                  "batten: this collator has no such field: add column<\"name\", float> to its fields<...>, or mend the name");
    static_assert(is_built_in<Which> || is_column<Which>,
                  "batten: this collator has no such field: add it to its fields<...>");
}

template <class Which>
consteval void explain_missing_span()
{
#define BATTEN_SAY(field)                                                                                              \
    static_assert(!speaks_of<Which, batten::field>, "batten::outputs: " #field " has no span: add set<" #field ">(span)");
    BATTEN_EACH_FIELD(BATTEN_SAY)
#undef BATTEN_SAY
    static_assert(!is_column<Which>, "batten::outputs: a column has no span: add set<\"its name\">(span)");
    static_assert(is_built_in<Which> || is_column<Which>,
                  "batten::outputs: a field of your own has no span: add set<the field>(span)");
}

template <class Which>
consteval void explain_two_spans()
{
#define BATTEN_SAY(field)                                                                                              \
    static_assert(!speaks_of<Which, batten::field>, "batten::outputs: " #field " has two spans: leave one set<" #field "> out");
    BATTEN_EACH_FIELD(BATTEN_SAY)
#undef BATTEN_SAY
    static_assert(is_built_in<Which>, "batten::outputs: a field has two spans: leave one of them out");
}

template <class Which>
consteval void explain_span_too_many()
{
#define BATTEN_SAY(field)                                                                                              \
    static_assert(!speaks_of<Which, batten::field>,                                                                    \
                  "batten::outputs: the collator has no " #field ": add " #field "<> to its fields<...>, or leave its span out");
    BATTEN_EACH_FIELD(BATTEN_SAY)
#undef BATTEN_SAY
    static_assert(is_built_in<Which>,
                  "batten::outputs: a span is set for a field that this collator does not have: add it to its fields<...>");
}

#undef BATTEN_IS_FIELD
#undef BATTEN_EACH_FIELD

// Value: what the field writes.
template <class Value>
consteval void explain_span_type()
{
#define BATTEN_SAY(type)                                                                                               \
    static_assert(!std::same_as<Value, type>,                                                                          \
                  "batten::outputs: this field writes " #type ", its span holds another type: pass a span of " #type   \
                  ", or name the span's type in the field, as token_ids<std::int32_t>");
    BATTEN_SAY(std::int8_t) BATTEN_SAY(std::int16_t) BATTEN_SAY(std::int32_t) BATTEN_SAY(std::int64_t)
    BATTEN_SAY(std::uint8_t) BATTEN_SAY(std::uint16_t) BATTEN_SAY(std::uint32_t) BATTEN_SAY(std::uint64_t)
    BATTEN_SAY(float) BATTEN_SAY(double) BATTEN_SAY(bool)
#undef BATTEN_SAY
    constexpr bool is_said = std::same_as<Value, bool> || std::floating_point<Value> ||
                             (std::integral<Value> && !std::same_as<Value, long long> &&
                              !std::same_as<Value, unsigned long long> && !std::same_as<Value, char>);
    static_assert(is_said, "batten::outputs: the span's element type is not the field's value_type");
}

}  // namespace batten::detail

#endif
