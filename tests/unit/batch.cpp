// SPDX-License-Identifier: MIT
// Results: shapes, the caller's spans, 2-D views, and batches that own their memory.

#include "support.hpp"

#include <array>
#include <type_traits>

namespace {

namespace errors = batten::errors;
using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::guarded;
using tests::guarded_fields;
using tests::holds;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::ragged;

using collator = batten::collator<batten::pad_right, batten::dynamic_length>;
const collator collate{{.pad_id = 0}};
const ragged two{{5, 6, 7}, {8}};

// ---- shapes -----------------------------------------------------------------------------------------------------------

constexpr auto shape_of_two = tests::shape_of<batten::causal_lm_fields>(2, 3);
static_assert(shape_of_two.elements<batten::token_ids>() == 6 && shape_of_two.elements<batten::token_ids<>>() == 6);
static_assert(shape_of_two.elements<batten::token_ids>(5) == 8);  // (rows - 1) * row_stride + width
static_assert(shape_of_two.elements<batten::lengths>() == 2);
static_assert(tests::shape_of<batten::causal_lm_fields>(0, 3).elements<batten::token_ids>(5) == 0);
static_assert(tests::shape_of<batten::fields<batten::column<"types">>>(2, 3).elements<"types">() == 6);

TEST_CASE("shape says rows, width and elements, and writes nothing")
{
    CHECK(collate.shape(two) == shape_of_two);
    CHECK(collate(two).shape() == shape_of_two);
}

// ---- the summary ------------------------------------------------------------------------------------------------------

TEST_CASE("the summary adds up: real tokens and padded cells are all cells")
{
    const auto batch = collate(ragged{{5, 6, 7}, {8}, {}});
    CHECK(batch.summary() ==
          batten::summary{.real_tokens = 4, .padded_cells = 5, .targets = 2, .rows_without_targets = 2, .max_seqlen = 3});
    CHECK(batch.summary().real_tokens + batch.summary().padded_cells == batch.rows() * batch.width());
    batten::summary sum = batch.summary();
    sum += batten::summary{1, 2, 3, 4, 5, 2};
    CHECK(sum == batten::summary{5, 7, 3, 6, 7, 3});  // the longest is the longer of both
}

// ---- get, view, and the names -----------------------------------------------------------------------------------------

TEST_CASE("a field is named by its type, its template or a column's name")
{
    const ragged types{{1, 2, 3}, {4}};
    using fields = batten::fields<batten::token_ids<std::int32_t>, batten::column<"types", std::uint8_t>>;
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields> typed{{.pad_id = 0}};
    auto batch = typed(batten::inputs{two, batten::none, batten::none, batten::columns{batten::named<"types">(types)}});
    CHECK(line_of(batch.get<batten::token_ids>()) == line{5, 6, 7, 8, 0, 0});
    CHECK(line_of(batch.get<batten::token_ids<std::int32_t>>()) == line{5, 6, 7, 8, 0, 0});
    CHECK(line_of(batch.get<batten::token_ids>(1)) == line{8, 0, 0});
    CHECK(line_of(batch.get<"types">()) == line{1, 2, 3, 4, 0, 0});
    CHECK(line_of(batch.get<"types">(1)) == line{4, 0, 0});
    CHECK(line_of(batch.get<batten::column<"types", std::uint8_t>>(0)) == line{1, 2, 3});
    CHECK(batch.view<"types">()(1, 0) == 4);
    CHECK(batch.view<batten::token_ids>()(0, 2) == 7);
    CHECK(line_of(batch.get<batten::lengths>()) == line{3, 1});
}

TEST_CASE("the named accessors are the fields of that name")
{
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject,
                           batten::fields<batten::token_ids<>, batten::attention_mask<>, batten::position_ids<>,
                                          batten::loss_mask<>, batten::labels<>, batten::segment_ids<>>>
        all{{.pad_id = 9}};
    const auto batch = all(two);
    CHECK(line_of(batch.token_ids()) == line{5, 6, 7, 9, 9, 8});
    CHECK(line_of(batch.attention_mask(1)) == line{0, 0, 1});
    CHECK(line_of(batch.position_ids(0)) == line{0, 1, 2});
    CHECK(line_of(batch.loss_mask(0)) == line{1, 1, 1});
    CHECK(line_of(batch.labels(1)) == line{-100, -100, -100});
    CHECK(line_of(batch.segment_ids()) == line{1, 1, 1, 0, 0, 1});
    CHECK(line_of(batch.lengths()) == line{3, 1});
    CHECK(line_of(batch.truncated_tokens()) == line{0, 0});
    CHECK(line_of(batch.target_counts()) == line{2, 0});
}

TEST_CASE("a batch's cells can be written where it is not const, and only read where it is")
{
    auto batch = collate(two);
    const auto& read = batch;
    static_assert(std::is_same_v<decltype(batch.token_ids()), std::span<std::int64_t>>);
    static_assert(std::is_same_v<decltype(read.token_ids()), std::span<const std::int64_t>>);
    static_assert(std::is_same_v<decltype(batch.view<batten::token_ids>()), batten::matrix_view<std::int64_t>>);
    static_assert(std::is_same_v<decltype(read.view<batten::token_ids>()), batten::matrix_view<const std::int64_t>>);
    batch.view<batten::token_ids>()(1, 2) = 77;
    CHECK(line_of(read.token_ids(1)) == line{8, 0, 77});
    CHECK(batch.token_ids().data() == read.token_ids().data());
}

TEST_CASE("a matrix_view finds rows by its row_stride")
{
    std::array<int, 8> cells{1, 2, 3, -1, 4, 5, 6, -1};
    const batten::matrix_view<int> view(cells.data(), 2, 3, 4);
    CHECK(grid_of(view) == grid{{1, 2, 3}, {4, 5, 6}});
    CHECK(view(1, 2) == 6);
    CHECK(view.data() == cells.data());
    CHECK(view.row_stride() == 4);
    view(0, 0) = 9;
    CHECK(cells[0] == 9);
    CHECK(batten::matrix_view<int>().rows() == 0);
    CHECK(grid_of(batten::matrix_view(cells.data(), 2, 3)) == grid_of(batten::matrix_view(cells.data(), 2, 3, 3)));
}

#if defined(__cpp_lib_mdspan)
static_assert(std::is_convertible_v<batten::matrix_view<int>, batten::matrix_view<const int>> &&
              !std::is_convertible_v<batten::matrix_view<const int>, batten::matrix_view<int>> &&
              !std::is_convertible_v<batten::matrix_view<int>, batten::matrix_view<const long>>);

TEST_CASE("a matrix_view converts to one of const elements")
{
    std::vector<int> cells{1, 2, 3, 4, 5, 6, 7, 8};
    const batten::matrix_view<int> view(cells.data(), 2, 3, 4);
    const batten::matrix_view<const int> read = view;
    CHECK(read.data() == cells.data());
    CHECK((read.rows() == 2 && read.width() == 3 && read.row_stride() == 4));
    CHECK(read(1, 2) == 7);
}

TEST_CASE("a matrix_view is an mdspan where the standard library has it")
{
    std::array<int, 8> cells{1, 2, 3, -1, 4, 5, 6, -1};
    const auto matrix = batten::matrix_view<int>(cells.data(), 2, 3, 4).mdspan();
    CHECK(matrix.extent(0) == 2);
    CHECK(matrix.extent(1) == 3);
    CHECK(matrix[std::array<std::size_t, 2>{1, 2}] == 6);
}
#endif

// ---- element types and alignment --------------------------------------------------------------------------------------

template <class Batch>
bool is_aligned(const Batch& batch)
{
    bool aligned = true;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        ((aligned = aligned && reinterpret_cast<std::uintptr_t>(batch.template field_span<I>().data()) % 64 == 0), ...);
    }
    (std::make_index_sequence<Batch::fields_type::count>{});
    return aligned;
}

