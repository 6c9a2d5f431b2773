// SPDX-License-Identifier: MIT
// matrix_view: a 2-D view of memory that something else owns.
#ifndef BATTEN_MATRIX_HPP_INCLUDED
#define BATTEN_MATRIX_HPP_INCLUDED

#include <batten/error.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif
#if defined(__cpp_lib_mdspan)
#include <mdspan>
#endif

namespace batten {

// A row-major matrix of cells that something else owns: view(r, c), one row as a span.
//
// Shapes    data: (rows - 1) * row_stride + width elements; row_stride is the width where it is left out.
// Requires  the memory outlives the view.
template <class T>
class matrix_view {
public:
    constexpr matrix_view() noexcept = default;
    // Rows one after the other, or `row_stride` elements apart.
    constexpr matrix_view(T* data, std::size_t rows, std::size_t width) noexcept : matrix_view(data, rows, width, width) {}
    constexpr matrix_view(T* data, std::size_t rows, std::size_t width, std::size_t row_stride) noexcept
        : data_(data), rows_(rows), width_(width), row_stride_(row_stride)
    {
    }
    // A view of T as one of const T.
    template <class Other>
        requires(!std::same_as<Other, T> && std::same_as<const Other, T>)
    constexpr matrix_view(const matrix_view<Other>& other) noexcept
        : matrix_view(other.data(), other.rows(), other.width(), other.row_stride())
    {
    }

    [[nodiscard]] constexpr T* data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return width_; }
    [[nodiscard]] constexpr std::size_t row_stride() const noexcept { return row_stride_; }  // elements from one row to the next

    // data[r * row_stride + c]. Requires: r < rows(), c < width().
    [[nodiscard]] constexpr T& operator()(std::size_t r, std::size_t c) const
    {
        BATTEN_ASSERT(r < rows_ && c < width_, "row or column past the matrix");
        return data_[r * row_stride_ + c];
    }

    // Row r, `width` cells. Requires: r < rows().
    [[nodiscard]] constexpr std::span<T> row(std::size_t r) const
    {
        BATTEN_ASSERT(r < rows_, "row past the matrix");
        return {data_ + r * row_stride_, width_};
    }

#if defined(__cpp_lib_mdspan)
    [[nodiscard]] constexpr auto mdspan() const
    {
        using extents = std::dextents<std::size_t, 2>;
        const std::array<std::size_t, 2> strides{row_stride_, 1};
        return std::mdspan<T, extents, std::layout_stride>(
            data_, std::layout_stride::mapping<extents>(extents(rows_, width_), strides));
    }
#endif

private:
    T* data_ = nullptr;
    std::size_t rows_ = 0;
    std::size_t width_ = 0;
    std::size_t row_stride_ = 0;
};

}  // namespace batten

#endif
