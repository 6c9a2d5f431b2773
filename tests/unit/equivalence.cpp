// SPDX-License-Identifier: MIT
// Padding is harmless: a model computes the same of a sequence alone and in a batch, whatever the layout. Each test has a
// negative control: the same without positions, mask or border labels must show.

#include "reference_model.hpp"
#include "support.hpp"

#include <batten/mask/intervals.hpp>
#include <batten/plan/packing.hpp>
#include <batten/serve/decode.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <random>
#include <span>
#include <vector>

using tests::model_shape;
using tests::positions_are;
using tests::ragged;
using tests::reference_model;
using tests::vec;

namespace mask = batten::mask;

namespace {

constexpr double rounding = 1e-9;  // sums of doubles in another order
constexpr double noticeable = 1e-2;    // what is wrong must be off by
constexpr int pad_id = 3;       // a token like any other too

ragged random_sequences(std::initializer_list<std::size_t> lengths, std::uint64_t seed)
{
    std::mt19937_64 any(seed);
    ragged made;
    for (const std::size_t length : lengths) {
        made.emplace_back();
        while (made.back().size() < length)
            made.back().push_back(static_cast<int>(any() % 13));
    }
    return made;
}

// ---- one batch, in every layout --------------------------------------------------------------------------------------------

// What a model needs of a batch, however it is laid out.
struct laid_out {
    struct place {
        std::size_t sequence, row, column, columns;
    };

