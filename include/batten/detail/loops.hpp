// SPDX-License-Identifier: MIT
// Loops over requests, which are a few instructions long. Such a loop is twice as slow where the linker happens to place it
// across two lines of the instruction cache; with four elements at a time the place does not matter. Inlined, the loops keep
// what they count in registers.
#ifndef BATTEN_DETAIL_LOOPS_HPP_INCLUDED
#define BATTEN_DETAIL_LOOPS_HPP_INCLUDED

#include <cstddef>
#include <type_traits>

namespace batten::detail {

// visit(0), ... visit(count - 1)
template <class Visit>
[[gnu::always_inline]] constexpr void visit_each(std::size_t count, Visit visit)
{
    std::size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        visit(i);
        visit(i + 1);
        visit(i + 2);
        visit(i + 3);
    }
    for (; i < count; ++i)
        visit(i);
}

// The first i of [first, count) for which holds(i) is false, or count. Up to three before it may be asked twice.
template <class Holds>
[[gnu::always_inline]] constexpr std::size_t find_not(std::size_t first, std::size_t count, Holds holds)
{
    std::size_t i = first;
    for (; i + 4 <= count; i += 4)
        if (!(holds(i) && holds(i + 1) && holds(i + 2) && holds(i + 3))) [[unlikely]]
            break;
    while (i < count && holds(i))
        ++i;
    return i;
}

// The same value, which the compiler no longer knows: so it does not gather four of them into a vector register, where scattered
// loads make that slower than four scalar results.
[[gnu::always_inline]] constexpr std::size_t scalar(std::size_t value) noexcept
{
#if defined(__GNUC__)
    if (!std::is_constant_evaluated())
        asm("" : "+r"(value));
#endif
    return value;
}

}  // namespace batten::detail

#endif
