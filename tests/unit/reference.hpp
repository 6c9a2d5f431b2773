// SPDX-License-Identifier: MIT
// What a batch must be, in the plainest words and from the rules alone: one row of one sequence, cell by cell. It shares no
// code with the library but the name of the alignment.
#ifndef BATTEN_TESTS_REFERENCE_HPP_INCLUDED
#define BATTEN_TESTS_REFERENCE_HPP_INCLUDED

#include "support.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace tests {

struct sample {
    line ids;
    std::size_t prompt = 0;
    line loss;  // as long as ids, 0: not trained; empty: all are
};

struct kept_slice {
    std::size_t begin = 0;
    std::size_t end = 0;
};

struct expected_row {
    line ids, mask, positions, loss, labels, segments;
    std::size_t length = 0, dropped = 0, targets = 0;
};

// Columns that n tokens take, and the most tokens that take n columns.
inline std::size_t expected_columns(batten::target_alignment alignment, std::size_t tokens)
{
    return alignment == batten::next_token_drop_last && tokens > 0 ? tokens - 1 : tokens;
}
inline std::size_t expected_tokens(batten::target_alignment alignment, std::size_t columns)
{
    return alignment == batten::next_token_drop_last && columns != batten::no_limit ? columns + 1 : columns;
}

// The row of tokens [kept.begin, kept.end) of a sequence, whose first token is at column `first` of `width`.
//
// Seen from each kept token t as a target: the column that is trained to predict it is its own one, or the one before.
inline expected_row model(const sample& s, kept_slice kept, std::size_t first, std::size_t width,
                          batten::target_alignment alignment, long long pad_id, long long ignore_index)
{
    expected_row row{line(width, pad_id),       line(width, 0), line(width, 0), line(width, 0),
                     line(width, ignore_index), line(width, 0)};
    row.length = expected_columns(alignment, kept.end - kept.begin);
    row.dropped = s.ids.size() - (kept.end - kept.begin);
    for (std::size_t j = 0; j < row.length; ++j) {
        row.ids[first + j] = s.ids[kept.begin + j];
        row.mask[first + j] = row.segments[first + j] = 1;
        row.positions[first + j] = static_cast<long long>(j);
    }
    const bool own_column = alignment == batten::same_position || alignment == batten::model_shifts;
    for (std::size_t t = kept.begin; t < kept.end; ++t) {
        const bool trained = t >= s.prompt && (s.loss.empty() || s.loss[t] != 0);
        const bool is_first = t == kept.begin;
        if (!trained || (is_first && alignment != batten::same_position && !(alignment == batten::model_shifts && first == 0)))
            continue;  // nothing that precedes it in its sequence could predict it
        const std::size_t column = first + (t - kept.begin) - (own_column ? 0 : 1);
        row.loss[column] = 1;
        row.labels[column] = s.ids[t];
        row.targets += is_first && alignment == batten::model_shifts ? 0 : 1;  // the model's shift drops column 0
    }
    return row;
}

// ---- policies beside their models, each with random options -----------------------------------------------------------

using random = std::mt19937_64;

inline std::size_t below(random& any, std::size_t n)
{
    return n == 0 ? 0 : static_cast<std::size_t>(any() % n);
}

struct right_case {
    using type = batten::pad_right;
    static std::size_t first(std::size_t /*length*/, std::size_t /*width*/) { return 0; }
};
struct left_case {
    using type = batten::pad_left;
    static std::size_t first(std::size_t length, std::size_t width) { return width - length; }
};
struct pad_centred {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};
struct centred_case {
    using type = pad_centred;
    static std::size_t first(std::size_t length, std::size_t width) { return (width - length) / 2; }
};

