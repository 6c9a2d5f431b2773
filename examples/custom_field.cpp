// SPDX-License-Identifier: MIT
// Fields of your own: a weight for every token, and the column of every row's last token.
#include "print.hpp"

#include <batten/batten.hpp>

#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <span>
#include <vector>

// A cell field: what a segment writes, what a pad writes. Every token of a sequence of n weighs 1/n, so that a long sequence
// counts no more than a short one. Both are row primitives of batten::cells: vector code, whatever the flags.
struct inverse_length {
    using value_type = float;

    constexpr void write(const auto& segment, std::span<float> out) const
    {
        if (segment.length != 0)
            batten::cells::fill(out, 1.0F / static_cast<float>(segment.length));
    }
    constexpr void pad(const batten::pad_run& /*pads*/, std::span<float> out) const { batten::cells::fill(out, 0.0F); }
};

// A segment field: one value a sequence, here the column whose output pools or goes on. Padding side and length make no
// difference to it: the segment says where it lies.
struct last_column {
    using value_type = std::int64_t;

    constexpr void begin(std::span<value_type> /*out*/) const {}
    constexpr void write(const auto& segment, std::size_t index, std::span<value_type> out) const
    {
        out[index] = static_cast<value_type>(segment.first_column + segment.length) - 1;
    }
};

int main()
{
    const std::vector<std::vector<int>> sentences{{11, 12}, {21, 22, 23, 24}, {31, 32, 33, 34, 35}};

    using fields = batten::fields<batten::token_ids<>, inverse_length, last_column>;
    const auto show = [&](const auto& collate) {
        const auto batch = collate(sentences);
        print("token_ids", batch.template view<batten::token_ids>());
        print("inverse_length", batch.template view<inverse_length>());
        std::cout << "last_column\n";
        for (const auto column : batch.template get<last_column>())
            std::cout << std::setw(6) << column;
        std::cout << '\n';
    };
    std::cout << "padded right\n";
    show(batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields>{{.pad_id = 0}});
    std::cout << "padded left\n";
    show(batten::collator<batten::pad_left, batten::round_up_to<8>, batten::reject, fields>{{.pad_id = 0}});
}
