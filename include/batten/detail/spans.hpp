// SPDX-License-Identifier: MIT
// The caller's contiguous memory as spans.
#ifndef BATTEN_DETAIL_SPANS_HPP_INCLUDED
#define BATTEN_DETAIL_SPANS_HPP_INCLUDED

#include <batten/detail/ranges.hpp>
#include <batten/error.hpp>
#include <batten/sequences.hpp>

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

namespace batten::detail {

// Memory to read, and to write.
template <class R>
concept memory = std::ranges::contiguous_range<R> && std::ranges::sized_range<R>;
template <class R>
concept output_memory = memory<R> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>;

template <class R>
using element_of = std::remove_cv_t<std::ranges::range_value_t<R>>;

// Integers in memory that something else owns, so that a view of them may be kept.
template <class R>
concept borrowed_integers = memory<R> && integer_number<element_of<R>> && std::ranges::borrowed_range<R>;

template <memory R>
constexpr auto span_of(R& range) noexcept
{
    using value = std::remove_reference_t<std::ranges::range_reference_t<R>>;
    return std::span<value>(std::ranges::data(range), static_cast<std::size_t>(std::ranges::size(range)));
}

// Whether a span has as many elements as it must; `name`: of what.
constexpr bool check_size(std::size_t needed, std::size_t given, std::string_view name, error& reason) noexcept
{
    return needed == given ||
           fail(reason, error::of(given < needed ? errors::span_too_small : errors::span_too_large, needed, given, name));
}

}  // namespace batten::detail

#endif
