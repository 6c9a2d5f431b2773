// SPDX-License-Identifier: MIT
// Results: the summary, the shape to allocate by, named output spans, 2-D views, and batches that own their memory.
#ifndef BATTEN_BATCH_HPP_INCLUDED
#define BATTEN_BATCH_HPP_INCLUDED

#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <functional>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#if defined(__has_include)
#if __has_include(<version>)
#include <version>
#endif
#endif
#if defined(__cpp_lib_mdspan)
#include <mdspan>
#endif

namespace batten {

// What one batch came to. real_tokens + padded_cells = rows * width.
struct summary {
    std::size_t real_tokens = 0;           // cells with a real token
    std::size_t padded_cells = 0;          // cells without
    std::size_t dropped_tokens = 0;        // tokens that truncation dropped
    std::size_t targets = 0;               // targets that are trained (column 0 of model_shifts is none)
    std::size_t rows_without_targets = 0;  // rows that train nothing
    std::size_t max_seqlen = 0;            // columns of the longest segment, a pad tail that is one among them

    constexpr summary& operator+=(const summary& other) noexcept
    {
        real_tokens += other.real_tokens;
        padded_cells += other.padded_cells;
        dropped_tokens += other.dropped_tokens;
        targets += other.targets;
        rows_without_targets += other.rows_without_targets;
        max_seqlen = max_seqlen < other.max_seqlen ? other.max_seqlen : max_seqlen;
        return *this;
    }
    friend constexpr bool operator==(const summary&, const summary&) noexcept = default;
};

// A row-major matrix of cells that something else owns: view(r, c), one row as a span.
template <class T>
class matrix_view {
public:
    constexpr matrix_view() noexcept = default;
    constexpr matrix_view(T* data, std::size_t rows, std::size_t width, std::size_t pitch) noexcept
        : data_(data), rows_(rows), width_(width), pitch_(pitch)
    {
    }

    [[nodiscard]] constexpr T* data() const noexcept { return data_; }
    [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return width_; }
    [[nodiscard]] constexpr std::size_t pitch() const noexcept { return pitch_; }  // elements from one row to the next

    // data[r * pitch + c]. Requires: r < rows(), c < width().
    [[nodiscard]] constexpr T& operator()(std::size_t r, std::size_t c) const
    {
        BATTEN_ASSERT(r < rows_ && c < width_, "row or column past the matrix");
        return data_[r * pitch_ + c];
    }

    // Row r, `width` cells. Requires: r < rows().
    [[nodiscard]] constexpr std::span<T> row(std::size_t r) const
    {
        BATTEN_ASSERT(r < rows_, "row past the matrix");
        return {data_ + r * pitch_, width_};
    }

#if defined(__cpp_lib_mdspan)
    [[nodiscard]] constexpr auto mdspan() const
    {
        using extents = std::dextents<std::size_t, 2>;
        const std::array<std::size_t, 2> strides{pitch_, 1};
        return std::mdspan<T, extents, std::layout_stride>(
            data_, std::layout_stride::mapping<extents>(extents(rows_, width_), strides));
    }
#endif

private:
    T* data_ = nullptr;
    std::size_t rows_ = 0;
    std::size_t width_ = 0;
    std::size_t pitch_ = 0;
};

namespace detail {

// What the spans of a call are measured by. A plain batch has rows of one width, a bucketed call its batches one behind the
// other.
struct extent {
    std::size_t rows = 0;
    std::size_t width = 0;  // of the last row, the widest
    std::size_t segments = 0;
    std::size_t cells = 0;  // without a pitch
    std::size_t pad_segments = 0;  // 1 where a pad tail is a segment of its own
};

// Elements that Field's span needs: segments (and pad segments) + extra; cells; or, with a pitch, (rows - 1) * pitch + width.
template <class Field>
constexpr std::size_t elements_of(const extent& of, std::size_t pitch) noexcept
{
    if constexpr (segment_field<Field>)
        return of.segments + extra_of<Field>() + (counts_pad_segments<Field>::value ? of.pad_segments : 0);
    else if (pitch == 0 || of.rows == 0)
        return of.cells;
    else
        return (of.rows - 1) * pitch + of.width;
}

template <class Fields, class Key>
constexpr std::size_t elements_named(const extent& of, std::size_t pitch) noexcept
{
    using list = field_list<with_reports<Fields>>;
    return elements_of<typename list::template type<list::template find<Key>()>>(of, pitch);
}

}  // namespace detail

namespace detail {

// What the shapes of calls share. Derived gives extent().
template <class Derived, class Fields>
struct shape_elements {
    // Elements that the span of a field needs: (rows - 1) * pitch + width for a cell field, segments + extra for another.
    // `pitch`: elements from one row to the next, 0 for the width. Names a field as get does.
    template <class Field>
    [[nodiscard]] constexpr std::size_t elements(std::size_t pitch = 0) const noexcept
    {
        return elements_named<Fields, by_type<Field>>(static_cast<const Derived&>(*this).extent(), pitch);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr std::size_t elements(std::size_t pitch = 0) const noexcept
    {
        return elements_named<Fields, by_template<Field>>(static_cast<const Derived&>(*this).extent(), pitch);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr std::size_t elements(std::size_t pitch = 0) const noexcept
    {
        return elements_named<Fields, by_name<Name>>(static_cast<const Derived&>(*this).extent(), pitch);
    }

    friend constexpr bool operator==(const shape_elements&, const shape_elements&) noexcept = default;
};

}  // namespace detail

// What a call would write: allocate by it.
template <class Fields>
struct batch_shape : detail::shape_elements<batch_shape<Fields>, Fields> {
    std::size_t rows = 0;
    std::size_t width = 0;
    std::size_t segments = 0;      // as many as rows, where each row is one sequence
    std::size_t pad_segments = 0;  // 1 where a pad tail is a segment of its own

