// SPDX-License-Identifier: MIT
// The packed layout, and the fields that speak of it.

#include "support.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace errors = batten::errors;
using tests::call_error;
using tests::error_is;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::ragged;

namespace {

using packing = batten::varlen_collator<>;
template <class Length, batten::trailing_pads Tail = batten::trailing_pads::own_segment>
using packing_to = batten::varlen_collator<Length, batten::varlen_fields, Tail>;

const ragged four{{1, 2, 3}, {4}, {}, {5, 6}};

constexpr bool packs_in_constant_evaluation()
{
    const std::array<int, 2> first{7, 8};
    const std::array<int, 1> second{9};
    const std::array<std::span<const int>, 2> sequences{first, second};
    const packing_to<batten::round_up_to<4>> collate{{.pad_id = 0}};
    const auto batch = collate(sequences);
    return batch.rows() == 1 && tests::holds(batch.token_ids(), {7, 8, 9, 0}) && tests::holds(batch.cu_seqlens(), {0, 2, 3, 4});
}
static_assert(packs_in_constant_evaluation());

// A range that says how long its sequences are, and has no tokens to show for it.
struct long_sequences {
    std::size_t count;
    std::size_t length;
    static inline const int nothing = 0;

    std::size_t size() const { return count; }
    std::span<const int> operator[](std::size_t /*i*/) const { return {&nothing, length}; }
    auto begin() const { return batten::detail::index_iterator<long_sequences>(this, 0); }
    auto end() const { return batten::detail::index_iterator<long_sequences>(this, count); }
};

}  // namespace

TEST_CASE("packed sequences lie one behind the other, with positions and targets of their own")
{
    const packing collate{{.pad_id = 0}};
    const auto batch = collate(four);
    CHECK(batch.rows() == 1);
    CHECK(batch.width() == 6);
    CHECK(line_of(batch.token_ids()) == line{1, 2, 3, 4, 5, 6});
    CHECK(line_of(batch.position_ids()) == line{0, 1, 2, 0, 0, 1});
    CHECK(line_of(batch.labels()) == line{-100, 2, 3, -100, -100, 6});
    CHECK(line_of(batch.loss_mask()) == line{0, 1, 1, 0, 0, 1});
    CHECK(line_of(batch.lengths()) == line{3, 1, 0, 2});
    CHECK(batch.summary() == batten::summary{.real_tokens = 6, .targets = 3, .max_seqlen = 3});
}

TEST_CASE("rule 7: cu_seqlens is int32, has segments + 1 entries and starts with 0; an empty sequence repeats an offset")
{
    const packing collate{{.pad_id = 0}};
    const auto batch = collate(four);
    static_assert(std::is_same_v<decltype(batch.cu_seqlens()), std::span<const std::int32_t>>);
    CHECK(line_of(batch.cu_seqlens()) == line{0, 3, 4, 4, 6});
    CHECK(batch.shape().elements<batten::cu_seqlens>() == 5);
}

TEST_CASE("rule 2: a packed batch of nothing is one row of width 0, and cu_seqlens is {0}")
{
    const packing collate{{.pad_id = 0}};
    const auto batch = collate(ragged{});
    CHECK(batch.rows() == 1);
    CHECK(batch.width() == 0);
    CHECK(line_of(batch.cu_seqlens()) == line{0});
    CHECK(batch.token_ids().empty());
    const auto empty = collate(ragged{{}, {}});
    CHECK(line_of(empty.cu_seqlens()) == line{0, 0, 0});

    const packing_to<batten::static_length<4>> fixed{{.pad_id = 9}};
    CHECK(line_of(fixed(ragged{}).cu_seqlens()) == line{0, 4});
    CHECK(line_of(fixed(ragged{}).token_ids()) == line{9, 9, 9, 9});
}

TEST_CASE("rule 7: a pad tail is a segment of its own, or none by name")
{
    const packing_to<batten::round_up_to<8>> training{{.pad_id = 0}};
    const auto batch = training(four);
    CHECK(batch.width() == 8);
    CHECK(line_of(batch.cu_seqlens()) == line{0, 3, 4, 4, 6, 8});
    CHECK(batch.summary().max_seqlen == 3);
    CHECK(line_of(batch.labels()) == line{-100, 2, 3, -100, -100, 6, -100, -100});
    CHECK(batch.shape().segments() == 4);
    CHECK(batch.shape().elements<batten::cu_seqlens>() == 6);
    CHECK(batch.shape().elements<batten::lengths>() == 4);

    const packing_to<batten::round_up_to<8>, batten::trailing_pads::excluded> inference{{.pad_id = 0}};
    CHECK(line_of(inference(four).cu_seqlens()) == line{0, 3, 4, 4, 6});

    // No pads, no tail.
    CHECK(line_of(training(ragged{{1, 2, 3, 4, 5, 6, 7, 8}}).cu_seqlens()) == line{0, 8});
    // A tail may be the longest segment.
    const packing_to<batten::fixed_length> wide{{.pad_id = 0, .length = {16}}};
    CHECK(wide(four).summary().max_seqlen == 10);
}