TEST_CASE("bool, float and byte elements are plain arrays, and every field's memory is aligned to 64 bytes")
{
    using fields = batten::fields<batten::token_ids<std::uint16_t>, batten::attention_mask<bool>, batten::loss_mask<float>,
                                  batten::segment_ids<std::uint8_t>, batten::position_ids<std::int32_t>>;
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> typed{{.pad_id = 0}};
    for (std::size_t rows = 1; rows < 20; ++rows) {
        auto batch = typed(ragged(rows, std::vector<int>(rows * 7, 3)));
        static_assert(std::is_same_v<decltype(batch.attention_mask()), std::span<bool>>);
        static_assert(std::is_same_v<decltype(batch.loss_mask()), std::span<float>>);
        CHECK(is_aligned(batch));
        CHECK(batch.attention_mask().size() == rows * rows * 7);
        CHECK(batch.attention_mask()[0]);
        CHECK(batch.loss_mask(0)[0] == 1.0F);
    }
}

// ---- lifetime ---------------------------------------------------------------------------------------------------------

TEST_CASE("moving a batch keeps its spans valid")
{
    auto batch = collate(two);
    const auto ids = batch.token_ids();
    const auto moved = std::move(batch);
    CHECK(moved.token_ids().data() == ids.data());
    CHECK(line_of(ids) == line{5, 6, 7, 8, 0, 0});
    collator::batch_type assigned;
    assigned = collate(two);
    const auto before = assigned.token_ids();
    collator::batch_type other;
    other = std::move(assigned);
    CHECK(other.token_ids().data() == before.data());
    CHECK(other.rows() == 2);
    CHECK(other.width() == 3);
}

