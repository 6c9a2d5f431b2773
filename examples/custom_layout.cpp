// SPDX-License-Identifier: MIT
// A layout of your own, with inputs of its own: answers to one prompt share a row and the prompt in it, as preference training,
// best-of-n and multiple choice want it.
//
//     sequences          row                                         a branch begins with the prompt's last token, which
//     1 2 3 | 4 5        1 2 | 3 4 5 | 3 6 7 8                       predicts the first token of its answer; its positions
//     1 2 3 | 6 7 8      prompt  branch  branch                      go on from the prompt's
#include "print.hpp"

#include <batten/batten.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <span>
#include <vector>

// What can be wrong with such inputs, beside what can be wrong with any.
// row, a sequence of its group; field
inline constexpr batten::error_text prompts_differ{
    "prompts_differ", "{row}: sequence {first} does not begin with the prompt of its group, or has none"};

// The bundle: that of the inputs, and which sequences share a row.
template <class Bundle>
class grouped_bundle : public Bundle {
public:
    constexpr grouped_bundle(const Bundle& in, std::span<const std::size_t> offsets) : Bundle(in), offsets_(offsets) {}

    using Bundle::check;
    [[nodiscard]] constexpr bool check(batten::error& reason) const
    {
        if (!Bundle::check(reason))
            return false;
        if (offsets_.empty() || offsets_.front() != 0 || offsets_.back() != this->sequence_count()) {
            reason = batten::error::of(batten::errors::count_mismatch, offsets_.empty() ? 0 : offsets_.back(),
                                       this->sequence_count(), "the list of groups");
            return false;
        }
        for (std::size_t r = 1; r < offsets_.size(); ++r) {
            if (offsets_[r] <= offsets_[r - 1]) {
                reason = batten::error::of_row(batten::errors::offsets_decrease, r - 1, offsets_[r - 1], offsets_[r]);
                return false;
            }
        }
        return true;
    }

    [[nodiscard]] constexpr std::span<const std::size_t> offsets() const { return offsets_; }

private:
    std::span<const std::size_t> offsets_;
};

// The inputs: inputs{...} with prompt lengths, and where each group of sequences begins. bundle() makes them collatable.
template <class Inputs>
struct grouped {
    Inputs in;
    std::span<const std::size_t> offsets;  // groups + 1

    [[nodiscard]] constexpr auto bundle() const
    {
        const auto source = batten::bundle_of(in);
        return grouped_bundle<std::remove_const_t<decltype(source)>>(source, offsets);
    }
};
template <class Inputs>
grouped(const Inputs&, std::span<const std::size_t>) -> grouped<Inputs>;

// The layout: a row for each group.
template <batten::length_strategy Length>
struct shared_prompt {
    using side_type = batten::pad_right;
    using length_type = Length;
    using overflow_type = batten::no_overflow;
    static constexpr bool shares_rows = true;

    template <class In>
    static consteval bool takes()
    {
        constexpr bool has_groups = requires(const In& in) { in.offsets(); };
        static_assert(has_groups, "shared_prompt needs groups: write collate(grouped(inputs, offsets))");
        return has_groups;
    }

    static constexpr std::size_t rows(const auto& in) { return in.offsets().size() - 1; }

    static constexpr bool sequences(const auto& in, std::size_t r, auto visit)
    {
        for (std::size_t i = in.offsets()[r]; i < in.offsets()[r + 1]; ++i)
            if (!visit(i))
                return false;
        return true;
    }

    // A segment for each sequence, and one a row for the prompt.
    static constexpr std::size_t first_segment(const auto& in, std::size_t r) { return in.offsets()[r] + r; }

    static constexpr bool row(const auto& options, const auto& in, std::size_t r, auto&& sink, batten::error& reason)
    {
        const std::size_t first = in.offsets()[r];
        const std::size_t shared = in.prompt_length(first);
        const std::size_t branch_at = shared == 0 ? 0 : shared - 1;
        std::size_t column = 0, index = 0;
        const auto add = [&](std::size_t sequence, std::size_t begin, std::size_t tokens) {
            const std::size_t columns = batten::columns_of(options.targets, tokens);
            sink(batten::segment{.sequence = sequence,
                                 .source_begin = begin,
                                 .kept = tokens,
                                 .length = columns,
                                 .position_begin = begin,
                                 .first_column = column,
                                 .index_in_row = index++});
            column += columns;
        };
        add(first, 0, batten::tokens_of(options.targets, branch_at));  // so many tokens that they take branch_at columns
        for (std::size_t i = first; i < in.offsets()[r + 1]; ++i) {
            if (shared == 0 || in.prompt_length(i) != shared ||
                !std::ranges::equal(in.tokens(i).first(shared), in.tokens(first).first(shared))) {
                reason = batten::error::of_row(prompts_differ, r, i);
                return false;
            }
            add(i, branch_at, in.length(i) - branch_at);
        }
        if (column <= batten::limit_of(options.length))
            return true;
        reason = batten::error::of_row(batten::errors::row_over_limit, r, column, batten::limit_of(options.length));
        return false;
    }
};

int main()
{
    const std::vector<std::vector<int>> sequences{
        {11, 12, 13, 21, 22}, {11, 12, 13, 31, 32, 33}, {41, 42, 51}, {41, 42, 61, 62}, {41, 42, 71}};
    const std::vector<int> prompts{3, 3, 2, 2, 2};
    const std::vector<std::size_t> groups{0, 2, 5};
    const batten::inputs in{sequences, prompts};

    using fields = batten::fields<batten::token_ids<>, batten::position_ids<>, batten::segment_ids<>, batten::labels<>>;
    const batten::basic_collator<shared_prompt<batten::dynamic_length>, fields> collate{{.pad_id = 0}};
    const auto batch = collate(grouped{in, groups});
    print("token_ids", batch.view<batten::token_ids>());
    print("position_ids", batch.view<batten::position_ids>());
    print("segment_ids", batch.view<batten::segment_ids>());
    print("labels", batch.view<batten::labels>());

    // A token sees what is before it in its own segment, and the prompt, segment 1.
    const auto segments = batch.view<batten::segment_ids>();
    std::cout << "what each column of row 0 sees\n";
    for (std::size_t query = 0; query < segments.width(); ++query) {
        for (std::size_t key = 0; key < segments.width(); ++key) {
            const auto of = segments(0, key);
            const bool sees = of != 0 && key <= query && (of == 1 || of == segments(0, query)) && segments(0, query) != 0;
            std::cout << (sees ? " x" : " .");
        }
        std::cout << '\n';
    }

    const batten::collator<batten::pad_right, batten::dynamic_length> one_each{{.pad_id = 0}};
    const auto apart = one_each(in);
    std::cout << batch.summary().real_tokens << " tokens in " << batch.rows() * batch.width()
              << " cells; a row for each sequence: " << apart.summary().real_tokens << " tokens in "
              << apart.rows() * apart.width() << " cells\n";

    const std::vector<std::size_t> mixed{0, 3, 5};
    std::cout << collate.try_collate(grouped{in, mixed}).error().message() << '\n';
}
