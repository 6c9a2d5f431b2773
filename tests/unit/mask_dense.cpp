// SPDX-License-Identifier: MIT

#include "mask_support.hpp"

#include <batten/mask/dense.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace {

using namespace tests;
namespace errors = batten::mask::errors;
using mask::bit_order;
using mask::dimensions;
using mask::interval;
using mask::polarity;

// All intervals of 0 to `keys` keys, {b, b} among them.
std::vector<interval> all_intervals(std::int32_t keys)
{
    std::vector<interval> all;
    for (std::int32_t begin = 0; begin <= keys; ++begin)
        for (std::int32_t end = begin; end <= keys; ++end)
            all.push_back({begin, end});
    return all;
}

// The obvious mask: 1 where a query sees a key.
std::vector<std::uint8_t> seen_by(const std::vector<interval>& intervals, std::size_t keys)
{
    std::vector<std::uint8_t> seen;
    for (const interval& i : intervals)
        for (std::size_t k = 0; k < keys; ++k)
            seen.push_back(i.contains(static_cast<std::int32_t>(k)) ? 1 : 0);
    return seen;
}

// numpy.packbits: the first of eight in the highest bit, or with bitorder='little' in the lowest; zeros behind the last.
std::vector<std::uint8_t> packbits(std::span<const std::uint8_t> ones, bit_order order)
{
    std::vector<std::uint8_t> bytes((ones.size() + 7) / 8, 0);
    for (std::size_t i = 0; i < ones.size(); ++i)
        if (ones[i] != 0)
            bytes[i / 8] |= static_cast<std::uint8_t>(order == bit_order::big ? 0x80U >> i % 8 : 1U << i % 8);
    return bytes;
}

std::vector<std::uint8_t> inverse(std::vector<std::uint8_t> ones)
{
    for (std::uint8_t& one : ones)
        one = one != 0 ? 0 : 1;
    return ones;
}

constexpr std::array<std::uint8_t, 9> causal_of_three()
{
    constexpr std::array<interval, 3> seen{{{0, 1}, {0, 2}, {0, 3}}};
    std::array<std::uint8_t, 9> out{};
    mask::bytes(seen, {1, 3, 3}, std::span<std::uint8_t>(out), polarity::true_masks);
    return out;
}
static_assert(causal_of_three() == std::array<std::uint8_t, 9>{0, 1, 1, 0, 0, 1, 0, 0, 0});

constexpr bool additive_is_constexpr()
{
    constexpr std::array<interval, 1> seen{{{1, 2}}};
    std::array<batten::float16, 3> out{};
    mask::additive(seen, {1, 1, 3}, std::span<batten::float16>(out));
    std::array<std::uint8_t, 1> packed{0xFF};
    mask::bits(seen, {1, 1, 3}, packed, polarity::true_masks, bit_order::big);
    return out[0].bits == 0xFBFF && out[1].bits == 0 && out[2].bits == 0xFBFF && packed[0] == 0b10100000;
}
static_assert(additive_is_constexpr());

template <class T>
void check_additive(T lowest)
{
    for (const std::int32_t keys : {0, 1, 7, 33, 100}) {
        const auto intervals = all_intervals(keys);
        const auto width = static_cast<std::size_t>(keys);
        const dimensions of{1, intervals.size(), width};
        const auto seen = seen_by(intervals, width);
        for (const std::size_t row_stride : {std::size_t{0}, width + 3}) {
            const std::size_t step = row_stride == 0 ? width : row_stride;
            guarded<T> memory(mask::dense_elements(of, row_stride), 67);
            mask::additive(intervals, of, memory.cells(), row_stride);
            CHECK(memory.only_rows(intervals.size(), width, step));
            std::size_t wrong = 0;
            for (std::size_t q = 0; q < intervals.size(); ++q)
                for (std::size_t k = 0; k < width; ++k)
                    if (!(memory.cells()[q * step + k] == (seen[q * width + k] != 0 ? T{} : lowest)))
                        ++wrong;
            CHECK(wrong == 0);
        }
    }
}

template <class Call>
error_is error_of(Call call)
{
    const auto done = call();
    CHECK_FALSE(done.has_value());
    return done.error();
}

}  // namespace

