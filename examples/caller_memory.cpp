// SPDX-License-Identifier: MIT
// Memory of your own: ask for the shape, allocate (pinned, shared, mapped, ...), have it written. Then: a batch reused.
#include "print.hpp"

#include <batten/batten.hpp>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <span>
#include <vector>

int main()
{
    const std::vector<std::vector<int>> sentences{{11, 12}, {21, 22, 23, 24}, {31}};

    using fields = batten::fields<batten::token_ids<std::int32_t>, batten::attention_mask<std::uint8_t>,
                                  batten::position_ids<std::int32_t>>;
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> collate{{.pad_id = 0}};

    // 1. Ask first: rows, width, and how many elements every field takes. The data are validated here too.
    const auto shape = collate.shape(sentences);
    std::cout << shape.rows() << " rows, " << shape.width() << " columns\n";

    // 2. A vector a field. Spans go by name: one left out, or of another element type, does not compile.
    std::vector<std::int32_t> ids(shape.elements<batten::token_ids>());
    std::vector<std::uint8_t> mask(shape.elements<batten::attention_mask>());
    std::vector<std::int32_t> positions(shape.elements<batten::position_ids>());
    const auto written =
        collate.into(sentences, batten::outputs{batten::set<batten::token_ids>(ids), batten::set<batten::attention_mask>(mask),
                                                batten::set<batten::position_ids>(positions)});
    std::cout << written.summary.real_tokens << " real tokens, " << written.summary.padded_cells << " padded cells\n";
    print("token_ids", batten::matrix_view(ids.data(), written.rows(), written.width()));
    print("attention_mask", batten::matrix_view(mask.data(), written.rows(), written.width()));

    // 3. Or one arena for two fields, with rows `row_stride` elements apart. What lies between the rows is left as it is: -7.
    constexpr std::size_t row_stride = 6;
    std::vector<std::int32_t> arena(2 * shape.rows() * row_stride, -7);
    const std::span<std::int32_t> first = std::span(arena).first(shape.rows() * row_stride);
    const std::span<std::int32_t> second = std::span(arena).last(shape.rows() * row_stride);
    collate.into(sentences,
                 batten::outputs{batten::set<batten::token_ids>(first, row_stride), batten::set<batten::position_ids>(second, row_stride),
                                 batten::set<batten::attention_mask>(mask)});
    print("the arena", batten::matrix_view(arena.data(), 2 * shape.rows(), row_stride));

    // 4. What does not fit is an error before the first write. The try_ calls return it, the others throw it.
    const auto refused = collate.try_into(sentences, batten::outputs{batten::set<batten::token_ids>(std::span(ids).first(5)),
                                                                     batten::set<batten::attention_mask>(mask),
                                                                     batten::set<batten::position_ids>(positions)});
    std::cout << refused.error().message() << '\n';

    // 5. Where memory need not be yours: give a batch back, and it is written again, in place wherever it has the room.
    auto batch = collate(sentences);
    const auto* const before = batch.token_ids().data();
    const std::vector<std::vector<int>> next{{41, 42, 43}, {51, 52}};
    collate(next, batch);
    std::cout << "reused: " << (batch.token_ids().data() == before ? "the same memory" : "other memory") << '\n';
    print("token_ids", batch.view<batten::token_ids>());
}
