// SPDX-License-Identifier: MIT
// The overflow policy: which tokens of a sequence over the limit are kept, if any.
#ifndef BATTEN_OVERFLOW_HPP_INCLUDED
#define BATTEN_OVERFLOW_HPP_INCLUDED

#include <concepts>
#include <cstddef>
#include <optional>

namespace batten {

// Tokens [begin, begin + length) of a sequence.
struct slice {
    std::size_t begin = 0;
    std::size_t length = 0;

    friend constexpr bool operator==(const slice&, const slice&) noexcept = default;
};

// How an overflow policy is read. Specialise it for a type that cannot be given the member below.
//
//   keep(overflow, length, limit)   which of `length` tokens are kept where at most `limit` may be; nothing: an error
template <class Overflow>
struct overflow_traits {
    static constexpr std::optional<slice> keep(const Overflow& overflow, std::size_t length, std::size_t limit)
        requires requires {
            { overflow.keep(length, limit) } -> std::convertible_to<std::optional<slice>>;
        }
    {
        return overflow.keep(length, limit);
    }
};

// Models: reject, truncate_right, truncate_left, and any type with keep(length, limit) or an overflow_traits.
// Only sequences over the limit are asked about. Lengths and limit count tokens.
//
// Requires  a pure function.
// Ensures   nothing (an error), or a slice inside [0, length) of at most `limit` tokens. The engine checks it before the first
//           write, in every build.
template <class Overflow>
concept overflow_policy = std::copyable<Overflow> && requires(const Overflow& overflow, std::size_t n) {
    { overflow_traits<Overflow>::keep(overflow, n, n) } -> std::same_as<std::optional<slice>>;
};

// An overflow_policy: a sequence over the limit is an error that names the row, its length and the limit. The default.
struct reject {
    constexpr reject() noexcept = default;
    // Another policy given as an option, .overflow = truncate_right{}, is a compile error that says where it belongs.
    template <class Other>
        requires(!std::same_as<Other, reject>)
    constexpr reject(const Other&) noexcept
    {
        static_assert(std::same_as<Other, reject>,
                      "batten: this collator rejects what is too long: truncation is part of its type, as in "
                      "collator<pad_right, fixed_length, truncate_right> or presets::training<truncate_right>");
    }

    static constexpr std::optional<slice> keep(std::size_t /*length*/, std::size_t /*limit*/) noexcept
    {
        return std::nullopt;
    }
};

// An overflow_policy: keeps the first tokens, [0, limit).
struct truncate_right {
    static constexpr std::optional<slice> keep(std::size_t /*length*/, std::size_t limit) noexcept
    {
        return slice{0, limit};
    }
};

// An overflow_policy: keeps the last tokens, [length - limit, length). Positions of the kept tokens begin at 0.
struct truncate_left {
    static constexpr std::optional<slice> keep(std::size_t length, std::size_t limit) noexcept
    {
        return slice{length - limit, limit};
    }
};

}  // namespace batten

#endif