    const char* layout = "";
    std::size_t rows = 0, width = 0, targets = 0;
    std::vector<std::int64_t> ids, positions, labels;
    std::vector<mask::interval> seen;  // causal and of the own sequence
    std::vector<place> places{};
};

using all_fields = batten::fields<batten::token_ids<>, batten::position_ids<>, batten::labels<>, batten::segment_ids<>>;
using all_packed_fields =
    batten::fields<batten::token_ids<>, batten::position_ids<>, batten::labels<>, batten::segment_ids<>, batten::cu_seqlens<>>;

template <class Batch, class Where>
laid_out taken_from(const char* layout, const Batch& batch, const Where& where)
{
    const auto copy = [](const auto& cells) { return std::vector<std::int64_t>(cells.begin(), cells.end()); };
    laid_out out{layout,
                 batch.rows(),
                 batch.width(),
                 batch.summary().targets,
                 copy(batch.token_ids()),
                 copy(batch.position_ids()),
                 copy(batch.labels()),
                 std::vector<mask::interval>(mask::interval_count(where))};
    mask::intervals(where, mask::causal{}, std::span(out.seen));
    return out;
}

template <class Side, class Inputs>
laid_out padded(const char* layout, const Inputs& in, batten::target_alignment targets, std::size_t extra_width)
{
    const batten::collator<Side, batten::dynamic_length, batten::reject, all_fields> dynamic{
        {.pad_id = pad_id, .targets = targets}};
    const batten::collator<Side, batten::fixed_length, batten::reject, all_fields> collate{
        {.pad_id = pad_id, .length = dynamic.shape(in).width() + extra_width, .targets = targets}};
    const auto batch = collate(in);
    laid_out out = taken_from(layout, batch, mask::padded_rows(batch.lengths(), batch.width(), Side{}));
    for (std::size_t r = 0; r < batch.rows(); ++r) {
        const auto columns = static_cast<std::size_t>(batch.lengths()[r]);
        out.places.push_back({r, r, Side::offset(columns, batch.width()), columns});
    }
    return out;
}

template <class Inputs>
laid_out packed(const Inputs& in, batten::target_alignment targets)
{
    const batten::varlen_collator<batten::round_up_to<8>, all_packed_fields> collate{{.pad_id = pad_id, .targets = targets}};
    const auto batch = collate(in);
    laid_out out = taken_from("packed", batch, mask::packed_row(batch.cu_seqlens()));
    for (std::size_t s = 0; s < batch.lengths().size(); ++s)
        out.places.push_back(
            {s, 0, static_cast<std::size_t>(batch.cu_seqlens()[s]), static_cast<std::size_t>(batch.lengths()[s])});
    return out;
}

template <class Inputs>
laid_out packed(const Inputs& in, batten::target_alignment targets, std::size_t capacity)
{
    const auto lengths = batten::each(in.sequences, [](const std::vector<int>& ids) { return ids.size(); });
    const auto bins = batten::plan::best_fit(lengths, {.capacity = capacity, .targets = targets});
    const batten::packed_collator<batten::fixed_length, all_fields> collate{
        {.pad_id = pad_id, .length = capacity, .targets = targets}};
    const auto batch = collate(batten::packed(in, bins));
    laid_out out = taken_from("binned", batch, mask::rows_by_segment_ids(batch.segment_ids(), batch.width()));
    for (std::size_t b = 0, s = 0; b < bins.size(); ++b)
        for (std::size_t column = 0; s < bins.offsets[b + 1]; ++s) {
            const auto columns = static_cast<std::size_t>(batch.lengths()[s]);
            out.places.push_back({bins.pieces[s].sequence, b, column, columns});
            column += columns;
        }
    return out;
}

template <class Inputs>
std::vector<laid_out> every_layout(const Inputs& in, batten::target_alignment targets = batten::model_shifts)
{
    return {padded<batten::pad_right>("right", in, targets, 0), padded<batten::pad_left>("left", in, targets, 0),
            padded<batten::pad_right>("fixed", in, targets, 5), padded<batten::pad_left>("fixed left", in, targets, 5),
            packed(in, targets, 12), packed(in, targets)};
}

// Every key up to the query's own column, pads and other sequences too: what is left without a mask.
void drop_mask(laid_out& batch)
{
    for (std::size_t i = 0; i < batch.seen.size(); ++i)
        batch.seen[i] = {0, static_cast<std::int32_t>(i % batch.width) + 1};
}

// Positions that count columns: what models take by default.
void drop_positions(laid_out& batch)
{
    for (std::size_t i = 0; i < batch.positions.size(); ++i)
        batch.positions[i] = static_cast<std::int64_t>(i % batch.width);
}

// ---- logits ----------------------------------------------------------------------------------------------------------------

std::vector<vec> logits_alone(const reference_model& model, const std::vector<int>& ids)
{
    std::vector<int> positions;
    for (int i = 0; i < static_cast<int>(ids.size()); ++i)
        positions.push_back(i);
    auto cache = model.cache(ids.size());
    return model.run(cache, 0, std::span<const int>(ids), std::span<const int>(positions),
                     [](std::size_t query, std::size_t key) { return key <= query; });
}

std::vector<vec> logits_of_row(const reference_model& model, const laid_out& batch, std::size_t r)
{
    const auto row = [&](const auto& cells) { return std::span(cells).subspan(r * batch.width, batch.width); };
    auto cache = model.cache(batch.width);
    return model.run(cache, 0, row(batch.ids), row(batch.positions), [&](std::size_t query, std::size_t key) {
        return row(batch.seen)[query].contains(static_cast<std::int32_t>(key));
    });
}

// The largest difference between the logits of real tokens alone and in the batch.
double logits_differ(const reference_model& model, const ragged& ids, const laid_out& batch)
{
    std::vector<std::vector<vec>> rows;
    for (std::size_t r = 0; r < batch.rows; ++r)
        rows.push_back(logits_of_row(model, batch, r));
    double most = 0;
    std::size_t compared = 0;
    for (const auto& place : batch.places) {
        const auto expected = logits_alone(model, ids[place.sequence]);
        REQUIRE(place.columns == expected.size());
        for (std::size_t i = 0; i < place.columns; ++i, ++compared)
            for (std::size_t v = 0; v < expected[i].size(); ++v) {
                const double difference = std::abs(rows[place.row][place.column + i][v] - expected[i][v]);
                most = std::isnan(difference) ? std::numeric_limits<double>::infinity() : std::max(most, difference);
            }
    }
    std::size_t tokens = 0;
    for (const auto& sequence : ids)
        tokens += sequence.size();
    REQUIRE(compared == tokens);
    return most;
}

const ragged ids = random_sequences({7, 1, 11, 0, 4, 9, 2, 6}, 3);

}  // namespace

TEST_CASE("the logits of a sequence are the same alone and in a batch of any layout")
{
    for (const auto kind : {positions_are::learned, positions_are::rotary}) {
        const reference_model model(model_shape{.positions = kind});
        for (const laid_out& batch : every_layout(batten::inputs{ids})) {
            INFO(batch.layout);
            CHECK(logits_differ(model, ids, batch) < rounding);
        }
    }
}

TEST_CASE("without the mask the logits are others wherever a row has more than one sequence, or pads before it")
{
    for (const auto kind : {positions_are::learned, positions_are::rotary}) {
        const reference_model model(model_shape{.positions = kind});
        for (laid_out& batch : every_layout(batten::inputs{ids})) {
            INFO(batch.layout);
            drop_mask(batch);
            const bool pads_come_last = std::all_of(batch.places.begin(), batch.places.end(),
                                                    [](const auto& place) { return place.column == 0; });
            // No token of a causal model sees what comes behind it.
            CHECK((logits_differ(model, ids, batch) > noticeable) == !pads_come_last);
        }
    }
}

