// SPDX-License-Identifier: MIT
// A padding side of your own, through both doors: by its shape, and by side_traits for a type that can't be changed.
#include "print.hpp"

#include <batten/batten.hpp>

#include <cstddef>
#include <vector>

// The first door. A type with offset(length, width) is a padding side: at which column the first real token lies.
struct centred {
    static constexpr std::size_t offset(std::size_t length, std::size_t width) { return (width - length) / 2; }
};

// The second door. Say that a tokenizer's configuration brings the side as an enumeration, known at run time alone.
namespace tokenizer {
enum class padding_side {
    right,
    left
};
}  // namespace tokenizer

template <>
struct batten::side_traits<tokenizer::padding_side> {
    static constexpr std::size_t offset(tokenizer::padding_side side, std::size_t length, std::size_t width)
    {
        return side == tokenizer::padding_side::left ? width - length : 0;
    }
};

int main()
{
    const std::vector<std::vector<int>> sentences{{11, 12}, {21, 22, 23, 24, 25, 26}, {31, 32, 33}};

    // Masks, positions and every other field follow the side: none of them knows which one it is.
    const batten::collator<centred, batten::dynamic_length> collate{{.pad_id = 0}};
    const auto batch = collate(sentences);
    print("centred, token_ids", batch.view<batten::token_ids>());
    print("centred, attention_mask", batch.view<batten::attention_mask>());
    print("centred, position_ids", batch.view<batten::position_ids>());

    // A side with a state goes into the options.
    using run_time = batten::collator<tokenizer::padding_side, batten::dynamic_length>;
    for (const auto side : {tokenizer::padding_side::right, tokenizer::padding_side::left}) {
        const run_time by_configuration{{.pad_id = 0, .side = side}};
        print(side == tokenizer::padding_side::left ? "left, by configuration" : "right, by configuration",
              by_configuration(sentences).view<batten::token_ids>());
    }
}
