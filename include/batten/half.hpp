// SPDX-License-Identifier: MIT
// The 16-bit floating-point types of accelerators, as their bits: no arithmetic, C++20 has no such types.
#ifndef BATTEN_HALF_HPP_INCLUDED
#define BATTEN_HALF_HPP_INCLUDED

#include <concepts>
#include <cstdint>
#include <limits>

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

// What an additive mask may be made of.
template <class T>
concept additive_element = half<T> || std::floating_point<T>;

// The lowest finite value: -3.4028235e38 of float, -3.3895314e38 (0xFF7F) of bfloat16, -65504 (0xFBFF) of float16.
template <additive_element T>
inline constexpr T lowest_finite = std::numeric_limits<T>::lowest();
template <>
inline constexpr bfloat16 lowest_finite<bfloat16>{0xFF7F};
template <>
inline constexpr float16 lowest_finite<float16>{0xFBFF};

}  // namespace batten

#endif