TEST_CASE("a batch that was moved from can be filled again")
{
    auto batch = collate(two);
    const auto moved = std::move(batch);
    CHECK(batch.rows() == 0);
    CHECK(batch.width() == 0);
    CHECK(batch.summary() == batten::summary{});
    collate(ragged{{1}}, batch);
    CHECK(line_of(batch.token_ids()) == line{1});
    CHECK(line_of(moved.token_ids()) == line{5, 6, 7, 8, 0, 0});
}

TEST_CASE("copies of a batch are deep")
{
    auto batch = collate(two);
    auto copy = batch;
    copy.token_ids()[0] = 99;
    CHECK(batch.token_ids()[0] == 5);
    CHECK(copy.summary() == batch.summary());
    CHECK(is_aligned(copy));
    batch = copy;
    CHECK(batch.token_ids()[0] == 99);
    const auto& same = batch;
    batch = same;
    CHECK(line_of(batch.token_ids()) == line{99, 6, 7, 8, 0, 0});
    const collator::batch_type nothing;
    const auto copied = nothing;
    CHECK(copied.rows() == 0);
    CHECK(copied.token_ids().empty());
}

TEST_CASE("a reused batch keeps its memory, whatever comes")
{
    auto batch = collate(ragged(8, std::vector<int>(64, 1)));
    const auto* const memory = batch.token_ids().data();
    const auto done = collate(two, batch);
    CHECK(done.summary == batch.summary());
    CHECK(done.shape == batch.shape());
    CHECK(batch.token_ids().data() == memory);
    CHECK(line_of(batch.token_ids()) == line{5, 6, 7, 8, 0, 0});
    collate(ragged{}, batch);
    CHECK(batch.rows() == 0);
    CHECK(batch.token_ids().empty());
    collate(ragged(8, std::vector<int>(64, 1)), batch);
    CHECK(batch.token_ids().data() == memory);
}

// ---- the caller's spans -----------------------------------------------------------------------------------------------

using two_fields = batten::fields<batten::token_ids<std::int32_t>, batten::attention_mask<std::uint8_t>>;
using small_collator = batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, two_fields>;
const small_collator small{{.pad_id = 0}};

TEST_CASE("spans are named by template, by type, in any order, from any contiguous range")
{
    std::vector<std::int32_t> ids(6);
    std::array<std::uint8_t, 6> mask{};
    const auto done = small.into(two, batten::outputs{batten::set<batten::attention_mask<std::uint8_t>>(mask),
                                                      batten::set<batten::token_ids>(std::span(ids))});
    CHECK(line_of(ids) == line{5, 6, 7, 0, 0, 8});
    CHECK(line_of(mask) == line{1, 1, 1, 0, 0, 1});
    CHECK(done.rows() == 2);
    CHECK(done.width() == 3);
    CHECK(done.shape == small.shape(two));
    CHECK(done.summary == batten::summary{.real_tokens = 4,
                                     .padded_cells = 2,
                                     .targets = 2,
                                     .rows_without_targets = 1,
                                     .max_seqlen = 3});
}

