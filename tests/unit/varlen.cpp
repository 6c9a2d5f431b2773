// SPDX-License-Identifier: MIT
// Hidden rows from padded to packed and back, against indexing by the flat cell of each token.

#include "support.hpp"

#include <batten/varlen.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace errors = batten::errors;
using batten::extend_cu_seqlens;
using batten::pad_left;
using batten::pad_right;
using batten::try_extend_cu_seqlens;
using batten::varlen_map;
using batten::varlen_shape;
using tests::check_throws;
using tests::error_is;
using tests::guarded;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::ragged;

namespace {

// Sides of the user's: by its members, and by the traits.
struct in_the_middle {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};
struct one_before_the_end {};
struct past_the_row {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return width - length + 1; }
};

// An element that is no number.
struct rgb {
    std::uint8_t r = 1, g = 2, b = 3;
    friend bool operator==(const rgb&, const rgb&) = default;
};

}  // namespace

template <>
struct batten::side_traits<one_before_the_end> {
    static constexpr std::size_t offset(const one_before_the_end&, std::size_t length, std::size_t width)
    {
        return width == length ? 0 : width - length - 1;
    }
};

namespace {

constexpr bool unpads_in_constant_evaluation()
{
    const std::array<int, 3> lengths{1, 0, 2};
    const std::array<int, 6> padded{0, 7, 0, 0, 8, 9};
    std::array<int, 3> packed{};
    std::array<std::int32_t, 4> cu_seqlens{};
    std::array<std::int64_t, 3> indices{};
    std::array<int, 6> again{-1, -1, -1, -1, -1, -1};
    const varlen_map rows(batten::padded_rows(lengths, 2, pad_left{}));
    rows.gather_rows(padded, 1, packed);
    rows.cu_seqlens(cu_seqlens);
    rows.indices(indices);
    rows.scatter_rows(packed, 1, again);
    std::array<int, 6> longer{};
    return tests::holds(packed, {7, 8, 9}) && tests::holds(cu_seqlens, {0, 1, 1, 3}) && tests::holds(indices, {1, 4, 5}) &&
           again == padded && extend_cu_seqlens(cu_seqlens, longer) == 2 && tests::holds(longer, {0, 1, 1, 3, 3, 3});
}
static_assert(unpads_in_constant_evaluation());
static_assert(varlen_map(batten::padded_rows(std::span<const int>(), 4, pad_right{})).shape() == varlen_shape{0, 4, 0, 0, 0});

}  // namespace

TEST_CASE("indices are the cells of real tokens, cu_seqlens where each row of them begins, as unpad_input of flash-attn has it")
{
    const std::vector<std::int64_t> lengths{2, 0, 3};
    const auto checked = [&](auto side, const line& expected) {
        const varlen_map rows(batten::padded_rows(lengths, 4, side));
        CHECK(rows.shape() == varlen_shape{3, 4, 3, 5, 3});
        guarded<std::int64_t> indices(5);
        guarded<std::int32_t> narrow(5), cu_seqlens(4);
        CHECK(rows.indices(indices.cells()) == rows.shape());
        CHECK(rows.indices(narrow.cells()).tokens == 5);
        CHECK(rows.cu_seqlens(cu_seqlens.cells()).max_seqlen == 3);
        CHECK(line_of(indices.cells()) == expected);
        CHECK(line_of(narrow.cells()) == expected);
        CHECK(line_of(cu_seqlens.cells()) == line{0, 2, 2, 5});
        CHECK(indices.only_inside());
        CHECK(cu_seqlens.only_inside());
    };
    checked(pad_right{}, {0, 1, 8, 9, 10});
    checked(pad_left{}, {2, 3, 9, 10, 11});
    checked(in_the_middle{}, {1, 2, 8, 9, 10});
    checked(one_before_the_end{}, {1, 2, 8, 9, 10});
}

TEST_CASE("unpadding a padded batch's token ids gives the packed batch, with its cu_seqlens and max_seqlen")
{
    const ragged sequences{{1, 2, 3}, {}, {4}, {5, 6, 7, 8}};
    const auto padded = batten::collator<pad_left, batten::round_up_to<8>>{{.pad_id = 0}}(sequences);
    const auto packed = batten::varlen_collator<>{{.pad_id = 0}}(sequences);
    const varlen_map rows(padded);
    std::vector<std::int64_t> tokens(rows.shape().tokens);
    std::vector<std::int32_t> cu_seqlens(padded.rows() + 1);
    rows.gather_rows(padded.token_ids(), 1, tokens);
    CHECK(rows.cu_seqlens(cu_seqlens).max_seqlen == packed.summary().max_seqlen);
    CHECK(line_of(tokens) == line_of(packed.token_ids()));
    CHECK(line_of(cu_seqlens) == line_of(packed.cu_seqlens()));
}

namespace {

template <class E, class Side>
void check_inverses(std::mt19937& draw, Side side, batten::store_policy stores, std::size_t d)
{
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(draw() % n); };
    const std::size_t width = below(7);
    std::vector<std::uint16_t> lengths(below(6));
    for (auto& length : lengths)
        length = static_cast<std::uint16_t>(below(width + 1));
    const varlen_map rows(batten::padded_rows(lengths, width, side));
    const varlen_shape shape = rows.shape();
    std::vector<std::size_t> indices(shape.tokens);
    rows.indices(indices);

