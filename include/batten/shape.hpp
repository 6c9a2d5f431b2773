// SPDX-License-Identifier: MIT
// The size of a batch: what it comes to (summary), and the elements that each field needs (batch_shape).
#ifndef BATTEN_SHAPE_HPP_INCLUDED
#define BATTEN_SHAPE_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/field.hpp>
#include <batten/inputs.hpp>

#include <cstddef>

namespace batten {

// What one batch came to. real_tokens + padded_cells = rows * width.
struct summary {
    std::size_t real_tokens = 0;           // cells with a real token
    std::size_t padded_cells = 0;          // cells without
    std::size_t truncated_tokens = 0;        // tokens that truncation dropped
    std::size_t targets = 0;               // targets that are trained (column 0 of model_shifts is none)
    std::size_t rows_without_targets = 0;  // rows that train nothing
    std::size_t max_seqlen = 0;            // columns of the longest segment, a pad tail that is one among them

    constexpr summary& operator+=(const summary& other) noexcept
    {
        real_tokens += other.real_tokens;
        padded_cells += other.padded_cells;
        truncated_tokens += other.truncated_tokens;
        targets += other.targets;
        rows_without_targets += other.rows_without_targets;
        max_seqlen = max_seqlen < other.max_seqlen ? other.max_seqlen : max_seqlen;
        return *this;
    }
    friend constexpr bool operator==(const summary&, const summary&) noexcept = default;
};

namespace detail {

// What the spans of a call are measured by. A plain batch has rows of one width, a bucketed call its batches one behind the
// other.
struct extent {
    std::size_t rows = 0;
    std::size_t width = 0;  // of the last row, the widest
    std::size_t segments = 0;
    std::size_t cells = 0;  // without a row_stride
    std::size_t pad_segments = 0;  // 1 where a pad tail is a segment of its own
};

// Elements that Field's span needs: segments (and pad segments) + extra; cells; or, with a row_stride, (rows - 1) * row_stride + width.
template <class Field>
constexpr std::size_t elements_of(const extent& of, std::size_t row_stride) noexcept
{
    if constexpr (segment_field<Field>)
        return of.segments + extra_of<Field>() + (counts_pad_segments<Field>::value ? of.pad_segments : 0);
    else if (row_stride == 0 || of.rows == 0)
        return of.cells;
    else
        return (of.rows - 1) * row_stride + of.width;
}

template <class Fields, class Key>
constexpr std::size_t elements_named(const extent& of, std::size_t row_stride) noexcept
{
    using list = field_list<with_reports<Fields>>;
    return elements_of<typename list::template type<list::template find<Key>()>>(of, row_stride);
}

// What the shapes of calls share. Derived gives extent().
template <class Derived, class Fields>
struct shape_elements {
    // Elements that the span of a field needs: (rows - 1) * row_stride + width for a cell field, segments + extra for another.
    // `row_stride`: elements from one row to the next, 0 for the width. Names a field as get does.
    template <class Field>
    [[nodiscard]] constexpr std::size_t elements(std::size_t row_stride = 0) const noexcept
    {
        return elements_named<Fields, by_type<Field>>(static_cast<const Derived&>(*this).extent(), row_stride);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr std::size_t elements(std::size_t row_stride = 0) const noexcept
    {
        return elements_named<Fields, by_template<Field>>(static_cast<const Derived&>(*this).extent(), row_stride);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr std::size_t elements(std::size_t row_stride = 0) const noexcept
    {
        return elements_named<Fields, by_name<Name>>(static_cast<const Derived&>(*this).extent(), row_stride);
    }

    friend constexpr bool operator==(const shape_elements&, const shape_elements&) noexcept = default;
};

}  // namespace detail

// What a call would write: allocate by it.
template <class Fields>
struct batch_shape : detail::shape_elements<batch_shape<Fields>, Fields> {
    std::size_t rows = 0;
    std::size_t width = 0;
    std::size_t segments = 0;      // as many as rows, where each row is one sequence
    std::size_t pad_segments = 0;  // 1 where a pad tail is a segment of its own

    constexpr batch_shape() = default;
    constexpr explicit batch_shape(const detail::extent& of) noexcept
        : rows(of.rows), width(of.width), segments(of.segments), pad_segments(of.pad_segments)
    {
    }

    [[nodiscard]] constexpr detail::extent extent() const noexcept
    {
        return {rows, width, segments, rows * width, pad_segments};
    }

    friend constexpr bool operator==(const batch_shape&, const batch_shape&) noexcept = default;
};

}  // namespace batten

#endif
