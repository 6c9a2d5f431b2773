// SPDX-License-Identifier: MIT
// The 16-bit floating-point types of accelerators, as their bits. They have no arithmetic: C++20 has no such types.
#ifndef BATTEN_HALF_HPP_INCLUDED
#define BATTEN_HALF_HPP_INCLUDED

#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace batten {

// 1 sign bit, 8 of exponent, 7 of fraction: the upper half of a float. Laid out as a std::uint16_t.
struct bfloat16 {
    std::uint16_t bits;
    friend constexpr bool operator==(const bfloat16&, const bfloat16&) noexcept = default;
};

// IEEE 754 binary16: 1 sign bit, 5 of exponent, 10 of fraction. Laid out as a std::uint16_t.
struct float16 {
    std::uint16_t bits;
    friend constexpr bool operator==(const float16&, const float16&) noexcept = default;
};

template <class T>
concept half = std::same_as<T, bfloat16> || std::same_as<T, float16>;

// The element type of an additive mask.
template <class T>
concept additive_element = half<T> || std::floating_point<T>;

// The element type of a mask of ones and zeros.
template <class T>
concept mask_element = half<T> || std::is_arithmetic_v<T>;

// 1 in T: 0x3F80 in bfloat16, 0x3C00 in float16. T{} is 0.
template <mask_element T>
inline constexpr T one_of{1};
template <>
inline constexpr bfloat16 one_of<bfloat16>{0x3F80};
template <>
inline constexpr float16 one_of<float16>{0x3C00};

// The lowest finite value of T: -3.4028235e38 of float, -3.3895314e38 (0xFF7F) of bfloat16, -65504 (0xFBFF) of float16.
template <additive_element T>
inline constexpr T lowest_finite = std::numeric_limits<T>::lowest();
template <>
inline constexpr bfloat16 lowest_finite<bfloat16>{0xFF7F};
template <>
inline constexpr float16 lowest_finite<float16>{0xFBFF};

}  // namespace batten

#endif
