// SPDX-License-Identifier: MIT
// What a collator reads is integers, does not move, and outlives the call.
#include <batten/collator.hpp>

#include <cstdint>
#include <list>
#include <span>
#include <span>
#include <vector>

struct sample {
    std::vector<int> ids;
};
struct tensor {
    const float* data = nullptr;
};

int main()
{
    const batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    const std::vector<std::vector<int>> ids{{1, 2}, {3}};
    const std::vector<sample> samples{{{1, 2}}, {{3}}};
    const std::vector<int> chosen{1, 0};

#ifdef FORBIDDEN_tokens_that_are_floats  // only: token ids are integers: these sequences hold floating-point numbers or bool
    const std::vector<std::vector<float>> floats{{1.0F, 2.0F}, {3.0F}};
    static_cast<void>(collate(floats));
#else
    const std::vector<std::vector<std::uint16_t>> shorts{{1, 2}, {3}};
    static_cast<void>(collate(shorts));
#endif

#ifdef FORBIDDEN_tokens_that_are_bool  // only: the tokens of a sequence must be contiguous, as in a vector or a span (vector<bool> is not)
    const std::vector<std::vector<bool>> bits{{true, false}, {true}};
    static_cast<void>(collate(bits));
#else
    const std::vector<std::vector<std::int8_t>> bytes{{1, 0}, {1}};
    static_cast<void>(collate(bytes));
#endif

#ifdef FORBIDDEN_one_sequence_for_a_batch  // only: this is one sequence, a collator reads several: pass std::span(&sequence, 1)
    static_cast<void>(collate(ids[0]));
#else
    static_cast<void>(collate(ids));
#endif

#ifdef FORBIDDEN_sequences_without_random_access  // only: the sequences must be in a random-access range, as a vector or a span
    const std::list<std::vector<int>> linked{{1, 2}, {3}};
    static_cast<void>(collate(linked));
#else
    const std::vector<std::vector<int>> indexed{{1, 2}, {3}};
    static_cast<void>(collate(indexed));
#endif

#ifdef FORBIDDEN_tensor_for_a_batch  // only: these are no sequences: a collator reads a vector<vector<int>>
    static_cast<void>(collate(tensor{}));
#else
    static_cast<void>(collate(ids));
#endif

#ifdef FORBIDDEN_tensors_for_sequences  // only: an element of this range is no sequence of token ids: show each as a span
    const std::vector<tensor> tensors(2);
    static_cast<void>(collate(tensors));
#else
    static_cast<void>(collate(batten::each(samples, [](const auto& s) { return std::span(s.ids.data(), s.ids.size()); })));
#endif

    // Each call says it.
    auto batch = collate(ids);
    const std::vector<std::vector<double>> doubles{{1.0, 2.0}, {3.0}};
#ifdef FORBIDDEN_floats_into_a_batch  // only: token ids are integers: these sequences hold floating-point numbers or bool
    collate(doubles, batch);
#else
    collate(ids, batch);
#endif

#ifdef FORBIDDEN_shape_of_strings_of_sequences  // only: an element of a sequence must be an integer, a token id
    const std::vector<std::vector<std::vector<int>>> conversations(2);
    static_cast<void>(collate.shape(conversations));
#else
    static_cast<void>(collate.shape(ids));
#endif

#ifdef FORBIDDEN_each_with_a_projection_that_returns_a_temporary  // expect: the projection returns a temporary
    static_cast<void>(collate(batten::each(samples, [](const sample& s) { return s.ids; })));
#else
    static_cast<void>(collate(batten::each(samples, [](const sample& s) -> const auto& { return s.ids; })));
#endif

#ifdef FORBIDDEN_each_over_a_temporary  // expect: would be gone before they are read: name them first
    const auto seen = batten::each(std::vector<sample>{{{1, 2}}, {{3}}}, &sample::ids);
#else
    const auto seen = batten::each(samples, &sample::ids);
#endif
    static_cast<void>(seen);

#ifdef FORBIDDEN_select_over_temporary_sequences  // expect: deleted function
    const auto selected = batten::select(std::vector<std::vector<int>>{{1, 2}, {3}}, chosen);
#else
    const auto selected = batten::select(ids, chosen);
#endif
    static_cast<void>(selected);

#ifdef FORBIDDEN_select_by_temporary_rows  // expect: deleted function
    const auto by_rows = batten::select(ids, std::vector<int>{1, 0});
#else
    const auto by_rows = batten::select(ids, chosen);
#endif
    static_cast<void>(by_rows);

#ifdef FORBIDDEN_select_by_rows_that_are_floats  // expect: constraints not satisfied && select
    const std::vector<double> fractions{1.0, 0.0};
    const auto by_number = batten::select(ids, fractions);
#else
    const std::vector<std::uint32_t> numbers{1, 0};
    const auto by_number = batten::select(ids, numbers);
#endif
    static_cast<void>(by_number);

#ifdef FORBIDDEN_loss_of_vector_bool  // expect: vector<bool> is not contiguous: use vector<std::uint8_t>
    const std::vector<std::vector<bool>> loss{{false, true}, {true}};
#else
    const std::vector<std::vector<std::uint8_t>> loss{{0, 1}, {1}};
#endif
    static_cast<void>(collate(batten::inputs{ids, batten::none, loss}));

#ifdef FORBIDDEN_prompt_lengths_that_are_floats  // expect: .prompt_lengths must be a random-access range of integers
    const std::vector<float> prompts{1.0F, 0.0F};
#else
    const std::vector<int> prompts{1, 0};
#endif
    static_cast<void>(collate(batten::inputs{ids, prompts}));

#ifdef FORBIDDEN_bundle_of_sequences_that_are_floats  // expect: .sequences must be a random-access range
    const std::vector<std::vector<float>> in_bundle{{1.0F, 2.0F}, {3.0F}};
#else
    const std::vector<std::vector<int>> in_bundle{{1, 2}, {3}};
#endif
    static_cast<void>(collate(batten::inputs{in_bundle, prompts}));

#ifdef FORBIDDEN_selection_inside_the_inputs  // only: a selection goes around the inputs, not into them: select(inputs{...}, rows)
    static_cast<void>(collate(batten::inputs{batten::select(ids, chosen), prompts}));
#else
    static_cast<void>(collate(batten::select(batten::inputs{ids, prompts}, chosen)));
#endif

#ifdef FORBIDDEN_ragged_view_with_offsets_that_are_floats  // expect: constraints not satisfied && ragged_view
    const std::vector<float> offsets{0.0F, 2.0F};
#else
    const std::vector<int> offsets{0, 2};
#endif
    static_cast<void>(collate(batten::ragged_view{ids[0], offsets}));

#ifdef FORBIDDEN_ragged_view_of_temporary_tokens  // expect: deleted && tokens or offsets gone before they are read: name them first
    const auto flat = batten::ragged_view{std::vector<int>{1, 2}, chosen};
#else
    const auto flat = batten::ragged_view{ids[0], chosen};
#endif
    static_cast<void>(flat);

#ifdef FORBIDDEN_ragged_view_of_temporary_offsets  // expect: deleted && tokens or offsets gone before they are read: name them first
    const auto cut = batten::ragged_view{ids[0], std::vector<int>{0, 2}};
#else
    const auto cut = batten::ragged_view{ids[0], std::span<const int>(chosen)};
#endif
    static_cast<void>(cut);

#ifdef FORBIDDEN_named_column_of_temporary_values  // expect: deleted function && gone before they are read: name them first
    const batten::columns weights{batten::named<"weights">(std::vector<std::vector<float>>{{1.0F, 2.0F}, {3.0F}})};
#else
    const batten::columns weights{batten::named<"weights">(ids)};
#endif
    static_cast<void>(weights);
}