TEST_CASE("bytes hold 1 where a query sees a key, or where it does not, by name")
{
    for (const std::int32_t keys : {0, 1, 5, 40}) {
        const auto intervals = all_intervals(keys);
        const auto width = static_cast<std::size_t>(keys);
        const dimensions of{intervals.size(), 1, width};
        guarded<std::uint8_t> memory(mask::dense_elements(of));
        CHECK(mask::bytes(intervals, of, memory.cells()) == intervals.size() * width);
        CHECK(line_of(memory.cells()) == line_of(seen_by(intervals, width)));
        mask::bytes(intervals, of, memory.cells(), polarity::true_masks);
        CHECK(line_of(memory.cells()) == line_of(inverse(seen_by(intervals, width))));
        CHECK(memory.only_inside());
    }
    const std::vector<interval> seen{{1, 2}};
    std::array<bool, 3> flags{true, true, true};
    mask::bytes(seen, {1, 1, 3}, std::span<bool>(flags));
    CHECK(flags == std::array<bool, 3>{false, true, false});
}

TEST_CASE("bytes with a row_stride leave what lies between the rows alone")
{
    const std::vector<interval> seen{{0, 1}, {0, 2}, {1, 3}, {0, 0}};
    guarded<std::uint8_t> memory(3 * 8 + 3);
    mask::bytes(seen, {2, 2, 3}, memory.cells(), polarity::true_attends, 8);
    CHECK(grid_of(memory.matrix(4, 3, 8)) == grid{{1, 0, 0}, {1, 1, 0}, {0, 1, 1}, {0, 0, 0}});
    CHECK(memory.only_rows(4, 3, 8));
}

TEST_CASE("an additive mask is 0 and the lowest finite value of its type")
{
    check_additive<float>(std::numeric_limits<float>::lowest());
    check_additive<double>(std::numeric_limits<double>::lowest());
    check_additive<batten::bfloat16>({0xFF7F});
    check_additive<batten::float16>({0xFBFF});
}

TEST_CASE("bits are the bytes packed, each query from a byte on")
{
    for (const std::int32_t keys : {0, 1, 7, 8, 9, 16, 43}) {
        const auto intervals = all_intervals(keys);
        const auto width = static_cast<std::size_t>(keys);
        const dimensions of{1, intervals.size(), width};
        for (const bit_order order : {bit_order::little, bit_order::big})
            for (const polarity meaning : {polarity::true_attends, polarity::true_masks}) {
                std::vector<std::uint8_t> bytes(mask::dense_elements(of), 9);
                mask::bytes(intervals, of, std::span(bytes), meaning);
                std::vector<std::uint8_t> expected;
                for (std::size_t q = 0; q < intervals.size(); ++q) {
                    const auto packed = packbits(std::span(bytes).subspan(q * width, width), order);
                    expected.insert(expected.end(), packed.begin(), packed.end());
                }
                guarded<std::uint8_t> memory(mask::bit_bytes(of));
                mask::bits(intervals, of, memory.cells(), meaning, order);
                CHECK(line_of(memory.cells()) == line_of(expected));
                CHECK(memory.only_inside());
            }
    }
}

TEST_CASE("ragged bits are those of the example in FlashInfer's documentation of segment_packbits")
{
    // x = 1 0 1 1 | 0 0 1 | 1 1 0 1
    const std::vector<int> queries{2, 1, 2}, keys{2, 3, 2};
    const std::vector<interval> seen{{0, 1}, {0, 2}, {2, 3}, {0, 2}, {1, 2}};
    const mask::requests of(queries, keys);
    REQUIRE(mask::ragged_bit_bytes(of) == 3);
    std::vector<std::uint8_t> out(3);
    std::vector<std::int32_t> indptr(4);
    mask::ragged_bits(of, seen, out, indptr, polarity::true_attends, bit_order::big);
    CHECK(line_of(out) == line{0b10110000, 0b00100000, 0b11010000});
    CHECK(line_of(indptr) == line{0, 1, 2, 3});
    mask::ragged_bits(of, seen, out, indptr);
    CHECK(line_of(out) == line{0b00001101, 0b00000100, 0b00001011});
}

