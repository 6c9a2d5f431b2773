// SPDX-License-Identifier: MIT
// Decoding after a prefill, against a model of a few lines: every row a list of columns, each a token at a position or a hole.

#include "support.hpp"

#include <batten/bins.hpp>
#include <batten/presets.hpp>
#include <batten/serve/decode.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <vector>

using batten::attention_mask;
namespace errors = batten::serve::errors;
using batten::fields;
using batten::outputs;
using batten::pad_left;
using batten::pad_right;
using batten::position_ids;
using batten::serve::decode_batch;
using batten::serve::decode_step;
using batten::serve::dropped_row;
using batten::serve::idle_rows;
using batten::serve::ragged_cache;
using batten::serve::aligned_cache;
using batten::strided_sequences;
using batten::set;
using batten::token_ids;
using tests::check_throws;
using tests::error_is;
using tests::grid;
using tests::grid_of;
using tests::guarded;
using tests::line;
using tests::line_of;
using tests::no_row;
using tests::ragged;

namespace {

template <class Side>
using prefilling = batten::collator<Side, batten::dynamic_length, batten::reject, batten::inference_fields>;

constexpr int pad = 99;
const ragged three{{1, 2, 3}, {4}, {5, 6}};

// The buffers of a step.
struct step_memory {
    std::vector<std::int64_t> ids, positions;
    explicit step_memory(std::size_t cells) : ids(cells, -7), positions(cells, -7) {}
    auto named() { return outputs{set<token_ids>(ids), set<position_ids>(positions)}; }
};

// ---- the model ---------------------------------------------------------------------------------------------------------

struct model_row {
    std::vector<std::optional<std::pair<int, int>>> columns;  // token and position, or a hole
    int length = 0;
    bool finished = false;
};

struct model {
    std::vector<model_row> rows;
    std::size_t capacity = 0;
    std::size_t width = 0;
    std::size_t before = 0;  // the width before the last step
    bool shared = true;

    model(const ragged& prompts, std::size_t width_, std::size_t capacity_, bool left)
        : capacity(capacity_), width(width_), before(width_), shared(left)
    {
        for (const auto& prompt : prompts) {
            model_row row;
            row.columns.resize(capacity);
            const std::size_t first = left ? width - prompt.size() : 0;
            for (const int token : prompt)
                put(row, first + static_cast<std::size_t>(row.length), token);
            rows.push_back(row);
        }
    }
    static void put(model_row& row, std::size_t column, int token)
    {
        row.columns[column] = {token, row.length};
        ++row.length;
    }
    // Only accepted tokens: a draft that was judged is as if the rejected ones had never been.
    void append(const ragged& tokens)
    {
        before = width;
        for (std::size_t r = 0; r < rows.size(); ++r) {
            std::size_t column = shared ? before : static_cast<std::size_t>(rows[r].length);
            for (const int token : tokens[r])
                put(rows[r], column++, token);
            width = std::max(width, column);
        }
    }
    void resize(std::size_t capacity_)
    {
        capacity = capacity_;
        for (auto& row : rows)
            row.columns.resize(capacity);
    }

    template <class Cell>
    grid cells(Cell cell, long long hole) const
    {
        grid all;
        for (const auto& row : rows) {
            all.emplace_back();
            for (const auto& column : row.columns)
                all.back().push_back(column ? cell(*column) : hole);
        }
        return all;
    }
    grid mask() const
    {
        return cells([](auto) { return 1; }, 0);
    }
    grid ids() const
    {
        return cells([](auto c) { return c.first; }, pad);
    }
    grid positions() const
    {
        return cells([](auto c) { return c.second; }, 0);
    }
    line lengths() const
    {
        line all;
        for (const auto& row : rows)
            all.push_back(row.length);
        return all;
    }
};

template <class Decode>
void check_same(const Decode& decode, const model& expected)
{
    CHECK(decode.rows() == expected.rows.size());
    CHECK(decode.width() == expected.width);
    CHECK(decode.capacity() == expected.capacity);
    CHECK(line_of(decode.lengths()) == expected.lengths());
    CHECK(grid_of(decode.template full_view<attention_mask>()) == expected.mask());
    CHECK(grid_of(decode.template full_view<token_ids>()) == expected.ids());
    CHECK(grid_of(decode.template full_view<position_ids>()) == expected.positions());
}

// ---- in constant evaluation ----------------------------------------------------------------------------------------------

constexpr bool decodes_in_constant_evaluation()
{
    std::array<std::int64_t, 2 * 4> mask{1, 1, 7, 7, 0, 1, 7, 7};  // as a prefill of width 2 left it, with a row_stride of 4
    std::array<std::int64_t, 2> ids{}, positions{};
    const std::array<int, 2> lengths{2, 1}, sampled{8, 9};
    decode_batch<> decode({.pad_id = 0}, lengths, 2, 4, outputs{set<attention_mask>(mask)});
    const decode_step step = decode.append(sampled, outputs{set<token_ids>(ids), set<position_ids>(positions)});
    return step == decode_step{2, 1, 2} && tests::holds(mask, {1, 1, 1, 0, 0, 1, 1, 0}) && tests::holds(ids, {8, 9}) &&
           tests::holds(positions, {2, 1});
}
static_assert(decodes_in_constant_evaluation());

}  // namespace

// ---- one step after another ------------------------------------------------------------------------------------------------