TEST_CASE("without the positions the logits are others, but a shift of all of a row does not show in rotary ones")
{
    const reference_model learned(model_shape{.positions = positions_are::learned});
    const reference_model rotary(model_shape{.positions = positions_are::rotary});
    for (laid_out& batch : every_layout(batten::inputs{ids})) {
        INFO(batch.layout);
        drop_positions(batch);
        const bool columns_are_positions = std::all_of(batch.places.begin(), batch.places.end(),
                                                       [](const auto& place) { return place.column == 0; });
        CHECK((logits_differ(learned, ids, batch) > noticeable) == !columns_are_positions);
        CHECK(logits_differ(rotary, ids, batch) < rounding);
        std::fill(batch.positions.begin(), batch.positions.end(), 0);
        CHECK(logits_differ(learned, ids, batch) > noticeable);
        CHECK(logits_differ(rotary, ids, batch) > noticeable);
    }
}

// ---- training --------------------------------------------------------------------------------------------------------------

namespace {

struct training_set {
    ragged ids;
    std::vector<std::size_t> prompt_lengths;

    auto inputs() const { return batten::inputs{ids, prompt_lengths}; }

    // The sum over all targets: tokens at or past the prompt that a token comes before.
    double loss(const reference_model& model) const
    {
        double sum = 0;
        for (std::size_t s = 0; s < ids.size(); ++s) {
            const auto logits = logits_alone(model, ids[s]);
            for (std::size_t t = std::max<std::size_t>(prompt_lengths[s], 1); t < ids[s].size(); ++t)
                sum += tests::cross_entropy(logits[t - 1], static_cast<std::size_t>(ids[s][t]));
        }
        return sum;
    }
};

const training_set many{ids, {2, 0, 5, 0, 4, 0, 1, 3}};
// Small, as the model is that goes with it: every weight costs two runs.
const training_set few{random_sequences({5, 1, 0, 4, 3}, 31), {0, 0, 0, 2, 1}};

// The sum over all labels, shifted by the model where it is the one that shifts.
double loss_of(const reference_model& model, const laid_out& batch, batten::target_alignment targets)
{
    const std::size_t shift = targets == batten::model_shifts ? 1 : 0;
    double loss = 0;
    for (std::size_t r = 0; r < batch.rows; ++r) {
        const auto logits = logits_of_row(model, batch, r);
        for (std::size_t c = 0; c + shift < batch.width; ++c)
            if (const std::int64_t label = batch.labels[r * batch.width + c + shift]; label != -100)
                loss += tests::cross_entropy(logits[c], static_cast<std::size_t>(label));
    }
    return loss;
}

// By central differences, every weight. Their error is the same for both sides of a comparison.
template <class Loss>
vec gradient(reference_model model, Loss loss)
{
    constexpr double step = 1e-4;
    vec slopes;
    for (double& weight : model.weights) {
        const double at = weight;
        weight = at + step;
        const double above = loss(model);
        weight = at - step;
        slopes.push_back((above - loss(model)) / (2 * step));
        weight = at;
    }
    return slopes;
}

double largest_difference(const vec& a, const vec& b)
{
    double most = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        most = std::max(most, std::abs(a[i] - b[i]));
    return most;
}

reference_model small_model(positions_are kind)
{
    return reference_model({.positions = kind, .most_positions = 16, .width = 4, .layers = 1}, 5);
}

}  // namespace

TEST_CASE("the loss of a batch of any layout is the sum of those of its sequences, each target once")
{
    for (const auto kind : {positions_are::learned, positions_are::rotary})
        for (const auto targets : {batten::model_shifts, batten::next_token, batten::next_token_drop_last}) {
            const reference_model model(model_shape{.positions = kind});
            const double expected = many.loss(model);
            for (const laid_out& batch : every_layout(many.inputs(), targets)) {
                INFO(batch.layout << ", targets " << static_cast<int>(targets));
                CHECK(std::abs(loss_of(model, batch, targets) - expected) < rounding);
                CHECK(batch.targets == 5 + 0 + 6 + 0 + 0 + 8 + 1 + 3);
            }
        }
}

TEST_CASE("the gradients of a batch of any layout are the sums of those of its sequences")
{
    for (const auto kind : {positions_are::learned, positions_are::rotary}) {
        const reference_model model = small_model(kind);
        const vec expected = gradient(model, [](const reference_model& at) { return few.loss(at); });
        for (const laid_out& batch : every_layout(few.inputs())) {
            INFO(batch.layout);
            const vec found =
                gradient(model, [&](const reference_model& at) { return loss_of(at, batch, batten::model_shifts); });
            CHECK(largest_difference(found, expected) < 1e-7);  // of differences of sums: rounding, divided by the step
        }
    }
}

