// SPDX-License-Identifier: MIT
// The arrays of a step, written to the caller's memory. Any field is one, the user's own included:
//
//     serve::write(now, {}, {}, set<token_ids>(ids), set<serve::slot_mapping>(slots), set<cu_seqlens>(starts));
//     serve::write(now, {}, {}, serve::field_array(serve::slot_mapping<>{.pad_slot = 0}, slots));
//
// All arrays are checked before one is written. field.hpp has the optional members with which a field is fast here.
#ifndef BATTEN_SERVE_ARRAYS_HPP_INCLUDED
#define BATTEN_SERVE_ARRAYS_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/detail/loops.hpp>
#include <batten/detail/simd.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>
#include <batten/integer.hpp>
#include <batten/outputs.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/cache.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/fields.hpp>
#include <batten/serve/step.hpp>
#include <batten/targets.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batten::serve {

// ---- sizes and pads --------------------------------------------------------------------------------------------------------

// The tokens and requests for which the arrays of a step are written, so that a captured graph fits: pads come after the real
// ones. 0: as many as the step has.
struct padded_size {
    std::size_t tokens = 0;
    std::size_t requests = 0;

    friend constexpr bool operator==(const padded_size&, const padded_size&) noexcept = default;
};

// The pads of a step. What else an array holds on pads is an option of its field: slot_mapping<>{.pad_slot = 0},
// position_ids<T, pad_position<1>>.
struct step_padding {
    integer pad_id{};           // what token_ids holds on pads
    std::size_t query_len = 0;  // tokens of a request that is a pad; 0: cu_seqlens repeats its end
    std::size_t seq_len = 0;    // tokens that it attends to, its own included

    friend constexpr bool operator==(const step_padding&, const step_padding&) noexcept = default;
};

// What a call wrote, pads included.
struct step_shape {
    std::size_t tokens = 0;
    std::size_t requests = 0;
    std::size_t max_query_len = 0;
    std::size_t max_seq_len = 0;

    friend constexpr bool operator==(const step_shape&, const step_shape&) noexcept = default;
};

// What an array is told besides the step: where pads begin and end, and what they are.
struct pad_range {
    padded_size real{};
    padded_size end{};
    step_padding padding{};

    [[nodiscard]] constexpr std::size_t tokens() const noexcept { return end.tokens - real.tokens; }
    [[nodiscard]] constexpr std::size_t requests() const noexcept { return end.requests - real.requests; }
    [[nodiscard]] constexpr fill_values values() const noexcept { return {padding.pad_id, -100}; }

    // The request that is a pad in `row`, as a segment.
    [[nodiscard]] constexpr segment pad(std::size_t row) const noexcept
    {
        return {.sequence = row,
                .source_begin = padding.seq_len - padding.query_len,
                .kept = padding.query_len,
                .length = padding.query_len,
                .position_begin = padding.seq_len - padding.query_len,
                .first_column = real.tokens + (row - real.requests) * padding.query_len,
                .index_in_row = row};
    }
};

// ---- what an array is ------------------------------------------------------------------------------------------------------

namespace detail {

template <class Array, class Step>
concept step_writer = requires(const Array& array, const Step& now, const pad_range& pads, error& reason) {
    { array.check(now, pads, reason) } -> std::same_as<bool>;
    array.write(now, pads);
};

template <class T>
inline constexpr bool is_named_span = false;
template <class Key, class T>
inline constexpr bool is_named_span<named_span<Key, T>> = true;

// The memory that an array is written to.
template <class Range>
constexpr auto memory_of(Range&& out) noexcept
{
    static_assert(number_sequence<Range>, "batten::serve: an array is written to a contiguous run of numbers (vector<bool> is not "
                                          "contiguous: use vector<std::uint8_t>)");
    static_assert(std::is_lvalue_reference_v<Range> || std::ranges::borrowed_range<Range>,
                  "batten::serve: the memory is a temporary and would be gone before it is written: give it a name first");
    using element = std::remove_reference_t<std::ranges::range_reference_t<Range>>;
    static_assert(!std::is_const_v<element>, "batten::serve: the memory is const, an array is written to it");
    return std::span<element>(std::ranges::data(out), static_cast<std::size_t>(std::ranges::size(out)));
}
template <class Range>
using element_of = typename decltype(memory_of(std::declval<Range>()))::element_type;

constexpr bool check_room(std::size_t elements, std::size_t room, std::string_view name, error& reason)
{
    return elements <= room || fail(reason, error::of(errors::span_too_small, elements, room, name));
}

template <class T>
constexpr bool check_most(std::size_t n, std::string_view name, error& reason)
{
    return batten::detail::check_count<T>(n, error::no_row, name, reason);
}

// The shape that is written.
constexpr step_shape shape_of(const auto& now, const pad_range& pads)
{
    const bool has_pads = pads.requests() != 0;
    return {pads.end.tokens, pads.end.requests, std::max(now.max_query_len(), has_pads ? pads.padding.query_len : 0),
            std::max(now.max_seq_len(), has_pads ? pads.padding.seq_len : 0)};
}

}  // namespace detail

