// SPDX-License-Identifier: MIT
// Every set of kernels that the machine has writes the bytes that the plain loops write: at every offset and length of a cache line
// and beyond, and nothing around them.

#include "catch.hpp"

#include <batten/detail/simd.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

namespace {

namespace simd = batten::detail::simd;

#if BATTEN_DETAIL_HAS_SIMD

constexpr std::size_t line = 64;
constexpr std::size_t longest = 200;  // cells; past the unrolled loops of the widest vector of the narrowest cells

// Cells that begin `offset` elements behind a cache line, poisoned, with a line more on both sides.
template <class T>
class arena {
public:
    explicit arena(std::size_t offset) : memory_((longest + 2 * line) * sizeof(T) + 4 * line, 0xA5)
    {
        aligned_ = line - reinterpret_cast<std::uintptr_t>(memory_.data()) % line;
        cells_ = reinterpret_cast<T*>(memory_.data() + aligned_ + line + offset * sizeof(T));
    }
    T* cells() { return cells_; }
    friend bool operator==(const arena& a, const arena& b)
    {
        const std::size_t compared = (longest + line) * sizeof(T) + 2 * line;
        return std::equal(a.memory_.data() + a.aligned_, a.memory_.data() + a.aligned_ + compared, b.memory_.data() + b.aligned_);
    }

private:
    std::vector<unsigned char> memory_;
    std::size_t aligned_ = 0;
    T* cells_ = nullptr;
};

// Values of every size where `large`, else some that every type holds.
template <class T>
std::vector<T> numbers(bool large)
{
    std::vector<T> values(longest + 1);
    std::uint64_t state = 88172645463325252U;
    for (T& value : values) {
        state ^= state << 13U;
        state ^= state >> 7U;
        state ^= state << 17U;
        if constexpr (std::is_floating_point_v<T>)
            value = static_cast<T>(static_cast<std::int32_t>(state)) / T{16};
        else
            value = static_cast<T>(large ? state : state % 100);
    }
    return values;
}

// Whether kernel(out, n) and plain(out, n) write the same.
template <class T, class Kernel, class Plain>
void same_everywhere(const std::string& what, Kernel kernel, Plain plain)
{
    std::string wrong;
    for (std::size_t offset = 0; offset < line / sizeof(T); ++offset)
        for (std::size_t n = 1; n <= longest; ++n) {
            arena<T> a(offset);
            arena<T> b(offset);
            kernel(a.cells(), n);
            plain(b.cells(), n);
            if (!(a == b) && wrong.empty())
                wrong = what + " differs at offset " + std::to_string(offset) + ", length " + std::to_string(n);
        }
    CHECK(wrong == "");
}

struct run {
    std::size_t begin;
    std::size_t length;

