// SPDX-License-Identifier: MIT
// Attention masks in their base form: for each query one interval of keys. O(queries) memory, whatever the number of keys.
//
//     std::vector<mask::interval> seen(mask::interval_count(batch));
//     auto shape = mask::intervals(batch, mask::causal{} & mask::sliding_window{.width = 4096}, seen);
//
// Padding and the borders between segments are in every mask: a query sees keys of its own segment alone, a pad sees none.
#ifndef BATTEN_MASK_INTERVALS_HPP_INCLUDED
#define BATTEN_MASK_INTERVALS_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/mask/errors.hpp>
#include <batten/mask/queries.hpp>
#include <batten/rows.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten::mask {

// Keys [begin, end); {0, 0} where there are none. Laid out as two std::int32_t: a list of them is an int32 array [queries, 2].
struct interval {
    std::int32_t begin = 0;
    std::int32_t end = 0;

    [[nodiscard]] constexpr bool empty() const noexcept { return begin >= end; }
    [[nodiscard]] constexpr bool contains(std::int32_t key) const noexcept { return begin <= key && key < end; }

    // The keys of both.
    [[nodiscard]] friend constexpr interval operator&(const interval& a, const interval& b) noexcept
    {
        const interval both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
        return both.empty() ? interval{} : both;
    }
    friend constexpr bool operator==(const interval&, const interval&) noexcept = default;
};

// What a kind of mask is asked: one query of one segment. It is at a key of its segment, `position`, counted from 0.
struct query {
    std::size_t sequence = 0;   // number of the segment, from 0, those of pads not counted; for pads that are a segment of
                                // their own: the number of segments
    std::int32_t position = 0;  // < keys
    std::int32_t keys = 0;      // of the segment
};

// ---- kinds ------------------------------------------------------------------------------------------------------------------

// Models: causal, bidirectional, sliding_window, symmetric_window, prefix_lm, what & makes of them, and any callable, a lambda
// too, from a query to the interval of keys that it sees, counted within its segment. What reaches past the segment is cut
// off, so that {position - 2, position + 3} will do. A kind may have bool check(std::size_t sequences, error& reason) const,
// for options that do not make sense.
//
// A mask that needs several intervals for a query (sinks with a window, trees) is no kind, and is not approximated.
template <class Kind>
concept mask_kind = std::copy_constructible<Kind> && requires(const Kind& kind, const query& q) {
    { kind(q) } -> std::same_as<interval>;
};

template <class Kind>
concept checked_kind = mask_kind<Kind> && requires(const Kind& kind, std::size_t n, error& reason) {
    { kind.check(n, reason) } -> std::same_as<bool>;
};

// Keys up to and with the query's own.
struct causal {
    constexpr interval operator()(const query& q) const noexcept { return {0, q.position + 1}; }
};

// All keys of the sequence. Over rows of several sequences: the block-diagonal mask.
struct bidirectional {
    constexpr interval operator()(const query& q) const noexcept { return {0, q.keys}; }
};

namespace detail {

constexpr bool check_window(std::int32_t width, error& reason) noexcept
{
    return width > 0 || fail(reason, error::of(errors::argument_not_positive, width, {}, "the window's width"));
}

}  // namespace detail

// The last `width` keys up to and with the query's own: position - key < width, as `sliding_window` of Transformers' models.
struct sliding_window {
    std::int32_t width = 0;

    constexpr interval operator()(const query& q) const noexcept
    {
        return {q.position - (width - 1), q.position + 1};
    }
    constexpr bool check(std::size_t /*sequences*/, error& reason) const noexcept
    {
        return detail::check_window(width, reason);
    }
};

// Keys less than `width` away, on either side: |position - key| < width. Its causal half is sliding_window.
struct symmetric_window {
    std::int32_t width = 0;

    constexpr interval operator()(const query& q) const noexcept
    {
        return {q.position - (width - 1), q.position + std::min(width, q.keys - q.position)};
    }
    constexpr bool check(std::size_t /*sequences*/, error& reason) const noexcept
    {
        return detail::check_window(width, reason);
    }
};