TEST_CASE("a column's span is named by the column")
{
    using fields = batten::fields<batten::column<"weights", float>>;
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields> weighted{{.pad_id = 0}};
    const std::vector<std::vector<float>> weights{{1.0F, 2.0F, 3.0F}, {4.0F}};
    std::vector<float> out(6);
    weighted.into(batten::inputs{two, batten::none, batten::none, batten::columns{batten::named<"weights">(weights)}},
                  batten::outputs{batten::set<"weights">(out)});
    CHECK(out == std::vector<float>{1.0F, 2.0F, 3.0F, 4.0F, 0.0F, 0.0F});
}

TEST_CASE("lengths, dropped tokens and targets may be asked for beside the fields, in types of the caller's")
{
    std::vector<std::int32_t> ids(6);
    std::vector<std::uint8_t> mask(6);
    std::vector<std::int32_t> lengths(2);
    std::vector<std::uint16_t> dropped(2, 9);
    std::vector<std::int64_t> targets(2);
    small.into(two, batten::outputs{batten::set<batten::lengths>(lengths), batten::set<batten::token_ids>(ids),
                                    batten::set<batten::attention_mask>(mask), batten::set<batten::target_counts>(targets),
                                    batten::set<batten::truncated_tokens>(dropped)});
    CHECK(line_of(lengths) == line{3, 1});
    CHECK(line_of(dropped) == line{0, 0});
    CHECK(line_of(targets) == line{2, 0});
}

TEST_CASE("spans of the caller's are written from the first cell to the last, and nothing beside them")
{
    for (std::size_t offset = 60; offset < 69; ++offset) {
        auto memory = guarded_fields<two_fields>::of(small.shape(two), 0, offset);
        small.into(two, memory.outputs());
        CHECK(memory.only_inside());
        CHECK(line_of(memory.get<batten::token_ids<std::int32_t>>().cells()) == line{5, 6, 7, 0, 0, 8});
        CHECK(line_of(memory.get<batten::attention_mask<std::uint8_t>>().cells()) == line{1, 1, 1, 0, 0, 1});
    }
}

TEST_CASE("with a row_stride the cells between the rows are not touched")
{
    for (const std::size_t row_stride : {3U, 4U, 7U, 64U}) {
        auto memory = guarded_fields<two_fields>::of(small.shape(two), row_stride);
        auto& ids = memory.get<batten::token_ids<std::int32_t>>();
        auto& mask = memory.get<batten::attention_mask<std::uint8_t>>();
        small.into(two, memory.outputs(row_stride));
        CHECK(ids.only_rows(2, 3, row_stride));
        CHECK(mask.only_rows(2, 3, row_stride));
        CHECK(grid_of(ids.matrix(2, 3, row_stride)) == grid{{5, 6, 7}, {0, 0, 8}});
        CHECK(grid_of(mask.matrix(2, 3, row_stride)) == grid{{1, 1, 1}, {0, 0, 1}});
    }
}

TEST_CASE("each field may have a row_stride of its own, and room behind its last row")
{
    guarded<std::int32_t> ids(2 * 5);
    guarded<std::uint8_t> mask(6);
    small.into(two, batten::outputs{batten::set<batten::token_ids>(ids.cells(), 5),
                                    batten::set<batten::attention_mask>(mask.cells())});
    CHECK(ids.only_rows(2, 3, 5));
    CHECK(mask.only_inside());
    CHECK(grid_of(ids.matrix(2, 3, 5)) == grid{{5, 6, 7}, {0, 0, 8}});
}

template <class... Named>
error_is into_error(const batten::outputs<Named...>& out, const ragged& in = two)
{
    const auto result = small.try_into(in, out);
    CHECK_FALSE(result.has_value());
    tests::check_throws(result.error(), [&] { small.into(in, out); });
    return result.error();
}

