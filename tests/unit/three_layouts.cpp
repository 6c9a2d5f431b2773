// SPDX-License-Identifier: MIT
// One batch, three layouts: padded, packed and binned from the same sequences say the same of every token.

#include "reference.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

using tests::below;

namespace {

using fields = batten::fields<batten::token_ids<>, batten::position_ids<>, batten::loss_mask<>, batten::labels<>,
                              batten::column<"w", int>>;

// What a batch says of one column of a sequence.
struct told {
    long long token, position, loss, label, column;
    friend bool operator==(const told&, const told&) = default;
};
using sequence_told = std::vector<told>;

template <class Batch>
told at(const Batch& batch, std::size_t r, std::size_t c)
{
    return {batch.token_ids(r)[c], batch.position_ids(r)[c], batch.loss_mask(r)[c], batch.labels(r)[c],
            batch.template get<"w">(r)[c]};
}

template <class Batch>
sequence_told slice(const Batch& batch, std::size_t r, std::size_t first, std::size_t length)
{
    sequence_told all;
    for (std::size_t c = first; c < first + length; ++c)
        all.push_back(at(batch, r, c));
    return all;
}

// With model_shifts, a padded row has a label at column 0, which the model's shift drops; rows that are shared have none.
void forget_first_label(std::vector<sequence_told>& all)
{
    for (auto& sequence : all)
        if (!sequence.empty())
            sequence.front().loss = sequence.front().label = 0;
}

}  // namespace

TEST_CASE("padded, packed and binned batches agree on tokens, positions, targets and their count")
{
    tests::random any(11);
    for (int round = 0; round < 300; ++round) {
        const std::size_t count = below(any, 9);
        tests::ragged ids(count);
        std::vector<std::vector<int>> loss(count), weights(count);
        std::vector<std::size_t> prompts(count);
        for (std::size_t i = 0; i < count; ++i) {
            for (std::size_t n = below(any, 4) == 0 ? 0 : below(any, 12); n > 0; --n) {
                ids[i].push_back(static_cast<int>(below(any, 50)));
                loss[i].push_back(static_cast<int>(below(any, 3)));
                weights[i].push_back(static_cast<int>(below(any, 9)));
            }
            prompts[i] = below(any, 2) == 0 ? 0 : below(any, ids[i].size() + 1);
        }
        const batten::inputs in{ids, prompts, loss, batten::columns{batten::named<"w">(weights)}};
        const auto alignment = static_cast<batten::target_alignment>(below(any, 4));

        // Bins at random, in a random order of sequences.
        std::vector<std::uint32_t> order(count);
        for (std::size_t i = 0; i < count; ++i)
            order[i] = static_cast<std::uint32_t>(i);
        std::shuffle(order.begin(), order.end(), any);
        std::vector<batten::piece> pieces;
        std::vector<std::size_t> offsets{0};
        for (const std::uint32_t i : order) {
            pieces.push_back({i, 0, static_cast<std::uint32_t>(ids[i].size())});
            if (below(any, 3) == 0)
                offsets.push_back(pieces.size());
        }
        if (offsets.back() != pieces.size())
            offsets.push_back(pieces.size());
        const std::size_t multiple = 1 + below(any, 4);

        const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields> right{
            {.pad_id = 0, .targets = alignment}};
        const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> left{
            {.pad_id = 0, .targets = alignment}};
        const batten::varlen_collator<batten::round_up_to<8>, fields> pack{{.pad_id = 0, .targets = alignment}};
        const batten::packed_collator<batten::dynamic_length, fields> bin{{.pad_id = 0, .targets = alignment}};
        const auto by_right = right(in);
        const auto by_left = left(in);
        const auto by_pack = pack(in);
        const auto by_bin = bin(batten::packed(in, {pieces, offsets, multiple}));

        std::vector<sequence_told> from_right, from_left, from_pack, from_bin(count);
        std::size_t column = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const auto length = static_cast<std::size_t>(by_right.lengths()[i]);
            from_right.push_back(slice(by_right, i, 0, length));
            from_left.push_back(slice(by_left, i, by_left.width() - length, length));
            from_pack.push_back(slice(by_pack, 0, column, length));
            column += length;
        }
        for (std::size_t b = 0, s = 0; b + 1 < offsets.size(); ++b)
            for (std::size_t c = 0; s < offsets[b + 1]; ++s) {
                const auto length = static_cast<std::size_t>(by_bin.lengths()[s]);
                c = length == 0 ? c : (c + multiple - 1) / multiple * multiple;
                from_bin[pieces[s].sequence] = slice(by_bin, b, c, length);
                c += length;
            }
        if (alignment == batten::model_shifts)
            for (auto* all : {&from_right, &from_left, &from_pack, &from_bin})
                forget_first_label(*all);
        CHECK(from_left == from_right);
        CHECK(from_pack == from_right);
        CHECK(from_bin == from_right);
        CHECK(by_left.summary().targets == by_right.summary().targets);
        CHECK(by_pack.summary().targets == by_right.summary().targets);
        CHECK(by_bin.summary().targets == by_right.summary().targets);
        CHECK(by_pack.summary().real_tokens == by_right.summary().real_tokens);
        CHECK(by_bin.summary().real_tokens == by_right.summary().real_tokens);
    }
}