    run within(std::size_t width) const
    {
        const std::size_t b = begin < width ? begin : width;
        return {b, length < width - b ? length : width - b};
    }
};

constexpr run runs[] = {{0, 0}, {0, 1}, {0, 7}, {0, 8}, {0, 33}, {0, 200}, {1, 15}, {3, 64}, {7, 9}, {30, 100}, {199, 1}, {200, 0}};

template <class Kernels, class T>
void fills_and_counts(const std::string& set)
{
    const T value = static_cast<T>(0x5B);
    const auto v = simd::bits_in(value);
    same_everywhere<T>(
        set + " fill", [&](T* out, std::size_t n) { Kernels::fill(simd::bits_of(out), n, v); },
        [&](T* out, std::size_t n) { simd::portable::fill(out, n, value); });
    same_everywhere<T>(
        set + " iota", [&](T* out, std::size_t n) { Kernels::iota(simd::bits_of(out), n, 3); },
        [&](T* out, std::size_t n) { simd::portable::iota(out, n, 3); });
    for (const run& all : runs) {
        same_everywhere<T>(
            set + " fill_run",
            [&](T* out, std::size_t n) {
                const run r = all.within(n);
                Kernels::fill_run(simd::bits_of(out), n, r.begin, r.length, v, simd::bits_in(T{1}));
            },
            [&](T* out, std::size_t n) {
                const run r = all.within(n);
                simd::portable::fill_run(out, n, r.begin, r.length, value, T{1});
            });
        same_everywhere<T>(
            set + " iota_run",
            [&](T* out, std::size_t n) {
                const run r = all.within(n);
                Kernels::iota_run(simd::bits_of(out), n, r.begin, r.length, 3, simd::bits_in(T{1}));
            },
            [&](T* out, std::size_t n) {
                const run r = all.within(n);
                simd::portable::iota_run(out, n, r.begin, r.length, 3, T{1});
            });
    }
}

template <class Kernels, class Source, class T>
void converts(const std::string& set, bool large = sizeof(T) >= sizeof(Source))
{
    const std::vector<Source> all = numbers<Source>(large);
    // A copy that ends where the run ends: a read past it is for the sanitizer to find.
    const auto source = [&](std::size_t n) { return std::vector<Source>(all.begin() + 1, all.begin() + 1 + static_cast<std::ptrdiff_t>(n)); };
    same_everywhere<T>(
        set + " convert",
        [&](T* out, std::size_t n) { Kernels::convert(simd::lanes_of(source(n).data()), simd::lanes_of(out), n); },
        [&](T* out, std::size_t n) { simd::portable::convert(source(n).data(), out, n); });
    for (const run& whole : runs)
        same_everywhere<T>(
            set + " convert_run",
            [&](T* out, std::size_t n) {
                const run r = whole.within(n);
                Kernels::convert_run(simd::lanes_of(source(r.length).data()), simd::lanes_of(out), n, r.begin, r.length,
                                     simd::lane<T>{1});
            },
            [&](T* out, std::size_t n) {
                const run r = whole.within(n);
                simd::portable::convert_run(source(r.length).data(), out, n, r.begin, r.length, T{1});
            });
}

template <class Kernels, class Mask, class Source, class T>
void selects(const std::string& set)
{
    std::vector<Mask> mask(longest);
    for (std::size_t i = 0; i < longest; ++i)
        mask[i] = i % 3 == 0 || i % 7 == 2 ? Mask(1) : Mask(0);
    const std::vector<Source> from = numbers<Source>(false);
    same_everywhere<T>(
        set + " select",
        [&](T* out, std::size_t n) {
            Kernels::select(simd::lanes_of(mask.data()), simd::lanes_of(from.data()), simd::lane<T>{-100}, simd::lanes_of(out), n);
        },
        [&](T* out, std::size_t n) { simd::portable::select(mask.data(), from.data(), T{-100}, out, n); });
    same_everywhere<T>(
        set + " choose",
        [&](T* out, std::size_t n) {
            Kernels::choose(simd::lanes_of(mask.data()), simd::bits_in(T{1}), simd::bits_in(T{0}), simd::bits_of(out), n);
        },
        [&](T* out, std::size_t n) { simd::portable::choose(mask.data(), T{1}, T{0}, out, n); });
}

template <class Kernels>
void every_kernel(const std::string& set)
{
    fills_and_counts<Kernels, std::uint8_t>(set);
    fills_and_counts<Kernels, std::int16_t>(set);
    fills_and_counts<Kernels, std::int32_t>(set);
    fills_and_counts<Kernels, std::int64_t>(set);

    converts<Kernels, std::int32_t, std::int64_t>(set);
    converts<Kernels, std::uint32_t, std::int64_t>(set);
    converts<Kernels, std::int32_t, std::int32_t>(set);
    converts<Kernels, std::int64_t, std::int64_t>(set);
    converts<Kernels, std::uint16_t, std::int64_t>(set);
    converts<Kernels, std::int16_t, std::int64_t>(set);
    converts<Kernels, std::uint16_t, std::int32_t>(set);
    converts<Kernels, std::int16_t, std::int32_t>(set);
    converts<Kernels, std::uint8_t, std::int64_t>(set);
    converts<Kernels, std::int8_t, std::int32_t>(set);
    converts<Kernels, std::int64_t, std::int32_t>(set);
    converts<Kernels, std::int64_t, std::uint16_t>(set);
    converts<Kernels, std::int32_t, std::uint8_t>(set);
    converts<Kernels, float, float>(set);
    converts<Kernels, double, float>(set);
    converts<Kernels, std::int32_t, float>(set);

    selects<Kernels, std::uint8_t, std::int32_t, std::int64_t>(set);
    selects<Kernels, std::int32_t, std::uint16_t, std::int64_t>(set);
    selects<Kernels, float, std::int32_t, std::int32_t>(set);
    selects<Kernels, std::uint8_t, std::int64_t, std::int64_t>(set);
}

#endif

}  // namespace

#if BATTEN_DETAIL_HAS_SIMD

TEST_CASE("sse2 kernels write what plain loops write")
{
    every_kernel<simd::sse2>("sse2");
}

TEST_CASE("avx2 kernels write what plain loops write")
{
    if (simd::detect() == simd::level::sse2)
        WARN("this machine has no AVX2: its kernels are not run");
    else
        every_kernel<simd::avx2>("avx2");
}

TEST_CASE("avx512 kernels write what plain loops write")
{
    if (simd::detect() != simd::level::avx512)
        WARN("this machine has no AVX-512: its kernels are not run");
    else
        every_kernel<simd::avx512>("avx512");
}

#endif

TEST_CASE("the primitives do nothing on empty spans")
{
    batten::cells::fill(std::span<int>{}, 7);
    batten::cells::iota(std::span<int>{}, 7);
    batten::cells::convert(std::span<const int>{}, std::span<long>{});
    batten::cells::fill_run(std::span<int>{}, 0, 0, 7, 8);
    batten::cells::convert_run(std::span<const int>{}, std::span<long>{}, 0, 8L);
    SUCCEED();
}