TEST_CASE("rule 5: a left-padded step is one column for all rows, and each row's own position")
{
    const auto prefill = prefilling<pad_left>{{.pad_id = pad}}(three);
    std::vector<std::int64_t> mask(3 * 6, -7);
    decode_batch<> decode({.pad_id = pad}, prefill, 6, outputs{set<attention_mask>(mask)});
    CHECK(grid_of(decode.full_view<attention_mask>()) == grid{{1, 1, 1, 0, 0, 0}, {0, 0, 1, 0, 0, 0}, {0, 1, 1, 0, 0, 0}});

    step_memory step(3);
    const std::vector<int> first{10, 20, 30}, second{11, 21, 31};
    CHECK(decode.append(first, step.named()) == decode_step{3, 1, 3});
    CHECK(line_of(step.ids) == line{10, 20, 30});
    CHECK(line_of(step.positions) == line{3, 1, 2});
    CHECK(decode.append(second, step.named()) == decode_step{4, 1, 3});
    CHECK(line_of(step.positions) == line{4, 2, 3});
    CHECK(grid_of(decode.full_view<attention_mask>()) == grid{{1, 1, 1, 1, 1, 0}, {0, 0, 1, 1, 1, 0}, {0, 1, 1, 1, 1, 0}});
    CHECK(grid_of(decode.view<attention_mask>()) == grid{{1, 1, 1, 1, 1}, {0, 0, 1, 1, 1}, {0, 1, 1, 1, 1}});
    CHECK(decode.view<attention_mask>().row_stride() == 6);
    CHECK(line_of(decode.lengths()) == line{5, 3, 4});
    for (std::size_t r = 0; r < 3; ++r)
        CHECK(decode.column(r) == 5);
}

TEST_CASE("a step's positions and mask are those of generate in transformers: cumsum of the mask, less one")
{
    const auto prefill = prefilling<pad_left>{{.pad_id = pad}}(three);
    std::vector<std::int64_t> mask(3 * 9);
    decode_batch<> decode({.pad_id = pad}, prefill, 9, outputs{set<attention_mask>(mask)});
    step_memory step(3);
    for (int t = 0; t < 6; ++t) {
        decode.append(std::vector<int>{t, t, t}, step.named());
        const auto current = decode.view<attention_mask>();
        for (std::size_t r = 0; r < 3; ++r) {
            std::int64_t sum = 0;
            for (const std::int64_t cell : current.row(r))
                sum += cell;
            CHECK(step.positions[r] == sum - 1);
            CHECK(current.row(r).back() == 1);
        }
    }
}

TEST_CASE("a prefill that was collated straight into the buffers stays where it is")
{
    using mask_type = std::uint8_t;
    using kept = fields<token_ids<std::int32_t>, attention_mask<mask_type>>;
    const batten::collator<pad_left, batten::dynamic_length, batten::reject, kept> collate{{.pad_id = pad}};
    guarded<std::int32_t> ids(3 * 8);
    guarded<mask_type> mask(3 * 8);
    std::array<std::int32_t, 3> lengths{};
    const batten::outputs memory{set<token_ids>(ids.cells(), 8), set<attention_mask>(mask.cells(), 8)};
    collate.into(three, outputs{set<token_ids>(ids.cells(), 8), set<attention_mask>(mask.cells(), 8),
                                set<batten::lengths>(lengths)});
    decode_batch<kept, fields<>> decode({.pad_id = pad}, lengths, 3, 7, memory);
    CHECK(grid_of(decode.full_view<token_ids>()) ==
          grid{{1, 2, 3, 99, 99, 99, 99}, {99, 99, 4, 99, 99, 99, 99}, {99, 5, 6, 99, 99, 99, 99}});
    CHECK(mask.only_rows(3, 7, 8));
    decode.append(std::vector<int>{7, 8, 9});
    CHECK(grid_of(decode.view<token_ids<std::int32_t>>()) == grid{{1, 2, 3, 7}, {99, 99, 4, 8}, {99, 5, 6, 9}});
    CHECK(grid_of(decode.view<attention_mask>()) == grid{{1, 1, 1, 1}, {0, 0, 1, 1}, {0, 1, 1, 1}});
    CHECK(ids.only_rows(3, 7, 8));
    CHECK(mask.only_rows(3, 7, 8));
}

TEST_CASE("a right-padded batch may go on in a shared column, too: the pads between are holes")
{
    const auto prefill = prefilling<pad_right>{{.pad_id = pad}}(three);
    std::vector<std::int64_t> mask(3 * 4);
    decode_batch<> decode({.pad_id = pad}, prefill, 4, outputs{set<attention_mask>(mask)});
    step_memory step(3);
    decode.append(std::vector<int>{10, 20, 30}, step.named());
    CHECK(grid_of(decode.full_view<attention_mask>()) == grid{{1, 1, 1, 1}, {1, 0, 0, 1}, {1, 1, 0, 1}});
    CHECK(line_of(step.positions) == line{3, 1, 2});
}

TEST_CASE("a right-padded batch goes on at each row's own length")
{
    const auto prefill = prefilling<pad_right>{{.pad_id = pad}}(three);
    std::vector<std::int64_t> mask(3 * 5), ids(3), positions(3);
    std::vector<std::int32_t> seq_lens(3);
    using step = fields<token_ids<>, position_ids<>, batten::serve::seq_lens<>>;
    decode_batch<fields<attention_mask<>>, step, ragged_cache> decode(
        {.pad_id = pad}, prefill, 5, outputs{set<attention_mask>(mask)});
    CHECK(decode.column(1) == 1);
    decode.append(std::vector<int>{10, 20, 30},
                  outputs{set<token_ids>(ids), set<position_ids>(positions), set<batten::serve::seq_lens>(seq_lens)});
    CHECK(line_of(positions) == line{3, 1, 2});
    CHECK(line_of(seq_lens) == line{4, 2, 3});
    CHECK(grid_of(decode.full_view<attention_mask>()) == grid{{1, 1, 1, 1, 0}, {1, 1, 0, 0, 0}, {1, 1, 1, 0, 0}});
    CHECK(decode.width() == 4);
}

// ---- several tokens a row --------------------------------------------------------------------------------------------------

