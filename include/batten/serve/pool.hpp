// SPDX-License-Identifier: MIT
// The blocks of a paged KV cache: who has which. A pool gives and counts them; a block_list has those of one sequence, in its
// row of the block table.
//
// Both are for one thread, the one that schedules. Nothing here touches the cache itself: what is to be copied is reported.
#ifndef BATTEN_SERVE_POOL_HPP_INCLUDED
#define BATTEN_SERVE_POOL_HPP_INCLUDED

#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/serve/errors.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace batten::serve {

// What every backend's block table holds.
using block_id = std::int32_t;

struct pool_options {
    std::size_t blocks = 0;       // of the cache, the reserved ones among them
    std::size_t block_size = 16;  // tokens that a block holds
    std::size_t reserved = 1;     // the first blocks, which are never given: pads may point at them
};

namespace detail {

// Whether there can be such a cache: blocks to give, and ids and slots that are counted.
constexpr bool check_cache(const pool_options& options, std::size_t most_id, error& reason)
{
    using batten::detail::fail;
    if (options.block_size == 0)
        return fail(reason, error::of(errors::argument_not_positive, 0, {}, "block_size"));
    if (options.reserved >= options.blocks)
        return fail(reason, error::of(errors::pool_without_blocks, options.blocks, options.reserved));
    if (options.blocks - 1 > most_id)
        return fail(reason, error::of(errors::value_not_representable, options.blocks - 1, {}, "block_table"));
    std::size_t slots = 0;
    return (batten::detail::multiply(options.blocks, options.block_size, slots) && integer(slots).fits<std::int64_t>()) ||
           fail(reason, error::of(errors::size_overflow, options.blocks, options.block_size));
}

}  // namespace detail

// Blocks of one size, each free or held by one or more.
//
// Ensures  a block that is held is never given again; the reserved ones never are.
// Memory   one block id and one count a block, allocated when it is made.
// Cost     O(1) a block.
class block_pool {
public:
    // Errors: a block size of 0; no block that is not reserved; ids over block_id, slots (blocks * block_size) over 64 bits;
    // no memory.
    constexpr explicit block_pool(pool_options options) : block_pool(try_make(options).value()) {}
    [[nodiscard]] static constexpr result<block_pool> try_make(pool_options options)
    {
        error reason;
        if (!detail::check_cache(options, std::size_t{std::numeric_limits<block_id>::max()}, reason))
            return reason;
        const std::size_t bytes = options.blocks * (sizeof(block_id) + sizeof(holder_count));
        return batten::detail::make_in_memory(bytes, [&] { return block_pool(checked{}, options); });
    }

    // A free block, held once; nothing where there is none.
    [[nodiscard]] constexpr std::optional<block_id> allocate() noexcept
    {
        if (free_ == 0)
            return std::nullopt;
        const block_id block = free_list_[--free_];
        holders_[index(block)] = 1;
        return block;
    }
    // A free block for each element, or false where there are fewer, and then nothing has changed.
    [[nodiscard]] constexpr bool allocate(std::span<block_id> blocks) noexcept
    {
        if (blocks.size() > free_)
            return false;
        const block_id* top = free_list_.data() + free_;
        for (block_id& block : blocks) {
            block = *--top;
            holders_[index(block)] = 1;
        }
        free_ -= blocks.size();
        return true;
    }

    // Holds a block once more. Returns how many hold it. Errors: a block that is free, reserved, or none of the pool; one that
    // 65,535 hold.
    [[nodiscard]] constexpr result<std::size_t> try_share(block_id block)
    {
        if (!can_share(block)) [[unlikely]]
            return why_not_share(block);
        return ++holders_[index(block)];
    }
    constexpr std::size_t share(block_id block)
    {
        if (!can_share(block)) [[unlikely]]
            batten::detail::raise(why_not_share(block));
        return ++holders_[index(block)];
    }

