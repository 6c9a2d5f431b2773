// SPDX-License-Identifier: MIT
// What one interval for a query cannot say is no kind of mask, and masks are combined by & alone.
#include <batten/mask/dense.hpp>
#include <batten/mask/intervals.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace mask = batten::mask;

int main()
{
    const std::vector<int> lengths{2, 3};
    const batten::padded_rows where(lengths, 3, batten::pad_right{});
    std::vector<mask::interval> out(6);
    const std::span<mask::interval> into(out);
    const mask::sliding_window window{.width = 2};
    const auto first_key = [](const mask::query&) { return mask::interval{0, 1}; };

#ifdef FORBIDDEN_sinks_with_a_window  // expect: the union of two masks may need two intervals for a query
    mask::intervals(where, first_key | window, into);
#else
    mask::intervals(where, first_key & window, into);
#endif

#ifdef FORBIDDEN_several_intervals_for_a_query  // expect: what needs several, as sinks with a window or trees
    mask::intervals(where, [](const mask::query&) { return std::array<mask::interval, 2>{}; }, into);
#else
    mask::intervals(where, [](const mask::query&) { return mask::interval{}; }, into);
#endif

#ifdef FORBIDDEN_predicate_of_query_and_key  // expect: a predicate of (query, key) may need several intervals
    mask::intervals(where, [](int query, int key) { return key <= query; }, into);
#else
    mask::intervals(where, [](const mask::query& q) { return mask::interval{0, q.position + 1}; }, into);
#endif

#ifdef FORBIDDEN_kind_that_is_none  // expect: this is no kind of mask
    mask::intervals(where, 4096, into);
#else
    mask::intervals(where, mask::sliding_window{.width = 4096}, into);
#endif

    const mask::dimensions shape = mask::intervals(where, mask::causal{}, out);
#ifdef FORBIDDEN_additive_mask_of_integers  // expect: additive_element
    std::vector<std::uint16_t> numbers(mask::dense_elements(shape));
#else
    std::vector<batten::bfloat16> numbers(mask::dense_elements(shape));
#endif
    mask::additive(out, shape, numbers);

#ifdef FORBIDDEN_bytes_of_four_bytes  // expect: mask_byte
    std::vector<std::int32_t> bytes(mask::dense_elements(shape));
#else
    std::vector<std::uint8_t> bytes(mask::dense_elements(shape));
#endif
    mask::bytes(out, shape, bytes);

#ifdef FORBIDDEN_lengths_that_do_not_outlive_the_call  // expect: padded_rows
    const batten::padded_rows dangling(std::vector<int>{1, 2}, 3, batten::pad_right{});
#else
    const batten::padded_rows dangling(std::span<const int>(lengths), 3, batten::pad_right{});
#endif
    static_cast<void>(dangling);
    return 0;
}