TEST_CASE("rows may take different numbers of tokens: what is absent is a hole, and no position passes it")
{
    using kept = batten::inference_fields;
    const auto prefill = prefilling<pad_left>{{.pad_id = pad}}(three);
    std::vector<std::int64_t> mask(3 * 8), ids(3 * 8), positions(3 * 8), step_positions(3 * 3, -7);
    decode_batch<kept, fields<position_ids<>>> decode(
        {.pad_id = pad}, prefill, 8,
        outputs{set<attention_mask>(mask), set<token_ids>(ids), set<position_ids>(positions)});
    const ragged drafts{{10}, {20, 21, 22}, {30, 31}};
    CHECK(decode.append(drafts, outputs{set<position_ids>(step_positions)}) == decode_step{3, 3, 6});
    CHECK(line_of(step_positions) == line{3, 0, 0, 1, 2, 3, 2, 3, 0});
    CHECK(grid_of(decode.view<attention_mask>()) ==
          grid{{1, 1, 1, 1, 0, 0}, {0, 0, 1, 1, 1, 1}, {0, 1, 1, 1, 1, 0}});
    CHECK(grid_of(decode.view<token_ids>()) ==
          grid{{1, 2, 3, 10, 99, 99}, {99, 99, 4, 20, 21, 22}, {99, 5, 6, 30, 31, 99}});
    CHECK(grid_of(decode.view<position_ids>()) ==
          grid{{0, 1, 2, 3, 0, 0}, {0, 0, 0, 1, 2, 3}, {0, 0, 1, 2, 3, 0}});

    // Two of row 1's three are accepted, one of row 2's two: column 5 is free again, positions go on from what was accepted.
    CHECK(decode.accept(std::vector<int>{1, 2, 1}) == decode_step{3, 2, 4});
    CHECK(grid_of(decode.view<attention_mask>()) == grid{{1, 1, 1, 1, 0}, {0, 0, 1, 1, 1}, {0, 1, 1, 1, 0}});
    CHECK(grid_of(decode.full_view<token_ids>()) == grid{{1, 2, 3, 10, 99, 99, 99, 99},
                                                             {99, 99, 4, 20, 21, 99, 99, 99},
                                                             {99, 5, 6, 30, 99, 99, 99, 99}});
    std::vector<std::int64_t> next(3);
    decode.append(std::vector<int>{40, 50, 60}, outputs{set<position_ids>(next)});
    CHECK(line_of(next) == line{4, 3, 3});
    CHECK(grid_of(decode.view<attention_mask>()) ==
          grid{{1, 1, 1, 1, 0, 1}, {0, 0, 1, 1, 1, 1}, {0, 1, 1, 1, 0, 1}});
}

TEST_CASE("where nothing of a draft is accepted the batch is as before it")
{
    const auto prefill = prefilling<pad_left>{{.pad_id = pad}}(three);
    std::vector<std::int64_t> mask(3 * 5);
    decode_batch<> decode({.pad_id = pad}, prefill, 5, outputs{set<attention_mask>(mask)});
    const auto before = mask;
    step_memory step(6);
    decode.append(ragged{{1, 2}, {3, 4}, {5, 6}}, step.named());
    CHECK(mask != before);
    CHECK(decode.accept(std::vector<std::uint8_t>{0, 0, 0}) == decode_step{3, 0, 0});
    CHECK(mask == before);
    CHECK(decode.width() == 3);
    CHECK(line_of(decode.lengths()) == line{3, 1, 2});
}

TEST_CASE("tokens come as a matrix and counts, as a flat array and offsets, or as rows; a step's spans may have a row_stride")
{
    const auto prefill = prefilling<pad_left>{{.pad_id = pad}}(three);
    const std::vector<int> padded{1, 0, 0, 2, 3, 0, 4, 5, 6}, counts{1, 2, 3};
    const std::vector<int> flat{1, 2, 3, 4, 5, 6}, offsets{0, 1, 3, 6};
    const auto masks_after = [&](const auto& tokens) {
        std::vector<std::int64_t> mask(3 * 6);
        guarded<std::int64_t> ids(3 * 4), positions(3 * 3);
        decode_batch<> decode({.pad_id = pad}, prefill, 6, outputs{set<attention_mask>(mask)});
        decode.append(tokens, outputs{set<token_ids>(ids.cells(), 4), set<position_ids>(positions.cells())});
        CHECK(grid_of(ids.matrix(3, 3, 4)) == grid{{1, 99, 99}, {2, 3, 99}, {4, 5, 6}});
        CHECK(grid_of(positions.matrix(3, 3)) == grid{{3, 0, 0}, {1, 2, 0}, {2, 3, 4}});
        CHECK(ids.only_rows(3, 3, 4));
        CHECK(positions.only_inside());
        return mask;
    };
    const auto mask = masks_after(strided_sequences(padded, 3, counts));
    CHECK(line_of(mask) == line{1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1});
    CHECK(masks_after(batten::ragged_view(flat, offsets)) == mask);
    CHECK(masks_after(ragged{{1}, {2, 3}, {4, 5, 6}}) == mask);
}

TEST_CASE("a column of the user's own grows along with the tokens")
{
    using kept = fields<batten::column<"types", std::int8_t>>;
    std::vector<std::int8_t> types(2 * 4, 5);
    const std::vector<int> lengths{1, 1};
    decode_batch<kept, fields<>> decode({.persistent = {batten::column<"types", std::int8_t>{.pad_value = -1}}}, lengths, 1, 4,
                                                outputs{set<"types">(types)});
    const ragged tokens{{7, 8}, {9}};
    const std::vector<std::vector<int>> values{{1, 2}, {3}};
    decode.append(batten::inputs{tokens, batten::none, batten::none, batten::columns{batten::named<"types">(values)}});
    CHECK(grid_of(decode.full_view<"types">()) == grid{{5, 1, 2, -1}, {5, 3, -1, -1}});
    CHECK(grid_of(decode.view<"types">()) == grid{{5, 1, 2}, {5, 3, -1}});
}

// ---- the rules of the engine -------------------------------------------------------------------------------------------------

namespace {

// Labels and loss masks of whole sequences, collated at once: what a prefill of `first` tokens and steps must come to as well.
struct trained {
    grid labels, loss;
};

template <class Batch>
trained trained_of(const Batch& batch, std::size_t width)
{
    trained made{grid_of(batch.template view<batten::labels>()), grid_of(batch.template view<batten::loss_mask>())};
    for (auto& row : made.labels)
        row.resize(width, -55);
    for (auto& row : made.loss)
        row.resize(width, 0);
    return made;
}

}  // namespace

