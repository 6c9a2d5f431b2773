// SPDX-License-Identifier: MIT
// Two sentences become one batch. The program that the README opens with.
#include <batten/batten.hpp>

#include <iomanip>
#include <iostream>
#include <vector>

int main()
{
    std::vector<std::vector<int>> prompts{{101, 102}, {103, 104, 105, 106}};
    batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    auto batch = collate(prompts);

    std::cout << batch.rows() << " rows, " << batch.width() << " columns\n";
    auto print = [](const char* name, auto matrix) {
        std::cout << name << '\n';
        for (std::size_t r = 0; r < matrix.rows(); ++r) {
            for (auto cell : matrix.row(r))
                std::cout << std::setw(5) << cell;
            std::cout << '\n';
        }
    };
    print("token_ids", batch.view<batten::token_ids>());
    print("attention_mask", batch.view<batten::attention_mask>());
    print("position_ids", batch.view<batten::position_ids>());
    print("loss_mask", batch.view<batten::loss_mask>());
}