// Models, for a Step: set<a field>(memory), field_array, block_table, page_indices, attention_bounds. For an array that is neither
// one value for each token nor one for each request, give a type
//
//     bool check(const auto& step, const pad_range& pads, error& reason) const    before any array is written
//     void write(const auto& step, const pad_range& pads) const                   with step.walk; then pads
template <class Array, class Step>
concept step_array = detail::is_named_span<Array> || detail::step_writer<Array, Step>;

// ---- fields ----------------------------------------------------------------------------------------------------------------

// A field as an array of a step: a cell field has an element for each token, a segment field one for each request (and `extra`).
//
// Requires  the memory outlives it; it may be larger than needed.
template <any_field Field>
class field_array {
    using value = typename Field::value_type;

public:
    template <class Range>
    constexpr field_array(Field field, Range&& out) : field_(std::move(field)), out_(detail::memory_of(std::forward<Range>(out)))
    {
        static_assert(std::same_as<detail::element_of<Range>, value>,
                      "batten::serve: the memory's element type is not the field's: name it in the field, as "
                      "token_ids<std::int32_t>");
    }

    template <class List>
    constexpr bool check(const step<List>& now, const pad_range& pads, error& reason) const
    {
        if (!detail::check_room(elements(pads.end), out_.size(), name, reason))
            return false;
        if constexpr (requires { field_.check_options(pads.values(), reason); })
            if (!field_.check_options(pads.values(), reason))
                return false;
        if constexpr (requires { field_.check_step(now, reason); })
            if (!field_.check_step(now, reason))
                return false;
        return check_requests(now, pads, reason) && check_pads(now, pads, reason);
    }

    template <class List>
    constexpr void write(const step<List>& now, const pad_range& pads) const
    {
        if constexpr (segment_field<Field>)
            write_requests(now, pads);
        else
            write_tokens(now, pads);
    }

private:
    static constexpr std::string_view name = batten::detail::name_of<Field>();

    static constexpr std::size_t elements(const padded_size& size) noexcept
    {
        if constexpr (segment_field<Field>)
            return size.requests + batten::detail::extra_of<Field>();
        else
            return size.tokens;
    }

    template <class List>
    static constexpr segment_view<step_bundle<List>> view_of(const step_bundle<List>& in, const segment& s, const pad_range& pads)
    {
        segment_view<step_bundle<List>> view(in, s);
        view.width = pads.end.tokens;
        view.values = pads.values();
        view.align(model_shifts, true);
        return view;
    }
    // Of a step of one token each.
    template <class List>
    static constexpr segment_view<step_bundle<List>> view_of_one(const step_bundle<List>& in, std::size_t i, const pad_range& pads)
    {
        segment s = in.step().segment_of(i, i, i);
        s.kept = s.length = 1;
        return view_of(in, s, pads);
    }

    template <class List>
    constexpr bool check_requests(const step<List>& now, const pad_range& pads, error& reason) const
    {
        if constexpr (requires { field_.fits_step(now); })
            if (field_.fits_step(now))
                return true;
        bool good = true;
        if constexpr (requires(const segment_view<step_bundle<List>>& view) { field_.check_segment(view, reason); }) {
            const step_bundle<List> in = now.bundle();
            now.walk([&](const segment& s) {
                if (good && !field_.check_segment(view_of(in, s, pads), reason)) {
                    good = false;
                    if (reason.row != error::no_row)
                        reason.row = s.sequence;  // the request, since a step has one row
                }
            });
        }
        return good;
    }
    template <class List>
    constexpr bool check_pads([[maybe_unused]] const step<List>& now, [[maybe_unused]] const pad_range& pads,
                              [[maybe_unused]] error& reason) const
    {
        if constexpr (requires { field_.check_pad(now, segment{}, reason); })
            return pads.requests() == 0 || field_.check_pad(now, pads.pad(pads.end.requests - 1), reason);
        else
            return true;
    }

