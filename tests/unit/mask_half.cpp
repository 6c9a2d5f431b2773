// SPDX-License-Identifier: MIT

#include "catch.hpp"

#include <batten/half.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

using batten::bfloat16;
using batten::float16;
using batten::lowest_finite;

namespace {

template <class T>
constexpr bool is_laid_out_as_16_bits = sizeof(T) == 2 && alignof(T) == alignof(std::uint16_t) && std::is_trivial_v<T> &&
                                        std::is_standard_layout_v<T>;
static_assert(is_laid_out_as_16_bits<bfloat16> && is_laid_out_as_16_bits<float16>);

static_assert(lowest_finite<bfloat16>.bits == 0xFF7F && lowest_finite<float16>.bits == 0xFBFF);
static_assert(lowest_finite<float> == std::numeric_limits<float>::lowest());
static_assert(lowest_finite<double> == std::numeric_limits<double>::lowest());
static_assert(bfloat16{0} == bfloat16{} && !(bfloat16{1} == bfloat16{}));
static_assert(!batten::additive_element<int> && !batten::additive_element<std::uint16_t>);

// The value of a number by the definition of its format: sign, exponent (biased), fraction.
double value_of(std::uint16_t bits, int exponent_bits)
{
    const int fraction_bits = 15 - exponent_bits;
    const int exponent = (bits & 0x7FFF) >> fraction_bits;
    const double fraction = std::ldexp(bits & ((1 << fraction_bits) - 1), -fraction_bits);
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
    return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias) : sign * std::ldexp(1 + fraction, exponent - bias);
}

}  // namespace

TEST_CASE("no finite number of a 16-bit format is lower than lowest_finite")
{
    for (const auto& [lowest, exponent_bits] : {std::pair{lowest_finite<bfloat16>.bits, 8}, {lowest_finite<float16>.bits, 5}}) {
        const double expected = value_of(lowest, exponent_bits);
        CHECK(std::isfinite(expected));
        for (unsigned bits = 0; bits <= 0xFFFF; ++bits) {
            const double value = value_of(static_cast<std::uint16_t>(bits), exponent_bits);
            if (std::isfinite(value) && value < expected)
                FAIL("0x" << std::hex << bits << " is lower");
        }
    }
    CHECK(value_of(lowest_finite<float16>.bits, 5) == -65504);
}

TEST_CASE("a bfloat16 is the upper half of a float, so that its lowest value is a float")
{
    const std::uint32_t widened = std::uint32_t{lowest_finite<bfloat16>.bits} << 16U;
    float value = 0;
    std::memcpy(&value, &widened, sizeof value);
    CHECK(value == value_of(lowest_finite<bfloat16>.bits, 8));
    CHECK(value < -3.38e38F);
    CHECK(value > lowest_finite<float>);
}
