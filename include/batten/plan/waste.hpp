// SPDX-License-Identifier: MIT
// What a batch, a plan or a strategy wastes, in one struct with one definition for all of them.
#ifndef BATTEN_PLAN_WASTE_HPP_INCLUDED
#define BATTEN_PLAN_WASTE_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/bins.hpp>
#include <batten/error.hpp>
#include <batten/length.hpp>
#include <batten/plan/batch_plan.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/order.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace batten::plan {

// Counts, of tokens unless the comment says otherwise. += adds them up; sums that pass 64 bits stay at the largest value.
struct waste {
    std::uint64_t batches = 0;
    std::uint64_t rows = 0;
    std::uint64_t real_tokens = 0;       // cells that hold a token, repeated rows each time
    std::uint64_t pads = 0;              // cells that do not: rows * width - real_tokens
    std::uint64_t truncated_tokens = 0;  // cut off from sequences that have a row
    std::uint64_t dropped_tokens = 0;    // of sequences without a row
    std::uint64_t trained_tokens = 0;    // targets; of a plan, all tokens but the first of each sequence
    std::uint64_t attended_pairs = 0;    // sum of width * width over the rows: what attention costs
    std::uint64_t real_pairs = 0;        // sum of length * length over the sequences: what it would cost without pads

    // Share of cells that are pads; 0 without cells.
    [[nodiscard]] constexpr double padding() const noexcept { return share(pads, sum(real_tokens, pads)); }
    // Share of attended pairs that are not between tokens of one sequence; 0 without pairs.
    [[nodiscard]] constexpr double attention() const noexcept
    {
        return share(attended_pairs - std::min(real_pairs, attended_pairs), attended_pairs);
    }

    constexpr waste& operator+=(const waste& other) noexcept
    {
        for (const auto member : {&waste::batches, &waste::rows, &waste::real_tokens, &waste::pads, &waste::truncated_tokens,
                                  &waste::dropped_tokens, &waste::trained_tokens, &waste::attended_pairs, &waste::real_pairs})
            this->*member = sum(this->*member, other.*member);
        return *this;
    }
    friend constexpr waste operator+(waste a, const waste& b) noexcept { return a += b; }
    friend constexpr bool operator==(const waste&, const waste&) noexcept = default;

    // a + b and a * b, at most the largest value.
    static constexpr std::uint64_t sum(std::uint64_t a, std::uint64_t b) noexcept { return a + std::min(b, most - a); }
    static constexpr std::uint64_t product(std::uint64_t a, std::uint64_t b) noexcept
    {
        return a != 0 && b > most / a ? most : a * b;
    }

private:
    static constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

    static constexpr double share(std::uint64_t part, std::uint64_t whole) noexcept
    {
        return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
    }
};

namespace detail {

// `times` sequences of `length`, of which `kept` tokens have a cell.
constexpr void add_sequences(waste& total, std::uint64_t times, std::uint64_t length, std::uint64_t kept) noexcept
{
    total.real_tokens = waste::sum(total.real_tokens, waste::product(times, kept));
    total.truncated_tokens = waste::sum(total.truncated_tokens, waste::product(times, length - kept));
    total.trained_tokens = waste::sum(total.trained_tokens, waste::product(times, kept == 0 ? 0 : kept - 1));
    total.real_pairs = waste::sum(total.real_pairs, waste::product(times, waste::product(kept, kept)));
}

// `rows` rows of `width`; `pads` of them are found at the end, when the real tokens are known.
constexpr void add_rows(waste& total, std::uint64_t rows, std::uint64_t width) noexcept
{
    total.rows = waste::sum(total.rows, rows);
    total.pads = waste::sum(total.pads, waste::product(rows, width));
    total.attended_pairs = waste::sum(total.attended_pairs, waste::product(rows, waste::product(width, width)));
}

constexpr waste without_real(waste total) noexcept
{
    total.pads -= std::min(total.real_tokens, total.pads);
    return total;
}

}  // namespace detail

// The waste of a collated batch. Cost: O(segments).
template <class Batch>
    requires requires(const Batch& batch) {
        batch.lengths();
        batch.summary();
    }
[[nodiscard]] constexpr waste waste_of(const Batch& batch)
{
    waste found{.batches = 1,
                .real_tokens = batch.summary().real_tokens,
                .truncated_tokens = batch.summary().truncated_tokens,
                .trained_tokens = batch.summary().targets};
    detail::add_rows(found, batch.rows(), batch.width());
    for (const auto length : batch.lengths()) {
        const auto kept = static_cast<std::uint64_t>(length);
        found.real_pairs = waste::sum(found.real_pairs, waste::product(kept, kept));
    }
    return detail::without_real(found);
}

