// SPDX-License-Identifier: MIT
// The four row primitives: fill, iota, convert, select. Fields are composed of them; vector code lives here alone.
//
// On x86-64 the widest of SSE2, AVX2 and AVX-512 that the machine has is chosen at run time, whatever the build's flags.
// Elsewhere, and in constant evaluation, the same as plain loops. Every path writes the same bytes.
#ifndef BATTEN_DETAIL_SIMD_HPP_INCLUDED
#define BATTEN_DETAIL_SIMD_HPP_INCLUDED

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#if defined(__x86_64__) && defined(__GNUC__)
#define BATTEN_DETAIL_HAS_SIMD 1
#else
#define BATTEN_DETAIL_HAS_SIMD 0
#endif

namespace batten::detail::simd {

namespace portable {

template <class T>
constexpr void fill(T* out, std::size_t n, T value) noexcept
{
    for (std::size_t i = 0; i < n; ++i)
        out[i] = value;
}

template <class T>
constexpr void iota(T* out, std::size_t n, std::size_t first) noexcept
{
    for (std::size_t i = 0; i < n; ++i)
        out[i] = static_cast<T>(first + i);
}

template <class Source, class T>
constexpr void convert(const Source* from, T* out, std::size_t n) noexcept
{
    for (std::size_t i = 0; i < n; ++i)
        out[i] = static_cast<T>(from[i]);
}

template <class Mask, class Source, class T>
constexpr void select(const Mask* mask, const Source* from, T otherwise, T* out, std::size_t n) noexcept
{
    for (std::size_t i = 0; i < n; ++i)
        out[i] = mask[i] != Mask{} ? static_cast<T>(from[i]) : otherwise;
}

template <class Mask, class T>
constexpr void choose(const Mask* mask, T chosen, T otherwise, T* out, std::size_t n) noexcept
{
    for (std::size_t i = 0; i < n; ++i)
        out[i] = mask[i] != Mask{} ? chosen : otherwise;
}

template <class T>
constexpr void fill_run(T* out, std::size_t width, std::size_t begin, std::size_t n, T inside, T outside) noexcept
{
    fill(out, begin, outside);
    fill(out + begin, n, inside);
    fill(out + (begin + n), width - begin - n, outside);
}

template <class T>
constexpr void iota_run(T* out, std::size_t width, std::size_t begin, std::size_t n, std::size_t first, T outside) noexcept
{
    fill(out, begin, outside);
    iota(out + begin, n, first);
    fill(out + (begin + n), width - begin - n, outside);
}

template <class Source, class T>
constexpr void convert_run(const Source* from, T* out, std::size_t width, std::size_t begin, std::size_t n, T outside) noexcept
{
    fill(out, begin, outside);
    convert(from, out + begin, n);
    fill(out + (begin + n), width - begin - n, outside);
}

}  // namespace portable

#if BATTEN_DETAIL_HAS_SIMD

template <std::size_t bytes>
struct unsigned_of {
};
template <>
struct unsigned_of<1> {
    using type = std::uint8_t;
};
template <>
struct unsigned_of<2> {
    using type = std::uint16_t;
};
template <>
struct unsigned_of<4> {
    using type = std::uint32_t;
};
template <>
struct unsigned_of<8> {
    using type = std::uint64_t;
};

template <class... T>
concept vectorized = (true && ... && (std::is_arithmetic_v<T> && requires { typename unsigned_of<sizeof(T)>::type; }));

// Cells that are moved, not converted: numbers, and others that are their bits, such as half floats.
template <class T>
concept moved = vectorized<T> || (std::has_unique_object_representations_v<T> && std::is_trivially_copyable_v<T> &&
                                  requires { typename unsigned_of<sizeof(T)>::type; });

// What the kernels see in place of T, so that there is one for each width: its bits where they are only moved, an integer as
// wide and as signed, or T itself where it is a floating-point type, where they are converted.
template <class T>
using bits = typename unsigned_of<sizeof(T)>::type;
template <class T>
using lane = std::conditional_t<std::is_floating_point_v<T>, T,
                                std::conditional_t<std::is_signed_v<T>, std::make_signed_t<bits<T>>, bits<T>>>;

// The values of a vector that counts up from 0.
template <class T, std::size_t lanes>
struct ramp {
    alignas(lanes * sizeof(T)) T values[lanes]{};
    constexpr ramp() noexcept { portable::iota(values, lanes, 0); }
};

// Keeps the compiler from knowing the value, and so from making the loop around it a call of memset.
template <class T>
inline void hide(T& value) noexcept
{
    asm("" : "+r"(value));
}

// Runs shorter than the narrowest vector, read and written by memcpy as the kernels do.
struct scalar {
    template <class T>
    static T load(const T* from) noexcept
    {
        T value;
        __builtin_memcpy(&value, from, sizeof value);
        return value;
    }
    template <class T>
    static void store(T* out, T value) noexcept
    {
        __builtin_memcpy(out, &value, sizeof value);
    }
    template <class T>
    static void fill(T* out, std::size_t n, T value) noexcept
    {
        for (std::size_t i = 0; i < n; ++i)
            store(out + i, value);
    }
    template <class T>
    static void iota(T* out, std::size_t n, std::size_t first) noexcept
    {
        for (std::size_t i = 0; i < n; ++i)
            store(out + i, static_cast<T>(first + i));
    }
    template <class Source, class T>
    static void convert(const Source* from, T* out, std::size_t n) noexcept
    {
        for (std::size_t i = 0; i < n; ++i)
            store(out + i, static_cast<T>(load(from + i)));
    }
    template <class Mask, class Source, class T>
    static void select(const Mask* mask, const Source* from, T otherwise, T* out, std::size_t n) noexcept
    {
        for (std::size_t i = 0; i < n; ++i)
            store(out + i, load(mask + i) != Mask{} ? static_cast<T>(load(from + i)) : otherwise);
    }
    template <class Mask, class T>
    static void choose(const Mask* mask, T chosen, T otherwise, T* out, std::size_t n) noexcept
    {
        for (std::size_t i = 0; i < n; ++i)
            store(out + i, load(mask + i) != Mask{} ? chosen : otherwise);
    }
};

#define BATTEN_DETAIL_ISA sse2
#define BATTEN_DETAIL_TARGET
#define BATTEN_DETAIL_BYTES 16
#define BATTEN_DETAIL_NARROWER scalar
#include <batten/detail/simd_kernels.inc>
#undef BATTEN_DETAIL_ISA
#undef BATTEN_DETAIL_TARGET
#undef BATTEN_DETAIL_BYTES
#undef BATTEN_DETAIL_NARROWER

#define BATTEN_DETAIL_ISA avx2
#define BATTEN_DETAIL_TARGET [[gnu::target("avx2")]]
#define BATTEN_DETAIL_BYTES 32
#define BATTEN_DETAIL_NARROWER sse2
#include <batten/detail/simd_kernels.inc>
#undef BATTEN_DETAIL_ISA
#undef BATTEN_DETAIL_TARGET
#undef BATTEN_DETAIL_BYTES
#undef BATTEN_DETAIL_NARROWER

#define BATTEN_DETAIL_ISA avx512
#define BATTEN_DETAIL_TARGET [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl")]]
#define BATTEN_DETAIL_BYTES 64
#define BATTEN_DETAIL_NARROWER sse2
#include <batten/detail/simd_kernels.inc>
#undef BATTEN_DETAIL_ISA
#undef BATTEN_DETAIL_TARGET
#undef BATTEN_DETAIL_BYTES
#undef BATTEN_DETAIL_NARROWER

enum class level : unsigned char {
    sse2,
    avx2,
    avx512
};

inline level detect() noexcept
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return level::avx512;
    return __builtin_cpu_supports("avx2") ? level::avx2 : level::sse2;
}