TEST_CASE("labels that a decode batch keeps hold the ignore index where no token is yet")
{
    const batten::presets::training<> collate{{.pad_id = pad}};
    std::vector<std::int64_t> labels(2 * 6, 77);
    decode_batch<fields<batten::labels<>>, fields<>> decode({}, collate(ragged{{11, 12}, {13, 14, 15}}), 6,
                                                            outputs{set<batten::labels>(labels)});
    CHECK(line_of(labels) == line{11, 12, -100, -100, -100, -100, 13, 14, 15, -100, -100, -100});
    decode.append(std::vector<int>{1, 2});
    CHECK(line_of(labels) == line{11, 12, -100, 1, -100, -100, 13, 14, 15, 2, -100, -100});
}

TEST_CASE("labels and loss masks of a prefill and its steps are those of the whole sequences collated at once")
{
    const ragged whole{{1, 2, 3, 4, 5}, {6, 7, 8}, {9, 10, 11, 12}};
    using training = fields<batten::labels<>, batten::loss_mask<>>;
    for (const auto targets : {batten::same_position, batten::model_shifts})
        for (const std::size_t first : {0U, 1U, 2U})
            for (const std::size_t at_a_time : {1U, 3U}) {
                INFO("targets " << static_cast<int>(targets) << ", prefill " << first << ", step " << at_a_time);
                const batten::collator<pad_right, batten::dynamic_length, batten::reject, training> collate{
                    {.targets = targets, .ignore_index = -55}};
                ragged prompts;
                for (const auto& row : whole)
                    prompts.emplace_back(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(first));
                std::vector<std::int64_t> labels(3 * 7, 77), loss(3 * 7, 77);
                decode_batch<training, fields<>, ragged_cache> decode(
                    {.targets = targets, .ignore_index = -55, .idle = idle_rows::leave_holes}, collate(prompts), 7,
                    outputs{set<batten::labels>(labels), set<batten::loss_mask>(loss)});
                for (std::size_t done = first; done < 5; done += at_a_time) {
                    ragged step;
                    for (const auto& row : whole)
                        step.emplace_back(row.begin() + static_cast<std::ptrdiff_t>(std::min(done, row.size())),
                                          row.begin() + static_cast<std::ptrdiff_t>(std::min(done + at_a_time, row.size())));
                    decode.append(step);
                }
                const trained expected = trained_of(collate(whole), 7);
                CHECK(grid_of(decode.full_view<batten::labels>()) == expected.labels);
                CHECK(grid_of(decode.full_view<batten::loss_mask>()) == expected.loss);
            }
}

TEST_CASE("a step's labels: each token under model_shifts, the next one under next_token, and a loss column chooses among them")
{
    using training = fields<batten::labels<>, batten::loss_mask<>, batten::target_counts<>>;
    const std::vector<int> lengths{1, 0};
    const ragged tokens{{7, 8, 9}, {4, 5}};
    std::vector<std::int64_t> mask(2 * 4), labels(2 * 3), loss(2 * 3), counts(2);
    const auto step_of = [&](batten::target_alignment targets, const auto& in) {
        decode_batch<fields<attention_mask<>>, training> decode({.targets = targets}, lengths, 1, 4,
                                                                outputs{set<attention_mask>(mask)});
        decode.append(in, outputs{set<batten::labels>(labels), set<batten::loss_mask>(loss),
                                  set<batten::target_counts>(counts)});
    };
    step_of(batten::same_position, tokens);
    CHECK(line_of(labels) == line{7, 8, 9, 4, 5, -100});
    CHECK(line_of(loss) == line{1, 1, 1, 1, 1, 0});
    CHECK(line_of(counts) == line{3, 2});
    step_of(batten::model_shifts, tokens);  // row 1 had no token: its first one has only a pad before it
    CHECK(line_of(labels) == line{7, 8, 9, -100, 5, -100});
    CHECK(line_of(loss) == line{1, 1, 1, 0, 1, 0});
    CHECK(line_of(counts) == line{3, 1});
    step_of(batten::next_token, tokens);
    CHECK(line_of(labels) == line{8, 9, -100, 5, -100, -100});
    CHECK(line_of(loss) == line{1, 1, 0, 1, 0, 0});
    CHECK(line_of(counts) == line{2, 1});
    const std::vector<std::vector<int>> trained{{0, 1, 1}, {1, 0}};
    step_of(batten::model_shifts, batten::inputs{tokens, batten::none, trained});
    CHECK(line_of(labels) == line{-100, 8, 9, -100, -100, -100});
    CHECK(line_of(loss) == line{0, 1, 1, 0, 0, 0});
    CHECK(line_of(counts) == line{2, 0});
    const std::vector<int> prompt_lengths{2, 0};
    step_of(batten::next_token, batten::inputs{tokens, prompt_lengths});
    CHECK(line_of(labels) == line{-100, 9, -100, 5, -100, -100});
    CHECK(line_of(counts) == line{1, 1});
}

TEST_CASE("a rejected token's label and loss are taken back")
{
    using training = fields<batten::labels<>, batten::loss_mask<>>;
    const std::vector<int> lengths{1};
    std::vector<std::int64_t> labels{-100, 0, 0, 0, 0}, loss(5);
    decode_batch<training, fields<>> decode({.ignore_index = -9}, lengths, 1, 5,
                                            outputs{set<batten::labels>(labels), set<batten::loss_mask>(loss)});
    decode.append(ragged{{5, 6, 7}});
    CHECK(line_of(labels) == line{-100, 5, 6, 7, -9});
    decode.accept(std::vector<int>{1});
    CHECK(line_of(labels) == line{-100, 5, -9, -9, -9});
    CHECK(line_of(loss) == line{0, 1, 0, 0, 0});
}

