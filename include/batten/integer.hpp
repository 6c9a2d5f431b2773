// SPDX-License-Identifier: MIT
// integer, which holds an integer of any type exactly, and arithmetic on sizes that reports overflow.
#ifndef BATTEN_INTEGER_HPP_INCLUDED
#define BATTEN_INTEGER_HPP_INCLUDED

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

namespace batten {

// An integer of any type, held exactly as sign and magnitude: pad ids, ignore indices, the numbers of an error.
class integer {
public:
    constexpr integer() noexcept = default;

    template <std::integral Int>
    constexpr integer(Int value) noexcept
        : magnitude_(is_below_zero(value) ? std::uint64_t{0} - static_cast<std::uint64_t>(value)
                                          : static_cast<std::uint64_t>(value)),
          negative_(is_below_zero(value))
    {
    }

    // Whether T holds the value; true for every floating-point T, which rounds it.
    template <class T>
    [[nodiscard]] constexpr bool fits() const noexcept
    {
        if constexpr (std::is_floating_point_v<T>)
            return true;
        else if (negative_)
            return std::is_signed_v<T> &&
                   magnitude_ <= static_cast<std::uint64_t>(std::numeric_limits<T>::max()) + std::uint64_t{1};
        else
            return magnitude_ <= static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    }

    // The value as a T. Requires: fits<T>().
    template <class T>
    [[nodiscard]] constexpr T to() const noexcept
    {
        if constexpr (std::is_floating_point_v<T>)
            return negative_ ? -static_cast<T>(magnitude_) : static_cast<T>(magnitude_);
        else
            return static_cast<T>(negative_ ? std::uint64_t{0} - magnitude_ : magnitude_);
    }

    [[nodiscard]] constexpr bool is_negative() const noexcept { return negative_; }

    friend constexpr bool operator==(const integer&, const integer&) noexcept = default;

    [[nodiscard]] std::string text() const
    {
        std::string digits(negative_ ? "-" : "");
        return digits += std::to_string(magnitude_);
    }

private:
    template <std::integral Int>
    static constexpr bool is_below_zero([[maybe_unused]] Int value) noexcept
    {
        if constexpr (std::is_signed_v<Int>)
            return value < 0;
        else
            return false;
    }

    std::uint64_t magnitude_ = 0;
    bool negative_ = false;
};

// No limit, where a length, a width or a count may have one.
inline constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

namespace detail {

inline constexpr std::size_t size_limit = std::numeric_limits<std::size_t>::max();

// a + b, or false where it passes the size type.
constexpr bool add(std::size_t a, std::size_t b, std::size_t& sum) noexcept
{
    sum = a + b;
    return sum >= a;
}

// a * b, or false where it passes the size type.
constexpr bool multiply(std::size_t a, std::size_t b, std::size_t& product) noexcept
{
    product = a * b;
    return a == 0 || b <= size_limit / a;
}

}  // namespace detail

}  // namespace batten

#endif
