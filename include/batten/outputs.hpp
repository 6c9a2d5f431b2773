// SPDX-License-Identifier: MIT
// The caller's memory for one call, a named span for each field: outputs{set<token_ids>(ids), ...}.
#ifndef BATTEN_OUTPUTS_HPP_INCLUDED
#define BATTEN_OUTPUTS_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/detail/field_sentences.hpp>
#include <batten/detail/ranges.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>
#include <batten/inputs.hpp>
#include <batten/shape.hpp>

#include <compare>
#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>

namespace batten {

// One field's memory, by name. Made by set<...>.
template <class Key, class T>
struct named_span {
    using key = Key;
    std::span<T> cells{};
    std::size_t row_stride = 0;  // elements from one row to the next; 0: the width
};

namespace detail {

template <class Key, class Range, class Given>
constexpr auto name_span(Range& range, std::size_t row_stride)
{
    static_assert(!temporary_range<Given>,
                  "batten::set: a temporary is given, what is written to it would be lost: give it a name first");
    static_assert(std::ranges::contiguous_range<Range>,
                  "batten::set: a field is written to contiguous memory (vector<bool> is not: use std::uint8_t)");
    using value = std::remove_reference_t<std::ranges::range_reference_t<Range>>;
    static_assert(!std::is_const_v<value>, "batten::set: the span is const, a field is written to it");
    return named_span<Key, value>{
        std::span<value>(std::ranges::data(range), static_cast<std::size_t>(std::ranges::size(range))), row_stride};
}

}  // namespace detail

// Gives a field, named as get does, the caller's memory: set<token_ids>(ids), set<"weights">(w, 1024).
// `row_stride`: elements from one row to the next, 0 for the width.
template <template <class...> class Field, class Range>
[[nodiscard]] constexpr auto set(Range&& range, std::size_t row_stride = 0)
{
    return detail::name_span<detail::by_template<Field>, std::remove_reference_t<Range>, Range>(range, row_stride);
}
template <class Field, class Range>
[[nodiscard]] constexpr auto set(Range&& range, std::size_t row_stride = 0)
{
    return detail::name_span<detail::by_type<Field>, std::remove_reference_t<Range>, Range>(range, row_stride);
}
template <fixed_string Name, class Range>
[[nodiscard]] constexpr auto set(Range&& range, std::size_t row_stride = 0)
{
    return detail::name_span<detail::by_name<Name>, std::remove_reference_t<Range>, Range>(range, row_stride);
}

// The caller's memory for one call, a span for each field:
//
//     batten::outputs{set<token_ids>(ids), set<attention_mask>(mask), ...}
//
// A field left out is a compile error. Reports for each segment may be added: lengths, truncated_tokens, target_counts,
// first_columns, segment_rows.
template <class... Named>
struct outputs {
    constexpr outputs(Named... named) : spans(named...) {}
    std::tuple<Named...> spans;
};

template <class... Named>
outputs(Named...) -> outputs<Named...>;

namespace detail {

// A field with its object and its memory.
template <class Field>
struct bound_field {
    using field_type = Field;
    using value_type = typename Field::value_type;

