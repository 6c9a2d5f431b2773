// SPDX-License-Identifier: MIT
// Bucket edges: those that cost least on a histogram, exactly, and those that people write down, to compare.
#ifndef BATTEN_PLAN_EDGES_HPP_INCLUDED
#define BATTEN_PLAN_EDGES_HPP_INCLUDED

#include <batten/detail/checks.hpp>
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

// A cost is any callable from a width to a std::uint64_t (exact) or a double. It must not fall as the width grows.

// The cost of memory and of linear layers, which is proportional to the number of tokens: the width.
struct padded_tokens {
    constexpr std::uint64_t operator()(std::size_t width) const noexcept { return width; }
};

// The cost of a transformer layer: per_token * width + per_pair * width * width. The second term is that of attention.
struct tokens_and_attention {
    std::uint64_t per_token = 1;
    std::uint64_t per_pair = 1;

    // The largest value where the cost does not fit, which optimal_edges refuses as an overflow.
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
    std::size_t max_edges = 8;               // most edges, and so most shapes
    std::size_t multiple = 1;                // edges are multiples of it
    std::optional<std::size_t> maximum{};    // the last edge, a multiple as well; none: that of the longest length
};

// Edges and what they cost. Converts to a bucketed_length.
template <class Value>
struct bucket_edges {
    std::vector<std::size_t> edges{};
    Value cost{};

    operator bucketed_length() const { return bucketed_length(edges); }
};

