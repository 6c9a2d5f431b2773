// SPDX-License-Identifier: MIT
// The padding side: the column of a row at which its first real token is.
#ifndef BATTEN_SIDE_HPP_INCLUDED
#define BATTEN_SIDE_HPP_INCLUDED

#include <concepts>
#include <cstddef>

namespace batten {

// How a padding side is read. Specialise it for a type that cannot be given the members below.
//
//   offset(side, length, width)   column of the first of `length` real tokens in a row of `width` columns
//   pads_come_last                whether every pad of a row comes after its tokens; default false
template <class Side>
struct side_traits {
    static constexpr std::size_t offset(const Side& side, std::size_t length, std::size_t width)
        requires requires {
            { side.offset(length, width) } -> std::convertible_to<std::size_t>;
        }
    {
        return static_cast<std::size_t>(side.offset(length, width));
    }
};

// Models: pad_right, pad_left, and any type with offset(length, width) or a side_traits.
//
// Requires  a pure function.
// Ensures   offset + length <= width, where length <= width. The engine checks it before the first write, in every build.
template <class Side>
concept padding_side = std::copyable<Side> && requires(const Side& side, std::size_t n) {
    { side_traits<Side>::offset(side, n, n) } -> std::convertible_to<std::size_t>;
};

// A padding_side: tokens from column 0, pads after them. For training, and for encoders, whose [CLS] stays at column 0.
struct pad_right {
    static constexpr bool pads_come_last = true;
    // 0
    static constexpr std::size_t offset(std::size_t /*length*/, std::size_t /*width*/) noexcept { return 0; }
};

// A padding_side: pads first, the last token in the last column. For generation, which continues every row after that
// column.
struct pad_left {
    // width - length
    static constexpr std::size_t offset(std::size_t length, std::size_t width) noexcept { return width - length; }
};

namespace detail {

template <class Side>
constexpr bool pads_come_last() noexcept
{
    if constexpr (requires { side_traits<Side>::pads_come_last; })
        return side_traits<Side>::pads_come_last;
    else if constexpr (requires { Side::pads_come_last; })
        return Side::pads_come_last;
    else
        return false;
}

}  // namespace detail

}  // namespace batten

#endif
