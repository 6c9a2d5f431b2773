// SPDX-License-Identifier: MIT
// Packings: which sequences share a row of some capacity. The packers are in next_fit.hpp, best_fit.hpp and tight.hpp.
#ifndef BATTEN_PLAN_PACKING_HPP_INCLUDED
#define BATTEN_PLAN_PACKING_HPP_INCLUDED

#include <batten/bins.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/integer.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace batten::plan {

// ---- what is asked for ------------------------------------------------------------------------------------------------------

// What to do with a single sequence that exceeds the capacity.
enum class over_capacity : unsigned char {
    is_error,
    is_split,               // into pieces that fill a bin each, and a last one with the rest
    is_split_with_overlap,  // each begins with the last token of the piece before: all tokens but the first are a target once
};

// `targets` says how many columns a sequence takes (next_token_drop_last: 1025 tokens fit a capacity of 1024), which are
// rounded up to slots. A capacity is rounded down to slots.
struct packing_options {
    std::size_t capacity = 0;              // columns of a bin; required
    std::size_t max_per_bin = no_limit;    // most pieces of a bin, empty ones included
    std::size_t slot_multiple = 1;         // each piece begins at a multiple of it
    std::size_t bins_multiple = 1;         // the number of bins is a multiple of it: bins are halved, or empty ones added
    over_capacity over = over_capacity::is_error;
    target_alignment targets = model_shifts;
};

// ---- what comes out ---------------------------------------------------------------------------------------------------------

// Lower bounds on the number of bins, before bins_multiple.
struct packing_bounds {
    std::uint64_t by_total = 0;          // columns of all slots / capacity
    std::uint64_t by_count = 0;          // pieces / max_per_bin
    std::uint64_t martello_toth = 0;     // L2: large pieces in bins of their own, small ones in the gaps
    std::optional<std::uint64_t> lp{};   // the relaxation of Gilmore and Gomory, where it was solved

    [[nodiscard]] constexpr std::uint64_t best() const noexcept
    {
        return std::max({by_total, by_count, martello_toth, lp.value_or(0)});
    }

    friend constexpr bool operator==(const packing_bounds&, const packing_bounds&) = default;
};

// The bins, as flat arrays: bin b has pieces[offsets[b]] up to pieces[offsets[b + 1]]. Converts to bins. A sequence without
// columns (empty, or one token that is a target alone) is a piece like any other.
struct packing {
    batten::detail::buffer_vector<piece> pieces{};
    std::vector<std::size_t> offsets{0};
    std::size_t slot_multiple = 1;
    std::size_t capacity = 0;
    packing_bounds bounds{};

    [[nodiscard]] constexpr std::size_t size() const noexcept { return offsets.size() - 1; }
    [[nodiscard]] constexpr std::span<const piece> operator[](std::size_t b) const
    {
        BATTEN_ASSERT(b < size(), "bin past the end");
        return std::span<const piece>(pieces).subspan(offsets[b], offsets[b + 1] - offsets[b]);
    }

    constexpr operator bins() const& noexcept { return {pieces, offsets, slot_multiple}; }
    operator bins() && = delete;  // it would refer to a packing that is gone

    friend constexpr bool operator==(const packing&, const packing&) = default;
};

// Bins with the same contents: the number of copies of each length (in columns, rounded up to slots), longest first.
struct bin_pattern {
    struct run {
        std::size_t length = 0;
        std::uint64_t copies = 0;

        friend constexpr bool operator==(const run&, const run&) noexcept = default;
    };

    std::span<const run> runs{};
    std::uint64_t bins = 0;  // with these contents
};

// A packing of a histogram: patterns and how many bins have each. Its size depends on the histogram, not on the sequences.
class pattern_packing {
public:
    constexpr pattern_packing() = default;

    // Adds `bins` bins. Requires: their sum fits 64 bits.
    constexpr void add(std::span<const bin_pattern::run> runs, std::uint64_t bins)
    {
        runs_.insert(runs_.end(), runs.begin(), runs.end());
        offsets_.push_back(runs_.size());
        counts_.push_back(bins);
        bins_ += bins;
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return counts_.size(); }
    [[nodiscard]] constexpr bin_pattern operator[](std::size_t p) const
    {
        BATTEN_ASSERT(p < size(), "pattern past the end");
        return {std::span<const bin_pattern::run>(runs_).subspan(offsets_[p], offsets_[p + 1] - offsets_[p]), counts_[p]};
    }
    [[nodiscard]] constexpr std::uint64_t bins() const noexcept { return bins_; }

    std::size_t capacity = 0;
    packing_bounds bounds{};

private:
    std::vector<bin_pattern::run> runs_{};
    std::vector<std::size_t> offsets_{0};
    std::vector<std::uint64_t> counts_{};
    std::uint64_t bins_ = 0;
};

}  // namespace batten::plan

#endif