// Resolved once. Before it is, in the initialisation of another unit's globals, it is sse2, which every machine has.
inline const level machine = detect();

// body(kernels), on those of the machine.
template <class Body>
void on_machine(Body body) noexcept
{
    if (machine == level::avx512)
        return body(avx512{});
    if (machine == level::avx2)
        return body(avx2{});
    return body(sse2{});
}

template <class T>
const lane<T>* lanes_of(const T* cells) noexcept
{
    return reinterpret_cast<const lane<T>*>(cells);
}
template <class T>
lane<T>* lanes_of(T* cells) noexcept
{
    return reinterpret_cast<lane<T>*>(cells);
}
template <class T>
bits<T>* bits_of(T* cells) noexcept
{
    return reinterpret_cast<bits<T>*>(cells);
}
template <class T>
bits<T> bits_in(T value) noexcept
{
    return std::bit_cast<bits<T>>(value);
}

// Copies `bytes` with stores that go round the caches: whole cache lines of `to` do, what lies before and behind them does not.
inline void stream(std::byte* to, const std::byte* from, std::size_t bytes) noexcept
{
    typedef long long line_part __attribute__((vector_size(16)));
    const std::size_t head = (64 - reinterpret_cast<std::uintptr_t>(to) % 64) % 64;
    if (bytes < head + 64) {
        __builtin_memcpy(to, from, bytes);
        return;
    }
    __builtin_memcpy(to, from, head);
    std::size_t i = head;
    for (; i + 64 <= bytes; i += 64)
        for (std::size_t part = 0; part < 64; part += 16) {
            line_part v;
            __builtin_memcpy(&v, from + i + part, sizeof v);
            asm volatile("movntdq {%1, %0|%0, %1}" : "=m"(*reinterpret_cast<char(*)[16]>(to + i + part)) : "x"(v));
        }
    __builtin_memcpy(to + i, from + i, bytes - i);
}