TEST_CASE("without the mask, the positions or the border's label, loss and gradients are others")
{
    const reference_model model = small_model(positions_are::learned);
    const double loss = few.loss(model);
    const vec slopes = gradient(model, [](const reference_model& at) { return few.loss(at); });
    const auto check_wrong = [&](const laid_out& batch) {
        INFO(batch.layout);
        const auto of_batch = [&](const reference_model& at) { return loss_of(at, batch, batten::model_shifts); };
        CHECK(std::abs(of_batch(model) - loss) > noticeable);
        CHECK(largest_difference(gradient(model, of_batch), slopes) > noticeable);
    };
    for (const laid_out& batch : {packed(few.inputs(), batten::model_shifts, 12), packed(few.inputs(), batten::model_shifts)}) {
        laid_out wrong = batch;
        drop_mask(wrong);
        check_wrong(wrong);

        wrong = batch;
        drop_positions(wrong);
        check_wrong(wrong);

        wrong = batch;  // the first token of each sequence, as the target of the last token of another
        for (const auto& place : batch.places)
            if (const std::size_t cell = place.row * batch.width + place.column; place.columns != 0 && place.column != 0)
                wrong.labels[cell] = wrong.ids[cell];
        check_wrong(wrong);
    }
}

// ---- generation ------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t tokens_made = 16;
const ragged prompts = random_sequences({5, 1, 9, 3, 7}, 17);

int best(const vec& logits) { return static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin()); }

// The oracle: no batch, no cache.
ragged generated_alone(const reference_model& model)
{
    ragged made;
    for (std::vector<int> all : prompts) {
        made.emplace_back();
        while (made.back().size() < tokens_made) {
            all.push_back(best(logits_alone(model, all).back()));
            made.back().push_back(all.back());
        }
    }
    return made;
}

// How to generate, and what to do wrong.
struct generating {
    std::size_t most_drafted = 0;  // tokens drafted a step, a third of them wrong
    bool rows_end_apart = false;   // after different numbers of tokens, and are dropped
    bool no_mask = false;          // wrong: every column is seen
    bool no_holes = false;         // wrong: every column behind the prefill is
    bool columns_are_positions = false;
};

std::size_t budget(const generating& how, std::size_t prompt)
{
    return how.rows_end_apart ? 2 + 3 * prompt : tokens_made;
}