TEST_CASE("next_token_drop_last and an ignore index that the labels cannot hold are errors of the start")
{
    const std::vector<int> lengths{1};
    std::vector<std::int8_t> labels(4, 5);
    using kept = decode_batch<fields<batten::labels<std::int8_t>>, fields<>>;
    const outputs memory{set<batten::labels>(labels)};
    CHECK(kept::try_start({.targets = batten::next_token_drop_last}, lengths, 1, 4, memory).error().code ==
          errors::target_without_column);
    CHECK(error_is(kept::try_start({.ignore_index = -1000}, lengths, 1, 4, memory).error()) ==
          error_is(errors::ignore_index_not_representable, no_row, -1000, 0, "labels"));
    CHECK(line_of(labels) == line{5, 5, 5, 5});
}

// ---- where the prefill's rows are --------------------------------------------------------------------------------------------

TEST_CASE("a ragged cache over pads on the left is refused before the first write, as its next column is taken")
{
    const ragged prompts{{11}, {21, 22, 23}};
    guarded<std::int64_t> mask(2 * 6);
    const outputs memory{set<attention_mask>(mask.cells())};
    using ragged_batch = decode_batch<fields<attention_mask<>>, fields<>, ragged_cache>;

    const auto prefill = prefilling<pad_left>{{.pad_id = pad}}(prompts);
    const auto refused = ragged_batch::try_start({}, prefill, 6, memory);
    CHECK(error_is(refused.error()) == error_is(errors::cache_column_taken, 0, 1, 3));
    CHECK(refused.error().message() ==
          "batten: row 0: the cache policy puts the next token in column 1, but the row's tokens end before column 3: pad the "
          "prefill right (pad_right), or use aligned_cache");
    check_throws(refused.error(), [&] { ragged_batch({}, prefill, 6, memory); });

    const std::vector<int> lengths{1, 3}, first_columns{2, 0}, of_one{0}, past{0, 1}, negative{-1, 0};
    CHECK(error_is(ragged_batch::try_start({}, lengths, 3, 6, memory, pad_left{}).error()) ==
          error_is(errors::cache_column_taken, 0, 1, 3));
    CHECK(error_is(ragged_batch::try_start({}, lengths, 3, 6, memory, first_columns).error()) ==
          error_is(errors::cache_column_taken, 0, 1, 3));
    CHECK(error_is(ragged_batch::try_start({}, lengths, 3, 6, memory, of_one).error()) ==
          error_is(errors::count_mismatch, no_row, 1, 2, "first columns"));
    CHECK(error_is(ragged_batch::try_start({}, lengths, 3, 6, memory, past).error()) ==
          error_is(errors::first_column_out_of_range, 1, 1, 0));
    CHECK(error_is(ragged_batch::try_start({}, lengths, 3, 6, memory, negative).error()) ==
          error_is(errors::first_column_out_of_range, 0, -1, 2));
    CHECK(mask.untouched());

    CHECK(ragged_batch::try_start({}, lengths, 3, 6, memory, pad_right{}).has_value());
    CHECK(decode_batch<fields<attention_mask<>>, fields<>>::try_start({}, lengths, 3, 6, memory, first_columns).has_value());
    // Rows without a pad before their tokens, and rows without tokens, are as good padded left.
    CHECK(ragged_batch::try_start({}, prefilling<pad_left>{{.pad_id = pad}}(ragged{{1, 2, 3}, {}}), 6, memory).has_value());
}

TEST_CASE("a batch whose rows hold several sequences, or none, is no prefill")
{
    guarded<std::int64_t> mask(2 * 6);
    const outputs memory{set<attention_mask>(mask.cells())};
    using decoding = decode_batch<fields<attention_mask<>>, fields<>>;
    const batten::packed_collator<batten::dynamic_length, fields<attention_mask<>>> pack{{}};
    const ragged two{{1, 2}, {3}};
    const auto refused = [&](const std::vector<batten::piece>& pieces, const std::vector<std::size_t>& offsets) {
        return error_is(decoding::try_start({}, pack(batten::packed(two, batten::bins{pieces, offsets})), 6, memory).error());
    };
    const std::vector<batten::piece> pieces{{.sequence = 0, .length = 2}, {.sequence = 1, .length = 1}};
    CHECK(refused(pieces, {0, 2, 2}) == error_is(errors::prefill_row_shared, 1));
    CHECK(refused(pieces, {0, 0, 2}) == error_is(errors::prefill_row_shared, 0));
    CHECK(refused(pieces, {0, 2}) == error_is(errors::prefill_row_shared, 0));
    CHECK(refused({}, {0, 0, 0}) == error_is(errors::prefill_row_shared, 0));
    CHECK(mask.untouched());
    const std::vector<std::size_t> one_each{0, 1, 2};
    CHECK(decoding::try_start({}, pack(batten::packed(two, batten::bins{pieces, one_each})), 6, memory).has_value());
}

TEST_CASE("a step's first columns are those of the cache")
{
    std::vector<std::int64_t> mask(2 * 6), columns(2), rows(2), lengths(2);
    using step = fields<batten::first_columns<>, batten::segment_rows<>, batten::lengths<>>;
    const auto out = outputs{set<batten::first_columns>(columns), set<batten::segment_rows>(rows), set<batten::lengths>(lengths)};
    const auto prefill = prefilling<pad_right>{{.pad_id = pad}}(ragged{{1, 2, 3}, {4}});
    decode_batch<fields<attention_mask<>>, step, ragged_cache> ragged_batch({}, prefill, 6, outputs{set<attention_mask>(mask)});
    ragged_batch.append(ragged{{5}, {6, 7}}, out);
    CHECK(line_of(columns) == line{3, 1});
    CHECK(line_of(rows) == line{0, 1});
    CHECK(line_of(lengths) == line{1, 2});
    decode_batch<fields<attention_mask<>>, step> aligned_batch({}, prefill, 6, outputs{set<attention_mask>(mask)});
    aligned_batch.append(ragged{{5}, {6, 7}}, out);
    CHECK(line_of(columns) == line{3, 3});
}

// ---- rows that finish --------------------------------------------------------------------------------------------------