    const auto any = [&](std::size_t n) {
        std::vector<E> elements(n);
        for (E& element : elements) {
            const auto value = static_cast<std::uint8_t>(below(250));
            if constexpr (std::is_same_v<E, rgb>)
                element = {value, value, 9};
            else
                element = static_cast<E>(value);
        }
        return elements;
    };
    // Unpad is what index_select says, row by row.
    const std::vector<E> hidden = any(lengths.size() * width * d);
    guarded<E> packed(shape.tokens * d);
    CHECK(rows.gather_rows(hidden, d, packed.cells(), stores) == shape);
    CHECK(packed.only_inside());
    std::vector<E> selected;
    for (const std::size_t cell : indices)
        for (std::size_t i = 0; i < d; ++i)
            selected.push_back(hidden[cell * d + i]);
    CHECK(std::equal(selected.begin(), selected.end(), packed.cells().begin(), packed.cells().end()));

    // Pad is its inverse: real cells come back, all others hold the fill.
    const E fill = any(1)[0];
    guarded<E> filled(hidden.size()), zeroed(hidden.size());
    CHECK(rows.scatter_rows(packed.cells(), d, filled.cells(), fill, stores) == shape);
    CHECK(rows.scatter_rows(packed.cells(), d, zeroed.cells(), stores) == shape);
    CHECK(filled.only_inside());
    CHECK(zeroed.only_inside());
    std::vector<E> expected(hidden.size(), fill);
    std::vector<E> zeros(hidden.size());
    if (!zeros.empty())
        std::memset(static_cast<void*>(zeros.data()), 0, zeros.size() * sizeof(E));
    for (const std::size_t cell : indices)
        for (std::size_t i = 0; i < d; ++i)
            zeros[cell * d + i] = expected[cell * d + i] = hidden[cell * d + i];
    CHECK(std::equal(expected.begin(), expected.end(), filled.cells().begin()));
    CHECK(std::equal(zeros.begin(), zeros.end(), zeroed.cells().begin()));

    // And the other way round: what was padded unpads to the same.
    guarded<E> again(packed.cells().size());
    rows.gather_rows(filled.cells(), d, again.cells());
    CHECK(std::equal(again.cells().begin(), again.cells().end(), packed.cells().begin()));
}

}  // namespace

TEST_CASE("pad and unpad are inverses of one another, on every side, for every element and with either stores")
{
    std::mt19937 draw(7);
    for (const batten::store_policy stores : {batten::ordinary, batten::non_temporal})
        for (std::size_t i = 0; i < 60; ++i) {
            const std::size_t d = i % 12 == 11 ? 1500 : i % 4;  // more than a block, or a few
            check_inverses<float>(draw, pad_right{}, stores, d);
            check_inverses<double>(draw, pad_left{}, stores, d);
            check_inverses<std::uint16_t>(draw, in_the_middle{}, stores, d);
            check_inverses<rgb>(draw, one_before_the_end{}, stores, d);
            check_inverses<std::int8_t>(draw, pad_left{}, stores, d);
        }
}

TEST_CASE("cu_seqlens of a constant shape ends with empty sequences")
{
    const std::vector<std::int64_t> cu_seqlens{0, 3, 4, 4, 6};
    std::vector<std::int32_t> out(8, -1);
    CHECK(extend_cu_seqlens(cu_seqlens, out) == 3);
    CHECK(line_of(out) == line{0, 3, 4, 4, 6, 6, 6, 6});
    std::vector<std::int32_t> same(5);
    CHECK(extend_cu_seqlens(cu_seqlens, same) == 0);
    CHECK(line_of(same) == line{0, 3, 4, 4, 6});
    CHECK(extend_cu_seqlens(std::vector<int>{0}, same) == 4);
    CHECK(line_of(same) == line{0, 0, 0, 0, 0});
    std::vector<int> in_place{0, 2, 5, -1, -1};
    CHECK(extend_cu_seqlens(std::span(in_place).first(3), in_place) == 2);
    CHECK(line_of(in_place) == line{0, 2, 5, 5, 5});
}

TEST_CASE("cu_seqlens that fit no constant shape are refused before the first write")
{
    const auto error_of = [](const std::vector<std::int64_t>& cu_seqlens) {
        guarded<std::int32_t> out(3);
        const auto tried = try_extend_cu_seqlens(cu_seqlens, out.cells());
        CHECK_FALSE(tried.has_value());
        check_throws(tried.error(), [&] { extend_cu_seqlens(cu_seqlens, out.cells()); });
        CHECK(out.untouched());
        return error_is(tried.error());
    };
    CHECK(error_of({0, 1, 2, 3}) == error_is(errors::span_too_small, no_row, 4, 3, "cu_seqlens"));
    CHECK(error_of({}) == error_is(errors::input_empty, no_row, 0, 0, "cu_seqlens"));
    CHECK(error_of({1, 2}) == error_is(errors::offsets_not_from_zero, no_row, 1, 0, "cu_seqlens"));
    CHECK(error_of({0, 5, 4}) == error_is(errors::offsets_decrease, 1, 5, 4));
    CHECK(error_of({0, std::int64_t{1} << 31}) ==
          error_is(errors::value_not_representable, no_row, std::int64_t{1} << 31, 0, "cu_seqlens"));
}

