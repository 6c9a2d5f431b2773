// SPDX-License-Identifier: MIT
// Batches of sequences that arrive one by one: each waits in the bucket of its length, and a full bucket becomes a batch.
#ifndef BATTEN_PLAN_STREAM_HPP_INCLUDED
#define BATTEN_PLAN_STREAM_HPP_INCLUDED

#include <batten/detail/checks.hpp>
#include <batten/detail/random.hpp>
#include <batten/error.hpp>
#include <batten/length.hpp>
#include <batten/plan/batch_options.hpp>
#include <batten/plan/errors.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan {

// A stream needs max_rows, max_cells or both.
struct stream_options {
    bucketed_length edges{};        // widths of the buckets
    std::size_t max_rows = no_limit;   // of a batch
    std::size_t max_cells = no_limit;  // of a batch, pads included: rows * edge
    over_max_cells over = over_max_cells::is_error;
};

// A batch: the ids that its sequences were pushed with, in that order.
struct streamed_batch {
    std::span<const std::uint64_t> ids{};  // valid until the next call
    std::size_t width = 0;                 // the bucket's edge
};

// Groups sequences by bucket. Of a sequence it keeps the caller's id alone.
//
// Memory  at most max_pending() ids; no allocation once the buckets have grown.
// Cost    O(log buckets) a sequence.
class stream_batcher {
public:
    // Errors: no edges, or edges that do not increase; neither max_rows nor max_cells; a limit of 0.
    constexpr explicit stream_batcher(stream_options options) : stream_batcher(try_make(std::move(options)).value()) {}
    [[nodiscard]] static constexpr result<stream_batcher> try_make(stream_options options)
    {
        error reason;
        if (!options.edges.check(reason))
            return reason;
        if (!batten::detail::require_batch_limit(options.max_rows, options.max_cells, reason))
            return reason;
        return stream_batcher(checked{}, std::move(options));
    }

    // Adds one sequence. Returns the batch that it completes, or nothing.
    // Errors: a length over the last edge, or an edge over max_cells (row: the number of earlier sequences). Then nothing has
    // changed.
    [[nodiscard]] constexpr result<std::optional<streamed_batch>> try_push(std::uint64_t id, std::size_t length)
    {
        const std::size_t b = options_.edges.bucket_of(length);
        if (b == waiting_.size())
            return error::of_row(errors::row_over_limit, static_cast<std::size_t>(pushed_), length, options_.edges.limit());
        const std::size_t edge = options_.edges.edges()[b];
        if (edge > options_.max_cells && options_.over == over_max_cells::is_error)
            return error::of_row(errors::row_over_max_cells, static_cast<std::size_t>(pushed_), length, edge, {},
                                 options_.max_cells);
        waiting_[b].push_back(id);
        ++pushed_;
        return waiting_[b].size() < most_rows(edge) ? std::nullopt : std::optional(take(b));
    }
    [[nodiscard]] constexpr std::optional<streamed_batch> push(std::uint64_t id, std::size_t length)
    {
        return try_push(id, length).value();
    }

    // A batch of the widest bucket that is not empty, or nothing: while (auto batch = stream.flush()).
    [[nodiscard]] constexpr std::optional<streamed_batch> flush()
    {
        for (std::size_t b = waiting_.size(); b-- > 0;)
            if (!waiting_[b].empty())
                return take(b);
        return std::nullopt;
    }

    // The number of waiting sequences, and the most that can wait: one row less than a full batch in every bucket.
    [[nodiscard]] constexpr std::size_t pending() const noexcept
    {
        std::size_t sequences = 0;
        for (const auto& bucket : waiting_)
            sequences += bucket.size();
        return sequences;
    }
    [[nodiscard]] constexpr std::size_t max_pending() const noexcept
    {
        std::size_t sequences = 0;
        for (const std::size_t edge : options_.edges.edges())
            sequences += std::min(most_rows(edge) - 1, no_limit - sequences);
        return sequences;
    }
    // The number of sequences pushed since the beginning.
    [[nodiscard]] constexpr std::uint64_t pushed() const noexcept { return pushed_; }

    // The whole state, as integers to store: a hash of the options, the number of sequences pushed, then for each bucket the
    // number of waiting sequences and their ids. A restored stream returns the same batches as the original.
    [[nodiscard]] constexpr std::vector<std::uint64_t> state() const
    {
        std::vector<std::uint64_t> numbers{check(), pushed_};
        for (const auto& bucket : waiting_) {
            numbers.push_back(bucket.size());
            numbers.insert(numbers.end(), bucket.begin(), bucket.end());
        }
        return numbers;
    }
    // Errors: a state of other options, or other integers. Then nothing has changed.
    [[nodiscard]] constexpr result<std::size_t> try_restore(std::span<const std::uint64_t> numbers)
    {
        const error refused = error::of(errors::state_of_another, {}, {}, "this stream: its edges or limits are others");
        if (numbers.size() < 2 || numbers[0] != check())
            return refused;
        std::vector<std::vector<std::uint64_t>> waiting;
        std::size_t at = 2;
        for (const std::size_t edge : options_.edges.edges()) {
            if (at == numbers.size() || numbers[at] >= most_rows(edge) || numbers[at] > numbers.size() - at - 1)
                return refused;
            const auto bucket = numbers.subspan(at + 1, static_cast<std::size_t>(numbers[at]));
            waiting.emplace_back(bucket.begin(), bucket.end());
            at += 1 + bucket.size();
        }
        if (at != numbers.size())
            return refused;
        pushed_ = numbers[1];
        waiting_ = std::move(waiting);
        return pending();
    }
    // Returns the number of waiting sequences.
    constexpr std::size_t restore(std::span<const std::uint64_t> numbers) { return try_restore(numbers).value(); }

private:
    struct checked {};
    constexpr stream_batcher(checked, stream_options&& options)
        : options_(std::move(options)), waiting_(options_.edges.edges().size())
    {
    }

    constexpr std::size_t most_rows(std::size_t edge) const noexcept
    {
        return batten::detail::rows_within(options_.max_rows, options_.max_cells, edge);
    }

    constexpr streamed_batch take(std::size_t b)
    {
        left_.clear();
        std::swap(left_, waiting_[b]);
        return {left_, options_.edges.edges()[b]};
    }

    constexpr std::uint64_t check() const noexcept
    {
        std::uint64_t check = batten::detail::key_of({options_.max_rows, options_.max_cells});
        for (const std::size_t edge : options_.edges.edges())
            check = batten::detail::key_of({check, edge});
        return check;
    }

    stream_options options_;
    std::vector<std::vector<std::uint64_t>> waiting_;
    std::vector<std::uint64_t> left_{};  // the ids of the last batch
    std::uint64_t pushed_ = 0;
};

}  // namespace batten::plan

#endif
