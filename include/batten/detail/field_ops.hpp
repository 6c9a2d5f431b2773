// SPDX-License-Identifier: MIT
// What is done with a field: check its options, check a segment, begin, write. The collators and decode_batch call these.
#ifndef BATTEN_DETAIL_FIELD_OPS_HPP_INCLUDED
#define BATTEN_DETAIL_FIELD_OPS_HPP_INCLUDED

#include <batten/detail/field_list.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/integer.hpp>
#include <batten/outputs.hpp>

#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace batten::detail {

// ---- options ---------------------------------------------------------------------------------------------------------

// Run only where the option is left out.
template <bool needed>
constexpr integer default_pad_id() noexcept
{
    static_assert(!needed, "batten: this collator writes token ids, and so needs to know what pads hold: write .pad_id = ...");
    return {};
}

// Whether a field can write the values that pads and untrained columns get.
template <class Field>
constexpr bool check_options([[maybe_unused]] const Field& field, [[maybe_unused]] const fill_values& values,
                             [[maybe_unused]] error& reason)
{
    if constexpr (requires { field.check_options(values, reason); })
        return field.check_options(values, reason);
    else
        return true;
}

// The same for each field of a list.
template <class Fields>
constexpr bool check_all_options(const Fields& list, const fill_values& values, error& reason)
{
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return (true && ... && check_options(list.template at<I>(), values, reason));
    }(std::make_index_sequence<Fields::count>{});
}

// ---- one segment -----------------------------------------------------------------------------------------------------

// Whether a field can write a segment: asked before the first write.
template <class Field, class View>
constexpr bool check_segment([[maybe_unused]] const Field& field, [[maybe_unused]] const View& view,
                             [[maybe_unused]] error& reason)
{
    if constexpr (requires { field.check_segment(view, reason); })
        return field.check_segment(view, reason);
    else
        return true;
}

// The same for each field of a list.
template <class Fields, class View>
constexpr bool check_all_segments(const Fields& list, const View& view, error& reason)
{
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
        return (true && ... && check_segment(list.template at<I>(), view, reason));
    }(std::make_index_sequence<Fields::count>{});
}

// Writes a segment and the pads after it. `cells`: those of its row from the segment's first column on. Where a segment begins in
// column 0 and has a few tokens this is the fast way.
template <class Field, class View, class Value>
constexpr void write_with_pads_after(const Field& field, const View& view, std::span<Value> cells)
{
    if (view.length != 0)
        field.write(view, cells.first(view.length));
    if (view.length != cells.size())
        field.pad(pad_run{.row = view.row,
                          .first_column = view.first_column + view.length,
                          .length = cells.size() - view.length,
                          .position = view.position_begin + view.length,
                          .values = view.values},
                  cells.subspan(view.length));
}

// Writes a row of one segment: the pads before it, the segment, the pads after it. `cells`: all cells of the row.
template <class Field, class View, class Value>
constexpr void write_cells(const Field& field, const View& view, std::span<Value> cells)
{
    if constexpr (requires { field.write_row(view, cells); }) {
        field.write_row(view, cells);
    } else {
        if (view.first_column != 0)
            field.pad(pad_run{.row = view.row, .length = view.first_column, .values = view.values},
                      cells.first(view.first_column));
        write_with_pads_after(field, view, cells.subspan(view.first_column));
    }
}

// ---- fields and their memory -----------------------------------------------------------------------------------------

// The address of column c in row r, in a batch of `width` columns.
template <class Field>
constexpr auto cell(const bound_field<Field>& out, std::size_t r, std::size_t width, std::size_t c)
{
    return out.data + (r * (out.row_stride == 0 ? width : out.row_stride) + c);
}

// The memory of a segment field.
template <class Field>
constexpr auto elements(const bound_field<Field>& out)
{
    return std::span<typename Field::value_type>(out.data, out.elements);
}

template <class Field>
constexpr void begin_field(const bound_field<Field>& out)
{
    if constexpr (segment_field<Field>)
        out.field->begin(elements(out));
}

// The fields of List with their objects, without memory yet. List is Fields, and perhaps reports after them.
template <class List, class Fields>
constexpr auto bind_fields(const Fields& objects) noexcept
{
    typename bound_list<List>::type bound;
    const auto bind_one = [&]<std::size_t I>(auto& out) {
        if constexpr (I < Fields::count)
            out.field = &objects.template at<I>();
        else
            out.field = &report<typename field_list<List>::template type<I>>;
    };
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (bind_one.template operator()<I>(std::get<I>(bound)), ...);
    }(std::make_index_sequence<List::count>{});
    return bound;
}

// Gives each field the memory that a batch has for it.
template <class Batch, class... Field>
constexpr void bind_batch(Batch& batch, std::tuple<bound_field<Field>...>& bound) noexcept
{
    const auto bind_one = [](auto& out, auto cells) {
        out.data = cells.data();
        out.elements = cells.size();
    };
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (bind_one(std::get<I>(bound), batch.template field_span<I>()), ...);
    }(std::index_sequence_for<Field...>{});
}

}  // namespace batten::detail

#endif