struct reject_case {
    using type = batten::reject;
    static std::optional<kept_slice> keep(std::size_t /*n*/, std::size_t /*limit*/) { return std::nullopt; }
};
struct truncate_right_case {
    using type = batten::truncate_right;
    static std::optional<kept_slice> keep(std::size_t /*n*/, std::size_t limit) { return kept_slice{0, limit}; }
};
struct truncate_left_case {
    using type = batten::truncate_left;
    static std::optional<kept_slice> keep(std::size_t n, std::size_t limit) { return kept_slice{n - limit, n}; }
};
// A user's: half of the limit, from the middle.
struct keep_half_of_the_middle {
    static constexpr batten::slice keep(std::size_t length, std::size_t limit)
    {
        const std::size_t kept = (limit + 1) / 2;
        return {(length - kept) / 2, kept};
    }
};
struct middle_case {
    using type = keep_half_of_the_middle;
    static std::optional<kept_slice> keep(std::size_t n, std::size_t limit)
    {
        const std::size_t kept = (limit + 1) / 2;
        const std::size_t begin = (n - kept) / 2;
        return kept_slice{begin, begin + kept};
    }
};

// A length from 1 on: mostly short, sometimes past the widest vector.
inline std::size_t some_length(random& any)
{
    return 1 + below(any, below(any, 4) == 0 ? 150 : 14);
}

struct fixed_case {
    using type = batten::fixed_length;
    std::size_t n;
    explicit fixed_case(random& any) : n(some_length(any)) {}
    type make() const { return {n}; }
    std::size_t limit() const { return n; }
    std::size_t width(std::size_t /*longest*/) const { return n; }
    std::size_t max_width() const { return batten::no_limit; }
};
template <std::size_t N>
struct static_case {
    using type = batten::static_length<N>;
    explicit static_case(random& /*any*/) {}
    type make() const { return {}; }
    std::size_t limit() const { return N; }
    std::size_t width(std::size_t /*longest*/) const { return N; }
    std::size_t max_width() const { return batten::no_limit; }
};
struct dynamic_case {
    using type = batten::dynamic_length;
    explicit dynamic_case(random& /*any*/) {}
    type make() const { return {}; }
    std::size_t limit() const { return batten::no_limit; }
    std::size_t width(std::size_t longest) const { return longest; }
    std::size_t max_width() const { return batten::no_limit; }
};
struct dynamic_max_case {
    using type = batten::dynamic_length;
    std::size_t n;
    explicit dynamic_max_case(random& any) : n(some_length(any)) {}
    type make() const { return {n}; }
    std::size_t limit() const { return n; }
    std::size_t width(std::size_t longest) const { return longest; }
    std::size_t max_width() const { return batten::no_limit; }
};
struct bucketed_case {
    using type = batten::bucketed_length;
    std::vector<std::size_t> edges;
    explicit bucketed_case(random& any)
    {
        std::size_t edge = 0;
        for (std::size_t i = 0, count = 1 + below(any, 5); i < count; ++i)
            edges.push_back(edge += some_length(any));
    }
    type make() const { return {edges}; }
    std::size_t limit() const { return edges.back(); }
    std::size_t width(std::size_t longest) const
    {
        for (const std::size_t edge : edges)
            if (edge >= longest)
                return edge;
        return 0;
    }
    std::size_t max_width() const { return batten::no_limit; }
};
template <std::size_t N, class Inner>
struct round_up_case {
    using type = batten::round_up_to<N, typename Inner::type>;
    Inner inner;
    std::optional<std::size_t> most;
    explicit round_up_case(random& any) : inner(any)
    {
        if (below(any, 4) == 0)
            most = 1 + below(any, 200);
    }
    type make() const
    {
        type made{inner.make(), {}};
        if (most)
            made.max_width = *most;
        return made;
    }
    std::size_t limit() const { return inner.limit(); }
    std::size_t width(std::size_t longest) const
    {
        std::size_t width = inner.width(longest);
        while (width % N != 0)
            ++width;
        return width;
    }
    std::size_t max_width() const { return std::min(most.value_or(batten::no_limit), inner.max_width()); }
};