TEST_CASE("lengths, sides and spans that do not fit together are errors before the first write")
{
    // Every call says the same.
    const auto error_of = [](const std::vector<int>& lengths, auto side) {
        const varlen_map rows(batten::padded_rows(lengths, 4, side));
        guarded<std::int32_t> out(4);
        guarded<float> hidden(12);
        const std::vector<float> packed(4);
        const auto tried = rows.try_shape();
        CHECK_FALSE(tried.has_value());
        check_throws(tried.error(), [&] { static_cast<void>(rows.shape()); });
        for (const batten::error& other :
             {rows.try_indices(out.cells()).error(), rows.try_cu_seqlens(out.cells()).error(),
              rows.try_gather_rows(packed, 1, hidden.cells()).error(), rows.try_scatter_rows(packed, 1, hidden.cells()).error(),
              rows.try_scatter_rows(packed, 1, hidden.cells(), 1.0F).error()})
            CHECK(error_is(other) == error_is(tried.error()));
        CHECK(out.untouched());
        CHECK(hidden.untouched());
        return error_is(tried.error());
    };
    CHECK(error_of({1, 5, 2}, pad_left{}) == error_is(errors::segment_past_row, 1, 5, 4, "the row"));
    CHECK(error_of({1, 2, -1}, pad_right{}) == error_is(errors::length_negative, 2, -1));
    CHECK(error_of({4, 1, 1}, past_the_row{}) == error_is(errors::offset_past_width, 0, 1, 0));

    const std::vector<int> lengths{1, 2};
    const varlen_map rows(batten::padded_rows(lengths, 3, pad_right{}));
    guarded<std::int32_t> out(8);
    CHECK(error_is(rows.try_indices(out.cells().first(2)).error()) ==
          error_is(errors::span_too_small, no_row, 3, 2, "indices"));
    CHECK(error_is(rows.try_cu_seqlens(out.cells().first(4)).error()) ==
          error_is(errors::span_too_large, no_row, 3, 4, "cu_seqlens"));
    guarded<float> padded(12), packed(6);
    CHECK(error_is(rows.try_gather_rows(padded.cells(), 2, packed.cells().first(5)).error()) ==
          error_is(errors::span_too_small, no_row, 6, 5, "packed"));
    CHECK(error_is(rows.try_scatter_rows(packed.cells(), 3, padded.cells()).error()) ==
          error_is(errors::span_too_small, no_row, 18, 12, "padded"));
    check_throws(rows.try_gather_rows(padded.cells(), 1, packed.cells()).error(),
                 [&] { rows.gather_rows(padded.cells(), 1, packed.cells()); });
    check_throws(rows.try_scatter_rows(packed.cells(), 1, padded.cells()).error(),
                 [&] { rows.scatter_rows(packed.cells(), 1, padded.cells()); });
    CHECK(rows.try_gather_rows(padded.cells(), std::numeric_limits<std::size_t>::max(), packed.cells()).error().code ==
          errors::size_overflow);
    CHECK(varlen_map(batten::padded_rows(lengths, std::numeric_limits<std::size_t>::max(), pad_left{})).try_shape().error().code == errors::size_overflow);
    CHECK(out.untouched());
    CHECK(padded.untouched());
    CHECK(packed.untouched());
}

TEST_CASE("totals and cells beyond the type that is asked for are errors, int32 among them")
{
    const std::size_t half = std::size_t{1} << 30;
    const std::vector<std::size_t> lengths{half, half};
    const varlen_map rows(batten::padded_rows(lengths, half, pad_right{}));
    std::array<std::int32_t, 3> cu_seqlens{7, 7, 7};
    CHECK(error_is(rows.try_cu_seqlens(cu_seqlens).error()) ==
          error_is(errors::value_not_representable, no_row, 2 * half, 0, "cu_seqlens"));
    CHECK(line_of(cu_seqlens) == line{7, 7, 7});
    std::array<std::int64_t, 3> wide{};
    CHECK(rows.cu_seqlens(wide).tokens == 2 * half);

    // The last cell decides, not the number of tokens.
    const std::vector<int> short_rows{1, 1, 1};
    const varlen_map far(batten::padded_rows(short_rows, half, pad_right{}));
    std::array<std::int32_t, 3> narrow{7, 7, 7};
    CHECK(error_is(far.try_indices(narrow).error()) ==
          error_is(errors::value_not_representable, 2, 2 * half, 0, "indices"));
    CHECK(line_of(narrow) == line{7, 7, 7});
    CHECK(varlen_map(batten::padded_rows(short_rows, half - 1, pad_right{})).try_indices(narrow).has_value());
}
