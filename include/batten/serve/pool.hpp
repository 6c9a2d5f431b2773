// SPDX-License-Identifier: MIT
// The pool of a paged KV cache's blocks: it allocates them and counts their references. block_list.hpp has the blocks of one
// sequence. A pool is for one thread, the one that schedules.
#ifndef BATTEN_SERVE_POOL_HPP_INCLUDED
#define BATTEN_SERVE_POOL_HPP_INCLUDED

#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/serve/cache.hpp>
#include <batten/serve/errors.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace batten::serve {

// Allocates the blocks of a cache and counts the references to each. A block with no reference is free.
//
// Ensures  a block with references is not allocated again; reserved blocks are never allocated.
// Memory   one block id and one count for each block, allocated by the constructor.
// Cost     O(1) for each block.
class block_pool {
public:
    // Errors: a block size of 0; all blocks reserved; ids that block_id cannot hold; slots (blocks * block_size) over 64 bits; no
    // memory.
    constexpr explicit block_pool(cache_layout cache) : block_pool(try_make(cache).value()) {}
    [[nodiscard]] static constexpr result<block_pool> try_make(cache_layout cache)
    {
        error reason;
        if (!detail::check_cache(cache, std::size_t{std::numeric_limits<block_id>::max()}, reason))
            return reason;
        const std::size_t bytes = cache.blocks * (sizeof(block_id) + sizeof(ref_counter));
        return batten::detail::make_in_memory(bytes, [&] { return block_pool(checked{}, cache); });
    }

    // Takes a free block and sets its count to 1. Returns nullopt where no block is free.
    [[nodiscard]] constexpr std::optional<block_id> allocate() noexcept
    {
        if (free_ == 0)
            return std::nullopt;
        const block_id block = free_list_[--free_];
        ref_counts_[index(block)] = 1;
        return block;
    }
    // Takes a free block for each element. Returns false, and changes nothing, where fewer are free.
    [[nodiscard]] constexpr bool allocate(std::span<block_id> blocks) noexcept
    {
        if (blocks.size() > free_)
            return false;
        const block_id* top = free_list_.data() + free_;
        for (block_id& block : blocks) {
            block = *--top;
            ref_counts_[index(block)] = 1;
        }
        free_ -= blocks.size();
        return true;
    }

    // Adds a reference to a block. Returns its count. Errors: a block that is free, reserved or outside of the pool; a count over
    // 65,535.
    [[nodiscard]] constexpr result<std::size_t> try_acquire(block_id block)
    {
        if (!can_acquire(block)) [[unlikely]]
            return explain_acquire(block);
        return ++ref_counts_[index(block)];
    }
    constexpr std::size_t acquire(block_id block)
    {
        if (!can_acquire(block)) [[unlikely]]
            batten::detail::raise(explain_acquire(block));
        return ++ref_counts_[index(block)];
    }

    // Drops a reference to a block; at 0 the block is free. Returns its count. Errors: a block that is free (so that none is
    // freed twice), reserved or outside of the pool.
    [[nodiscard]] constexpr result<std::size_t> try_release(block_id block)
    {
        std::size_t left = 0;
        if (!drop(block, left, free_)) [[unlikely]]
            return explain_not_live(block);
        return left;
    }
    constexpr std::size_t release(block_id block)
    {
        std::size_t left = 0;
        if (!drop(block, left, free_)) [[unlikely]]
            batten::detail::raise(explain_not_live(block));
        return left;
    }

    // Releases each block. Returns how many became free. Errors: as for one block; then nothing has changed.
    [[nodiscard]] constexpr result<std::size_t> try_release(std::span<const block_id> blocks)
    {
        std::size_t free = free_;  // a copy, which stays in a register
        for (std::size_t i = 0; i < blocks.size(); ++i)
            if (std::size_t left = 0; !drop(blocks[i], left, free)) [[unlikely]] {
                const error reason = explain_not_live(blocks[i]);
                take_back(blocks.first(i));
                return reason;
            }
        return free - std::exchange(free_, free);
    }
    constexpr std::size_t release(std::span<const block_id> blocks) { return try_release(blocks).value(); }

