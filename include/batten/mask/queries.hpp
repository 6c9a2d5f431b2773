// SPDX-License-Identifier: MIT
// The queries of a mask, and the keys that each has to choose from: those of the rows of a batch, or of requests over a cache.
#ifndef BATTEN_MASK_QUERIES_HPP_INCLUDED
#define BATTEN_MASK_QUERIES_HPP_INCLUDED

#include <batten/detail/spans.hpp>
#include <batten/error.hpp>
#include <batten/integer.hpp>
#include <batten/mask/errors.hpp>
#include <batten/rows.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace batten::mask {

// Rows of a mask, queries of each row, keys that each query has to choose from.
struct dimensions {
    std::size_t rows = 0;
    std::size_t queries = 0;
    std::size_t keys = 0;
    friend constexpr bool operator==(const dimensions&, const dimensions&) noexcept = default;
};

// A segment of queries, and its keys [first_key, first_key + keys). The queries are the last of the keys: query i of the
// segment is at key keys - queries.length + i.
struct query_segment {
    segment queries{};
    std::size_t first_key = 0;
    std::size_t keys = 0;

    friend constexpr bool operator==(const query_segment&, const query_segment&) noexcept = default;
};

// Models: requests, query_list; and any type with
//
//     dimensions shape() const
//     bool walk(visit, error& reason) const    visit(query_segment) for each, by growing row and first query, until visit
//                                              returns false; or the reason why not and false
//
// Requires  the same answer each time. Readers check each segment before the first write.
template <class Queries>
concept query_rows = requires(const Queries& queries, batten::detail::any_visit visit, error& reason) {
    { queries.shape() } -> std::same_as<dimensions>;
    { queries.walk(visit, reason) } -> std::same_as<bool>;
};

// What masks are made of: a batch or its rows, whose tokens attend to one another; or queries with keys of their own.
template <class T>
concept attention_rows = has_rows<T> || query_rows<T>;

// A query_rows: requests as kernels for serving take them, queries one after the other in one row, each over the keys of its
// own request, counted from 0. A request's queries are the last of its keys: chunked prefill, speculation.
//
// Requires  the lengths outlive it.
// Errors    a negative length; more queries than keys; lists of different sizes.
template <integer_number Q, integer_number K = Q>
class requests {
public:
    constexpr requests(std::span<const Q> query_lengths, std::span<const K> key_lengths) noexcept
        : queries_(query_lengths), keys_(key_lengths)
    {
    }

    // One row of all queries; keys: the most that a request has. Negative lengths, which walk refuses, count nothing.
    [[nodiscard]] constexpr dimensions shape() const noexcept
    {
        dimensions made{1, 0, 0};
        for (const Q length : queries_)
            if (std::cmp_greater(length, 0) &&
                !batten::detail::add(made.queries, static_cast<std::size_t>(length), made.queries))
                return {1, batten::detail::size_limit, 0};
        for (const K length : keys_)
            if (std::cmp_greater(length, made.keys))
                made.keys = static_cast<std::size_t>(length);
        return made;
    }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        using batten::detail::check_size;
using batten::detail::element_of;
using batten::detail::fail;
using batten::detail::memory;
using batten::detail::output_memory;
using batten::detail::span_of;
        if (queries_.size() != keys_.size())
            return fail(reason, error::of(errors::count_mismatch, keys_.size(), queries_.size(), "key_lengths"));
        std::size_t first = 0;
        for (std::size_t r = 0; r < queries_.size(); ++r) {
            std::size_t queries = 0, keys = 0;
            if (!batten::detail::length_at(queries_, r, queries, reason) || !batten::detail::length_at(keys_, r, keys, reason))
                return false;
            if (queries > keys)
                return fail(reason, error::of_row(errors::queries_past_keys, r, queries, keys));
            const query_segment at{.queries = {.sequence = r,
                                               .source_begin = keys - queries,
                                               .kept = queries,
                                               .length = queries,
                                               .position_begin = keys - queries,
                                               .first_column = first,
                                               .index_in_row = r},
                                   .keys = keys};
            if (!visit(at))
                return false;
            first += queries;
        }
        return true;
    }

private:
    std::span<const Q> queries_;
    std::span<const K> keys_;
};
template <batten::detail::borrowed_integers Q, batten::detail::borrowed_integers K>
requests(Q&&, K&&) -> requests<batten::detail::element_of<Q>, batten::detail::element_of<K>>;

// A query_rows: the query segments of a list, as one query a row over a KV cache.
//
// Requires  the list outlives it.
class query_list {
public:
    constexpr query_list(std::span<const query_segment> segments, const dimensions& shape) noexcept
        : segments_(segments), shape_(shape)
    {
    }

    [[nodiscard]] constexpr dimensions shape() const noexcept { return shape_; }

    template <class Visit>
    constexpr bool walk(Visit&& visit, error& /*reason*/) const
    {
        return std::all_of(segments_.begin(), segments_.end(), visit);
    }

private:
    std::span<const query_segment> segments_;
    dimensions shape_;
};

namespace detail {

using batten::detail::check_size;
using batten::detail::element_of;
using batten::detail::fail;
using batten::detail::memory;
using batten::detail::output_memory;
using batten::detail::span_of;

// The tokens of rows as queries, over the columns of their own segment.
template <batch_rows Rows>
class own_columns {
public:
    constexpr explicit own_columns(Rows rows) noexcept : rows_(std::move(rows)) {}

    [[nodiscard]] constexpr dimensions shape() const
    {
        const rows_shape shape = rows_.shape();
        return {shape.rows, shape.width, shape.width};
    }
    template <class Visit>
    constexpr bool walk(Visit&& visit, error& reason) const
    {
        return rows_.walk([&](const segment& at) { return visit(query_segment{at, at.first_column, at.length}); }, reason);
    }

private:
    Rows rows_;
};

// The queries of what attention_rows.
template <query_rows Queries>
constexpr const Queries& queries_of(const Queries& queries) noexcept
{
    return queries;
}
template <has_rows Where>
constexpr auto queries_of(const Where& where)
{
    return own_columns(batten::detail::rows_of(where));
}

// What queries come to.
struct checked_queries {
    dimensions shape{};
    std::size_t sequences = 0;  // segments but those of pads
    std::size_t queries = 0;    // of all segments; every other one is a pad's
};

// Reads queries through, and says why not where they do not fit. Cost: O(segments).
template <query_rows Queries>
constexpr bool check_queries(const Queries& queries, checked_queries& found, error& reason)
{
    found = {.shape = queries.shape()};
    const dimensions& shape = found.shape;
    batten::detail::segment_checker checker({shape.rows, shape.queries});
    if (!checker.check_shape(reason))
        return false;
    if (std::cmp_greater(shape.keys, std::numeric_limits<std::int32_t>::max()))
        return fail(reason, error::of(errors::value_not_representable, shape.keys, {}, "intervals"));
    return queries.walk(
        [&](const query_segment& at) {
            const segment& where = at.queries;
            if (!checker.add(where, reason))
                return false;
            if (at.first_key > shape.keys || at.keys > shape.keys - at.first_key)
                return fail(reason, error::of_row(errors::keys_past_row, where.row, at.first_key + at.keys, shape.keys));
            if (where.length > at.keys)
                return fail(reason, error::of_row(errors::queries_past_keys, where.row, where.length, at.keys));
            found.sequences += where.sequence != no_sequence ? 1U : 0U;
            found.queries += where.length;
            return true;
        },
        reason);
}

}  // namespace detail

}  // namespace batten::mask

#endif