// The waste of a plan. Requires: the lengths that it was made from. Cost: O(sequences).
template <std::unsigned_integral Index, std::ranges::random_access_range Lengths>
[[nodiscard]] constexpr waste waste_of(const batch_plan<Index>& planned, const Lengths& lengths)
{
    waste found{.batches = planned.size()};
    std::vector<bool> there(static_cast<std::size_t>(std::ranges::size(lengths)), false);
    for (std::size_t b = 0; b < planned.size(); ++b) {
        detail::add_rows(found, planned[b].rows.size(), planned[b].width);
        for (const Index row : planned[b].rows) {
            const std::uint64_t length = detail::length_at(lengths, row);
            detail::add_sequences(found, 1, length, length);
            there[row] = true;
        }
    }
    for (std::size_t i = 0; i < there.size(); ++i)
        if (!there[i])
            found.dropped_tokens = waste::sum(found.dropped_tokens, detail::length_at(lengths, i));
    return detail::without_real(found);
}

// The waste of sequences packed into rows of a capacity. Each piece counts as a sequence. Cost: O(pieces).
[[nodiscard]] constexpr waste waste_of(const bins& packed, std::size_t capacity)
{
    waste found{.batches = 1};
    detail::add_rows(found, packed.offsets.empty() ? 0 : packed.offsets.size() - 1, capacity);
    for (const piece& p : packed.pieces)
        detail::add_sequences(found, 1, p.length, p.length);
    return detail::without_real(found);
}

// The waste of padding, or cutting, every sequence to one width. Cost: O(distinct lengths).
[[nodiscard]] constexpr waste waste_of(const histogram& lengths, std::size_t width)
{
    waste found;
    for (const histogram::bin& b : lengths.bins()) {
        detail::add_rows(found, b.count, width);
        detail::add_sequences(found, b.count, b.length, std::min(b.length, width));
    }
    return detail::without_real(found);
}

// The waste of padding every sequence to the first edge that holds it, and cutting longer ones to the last edge. Requires:
// increasing edges, at least one. Cost: O(distinct lengths * log(edges)).
[[nodiscard]] constexpr waste waste_of(const histogram& lengths, const std::vector<std::size_t>& edges)
{
    BATTEN_ASSERT(!edges.empty(), "there must be at least one edge");
    waste found;
    for (const histogram::bin& b : lengths.bins()) {
        const std::size_t width = edges[std::min(batten::detail::bucket_of(edges, b.length), edges.size() - 1)];
        detail::add_rows(found, b.count, width);
        detail::add_sequences(found, b.count, b.length, std::min(b.length, width));
    }
    return detail::without_real(found);
}

// ---- as a table -------------------------------------------------------------------------------------------------------------

struct waste_line {
    std::string_view name;
    plan::waste waste{};
};

namespace detail {

// A share as "12.3 %".
inline std::string percent(double share)
{
    const auto tenths = static_cast<std::uint64_t>(share * 1000.0 + 0.5);
    return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " %";
}

}  // namespace detail

// A heading and a line for each, in aligned columns:
//
//     strategy  rows  real tokens  pads  padding  truncated  dropped  trained  attention wasted
[[nodiscard]] inline std::string table(std::span<const waste_line> lines)
{
    constexpr std::size_t columns = 9;
    using line = std::array<std::string, columns>;
    std::vector<line> cells{
        {"strategy", "rows", "real tokens", "pads", "padding", "truncated", "dropped", "trained", "attention wasted"}};
    for (const waste_line& one : lines)
        cells.push_back({std::string(one.name), std::to_string(one.waste.rows), std::to_string(one.waste.real_tokens),
                         std::to_string(one.waste.pads), detail::percent(one.waste.padding()),
                         std::to_string(one.waste.truncated_tokens), std::to_string(one.waste.dropped_tokens),
                         std::to_string(one.waste.trained_tokens), detail::percent(one.waste.attention())});
    std::array<std::size_t, columns> widths{};
    for (const line& one : cells)
        for (std::size_t c = 0; c < columns; ++c)
            widths[c] = std::max(widths[c], one[c].size());
    std::string text;
    for (const line& one : cells) {
        for (std::size_t c = 0; c < columns; ++c) {
            const std::string gap(widths[c] - one[c].size(), ' ');
            text += c == 0 ? one[c] + gap : std::string(2, ' ') + gap + one[c];
        }
        text += '\n';
    }
    return text;
}

}  // namespace batten::plan

#endif
