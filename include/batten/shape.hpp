// SPDX-License-Identifier: MIT
// The totals of a batch (summary), its size (batch_shape), and both as a call returns them (written).
#ifndef BATTEN_SHAPE_HPP_INCLUDED
#define BATTEN_SHAPE_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/field.hpp>
#include <batten/inputs.hpp>

#include <cstddef>

namespace batten {

// The totals of a batch. real_tokens + padded_cells = rows * width.
struct summary {
    std::size_t real_tokens = 0;           // cells with a token
    std::size_t padded_cells = 0;          // cells without one
    std::size_t truncated_tokens = 0;      // tokens that truncation dropped
    std::size_t targets = 0;               // targets that are trained (column 0 of model_shifts is none)
    std::size_t rows_without_targets = 0;  // rows without a target that is trained
    std::size_t max_seqlen = 0;            // columns of the longest segment, trailing pads that are one among them

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

// What the spans of a call are measured by. A plain batch has rows of one width, a bucketed call its batches one after the
// other.
struct extent {
    std::size_t rows = 0;
    std::size_t width = 0;  // of the last row, the widest
    std::size_t segments = 0;
    std::size_t cells = 0;  // without a row_stride
    std::size_t pad_segments = 0;  // 1 where the trailing pads are a segment of their own

    friend constexpr bool operator==(const extent&, const extent&) noexcept = default;
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

// The size of a batch: allocate by it. elements<F>() says how many elements the span of a field needs.
template <class Fields>
class batch_shape : public detail::shape_elements<batch_shape<Fields>, Fields> {
public:
    constexpr batch_shape() = default;
    constexpr explicit batch_shape(const detail::extent& of) noexcept : extent_(of) {}

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return extent_.rows; }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return extent_.width; }
    // As many as rows, where each row is one sequence.
    [[nodiscard]] constexpr std::size_t segments() const noexcept { return extent_.segments; }
    // 1 where the trailing pads are a segment of their own, not counted by segments().
    [[nodiscard]] constexpr std::size_t pad_segments() const noexcept { return extent_.pad_segments; }

    [[nodiscard]] constexpr detail::extent extent() const noexcept { return extent_; }

    friend constexpr bool operator==(const batch_shape&, const batch_shape&) noexcept = default;

private:
    detail::extent extent_{};
};

// What a call wrote: the shape, by which the used part of larger spans is read, and the totals.
template <class Shape>
struct written {
    Shape shape{};
    batten::summary summary{};

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return shape.rows(); }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return shape.width(); }

    friend constexpr bool operator==(const written&, const written&) noexcept = default;
};

}  // namespace batten

#endif
