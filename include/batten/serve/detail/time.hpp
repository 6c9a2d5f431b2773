// SPDX-License-Identifier: MIT
// Sums and differences of times that do not overflow at the ends of their type.
#ifndef BATTEN_SERVE_DETAIL_TIME_HPP_INCLUDED
#define BATTEN_SERVE_DETAIL_TIME_HPP_INCLUDED

#include <concepts>
#include <limits>
#include <optional>

namespace batten::serve::detail {

// The first and the last time of a type: of numbers by std::numeric_limits, else by static members min() and max(), as
// std::chrono has them. Empty for a type that has neither: its sums and differences are not checked.
template <class Time>
struct time_limits {
    static constexpr std::optional<Time> first()
    {
        if constexpr (std::numeric_limits<Time>::is_specialized)
            return std::numeric_limits<Time>::lowest();
        else if constexpr (requires { { Time::min() } -> std::same_as<Time>; })
            return Time::min();
        else
            return std::nullopt;
    }
    static constexpr std::optional<Time> last()
    {
        if constexpr (std::numeric_limits<Time>::is_specialized)
            return std::numeric_limits<Time>::max();
        else if constexpr (requires { { Time::max() } -> std::same_as<Time>; })
            return Time::max();
        else
            return std::nullopt;
    }
};

// time + duration, or nothing where that is past the last time. Requires: a duration of 0 or more.
template <class Time, class Duration>
constexpr std::optional<Time> time_after(const Time& time, const Duration& duration)
{
    if (const std::optional<Time> last = time_limits<Time>::last(); last && *last - duration < time)
        return std::nullopt;
    return Time(time + duration);
}

// time - duration, at least the first time. Requires: a duration of 0 or more.
template <class Time, class Duration>
constexpr Time time_before(const Time& time, const Duration& duration)
{
    if (const std::optional<Time> first = time_limits<Time>::first(); first && time < *first + duration)
        return *first;
    return Time(time - duration);
}

}  // namespace batten::serve::detail

#endif
