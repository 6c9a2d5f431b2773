// SPDX-License-Identifier: MIT
// The engine through its front door: every policy meets the same table of edges, in guarded memory, against the model.

#include "reference.hpp"

namespace {

using tests::error_is;
using tests::guarded_fields;
using tests::line;
using tests::line_of;
using tests::ragged;
using tests::sample;

constexpr long long pad_id = 3;
constexpr long long ignore_index = -7;

// ---- the table --------------------------------------------------------------------------------------------------------

struct edge {
    const char* name;
    ragged rows;
};

// For a limit of 6 tokens: what a batch can be at its edges. The pad id is 3.
const std::vector<edge>& table()
{
    static const std::vector<edge> edges{
        {"an empty batch", {}},
        {"one empty row", {{}}},
        {"all-empty rows", {{}, {}, {}}},
        {"one row", {{5, 6}}},
        {"one row of one token", {{5}}},
        {"an exact fit", {{1, 2, 4, 5, 6, 7}, {5}}},
        {"one over", {{5, 6}, {1, 2, 4, 5, 6, 7, 8}, {9}}},
        {"one over, where the last token is a target alone", {{1, 2, 4, 5, 6, 7, 8, 9}}},
        {"a width that is no multiple of anything", {{1, 2, 4, 5, 6}, {1, 2, 4}}},
        {"the pad id as a real token, everywhere", {{3, 3, 3}, {3}, {3, 3, 3, 3, 3, 3}}},
        {"the pad id first and last", {{3, 5, 3}, {3, 5}, {5, 3}}},
        {"empty rows first, last and between", {{}, {5, 6, 7}, {}, {8}, {}}},
    };
    return edges;
}

template <class Side, class Length, class Overflow, class Token>
void check_edge(const edge& at, const Length& length, batten::target_alignment alignment)
{
    using fields = tests::modelled_fields;
    const batten::collator<typename Side::type, typename Length::type, typename Overflow::type, fields> collate{
        {.pad_id = pad_id, .length = length.make(), .side = {}, .targets = alignment, .ignore_index = ignore_index}};
    std::vector<sample> samples;
    std::vector<std::vector<Token>> rows;
    for (const std::vector<int>& row : at.rows) {
        samples.push_back({line_of(row), 0, {}});
        rows.emplace_back(row.begin(), row.end());
    }
    const auto expected = tests::model_batch<Side, Overflow>(samples, length, alignment, pad_id, ignore_index);
    INFO(at.name << ", alignment " << static_cast<int>(alignment));

    // As a batch of its own.
    const auto owned = collate.try_collate(rows);
    CHECK(owned.error().code == expected.code);
    CHECK(owned.error().row == (owned.has_value() ? tests::no_row : expected.error_row));
    if (owned.has_value())
        CHECK(tests::is_batch(*owned, expected));

    // Into memory of the caller's that begins at even and odd elements of a cache line, without a row_stride and with one.
    for (const std::size_t offset : {64U, 65U, 67U}) {
        for (const std::size_t gap : {0U, 1U, 5U}) {
            const std::size_t row_stride = gap == 0 ? 0 : expected.width + gap;
            const std::size_t rows_given = expected.rows.size();
            auto memory = guarded_fields<fields>::of(tests::shape_of<fields>(rows_given, expected.width), row_stride, offset);
            const auto written = collate.try_into(rows, memory.outputs(row_stride));
            CHECK(written.error().code == expected.code);
            CHECK(memory.only_inside());
            if (!written.has_value()) {
                CHECK(memory.untouched());
                continue;
            }
            bool same = written->summary == expected.totals() && written->rows() == rows_given && written->width() == expected.width;
            bool gaps = true;
            const auto compare = [&]<class Field>(const Field*, line tests::expected_row::*cells) {
                auto& given = memory.template get<Field>();
                const auto matrix = given.matrix(rows_given, expected.width, row_stride);
                for (std::size_t r = 0; r < rows_given; ++r)
                    same = same && tests::same_cells(matrix.row(r), expected.rows[r].*cells);
                if (rows_given != 0)
                    gaps = gaps && given.only_rows(rows_given, expected.width, row_stride == 0 ? expected.width : row_stride);
            };
            compare(static_cast<const batten::token_ids<std::int32_t>*>(nullptr), &tests::expected_row::ids);
            compare(static_cast<const batten::attention_mask<std::uint8_t>*>(nullptr), &tests::expected_row::mask);
            compare(static_cast<const batten::position_ids<>*>(nullptr), &tests::expected_row::positions);
            compare(static_cast<const batten::loss_mask<float>*>(nullptr), &tests::expected_row::loss);
            compare(static_cast<const batten::labels<>*>(nullptr), &tests::expected_row::labels);
            compare(static_cast<const batten::segment_ids<std::int16_t>*>(nullptr), &tests::expected_row::segments);
            CHECK(same);
            CHECK(gaps);
        }
    }
}

template <class Side, class Overflow, class Token, class Length>
void meets_the_table(const Length& length)
{
    for (const edge& at : table())
        for (const auto alignment :
             {batten::same_position, batten::model_shifts, batten::next_token, batten::next_token_drop_last})
            check_edge<Side, Length, Overflow, Token>(at, length, alignment);
}

// A case of the model's with options that are not random.
template <class Case>
Case made_of(std::size_t n)
{
    tests::random any(1);
    Case made(any);
    if constexpr (requires { made.n = n; })
        made.n = n;
    if constexpr (requires { made.edges; })
        made.edges = {2, 4, n};
    if constexpr (requires { made.inner; }) {
        made.most.reset();
        made.inner = made_of<decltype(made.inner)>(n);
    }
    return made;
}

// ---- every policy meets it --------------------------------------------------------------------------------------------

TEST_CASE("every length strategy meets the table of edges")
{
    using side = tests::right_case;
    using overflow = tests::reject_case;
    meets_the_table<side, overflow, int>(made_of<tests::fixed_case>(6));
    meets_the_table<side, overflow, int>(made_of<tests::static_case<6>>(6));
    meets_the_table<side, overflow, int>(made_of<tests::dynamic_case>(6));
    meets_the_table<side, overflow, int>(made_of<tests::dynamic_max_case>(6));
    meets_the_table<side, overflow, int>(made_of<tests::bucketed_case>(6));
    meets_the_table<side, overflow, int>(made_of<tests::round_up_case<4, tests::fixed_case>>(6));
    meets_the_table<side, overflow, int>(made_of<tests::round_up_case<4, tests::dynamic_case>>(6));
    meets_the_table<side, overflow, int>(made_of<tests::round_up_case<3, tests::bucketed_case>>(6));
    meets_the_table<side, overflow, int>(
        made_of<tests::round_up_case<64, tests::round_up_case<3, tests::dynamic_max_case>>>(6));
}

TEST_CASE("every side meets the table of edges")
{
    meets_the_table<tests::left_case, tests::reject_case, int>(made_of<tests::fixed_case>(6));
    meets_the_table<tests::centred_case, tests::reject_case, int>(made_of<tests::fixed_case>(6));
    meets_the_table<tests::left_case, tests::reject_case, int>(made_of<tests::dynamic_case>(6));
    meets_the_table<tests::centred_case, tests::reject_case, int>(made_of<tests::dynamic_case>(6));
}

TEST_CASE("every overflow policy meets the table of edges")
{
    meets_the_table<tests::right_case, tests::truncate_right_case, int>(made_of<tests::fixed_case>(6));
    meets_the_table<tests::left_case, tests::truncate_left_case, int>(made_of<tests::dynamic_max_case>(6));
    meets_the_table<tests::centred_case, tests::middle_case, int>(made_of<tests::bucketed_case>(6));
}

TEST_CASE("tokens of every integer type meet the table of edges")
{
    const auto length = made_of<tests::round_up_case<4, tests::fixed_case>>(6);
    meets_the_table<tests::left_case, tests::truncate_right_case, std::int8_t>(length);
    meets_the_table<tests::left_case, tests::truncate_right_case, std::uint16_t>(length);
    meets_the_table<tests::left_case, tests::truncate_right_case, std::uint32_t>(length);
    meets_the_table<tests::left_case, tests::truncate_right_case, std::int64_t>(length);
    meets_the_table<tests::left_case, tests::truncate_right_case, std::uint64_t>(length);
}

TEST_CASE("rule 2: an empty sequence is a row of pads, and nothing is read outside any buffer")
{
    // Empty spans that point nowhere, and behind the last token.
    const std::vector<std::uint16_t> tokens{5, 6};
    const std::vector<std::span<const std::uint16_t>> rows{{}, std::span(tokens).subspan(2), std::span(tokens), {}};
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, batten::training_fields> collate{
        {.pad_id = 0}};
    const auto batch = collate(rows);
    CHECK(line_of(batch.token_ids()) == line{0, 0, 0, 0, 5, 6, 0, 0});
    CHECK(line_of(batch.attention_mask()) == line{0, 0, 0, 0, 1, 1, 0, 0});
    CHECK(line_of(batch.lengths()) == line{0, 0, 2, 0});
    CHECK(batch.summary().rows_without_targets == 3);
}

// ---- wide rows: past the widest vector, at every offset ---------------------------------------------------------------

TEST_CASE("rows of every length around the widths of vectors, at every side, are those of the model")
{
    using fields = tests::modelled_fields;
    constexpr std::size_t width = 140;
    for (const std::size_t length :
         {0U, 1U, 7U, 8U, 15U, 16U, 17U, 31U, 32U, 33U, 63U, 64U, 65U, 127U, 128U, 129U, 139U, 140U}) {
        sample one{line(length), 0, {}};
        std::vector<std::uint16_t> ids(length);
        for (std::size_t i = 0; i < length; ++i)
            one.ids[i] = ids[i] = static_cast<std::uint16_t>(i * 257);
        const std::vector<std::span<const std::uint16_t>> rows(3, ids);
        const std::vector<sample> samples(3, one);
        const auto check = [&]<class Side>(Side) {
            const batten::collator<typename Side::type, batten::static_length<width>, batten::reject, fields> collate{
                {.pad_id = pad_id, .targets = batten::next_token, .ignore_index = ignore_index}};
            const auto expected = tests::model_batch<Side, tests::reject_case>(samples, made_of<tests::static_case<width>>(0),
                                                                               batten::next_token, pad_id, ignore_index);
            CHECK(tests::is_batch(collate(rows), expected));
        };
        check(tests::right_case{});
        check(tests::left_case{});
        check(tests::centred_case{});
    }
}

}  // namespace
