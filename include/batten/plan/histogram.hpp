// SPDX-License-Identifier: MIT
// The number of sequences of each length. Edges, packing and reports are computed from it in O(distinct lengths).
#ifndef BATTEN_PLAN_HISTOGRAM_HPP_INCLUDED
#define BATTEN_PLAN_HISTOGRAM_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/plan/errors.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan {

// Counts of the lengths that occur, shortest first. Counts and sums are 64-bit: a histogram with more tokens is an error when
// it is made.
class histogram {
public:
    struct bin {
        std::size_t length = 0;
        std::uint64_t count = 0;

        friend constexpr bool operator==(const bin&, const bin&) noexcept = default;
    };

    constexpr histogram() = default;

    // Counts a range of lengths.
    //
    // Errors   a negative length (row, length).
    // Cost     O(n + longest); O(n log n) where the longest is more than about 16 n.
    template <std::ranges::forward_range Lengths>
        requires std::integral<std::ranges::range_value_t<Lengths>>
    constexpr explicit histogram(const Lengths& lengths)
    {
        error reason;
        if (!count(lengths, reason) || !sum(reason))
            batten::detail::raise(reason);
    }
    template <std::ranges::forward_range Lengths>
        requires std::integral<std::ranges::range_value_t<Lengths>>
    [[nodiscard]] static constexpr result<histogram> try_make(const Lengths& lengths)
    {
        histogram made;
        error reason;
        if (!made.count(lengths, reason) || !made.sum(reason))
            return reason;
        return made;
    }

    // From bins in any order. Bins of the same length are added up, empty bins are dropped.
    [[nodiscard]] static constexpr result<histogram> try_from_bins(std::vector<bin> bins)
    {
        histogram made;
        error reason;
        made.bins_ = std::move(bins);
        if (!made.normalize(reason) || !made.sum(reason))
            return reason;
        return made;
    }
    [[nodiscard]] static constexpr histogram from_bins(std::vector<bin> bins)
    {
        return try_from_bins(std::move(bins)).value();
    }

    // The histogram of the sequences of both. Cost: O(distinct lengths of both).
    [[nodiscard]] constexpr result<histogram> try_merged(const histogram& other) const
    {
        std::vector<bin> all(bins_);
        all.insert(all.end(), other.bins_.begin(), other.bins_.end());
        return try_from_bins(std::move(all));
    }
    constexpr histogram& operator+=(const histogram& other) { return *this = try_merged(other).value(); }

    [[nodiscard]] constexpr std::span<const bin> bins() const noexcept { return bins_; }
    [[nodiscard]] constexpr bool empty() const noexcept { return bins_.empty(); }
    [[nodiscard]] constexpr std::uint64_t sequences() const noexcept { return sequences_; }
    [[nodiscard]] constexpr std::uint64_t tokens() const noexcept { return tokens_; }
    [[nodiscard]] constexpr std::size_t longest() const noexcept { return bins_.empty() ? 0 : bins_.back().length; }

    // The p-th percentile by nearest rank: the shortest length that at least ceil(p * n / 100) sequences do not exceed, with an
    // exact product and p rounded to millionths. The shortest of all for p = 0; 0 for an empty histogram. Requires: 0 <= p <= 100.
    [[nodiscard]] constexpr std::size_t percentile(double p) const
    {
        BATTEN_ASSERT(p >= 0 && p <= 100, "a percentile must be between 0 and 100");
        // No product passes 64 bits: sequences_ = whole * all + part, and part and millionths are at most 1e8.
        constexpr std::uint64_t all = 100'000'000;
        const auto millionths = static_cast<std::uint64_t>((p > 0.0 ? std::min(p, 100.0) : 0.0) * 1e6 + 0.5);
        const std::uint64_t of_part = millionths * (sequences_ % all);
        const std::uint64_t of_whole = millionths * (sequences_ / all);
        const std::uint64_t rank = std::max<std::uint64_t>(of_whole + of_part / all + (of_part % all != 0 ? 1 : 0), 1);
        std::uint64_t seen = 0;
        for (const bin& b : bins_) {
            seen += b.count;
            if (seen >= rank)
                return b.length;
        }
        return longest();
    }

    friend constexpr bool operator==(const histogram&, const histogram&) = default;

private:
    template <class Lengths>
    constexpr bool count(const Lengths& lengths, error& reason)
    {
        std::size_t n = 0;
        std::size_t longest = 0;
        for (const auto length : lengths) {
            if (std::cmp_less(length, 0))
                return batten::detail::fail(reason, error::of_row(errors::length_negative, n, length));
            longest = std::max(longest, static_cast<std::size_t>(length));
            ++n;
        }
        if (longest > 16 * n + (std::size_t{1} << 16)) {
            bins_.reserve(n);
            for (const auto length : lengths)
                bins_.push_back({static_cast<std::size_t>(length), 1});
            return normalize(reason);
        }
        std::vector<std::uint64_t> counts(n == 0 ? 0 : longest + 1, 0);
        for (const auto length : lengths)
            ++counts[static_cast<std::size_t>(length)];
        for (std::size_t length = 0; length < counts.size(); ++length)
            if (counts[length] != 0)
                bins_.push_back({length, counts[length]});
        return true;
    }

    // Sorts, adds up bins of one length, drops empty ones.
    constexpr bool normalize(error& reason)
    {
        std::sort(bins_.begin(), bins_.end(), [](const bin& a, const bin& b) { return a.length < b.length; });
        std::size_t kept = 0;
        for (const bin& b : bins_) {
            if (b.count == 0)
                continue;
            if (kept != 0 && bins_[kept - 1].length == b.length) {
                if (!add(bins_[kept - 1].count, b.count, bins_[kept - 1].count))
                    return batten::detail::fail(reason,
                                                error::of(errors::size_overflow, bins_[kept - 1].count, b.count));
            } else {
                bins_[kept++] = b;
            }
        }
        bins_.erase(bins_.begin() + static_cast<std::ptrdiff_t>(kept), bins_.end());
        return true;
    }

    constexpr bool sum(error& reason)
    {
        for (const bin& b : bins_) {
            const bool fits = b.length == 0 || b.count <= static_cast<std::uint64_t>(-1) / b.length;
            if (!fits || !add(tokens_, b.count * b.length, tokens_) || !add(sequences_, b.count, sequences_))
                return batten::detail::fail(reason, error::of(errors::size_overflow, b.count, b.length));
        }
        return true;
    }

    static constexpr bool add(std::uint64_t a, std::uint64_t b, std::uint64_t& total) noexcept
    {
        total = a + b;
        return total >= b;
    }

    std::vector<bin> bins_;
    std::uint64_t sequences_ = 0;
    std::uint64_t tokens_ = 0;
};

}  // namespace batten::plan

#endif
