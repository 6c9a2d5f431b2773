// SPDX-License-Identifier: MIT
// The library's arrays for Python, by the C ABI: layouts.py loads this library with ctypes. It copies what Batten computes and
// computes nothing itself.

#include <batten/batten.hpp>
#include <batten/mask/dense.hpp>
#include <batten/mask/intervals.hpp>
#include <batten/plan/best_fit.hpp>
#include <batten/serve/decode.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(_WIN32)
#define EXPORTED extern "C" __declspec(dllexport)
#else
#define EXPORTED extern "C" __attribute__((visibility("default")))
#endif

// What layouts.py asks for; laid out as its ctypes.Structure `_Request`.
struct request {
    const std::int64_t* tokens;
    const std::int64_t* offsets;  // [sequences + 1]
    std::size_t sequences;
    const std::int64_t* prompt_lengths;  // [sequences]
    const char* layout;
    const char* targets;
    const char* attention;
    std::int64_t pad_id;
    const std::int64_t* sizes;  // the layout's own: a width, bucket edges, the columns of a bin
    std::size_t size_count;
};

namespace {

namespace mask = batten::mask;

struct array {
    std::string name;
    std::string type;  // as numpy names it
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
};
using batch = std::vector<array>;
using batches = std::vector<batch>;

thread_local std::string last_error;

template <class T>
void add(batch& to, const char* name, std::span<const T> cells, std::initializer_list<std::size_t> shape)
{
    array made{name, (std::is_floating_point_v<T> ? "f" : std::is_signed_v<T> ? "i" : "u") + std::to_string(sizeof(T)), {}, {}};
    for (const std::size_t n : shape)
        made.shape.push_back(static_cast<std::int64_t>(n));
    const auto bytes = std::as_bytes(cells);
    made.bytes.assign(bytes.begin(), bytes.end());
    to.push_back(std::move(made));
}

void add_number(batch& to, const char* name, std::size_t number)
{
    const auto cell = static_cast<std::int64_t>(number);
    add<std::int64_t>(to, name, std::span(&cell, 1), {});
}

// Both dense forms of the attention mask. The boolean one lets pads attend to themselves, the additive one leaves them as they
// are: each is what its kernels bear.
template <class Where>
void add_masks(batch& to, const Where& where, std::string_view attention)
{
    std::vector<mask::interval> seen(mask::interval_count(where));
    const auto find = [&](mask::fully_masked pads) {
        return attention == "causal" ? mask::intervals(where, mask::causal{}, seen, pads)
                                     : mask::intervals(where, mask::bidirectional{}, seen, pads);
    };
    const mask::dimensions shape = find(mask::fully_masked::attend_to_self);
    std::vector<std::uint8_t> boolean(mask::dense_elements(shape), std::uint8_t{0});
    mask::bytes(seen, shape, boolean);
    add<std::uint8_t>(to, "boolean_mask", boolean, {shape.rows, 1, shape.queries, shape.keys});

    find(mask::fully_masked::leave);
    std::vector<float> additive(mask::dense_elements(shape), 0.0F);
    mask::additive(seen, shape, additive);
    add<float>(to, "additive_mask", additive, {shape.rows, 1, shape.queries, shape.keys});
}

// Where each sequence lies: caller's index, row, first column, columns.
using placement = std::vector<std::int64_t>;
void place(placement& to, std::size_t sequence, std::size_t row, std::size_t column, std::int64_t columns)
{
    for (const std::size_t n : {sequence, row, column})
        to.push_back(static_cast<std::int64_t>(n));
    to.push_back(columns);
}

template <class Batch>
batch copy(const Batch& from, const placement& placed)
{
    batch to;
    const std::size_t rows = from.rows(), width = from.width();
    add<std::int64_t>(to, "token_ids", from.token_ids(), {rows, width});
    add<std::int64_t>(to, "attention_mask", from.attention_mask(), {rows, width});
    add<std::int64_t>(to, "position_ids", from.position_ids(), {rows, width});
    add<std::int64_t>(to, "loss_mask", from.loss_mask(), {rows, width});
    add<std::int64_t>(to, "labels", from.labels(), {rows, width});
    add<std::int64_t>(to, "segment_ids", from.segment_ids(), {rows, width});
    add<std::int64_t>(to, "placement", placed, {placed.size() / 4, 4});
    add_number(to, "targets", from.summary().targets);
    add_number(to, "max_seqlen", from.summary().max_seqlen);
    return to;
}

using fields = batten::fields<batten::token_ids<>, batten::attention_mask<>, batten::position_ids<>, batten::loss_mask<>,
                              batten::labels<>, batten::segment_ids<>>;
using varlen_fields = batten::fields<batten::token_ids<>, batten::attention_mask<>, batten::position_ids<>,
                                     batten::loss_mask<>, batten::labels<>, batten::segment_ids<>, batten::cu_seqlens<>>;

template <class Batch>
batch copy_padded(const Batch& from, std::span<const std::size_t> order, std::string_view attention)
{
    placement placed;
    for (std::size_t r = 0; r < from.rows(); ++r) {
        const std::int64_t length = from.lengths()[r];
        place(placed, order[r], r, static_cast<std::size_t>(from.first_columns()[r]), length);
    }
    batch to = copy(from, placed);
    add_masks(to, from, attention);
    return to;
}

template <class Side, class Length, class In>
batch padded(const In& in, batten::integer pad_id, batten::target_alignment targets, Length length, std::string_view attention)
{
    const batten::collator<Side, Length, batten::reject, fields> collate{
        {.pad_id = pad_id, .length = std::move(length), .targets = targets}};
    const auto made = collate(in);
    std::vector<std::size_t> order(made.rows(), 0);
    for (std::size_t r = 0; r < order.size(); ++r)
        order[r] = r;
    return copy_padded(made, order, attention);
}

template <class In>
batches bucketed(const In& in, batten::integer pad_id, batten::target_alignment targets, std::span<const std::int64_t> edges,
                 std::string_view attention)
{
    const batten::bucketed_collator<batten::pad_right, batten::bucketed_length, batten::reject, fields> collate{
        {.pad_id = pad_id, .length = edges, .targets = targets}};
    const auto made = collate(in);
    batches all;
    for (const auto& one : made)
        all.push_back(copy_padded(one, one.order(), attention));
    return all;
}

template <class In>
batch packed(const In& in, batten::integer pad_id, batten::target_alignment targets, std::size_t columns,
             std::string_view attention)
{
    std::vector<std::size_t> lengths;
    for (std::size_t i = 0; i < in.sequences.size(); ++i)
        lengths.push_back(in.sequences[i].size());
    const batten::plan::packing bins = batten::plan::pack_best_fit(lengths, {.capacity = columns, .targets = targets});
    const batten::packed_collator<batten::fixed_length, fields> collate{
        {.pad_id = pad_id, .length = columns, .targets = targets}};
    const auto made = collate(batten::packed(in, bins));
    placement placed;
    for (std::size_t b = 0, s = 0; b < bins.size(); ++b)
        for (std::size_t column = 0; s < bins.offsets[b + 1]; ++s) {
            place(placed, bins.pieces[s].sequence, b, column, made.lengths()[s]);
            column += static_cast<std::size_t>(made.lengths()[s]);
        }
    batch to = copy(made, placed);
    add_masks(to, made, attention);
    return to;
}

template <class In>
batch packed(const In& in, batten::integer pad_id, batten::target_alignment targets, std::string_view attention)
{
    const batten::varlen_collator<batten::round_up_to<8>, varlen_fields> collate{{.pad_id = pad_id, .targets = targets}};
    const auto made = collate(in);
    placement placed;
    for (std::size_t s = 0; s < made.lengths().size(); ++s)
        place(placed, s, 0, static_cast<std::size_t>(made.cu_seqlens()[s]), made.lengths()[s]);
    batch to = copy(made, placed);
    add<std::int32_t>(to, "cu_seqlens", made.cu_seqlens(), {made.cu_seqlens().size()});
    // The pad tail, a segment of its own, attends to itself.
    add_masks(to, made, attention);
    return to;
}

batten::target_alignment targets_named(std::string_view name)
{
    if (name == "same_position")
        return batten::same_position;
    if (name == "model_shifts")
        return batten::model_shifts;
    if (name == "next_token")
        return batten::next_token;
    if (name == "next_token_drop_last")
        return batten::next_token_drop_last;
    throw std::invalid_argument("no such targets");
}

auto sequences_of(const request& asked)
{
    return batten::ragged_view(std::span(asked.tokens, static_cast<std::size_t>(asked.offsets[asked.sequences])),
                               std::span(asked.offsets, asked.sequences + 1));
}

batches collate(const request& asked)
{
    const auto sequences = sequences_of(asked);
    const std::span prompt_lengths(asked.prompt_lengths, asked.sequences);
    const batten::inputs in{sequences, prompt_lengths};
    const std::string_view layout = asked.layout, attention = asked.attention;
    const std::span sizes(asked.sizes, asked.size_count);
    const batten::target_alignment targets = targets_named(asked.targets);
    using batten::dynamic_length, batten::fixed_length, batten::pad_left, batten::pad_right;
    if (layout == "right")
        return {padded<pad_right>(in, asked.pad_id, targets, dynamic_length{}, attention)};
    if (layout == "left")
        return {padded<pad_left>(in, asked.pad_id, targets, dynamic_length{}, attention)};
    if (layout == "varlen")
        return {packed(in, asked.pad_id, targets, attention)};
    if (sizes.empty())
        throw std::invalid_argument("this layout needs sizes");
    if (layout == "fixed")
        return {padded<pad_right>(in, asked.pad_id, targets, fixed_length(sizes[0]), attention)};
    if (layout == "fixed_left")
        return {padded<pad_left>(in, asked.pad_id, targets, fixed_length(sizes[0]), attention)};
    if (layout == "bucketed")
        return bucketed(in, asked.pad_id, targets, sizes, attention);
    if (layout == "packed")
        return {packed(in, asked.pad_id, targets, static_cast<std::size_t>(sizes[0]), attention)};
    throw std::invalid_argument("no such layout");
}

// ---- decoding: a batch padded left goes on in the caller's memory --------------------------------------------------------

using prompt_collator = batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, batten::inference_fields>;
using decoding = batten::serve::decode_batch<batten::fields<batten::attention_mask<>>,
                                             batten::fields<batten::token_ids<>, batten::position_ids<>>>;

// The mask [rows, capacity] stays where it is; ids and positions, [rows, width], are for the prefill alone.
decoding start(const request& prompts, std::size_t capacity, std::int64_t* mask, std::int64_t* ids, std::int64_t* positions)
{
    const prompt_collator collate{{.pad_id = prompts.pad_id}};
    const auto in = sequences_of(prompts);
    const auto shape = collate.shape(in);
    const std::span kept(mask, shape.rows() * capacity);
    std::vector<std::int64_t> lengths(shape.rows(), 0);
    collate.into(in, batten::outputs{batten::set<batten::attention_mask>(kept, capacity),
                                     batten::set<batten::token_ids>(std::span(ids, shape.rows() * shape.width())),
                                     batten::set<batten::position_ids>(std::span(positions, shape.rows() * shape.width())),
                                     batten::set<batten::lengths>(lengths)});
    return decoding({.pad_id = prompts.pad_id}, lengths, shape.width(), capacity,
                    batten::outputs{batten::set<batten::attention_mask>(kept, capacity)});
}

// What the caller gets where `make` throws is nothing (null, 0), and the reason by batten_error().
template <class Make>
auto guarded(Make make) noexcept -> decltype(make())
{
    try {
        return make();
    } catch (const std::exception& caught) {
        last_error = caught.what();
        return {};
    }
}

}  // namespace

