// SPDX-License-Identifier: MIT
// The blocks of one sequence, in its row of the block table: append, truncate, fork. For one thread, the one that schedules.
// Nothing here touches the cache itself: what is to be copied is reported.
#ifndef BATTEN_SERVE_BLOCK_LIST_HPP_INCLUDED
#define BATTEN_SERVE_BLOCK_LIST_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/serve/cache.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/pool.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace batten::serve {

// A block to copy, whole, before the step writes. Make several copies in the order in which they were reported.
struct block_copy {
    block_id from = 0;
    block_id to = 0;

    friend constexpr bool operator==(const block_copy&, const block_copy&) noexcept = default;
};

// What append wrote: columns [first, first + count) of the sequence's row, and a copy to make.
struct append_result {
    std::size_t first = 0;
    std::size_t count = 0;
    std::optional<block_copy> copy{};

    friend constexpr bool operator==(const append_result&, const append_result&) noexcept = default;
};

// The blocks of one sequence: the first elements of its row of the block table. Token p is in block row[p / block_size], at
// p % block_size. Sequences share blocks after a fork; before a shared block is written, it is replaced by a copy. The destructor
// releases the blocks.
//
// Requires  pool and row outlive it and do not move, and nothing else writes to row[0, blocks().size()).
// Memory    none of its own. A moved-from list has no row and no room.
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
                                                                            "blocks there: clear() it first, or fork_from()");
            clear();
            pool_ = other.pool_;
            row_ = std::exchange(other.row_, {});
            blocks_ = std::exchange(other.blocks_, 0);
            tokens_ = std::exchange(other.tokens_, 0);
        }
        return *this;
    }
    constexpr ~block_list() { clear(); }

    // Makes room for `tokens` more tokens. Returns nullopt, and changes nothing, where the pool has too few free blocks.
    //
    // Errors  more tokens than the row, or all blocks of the pool, could ever hold (the total, the most); a last block that is
    //         not live, because something else wrote to the row. Then nothing has changed.
    // Cost    O(1 + new blocks).
    [[nodiscard]] constexpr result<std::optional<append_result>> try_append(std::size_t tokens)
    {
        if (fits_in_tail(tokens)) [[likely]]
            return append_to_tail(tokens);
        if (!can_append(tokens)) [[unlikely]]
            return explain_append(tokens);
        return grow(tokens);
    }
    [[nodiscard]] constexpr std::optional<append_result> append(std::size_t tokens)
    {
        if (fits_in_tail(tokens)) [[likely]]
            return append_to_tail(tokens);
        if (!can_append(tokens)) [[unlikely]]
            batten::detail::raise(explain_append(tokens));
        return grow(tokens);
    }

    // Free blocks that append takes for `tokens` tokens, the copy of a shared last block included. A total over the size type
    // counts as the largest size. O(1).
    [[nodiscard]] constexpr std::size_t blocks_needed(std::size_t tokens) const noexcept
    {
        return pool_->blocks_for(total_with(tokens)) - blocks_ + (copies_tail(tokens) ? 1U : 0U);
    }

    // Keeps the first `tokens` tokens and releases the blocks after them: for rejected draft tokens, or 0 to recompute all.
    // Returns how many columns of the row are left. Errors: more tokens than the sequence has; a block that is not live.
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

    // Another sequence that begins with the first `tokens` tokens of this one (by default all), in the same blocks: for beams,
    // n > 1, a common prefix. Nothing is copied yet: append reports a copy when a sequence writes to a shared last block.
    //
    // Requires  `row` is another row, in which no sequence has blocks. Tokens that were appended and are not computed yet are
    //           shared as well: fork after the step that computes them. Of a prompt that this sequence has whole, share all but
    //           the last token, which is computed for its logits.
    // Errors    more tokens than this sequence has; a row too short; a block that is not live. Then nothing has changed.
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
        if (const auto columns = forked.try_fork_from(*this, tokens); !columns)
            return columns.error();
        return forked;
    }

    // Replaces the tokens of this sequence by such a fork of `parent`, in this sequence's row: for a beam that another replaces.
    // Returns how many columns were written. Requires: the same pool. Errors and cost: as for fork.
    constexpr std::size_t fork_from(const block_list& parent) { return fork_from(parent, parent.tokens_); }
    constexpr std::size_t fork_from(const block_list& parent, std::size_t tokens) { return try_fork_from(parent, tokens).value(); }
    [[nodiscard]] constexpr result<std::size_t> try_fork_from(const block_list& parent)
    {
        return try_fork_from(parent, parent.tokens_);
    }
    [[nodiscard]] constexpr result<std::size_t> try_fork_from(const block_list& parent, std::size_t tokens)
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
            if (const auto held = pool_->try_acquire(parent.row_[column]); !held) {
                static_cast<void>(pool_->try_release(parent.row_.first(column)));
                return held.error();
            }
        give_back_from(0);  // blocks that both had have two references now, and stay
        std::copy_n(parent.row_.data(), shared, row_.data());
        blocks_ = shared;
        tokens_ = tokens;
        return shared;
    }

    // Moves the sequence to another row of the block table, for when rows are compacted. Returns how many columns were written.
    // Errors: a row too short; then nothing has changed.
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
    // The most tokens that the sequence could have: those of its row, or of all blocks of the pool.
    [[nodiscard]] constexpr std::size_t max_tokens() const noexcept
    {
        return std::min(row_.size(), pool_->blocks() - pool_->reserved_blocks()) * pool_->block_size();
    }