    // Holds a block once less, and at 0 it is free. Returns how many hold it still. Errors: a block that is free, so that none
    // is freed twice, reserved, or none of the pool.
    [[nodiscard]] constexpr result<std::size_t> try_release(block_id block)
    {
        std::size_t left = 0;
        if (!drop(block, left, free_)) [[unlikely]]
            return why_not_live(block);
        return left;
    }
    constexpr std::size_t release(block_id block)
    {
        std::size_t left = 0;
        if (!drop(block, left, free_)) [[unlikely]]
            batten::detail::raise(why_not_live(block));
        return left;
    }

    // Releases each of them. Returns how many became free. Errors: as of one; then nothing has changed.
    [[nodiscard]] constexpr result<std::size_t> try_release(std::span<const block_id> blocks)
    {
        std::size_t free = free_;  // a copy, which stays in a register
        for (std::size_t i = 0; i < blocks.size(); ++i)
            if (std::size_t left = 0; !drop(blocks[i], left, free)) [[unlikely]] {
                const error reason = why_not_live(blocks[i]);
                take_back(blocks.first(i));
                return reason;
            }
        return free - std::exchange(free_, free);
    }
    constexpr std::size_t release(std::span<const block_id> blocks) { return try_release(blocks).value(); }

    // How many hold a block: 0 where it is free, reserved, or none of the pool.
    [[nodiscard]] constexpr std::size_t holders(block_id block) const noexcept
    {
        return is_live(block) ? holders_[index(block)] : 0;
    }
    [[nodiscard]] constexpr bool is_live(block_id block) const noexcept
    {
        return index(block) < blocks_ && holders_[index(block)] != 0;
    }
    [[nodiscard]] constexpr bool is_reserved(block_id block) const noexcept { return index(block) < reserved_; }
    // Why release refuses a block. Requires: !is_live(block).
    [[nodiscard]] constexpr error why_not_live(block_id block) const noexcept
    {
        if (index(block) >= blocks_)
            return error::of(errors::block_out_of_range, block, blocks_);
        if (is_reserved(block))
            return error::of(errors::block_reserved, block, reserved_);
        return error::of(errors::block_not_live, block);
    }

    [[nodiscard]] constexpr std::size_t block_size() const noexcept { return block_size_; }
    [[nodiscard]] constexpr std::size_t blocks() const noexcept { return blocks_; }
    [[nodiscard]] constexpr std::size_t reserved_blocks() const noexcept { return reserved_; }
    [[nodiscard]] constexpr std::size_t free_blocks() const noexcept { return free_; }
    [[nodiscard]] constexpr std::size_t live_blocks() const noexcept { return blocks_ - reserved_ - free_; }
    // Blocks that `tokens` take.
    [[nodiscard]] constexpr std::size_t blocks_for(std::size_t tokens) const noexcept
    {
        return tokens / block_size_ + (tokens % block_size_ != 0 ? 1U : 0U);
    }

private:
    struct checked {};
    constexpr block_pool(checked, pool_options options)
        : blocks_(options.blocks),
          block_size_(options.block_size),
          reserved_(options.reserved),
          free_(options.blocks - options.reserved),
          free_list_(free_, block_id{0}),
          holders_(options.blocks, holder_count{0})
    {
        // The lowest block lies on top, and is given first.
        for (std::size_t i = 0; i < free_; ++i)
            free_list_[i] = static_cast<block_id>(options.blocks - 1 - i);
    }

    // A negative one is past all.
    static constexpr std::size_t index(block_id block) noexcept { return static_cast<std::size_t>(block); }

    // Holds a block once less; false where nobody holds it. The last holder comes first: it is the usual one.
    constexpr bool drop(block_id block, std::size_t& left, std::size_t& free) noexcept
    {
        if (index(block) >= blocks_) [[unlikely]]
            return false;
        holder_count& holders = holders_[index(block)];
        if (holders == 1) [[likely]] {
            holders = 0;
            free_list_[free++] = block;
            left = 0;
            return true;
        }
        if (holders == 0) [[unlikely]]
            return false;
        left = --holders;
        return true;
    }

    // As before they were dropped.
    constexpr void take_back(std::span<const block_id> dropped) noexcept
    {
        for (const block_id block : dropped)
            ++holders_[index(block)];
    }

