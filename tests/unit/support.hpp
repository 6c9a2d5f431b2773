// SPDX-License-Identifier: MIT
// What the unit tests share: matrices as nested braces, guarded memory, errors that print, and one call that fails in every
// way.
#ifndef BATTEN_TESTS_SUPPORT_HPP_INCLUDED
#define BATTEN_TESTS_SUPPORT_HPP_INCLUDED

#include "catch.hpp"

#include <batten/batten.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tests {

using ragged = std::vector<std::vector<int>>;

// ---- matrices ---------------------------------------------------------------------------------------------------------

using line = std::vector<long long>;
using grid = std::vector<line>;

// The cells of any run of numbers.
template <class Run>
line line_of(const Run& run)
{
    line cells;
    for (const auto cell : run)
        cells.push_back(static_cast<long long>(cell));
    return cells;
}

// The cells of a matrix_view, row by row.
template <class View>
grid grid_of(const View& view)
{
    grid rows;
    for (std::size_t r = 0; r < view.rows(); ++r)
        rows.push_back(line_of(view.row(r)));
    return rows;
}

// The same for constant evaluation: whether a run of numbers is the expected one.
template <class Run>
constexpr bool holds(const Run& run, std::initializer_list<long long> expected)
{
    if (run.size() != expected.size())
        return false;
    const long long* wanted = expected.begin();
    for (const auto cell : run)
        if (static_cast<long long>(cell) != *wanted++)
            return false;
    return true;
}

// ---- guarded memory ---------------------------------------------------------------------------------------------------

// `elements` cells in the middle of poisoned memory, at any element offset: tells what was written and what was not.
template <class T>
class guarded {
public:
    // Out of line: where g++ 12 sees sizes that are sums, it warns of those that would wrap around.
    [[gnu::noinline]] explicit guarded(std::size_t elements, std::size_t offset = 65)
        : elements_(elements), offset_(offset), total_(offset + elements + 65), memory_(std::make_unique<T[]>(total_))
    {
        std::memset(static_cast<void*>(memory_.get()), poison, total_ * sizeof(T));
    }

    std::span<T> cells() { return {memory_.get() + offset_, elements_}; }
    batten::matrix_view<T> matrix(std::size_t rows, std::size_t width, std::size_t row_stride = 0)
    {
        return {memory_.get() + offset_, rows, width, row_stride == 0 ? width : row_stride};
    }

    // Nothing before the cells and nothing behind them was written.
    bool only_inside() const { return is_poison(0, offset_) && is_poison(offset_ + elements_, total_); }
    // Nothing at all was written.
    bool untouched() const { return is_poison(0, total_); }
    // The cells of each row behind its width were not written, and nothing outside.
    bool only_rows(std::size_t rows, std::size_t width, std::size_t row_stride) const
    {
        bool good = only_inside();
        for (std::size_t r = 0; r < rows; ++r)
            good =
                good && is_poison(offset_ + r * row_stride + width, r + 1 < rows ? offset_ + (r + 1) * row_stride : offset_ + elements_);
        return good;
    }

private:
    static constexpr unsigned char poison = 0xA5;

    bool is_poison(std::size_t first, std::size_t last) const
    {
        const auto* const bytes = reinterpret_cast<const unsigned char*>(memory_.get());
        for (std::size_t i = first * sizeof(T); i < last * sizeof(T); ++i)
            if (bytes[i] != poison)
                return false;
        return true;
    }

    std::size_t elements_;
    std::size_t offset_;
    std::size_t total_;
    std::unique_ptr<T[]> memory_;
};

// The shape of a batch of one sequence a row.
template <class Fields>
constexpr batten::batch_shape<Fields> shape_of(std::size_t rows, std::size_t width)
{
    return batten::batch_shape<Fields>({.rows = rows, .width = width, .segments = rows, .cells = rows * width});
}

// Guarded memory for each field of a list, and the outputs that name it.
template <class Fields>
struct guarded_fields;

template <class... Field>
struct guarded_fields<batten::fields<Field...>> {
    std::tuple<guarded<typename Field::value_type>...> all;

    // By a shape, with a row_stride or without, each field at an element offset of its own.
    template <class Shape>
    static guarded_fields of(const Shape& shape, std::size_t row_stride = 0, std::size_t offset = 65)
    {
        return {{guarded<typename Field::value_type>(shape.template elements<Field>(row_stride), offset)...}};
    }
    static guarded_fields of_elements(std::size_t elements) { return {{guarded<typename Field::value_type>(elements)...}}; }

    auto outputs(std::size_t row_stride = 0)
    {
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return batten::outputs{batten::set<Field>(std::get<I>(all).cells(), batten::cell_field<Field> ? row_stride : 0)...};
        }
        (std::index_sequence_for<Field...>{});
    }
    template <class F>
    auto& get()
    {
        return std::get<batten::detail::field_list<batten::fields<Field...>>::template find<batten::detail::by_type<F>>()>(all);
    }
    bool untouched() const
    {
        return std::apply([](const auto&... field) { return (true && ... && field.untouched()); }, all);
    }
    bool only_inside() const
    {
        return std::apply([](const auto&... field) { return (true && ... && field.only_inside()); }, all);
    }
};