template <class Side, class Cache>
ragged generated(const reference_model& model, const ragged& expected, const generating& how)
{
    using namespace batten;
    constexpr std::size_t capacity = 128;
    const collator<Side, dynamic_length, reject, inference_fields> collate{{.pad_id = pad_id}};
    const auto shape = collate.shape(prompts);
    std::vector<std::int64_t> seen(shape.rows() * capacity, 9), ids_now(shape.rows() * shape.width()), positions(ids_now);
    std::vector<std::int64_t> lengths(shape.rows());
    collate.into(prompts, outputs{set<attention_mask>(seen, capacity), set<token_ids>(ids_now), set<position_ids>(positions),
                                  set<batten::lengths>(lengths)});
    serve::decode_batch<fields<attention_mask<>>, fields<token_ids<>, position_ids<>>, Cache> decode(
        {.pad_id = pad_id}, lengths, shape.width(), capacity, outputs{set<attention_mask>(seen, capacity)}, Side{});
    std::vector<tests::kv_cache> caches(shape.rows(), model.cache(capacity));

    // The best next token behind each of row r's n columns from `first` on.
    const auto judge = [&](std::size_t r, std::size_t first, std::size_t n, std::size_t row_stride) {
        std::vector<std::int64_t> places(positions.data() + r * row_stride, positions.data() + r * row_stride + n);
        if (how.columns_are_positions)
            for (std::size_t i = 0; i < n; ++i)
                places[i] = static_cast<std::int64_t>(first + i);
        const auto logits = model.run(
            caches[r], first, std::span<const std::int64_t>(ids_now).subspan(r * row_stride, n),
            std::span<const std::int64_t>(places), [&](std::size_t query, std::size_t key) {
                const bool shown = how.no_mask || (how.no_holes && key >= shape.width());
                return key <= first + query && (shown || decode.template full_view<attention_mask>()(r, key) == 1);
            });
        std::vector<int> next;
        for (const vec& of : logits)
            next.push_back(best(of));
        return next;
    };

    ragged made(shape.rows());
    std::vector<std::size_t> prompt_of(shape.rows());
    for (std::size_t r = 0; r < shape.rows(); ++r) {
        const std::size_t last = Side::offset(prompts[r].size(), shape.width()) + prompts[r].size() - 1;
        made[r].push_back(judge(r, 0, shape.width(), shape.width())[last]);
        prompt_of[r] = r;
    }

    std::mt19937_64 any(29);
    while (true) {
        for (std::size_t r = 0; r < decode.rows(); ++r)
            if (made[prompt_of[r]].size() >= budget(how, prompt_of[r]))
                decode.finish(r);
        std::vector<std::size_t> map(decode.rows());
        const std::size_t left = decode.drop_finished(map);
        for (std::size_t r = 0; r < map.size(); ++r)
            if (map[r] != serve::dropped_row) {
                caches[map[r]] = caches[r];
                prompt_of[map[r]] = prompt_of[r];
            }
        if (left == 0)
            break;

        ragged runs(left);
        std::vector<std::size_t> columns(left), accepted(left, 1);
        std::size_t most = 1;
        for (std::size_t r = 0; r < left; ++r) {
            const auto& so_far = made[prompt_of[r]];
            const auto& right = expected[prompt_of[r]];
            runs[r].push_back(so_far.back());
            for (std::size_t n = any() % (how.most_drafted + 1), t = so_far.size(); n > 0 && t < right.size(); --n, ++t)
                runs[r].push_back(any() % 3 == 0 ? (right[t] + 1) % 13 : right[t]);
            columns[r] = decode.column(r);
            most = std::max(most, runs[r].size());
        }
        ids_now.assign(left * most, -1);
        positions.assign(left * most, -1);
        decode.append(runs, outputs{set<token_ids>(ids_now), set<position_ids>(positions)});
        for (std::size_t r = 0; r < left; ++r) {
            const auto next = judge(r, columns[r], runs[r].size(), most);
            while (accepted[r] < runs[r].size() && runs[r][accepted[r]] == next[accepted[r] - 1])
                ++accepted[r];
            auto& so_far = made[prompt_of[r]];
            for (std::size_t i = 0; i < accepted[r]; ++i)
                so_far.push_back(next[i]);
        }
        decode.accept(accepted);
    }
    for (std::size_t p = 0; p < made.size(); ++p)
        made[p].resize(budget(how, p));
    return made;
}

ragged cut(ragged all, const generating& how)
{
    for (std::size_t p = 0; p < all.size(); ++p)
        all[p].resize(budget(how, p));
    return all;
}

constexpr auto decode_left = generated<batten::pad_left, batten::serve::aligned_cache>;
constexpr auto decode_right = generated<batten::pad_right, batten::serve::ragged_cache>;

}  // namespace

TEST_CASE("a batch generates token for token what each of its prompts alone does")
{
    for (const auto kind : {positions_are::learned, positions_are::rotary}) {
        const reference_model model(model_shape{.positions = kind});
        const ragged expected = generated_alone(model);
        for (const std::size_t drafted : {0U, 3U})
            for (const bool apart : {false, true}) {
                INFO("rotary " << (kind == positions_are::rotary) << ", drafted " << drafted << ", rows end apart " << apart);
                const generating how{.most_drafted = drafted, .rows_end_apart = apart};
                CHECK(decode_left(model, expected, how) == cut(expected, how));
                CHECK(decode_right(model, expected, how) == cut(expected, how));
            }
    }
}

TEST_CASE("without the mask, its holes or the positions a batch generates something else")
{
    const reference_model learned(model_shape{.positions = positions_are::learned});
    const reference_model rotary(model_shape{.positions = positions_are::rotary});
    const ragged by_learned = generated_alone(learned), by_rotary = generated_alone(rotary);
    for (const std::size_t drafted : {0U, 3U}) {
        CHECK(decode_left(learned, by_learned, {.most_drafted = drafted, .no_mask = true}) != by_learned);
        CHECK(decode_left(rotary, by_rotary, {.most_drafted = drafted, .no_mask = true}) != by_rotary);
        CHECK(decode_left(learned, by_learned, {.most_drafted = drafted, .columns_are_positions = true}) != by_learned);
    }
    CHECK(decode_left(learned, by_learned, {.most_drafted = 3, .no_holes = true}) != by_learned);
    CHECK(decode_left(rotary, by_rotary, {.most_drafted = 3, .no_holes = true}) != by_rotary);
    // Holes lie between a row's tokens: now a shift shows in rotary positions too.
    CHECK(decode_left(rotary, by_rotary, {.most_drafted = 3, .columns_are_positions = true}) != by_rotary);
    CHECK(decode_left(rotary, by_rotary, {.columns_are_positions = true}) == by_rotary);
}
