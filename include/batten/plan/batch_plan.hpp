// SPDX-License-Identifier: MIT
// A batch plan: which sequences make up which batch, and how wide it is, as flat arrays of row numbers.
#ifndef BATTEN_PLAN_BATCH_PLAN_HPP_INCLUDED
#define BATTEN_PLAN_BATCH_PLAN_HPP_INCLUDED

#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/sequences.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace batten::plan {

// One batch: select(inputs, rows) is its sequences, width the longest of them (or its bucket's edge), rounded up.
template <std::unsigned_integral Index = std::uint32_t>
struct planned_batch {
    std::span<const Index> rows{};
    std::size_t width = 0;

    [[nodiscard]] constexpr std::size_t cells() const noexcept { return rows.size() * width; }
};

// The batches, as flat arrays: batch b has rows order()[offsets()[b]] up to order()[offsets()[b + 1]], and width widths()[b].
template <std::unsigned_integral Index = std::uint32_t>
class batch_plan {
public:
    using array = batten::detail::buffer_vector<Index>;

    // What inverse() gives for a row that is in no batch.
    static constexpr Index nowhere = std::numeric_limits<Index>::max();

    constexpr batch_plan() : offsets_(1, Index{0}) {}
    // Requires: offsets from 0 to order.size(), increasing, one more than widths.
    constexpr batch_plan(std::size_t sequences, array order, std::vector<Index> offsets, std::vector<Index> widths)
        : sequences_(sequences), order_(std::move(order)), offsets_(std::move(offsets)), widths_(std::move(widths))
    {
    }

    [[nodiscard]] constexpr std::size_t size() const noexcept { return widths_.size(); }
    [[nodiscard]] constexpr bool empty() const noexcept { return widths_.empty(); }
    [[nodiscard]] constexpr planned_batch<Index> operator[](std::size_t b) const
    {
        BATTEN_ASSERT(b < size(), "batch past the end");
        return {std::span<const Index>(order_).subspan(offsets_[b], offsets_[b + 1] - offsets_[b]), widths_[b]};
    }
    [[nodiscard]] constexpr auto begin() const noexcept { return batten::detail::index_iterator<batch_plan>(this, 0); }
    [[nodiscard]] constexpr auto end() const noexcept { return batten::detail::index_iterator<batch_plan>(this, size()); }

    [[nodiscard]] constexpr std::span<const Index> order() const noexcept { return order_; }
    [[nodiscard]] constexpr std::span<const Index> offsets() const noexcept { return offsets_; }
    [[nodiscard]] constexpr std::span<const Index> widths() const noexcept { return widths_; }
    // The number of sequences that it was made for, including those in no batch.
    [[nodiscard]] constexpr std::size_t sequences() const noexcept { return sequences_; }

    // The place of each row: row i of the caller is order()[inverse[i]], the first place of a repeated row, `nowhere` for none.
    [[nodiscard]] constexpr std::vector<Index> inverse() const
    {
        std::vector<Index> places(sequences_, nowhere);
        for (std::size_t at = order_.size(); at-- > 0;)
            places[order_[at]] = static_cast<Index>(at);
        return places;
    }

    friend constexpr bool operator==(const batch_plan&, const batch_plan&) = default;

private:
    std::size_t sequences_ = 0;
    array order_;
    std::vector<Index> offsets_;
    std::vector<Index> widths_;
};

}  // namespace batten::plan

#endif
