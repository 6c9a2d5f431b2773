// SPDX-License-Identifier: MIT
// Bucket edges: the ladder that costs least on a histogram, exactly, and the ladders that people write down, to compare.
#ifndef BATTEN_PLAN_EDGES_HPP_INCLUDED
#define BATTEN_PLAN_EDGES_HPP_INCLUDED

#include <batten/detail/halving.hpp>
#include <batten/error.hpp>
#include <batten/length.hpp>
#include <batten/plan/errors.hpp>
#include <batten/plan/histogram.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace batten::plan {

// ---- what a sequence costs in a bucket of some width ------------------------------------------------------------------------

// A cost is any callable from a width to an unsigned integer (exact) or a double, that never falls as the width grows.

// The cost of memory, of linear layers, of everything that goes by token: the width.
struct padded_tokens {
    constexpr std::uint64_t operator()(std::size_t width) const noexcept { return width; }
};

// The cost of a transformer layer: a * width + b * width * width, the second for attention.
struct tokens_and_attention {
    std::uint64_t per_token = 1;
    std::uint64_t per_pair = 1;

    // The largest value where it does not fit, which is refused as an overflow.
    constexpr std::uint64_t operator()(std::size_t width) const noexcept
    {
        constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
        const std::uint64_t w = width;
        if (w != 0 && (w > most / w || per_pair > most / (w * w) || per_token > (most - per_pair * (w * w)) / w))
            return most;
        return per_token * w + per_pair * (w * w);
    }
};

template <class Cost>
using cost_value = std::remove_cvref_t<std::invoke_result_t<const Cost&, std::size_t>>;

template <class Cost>
concept width_cost = std::invocable<const Cost&, std::size_t> &&
                     (std::same_as<cost_value<Cost>, std::uint64_t> || std::same_as<cost_value<Cost>, double>);

// ---- the optimum ------------------------------------------------------------------------------------------------------------

struct edge_options {
    std::size_t max_edges = 8;               // shapes at the most
    std::size_t multiple = 1;                // edges are multiples of it
    std::optional<std::size_t> maximum{};    // the last edge, where it is to hold more than the longest of the histogram
};

// A ladder and what it costs. Goes wherever a bucketed_length goes.
template <class Value>
struct edge_choice {
    std::vector<std::size_t> edges{};
    Value cost{};

    operator bucketed_length() const { return bucketed_length(edges); }
};

namespace detail {

using batten::detail::fail;

// Positions of an edge: widths, increasing, and how many sequences are at most as long.
struct candidates {
    std::vector<std::size_t> widths{};
    std::vector<std::uint64_t> sequences{};
};

constexpr bool find_candidates(const histogram& lengths, const edge_options& options, candidates& found, error& reason)
{
    if (options.max_edges == 0)
        return fail(reason, error::of(errors::argument_not_positive, 0, {}, "max_edges"));
    if (options.multiple == 0)
        return fail(reason, error::of(errors::argument_not_positive, 0, {}, "multiple"));
    if (options.maximum && *options.maximum == 0)
        return fail(reason, error::of(errors::argument_not_positive, 0, {}, "maximum"));
    if (lengths.empty() && !options.maximum)
        return fail(reason, error::of(errors::input_empty, {}, {}, "the histogram"));
    if (options.maximum && lengths.longest() > *options.maximum)
        return fail(reason, error::of(errors::width_past_maximum, lengths.longest(), *options.maximum));
    std::uint64_t sequences = 0;
    const auto add = [&](std::size_t width) {
        if (found.widths.empty() || found.widths.back() != width) {
            found.widths.push_back(width);
            found.sequences.push_back(sequences);
        } else {
            found.sequences.back() = sequences;
        }
    };
    for (const histogram::bin& b : lengths.bins()) {
        const std::size_t length = std::max<std::size_t>(b.length, 1);
        const std::size_t missing = (options.multiple - length % options.multiple) % options.multiple;
        if (length > batten::detail::size_limit - missing)
            return fail(reason, error::of(errors::size_overflow, length, options.multiple));
        sequences += b.count;
        add(options.maximum ? std::min(length + missing, *options.maximum) : length + missing);
    }
    if (options.maximum)
        add(*options.maximum);
    return true;
}

// The dynamic program over candidates: least[j] is the least cost of the sequences up to candidate j in t buckets, the last of
// which ends at j. With N sequences up to a candidate, which never falls, and c its cost, which never falls, a bucket from i
// (excluded) to j costs w(i, j) = (N[j] - N[i]) * c[j], and for i <= k <= j <= l
//
//     w(i, l) + w(k, j) - w(i, j) - w(k, l) = (N[k] - N[i]) * (c[l] - c[j]) >= 0,
//
// so that the best i for j does not fall as j grows, and halving (the middle j first, then each side within its bounds) finds
// all of them in O(n log n).
template <class Value>
class edge_program {
public:
    constexpr edge_program(const candidates& at, std::vector<Value> costs)
        : sequences_(at.sequences), costs_(std::move(costs)), size_(at.widths.size())
    {
    }