TEST_CASE("ragged bits are each request's mask packed flat, as FlashInfer's kernels index it")
{
    const std::vector<int> queries{3, 1, 0, 5, 16, 2}, keys{7, 9, 4, 5, 21, 100};
    const mask::requests of(queries, keys);
    for (const auto& [order, meaning] : {std::pair{bit_order::little, polarity::true_attends},
                                         std::pair{bit_order::big, polarity::true_masks}}) {
        const auto seen = intervals_of(of, mask::sliding_window{.width = 6});
        guarded<std::uint8_t> memory(mask::ragged_bit_bytes(of));
        guarded<std::int32_t> indptr(7);
        CHECK(mask::ragged_bits(of, seen, memory.cells(), indptr.cells(), meaning, order) == memory.cells().size());
        CHECK((memory.only_inside() && indptr.only_inside()));

        std::vector<std::uint8_t> expected;
        line ends{0};
        std::size_t q = 0;
        for (std::size_t r = 0; r < queries.size(); ++r) {
            const std::vector<interval> own(seen.begin() + static_cast<std::ptrdiff_t>(q),
                                            seen.begin() + static_cast<std::ptrdiff_t>(q) + queries[r]);
            auto flat = seen_by(own, static_cast<std::size_t>(keys[r]));
            if (meaning == polarity::true_masks)
                flat = inverse(flat);
            const auto packed = packbits(flat, order);
            expected.insert(expected.end(), packed.begin(), packed.end());
            ends.push_back(static_cast<long long>(expected.size()));
            q += own.size();
            if (order == bit_order::little && meaning == polarity::true_attends)  // what the kernel reads
                for (int i = 0; i < queries[r]; ++i)
                    for (int k = 0; k < keys[r]; ++k) {
                        const auto offset = static_cast<std::size_t>(i * keys[r] + k);
                        const auto byte = memory.cells()[static_cast<std::size_t>(ends[r]) + offset / 8];
                        const int position = keys[r] - queries[r] + i;
                        CHECK((byte >> offset % 8 & 1) == (k <= position && position - k < 6 ? 1 : 0));
                    }
        }
        CHECK(line_of(memory.cells()) == line_of(expected));
        CHECK(line_of(indptr.cells()) == ends);
    }
}

TEST_CASE("masks of no requests and no rows are empty")
{
    const std::vector<int> none;
    std::vector<std::int32_t> indptr{5};
    CHECK(mask::ragged_bits(mask::requests(none, none), {}, {}, indptr) == 0);
    CHECK(indptr[0] == 0);
    CHECK(mask::dense_elements({0, 5, 7}) == 0);
    CHECK(mask::bytes({}, {0, 5, 7}, std::span<std::uint8_t>{}) == 0);
    CHECK(mask::dense_elements({2, 3, 5}, 8) == 45);
    CHECK(mask::bit_bytes({2, 3, 9}) == 12);
}

TEST_CASE("dense masks refuse intervals and memory that do not match, before the first write")
{
    const std::vector<interval> seen{{0, 1}, {0, 2}, {1, 3}, {0, 0}};
    const dimensions of{2, 2, 3};
    const auto errors = [&](const std::vector<interval>& list, const dimensions& shape, std::size_t size,
                            std::size_t row_stride = 0) {
        guarded<std::uint8_t> bytes(size);
        guarded<float> numbers(size);
        const error_is found = error_of([&] { return mask::try_bytes(list, shape, bytes.cells(), {}, row_stride); });
        CHECK(found == error_of([&] { return mask::try_additive(list, shape, numbers.cells(), row_stride); }));
        CHECK((bytes.untouched() && numbers.untouched()));
        check_throws({found.code, found.row, found.first, found.second, found.field},
                     [&] { mask::bytes(list, shape, bytes.cells(), {}, row_stride); });
        return found;
    };
    CHECK(errors(seen, of, 11) == error_is(errors::span_too_small, no_row, 12, 11, "the mask"));
    CHECK(errors(seen, of, 13) == error_is(errors::span_too_large, no_row, 12, 13, "the mask"));
    CHECK(errors(seen, of, 17, 5) == error_is(errors::span_too_small, no_row, 18, 17, "the mask"));
    CHECK(errors(seen, of, 21, 5) == error_is(errors::span_too_large, no_row, 20, 21, "the mask"));
    CHECK(errors(seen, of, 12, 2) == error_is(errors::row_stride_too_small, no_row, 3, 2, "the mask"));
    CHECK(errors(seen, {1, 2, 3}, 6) == error_is(errors::span_too_large, no_row, 2, 4, "intervals"));
    CHECK(errors(seen, {2, 3, 3}, 18) == error_is(errors::span_too_small, no_row, 6, 4, "intervals"));
    CHECK(errors(seen, {2, 2, 2}, 8) == error_is(errors::interval_outside_keys, 1, 0, 2));
    CHECK(errors({{0, 1}, {-1, 2}}, {1, 2, 3}, 6) == error_is(errors::interval_outside_keys, 0, 1, 3));
    CHECK(errors({{0, 1}, {2, 1}}, {1, 2, 3}, 6) == error_is(errors::interval_outside_keys, 0, 1, 3));

    guarded<std::uint8_t> bits(3);
    CHECK(error_of([&] { return mask::try_bits(seen, of, bits.cells()); }) ==
          error_is(errors::span_too_small, no_row, 4, 3, "the mask"));
    CHECK(error_of([&] { return mask::try_bits(seen, {2, 2, 2}, bits.cells().first(3)); }).code == errors::span_too_small);
    std::vector<std::uint8_t> four(4, 7);
    CHECK(error_of([&] { return mask::try_bits(seen, {2, 2, 2}, four); }) ==
          error_is(errors::interval_outside_keys, 1, 0, 2));
    CHECK(line_of(four) == line{7, 7, 7, 7});
}