private:
    // tokens_ + tokens, or the largest size.
    constexpr std::size_t total_with(std::size_t tokens) const noexcept
    {
        return tokens_ + std::min(tokens, batten::detail::size_limit - tokens_);
    }

    // Tokens that the last block has room for.
    constexpr std::size_t room() const noexcept { return blocks_ * pool_->block_size() - tokens_; }

    // Whether the tokens fit in the last block and no other sequence shares it, as in most steps. False for 0 tokens.
    constexpr bool fits_in_tail(std::size_t tokens) const noexcept
    {
        return tokens - 1 < room() && pool_->ref_count(row_[blocks_ - 1]) == 1;
    }
    constexpr std::optional<append_result> append_to_tail(std::size_t tokens) noexcept
    {
        tokens_ += tokens;
        return append_result{blocks_, 0, {}};
    }

    // Whether other sequences share the block to which the next tokens are written.
    constexpr bool copies_tail(std::size_t tokens) const noexcept
    {
        return tokens != 0 && room() != 0 && pool_->ref_count(row_[blocks_ - 1]) > 1;
    }

    constexpr bool can_append(std::size_t tokens) const noexcept
    {
        return tokens <= max_tokens() - tokens_ && (room() == 0 || pool_->is_live(row_[blocks_ - 1]));
    }
    constexpr error explain_append(std::size_t tokens) const noexcept
    {
        if (tokens > max_tokens() - tokens_)
            return error::of(errors::request_over_limit, total_with(tokens), max_tokens());
        return pool_->explain_not_live(row_[blocks_ - 1]);
    }

    constexpr std::optional<append_result> grow(std::size_t tokens) noexcept
    {
        const bool copies = copies_tail(tokens);
        const std::size_t first = blocks_ - (copies ? 1U : 0U);
        const std::size_t count = pool_->blocks_for(tokens_ + tokens) - first;
        const block_id tail = copies ? row_[first] : 0;
        if (!pool_->allocate(row_.subspan(first, count)))
            return std::nullopt;
        append_result change{first, count, {}};
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
            static_cast<void>(pool_->try_release(*block));  // refused where something else wrote to the row
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
                return batten::detail::fail(reason, pool_->explain_not_live(row_[column]));
        return true;
    }

    block_pool* pool_;
    std::span<block_id> row_;
    std::size_t blocks_ = 0;  // columns of the row in use
    std::size_t tokens_ = 0;
};

}  // namespace batten::serve

#endif