    const Field* field = nullptr;
    value_type* data = nullptr;
    std::size_t elements = 0;
    std::size_t row_stride = 0;  // 0: the width of the batch
};

template <class Fields>
struct bound_list;
template <class... Field>
struct bound_list<fields<Field...>> {
    using type = std::tuple<bound_field<Field>...>;
};

// The object of a report field, which has no options of its own.
template <class Field>
inline constexpr Field report{};

// Fields, and after them the reports (lengths, truncated_tokens, ...) that the spans name as well, with the spans' types.
template <class Fields, template <class...> class Report, class... Named>
struct add_report {
    using type = Fields;
};
template <class Fields, template <class...> class Report, class Key, class T, class... Named>
struct add_report<Fields, Report, named_span<Key, T>, Named...> {
    static consteval auto pick()
    {
        if constexpr (field_list<Fields>::template count_of<by_template<Report>> != 0)
            return std::type_identity<Fields>{};
        else if constexpr (integer_number<T>)
            if constexpr (Key::template matches<Report<T>>)
                return std::type_identity<typename field_list<Fields>::template with<Report<T>, Report>>{};
            else
                return std::type_identity<typename add_report<Fields, Report, Named...>::type>{};
        else
            return std::type_identity<typename add_report<Fields, Report, Named...>::type>{};
    }
    using type = typename decltype(pick())::type;
};

template <class Fields, class... Named>
using with_lengths_named = typename add_report<Fields, lengths, Named...>::type;
template <class Fields, class... Named>
using with_places_named = typename add_report<typename add_report<Fields, first_columns, Named...>::type, segment_rows, Named...>::type;
template <class Fields, class... Named>
using with_counts_named =
    typename add_report<typename add_report<Fields, truncated_tokens, Named...>::type, target_counts, Named...>::type;
template <class Fields, class... Named>
using written_fields = with_places_named<with_counts_named<with_lengths_named<Fields, Named...>, Named...>, Named...>;

// Takes a span of the elements needed, or more: the rest stays as it is.
template <class Field>
constexpr bool bind_span(bound_field<Field>& out, std::span<typename Field::value_type> cells, std::size_t row_stride,
                         const extent& of, error& reason)
{
    if (cell_field<Field> && row_stride != 0) {
        std::size_t most = 0;
        if (row_stride < of.width)
            return fail(reason, error::of(errors::row_stride_too_small, of.width, row_stride, name_of<Field>()));
        if (!multiply(of.rows, row_stride, most) || most > size_limit / 2)
            return fail(reason, error::of(errors::size_overflow, of.rows, row_stride, name_of<Field>()));
    }
    const std::size_t needed = elements_of<Field>(of, row_stride);
    if (cells.size() < needed)
        return fail(reason, error::of(errors::span_too_small, needed, cells.size(), name_of<Field>()));
    out.data = cells.data();
    out.elements = needed;
    out.row_stride = row_stride;
    return true;
}

template <class Field, class... Named>
constexpr bool bind_field(const outputs<Named...>& out, const extent& of, bound_field<Field>& bound, error& reason)
{
    constexpr bool named[] = {Named::key::template matches<Field>..., false};
    constexpr std::size_t times = (std::size_t{0} + ... + (Named::key::template matches<Field> ? 1U : 0U));
    if constexpr (times == 0) {
        explain_missing_span<Field>();
        return false;
    } else if constexpr (times > 1) {
        explain_two_spans<Field>();
        return false;
    } else {
        constexpr std::size_t index = [&] {
            std::size_t i = 0;
            while (!named[i])
                ++i;
            return i;
        }();
        const auto& span = std::get<index>(out.spans);
        using given = typename std::remove_cvref_t<decltype(span.cells)>::element_type;
        if constexpr (std::same_as<given, typename Field::value_type>) {
            return bind_span(bound, span.cells, span.row_stride, of, reason);
        } else {
            explain_span_type<typename Field::value_type>();
            return false;
        }
    }
}

// Whether two fields share memory. Compared at run time alone.
template <class A, class B>
constexpr bool are_apart(const bound_field<A>& a, const bound_field<B>& b)
{
    if (std::is_constant_evaluated() || a.elements == 0 || b.elements == 0)
        return true;
    const auto* const a_begin = reinterpret_cast<const std::byte*>(a.data);
    const auto* const b_begin = reinterpret_cast<const std::byte*>(b.data);
    const auto at_most = [](const std::byte* x, const std::byte* y) { return std::compare_three_way{}(x, y) <= 0; };
    return at_most(a_begin + a.elements * sizeof(*a.data), b_begin) ||
           at_most(b_begin + b.elements * sizeof(*b.data), a_begin);
}

template <class First, class... Rest>
constexpr bool all_apart(const First& first, const Rest&... rest)
{
    if constexpr (sizeof...(Rest) == 0)
        return true;
    else
        return (true && ... && are_apart(first, rest)) && all_apart(rest...);
}

template <class List, class Key>
constexpr void check_key()
{
    if constexpr (field_list<List>::template count_of<Key> == 0)
        explain_span_too_many<Key>();
}

// Gives each field of List its span, or says which does not fit the shape. Nothing is written.
template <class List, class... Named, class... Field>
constexpr bool bind_spans(const outputs<Named...>& out, const extent& of, std::tuple<bound_field<Field>...>& bound,
                          error& reason)
{
    (check_key<List, typename Named::key>(), ...);
    const bool good = std::apply(
        [&](auto&... field) { return (true && ... && bind_field(out, of, field, reason)); }, bound);
    if (good)
        BATTEN_ASSERT(std::apply([](const auto&... field) { return all_apart(field...); }, bound),
                      "two output spans overlap");
    return good;
}

}  // namespace detail

}  // namespace batten

#endif