    // Indices of the candidates that are edges, and the cost.
    constexpr std::vector<std::size_t> solve(std::size_t max_edges, Value& cost)
    {
        least_.assign(size_, Value{});
        for (std::size_t j = 0; j < size_; ++j)
            least_[j] = price(sequences_[j], j);
        for (std::size_t t = 1; t < std::min(max_edges, size_); ++t) {
            before_ = least_;
            best_.emplace_back(size_, index{0});
            batten::detail::halve(
                t, size_, t - 1, size_, [](std::size_t /*j*/) { return std::size_t{0}; },
                [&](std::size_t i, std::size_t j) { return before_[i] + price(sequences_[j] - sequences_[i], j); },
                [&](std::size_t j, std::size_t i, Value cost_of_both) {
                    least_[j] = cost_of_both;
                    best_[t - 1][j] = static_cast<index>(i);
                });
            if (!(least_.back() < before_.back())) {  // no bucket more makes it cheaper
                best_.pop_back();
                least_ = before_;
                break;
            }
        }
        cost = least_.back();
        std::vector<std::size_t> edges{size_ - 1};
        for (std::size_t t = best_.size(); t > 0; --t)
            edges.push_back(best_[t - 1][edges.back()]);
        std::reverse(edges.begin(), edges.end());
        return edges;
    }

private:
    constexpr Value price(std::uint64_t sequences, std::size_t j) const
    {
        return static_cast<Value>(sequences) * costs_[j];
    }

    using index = std::uint32_t;

    const std::vector<std::uint64_t>& sequences_;
    std::vector<Value> costs_;
    std::size_t size_;
    std::vector<Value> before_{};
    std::vector<Value> least_{};
    std::vector<std::vector<index>> best_{};
};

}  // namespace detail

// The edges that cost least: at most `max_edges`, every sequence in the first bucket that holds it, the sum of cost(width) over
// all sequences minimal. Exact for integer costs. Of two equally cheap ladders, the one with fewer edges.
//
// Errors   a zero max_edges, multiple or maximum; a histogram of nothing; a length over the maximum; a cost that falls as the
//          width grows; a total that overflows.
// Cost     O(distinct lengths * log(distinct lengths) * max_edges).
template <width_cost Cost = padded_tokens>
[[nodiscard]] constexpr result<edge_choice<cost_value<Cost>>> try_optimal_edges(const histogram& lengths,
                                                                                 const edge_options& options,
                                                                                 const Cost& cost = {})
{
    using value = cost_value<Cost>;
    error reason;
    detail::candidates found;
    if (!detail::find_candidates(lengths, options, found, reason))
        return reason;
    if (found.widths.size() > std::numeric_limits<std::uint32_t>::max())
        return error::of(errors::size_overflow, found.widths.size(), options.max_edges);
    std::vector<value> costs;
    costs.reserve(found.widths.size());
    for (const std::size_t width : found.widths) {
        costs.push_back(cost(width));
        if (costs.size() > 1 && !(costs[costs.size() - 2] <= costs.back()))
            return error::of(errors::cost_decreases, found.widths[costs.size() - 2], width);
    }
    // The dearest ladder, one bucket, bounds every sum of the program.
    if constexpr (std::integral<value>)
        if (costs.back() != 0 && found.sequences.back() > std::numeric_limits<value>::max() / costs.back())
            return error::of(errors::size_overflow, found.sequences.back(), costs.back());
    edge_choice<value> choice;
    detail::edge_program<value> program(found, std::move(costs));
    for (const std::size_t at : program.solve(options.max_edges, choice.cost))
        choice.edges.push_back(found.widths[at]);
    return choice;
}
template <width_cost Cost = padded_tokens>
[[nodiscard]] constexpr edge_choice<cost_value<Cost>> optimal_edges(const histogram& lengths, const edge_options& options,
                                                                    const Cost& cost = {})
{
    return try_optimal_edges(lengths, options, cost).value();
}