TEST_CASE("a span that is too small is an error that names the field, what is needed and what was given")
{
    guarded<std::int32_t> ids(6);
    guarded<std::uint8_t> mask(6);
    const auto good = batten::set<batten::attention_mask>(mask.cells());
    CHECK(into_error(batten::outputs{batten::set<batten::token_ids>(ids.cells().first(5)), good}) ==
          error_is(errors::span_too_small, no_row, 6, 5, "token_ids"));
    CHECK(into_error(batten::outputs{batten::set<batten::token_ids>(ids.cells().first(0)), good}) ==
          error_is(errors::span_too_small, no_row, 6, 0, "token_ids"));
    // The last field is wrong: the first is not written either.
    CHECK(into_error(batten::outputs{batten::set<batten::token_ids>(ids.cells()),
                                     batten::set<batten::attention_mask>(mask.cells().first(5))}) ==
          error_is(errors::span_too_small, no_row, 6, 5, "attention_mask"));
    CHECK(ids.untouched());
    CHECK(mask.untouched());
    CHECK(small.try_into(two, batten::outputs{batten::set<batten::token_ids>(ids.cells().first(5)), good}).error().message() ==
          "batten: token_ids needs 6 elements, the span has 5");
}

TEST_CASE("a row_stride below the width, or a span that does not fit its row_stride, is an error")
{
    guarded<std::int32_t> ids(11);
    guarded<std::uint8_t> mask(6);
    const auto good = batten::set<batten::attention_mask>(mask.cells());
    CHECK(into_error(batten::outputs{batten::set<batten::token_ids>(ids.cells(), 2), good}) ==
          error_is(errors::row_stride_too_small, no_row, 3, 2, "token_ids"));
    CHECK(into_error(batten::outputs{batten::set<batten::token_ids>(ids.cells().first(7), 5), good}) ==
          error_is(errors::span_too_small, no_row, 8, 7, "token_ids"));
    CHECK(ids.untouched());
    CHECK(mask.untouched());
}

TEST_CASE("rule 10: rows x row_stride is checked before the first write")
{
    guarded<std::int32_t> ids(6);
    guarded<std::uint8_t> mask(6);
    constexpr std::size_t most = static_cast<std::size_t>(-1);
    CHECK(into_error(batten::outputs{batten::set<batten::token_ids>(ids.cells(), most),
                                     batten::set<batten::attention_mask>(mask.cells())}) ==
          error_is(errors::size_overflow, no_row, 2, most, "token_ids"));
    CHECK(into_error(batten::outputs{batten::set<batten::token_ids>(ids.cells(), most / 2 + 2),
                                     batten::set<batten::attention_mask>(mask.cells())})
              .code == errors::size_overflow);
    CHECK(ids.untouched());
    CHECK(mask.untouched());
}

TEST_CASE("a span of a segment field has at least as many elements as there are segments")
{
    std::vector<std::int32_t> ids(6);
    std::vector<std::uint8_t> mask(6);
    guarded<std::int64_t> lengths(3);
    const auto with = [&](std::span<std::int64_t> cells) {
        return batten::outputs{batten::set<batten::token_ids>(ids), batten::set<batten::attention_mask>(mask),
                               batten::set<batten::lengths>(cells)};
    };
    CHECK(into_error(with(lengths.cells().first(1))) == error_is(errors::span_too_small, no_row, 2, 1, "lengths"));
    CHECK(lengths.untouched());
    CHECK(line_of(ids) == line{0, 0, 0, 0, 0, 0});
}

TEST_CASE("a span may be larger than a batch needs, and keeps its other elements: one buffer for the largest batch")
{
    guarded<std::int32_t> ids(40);
    guarded<std::uint8_t> mask(40);
    guarded<std::int64_t> lengths(40);
    const auto out = batten::outputs{batten::set<batten::token_ids>(ids.cells()), batten::set<batten::attention_mask>(mask.cells(), 6),
                                     batten::set<batten::lengths>(lengths.cells())};
    for (const ragged& rows : {ragged{{1, 2, 3, 4}, {5}, {6}}, two, ragged{{9}}}) {
        const auto done = small.into(rows, out);
        const auto owned = small(rows);
        CHECK(done.shape == owned.shape());
        CHECK(done.summary == owned.summary());
        CHECK(grid_of(batten::matrix_view(ids.cells().data(), done.rows(), done.width(), done.width())) ==
              grid_of(owned.view<batten::token_ids>()));
        CHECK(grid_of(mask.matrix(done.rows(), done.width(), 6)) == grid_of(owned.view<batten::attention_mask>()));
        CHECK(line_of(lengths.cells().first(done.shape.segments())) == line_of(owned.lengths()));
    }
    // What was written of the largest: 12 ids, 3 rows of 6 mask cells, 3 lengths. The rest is as it was.
    const auto poison = guarded<std::int32_t>(1).cells()[0];
    CHECK(std::count(ids.cells().begin() + 12, ids.cells().end(), poison) == 28);
    CHECK(mask.only_rows(3, 4, 6));
    CHECK(std::count(lengths.cells().begin() + 3, lengths.cells().end(), guarded<std::int64_t>(1).cells()[0]) == 37);
    CHECK(ids.only_inside());
    CHECK(lengths.only_inside());
}

