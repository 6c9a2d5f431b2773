// SPDX-License-Identifier: MIT
// The memory of batches that Batten owns. All system calls are in this file.
#ifndef BATTEN_DETAIL_MEMORY_HPP_INCLUDED
#define BATTEN_DETAIL_MEMORY_HPP_INCLUDED

#include <batten/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace batten::detail {

inline constexpr std::size_t line_bytes = 64;
inline constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

// Buffers of at least this size are put on huge pages, where the system has them: a fresh small page costs more to map than to
// write.
inline constexpr std::size_t huge_buffer_bytes = 2 * huge_page_bytes;

// Memory aligned to a cache line, large memory to a huge page; null where there is none.
inline void* allocate_bytes(std::size_t bytes) noexcept
{
    if (bytes < huge_buffer_bytes)
        return ::operator new(bytes, std::align_val_t{line_bytes}, std::nothrow);
    void* const memory = ::operator new(bytes, std::align_val_t{huge_page_bytes}, std::nothrow);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (memory != nullptr)
        static_cast<void>(::madvise(memory, bytes / huge_page_bytes * huge_page_bytes, MADV_HUGEPAGE));  // advice: may fail
#endif
    return memory;
}

inline void deallocate_bytes(void* memory, std::size_t bytes) noexcept
{
    ::operator delete(memory, std::align_val_t{bytes < huge_buffer_bytes ? line_bytes : huge_page_bytes});
}

[[noreturn]] inline void throw_bad_alloc()
{
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#else
    std::abort();
#endif
}

// make(), which allocates `bytes` with the standard library's containers, or an error where there are none.
template <class Make>
constexpr auto make_in_memory([[maybe_unused]] std::size_t bytes, Make make) -> result<decltype(make())>
{
#if defined(__cpp_exceptions)
    try {
        return make();
    } catch (const std::bad_alloc&) {
    } catch (const std::length_error&) {
    }
    return error::of(errors::out_of_memory, bytes);
#else
    return make();
#endif
}

// Asks for the cache line of `address`, to be written soon.
constexpr void prefetch_to_write([[maybe_unused]] const void* address) noexcept
{
#if defined(__GNUC__)
    if (!std::is_constant_evaluated())
        __builtin_prefetch(address, 1);
#endif
}

// An array of T, 64-byte aligned, that keeps its memory when it shrinks; std::allocator in constant evaluation.
// Growing leaves the elements unwritten: the caller writes them all.
template <class T>
class buffer {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>,
                  "batten: a field's value_type must be a number or another trivially copyable type");

public:
    constexpr buffer() noexcept = default;
    constexpr buffer(buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          capacity_(std::exchange(other.capacity_, 0))
    {
    }
    constexpr buffer(const buffer& other)
    {
        if (!reserve(other.size_))
            throw_bad_alloc();
        resize_within(other.size_);
        std::copy_n(other.data_, size_, data_);
    }
    constexpr buffer& operator=(buffer other) noexcept
    {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
        return *this;
    }
    constexpr ~buffer() { release(); }

    [[nodiscard]] constexpr T* data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }
    [[nodiscard]] constexpr std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] constexpr std::span<T> cells() const noexcept { return {data_, size_}; }

    // Makes room for `elements`; where it grows, its contents are lost. False where there is no memory: then it is unchanged.
    [[nodiscard]] constexpr bool reserve(std::size_t elements)
    {
        if (elements <= capacity_)
            return true;
        T* const grown = allocate(elements);
        if (grown == nullptr)
            return false;
        release();
        data_ = grown;
        size_ = 0;
        capacity_ = elements;
        return true;
    }

    // Requires: elements <= capacity().
    constexpr void resize_within(std::size_t elements) noexcept { size_ = elements; }

private:
    static constexpr T* allocate(std::size_t elements)
    {
        if (std::is_constant_evaluated()) {
            T* const memory = std::allocator<T>().allocate(elements);
            for (std::size_t i = 0; i < elements; ++i)
                std::construct_at(memory + i);
            return memory;
        }
        return static_cast<T*>(allocate_bytes(elements * sizeof(T)));
    }

    constexpr void release() noexcept
    {
        if (data_ == nullptr)
            return;
        if (std::is_constant_evaluated())
            std::allocator<T>().deallocate(data_, capacity_);
        else
            deallocate_bytes(data_, capacity_ * sizeof(T));
    }

    T* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

// The memory of a buffer for std::vector; std::allocator in constant evaluation.
template <class T>
struct buffer_allocator {
    using value_type = T;

    constexpr buffer_allocator() noexcept = default;
    template <class U>
    constexpr buffer_allocator(const buffer_allocator<U>& /*other*/) noexcept
    {
    }

    [[nodiscard]] constexpr T* allocate(std::size_t elements)
    {
        if (std::is_constant_evaluated())
            return std::allocator<T>().allocate(elements);
        const bool fits = elements <= static_cast<std::size_t>(-1) / sizeof(T);
        void* const memory = fits ? allocate_bytes(elements * sizeof(T)) : nullptr;
        if (memory == nullptr)
            throw_bad_alloc();
        return static_cast<T*>(memory);
    }
    constexpr void deallocate(T* memory, std::size_t elements) noexcept
    {
        if (std::is_constant_evaluated())
            std::allocator<T>().deallocate(memory, elements);
        else
            deallocate_bytes(memory, elements * sizeof(T));
    }

    template <class U>
    constexpr bool operator==(const buffer_allocator<U>& /*other*/) const noexcept
    {
        return true;
    }
};

// A vector for arrays that may be large: fresh huge pages cost less than small ones.
template <class T>
using buffer_vector = std::vector<T, buffer_allocator<T>>;

}  // namespace batten::detail

#endif