    constexpr batch_shape() = default;
    constexpr explicit batch_shape(const detail::extent& of) noexcept
        : rows(of.rows), width(of.width), segments(of.segments), pad_segments(of.pad_segments)
    {
    }

    [[nodiscard]] constexpr detail::extent extent() const noexcept
    {
        return {rows, width, segments, rows * width, pad_segments};
    }

    friend constexpr bool operator==(const batch_shape&, const batch_shape&) noexcept = default;
};

// ---- named output spans ------------------------------------------------------------------------------------------------

// One field's memory, by name. Made by set<...>.
template <class Key, class T>
struct named_span {
    using key = Key;
    std::span<T> cells{};
    std::size_t pitch = 0;  // elements from one row to the next; 0: the width
};

namespace detail {

template <class Key, class Range>
constexpr auto name_span(Range& range, std::size_t pitch)
{
    static_assert(std::ranges::contiguous_range<Range>,
                  "batten::set: a field is written to contiguous memory (vector<bool> is not: use std::uint8_t)");
    using value = std::remove_reference_t<std::ranges::range_reference_t<Range>>;
    static_assert(!std::is_const_v<value>, "batten::set: the span is const, a field is written to it");
    return named_span<Key, value>{
        std::span<value>(std::ranges::data(range), static_cast<std::size_t>(std::ranges::size(range))), pitch};
}

}  // namespace detail

// Gives a field, named as get does, the caller's memory: set<token_ids>(ids), set<"weights">(w, 1024).
// `pitch`: elements from one row to the next, 0 for the width.
template <template <class...> class Field, class Range>
[[nodiscard]] constexpr auto set(Range&& range, std::size_t pitch = 0)
{
    return detail::name_span<detail::by_template<Field>>(range, pitch);
}
template <class Field, class Range>
[[nodiscard]] constexpr auto set(Range&& range, std::size_t pitch = 0)
{
    return detail::name_span<detail::by_type<Field>>(range, pitch);
}
template <fixed_string Name, class Range>
[[nodiscard]] constexpr auto set(Range&& range, std::size_t pitch = 0)
{
    return detail::name_span<detail::by_name<Name>>(range, pitch);
}

// The caller's memory for one call, a span for each field:
//
//     batten::outputs{set<token_ids>(ids), set<attention_mask>(mask), ...}
//
// A field left out is a compile error; lengths, dropped_tokens and targets, for each segment, may be added.
template <class... Named>
struct outputs {
    constexpr outputs(Named... named) : spans(named...) {}
    std::tuple<Named...> spans;
};

template <class... Named>
outputs(Named...) -> outputs<Named...>;

namespace detail {

// One field at work: its object, its memory.
template <class Field>
struct bound_field {
    using field_type = Field;
    using value_type = typename Field::value_type;

