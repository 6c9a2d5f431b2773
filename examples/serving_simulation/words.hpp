// SPDX-License-Identifier: MIT
// Numbers and text as people read them: those of all examples, and times.
#ifndef BATTEN_EXAMPLES_SERVING_SIMULATION_WORDS_HPP_INCLUDED
#define BATTEN_EXAMPLES_SERVING_SIMULATION_WORDS_HPP_INCLUDED

#include "trace.hpp"

#include "../text.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace serving_simulation {

using namespace examples;

// 45 ms, 2.35 s, 1,234 s
inline std::string duration(nanoseconds time)
{
    const double seconds = static_cast<double>(time) / 1e9;
    if (seconds < 0.9995)
        return fixed_point(1000 * seconds, seconds < 0.00995 ? 1 : 0) + " ms";
    if (seconds < 99.95)
        return fixed_point(seconds, seconds < 9.995 ? 2 : 1) + " s";
    return grouped(static_cast<std::uint64_t>(std::llround(seconds))) + " s";
}

// 1,234 or 5.4
inline std::string amount(double number)
{
    return number < 99.95 ? fixed_point(number, 1) : grouped(static_cast<std::uint64_t>(std::llround(number)));
}

// 1 row, 1,234 rows
inline std::string counted(std::size_t number, std::string_view what)
{
    return grouped(number).append(" ").append(what).append(number == 1 ? "" : "s");
}

// 0.05, 6,000
inline std::string short_decimal(double number)
{
    if (number == std::round(number) && number < 1e15)
        return grouped(static_cast<std::uint64_t>(number));
    std::string digits = fixed_point(number, 6);
    return digits.erase(digits.find_last_not_of('0') + 1);
}

}  // namespace serving_simulation

#endif