TEST_CASE("sizes that overflow are refused")
{
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    CHECK(error_of([] { return mask::try_dense_elements({most / 2, 3, 1}); }) ==
          error_is(errors::size_overflow, no_row, most / 2, 3, "the mask"));
    CHECK(error_of([] { return mask::try_dense_elements({2, 3, most / 7}); }) ==
          error_is(errors::size_overflow, no_row, 6, most / 7, "the mask"));
    CHECK(error_of([] { return mask::try_dense_elements({2, 3, 1}, most / 4); }) ==
          error_is(errors::size_overflow, no_row, 6, most / 4, "the mask"));
    CHECK(error_of([] { return mask::try_bit_bytes({most, most, 1}); }) ==
          error_is(errors::size_overflow, no_row, most, most, "the mask"));
    check_throws({errors::size_overflow, no_row, most, most, "the mask"},
                 [] { static_cast<void>(mask::bit_bytes({most, most, 1})); });
}

TEST_CASE("ragged bits refuse intervals, sizes and requests that do not match, before the first write")
{
    const std::vector<int> queries{2, 1}, keys{2, 3};
    const mask::requests of(queries, keys);
    const std::vector<interval> seen{{0, 1}, {0, 2}, {0, 3}};
    const auto error_with = [&](const std::vector<interval>& list, std::size_t bytes, std::size_t offsets) {
        guarded<std::uint8_t> memory(bytes);
        guarded<std::int32_t> indptr(offsets);
        const error_is found = error_of([&] { return mask::try_ragged_bits(of, list, memory.cells(), indptr.cells()); });
        CHECK((memory.untouched() && indptr.untouched()));
        return found;
    };
    CHECK(error_with({{0, 1}}, 2, 3) == error_is(errors::span_too_small, no_row, 3, 1, "intervals"));
    CHECK(error_with(seen, 1, 3) == error_is(errors::span_too_small, no_row, 2, 1, "the mask"));
    CHECK(error_with(seen, 3, 3) == error_is(errors::span_too_large, no_row, 2, 3, "the mask"));
    CHECK(error_with(seen, 2, 2) == error_is(errors::span_too_small, no_row, 3, 2, "indptr"));
    CHECK(error_with({{0, 1}, {0, 3}, {0, 3}}, 2, 3) == error_is(errors::interval_outside_keys, 0, 1, 2));

    const std::vector<int> many{1 << 16}, few{3};
    const std::vector<std::int64_t> long_keys{1 << 16}, longer{std::int64_t{1} << 40};
    CHECK(error_of([&] { return mask::try_ragged_bit_bytes(mask::requests(many, long_keys)); }) ==
          error_is(errors::value_not_representable, 0, std::int64_t{1} << 32U, 0, "the bits of its mask"));
    CHECK(error_of([&] { return mask::try_ragged_bit_bytes(mask::requests(few, longer)); }).code ==
          errors::value_not_representable);
    // Requests of 2^31 - 2^15 bits: the bytes of eight fit an int32, those of nine do not.
    const std::vector<int> each(16, 1 << 15), with(16, (1 << 16) - 1);
    CHECK(error_of([&] { return mask::try_ragged_bit_bytes(mask::requests(each, with)); }) ==
          error_is(errors::value_not_representable, 8, 9 * ((std::int64_t{1} << 12U) * 65535), 0, "indptr"));
    const std::vector<int> unequal{1};
    CHECK(error_of([&] { return mask::try_ragged_bit_bytes(mask::requests(queries, unequal)); }).code ==
          errors::count_mismatch);
}