    const Field* field = nullptr;
    value_type* data = nullptr;
    std::size_t elements = 0;
    std::size_t pitch = 0;  // 0: the width of the batch
};

template <class Fields>
struct bound_list;
template <class... Field>
struct bound_list<fields<Field...>> {
    using type = std::tuple<bound_field<Field>...>;
};

template <class Fields>
struct span_list;
template <class... Field>
struct span_list<fields<Field...>> {
    using type = std::tuple<std::span<const typename Field::value_type>...>;
};

template <class Fields>
struct buffer_list;
template <class... Field>
struct buffer_list<fields<Field...>> {
    using type = std::tuple<buffer<typename Field::value_type>...>;
};

// The object of a report field, which has no options.
template <class Field>
inline constexpr Field report{};

// Fields, and behind them the reports (lengths, dropped_tokens, targets) that the spans name beside: with the spans' types.
template <class Fields, template <class...> class Report, class... Named>
struct add_report {
    using type = Fields;
};
template <class Fields, template <class...> class Report, class Key, class T, class... Named>
struct add_report<Fields, Report, named_span<Key, T>, Named...> {
    static consteval auto pick()
    {
        if constexpr (field_list<Fields>::template count_of<by_template<Report>> != 0)
            return std::type_identity<Fields>{};
        else if constexpr (token<T>)
            if constexpr (Key::template matches<Report<T>>)
                return std::type_identity<typename field_list<Fields>::template with<Report<T>, Report>>{};
            else
                return std::type_identity<typename add_report<Fields, Report, Named...>::type>{};
        else
            return std::type_identity<typename add_report<Fields, Report, Named...>::type>{};
    }
    using type = typename decltype(pick())::type;
};

template <class Fields, class... Named>
using written_fields = typename add_report<
    typename add_report<typename add_report<Fields, lengths, Named...>::type, dropped_tokens, Named...>::type, targets,
    Named...>::type;

// Takes a span of exactly the elements needed, or up to rows * pitch: a pitch may leave room behind the last row.
template <class Field>
constexpr bool bind_span(bound_field<Field>& out, std::span<typename Field::value_type> cells, std::size_t pitch,
                         const extent& of, error& reason)
{
    std::size_t most = elements_of<Field>(of, 0);
    if (cell_field<Field> && pitch != 0) {
        if (pitch < of.width)
            return fail(reason, {error_code::pitch_too_small, error::no_row, of.width, pitch, name_of<Field>()});
        if (!multiply(of.rows, pitch, most) || most > size_limit / 2)
            return fail(reason, {error_code::size_overflow, error::no_row, of.rows, pitch, name_of<Field>()});
    }
    const std::size_t needed = elements_of<Field>(of, pitch);
    if (cells.size() < needed)
        return fail(reason, {error_code::span_too_small, error::no_row, needed, cells.size(), name_of<Field>()});
    if (cells.size() > most)
        return fail(reason, {error_code::span_too_large, error::no_row, most, cells.size(), name_of<Field>()});
    out.data = cells.data();
    out.elements = cells.size();
    out.pitch = pitch;
    return true;
}

template <class Field, class... Named>
constexpr bool bind_field(const outputs<Named...>& out, const extent& of, bound_field<Field>& bound, error& reason)
{
    constexpr bool named[] = {Named::key::template matches<Field>..., false};
    constexpr std::size_t times = (std::size_t{0} + ... + (Named::key::template matches<Field> ? 1U : 0U));
    static_assert(times != 0, "batten::outputs: a field of the collator has no span: add set<the field>(span)");
    static_assert(times <= 1, "batten::outputs: a field of the collator has two spans");
    if constexpr (times == 1) {
        constexpr std::size_t index = [&] {
            std::size_t i = 0;
            while (!named[i])
                ++i;
            return i;
        }();
        const auto& span = std::get<index>(out.spans);
        using given = typename std::remove_cvref_t<decltype(span.cells)>::element_type;
        static_assert(std::same_as<given, typename Field::value_type>,
                      "batten::outputs: the span's element type is not the field's: name it in the field, "
                      "as token_ids<std::int32_t>");
        return bind_span(bound, span.cells, span.pitch, of, reason);
    } else {
        return false;
    }
}

// Whether two fields share memory. Compared at run time alone.
template <class A, class B>
constexpr bool are_apart(const bound_field<A>& a, const bound_field<B>& b)
{
    if (std::is_constant_evaluated() || a.elements == 0 || b.elements == 0)
        return true;
    const auto* const a_begin = reinterpret_cast<const std::byte*>(a.data);
    const auto* const b_begin = reinterpret_cast<const std::byte*>(b.data);
    const std::less_equal<const std::byte*> at_most{};
    return at_most(a_begin + a.elements * sizeof(*a.data), b_begin) ||
           at_most(b_begin + b.elements * sizeof(*b.data), a_begin);
}

template <class First, class... Rest>
constexpr bool all_apart(const First& first, const Rest&... rest)
{
    if constexpr (sizeof...(Rest) == 0)
        return true;
    else
        return (true && ... && are_apart(first, rest)) && all_apart(rest...);
}

// Gives each field of List its span, or says which does not fit the shape. Nothing is written.
template <class List, class... Named, class... Field>
constexpr bool bind_spans(const outputs<Named...>& out, const extent& of, std::tuple<bound_field<Field>...>& bound,
                          error& reason)
{
    static_assert((true && ... && (field_list<List>::template count_of<typename Named::key> != 0)),
                  "batten::outputs: a span is set for a field that this collator does not have: add it to its fields<...>");
    const bool good = std::apply(
        [&](auto&... field) { return (true && ... && bind_field(out, of, field, reason)); }, bound);
    if (good)
        BATTEN_ASSERT(std::apply([](const auto&... field) { return all_apart(field...); }, bound),
                      "two output spans overlap");
    return good;
}

// The accessors that batches and views of them share. Derived gives rows(), width(), and field_cells<I>(), the span of field I
// of Fields, of const where the batch is const.
template <class Derived, class Fields>
class batch_access {
    using list = field_list<Fields>;

public:
    // get<F>(): all cells of a field as one span, [rows * width] or [segments + extra]. get<F>(r): those of row r. view<F>():
    // the matrix, (r, c). F is a field's type, its template, or a column's name. The spans are valid as long as the batch's
    // memory.
    template <class Field>
    [[nodiscard]] constexpr auto get(std::integral auto... r) noexcept
    {
        return cells<by_type<Field>>(self(), r...);
    }
    template <class Field>
    [[nodiscard]] constexpr auto get(std::integral auto... r) const noexcept
    {
        return cells<by_type<Field>>(self(), r...);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto get(std::integral auto... r) noexcept
    {
        return cells<by_template<Field>>(self(), r...);
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto get(std::integral auto... r) const noexcept
    {
        return cells<by_template<Field>>(self(), r...);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto get(std::integral auto... r) noexcept
    {
        return cells<by_name<Name>>(self(), r...);
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto get(std::integral auto... r) const noexcept
    {
        return cells<by_name<Name>>(self(), r...);
    }

    template <class Field>
    [[nodiscard]] constexpr auto view() noexcept
    {
        return matrix<by_type<Field>>(self());
    }
    template <class Field>
    [[nodiscard]] constexpr auto view() const noexcept
    {
        return matrix<by_type<Field>>(self());
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto view() noexcept
    {
        return matrix<by_template<Field>>(self());
    }
    template <template <class...> class Field>
    [[nodiscard]] constexpr auto view() const noexcept
    {
        return matrix<by_template<Field>>(self());
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto view() noexcept
    {
        return matrix<by_name<Name>>(self());
    }
    template <fixed_string Name>
    [[nodiscard]] constexpr auto view() const noexcept
    {
        return matrix<by_name<Name>>(self());
    }

    // The built-in fields by name: token_ids() all rows, token_ids(r) one.
    [[nodiscard]] constexpr auto token_ids(std::integral auto... r) noexcept { return get<batten::token_ids>(r...); }
    [[nodiscard]] constexpr auto token_ids(std::integral auto... r) const noexcept { return get<batten::token_ids>(r...); }
    [[nodiscard]] constexpr auto attention_mask(std::integral auto... r) noexcept { return get<batten::attention_mask>(r...); }
    [[nodiscard]] constexpr auto attention_mask(std::integral auto... r) const noexcept
    {
        return get<batten::attention_mask>(r...);
    }
    [[nodiscard]] constexpr auto position_ids(std::integral auto... r) noexcept { return get<batten::position_ids>(r...); }
    [[nodiscard]] constexpr auto position_ids(std::integral auto... r) const noexcept
    {
        return get<batten::position_ids>(r...);
    }
    [[nodiscard]] constexpr auto loss_mask(std::integral auto... r) noexcept { return get<batten::loss_mask>(r...); }
    [[nodiscard]] constexpr auto loss_mask(std::integral auto... r) const noexcept { return get<batten::loss_mask>(r...); }
    [[nodiscard]] constexpr auto labels(std::integral auto... r) noexcept { return get<batten::labels>(r...); }
    [[nodiscard]] constexpr auto labels(std::integral auto... r) const noexcept { return get<batten::labels>(r...); }
    [[nodiscard]] constexpr auto segment_ids(std::integral auto... r) noexcept { return get<batten::segment_ids>(r...); }
    [[nodiscard]] constexpr auto segment_ids(std::integral auto... r) const noexcept { return get<batten::segment_ids>(r...); }

    // Packed: where each segment begins, and where the last one ends.
    [[nodiscard]] constexpr auto cu_seqlens() noexcept { return get<batten::cu_seqlens>(); }
    [[nodiscard]] constexpr auto cu_seqlens() const noexcept { return get<batten::cu_seqlens>(); }

    // For each segment, whether the collator's fields name them or not.
    [[nodiscard]] constexpr auto lengths() noexcept { return get<batten::lengths>(); }
    [[nodiscard]] constexpr auto lengths() const noexcept { return get<batten::lengths>(); }
    [[nodiscard]] constexpr auto dropped_tokens() noexcept { return get<batten::dropped_tokens>(); }
    [[nodiscard]] constexpr auto dropped_tokens() const noexcept { return get<batten::dropped_tokens>(); }
    [[nodiscard]] constexpr auto targets() noexcept { return get<batten::targets>(); }
    [[nodiscard]] constexpr auto targets() const noexcept { return get<batten::targets>(); }

private:
    constexpr Derived& self() noexcept { return static_cast<Derived&>(*this); }
    constexpr const Derived& self() const noexcept { return static_cast<const Derived&>(*this); }

    template <class Key, class Self, class... Row>
    static constexpr auto cells(Self& self, Row... r) noexcept
    {
        static_assert(sizeof...(Row) <= 1, "batten: get takes a row or nothing");
        if constexpr (sizeof...(Row) == 0)
            return self.template field_cells<list::template find<Key>()>();
        else
            return matrix<Key>(self).row(static_cast<std::size_t>(r)...);
    }

    template <class Key, class Self>
    static constexpr auto matrix(Self& self) noexcept
    {
        constexpr std::size_t i = list::template find<Key>();
        static_assert(cell_field<typename list::template type<i>>, "batten: a segment field has no rows and columns");
        const auto all = self.template field_cells<i>();
        using value = typename decltype(all)::element_type;
        return matrix_view<value>(all.data(), self.rows(), self.width(), self.width());
    }
};

// Grows `now` for `elements` without losing its contents yet: into `grown`, where it has too little room.
template <class T>
constexpr bool grow_aside(const buffer<T>& now, buffer<T>& grown, std::size_t elements, error& reason)
{
    return elements <= now.capacity() || grown.reserve(elements) ||
           fail(reason, {error_code::out_of_memory, error::no_row, elements * sizeof(T), {}, {}});
}

// The second half: no error any more.
template <class T>
constexpr void take_grown(buffer<T>& now, buffer<T>& grown, std::size_t elements) noexcept
{
    if (grown.capacity() != 0)
        now = std::move(grown);
    now.resize_within(elements);
}

}  // namespace detail

// A batch that refers to memory of something else, to read: one batch of a bucketed call. The accessors of basic_batch.
template <class Fields>
class batch_view : public detail::batch_access<batch_view<Fields>, detail::with_reports<Fields>> {
    friend detail::batch_access<batch_view, detail::with_reports<Fields>>;
    using spans_type = typename detail::span_list<detail::with_reports<Fields>>::type;

public:
    constexpr batch_view(std::size_t rows, std::size_t width, const batten::summary& totals, spans_type spans) noexcept
        : rows_(rows), width_(width), summary_(totals), spans_(spans)
    {
    }

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return width_; }
    [[nodiscard]] constexpr const batten::summary& summary() const noexcept { return summary_; }

private:
    template <std::size_t I>
    constexpr auto field_cells() const noexcept
    {
        return std::get<I>(spans_);
    }

    std::size_t rows_ = 0;
    std::size_t width_ = 0;
    batten::summary summary_{};
    spans_type spans_;
};

// A batch that owns its memory, 64-byte aligned and without gaps between rows. Pass it back to the collator to reuse it.
// Moving it keeps its spans valid.
template <class Fields>
class basic_batch : public detail::batch_access<basic_batch<Fields>, detail::with_reports<Fields>> {
    friend detail::batch_access<basic_batch, detail::with_reports<Fields>>;

public:
    using fields_type = detail::with_reports<Fields>;

    constexpr basic_batch() = default;
    constexpr basic_batch(const basic_batch&) = default;
    constexpr basic_batch(basic_batch&& other) noexcept
        : shape_(std::exchange(other.shape_, {})),
          summary_(std::exchange(other.summary_, {})),
          buffers_(std::move(other.buffers_))
    {
    }
    constexpr basic_batch& operator=(basic_batch other) noexcept
    {
        shape_ = other.shape_;
        summary_ = other.summary_;
        buffers_ = std::move(other.buffers_);
        return *this;
    }
    constexpr ~basic_batch() = default;

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return shape_.rows; }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return shape_.width; }
    [[nodiscard]] constexpr const batch_shape<Fields>& shape() const noexcept { return shape_; }
    [[nodiscard]] constexpr const batten::summary& summary() const noexcept { return summary_; }

    // For collators: makes room, or says why not; then the batch is as before. Allocates only where there was less room.
    [[nodiscard]] constexpr bool prepare(const detail::extent& of, error& reason)
    {
        return prepare_each(of, reason, indices{});
    }
    constexpr void set_summary(const batten::summary& totals) noexcept { summary_ = totals; }

    // For collators: the memory of field I.
    template <std::size_t I>
    [[nodiscard]] constexpr auto field_span() noexcept
    {
        return std::get<I>(buffers_).cells();
    }
    template <std::size_t I>
    [[nodiscard]] constexpr auto field_span() const noexcept
    {
        return std::span<const typename list::template type<I>::value_type>(std::get<I>(buffers_).cells());
    }

private:
    using list = detail::field_list<fields_type>;
    using buffers_type = typename detail::buffer_list<fields_type>::type;
    using indices = std::make_index_sequence<fields_type::count>;

    template <std::size_t I>
    constexpr auto field_cells() noexcept
    {
        return field_span<I>();
    }
    template <std::size_t I>
    constexpr auto field_cells() const noexcept
    {
        return field_span<I>();
    }

    template <std::size_t... I>
    constexpr bool prepare_each(const detail::extent& of, error& reason, std::index_sequence<I...>)
    {
        const std::size_t elements[] = {detail::elements_of<typename list::template type<I>>(of, 0)...};
        buffers_type grown;
        if (!(true && ... &&
              detail::grow_aside(std::get<I>(buffers_), std::get<I>(grown), elements[I], reason)))
            return false;
        (detail::take_grown(std::get<I>(buffers_), std::get<I>(grown), elements[I]), ...);
        shape_ = batch_shape<Fields>(of);
        return true;
    }

    batch_shape<Fields> shape_{};
    batten::summary summary_{};
    buffers_type buffers_;
};

}  // namespace batten

#endif