    constexpr bool can_share(block_id block) const noexcept
    {
        return is_live(block) && holders_[index(block)] != most_holders;
    }
    constexpr error why_not_share(block_id block) const noexcept
    {
        if (!is_live(block))
            return why_not_live(block);
        return error::of(errors::value_not_representable, std::uint64_t{most_holders} + 1, {}, "holders");
    }

    // Half as wide as it might be, so that the counts of many blocks are in cache.
    using holder_count = std::uint16_t;
    static constexpr holder_count most_holders = std::numeric_limits<holder_count>::max();

    std::size_t blocks_;
    std::size_t block_size_;
    std::size_t reserved_;
    std::size_t free_;                   // of free_list_, the first ones
    std::vector<block_id> free_list_;    // as a stack: who was freed last is given first, while it is in cache
    std::vector<holder_count> holders_;  // of each block
};

// A block that is to be copied, all of it, before the step writes. Several: in the order in which they were reported.
struct block_copy {
    block_id from = 0;
    block_id to = 0;

    friend constexpr bool operator==(const block_copy&, const block_copy&) noexcept = default;
};

// What append wrote: columns [first, first + count) of the sequence's row, and a copy that is to be made.
struct row_change {
    std::size_t first = 0;
    std::size_t count = 0;
    std::optional<block_copy> copy{};

    friend constexpr bool operator==(const row_change&, const row_change&) noexcept = default;
};

// The blocks of one sequence, as the first elements of its row of the block table: token p lies in block row[p / block_size],
// at p % block_size. Sequences share blocks after a fork; before a block that others hold is written, it is replaced by a copy.
// Gives its blocks back when it is destroyed.
//
// Requires  pool and row outlive it and stay where they are, and row[0, blocks().size()) is written by nobody else.
// Memory    none of its own. One that was moved from has no row, and room for nothing.
class block_list {
public:
    constexpr block_list(block_pool& pool, std::span<block_id> row) noexcept : pool_(&pool), row_(row) {}
    constexpr block_list(block_list&& other) noexcept
        : pool_(other.pool_),
          row_(std::exchange(other.row_, {})),
          blocks_(std::exchange(other.blocks_, 0)),
          tokens_(std::exchange(other.tokens_, 0))
    {
    }
    constexpr block_list& operator=(block_list&& other) noexcept
    {
        if (this != &other) {
            BATTEN_ASSERT(blocks_ == 0 || row_.data() != other.row_.data(), "a fork was made in the row of a sequence that has "
                                                                            "blocks there: clear() it first, or assign()");
            clear();
            pool_ = other.pool_;
            row_ = std::exchange(other.row_, {});
            blocks_ = std::exchange(other.blocks_, 0);
            tokens_ = std::exchange(other.tokens_, 0);
        }
        return *this;
    }
    constexpr ~block_list() { clear(); }

    // Makes room for `tokens` more; nothing where the pool has too few blocks, and then nothing has changed.
    //
    // Errors  more tokens than the row or all blocks of the pool have room for, however long one waits (its tokens, the most);
    //         a last block that is not live, since someone wrote to the row. Then nothing has changed.
    // Cost    O(1 + new blocks).
    [[nodiscard]] constexpr result<std::optional<row_change>> try_append(std::size_t tokens)
    {
        if (fits_in_tail(tokens)) [[likely]]
            return append_to_tail(tokens);
        if (!can_append(tokens)) [[unlikely]]
            return why_not_append(tokens);
        return grow(tokens);
    }
    [[nodiscard]] constexpr std::optional<row_change> append(std::size_t tokens)
    {
        if (fits_in_tail(tokens)) [[likely]]
            return append_to_tail(tokens);
        if (!can_append(tokens)) [[unlikely]]
            batten::detail::raise(why_not_append(tokens));
        return grow(tokens);
    }

    // How many blocks of the pool append takes for so many tokens, the copy of a shared last one among them. O(1).
    [[nodiscard]] constexpr std::size_t blocks_needed(std::size_t tokens) const noexcept
    {
        return pool_->blocks_for(tokens_ + tokens) - blocks_ + (copies_tail(tokens) ? 1U : 0U);
    }