TEST_CASE("a finished row stays with holes, or is dropped: the last rows move to where it was")
{
    const ragged five{{1}, {2, 2}, {3}, {4, 4}, {5}};
    const auto prefill = prefilling<pad_left>{{.pad_id = pad}}(five);
    std::vector<std::int64_t> mask(5 * 4);
    decode_batch<> decode({.pad_id = pad}, prefill, 4, outputs{set<attention_mask>(mask)});
    CHECK(decode.finish(1) == 4);
    CHECK(decode.finish(1) == 4);  // it is already
    CHECK(decode.finish(4) == 3);
    CHECK(decode.unfinished_rows() == 3);

    step_memory step(5);
    CHECK(decode.append(std::vector<int>{10, -1, 30, 40, -1}, step.named()) == decode_step{2, 1, 3});
    CHECK(line_of(step.ids) == line{10, pad, 30, 40, pad});
    CHECK(line_of(step.positions) == line{1, 0, 1, 2, 0});
    CHECK(grid_of(decode.view<attention_mask>()) == grid{{0, 1, 1}, {1, 1, 0}, {0, 1, 1}, {1, 1, 1}, {0, 1, 0}});

    std::vector<std::size_t> map(5);
    CHECK(decode.drop_finished(map) == 3);
    CHECK(map == std::vector<std::size_t>{0, dropped_row, 2, 1, dropped_row});
    CHECK(grid_of(decode.view<attention_mask>()) == grid{{0, 1, 1}, {1, 1, 1}, {0, 1, 1}});
    CHECK(line_of(decode.lengths()) == line{2, 3, 2});
    CHECK_FALSE(decode.is_finished(1));

    step_memory smaller(3);
    decode.append(std::vector<int>{11, 41, 31}, smaller.named());
    CHECK(line_of(smaller.positions) == line{2, 3, 2});
}

TEST_CASE("a map sends rows from behind the new end to before it, whichever rows finish")
{
    constexpr std::size_t rows = 7;
    for (unsigned chosen = 0; chosen < 1U << rows; ++chosen) {
        std::vector<std::int64_t> ids(rows);
        for (std::size_t r = 0; r < rows; ++r)
            ids[r] = static_cast<std::int64_t>(r);
        const std::vector<int> lengths(rows, 1);
        decode_batch<fields<token_ids<>>, fields<>> decode(
            {.pad_id = pad}, lengths, 1, 1, outputs{set<token_ids>(ids)});
        std::size_t left = rows;
        for (std::size_t r = 0; r < rows; ++r)
            if ((chosen >> r & 1U) != 0)
                left = decode.finish(r);
        std::vector<std::size_t> map(rows, 77);
        CHECK(decode.drop_finished(map) == left);
        CHECK(decode.rows() == left);
        line expected(left, -1);
        for (std::size_t r = 0; r < rows; ++r) {
            CHECK((map[r] == dropped_row) == ((chosen >> r & 1U) != 0));
            if (map[r] == dropped_row)
                continue;
            REQUIRE(map[r] < left);
            CHECK((map[r] == r || r >= left));
            expected[map[r]] = static_cast<long long>(r);
        }
        line found;
        for (std::size_t r = 0; r < left; ++r)
            found.push_back(decode.view<token_ids>()(r, 0));
        CHECK(found == expected);
    }
}

// ---- everything at once ----------------------------------------------------------------------------------------------------

namespace {

template <class Side, class Columns>
void decode_at_random(unsigned seed)
{
    std::mt19937 draw(seed);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(draw() % n); };
    ragged prompts(1 + below(6));
    for (auto& prompt : prompts)
        for (std::size_t n = below(5); n != 0; --n)
            prompt.push_back(static_cast<int>(below(90)));
    const auto prefill = prefilling<Side>{{.pad_id = pad}}(prompts);
    std::size_t capacity = prefill.width() + below(6);
    constexpr bool left = std::is_same_v<Side, pad_left>;

    struct buffers {
        guarded<std::int64_t> mask, ids, positions;
        std::size_t row_stride;
        buffers(std::size_t rows, std::size_t columns)
            : mask(rows * columns), ids(rows * columns), positions(rows * columns), row_stride(columns)
        {
        }
        auto named()
        {
            return outputs{set<attention_mask>(mask.cells(), row_stride), set<token_ids>(ids.cells(), row_stride),
                           set<position_ids>(positions.cells(), row_stride)};
        }
    };
    std::vector<buffers> homes;
    homes.reserve(64);
    homes.emplace_back(prompts.size(), capacity + 1);
    decode_batch<batten::inference_fields, fields<token_ids<std::int16_t>, attention_mask<float>>, Columns>
        decode({.pad_id = pad, .idle = idle_rows::leave_holes}, prefill, capacity, homes.back().named());
    model expected(prompts, prefill.width(), capacity, left);
    check_same(decode, expected);