// Causal, but every query sees the whole prefix of its sequence: prefix_lm(prompt_lengths), one for each segment of the batch.
// A prefix longer than its segment, as truncation leaves it, ends where the segment does. Pads that are a segment of their own
// have none.
template <integer_number T>
struct prefix_lm {
    std::span<const T> lengths;

    constexpr explicit prefix_lm(std::span<const T> prefix_lengths) noexcept : lengths(prefix_lengths) {}

    constexpr interval operator()(const query& q) const noexcept
    {
        if (q.sequence >= lengths.size())
            return {0, q.position + 1};
        const T prefix = lengths[q.sequence];
        const std::int32_t whole = std::cmp_less(prefix, q.keys) ? static_cast<std::int32_t>(prefix) : q.keys;
        return {0, std::max(q.position + 1, whole)};
    }
    constexpr bool check(std::size_t sequences, error& reason) const noexcept
    {
        if (lengths.size() != sequences)
            return detail::fail(
                reason, error::of(errors::count_mismatch, lengths.size(), sequences, "the prefix lengths"));
        for (std::size_t s = 0; s < sequences; ++s)
            if (std::cmp_less(lengths[s], 0))
                return detail::fail(reason, error::of_row(errors::prompt_length_negative, s, lengths[s]));
        return true;
    }
};
template <batten::detail::borrowed_integers R>
prefix_lm(R&&) -> prefix_lm<batten::detail::element_of<R>>;

namespace detail {

template <class Kind>
constexpr bool check_kind(const Kind& kind, std::size_t sequences, error& reason)
{
    if constexpr (checked_kind<Kind>)
        return kind.check(sequences, reason);
    else
        return true;
}

// Says what is wrong with what is no kind, in words.
template <class Kind>
consteval void require_kind()
{
    using asked = const Kind&;
    static_assert(!(std::is_invocable_v<asked, std::int32_t, std::int32_t> || std::is_invocable_v<asked, query, std::int32_t>),
                  "batten::mask: a predicate of (query, key) may need several intervals for a query: write a callable from "
                  "mask::query to the one mask::interval of keys that it sees");
    static_assert(std::is_invocable_v<asked, const query&>,
                  "batten::mask: this is no kind of mask: write a callable from mask::query to mask::interval");
    if constexpr (std::is_invocable_v<asked, const query&>)
        static_assert(std::same_as<std::invoke_result_t<asked, const query&>, interval>,
                      "batten::mask: a kind of mask answers one mask::interval for each query; what needs several, as sinks "
                      "with a window or trees, cannot be told by intervals");
}

}  // namespace detail

// The keys that every one of the kinds lets a query see: causal{} & sliding_window{.width = 4096}. At least one operand of & is
// a kind of this header, or already an intersection.
template <mask_kind... Kind>
struct intersection {
    std::tuple<Kind...> kinds;

    constexpr explicit intersection(Kind... all) : kinds(std::move(all)...) {}

    constexpr interval operator()(const query& q) const
    {
        return std::apply([&](const auto&... kind) { return (interval{0, q.keys} & ... & kind(q)); }, kinds);
    }
    constexpr bool check(std::size_t sequences, error& reason) const
    {
        return std::apply(
            [&](const auto&... kind) { return (true && ... && detail::check_kind(kind, sequences, reason)); }, kinds);
    }
};

template <mask_kind A, mask_kind B>
[[nodiscard]] constexpr intersection<A, B> operator&(A a, B b)
{
    return intersection<A, B>(std::move(a), std::move(b));
}

// A union of masks is no mask of intervals.
template <mask_kind A, mask_kind B>
constexpr void operator|(const A& /*a*/, const B& /*b*/)
{
    static_assert(!mask_kind<A>,
                  "batten::mask: the union of two masks may need two intervals for a query (sinks with a window): masks are "
                  "combined by & alone");
}

// ---- intervals ---------------------------------------------------------------------------------------------------

// What a query sees that no key is left to, as that of a pad.
enum class fully_masked : unsigned char {
    leave,           // nothing: softmax over additive masks is uniform, over boolean ones or -inf it is NaN
    attend_to_self,  // the key at its own place. For a pad: the key of its column, counted from the row's end
};