    // Keeps the first `tokens` tokens and gives back the blocks behind them: rejected draft tokens; 0 to compute it all again.
    // Returns how many columns of the row are left. Errors: more tokens than it has; a block that is not live.
    constexpr std::size_t truncate(std::size_t tokens) { return try_truncate(tokens).value(); }
    [[nodiscard]] constexpr result<std::size_t> try_truncate(std::size_t tokens)
    {
        error reason;
        const std::size_t kept = pool_->blocks_for(tokens);
        if (!has(tokens, reason) || !are_live(kept, blocks_, reason))
            return reason;
        give_back_from(kept);
        tokens_ = tokens;
        return kept;
    }
    constexpr void clear() noexcept
    {
        give_back_from(0);
        tokens_ = 0;
    }

    // Another sequence that begins with the first `tokens` tokens of this one, by default all, in the same blocks: beams,
    // n > 1, a common prefix. Nothing is copied yet: append reports a copy to whoever goes on writing in a shared last block.
    //
    // Requires  `row` is another row, in which no sequence has blocks. Tokens that were appended and not computed yet are
    //           shared, too: fork behind the step that computes them. Of a prompt that another sequence has whole, share all
    //           but the last token, which is computed for its logits.
    // Errors    more tokens than it has; a row too short; a block that is not live. Then nothing has changed.
    // Cost      O(blocks shared).
    [[nodiscard]] constexpr block_list fork(std::span<block_id> row) const { return fork(row, tokens_); }
    [[nodiscard]] constexpr block_list fork(std::span<block_id> row, std::size_t tokens) const
    {
        return try_fork(row, tokens).value();
    }
    [[nodiscard]] constexpr result<block_list> try_fork(std::span<block_id> row) const { return try_fork(row, tokens_); }
    [[nodiscard]] constexpr result<block_list> try_fork(std::span<block_id> row, std::size_t tokens) const
    {
        block_list forked(*pool_, row);
        if (const auto columns = forked.try_assign(*this, tokens); !columns)
            return columns.error();
        return forked;
    }

    // Becomes such a fork of `parent`, in its own row, in place of what it has: a beam that gives way to another.
    // Returns how many columns were written. Requires: the same pool. Errors and cost as of fork.
    constexpr std::size_t assign(const block_list& parent) { return assign(parent, parent.tokens_); }
    constexpr std::size_t assign(const block_list& parent, std::size_t tokens) { return try_assign(parent, tokens).value(); }
    [[nodiscard]] constexpr result<std::size_t> try_assign(const block_list& parent)
    {
        return try_assign(parent, parent.tokens_);
    }
    [[nodiscard]] constexpr result<std::size_t> try_assign(const block_list& parent, std::size_t tokens)
    {
        if (this == &parent)
            return try_truncate(tokens);
        error reason;
        const std::size_t shared = pool_->blocks_for(tokens);
        if (!parent.has(tokens, reason) || !fits(shared, row_, reason) || !parent.are_live(0, shared, reason))
            return reason;
        BATTEN_ASSERT(pool_ == parent.pool_, "a fork has blocks of the same pool");
        BATTEN_ASSERT(row_.empty() || row_.data() != parent.row_.data(), "a fork goes to another row of the block table");
        for (std::size_t column = 0; column < shared; ++column)
            if (const auto held = pool_->try_share(parent.row_[column]); !held) {
                static_cast<void>(pool_->try_release(parent.row_.first(column)));
                return held.error();
            }
        give_back_from(0);  // what both have in common is held twice, and stays
        std::copy_n(parent.row_.data(), shared, row_.data());
        blocks_ = shared;
        tokens_ = tokens;
        return shared;
    }

    // Goes on in another row of the block table, to which its blocks are copied: where rows close ranks.
    // Returns how many columns were written. Errors: a row too short; then nothing has changed.
    constexpr std::size_t move_to(std::span<block_id> row) { return try_move_to(row).value(); }
    [[nodiscard]] constexpr result<std::size_t> try_move_to(std::span<block_id> row)
    {
        error reason;
        if (!fits(blocks_, row, reason))
            return reason;
        std::copy_n(row_.data(), blocks_, row.data());
        row_ = row;
        return blocks_;
    }

