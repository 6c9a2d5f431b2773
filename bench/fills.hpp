// SPDX-License-Identifier: MIT
// The limit that collation is held against: plain stores of as many bytes, from registers, nothing read.
#ifndef BENCH_FILLS_HPP_INCLUDED
#define BENCH_FILLS_HPP_INCLUDED

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#define BENCH_HAS_X86 1
#include <immintrin.h>
#else
#define BENCH_HAS_X86 0
#endif

namespace bench {

// Fills [out, out + bytes) with `value` again and again. Requires: out 64-byte aligned, bytes a multiple of 64.
using fill_function = void (*)(std::byte* out, std::size_t bytes, std::uint64_t value);

inline void fill_scalar(std::byte* out, std::size_t bytes, std::uint64_t value)
{
    auto* const words = reinterpret_cast<std::uint64_t*>(out);
    for (std::size_t i = 0; i < bytes / 8; i += 8) {
        // Opaque, so that the compiler makes neither vectors nor a call of memset of it.
#if defined(__GNUC__)
        asm volatile("" : "+r"(value));
#endif
        words[i] = value;
        words[i + 1] = value;
        words[i + 2] = value;
        words[i + 3] = value;
#if defined(__GNUC__)
        asm volatile("" : "+r"(value));
#endif
        words[i + 4] = value;
        words[i + 5] = value;
        words[i + 6] = value;
        words[i + 7] = value;
    }
}

#if BENCH_HAS_X86

inline void fill_sse2(std::byte* out, std::size_t bytes, std::uint64_t value)
{
    const __m128i v = _mm_set1_epi64x(static_cast<long long>(value));
    for (std::byte* const end = out + bytes; out != end; out += 64) {
        _mm_store_si128(reinterpret_cast<__m128i*>(out), v);
        _mm_store_si128(reinterpret_cast<__m128i*>(out + 16), v);
        _mm_store_si128(reinterpret_cast<__m128i*>(out + 32), v);
        _mm_store_si128(reinterpret_cast<__m128i*>(out + 48), v);
    }
}

[[gnu::target("avx2")]] inline void fill_avx2(std::byte* out, std::size_t bytes, std::uint64_t value)
{
    const __m256i v = _mm256_set1_epi64x(static_cast<long long>(value));
    for (std::byte* const end = out + bytes; out != end; out += 64) {
        _mm256_store_si256(reinterpret_cast<__m256i*>(out), v);
        _mm256_store_si256(reinterpret_cast<__m256i*>(out + 32), v);
    }
}

[[gnu::target("avx512f")]] inline void fill_avx512(std::byte* out, std::size_t bytes, std::uint64_t value)
{
    const __m512i v = _mm512_set1_epi64(static_cast<long long>(value));
    std::byte* const end = out + bytes;
    for (; end - out >= 256; out += 256) {
        _mm512_store_si512(out, v);
        _mm512_store_si512(out + 64, v);
        _mm512_store_si512(out + 128, v);
        _mm512_store_si512(out + 192, v);
    }
    for (; out != end; out += 64)
        _mm512_store_si512(out, v);
}

inline void fill_rep_stos(std::byte* out, std::size_t bytes, std::uint64_t value)
{
    std::size_t words = bytes / 8;
    asm volatile("rep stosq" : "+D"(out), "+c"(words) : "a"(value) : "memory");
}

inline void fill_stream_sse2(std::byte* out, std::size_t bytes, std::uint64_t value)
{
    const __m128i v = _mm_set1_epi64x(static_cast<long long>(value));
    for (std::byte* const end = out + bytes; out != end; out += 64) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(out), v);
        _mm_stream_si128(reinterpret_cast<__m128i*>(out + 16), v);
        _mm_stream_si128(reinterpret_cast<__m128i*>(out + 32), v);
        _mm_stream_si128(reinterpret_cast<__m128i*>(out + 48), v);
    }
    _mm_sfence();
}

[[gnu::target("avx512f")]] inline void fill_stream_avx512(std::byte* out, std::size_t bytes, std::uint64_t value)
{
    const __m512i v = _mm512_set1_epi64(static_cast<long long>(value));
    for (std::byte* const end = out + bytes; out != end; out += 64)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(out), v);
    _mm_sfence();
}

#endif

struct named_fill {
    std::string_view name;
    fill_function fill;
    bool ordinary;  // ordinary stores: the fastest of these is the limit. Others are ceilings of another kind
};

// Those that this machine can run.
inline std::vector<named_fill> machine_fills()
{
    std::vector<named_fill> fills{{"store fill, scalar", fill_scalar, true}};
#if BENCH_HAS_X86
    __builtin_cpu_init();
    fills.push_back({"store fill, SSE2", fill_sse2, true});
    if (__builtin_cpu_supports("avx2"))
        fills.push_back({"store fill, AVX2", fill_avx2, true});
    if (__builtin_cpu_supports("avx512f"))
        fills.push_back({"store fill, AVX-512", fill_avx512, true});
    fills.push_back({"rep stos", fill_rep_stos, false});
    fills.push_back({"non-temporal fill, SSE2", fill_stream_sse2, false});
    if (__builtin_cpu_supports("avx512f"))
        fills.push_back({"non-temporal fill, AVX-512", fill_stream_avx512, false});
#endif
    return fills;
}

// The bytes of [from, from + bytes), each read once. Requires: bytes a multiple of 4.
inline std::uint64_t read_all(const std::byte* from, std::size_t bytes)
{
    std::uint64_t sum = 0;
#if BENCH_HAS_X86
    __m128i sums = _mm_setzero_si128();
    for (; bytes >= 16; bytes -= 16, from += 16)
        sums = _mm_xor_si128(sums, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    sum = static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_xor_si128(sums, _mm_unpackhi_epi64(sums, sums))));
#endif
    for (; bytes != 0; bytes -= 4, from += 4) {
        std::uint32_t word = 0;
        std::memcpy(&word, from, sizeof word);
        sum ^= word;
    }
    return sum;
}

// One output array of a batch as a fill sees it: what real tokens write, then what pads write. In whole cache lines.
struct fill_part {
    std::byte* out = nullptr;
    std::size_t real_bytes = 0;
    std::size_t pad_bytes = 0;
    std::uint64_t real_value = 0;
    std::uint64_t pad_value = 0;
};

inline fill_part make_part(void* out, std::size_t real, std::size_t cells, std::size_t element_bytes, std::uint64_t real_value,
                           std::uint64_t pad_value)
{
    const std::size_t all_bytes = (cells * element_bytes + 63) / 64 * 64;
    const std::size_t real_bytes = real * element_bytes / 64 * 64;
    return {static_cast<std::byte*>(out), real_bytes, all_bytes - real_bytes, real_value, pad_value};
}

inline void run_fill(fill_function fill, const std::vector<fill_part>& parts)
{
    for (const fill_part& part : parts) {
        fill(part.out, part.real_bytes, part.real_value);
        fill(part.out + part.real_bytes, part.pad_bytes, part.pad_value);
    }
}

}  // namespace bench

#endif
