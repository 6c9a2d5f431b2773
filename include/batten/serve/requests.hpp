// SPDX-License-Identifier: MIT
// The requests of a step, in the caller's arrays, and which of them are prefills.
#ifndef BATTEN_SERVE_REQUESTS_HPP_INCLUDED
#define BATTEN_SERVE_REQUESTS_HPP_INCLUDED

#include <batten/detail/loops.hpp>
#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/matrix.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/errors.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace batten::serve {

// ---- the order of requests -------------------------------------------------------------------------------------------------

// The order of requests in a step, and of phases in a schedule. Within a phase requests keep the given order.
enum class request_order : unsigned char {
    as_given,
    prefill_first,  // prefills, then decodes
    decode_first,   // decodes, then prefills
};

// Whether a request is a prefill, or else a decode: schedules and steps ask this one function.
//
// Shapes  `computed`: its tokens in the cache; `tokens`: its tokens to compute; `prompt_length`: of the request, or none.
// Ensures with a prompt length: whether prompt tokens are left to compute. So a decode may take several tokens: drafts. Without
//         one: whether it takes other than one token, or has none in the cache.
template <class PromptLength>
[[nodiscard]] constexpr bool is_prefill(std::size_t computed, [[maybe_unused]] std::size_t tokens,
                                        [[maybe_unused]] const PromptLength& prompt_length) noexcept
{
    if constexpr (std::same_as<PromptLength, none_t>)
        return tokens != 1 || computed == 0;
    else
        return computed < static_cast<std::size_t>(prompt_length);
}

// ---- tokens of requests ----------------------------------------------------------------------------------------------------

namespace detail {

using batten::detail::fail;

template <class T>
inline constexpr bool is_block_table = false;
template <class T>
inline constexpr bool is_block_table<matrix_view<T>> = integer_number<std::remove_cv_t<T>>;

// A range that is referred to. A container that is a temporary is refused; views are small, and kept where they are needed.
template <class Range>
class borrowed {
    static constexpr bool is_kept = !std::is_reference_v<batten::detail::stored<Range>>;

public:
    constexpr borrowed(const Range& range) noexcept : range_(&range) {}
    constexpr borrowed(const Range&& range) noexcept
        requires is_kept
        : range_(&range)
    {
    }
    constexpr borrowed(const Range&&)
        requires(!is_kept)
    = delete;  // batten: the range is a temporary and would be gone before it is read: give it a name first

    [[nodiscard]] constexpr const Range& get() const noexcept { return *range_; }

private:
    const Range* range_;
};

}  // namespace detail

// ---- what a step is made of ------------------------------------------------------------------------------------------------

// The requests of a step, in the caller's arrays. All of them take part; with select(step_inputs{...}, rows) those rows alone,
// in that order.
//
// Shapes   tokens [n] sequences: all known tokens of each request, prompt and generated (vector<vector<int>>, strided_sequences,
//          ragged_view, inputs{...}); computed, scheduled [n] counts: tokens [computed, computed + scheduled) run in this step;
//          blocks [at least n, blocks of a request]: a matrix_view of block ids, token p is in block [p / block_size];
//          ids [n]: a different number for each sequence, never used again; prompt_lengths [n]. none for what is not needed.
// Requires the ranges outlive it, and views (each, strided_sequences, spans) the step that is made of it, which copies them. No row is
//          selected twice. The members are written in order, without their names.
template <class Tokens, class Computed, class Scheduled, class Blocks = none_t, class Ids = none_t,
          class PromptLengths = none_t>
struct step_inputs {
    static_assert(collatable<Tokens>, "batten::step_inputs: .tokens must be what a collator takes: a random-access range of "
                                      "contiguous runs of integers, strided_sequences, ragged_view, inputs{...}");
    static_assert(integer_range<Computed> && integer_range<Scheduled>,
                  "batten::step_inputs: .computed and .scheduled must be random-access ranges of integers");
    static_assert(std::same_as<Blocks, none_t> || detail::is_block_table<Blocks>,
                  "batten::step_inputs: .blocks must be a matrix_view of integers: matrix_view(data, rows, width, row_stride)");
    static_assert(std::same_as<Ids, none_t> || integer_range<Ids>,
                  "batten::step_inputs: .ids must be a random-access range of integers");
    static_assert(std::same_as<PromptLengths, none_t> || integer_range<PromptLengths>,
                  "batten::step_inputs: .prompt_lengths must be a random-access range of integers");