TEST_CASE("the last element of cu_seqlens is the end of the batch, however large its span is")
{
    using packed = batten::fields<batten::token_ids<std::int32_t>, batten::cu_seqlens<>>;
    const batten::varlen_collator<batten::round_up_to<4>, packed> pack{{.pad_id = 0}};
    guarded<std::int32_t> ids(20), ends(20);
    const auto done = pack.into(ragged{{1, 2, 3}, {4, 5}},
                                   batten::outputs{batten::set<batten::token_ids>(ids.cells()), batten::set<batten::cu_seqlens>(ends.cells())});
    CHECK(done.shape.segments() == 2);
    CHECK(done.shape.pad_segments() == 1);
    CHECK(done.shape.elements<batten::cu_seqlens>() == 4);
    CHECK(line_of(ends.cells().first(4)) == line{0, 3, 5, 8});
    const auto poison = guarded<std::int32_t>(1).cells()[0];
    CHECK(std::count(ends.cells().begin() + 4, ends.cells().end(), poison) == 16);
}

TEST_CASE("an empty batch takes empty spans, with a row_stride too")
{
    std::span<std::int32_t> ids;
    std::span<std::uint8_t> mask;
    CHECK(small.into(ragged{}, batten::outputs{batten::set<batten::token_ids>(ids),
                                               batten::set<batten::attention_mask>(mask)}).summary == batten::summary{});
    CHECK(small.into(ragged{}, batten::outputs{batten::set<batten::token_ids>(ids, 8),
                                               batten::set<batten::attention_mask>(mask, 3)}).summary == batten::summary{});
    CHECK(small
              .into(ragged{{}, {}},
                    batten::outputs{batten::set<batten::token_ids>(ids), batten::set<batten::attention_mask>(mask)})
              .summary.rows_without_targets == 2);
}

// ---- in constant evaluation -------------------------------------------------------------------------------------------

constexpr bool into_in_constant_evaluation()
{
    constexpr small_collator constant{{.pad_id = 0}};
    const std::array<int, 3> first{5, 6, 7};
    const std::array<int, 1> second{8};
    const std::array<std::span<const int>, 2> rows{first, second};
    std::array<std::int32_t, 8> ids{-1, -1, -1, -1, -1, -1, -1, -1};
    std::array<std::uint8_t, 6> mask{};
    const auto done =
        constant.into(rows, batten::outputs{batten::set<batten::token_ids>(ids, 4), batten::set<batten::attention_mask>(mask)});
    const auto bad = constant.try_into(
        rows, batten::outputs{batten::set<batten::token_ids>(ids, 2), batten::set<batten::attention_mask>(mask)});
    return holds(ids, {5, 6, 7, -1, 0, 0, 8, -1}) && holds(mask, {1, 1, 1, 0, 0, 1}) && done.summary.real_tokens == 4 && !bad &&
           bad.error().code == errors::row_stride_too_small;
}
static_assert(into_in_constant_evaluation());

constexpr bool batches_copy_move_and_are_reused_in_constant_evaluation()
{
    constexpr small_collator constant{{.pad_id = 0}};
    const std::array<std::array<int, 2>, 2> rows{{{1, 2}, {3, 4}}};
    const std::array<std::array<int, 1>, 1> one{{{9}}};
    auto batch = constant(rows);
    auto copy = batch;
    const auto moved = std::move(copy);
    constant(one, batch);
    return holds(moved.token_ids(), {1, 2, 3, 4}) && holds(batch.token_ids(), {9}) &&
           batch.view<batten::token_ids>()(0, 0) == 9 && holds(moved.get<batten::token_ids>(1), {3, 4});
}
static_assert(batches_copy_move_and_are_reused_in_constant_evaluation());

}  // namespace