    // References to a block: 0 where it is free, reserved or outside of the pool.
    [[nodiscard]] constexpr std::size_t ref_count(block_id block) const noexcept
    {
        return is_live(block) ? ref_counts_[index(block)] : 0;
    }
    [[nodiscard]] constexpr bool is_live(block_id block) const noexcept
    {
        return index(block) < cache_.blocks && ref_counts_[index(block)] != 0;
    }
    [[nodiscard]] constexpr bool is_reserved(block_id block) const noexcept { return index(block) < cache_.reserved_blocks; }
    // The error with which release refuses a block. Requires: !is_live(block).
    [[nodiscard]] constexpr error explain_not_live(block_id block) const noexcept
    {
        if (index(block) >= cache_.blocks)
            return error::of(errors::block_out_of_range, block, cache_.blocks);
        if (is_reserved(block))
            return error::of(errors::block_reserved, block, cache_.reserved_blocks);
        return error::of(errors::block_not_live, block);
    }

    [[nodiscard]] constexpr const cache_layout& cache() const noexcept { return cache_; }
    [[nodiscard]] constexpr std::size_t block_size() const noexcept { return cache_.block_size; }
    [[nodiscard]] constexpr std::size_t blocks() const noexcept { return cache_.blocks; }
    [[nodiscard]] constexpr std::size_t reserved_blocks() const noexcept { return cache_.reserved_blocks; }
    [[nodiscard]] constexpr std::size_t free_blocks() const noexcept { return free_; }
    [[nodiscard]] constexpr std::size_t live_blocks() const noexcept { return cache_.blocks - cache_.reserved_blocks - free_; }
    // Blocks that hold `tokens` tokens.
    [[nodiscard]] constexpr std::size_t blocks_for(std::size_t tokens) const noexcept
    {
        return tokens / cache_.block_size + (tokens % cache_.block_size != 0 ? 1U : 0U);
    }

private:
    struct checked {};
    constexpr block_pool(checked, cache_layout cache)
        : cache_(cache),
          free_(cache.blocks - cache.reserved_blocks),
          free_list_(free_, block_id{0}),
          ref_counts_(cache.blocks, ref_counter{0})
    {
        // The lowest block is at the top of the stack, and allocated first.
        for (std::size_t i = 0; i < free_; ++i)
            free_list_[i] = static_cast<block_id>(cache.blocks - 1 - i);
    }

    // A negative block converts to a very large index.
    static constexpr std::size_t index(block_id block) noexcept { return static_cast<std::size_t>(block); }

    // Drops a reference; false where there is none. The case of one reference comes first: it is the usual one.
    constexpr bool drop(block_id block, std::size_t& left, std::size_t& free) noexcept
    {
        if (index(block) >= cache_.blocks) [[unlikely]]
            return false;
        ref_counter& count = ref_counts_[index(block)];
        if (count == 1) [[likely]] {
            count = 0;
            free_list_[free++] = block;
            left = 0;
            return true;
        }
        if (count == 0) [[unlikely]]
            return false;
        left = --count;
        return true;
    }

    // Restores the references that drop took.
    constexpr void take_back(std::span<const block_id> dropped) noexcept
    {
        for (const block_id block : dropped)
            ++ref_counts_[index(block)];
    }

    constexpr bool can_acquire(block_id block) const noexcept
    {
        return is_live(block) && ref_counts_[index(block)] != most_refs;
    }
    constexpr error explain_acquire(block_id block) const noexcept
    {
        if (!is_live(block))
            return explain_not_live(block);
        return error::of(errors::value_not_representable, std::uint64_t{most_refs} + 1, {}, "ref_count");
    }

    // 16 bits, so that the counts of many blocks fit in the processor's cache.
    using ref_counter = std::uint16_t;
    static constexpr ref_counter most_refs = std::numeric_limits<ref_counter>::max();

    cache_layout cache_;
    std::size_t free_;                   // the first elements of free_list_ are the free blocks
    std::vector<block_id> free_list_;    // a stack: the block freed last is allocated first
    std::vector<ref_counter> ref_counts_;
};

}  // namespace batten::serve

#endif
