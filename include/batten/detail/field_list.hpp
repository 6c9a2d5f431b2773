// SPDX-License-Identifier: MIT
// Lookup in a list of fields, by type, template or name, and the flags of fields.
#ifndef BATTEN_DETAIL_FIELD_LIST_HPP_INCLUDED
#define BATTEN_DETAIL_FIELD_LIST_HPP_INCLUDED

#include <batten/detail/field_sentences.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>

namespace batten::detail {

template <class List>
struct field_list;

template <class... Field>
struct field_list<fields<Field...>> {
    template <std::size_t I>
    using type = std::tuple_element_t<I, std::tuple<Field...>>;

    template <class Key>
    static constexpr std::size_t count_of = (std::size_t{0} + ... + (Key::template matches<Field> ? 1U : 0U));

    template <class Key>
    static constexpr std::size_t find()
    {
        if constexpr (count_of<Key> == 0)
            explain_missing_field<Key>();
        static_assert(count_of<Key> <= 1,
                      "batten: more than one field of this collator is meant: name the whole type, as token_ids<int>");
        return first<Key>();
    }

    // The first field that Key names. Requires: there is one.
    template <class Key>
    static constexpr std::size_t first()
    {
        constexpr bool matches[] = {Key::template matches<Field>..., true};
        std::size_t i = 0;
        while (!matches[i])
            ++i;
        return i < sizeof...(Field) ? i : 0;  // after an error: any field, so that there is no second error
    }

    // The same list with Field at its end, unless an instance of Template is in it.
    template <class Extra, template <class...> class Template>
    using with = std::conditional_t<count_of<by_template<Template>> == 0, fields<Field..., Extra>, fields<Field...>>;

    // Whether `has` of any field; has is a struct template with a value.
    template <template <class> class Has>
    static constexpr bool any = (false || ... || Has<Field>::value);
};

template <class Field>
struct uses_pad_id : std::bool_constant<requires { requires Field::uses_pad_id; }> {};
template <class Field>
struct counts_pad_segments : std::bool_constant<requires { requires Field::counts_pad_segments; }> {};
template <class Field>
struct needs_one_row : std::bool_constant<requires { requires Field::needs_one_row; }> {};
template <class Field>
struct needs_pads_last : std::bool_constant<requires { requires Field::needs_pads_last; }> {};

// What every owning batch reports for each segment, whether its fields name it or not.
template <class Fields, class Report, template <class...> class Template>
using with_report = typename field_list<Fields>::template with<Report, Template>;
template <class Fields>
using with_reports = with_report<
    with_report<with_report<with_report<with_report<Fields, lengths<>, lengths>, truncated_tokens<>, truncated_tokens>,
                            target_counts<>, target_counts>,
                first_columns<>, first_columns>,
    segment_rows<>, segment_rows>;

}  // namespace batten::detail

#endif