EXPORTED const char* batten_error() { return last_error.c_str(); }

EXPORTED batches* batten_collate(const request* asked)
{
    return guarded([&] { return std::make_unique<batches>(collate(*asked)).release(); });
}
EXPORTED void batten_free(batches* all) { delete all; }
EXPORTED std::size_t batten_batches(const batches* all) { return all->size(); }
EXPORTED std::size_t batten_arrays(const batches* all, std::size_t b) { return (*all)[b].size(); }
EXPORTED const array* batten_array(const batches* all, std::size_t b, std::size_t a) { return &(*all)[b][a]; }
EXPORTED const char* batten_array_name(const array* of) { return of->name.c_str(); }
EXPORTED const char* batten_array_type(const array* of) { return of->type.c_str(); }
EXPORTED const void* batten_array_data(const array* of) { return of->bytes.data(); }
EXPORTED std::size_t batten_array_bytes(const array* of) { return of->bytes.size(); }
EXPORTED std::size_t batten_array_dimensions(const array* of) { return of->shape.size(); }
EXPORTED const std::int64_t* batten_array_shape(const array* of) { return of->shape.data(); }

EXPORTED decoding* batten_decode_start(const request* prompts, std::size_t capacity, std::int64_t* mask, std::int64_t* ids,
                                       std::int64_t* positions)
{
    return guarded([&] { return std::make_unique<decoding>(start(*prompts, capacity, mask, ids, positions)).release(); });
}
EXPORTED void batten_decode_free(decoding* of) { delete of; }
EXPORTED std::size_t batten_decode_width(const decoding* of) { return of->width(); }
// tokens [rows, most], of which row r takes counts[r]; ids and positions [rows, most]. Requires: most = the largest count.
EXPORTED bool batten_decode_append(decoding* of, const std::int64_t* tokens, const std::int64_t* counts, std::size_t most,
                                   std::int64_t* ids, std::int64_t* positions)
{
    return guarded([&] {
        const std::size_t cells = of->rows() * most;
        of->append(batten::strided_sequences(std::span(tokens, cells), most, std::span(counts, of->rows())),
                   batten::outputs{batten::set<batten::token_ids>(std::span(ids, cells)),
                                   batten::set<batten::position_ids>(std::span(positions, cells))});
        return true;
    });
}
EXPORTED bool batten_decode_accept(decoding* of, const std::int64_t* counts)
{
    return guarded([&] {
        of->accept(std::span(counts, of->rows()));
        return true;
    });
}
EXPORTED bool batten_decode_finish(decoding* of, std::size_t row)
{
    return guarded([&] {
        of->finish(row);
        return true;
    });
}
// Drops finished rows, and returns how many are left; map [rows]: the new row, or -1.
EXPORTED std::size_t batten_decode_drop(decoding* of, std::size_t* map)
{
    return of->drop_finished(std::span(map, of->rows()));
}