    for (int steps = 0; steps < 25 && decode.rows() != 0; ++steps) {
        ragged tokens(decode.rows());
        std::vector<std::size_t> accepted(decode.rows());
        std::size_t needed = capacity, k = 0;
        for (std::size_t r = 0; r < tokens.size(); ++r) {
            if (!decode.is_finished(r))
                for (std::size_t n = below(4); n != 0; --n)
                    tokens[r].push_back(static_cast<int>(below(90)));
            accepted[r] = below(tokens[r].size() + 1);
            needed = std::max(needed, decode.column(r) + tokens[r].size());
            k = std::max(k, tokens[r].size());
        }
        std::vector<std::int16_t> ids(tokens.size() * k);
        std::vector<float> mask(tokens.size() * k);
        const batten::outputs out{set<token_ids>(ids), set<attention_mask>(mask)};
        if (needed > capacity) {
            CHECK(decode.try_append(tokens, out).error().code == errors::decode_past_capacity);
            check_same(decode, expected);
            capacity = needed + below(3);
            homes.emplace_back(decode.rows(), capacity + below(3));
            decode.grow(capacity, homes.back().named());
            expected.resize(capacity);
            check_same(decode, expected);
        }
        const decode_step step = decode.append(tokens, out);
        CHECK(step.first_column == expected.width);
        CHECK(step.width == k);
        for (std::size_t r = 0; r < tokens.size(); ++r)
            for (std::size_t j = 0; j < k; ++j) {
                const bool real = j < tokens[r].size();
                CHECK(ids[r * k + j] == (real ? tokens[r][j] : pad));
                CHECK((mask[r * k + j] == 1.0F) == real);
            }
        model unjudged = expected;
        unjudged.append(tokens);
        check_same(decode, unjudged);
        if (below(2) == 0) {
            for (std::size_t r = 0; r < tokens.size(); ++r)
                tokens[r].resize(accepted[r]);
            decode.accept(accepted);
        }
        expected.append(tokens);
        check_same(decode, expected);

        if (below(3) == 0) {
            const std::size_t r = below(decode.rows());
            decode.finish(r);
            expected.rows[r].finished = true;
        }
        if (below(4) == 0) {
            std::vector<std::size_t> map(decode.rows());
            decode.drop_finished(map);
            std::vector<model_row> moved(decode.rows());
            for (std::size_t r = 0; r < map.size(); ++r) {
                CHECK(expected.rows[r].finished == (map[r] == dropped_row));
                if (map[r] != dropped_row)
                    moved[map[r]] = expected.rows[r];
            }
            expected.rows = moved;
            check_same(decode, expected);
        }
        CHECK(homes.back().mask.only_inside());
        CHECK(homes.back().ids.only_inside());
        CHECK(homes.back().positions.only_inside());
    }
}

}  // namespace

TEST_CASE("steps, verdicts, rows that finish and buffers that grow come to the same as the model, in any order")
{
    for (unsigned seed = 0; seed < 150; ++seed) {
        decode_at_random<pad_left, aligned_cache>(seed);
        decode_at_random<pad_right, ragged_cache>(seed);
    }
}

TEST_CASE("a batch of nothing takes steps of nothing")
{
    const std::vector<int> lengths;
    std::vector<std::int64_t> nothing;
    decode_batch<> decode({.pad_id = pad}, lengths, 0, 0, outputs{set<attention_mask>(nothing)});
    const batten::outputs out{set<token_ids>(nothing), set<position_ids>(nothing)};
    CHECK(decode.append(std::vector<int>{}, out) == decode_step{0, 0, 0});
    CHECK(decode.append(ragged{}, out) == decode_step{0, 0, 0});
    CHECK(decode.accept(std::vector<int>{}) == decode_step{0, 0, 0});
    std::vector<std::size_t> map;
    CHECK(decode.drop_finished(map) == 0);
}

// ---- errors --------------------------------------------------------------------------------------------------------------

namespace {

// A batch of three rows in guarded memory, at width 3 of capacity 4.
struct failing {
    guarded<std::int64_t> mask{3 * 4};
    guarded<std::int64_t> ids{3 * 2};
    guarded<std::int64_t> positions{3 * 2};
    decode_batch<> decode;

    failing()
        : decode({.pad_id = pad}, prefilling<pad_left>{{.pad_id = pad}}(three), 4,
                 outputs{set<attention_mask>(mask.cells())})
    {
    }

    // Both doors; nothing has changed.
    template <class In>
    error_is append(const In& in, std::size_t cells = 6)
    {
        const auto out = outputs{set<token_ids>(ids.cells().first(cells)),
                                         set<position_ids>(positions.cells().first(cells))};
        const grid before = grid_of(decode.full_view<attention_mask>());
        const line lengths = line_of(decode.lengths());
        const std::size_t width = decode.width();
        const auto tried = decode.try_append(in, out);
        CHECK_FALSE(tried.has_value());
        check_throws(tried.error(), [&] { decode.append(in, out); });
        CHECK(ids.untouched());
        CHECK(positions.untouched());
        CHECK(grid_of(decode.full_view<attention_mask>()) == before);
        CHECK(line_of(decode.lengths()) == lengths);
        CHECK(decode.width() == width);
        return tried.error();
    }
};

}  // namespace

TEST_CASE("a step past the capacity, on a finished row, or with the wrong number of tokens is an error before the first write")
{
    failing f;
    CHECK(f.append(ragged{{1}, {2, 3}, {4}}) == error_is(errors::decode_past_capacity, 1, 2, 1));
    CHECK(f.append(ragged{{1}, {2}}) == error_is(errors::count_mismatch, no_row, 2, 3, "the step"));
    CHECK(f.append(std::vector<int>{1, 2, 3, 4}, 3) == error_is(errors::count_mismatch, no_row, 4, 3, "the step"));
    CHECK(f.append(ragged{{1}, {}, {4}}) == error_is(errors::row_without_tokens, 1));
    f.decode.finish(2);
    CHECK(f.append(ragged{{1}, {2}, {4}}) == error_is(errors::row_finished, 2, 1));
}

TEST_CASE("an error of a step reads as a sentence")
{
    failing f;
    std::vector<std::int64_t> ids(3), positions(3);
    const batten::outputs out{set<token_ids>(ids), set<position_ids>(positions)};
    CHECK(f.decode.try_append(ragged{{1}, {2, 3}, {4}}, out).error().message() ==
          "batten: row 1 takes 2 more columns, the capacity leaves 1: grow it first");
    f.decode.finish(0);
    CHECK(f.decode.try_append(ragged{{1}, {2}, {4}}, out).error().message() ==
          "batten: row 0 is finished, but was given 1 tokens");
    CHECK(f.decode.try_finish(3).error().message() == "batten: there is no row 3, the batch has 3 rows");
}

