// SPDX-License-Identifier: MIT
// The geometry of a paged KV cache: its blocks, their size, and the block and slot of a token.
#ifndef BATTEN_SERVE_CACHE_HPP_INCLUDED
#define BATTEN_SERVE_CACHE_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/integer.hpp>
#include <batten/serve/errors.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace batten::serve {

// What every backend's block table holds.
using block_id = std::int32_t;

// A paged cache. Pools, steps and slot_mapping take the same one.
struct cache_layout {
    std::size_t blocks = 0;           // of the cache, the reserved ones included: block ids are less
    std::size_t block_size = 16;      // tokens of a block
    std::size_t reserved_blocks = 1;  // the first blocks, which are never allocated: pads may point to them

    friend constexpr bool operator==(const cache_layout&, const cache_layout&) noexcept = default;
};

namespace detail {

// Positions and blocks, where the size of a block is a power of two. Shift: unsigned, or a constant.
template <class Shift>
class shift_geometry {
public:
    constexpr explicit shift_geometry(Shift shift) noexcept : shift_(shift) {}

    [[nodiscard]] constexpr std::size_t index(std::size_t position) const noexcept { return position >> shift_; }
    [[nodiscard]] constexpr std::size_t first_slot(std::size_t block) const noexcept { return block << shift_; }

private:
    [[no_unique_address]] Shift shift_;
};

}  // namespace detail

// Where tokens are in blocks: token p of a sequence is in its block index(p), at offset(p).
class block_geometry {
public:
    // Requires: block_size >= 1.
    constexpr explicit block_geometry(std::size_t block_size) noexcept : size_(block_size) {}

    [[nodiscard]] constexpr std::size_t block_size() const noexcept { return size_; }
    // position / block_size()
    [[nodiscard]] constexpr std::size_t index(std::size_t position) const noexcept { return position / size_; }
    // position % block_size()
    [[nodiscard]] constexpr std::size_t offset(std::size_t position) const noexcept { return position % size_; }
    // block * block_size()
    [[nodiscard]] constexpr std::size_t first_slot(std::size_t block) const noexcept { return block * size_; }
    // Blocks that hold `length` tokens.
    [[nodiscard]] constexpr std::size_t blocks_of(std::size_t length) const noexcept
    {
        return length == 0 ? 0 : index(length - 1) + 1;
    }
    // Tokens in the last of these blocks, 1 to block_size(); 0 for no tokens. It is not length % block_size(), which is 0 for a
    // full block.
    [[nodiscard]] constexpr std::size_t in_last_block(std::size_t length) const noexcept
    {
        return length == 0 ? 0 : offset(length - 1) + 1;
    }

    // Calls use(geometry) with an object that has index and first_slot and is fast in loops: it shifts where the size is a power
    // of two, since a division costs more than the rest of such a loop. The size 16, the usual one, is a constant: shifts by a
    // variable cost as much as two or three other instructions.
    template <class Use>
    constexpr decltype(auto) visit(Use&& use) const
    {
        if (size_ == 16)
            return use(detail::shift_geometry(std::integral_constant<unsigned, 4>()));
        return std::has_single_bit(size_) ? use(detail::shift_geometry(static_cast<unsigned>(std::countr_zero(size_))))
                                          : use(*this);
    }

private:
    std::size_t size_;
};

namespace detail {

using batten::detail::fail;
using batten::detail::size_limit;

// Whether such a cache can exist: it has blocks to allocate, and its ids and slots can be counted.
constexpr bool check_cache(const cache_layout& cache, std::size_t most_id, error& reason)
{
    if (cache.block_size == 0)
        return fail(reason, error::of(errors::argument_not_positive, 0, {}, "block_size"));
    if (cache.reserved_blocks >= cache.blocks)
        return fail(reason, error::of(errors::pool_without_blocks, cache.blocks, cache.reserved_blocks));
    if (cache.blocks - 1 > most_id)
        return fail(reason, error::of(errors::value_not_representable, cache.blocks - 1, {}, "block_table"));
    std::size_t slots = 0;
    return (batten::detail::multiply(cache.blocks, cache.block_size, slots) && integer(slots).fits<std::int64_t>()) ||
           fail(reason, error::of(errors::size_overflow, cache.blocks, cache.block_size));
}

// The blocks that sequences may have: those of the cache that are not reserved.
class allocated_blocks {
public:
    // Requires: check_cache.
    constexpr explicit allocated_blocks(const cache_layout& cache) noexcept
        : first_(cache.reserved_blocks), count_(cache.blocks - cache.reserved_blocks)
    {
    }

    // A negative block converts to a very large one.
    [[nodiscard]] constexpr bool has(auto block) const noexcept { return static_cast<std::size_t>(block) - first_ < count_; }
    constexpr bool check(auto block, std::size_t row, error& reason) const
    {
        if (has(block))
            return true;
        const bool is_reserved = static_cast<std::size_t>(block) < first_;
        return fail(reason, error::of_row(is_reserved ? errors::block_reserved : errors::block_out_of_range, row, block,
                                          is_reserved ? first_ : first_ + count_));
    }

private:
    std::size_t first_;
    std::size_t count_;
};

// Whether a block is of the cache. Reserved blocks may be among those of a sequence: a window's freed blocks.
constexpr bool check_in_cache(const auto& blocks, const cache_layout& cache, std::size_t row, error& reason)
{
    for (const auto block : blocks)
        if (std::cmp_less(block, 0) || std::cmp_greater_equal(block, cache.blocks)) [[unlikely]]
            return fail(reason, error::of_row(errors::block_out_of_range, row, block, cache.blocks));
    return true;
}

// Whether pads may point to `block`, or to `slot`. A negative slot is for kernels that skip it.
constexpr bool check_pad_block(std::int64_t block, const cache_layout& cache, error& reason)
{
    return (block >= 0 && std::cmp_less(block, cache.reserved_blocks)) ||
           fail(reason, error::of(errors::pad_block_not_reserved, block, cache.reserved_blocks));
}
constexpr bool check_pad_slot(std::int64_t slot, const cache_layout& cache, error& reason)
{
    return slot < 0 || check_pad_block(static_cast<std::int64_t>(static_cast<std::size_t>(slot) / cache.block_size), cache,
                                       reason);
}

}  // namespace detail

}  // namespace batten::serve

#endif