    template <class List>
    constexpr void write_tokens(const step<List>& now, const pad_range& pads) const
    {
        const step_bundle<List> in = now.bundle();
        std::size_t position = 0;
        if (now.has_one_token_each()) {
            const std::size_t count = now.requests();
            if constexpr (requires { field_.write_one_each(now, out_); })
                field_.write_one_each(now, out_.first(count));
            else
                batten::detail::visit_each(
                    count, [&](std::size_t i) { field_.write(view_of_one(in, i, pads), out_.subspan(i, 1)); });
            position = count == 0 ? 0 : now.list().computed(count - 1) + 1;
        } else {
            now.walk([&](const segment& s) {
                field_.write(view_of(in, s, pads), out_.subspan(s.first_column, s.length));
                position = s.position_begin + s.length;
            });
        }
        if (pads.tokens() != 0)
            field_.pad(pad_run{.first_column = pads.real.tokens, .length = pads.tokens(), .position = position,
                               .values = pads.values()},
                       out_.subspan(pads.real.tokens, pads.tokens()));
    }

    template <class List>
    constexpr void write_requests(const step<List>& now, const pad_range& pads) const
    {
        const step_bundle<List> in = now.bundle();
        const std::span<value> out = out_.first(elements(pads.end));
        field_.begin(out);
        if (now.has_one_token_each()) {
            if constexpr (requires { field_.write_one_each(now, out); })
                field_.write_one_each(now, out);
            else
                batten::detail::visit_each(now.requests(),
                                           [&](std::size_t i) { field_.write(view_of_one(in, i, pads), i, out); });
        } else {
            now.walk([&](const segment& s) { field_.write(view_of(in, s, pads), s.index_in_row, out); });
        }
        if constexpr (requires { field_.write_pad(now, segment{}, std::size_t{}, out); })
            for (std::size_t row = pads.real.requests; row < pads.end.requests; ++row)
                field_.write_pad(now, pads.pad(row), row, out);
        else
            cells::fill(out.last(pads.requests()), value{});
    }

    [[no_unique_address]] Field field_;
    std::span<value> out_;
};

template <class Field, class Range>
field_array(Field, Range&&) -> field_array<Field>;

namespace detail {

// The field that set<...>(memory) names, with the memory's element type.
template <class Key, class T>
struct field_named;
template <class Field, class T>
struct field_named<batten::detail::by_type<Field>, T> {
    using type = Field;
};
template <template <class...> class Template, class T>
struct field_named<batten::detail::by_template<Template>, T> {
    using type = Template<T>;
};
template <fixed_string Name, class T>
struct field_named<batten::detail::by_name<Name>, T> {
    using type = column<Name, T>;
};

template <class Array>
constexpr const Array& as_array(const Array& array) noexcept
{
    return array;
}
template <class Key, class T>
constexpr auto as_array(const named_span<Key, T>& named)
{
    return field_array(typename field_named<Key, T>::type{}, named.cells);
}

// ---- arrays that are no fields ---------------------------------------------------------------------------------------------

template <class T>
class page_array {
public:
    constexpr page_array(std::span<T> out, std::int64_t pad_block) noexcept : out_(out), pad_block_(pad_block) {}

    template <class List>
    constexpr bool check(const step<List>& now, const pad_range& pads, error& reason) const
    {
        require_blocks<step<List>>();
        std::size_t total = 0;
        now.walk([&](const segment& s) { total += pages_of(now, s); });
        const std::size_t pads_take = now.geometry().blocks_of(pads.padding.seq_len);
        std::size_t more = 0;
        if (!batten::detail::multiply(pads.requests(), pads_take, more) || !batten::detail::add(total, more, total))
            return fail(reason, error::of(errors::size_overflow, pads.requests(), pads.padding.seq_len));
        const cache_layout& cache = now.options().cache;
        // A pad without pages points to no block.
        bool good = check_room(total, out_.size(), name, reason) && check_most<T>(cache.blocks - 1, name, reason) &&
                    (pads.padding.seq_len == 0 || check_pad_block(pad_block_, cache, reason));
        now.walk([&](const segment& s) {
            good = good && check_in_cache(now.list().blocks(s.sequence).first(pages_of(now, s)), cache, s.sequence, reason);
        });
        return good;
    }
    constexpr void write(const auto& now, const pad_range& pads) const
    {
        std::size_t done = 0;
        now.walk([&](const segment& s) {
            const auto blocks = now.list().blocks(s.sequence).first(pages_of(now, s));
            using block = std::add_const_t<typename decltype(blocks)::element_type>;
            cells::convert(std::span<block>(blocks), out_.subspan(done, blocks.size()));
            done += blocks.size();
        });
        const std::size_t more = pads.requests() * now.geometry().blocks_of(pads.padding.seq_len);
        if (more != 0)
            cells::fill(out_.subspan(done, more), static_cast<T>(pad_block_));
    }

private:
    static constexpr std::string_view name = "page_indices";