namespace detail {

using batten::detail::fail;
using batten::detail::require_positive;

// Positions of an edge: widths, increasing, and how many sequences are at most as long.
struct candidates {
    std::vector<std::size_t> widths{};
    std::vector<std::uint64_t> sequences{};
};

// The first multiple that is at least n, or false where it passes the size type.
constexpr bool round_up(std::size_t n, std::size_t multiple, std::size_t& rounded) noexcept
{
    return batten::detail::add(n, (multiple - n % multiple) % multiple, rounded);
}

constexpr bool find_candidates(const histogram& lengths, const edge_options& options, candidates& found, error& reason)
{
    if (!require_positive(options.max_edges, "max_edges", reason) || !require_positive(options.multiple, "multiple", reason) ||
        !require_positive(options.maximum.value_or(1), "maximum", reason))
        return false;
    if (lengths.empty() && !options.maximum)
        return fail(reason, error::of(errors::input_empty, {}, {}, "the histogram"));
    if (options.maximum && lengths.longest() > *options.maximum)
        return fail(reason, error::of(errors::width_past_maximum, lengths.longest(), *options.maximum));
    std::size_t last = 0;
    if (options.maximum && !round_up(*options.maximum, options.multiple, last))
        return fail(reason, error::of(errors::size_overflow, *options.maximum, options.multiple));
    if (options.maximum && last != *options.maximum)
        return fail(reason, error::of(errors::width_past_maximum, last, *options.maximum));
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
        std::size_t width = 0;
        if (!round_up(length, options.multiple, width))
            return fail(reason, error::of(errors::size_overflow, length, options.multiple));
        sequences += b.count;
        add(width);
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
            if (!(least_.back() < before_.back())) {  // another bucket does not make it cheaper
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
// all sequences minimal. Exact for integer costs. Of two equally cheap lists, the one with fewer edges.
//
// Errors   a zero max_edges, multiple or maximum; an empty histogram without a maximum; a length over the maximum; a maximum
//          that rounding up to the multiple passes; a cost that falls as the width grows; a total that overflows.
// Cost     O(distinct lengths * log(distinct lengths) * max_edges).
template <width_cost Cost = padded_tokens>
[[nodiscard]] constexpr result<bucket_edges<cost_value<Cost>>> try_optimal_edges(const histogram& lengths,
                                                                                 const edge_options& options,
                                                                                 const Cost& cost = {})
{
    using value = cost_value<Cost>;
    error reason;
    detail::candidates found;
    if (!detail::find_candidates(lengths, options, found, reason))
        return reason;
    if (found.widths.size() > std::numeric_limits<std::uint32_t>::max())
        return error::of(errors::index_too_narrow, found.widths.size(), std::numeric_limits<std::uint32_t>::max(),
                         "the number of different lengths");
    std::vector<value> costs;
    costs.reserve(found.widths.size());
    for (const std::size_t width : found.widths) {
        costs.push_back(cost(width));
        if (costs.size() > 1 && !(costs[costs.size() - 2] <= costs.back()))
            return error::of(errors::cost_decreases, found.widths[costs.size() - 2], width);
    }
    // One bucket costs the most, and bounds every sum of the program.
    if constexpr (std::integral<value>)
        if (costs.back() != 0 && found.sequences.back() > std::numeric_limits<value>::max() / costs.back())
            return error::of(errors::size_overflow, found.sequences.back(), costs.back());
    bucket_edges<value> choice;
    detail::edge_program<value> program(found, std::move(costs));
    for (const std::size_t at : program.solve(options.max_edges, choice.cost))
        choice.edges.push_back(found.widths[at]);
    return choice;
}
template <width_cost Cost = padded_tokens>
[[nodiscard]] constexpr bucket_edges<cost_value<Cost>> optimal_edges(const histogram& lengths, const edge_options& options,
                                                                    const Cost& cost = {})
{
    return try_optimal_edges(lengths, options, cost).value();
}

// What edges cost on a histogram. Errors: a length over its last edge; a total that overflows.
template <width_cost Cost = padded_tokens>
[[nodiscard]] constexpr result<cost_value<Cost>> try_cost_of(const histogram& lengths, const std::vector<std::size_t>& edges,
                                                             const Cost& cost = {})
{
    using value = cost_value<Cost>;
    value total{};
    for (const histogram::bin& b : lengths.bins()) {
        const std::size_t bucket = batten::detail::bucket_of(edges, b.length);
        if (bucket == edges.size())
            return error::of(errors::width_past_maximum, b.length, edges.empty() ? 0 : edges.back());
        const value each = cost(edges[bucket]);
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

// ---- edges that people write down -------------------------------------------------------------------------------------------

// The lengths at k equal steps of the sorted list, equal ones once: fairseq's BucketPadLengthDataset.
// Errors: k = 0; an empty histogram. Cost: O(k), at most the number of sequences.
[[nodiscard]] constexpr result<std::vector<std::size_t>> try_percentile_edges(const histogram& lengths, std::size_t k)
{
    if (k == 0)
        return error::of(errors::argument_not_positive, 0, {}, "k");
    if (lengths.empty())
        return error::of(errors::input_empty, {}, {}, "the histogram");
    // Step i takes rank floor((n - 1) * i / k), counted from 0, as numpy's 'lower'. More than n steps take every rank.
    const std::uint64_t n = lengths.sequences();
    const std::uint64_t steps = std::min<std::uint64_t>(k, n);
    const std::uint64_t whole = (n - 1) / steps;
    const std::uint64_t part = (n - 1) % steps;
    std::vector<std::size_t> edges;
    std::uint64_t seen = 0;
    std::uint64_t step = 0;  // steps taken
    std::uint64_t rank = 0;  // of the last one, and what is left of its fraction, in k-ths
    std::uint64_t rest = 0;
    for (const histogram::bin& b : lengths.bins()) {
        seen += b.count;
        bool in_bin = false;
        for (; step < steps; ++step) {
            const bool carries = part != 0 && rest >= steps - part;
            const std::uint64_t next = rank + whole + (carries ? 1 : 0);
            if (next >= seen)
                break;
            rank = next;
            rest = carries ? rest - (steps - part) : rest + part;
            in_bin = true;
        }
        if (in_bin)
            edges.push_back(std::max<std::size_t>(b.length, 1));
    }
    return edges;
}
[[nodiscard]] constexpr std::vector<std::size_t> percentile_edges(const histogram& lengths, std::size_t k)
{
    return try_percentile_edges(lengths, k).value();
}

// k equal steps up to the longest length: ceil(longest * i / k) for i of [1, k], equal ones once.
// Errors: longest = 0; k = 0. Cost: O(k), at most the longest length.
[[nodiscard]] constexpr result<std::vector<std::size_t>> try_uniform_edges(std::size_t longest, std::size_t k)
{
    if (longest == 0 || k == 0)
        return error::of(errors::argument_not_positive, 0, {}, k == 0 ? "k" : "the longest length");
    const std::size_t steps = std::min(k, longest);  // more would repeat edges
    const std::size_t part = longest % steps;
    std::vector<std::size_t> edges;
    std::size_t edge = 0;
    std::size_t over = 0;  // edge - longest * i / k, in k-ths
    for (std::size_t i = 0; i < steps; ++i) {
        edge += longest / steps + (over < part ? 1 : 0);
        over = over < part ? over + (steps - part) : over - part;
        edges.push_back(edge);
    }
    return edges;
}
[[nodiscard]] constexpr std::vector<std::size_t> uniform_edges(std::size_t longest, std::size_t k)
{
    return try_uniform_edges(longest, k).value();
}

// first, 2 * first, 4 * first, ... up to the first edge that is at least `longest`.
// Errors: first = 0; a last edge that passes the size type. Cost: O(log(longest / first)).
[[nodiscard]] constexpr result<std::vector<std::size_t>> try_doubling_edges(std::size_t first, std::size_t longest)
{
    if (first == 0)
        return error::of(errors::argument_not_positive, 0, {}, "the first edge");
    std::vector<std::size_t> edges{first};
    while (edges.back() < longest) {
        std::size_t next = 0;
        if (!batten::detail::multiply(edges.back(), 2, next))
            return error::of(errors::size_overflow, edges.back(), 2);
        edges.push_back(next);
    }
    return edges;
}
[[nodiscard]] constexpr std::vector<std::size_t> doubling_edges(std::size_t first, std::size_t longest)
{
    return try_doubling_edges(first, longest).value();
}

}  // namespace batten::plan

#endif