// Orders streamed stores before what the thread writes next, so that others who see that see them.
inline void end_of_stream() noexcept
{
    asm volatile("sfence" ::: "memory");
}

#else

inline void stream(std::byte* to, const std::byte* from, std::size_t bytes) noexcept
{
    for (std::size_t i = 0; i < bytes; ++i)
        to[i] = from[i];
}
inline void end_of_stream() noexcept {}

#endif

}  // namespace batten::detail::simd

namespace batten::cells {

// Fills out[0, size) with `value`.
template <class T>
constexpr void fill(std::span<T> out, T value) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::moved<T>) {
        if (!std::is_constant_evaluated()) {
            if (!out.empty())
                simd::on_machine(
                    [&](auto kernels) { kernels.fill(simd::bits_of(out.data()), out.size(), simd::bits_in(value)); });
            return;
        }
    }
#endif
    simd::portable::fill(out.data(), out.size(), value);
}

// Writes first, first + 1, ... to out[0, size). Requires: T holds every value.
template <class T>
constexpr void iota(std::span<T> out, std::size_t first) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::vectorized<T> && std::is_integral_v<T>) {
        if (!std::is_constant_evaluated()) {
            if (!out.empty())
                simd::on_machine([&](auto kernels) { kernels.iota(simd::bits_of(out.data()), out.size(), first); });
            return;
        }
    }
#endif
    simd::portable::iota(out.data(), out.size(), first);
}

// Copies from[0, size) to out[0, size), converting each value; no overlap. Requires: T holds every value, from.size() == size.
template <class Source, class T>
constexpr void convert(std::span<const Source> from, std::span<T> out) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::vectorized<Source, T>) {
        if (!std::is_constant_evaluated()) {
            if (!out.empty())
                simd::on_machine([&](auto kernels) {
                    kernels.convert(simd::lanes_of(from.data()), simd::lanes_of(out.data()), out.size());
                });
            return;
        }
    }