namespace detail {

// The key of a pad's own column, or none.
constexpr interval own_key(const dimensions& shape, std::size_t column, fully_masked policy) noexcept
{
    if (policy == fully_masked::leave)
        return {};
    const auto key = static_cast<std::int32_t>(column + (shape.keys - shape.queries));
    return {key, key + 1};
}

template <query_rows Queries, class Kind>
constexpr bool check_intervals(const Queries& queries, const Kind& kind, fully_masked policy, checked_queries& found,
                               error& reason)
{
    if (!check_queries(queries, found, reason) || !check_kind(kind, found.sequences, reason))
        return false;
    const dimensions& shape = found.shape;
    if (policy == fully_masked::attend_to_self && shape.keys < shape.queries &&
        found.queries != shape.rows * shape.queries)
        return fail(reason, error::of(errors::queries_past_keys, shape.queries, shape.keys));
    return true;
}

// Memory of intervals, to read and to write.
template <class R>
concept interval_memory = memory<R> && std::same_as<element_of<R>, interval>;
template <class R>
concept interval_output = interval_memory<R> && output_memory<R>;

}  // namespace detail

// Intervals that a batch, rows or requests take: rows * queries. Errors: segments that do not fit.
template <attention_rows Where>
[[nodiscard]] constexpr result<std::size_t> try_interval_count(const Where& where)
{
    detail::checked_queries found;
    error reason;
    if (!detail::check_queries(detail::queries_of(where), found, reason))
        return reason;
    return found.shape.rows * found.shape.queries;
}
template <attention_rows Where>
[[nodiscard]] constexpr std::size_t interval_count(const Where& where)
{
    return try_interval_count(where).value();
}

// Writes for each query the keys that it sees, and returns the shape that dense forms are made by. `where`: a batch, its
// segments(), other rows (rows.hpp), or requests. Keys are counted in the row; those of requests within the request.
//
// Shapes   out [rows, queries], row-major: any contiguous memory of intervals.
// Errors   segments, lengths or offsets that do not fit; a window of 0; another number of prefix lengths; pads that are to
//          attend to themselves where there are fewer keys than queries; another size of `out`; keys past an int32.
// Cost     O(rows * queries), no memory of its own.
template <attention_rows Where, class Kind, detail::interval_output Out>
constexpr result<dimensions> try_intervals(const Where& where, const Kind& kind, Out&& out,
                                           fully_masked policy = fully_masked::leave)
{
    detail::require_kind<Kind>();
    const auto& queries = detail::queries_of(where);
    const std::span<interval> to = detail::span_of(out);
    detail::checked_queries found;
    error reason;
    if (!detail::check_intervals(queries, kind, policy, found, reason))
        return reason;
    const dimensions& shape = found.shape;
    const std::size_t count = shape.rows * shape.queries;
    if (!detail::check_size(count, to.size(), "intervals", reason))
        return reason;
    std::size_t next = 0, sequence = 0;
    const auto write_pads_up_to = [&](std::size_t end) {
        for (; next < end; ++next)
            to[next] = detail::own_key(shape, next % shape.queries, policy);
    };
    queries.walk(
        [&](const query_segment& at) {
            write_pads_up_to(at.queries.row * shape.queries + at.queries.first_column);
            const auto first_key = static_cast<std::int32_t>(at.first_key);
            const auto keys = static_cast<std::int32_t>(at.keys);
            const std::size_t number = at.queries.sequence == no_sequence ? found.sequences : sequence++;
            for (std::size_t i = 0; i < at.queries.length; ++i, ++next) {
                const query q{number, static_cast<std::int32_t>(at.keys - at.queries.length + i), keys};
                interval seen = kind(q) & interval{0, keys};
                if (seen.empty() && policy == fully_masked::attend_to_self)
                    seen = {q.position, q.position + 1};
                to[next] = seen.empty() ? interval{} : interval{seen.begin + first_key, seen.end + first_key};
            }
            return true;
        },
        reason);
    write_pads_up_to(count);
    return shape;
}
template <attention_rows Where, class Kind, detail::interval_output Out>
constexpr dimensions intervals(const Where& where, const Kind& kind, Out&& out, fully_masked policy = fully_masked::leave)
{
    return try_intervals(where, kind, out, policy).value();
}

}  // namespace batten::mask

#endif
