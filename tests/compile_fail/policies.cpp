// SPDX-License-Identifier: MIT
// What is no side, no length strategy and no overflow policy is refused by the concept's name.
#include <batten/bucketed.hpp>
#include <batten/collator.hpp>

#include <cstddef>
#include <optional>

struct centre {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};
struct centre_misspelt {
    static constexpr std::size_t ofset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};
struct centre_of_one_number {
    static constexpr std::size_t offset(std::size_t width) { return width / 2; }
};

struct always_eight {
    static constexpr std::size_t width(const auto& /*lengths*/) { return 8; }
};
struct limited_to_eight {
    static constexpr std::size_t limit() { return 8; }
};

struct keep_the_first_two {
    static constexpr std::optional<batten::slice> keep(std::size_t, std::size_t) { return batten::slice{0, 2}; }
};
struct keep_a_number {
    static constexpr std::size_t keep(std::size_t, std::size_t limit) { return limit; }
};

int main()
{
#ifdef FORBIDDEN_side_without_offset  // expect: constraints not satisfied && padding_side
    const batten::collator<centre_misspelt, batten::dynamic_length> side{{.pad_id = 0}};
#else
    const batten::collator<centre, batten::dynamic_length> side{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_side_with_another_offset  // expect: constraints not satisfied && padding_side
    const batten::collator<centre_of_one_number, batten::dynamic_length> offset{{.pad_id = 0}};
#else
    const batten::collator<centre, batten::dynamic_length> offset{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_length_without_width  // expect: constraints not satisfied && length_strategy
    const batten::collator<batten::pad_right, limited_to_eight> length{{.pad_id = 0}};
#else
    const batten::collator<batten::pad_right, always_eight> length{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_overflow_that_keeps_no_slice  // expect: constraints not satisfied && overflow_policy
    const batten::collator<batten::pad_right, always_eight, keep_a_number> overflow{{.pad_id = 0}};
#else
    const batten::collator<batten::pad_right, always_eight, keep_the_first_two> overflow{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_axes_in_another_order  // expect: constraints not satisfied && padding_side
    const batten::collator<batten::dynamic_length, batten::pad_right> order{{.pad_id = 0}};
#else
    const batten::collator<batten::pad_right, batten::dynamic_length> order{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_static_length_of_0  // expect: constraints not satisfied && requires(N > 0)
    const batten::collator<batten::pad_right, batten::static_length<0>> fixed{{.pad_id = 0}};
#else
    const batten::collator<batten::pad_right, batten::static_length<1>> fixed{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_round_up_to_0  // expect: constraints not satisfied && requires(N > 0)
    const batten::collator<batten::pad_right, batten::round_up_to<0>> rounded{{.pad_id = 0}};
#else
    const batten::collator<batten::pad_right, batten::round_up_to<1>> rounded{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_round_up_to_over_no_strategy  // expect: constraints not satisfied && length_strategy
    const batten::collator<batten::pad_right, batten::round_up_to<8, limited_to_eight>> nested{{.pad_id = 0}};
#else
    const batten::collator<batten::pad_right, batten::round_up_to<8, always_eight>> nested{{.pad_id = 0}};
#endif

#ifdef FORBIDDEN_bucketed_collator_without_a_ladder  // expect: constraints not satisfied && bucketed_strategy
    const batten::bucketed_collator<batten::pad_right, batten::dynamic_length> bucketed{{.pad_id = 0}};
#else
    const batten::bucketed_collator<batten::pad_right, batten::bucketed_length> bucketed{{.pad_id = 0, .length = {8}}};
#endif

    static_cast<void>(side);
    static_cast<void>(offset);
    static_cast<void>(length);
    static_cast<void>(overflow);
    static_cast<void>(order);
    static_cast<void>(fixed);
    static_cast<void>(rounded);
    static_cast<void>(nested);
    static_cast<void>(bucketed);
}