TEST_CASE("next_token_drop_last packs one column less of each sequence")
{
    const packing collate{{.pad_id = 0, .targets = batten::next_token_drop_last}};
    const auto batch = collate(four);
    CHECK(line_of(batch.token_ids()) == line{1, 2, 5});
    CHECK(line_of(batch.labels()) == line{2, 3, 6});
    CHECK(line_of(batch.cu_seqlens()) == line{0, 2, 2, 2, 3});
}

TEST_CASE("a packed batch goes into the caller's memory, cu_seqlens with it")
{
    using fields =
        batten::fields<batten::token_ids<std::int32_t>, batten::cu_seqlens<std::int64_t>, batten::segment_ids<std::uint8_t>>;
    const batten::varlen_collator<batten::round_up_to<4>, fields> collate{{.pad_id = 7}};
    const auto shape = collate.shape(four);
    auto memory = tests::guarded_fields<fields>::of(shape);
    const auto totals = collate.into(four, memory.outputs());
    CHECK(totals.summary.padded_cells == 2);
    CHECK(memory.only_inside());
    CHECK(line_of(memory.get<batten::token_ids<std::int32_t>>().cells()) == line{1, 2, 3, 4, 5, 6, 7, 7});
    CHECK(line_of(memory.get<batten::cu_seqlens<std::int64_t>>().cells()) == line{0, 3, 4, 4, 6, 8});
    CHECK(line_of(memory.get<batten::segment_ids<std::uint8_t>>().cells()) == line{1, 1, 1, 2, 4, 4, 0, 0});
}

TEST_CASE("a selection and its columns are packed in its order")
{
    using fields = batten::fields<batten::token_ids<>, batten::column<"weights", float>, batten::cu_seqlens<>>;
    const std::vector<std::vector<float>> weights{{1, 2, 3}, {4}, {}, {5, 6}};
    const auto columns = batten::columns{batten::named<"weights">(weights)};
    const batten::inputs everything{four, batten::none, batten::none, columns};
    const std::vector<int> rows{3, 0};
    const batten::varlen_collator<batten::dynamic_length, fields> collate{{.pad_id = 0}};
    const auto batch = collate(batten::select(everything, rows));
    CHECK(line_of(batch.token_ids()) == line{5, 6, 1, 2, 3});
    CHECK(line_of(batch.get<"weights">()) == line{5, 6, 1, 2, 3});
    CHECK(line_of(batch.cu_seqlens()) == line{0, 2, 5});
}

TEST_CASE("a total over the limit, and one beyond the type of cu_seqlens, are errors before the first write")
{
    const packing_to<batten::fixed_length> collate{{.pad_id = 0, .length = {5}}};
    CHECK(call_error(collate, four) == error_is(errors::row_over_limit, 0, 6, 5));

    // 2^31 tokens, which nobody has to store: the error comes before a token is read.
    using fields = batten::fields<batten::attention_mask<std::uint8_t>, batten::cu_seqlens<>>;
    const batten::varlen_collator<batten::dynamic_length, fields> many{{}};
    const long_sequences half{2, std::size_t{1} << 30U};
    CHECK(error_is(many.try_shape(half).error()) ==
          error_is(errors::value_not_representable, 0, std::size_t{1} << 31U, 0, "cu_seqlens"));
    CHECK(many.shape(long_sequences{1, (std::size_t{1} << 31U) - 1}).width() == (std::size_t{1} << 31U) - 1);

    // The tail's end as well.
    using narrow = batten::fields<batten::token_ids<>, batten::cu_seqlens<std::int8_t>>;
    const batten::varlen_collator<batten::round_up_to<128>, narrow> rounded{{.pad_id = 0}};
    CHECK(error_is(rounded.try_collate(four).error()) ==
          error_is(errors::value_not_representable, 0, 128, 0, "cu_seqlens"));
    const batten::varlen_collator<batten::round_up_to<128>, narrow, batten::trailing_pads::excluded> bare{{.pad_id = 0}};
    CHECK(line_of(bare(four).cu_seqlens()) == line{0, 3, 4, 4, 6});
}

TEST_CASE("everything that is an error of padded batches is one of packed batches")
{
    const packing collate{{.pad_id = 0}};
    const std::vector<int> tokens{1, 2, 3};
    const std::vector<int> decreasing{0, 2, 1};
    CHECK(call_error(collate, batten::ragged_view(tokens, decreasing)).code == errors::offsets_decrease);
    const std::vector<int> past{0, 2, 4};
    CHECK(call_error(collate, batten::ragged_view(tokens, past)).code == errors::offset_past_end);
    const std::vector<int> prompts{1, 2, 0, 0};
    CHECK(call_error(collate, batten::inputs{four, prompts}) ==
          error_is(errors::prompt_past_end, 1, 2, 1, "prompt_lengths"));
    const std::vector<int> rows{4};
    CHECK(call_error(collate, batten::select(four, rows)).code == errors::row_index_out_of_range);
    const batten::varlen_collator<batten::dynamic_length, batten::fields<batten::token_ids<std::int8_t>>> narrow{{.pad_id = 0}};
    CHECK(call_error(narrow, ragged{{1}, {300}}).code == errors::token_not_representable);
    CHECK(tests::options_error<batten::varlen_collator<>>(
              {.pad_id = 0, .ignore_index = std::numeric_limits<std::uint64_t>::max()})
              .code == errors::ignore_index_not_representable);
}