#endif
    simd::portable::convert(from.data(), out.data(), out.size());
}

// Writes to out[i] the converted from[i] where mask[i] != 0, else `otherwise`; no overlap. Requires: three equal sizes.
template <class Mask, class Source, class T>
constexpr void select(std::span<const Mask> mask, std::span<const Source> from, T otherwise, std::span<T> out) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::vectorized<Mask, Source, T> && std::is_integral_v<T> && std::is_integral_v<Source>) {
        if (!std::is_constant_evaluated()) {
            const auto* const m = simd::lanes_of(mask.data());
            const auto* const s = simd::lanes_of(from.data());
            const auto other = static_cast<simd::lane<T>>(otherwise);
            if (!out.empty())
                simd::on_machine([&](auto kernels) { kernels.select(m, s, other, simd::lanes_of(out.data()), out.size()); });
            return;
        }
    }
#endif
    simd::portable::select(mask.data(), from.data(), otherwise, out.data(), out.size());
}

// Writes to out[i] `chosen` where mask[i] != 0, else `otherwise`; no overlap. Requires: two equal sizes.
template <class Mask, class T>
constexpr void choose(std::span<const Mask> mask, T chosen, T otherwise, std::span<T> out) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::vectorized<Mask> && simd::moved<T>) {
        if (!std::is_constant_evaluated()) {
            const auto* const m = simd::lanes_of(mask.data());
            const auto yes = simd::bits_in(chosen);
            const auto no = simd::bits_in(otherwise);
            if (!out.empty())
                simd::on_machine([&](auto kernels) { kernels.choose(m, yes, no, simd::bits_of(out.data()), out.size()); });
            return;
        }
    }
#endif
    simd::portable::choose(mask.data(), chosen, otherwise, out.data(), out.size());
}

// The same for a whole row: cells [begin, begin + length) of `out` are the run, all others are `outside`. One pass, and faster
// on short rows than three calls. Requires: begin + length <= size.

template <class T>
constexpr void fill_run(std::span<T> out, std::size_t begin, std::size_t length, T inside, T outside) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::moved<T>) {
        if (!std::is_constant_evaluated()) {
            if (!out.empty())
                simd::on_machine([&](auto kernels) {
                    kernels.fill_run(simd::bits_of(out.data()), out.size(), begin, length, simd::bits_in(inside),
                                     simd::bits_in(outside));
                });
            return;
        }
    }
#endif
    simd::portable::fill_run(out.data(), out.size(), begin, length, inside, outside);
}

template <class T>
constexpr void iota_run(std::span<T> out, std::size_t begin, std::size_t length, std::size_t first, T outside) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::vectorized<T> && std::is_integral_v<T>) {
        if (!std::is_constant_evaluated()) {
            if (!out.empty())
                simd::on_machine([&](auto kernels) {
                    kernels.iota_run(simd::bits_of(out.data()), out.size(), begin, length, first, simd::bits_in(outside));
                });
            return;
        }
    }
#endif
    simd::portable::iota_run(out.data(), out.size(), begin, length, first, outside);
}

// The run is `from`, converted.
template <class Source, class T>
constexpr void convert_run(std::span<const Source> from, std::span<T> out, std::size_t begin, T outside) noexcept
{
    namespace simd = detail::simd;
#if BATTEN_DETAIL_HAS_SIMD
    if constexpr (simd::vectorized<Source, T>) {
        if (!std::is_constant_evaluated()) {
            if (!out.empty())
                simd::on_machine([&](auto kernels) {
                    kernels.convert_run(simd::lanes_of(from.data()), simd::lanes_of(out.data()), out.size(), begin, from.size(),
                                        static_cast<simd::lane<T>>(outside));
                });
            return;
        }
    }
#endif
    simd::portable::convert_run(from.data(), out.data(), out.size(), begin, from.size(), outside);
}

}  // namespace batten::cells

#endif