    [[nodiscard]] constexpr std::size_t tokens() const noexcept { return tokens_; }
    [[nodiscard]] constexpr std::span<const block_id> blocks() const noexcept { return row_.first(blocks_); }
    [[nodiscard]] constexpr std::span<block_id> row() const noexcept { return row_; }
    // The most tokens that it could ever have: those of its row, or of all blocks.
    [[nodiscard]] constexpr std::size_t max_tokens() const noexcept
    {
        return std::min(row_.size(), pool_->blocks() - pool_->reserved_blocks()) * pool_->block_size();
    }

private:
    // Tokens that the last block has room for.
    constexpr std::size_t room() const noexcept { return blocks_ * pool_->block_size() - tokens_; }

    // What most steps do: write on in a block that is this sequence's alone. 0 tokens, which need no block, are not among it.
    constexpr bool fits_in_tail(std::size_t tokens) const noexcept
    {
        return tokens - 1 < room() && pool_->holders(row_[blocks_ - 1]) == 1;
    }
    constexpr std::optional<row_change> append_to_tail(std::size_t tokens) noexcept
    {
        tokens_ += tokens;
        return row_change{blocks_, 0, {}};
    }

    // Whether others hold the block in which the next tokens go.
    constexpr bool copies_tail(std::size_t tokens) const noexcept
    {
        return tokens != 0 && room() != 0 && pool_->holders(row_[blocks_ - 1]) > 1;
    }

    constexpr bool can_append(std::size_t tokens) const noexcept
    {
        return tokens <= max_tokens() - tokens_ && (room() == 0 || pool_->is_live(row_[blocks_ - 1]));
    }
    constexpr error why_not_append(std::size_t tokens) const noexcept
    {
        if (tokens > max_tokens() - tokens_) {
            const std::size_t total = tokens_ + std::min(tokens, batten::detail::size_limit - tokens_);
            return error::of(errors::request_over_limit, total, max_tokens());
        }
        return pool_->why_not_live(row_[blocks_ - 1]);
    }

    constexpr std::optional<row_change> grow(std::size_t tokens) noexcept
    {
        const bool copies = copies_tail(tokens);
        const std::size_t first = blocks_ - (copies ? 1U : 0U);
        const std::size_t count = pool_->blocks_for(tokens_ + tokens) - first;
        const block_id tail = copies ? row_[first] : 0;
        if (!pool_->allocate(row_.subspan(first, count)))
            return std::nullopt;
        row_change change{first, count, {}};
        if (copies) {
            change.copy = block_copy{tail, row_[first]};
            pool_->release(tail);
        }
        blocks_ = first + count;
        tokens_ += tokens;
        return change;
    }

    constexpr void give_back_from(std::size_t kept) noexcept
    {
        const std::span<const block_id> given = blocks().subspan(kept);
        for (auto block = given.rbegin(); block != given.rend(); ++block)
            static_cast<void>(pool_->try_release(*block));  // refused where someone else wrote to the row
        blocks_ = kept;
    }

    constexpr bool has(std::size_t tokens, error& reason) const noexcept
    {
        return tokens <= tokens_ ||
               batten::detail::fail(reason, error::of(errors::tokens_missing, tokens, tokens_));
    }
    static constexpr bool fits(std::size_t blocks, std::span<const block_id> row, error& reason) noexcept
    {
        return blocks <= row.size() ||
               batten::detail::fail(reason, error::of(errors::span_too_small, blocks, row.size(), "block_table"));
    }
    constexpr bool are_live(std::size_t first, std::size_t last, error& reason) const noexcept
    {
        for (std::size_t column = first; column < last; ++column)
            if (!pool_->is_live(row_[column]))
                return batten::detail::fail(reason, pool_->why_not_live(row_[column]));
        return true;
    }

    block_pool* pool_;
    std::span<block_id> row_;
    std::size_t blocks_ = 0;  // columns of the row in use
    std::size_t tokens_ = 0;
};

}  // namespace batten::serve

#endif
