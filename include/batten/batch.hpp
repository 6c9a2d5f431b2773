// SPDX-License-Identifier: MIT
// Batches: the accessors by field, views, and batches that own their memory.
#ifndef BATTEN_BATCH_HPP_INCLUDED
#define BATTEN_BATCH_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/detail/memory.hpp>
#include <batten/error.hpp>
#include <batten/fields.hpp>
#include <batten/inputs.hpp>
#include <batten/matrix.hpp>
#include <batten/outputs.hpp>
#include <batten/rows.hpp>
#include <batten/shape.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten {

namespace detail {

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

// The accessors that batches and views of them share. Derived gives rows(), width(), pad_segments(), and field_cells<I>(), the
// span of field I of Fields, of const where the batch is const.
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
    [[nodiscard]] constexpr auto first_columns() noexcept { return get<batten::first_columns>(); }
    [[nodiscard]] constexpr auto first_columns() const noexcept { return get<batten::first_columns>(); }
    [[nodiscard]] constexpr auto segment_rows() noexcept { return get<batten::segment_rows>(); }
    [[nodiscard]] constexpr auto segment_rows() const noexcept { return get<batten::segment_rows>(); }
    [[nodiscard]] constexpr auto truncated_tokens() noexcept { return get<batten::truncated_tokens>(); }
    [[nodiscard]] constexpr auto truncated_tokens() const noexcept { return get<batten::truncated_tokens>(); }
    [[nodiscard]] constexpr auto target_counts() noexcept { return get<batten::target_counts>(); }
    [[nodiscard]] constexpr auto target_counts() const noexcept { return get<batten::target_counts>(); }

protected:
    // What segments() returns.
    [[nodiscard]] constexpr auto reported() const noexcept
    {
        const auto cells_of = [&]<class Key>(Key) { return self().template field_cells<list::template first<Key>()>(); };
        const auto lengths = cells_of(by_template<batten::lengths>{});
        const auto columns = cells_of(by_template<batten::first_columns>{});
        const auto rows = cells_of(by_template<batten::segment_rows>{});
        return reported_rows(lengths, columns, rows, rows_shape{self().rows(), self().width()},
                             self().pad_segments() == 0 ? pads_at_end::no_segment : pads_at_end::one_segment);
    }

private:
    constexpr Derived& self() noexcept { return static_cast<Derived&>(*this); }
    constexpr const Derived& self() const noexcept { return static_cast<const Derived&>(*this); }

    template <class Key, class Self, class... Row>
    static constexpr auto cells(Self& self, Row... r) noexcept
    {
        static_assert(sizeof...(Row) <= 1, "batten: get takes a row or nothing: a cell is view<token_ids>()(r, c), or token_ids(r)[c]");
        if constexpr (sizeof...(Row) == 0) {
            return self.template field_cells<list::template find<Key>()>();
        } else {
            const std::size_t row[] = {static_cast<std::size_t>(r)...};
            return matrix<Key>(self).row(row[0]);
        }
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
           fail(reason, error::of(errors::out_of_memory, elements * sizeof(T)));
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

// A batch in memory that something else owns, to read: one batch of a bucketed call. It has the accessors of basic_batch.
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

    // The rows: where each segment is. What masks and varlen_map read.
    [[nodiscard]] constexpr auto segments() const noexcept { return this->reported(); }

private:
    static constexpr std::size_t pad_segments() noexcept { return 0; }

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

    [[nodiscard]] constexpr std::size_t rows() const noexcept { return shape_.rows(); }
    [[nodiscard]] constexpr std::size_t width() const noexcept { return shape_.width(); }
    [[nodiscard]] constexpr const batch_shape<Fields>& shape() const noexcept { return shape_; }
    [[nodiscard]] constexpr const batten::summary& summary() const noexcept { return summary_; }

    // The rows: where each segment is, and the tail of pads where it is a segment of its own. What masks and varlen_map read.
    // Valid as long as the batch's memory.
    [[nodiscard]] constexpr auto segments() const& noexcept { return this->reported(); }
    void segments() const&& = delete;  // a batch gone before its rows are read: name it first

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

    constexpr std::size_t pad_segments() const noexcept { return shape_.pad_segments(); }

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
