// SPDX-License-Identifier: MIT
// What the tests of all packers share: random lists and options, what a packing must be, brute force, and real lists.
#ifndef BATTEN_TESTS_PACKING_SUPPORT_HPP_INCLUDED
#define BATTEN_TESTS_PACKING_SUPPORT_HPP_INCLUDED

#include "catch.hpp"

#include <batten/plan/packing.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tests {

class draws {
public:
    explicit draws(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15U + 88172645463325252U) {}
    std::size_t below(std::size_t n)
    {
        state_ ^= state_ << 13U;
        state_ ^= state_ >> 7U;
        state_ ^= state_ << 17U;
        return static_cast<std::size_t>((state_ >> 11U) % n);
    }
    std::vector<std::size_t> lengths(std::size_t n, std::size_t least, std::size_t most)
    {
        std::vector<std::size_t> drawn(n);
        for (std::size_t& length : drawn)
            length = least + below(most - least + 1);
        return drawn;
    }

private:
    std::uint64_t state_;
};

inline batten::plan::packing_options random_packing_options(draws& draw)
{
    batten::plan::packing_options options{.capacity = 2 + draw.below(120)};
    options.max_per_bin = draw.below(2) == 0 ? batten::no_limit : 1 + draw.below(6);
    options.slot_multiple = draw.below(2) == 0 ? 1 : 1 + draw.below(options.capacity);
    options.bins_multiple = draw.below(2) == 0 ? 1 : 1 + draw.below(9);
    options.over = static_cast<batten::plan::over_capacity>(draw.below(3));
    options.targets = static_cast<batten::target_alignment>(draw.below(4));
    return options;
}

// Tokens of the longest piece.
inline std::size_t longest_piece(const batten::plan::packing_options& options)
{
    const std::size_t columns = options.capacity / options.slot_multiple * options.slot_multiple;
    return columns + (options.targets == batten::next_token_drop_last ? 1 : 0);
}

inline std::vector<std::size_t> random_lengths_for(draws& draw, const batten::plan::packing_options& options)
{
    const bool may_be_longer = options.over != batten::plan::over_capacity::is_error;
    return draw.lengths(draw.below(80), 0, longest_piece(options) * (may_be_longer ? 3 : 1));
}

inline std::size_t columns_of(const batten::plan::packing_options& options, std::size_t tokens)
{
    const std::size_t columns = options.targets == batten::next_token_drop_last && tokens != 0 ? tokens - 1 : tokens;
    return (columns + options.slot_multiple - 1) / options.slot_multiple * options.slot_multiple;
}

inline void check_packing(const batten::plan::packing& packed, const std::vector<std::size_t>& lengths,
                          const batten::plan::packing_options& options)
{
    REQUIRE(packed.offsets.front() == 0);
    REQUIRE(packed.offsets.back() == packed.pieces.size());
    REQUIRE(std::is_sorted(packed.offsets.begin(), packed.offsets.end()));
    CHECK(packed.size() % options.bins_multiple == 0);
    CHECK(packed.size() >= packed.bounds.best());
    CHECK(packed.capacity == options.capacity);
    CHECK(packed.slot_multiple == options.slot_multiple);
    for (std::size_t b = 0; b < packed.size(); ++b) {
        std::size_t columns = 0;
        for (const batten::piece& p : packed[b])
            columns += columns_of(options, p.length);
        CHECK(columns <= options.capacity);
        CHECK(packed[b].size() <= options.max_per_bin);
    }
    // Every token once, but those that overlap; pieces are full but for a sequence's last.
    std::map<std::uint32_t, std::map<std::uint32_t, std::uint32_t>> pieces;
    for (const batten::piece& p : packed.pieces)
        CHECK(pieces[p.sequence].emplace(p.begin, p.length).second);
    REQUIRE(pieces.size() == lengths.size());
    const std::size_t overlap = options.over == batten::plan::over_capacity::is_split_with_overlap ? 1 : 0;
    for (const auto& [sequence, parts] : pieces) {
        std::size_t end = 0;
        for (const auto& [begin, length] : parts) {
            CHECK(begin == end - (begin == 0 ? 0 : overlap));
            end = begin + length;
            CHECK((length == longest_piece(options) || end == lengths[sequence]));
        }
        CHECK(end == lengths[sequence]);
    }
}

// Patterns hold what the packing of the list holds, and fit.
inline void check_patterns(const batten::plan::pattern_packing& patterns, const batten::plan::packing& packed,
                           const batten::plan::packing_options& options)
{
    std::map<std::size_t, std::uint64_t> in_patterns;
    std::map<std::size_t, std::uint64_t> in_list;
    std::uint64_t bins = 0;
    for (std::size_t p = 0; p < patterns.size(); ++p) {
        std::uint64_t pieces = 0;
        std::size_t columns = 0;
        for (const auto& run : patterns[p].runs) {
            in_patterns[run.length] += run.copies * patterns[p].bins;
            pieces += run.copies;
            columns += static_cast<std::size_t>(run.copies) * run.length;
        }
        bins += patterns[p].bins;
        CHECK(pieces <= options.max_per_bin);
        CHECK(columns <= options.capacity);
    }
    for (const batten::piece& p : packed.pieces)
        ++in_list[columns_of(options, p.length)];
    CHECK(in_patterns == in_list);
    CHECK(bins == patterns.bins());
}

// The fewest bins that hold lengths from number `at` on, beside those that are open: every way is tried.
inline std::size_t fewest_bins(const std::vector<std::size_t>& lengths, const batten::plan::packing_options& options,
                               std::vector<std::pair<std::size_t, std::size_t>> open = {}, std::size_t at = 0)
{
    if (at == lengths.size())
        return open.size();
    std::size_t fewest = lengths.size();
    const std::size_t columns = columns_of(options, lengths[at]);
    for (std::size_t b = 0; b < open.size(); ++b) {
        auto& [used, pieces] = open[b];
        if (used + columns > options.capacity || pieces == options.max_per_bin)
            continue;
        used += columns;
        ++pieces;
        fewest = std::min(fewest, fewest_bins(lengths, options, open, at + 1));
        used -= columns;
        --pieces;
    }
    open.emplace_back(columns, 1);
    return std::min(fewest, fewest_bins(lengths, options, open, at + 1));
}

}  // namespace tests

#endif
