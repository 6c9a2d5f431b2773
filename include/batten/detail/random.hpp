// SPDX-License-Identifier: MIT
// Draws that depend on their arguments alone: on a key and a counter, never on threads, platform or what was drawn before.
#ifndef BATTEN_DETAIL_RANDOM_HPP_INCLUDED
#define BATTEN_DETAIL_RANDOM_HPP_INCLUDED

#include <cstdint>
#include <initializer_list>

namespace batten::detail {

// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): a bijection of 64 bits.
constexpr std::uint64_t mix(std::uint64_t x) noexcept
{
    x = (x ^ x >> 30U) * 0xBF58476D1CE4E5B9U;
    x = (x ^ x >> 27U) * 0x94D049BB133111EBU;
    return x ^ x >> 31U;
}

// A key of its own for each list of numbers: key_of({seed, epoch, purpose}).
constexpr std::uint64_t key_of(std::initializer_list<std::uint64_t> numbers) noexcept
{
    std::uint64_t key = 0x6A09E667F3BCC909U;
    for (const std::uint64_t number : numbers)
        key = mix(key ^ mix(number + 0x9E3779B97F4A7C15U));
    return key;
}

// Draw number `counter` of a key: 64 even bits.
constexpr std::uint64_t draw(std::uint64_t key, std::uint64_t counter) noexcept
{
    return mix(key + (counter + 1) * 0x9E3779B97F4A7C15U);
}

// The upper half of the 128 bits of a * b.
constexpr std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) noexcept
{
#if defined(__SIZEOF_INT128__)
    __extension__ using wide = unsigned __int128;
    return static_cast<std::uint64_t>(wide{a} * b >> 64U);
#else
    const std::uint64_t low = 0xFFFFFFFFU;
    const std::uint64_t middle = (a >> 32U) * (b & low) + ((a & low) * (b & low) >> 32U);
    return (a >> 32U) * (b >> 32U) + (middle >> 32U) + (((a & low) * (b >> 32U) + (middle & low)) >> 32U);
#endif
}

// 64 even bits as a number below n, 0 of n = 0; how uneven is under n / 2^64.
constexpr std::uint64_t below(std::uint64_t n, std::uint64_t bits) noexcept
{
    return multiply_high(bits, n);
}

}  // namespace batten::detail

#endif
