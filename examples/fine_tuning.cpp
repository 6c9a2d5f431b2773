// SPDX-License-Identifier: MIT
// Fine-tuning: a prompt and its answer in one sequence, trained on the answer alone.
#include "print.hpp"

#include <batten/batten.hpp>

#include <cstddef>
#include <iostream>
#include <vector>

// Samples stay as they are: each(samples, &sample::ids) reads them in place.
struct sample {
    std::vector<int> ids;       // prompt, then answer
    std::size_t prompt_length;  // tokens of the prompt
};

int main()
{
    const std::vector<sample> samples{
        {{11, 12, 13, 14, 15}, 3}, {{21, 22, 23}, 1}, {{31, 32}, 2},  // no answer: trains nothing, and the summary says so
    };
    const auto ids = batten::each(samples, &sample::ids);
    const auto prompts = batten::each(samples, &sample::prompt_length);

    // Labels at their own column; the model shifts them (Hugging Face). Prompts and pads hold -100, which the loss ignores.
    const batten::presets::training<> collate{{.pad_id = 0}};
    const auto batch = collate(batten::inputs{ids, prompts});
    std::cout << "model_shifts: " << batch.summary().targets << " targets, " << batch.summary().rows_without_targets
              << " row without\n";
    print("token_ids", batch.view<batten::token_ids>());
    print("labels", batch.view<batten::labels>());

    // Labels already shifted: the label of a column is the token after it. The last token needs no column of its own, so the
    // batch is one narrower (Megatron, NeMo, llm.c). The same targets, as many.
    const batten::presets::training<> shifted{{.pad_id = 0, .targets = batten::next_token_drop_last}};
    const auto narrower = shifted(batten::inputs{ids, prompts});
    std::cout << "next_token_drop_last: " << narrower.summary().targets << " targets, "
              << narrower.summary().rows_without_targets << " row without\n";
    print("token_ids", narrower.view<batten::token_ids>());
    print("labels", narrower.view<batten::labels>());
    print("loss_mask", narrower.view<batten::loss_mask>());
}