    static constexpr std::size_t pages_of(const auto& now, const segment& s)
    {
        return now.geometry().blocks_of(end_position(s));
    }

    std::span<T> out_;
    std::int64_t pad_block_;
};

template <class T>
class bounds_array {
public:
    constexpr explicit bounds_array(std::span<T> out) noexcept : out_(out) {}

    constexpr bool check(const auto& now, const pad_range& pads, error& reason) const
    {
        const step_shape shape = shape_of(now, pads);
        return check_room(3, out_.size(), name, reason) &&
               check_most<T>(std::max(shape.max_query_len, shape.max_seq_len), name, reason);
    }
    constexpr void write(const auto& now, const pad_range& pads) const
    {
        const step_shape shape = shape_of(now, pads);
        out_[0] = static_cast<T>(shape.max_query_len);
        out_[1] = static_cast<T>(shape.max_seq_len);
        out_[2] = static_cast<T>(now.max_seq_len());
    }

private:
    static constexpr std::string_view name = "attention_bounds";

    std::span<T> out_;
};

}  // namespace detail

// The blocks of all requests, one request after the other, [pages]. `pad_block`: the block of requests that are pads and have
// pages. Copied whole, O(pages) a step, as the format requires.
template <class Range>
[[nodiscard]] constexpr auto page_indices(Range&& out, std::int64_t pad_block = -1) noexcept
{
    return detail::page_array<detail::element_of<Range>>(detail::memory_of(std::forward<Range>(out)), pad_block);
}

// [3]: max_query_len and max_seq_len, pads included, bounds from above; and the most keys of a real request, a bound from below.
template <class Range>
[[nodiscard]] constexpr auto attention_bounds(Range&& out) noexcept
{
    return detail::bounds_array<detail::element_of<Range>>(detail::memory_of(std::forward<Range>(out)));
}

// ---- writing ---------------------------------------------------------------------------------------------------------------

namespace detail {

// Where pads begin and end, or the error of a step that does not fit.
template <class List>
constexpr bool find_pads(const step<List>& now, const step_padding& padding, const padded_size& size, pad_range& pads,
                         error& reason)
{
    pads = {{now.tokens(), now.requests()}, size, padding};
    if (padding.query_len > padding.seq_len)
        return fail(reason, error::of(errors::pad_past_seq_len, padding.query_len, padding.seq_len));
    if (size.requests == 0)
        pads.end.requests = now.requests();
    if (pads.end.requests < now.requests())
        return fail(reason, error::of(errors::step_past_size, now.requests(), size.requests, "requests"));
    if (pads.end.requests == size_limit)  // arrays may have one more
        return fail(reason, error::of(errors::size_overflow, size.requests, 1));
    // Requests that are pads may take tokens, which are pads as well.
    std::size_t more = 0;
    std::size_t least = 0;
    if (!batten::detail::multiply(pads.requests(), padding.query_len, more) ||
        !batten::detail::add(now.tokens(), more, least))
        return fail(reason, error::of(errors::size_overflow, pads.requests(), padding.query_len));
    if (size.tokens == 0)
        pads.end.tokens = least;
    return pads.end.tokens >= least ||
           fail(reason, error::of(errors::step_past_size, least, size.tokens, "tokens"));
}

template <class List, class... Array>
constexpr result<step_shape> write_arrays(const step<List>& now, const step_padding& padding, const padded_size& size,
                                          const Array&... array)
{
    error reason;
    pad_range pads;
    if (!find_pads(now, padding, size, pads, reason) || !(true && ... && array.check(now, pads, reason)))
        return reason;
    (array.write(now, pads), ...);
    return shape_of(now, pads);
}

}  // namespace detail

// Writes arrays of a step, padded to a size. Memory after the size is left as it is.
//
// Errors   a step larger than the size; a size larger than an array; values that an element type cannot hold; blocks outside of
//          the cache; pads that point to a block that is not reserved, or have more tokens than they attend to. Then nothing is
//          written.
// Cost     O(tokens + requests of the size), independent of the context (page_indices: O(pages)); no allocation.
template <class List, step_array<step<List>>... Array>
constexpr result<step_shape> try_write(const step<List>& now, const step_padding& padding, const padded_size& size,
                                       const Array&... array)
{
    return detail::write_arrays(now, padding, size, detail::as_array(array)...);
}
template <class List, step_array<step<List>>... Array>
constexpr step_shape write(const step<List>& now, const step_padding& padding, const padded_size& size, const Array&... array)
{
    return try_write(now, padding, size, array...).value();
}

}  // namespace batten::serve

#endif