TEST_CASE("a step whose spans are too small, or whose tokens do not fit their type, is an error before the first write")
{
    failing f;
    const std::vector<int> one{1, 2, 3};
    CHECK(f.append(one, 2) == error_is(errors::span_too_small, no_row, 3, 2, "token_ids"));
    const std::vector<int> tokens{1, 2, 3}, negative{1, -1, 1}, many{1, 1, 2}, offsets{0, 1, 2, 9};
    CHECK(f.append(strided_sequences(tokens, 1, negative)) == error_is(errors::length_negative, 1, -1));
    CHECK(f.append(strided_sequences(tokens, 1, many)) == error_is(errors::row_over_limit, 2, 2, 1));
    const std::vector<int> ones{1, 1, 1};
    CHECK(f.append(strided_sequences(tokens, 2, ones)) == error_is(errors::span_too_small, 0, 6, 3, "strided_sequences"));
    CHECK(f.append(batten::ragged_view(tokens, offsets)) == error_is(errors::offset_past_end, 2, 9, 3));

    std::vector<std::int64_t> mask(2 * 200);
    const std::vector<int> lengths{100, 127};
    std::vector<std::int8_t> ids(2), positions(2);
    decode_batch<fields<attention_mask<>>,
                 fields<token_ids<std::int8_t>, position_ids<std::int8_t>>>
        narrow({.pad_id = 0}, lengths, 127, 200, outputs{set<attention_mask>(mask)});
    const auto before = mask;
    const batten::outputs out{set<token_ids>(ids), set<position_ids>(positions)};
    CHECK(error_is(narrow.try_append(std::vector<int>{1, 300}, out).error()) ==
          error_is(errors::token_not_representable, 1, 0, 300, "token_ids"));
    CHECK(narrow.try_append(std::vector<int>{1, 2}, out).has_value());
    CHECK(mask != before);
    CHECK(error_is(narrow.try_append(std::vector<int>{1, 2}, out).error()) ==
          error_is(errors::value_not_representable, 1, 128, 0, "position_ids"));
}

TEST_CASE("a step's spans may be larger than it needs: one buffer for all steps")
{
    failing f;
    const auto out = outputs{set<token_ids>(f.ids.cells()), set<position_ids>(f.positions.cells())};
    CHECK(f.decode.append(std::vector<int>{1, 2, 3}, out) == decode_step{3, 1, 3});
    CHECK(line_of(f.ids.cells().first(3)) == line{1, 2, 3});
    CHECK(line_of(f.positions.cells().first(3)) == line{3, 1, 2});
    const auto poison = guarded<std::int64_t>(1).cells()[0];
    CHECK(std::count(f.ids.cells().begin() + 3, f.ids.cells().end(), poison) == 3);
}

TEST_CASE("a verdict on more tokens than a row took, or of another number of rows, is an error")
{
    failing f;
    std::vector<std::int64_t> ids(3), positions(3);
    f.decode.append(std::vector<int>{1, 2, 3},
                    outputs{set<token_ids>(ids), set<position_ids>(positions)});
    const auto error_of = [&](const std::vector<int>& counts) {
        const auto tried = f.decode.try_accept(counts);
        check_throws(tried.error(), [&] { f.decode.accept(counts); });
        CHECK(line_of(f.decode.lengths()) == line{4, 2, 3});
        return error_is(tried.error());
    };
    CHECK(error_of({1, 2, 1}) == error_is(errors::count_out_of_range, 1, 2, 1, "counts"));
    CHECK(error_of({1, 1, -1}) == error_is(errors::count_out_of_range, 2, -1, 1, "counts"));
    CHECK(error_of({1, 1}) == error_is(errors::count_mismatch, no_row, 2, 3, "counts"));
    CHECK(f.decode.try_accept(std::vector<int>{1, 0, 1}).has_value());
    CHECK(error_is(f.decode.try_accept(std::vector<int>{1, 1, 1}).error()) ==
          error_is(errors::count_out_of_range, 1, 1, 0, "counts"));  // what was rejected does not come back
}

TEST_CASE("a start or a move that does not fit is an error before the first write")
{
    guarded<std::int64_t> mask(3 * 4);
    const auto kept = outputs{set<attention_mask>(mask.cells())};
    const auto error_of = [&](const std::vector<int>& lengths, std::size_t width, std::size_t capacity,
                              batten::integer pad_id = 0) {
        const auto tried = decode_batch<>::try_start({.pad_id = pad_id}, lengths, width, capacity, kept);
        CHECK_FALSE(tried.has_value());
        check_throws(tried.error(), [&] { decode_batch<>({.pad_id = pad_id}, lengths, width, capacity, kept); });
        CHECK(mask.untouched());
        return error_is(tried.error());
    };
    CHECK(error_of({1, 5, 1}, 4, 4) == error_is(errors::segment_past_row, 1, 5, 4, "the prefill"));
    CHECK(error_of({1, 1, -1}, 4, 4) == error_is(errors::length_negative, 2, -1));
    CHECK(error_of({1, 1, 1}, 4, 3) == error_is(errors::capacity_below_width, no_row, 3, 4));
    CHECK(error_of({1, 1, 1}, 4, 5) == error_is(errors::span_too_small, no_row, 15, 12, "attention_mask"));
    CHECK(error_of({1, 1, 1}, 1, std::numeric_limits<std::size_t>::max()).code == errors::size_overflow);
    CHECK(error_of({1, 1, 1}, 4, 4, std::numeric_limits<std::uint64_t>::max()).code == errors::pad_id_not_representable);

    failing f;
    const auto grown = [&](std::size_t capacity) {
        const grid before = grid_of(f.decode.full_view<attention_mask>());
        const auto tried = f.decode.try_grow(capacity, kept);
        check_throws(tried.error(), [&] { f.decode.grow(capacity, kept); });
        CHECK(mask.untouched());
        CHECK(grid_of(f.decode.full_view<attention_mask>()) == before);
        return error_is(tried.error());
    };
    CHECK(grown(2) == error_is(errors::capacity_below_width, no_row, 2, 3));
    CHECK(grown(5) == error_is(errors::span_too_small, no_row, 15, 12, "attention_mask"));
    std::vector<std::size_t> map(2);
    CHECK(error_is(f.decode.try_drop_finished(map).error()) == error_is(errors::span_too_small, no_row, 3, 2, "map"));
}