    using computed_type = Computed;
    using scheduled_type = Scheduled;
    using blocks_type = Blocks;
    using ids_type = Ids;
    using prompt_lengths_type = PromptLengths;

    detail::borrowed<Tokens> tokens;
    detail::borrowed<Computed> computed;
    detail::borrowed<Scheduled> scheduled;
    Blocks blocks{};
    detail::borrowed<Ids> ids = none;
    detail::borrowed<PromptLengths> prompt_lengths = none;
};

template <class Tokens, class Computed, class Scheduled>
step_inputs(const Tokens&, const Computed&, const Scheduled&) -> step_inputs<Tokens, Computed, Scheduled>;
template <class Tokens, class Computed, class Scheduled, class Blocks>
step_inputs(const Tokens&, const Computed&, const Scheduled&, Blocks) -> step_inputs<Tokens, Computed, Scheduled, Blocks>;
template <class Tokens, class Computed, class Scheduled, class Blocks, class Ids>
step_inputs(const Tokens&, const Computed&, const Scheduled&, Blocks, const Ids&)
    -> step_inputs<Tokens, Computed, Scheduled, Blocks, Ids>;
template <class Tokens, class Computed, class Scheduled, class Blocks, class Ids, class PromptLengths>
step_inputs(const Tokens&, const Computed&, const Scheduled&, Blocks, const Ids&, const PromptLengths&)
    -> step_inputs<Tokens, Computed, Scheduled, Blocks, Ids, PromptLengths>;

// ---- the requests, as a step reads them ------------------------------------------------------------------------------------

namespace detail {

struct every_row {
    [[nodiscard]] constexpr std::size_t at(std::size_t i) const noexcept { return i; }
};
template <class Index>
struct listed_rows {
    std::span<const Index> rows;
    [[nodiscard]] constexpr std::size_t at(std::size_t i) const noexcept { return static_cast<std::size_t>(rows[i]); }
};

// How the list stores the caller's numbers: as a span where they are contiguous, which loops read best, else as wrappers do.
template <class Numbers>
inline constexpr bool is_run = std::ranges::contiguous_range<const Numbers> && std::ranges::sized_range<const Numbers>;
template <class Numbers>
struct numbers {
    using type = batten::detail::stored<Numbers>;
};
template <class Numbers>
    requires is_run<Numbers>
struct numbers<Numbers> {
    using type = std::span<const std::ranges::range_value_t<const Numbers>>;
};

// Request i of a step: row at(i) of the inputs. Tokens: the bundle of the tokens, with the members that inputs.hpp describes.
template <class Tokens, class Inputs, class Rows>
class request_list : public Tokens {
public:
    static constexpr bool has_blocks = !std::same_as<typename Inputs::blocks_type, none_t>;
    static constexpr bool has_ids = !std::same_as<typename Inputs::ids_type, none_t>;
    static constexpr bool has_prompts = !std::same_as<typename Inputs::prompt_lengths_type, none_t>;

    // `rows_of_inputs`: the number of rows of the inputs, from which `rows` selects.
    constexpr request_list(const Tokens& tokens, const Inputs& in, std::size_t rows_of_inputs, const Rows& rows)
        : Tokens(tokens),
          computed_(in.computed.get()),
          scheduled_(in.scheduled.get()),
          blocks_(in.blocks),
          ids_(in.ids.get()),
          prompt_lengths_(in.prompt_lengths.get()),
          rows_of_inputs_(rows_of_inputs),
          rows_(rows)
    {
    }

    using Tokens::check;
    // Once: every array has an entry for each sequence.
    [[nodiscard]] constexpr bool check(error& reason) const
    {
        const auto same = [&](std::size_t entries, std::string_view name) {
            return entries == rows_of_inputs_ ||
                   fail(reason, error::of(errors::count_mismatch, entries, rows_of_inputs_, name));
        };
        if (!Tokens::check(reason) || !same(batten::detail::count(computed_), "computed") ||
            !same(batten::detail::count(scheduled_), "scheduled"))
            return false;
        if constexpr (has_blocks)
            if (blocks_.rows() < rows_of_inputs_)
                return same(blocks_.rows(), "blocks");
        if constexpr (has_ids)
            if (!same(batten::detail::count(ids_), "ids"))
                return false;
        if constexpr (has_prompts)
            return same(batten::detail::count(prompt_lengths_), "prompt_lengths");
        else
            return true;
    }