// Takes the greatest width of rounding away, at every depth.
template <class Length>
void lift_max_width(Length& length)
{
    if constexpr (requires { length.most; }) {
        length.most.reset();
        lift_max_width(length.inner);
    }
}

// ---- a whole batch ----------------------------------------------------------------------------------------------------

struct expected_batch {
    std::vector<expected_row> rows;
    std::size_t width = 0;
    batten::error_code code {};  // or none of the others are set
    std::size_t error_row = no_row;

    batten::summary totals() const
    {
        batten::summary sum;
        for (const expected_row& row : rows) {
            sum.real_tokens += row.length;
            sum.truncated_tokens += row.dropped;
            sum.targets += row.targets;
            sum.rows_without_targets += row.targets == 0 ? 1 : 0;
            sum.max_seqlen = std::max(sum.max_seqlen, row.length);
        }
        sum.padded_cells = rows.size() * width - sum.real_tokens;
        return sum;
    }
};

template <class Side, class Overflow, class Length>
expected_batch model_batch(const std::vector<sample>& samples, const Length& length, batten::target_alignment alignment,
                           long long pad_id, long long ignore_index)
{
    expected_batch batch;
    const std::size_t limit = expected_tokens(alignment, length.limit());
    std::vector<kept_slice> kept;
    std::size_t longest = 0;
    for (const sample& s : samples) {
        std::optional<kept_slice> slice = kept_slice{0, s.ids.size()};
        if (s.ids.size() > limit)
            slice = Overflow::keep(s.ids.size(), limit);
        if (!slice)
            return {{}, 0, batten::errors::row_over_limit, kept.size()};
        kept.push_back(*slice);
        longest = std::max(longest, expected_columns(alignment, slice->end - slice->begin));
    }
    batch.width = length.width(longest);
    if (batch.width > length.max_width())
        return {{}, 0, batten::errors::width_past_maximum, no_row};
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::size_t first = Side::first(expected_columns(alignment, kept[i].end - kept[i].begin), batch.width);
        batch.rows.push_back(model(samples[i], kept[i], first, batch.width, alignment, pad_id, ignore_index));
    }
    return batch;
}

// The fields that the model knows, each with an element type of its own.
using modelled_fields =
    batten::fields<batten::token_ids<std::int32_t>, batten::attention_mask<std::uint8_t>, batten::position_ids<>,
                   batten::loss_mask<float>, batten::labels<>, batten::segment_ids<std::int16_t>>;

// Whether a run of numbers is the expected one, without a copy of it.
template <class Run>
bool same_cells(const Run& run, const line& expected)
{
    return std::equal(run.begin(), run.end(), expected.begin(), expected.end(),
                      [](auto cell, long long wanted) { return static_cast<long long>(cell) == wanted; });
}

// Whether a batch, or anything with its accessors, is the expected one. Quick, since it is asked some thousand times.
template <class Batch>
bool is_batch(const Batch& batch, const expected_batch& expected)
{
    bool same = batch.rows() == expected.rows.size() && batch.width() == expected.width && batch.summary() == expected.totals();
    for (std::size_t r = 0; same && r < batch.rows(); ++r) {
        const expected_row& row = expected.rows[r];
        same = same_cells(batch.token_ids(r), row.ids) && same_cells(batch.attention_mask(r), row.mask) &&
               same_cells(batch.position_ids(r), row.positions) && same_cells(batch.loss_mask(r), row.loss) &&
               same_cells(batch.labels(r), row.labels) && same_cells(batch.segment_ids(r), row.segments) &&
               static_cast<std::size_t>(batch.lengths()[r]) == row.length &&
               static_cast<std::size_t>(batch.truncated_tokens()[r]) == row.dropped &&
               static_cast<std::size_t>(batch.target_counts()[r]) == row.targets;
    }
    return same;
}

}  // namespace tests

#endif
