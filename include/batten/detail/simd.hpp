// SPDX-License-Identifier: MIT
// The four row primitives. Fields are composed of them; no other file holds vector code.
#ifndef BATTEN_DETAIL_SIMD_HPP_INCLUDED
#define BATTEN_DETAIL_SIMD_HPP_INCLUDED

#include <cstddef>
#include <span>

namespace batten::cells {

// Fills out[0, size) with `value`.
template <class T>
constexpr void fill(std::span<T> out, T value) noexcept
{
    for (T& cell : out)
        cell = value;
}

// Writes first, first + 1, ... to out[0, size). Requires: T holds every value.
template <class T>
constexpr void iota(std::span<T> out, std::size_t first) noexcept
{
    for (T& cell : out)
        cell = static_cast<T>(first++);
}

// Copies from[0, size) to out[0, size), converting each value; no overlap. Requires: T holds every value, from.size() == size.
template <class Source, class T>
constexpr void convert(std::span<const Source> from, std::span<T> out) noexcept
{
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<T>(from[i]);
}

// Writes to out[i] the converted from[i] where mask[i] != 0, else `otherwise`; no overlap. Requires: three equal sizes.
template <class Mask, class Source, class T>
constexpr void select(std::span<const Mask> mask, std::span<const Source> from, T otherwise, std::span<T> out) noexcept
{
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = mask[i] != Mask{} ? static_cast<T>(from[i]) : otherwise;
}

// Writes to out[i] `chosen` where mask[i] != 0, else `otherwise`; no overlap. Requires: two equal sizes.
template <class Mask, class T>
constexpr void choose(std::span<const Mask> mask, T chosen, T otherwise, std::span<T> out) noexcept
{
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = mask[i] != Mask{} ? chosen : otherwise;
}

}  // namespace batten::cells

#endif