    [[nodiscard]] constexpr std::size_t row_of(std::size_t i) const noexcept { return rows_.at(i); }

    // `given_` functions return the caller's values; the others convert to std::size_t, so that a negative value becomes very
    // large and fails a range check.
    [[nodiscard]] constexpr auto given_computed(std::size_t i) const
    {
        return batten::detail::element_at(computed_, row_of(i));
    }
    [[nodiscard]] constexpr auto given_scheduled(std::size_t i) const
    {
        return batten::detail::element_at(scheduled_, row_of(i));
    }
    [[nodiscard]] constexpr std::size_t computed(std::size_t i) const { return static_cast<std::size_t>(given_computed(i)); }
    [[nodiscard]] constexpr std::size_t scheduled(std::size_t i) const { return static_cast<std::size_t>(given_scheduled(i)); }

    // computed(0), computed(1), ... where they are contiguous in memory.
    static constexpr bool has_computed_run = std::same_as<Rows, every_row> && is_run<typename Inputs::computed_type>;
    [[nodiscard]] constexpr auto computed_run() const
        requires has_computed_run
    {
        return computed_;
    }

    [[nodiscard]] constexpr auto given_prompt_length(std::size_t i) const
        requires has_prompts
    {
        return batten::detail::element_at(prompt_lengths_, row_of(i));
    }
    [[nodiscard]] constexpr std::uint64_t id(std::size_t i) const
        requires has_ids
    {
        return static_cast<std::uint64_t>(batten::detail::element_at(ids_, row_of(i)));
    }

    // Whether `ids` are the ids of the first requests.
    [[nodiscard]] constexpr bool has_same_ids(std::span<const std::uint64_t> ids) const
        requires has_ids
    {
        if constexpr (std::same_as<Rows, every_row> && is_run<typename Inputs::ids_type>) {
            return std::equal(ids.begin(), ids.end(), ids_.data());  // for 64 bits it is memcmp
        } else {
            return batten::detail::find_not(0, ids.size(), [&](std::size_t i) { return id(i) == ids[i]; }) == ids.size();
        }
    }
    [[nodiscard]] constexpr std::size_t max_blocks() const
        requires has_blocks
    {
        return blocks_.width();
    }
    // The row of the block table, max_blocks() ids.
    [[nodiscard]] constexpr auto blocks(std::size_t i) const
        requires has_blocks
    {
        return blocks_.row(row_of(i));
    }

    [[nodiscard]] constexpr bool is_prefill(std::size_t i) const
    {
        if constexpr (has_prompts)
            return serve::is_prefill(computed(i), scheduled(i), given_prompt_length(i));
        else
            return serve::is_prefill(computed(i), scheduled(i), none);
    }

private:
    typename numbers<typename Inputs::computed_type>::type computed_;
    typename numbers<typename Inputs::scheduled_type>::type scheduled_;
    [[no_unique_address]] typename Inputs::blocks_type blocks_;
    [[no_unique_address]] typename numbers<typename Inputs::ids_type>::type ids_;
    [[no_unique_address]] typename numbers<typename Inputs::prompt_lengths_type>::type prompt_lengths_;
    std::size_t rows_of_inputs_;
    [[no_unique_address]] Rows rows_;
};

template <class Tokens, class Computed, class Scheduled, class Blocks, class Ids, class PromptLengths>
constexpr auto list_requests(const step_inputs<Tokens, Computed, Scheduled, Blocks, Ids, PromptLengths>& in)
{
    const auto tokens = bundle_of(in.tokens.get());
    using list = request_list<std::remove_const_t<decltype(tokens)>, std::remove_cvref_t<decltype(in)>, every_row>;
    return list(tokens, in, tokens.sequence_count(), {});
}

template <class... Part, class Index>
constexpr auto list_requests(const selection<step_inputs<Part...>, Index>& chosen)
{
    const auto& in = chosen.source();
    const auto source = bundle_of(in.tokens.get());
    const selected_bundle<std::remove_const_t<decltype(source)>, Index> tokens(source, chosen.rows());
    using list = request_list<std::remove_const_t<decltype(tokens)>, std::remove_cvref_t<decltype(in)>, listed_rows<Index>>;
    return list(tokens, in, source.sequence_count(), {chosen.rows()});
}

}  // namespace detail

}  // namespace batten::serve

#endif