// What any ladder costs on a histogram. Errors: a length over its last edge; a total that overflows.
template <width_cost Cost = padded_tokens>
[[nodiscard]] constexpr result<cost_value<Cost>> try_cost_of(const histogram& lengths, const std::vector<std::size_t>& edges,
                                                             const Cost& cost = {})
{
    using value = cost_value<Cost>;
    value total{};
    for (const histogram::bin& b : lengths.bins()) {
        const auto edge = std::lower_bound(edges.begin(), edges.end(), b.length);
        if (edge == edges.end())
            return error::of(errors::width_past_maximum, b.length, edges.empty() ? 0 : edges.back());
        const value each = cost(*edge);
        if constexpr (std::integral<value>)
            if (each != 0 && b.count > (std::numeric_limits<value>::max() - total) / each)
                return error::of(errors::size_overflow, b.count, each);
        total += static_cast<value>(b.count) * each;
    }
    return total;
}
template <width_cost Cost = padded_tokens>
[[nodiscard]] constexpr cost_value<Cost> cost_of(const histogram& lengths, const std::vector<std::size_t>& edges,
                                                 const Cost& cost = {})
{
    return try_cost_of(lengths, edges, cost).value();
}

// ---- ladders that people write down -----------------------------------------------------------------------------------------

// The lengths at k equal steps of the sorted list, duplicates once: fairseq's BucketPadLengthDataset.
[[nodiscard]] constexpr std::vector<std::size_t> percentile_edges(const histogram& lengths, std::size_t k)
{
    std::vector<std::size_t> edges;
    std::uint64_t seen = 0;
    std::size_t step = 1;
    for (const histogram::bin& b : lengths.bins()) {
        seen += b.count;
        // Rank floor((n - 1) * step / k) from 0, as numpy's 'lower', lies in this bin.
        bool in_bin = false;
        while (step <= k && (lengths.sequences() - 1) / k * step + (lengths.sequences() - 1) % k * step / k < seen) {
            in_bin = true;
            ++step;
        }
        if (in_bin)
            edges.push_back(std::max<std::size_t>(b.length, 1));
    }
    return edges;
}

// k equal steps up to the longest.
[[nodiscard]] constexpr std::vector<std::size_t> uniform_edges(std::size_t longest, std::size_t k)
{
    std::vector<std::size_t> edges;
    for (std::size_t i = 1; i <= k; ++i) {
        const std::size_t edge = longest / k * i + (longest % k * i + k - 1) / k;
        if (edge != 0 && (edges.empty() || edges.back() != edge))
            edges.push_back(edge);
    }
    return edges;
}

// first, 2 * first, 4 * first, ... up to the first that holds the longest. Requires: first >= 1.
[[nodiscard]] constexpr std::vector<std::size_t> doubling_edges(std::size_t first, std::size_t longest)
{
    BATTEN_ASSERT(first >= 1, "a ladder begins at 1 or more");
    std::vector<std::size_t> edges{first};
    while (edges.back() < longest && edges.back() <= batten::detail::size_limit / 2)
        edges.push_back(2 * edges.back());
    return edges;
}

}  // namespace batten::plan

#endif