// ---- errors -----------------------------------------------------------------------------------------------------------

// An error that compares and prints.
struct error_is {
    batten::error_code code{};
    std::size_t row = batten::error::no_row;
    batten::integer first{};
    batten::integer second{};
    std::string_view field{};

    error_is(const batten::error& e) : code(e.code), row(e.row), first(e.first), second(e.second), field(e.field) {}
    error_is(batten::error_code code_, std::size_t row_, batten::integer first_ = 0, batten::integer second_ = 0,
             std::string_view field_ = {})
        : code(code_), row(row_), first(first_), second(second_), field(field_)
    {
    }

    friend bool operator==(const error_is&, const error_is&) = default;
    friend std::ostream& operator<<(std::ostream& out, const error_is& e)
    {
        return out << "{" << e.code.name() << ", row " << static_cast<long long>(e.row) << ", "
                   << e.first.text() << ", " << e.second.text() << ", '" << e.field << "'}";
    }
};

inline constexpr std::size_t no_row = batten::error::no_row;

// Checks that `throwing` throws exactly `expected`.
template <class Throwing>
void check_throws(const batten::error& expected, Throwing throwing)
{
    bool thrown = false;
    try {
        throwing();
    } catch (const batten::exception& caught) {
        thrown = true;
        CHECK(error_is(caught.error()) == error_is(expected));
        CHECK(caught.what() == expected.message());
    }
    CHECK(thrown);
}

// The error of options that do not make sense; both doors of the collator are asked.
template <class Collator>
error_is options_error(typename Collator::options_type settings)
{
    const auto made = Collator::try_make(settings);
    CHECK_FALSE(made.has_value());
    check_throws(made.error(), [&] { static_cast<void>(Collator(settings)); });
    return made.error();
}

template <class Collator>
inline constexpr bool is_bucketed = false;
template <class Side, class Length, class Overflow, class Fields>
inline constexpr bool is_bucketed<batten::bucketed_collator<Side, Length, Overflow, Fields>> = true;

// Everything that a batch, or the batches of a bucketed call, hold.
template <class Fields>
std::vector<grid> contents(const batten::basic_batch<Fields>& batch)
{
    std::vector<grid> all{{{static_cast<long long>(batch.rows()), static_cast<long long>(batch.width()),
                            static_cast<long long>(batch.summary().real_tokens)}}};
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        (all.push_back({line_of(batch.template field_span<I>())}), ...);
    }
    (std::make_index_sequence<batten::basic_batch<Fields>::fields_type::count>{});
    return all;
}
template <class Fields>
std::vector<grid> contents(const batten::bucketed_batches<Fields>& batches)
{
    std::vector<grid> all{{line_of(batches.order())}};
    for (std::size_t i = 0; i < batches.size(); ++i) {
        all.push_back({{static_cast<long long>(batches[i].rows()), static_cast<long long>(batches[i].width())},
                       line_of(batches[i].lengths())});
        if constexpr (requires { batches[i].token_ids(); })
            all.push_back(grid_of(batches[i].template view<batten::token_ids>()));
    }
    return all;
}

// The error of one call. Every way to make the call is taken, and all must agree; outputs and a reused batch must be untouched.
// `good`: inputs that fill the batch beforehand, where the collator takes any.
template <class Collator, class In, class Good>
error_is call_error(const Collator& collate, const In& in, const Good& good)
{
    using fields = typename Collator::fields_type;
    const auto shape = collate.try_shape(in);
    CHECK_FALSE(shape.has_value());
    const batten::error expected = shape.error();

    check_throws(expected, [&] { static_cast<void>(collate.shape(in)); });
    const auto owned = collate.try_collate(in);
    CHECK(error_is(owned.error()) == error_is(expected));
    check_throws(expected, [&] { static_cast<void>(collate(in)); });

    typename Collator::batch_type batch;
    static_cast<void>(collate.try_collate(good, batch).has_value());
    const std::vector<grid> before = contents(batch);
    CHECK(error_is(collate.try_collate(in, batch).error()) == error_is(expected));
    check_throws(expected, [&] { collate(in, batch); });
    CHECK(contents(batch) == before);

    auto memory = guarded_fields<fields>::of_elements(64);
    auto named = memory.outputs();
    if constexpr (is_bucketed<Collator>) {
        guarded<std::size_t> order(4);
        CHECK(error_is(collate.try_into(in, named, order.cells()).error()) == error_is(expected));
        check_throws(expected, [&] { collate.into(in, named, order.cells()); });
        CHECK(order.untouched());
    } else {
        CHECK(error_is(collate.try_into(in, named).error()) == error_is(expected));
        check_throws(expected, [&] { collate.into(in, named); });
    }
    CHECK(memory.untouched());
    return expected;
}

template <class Collator, class In>
error_is call_error(const Collator& collate, const In& in)
{
    static const ragged good{{7, 8}, {9}};
    return call_error(collate, in, good);
}

}  // namespace tests

#endif
