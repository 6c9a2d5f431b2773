// SPDX-License-Identifier: MIT
// Compile errors for what a collator is called with and cannot read.
#ifndef BATTEN_DETAIL_EXPLAIN_INPUTS_HPP_INCLUDED
#define BATTEN_DETAIL_EXPLAIN_INPUTS_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/inputs.hpp>
#include <batten/sequences.hpp>

#include <ranges>
#include <type_traits>

namespace batten::detail {

// Says in a sentence why In is no input of a collator. Always true: the sentence is the error.
template <class In>
consteval bool explain_inputs()
{
    if constexpr (requires(const In& in) { in.bundle(); }) {
        // It has said what is wrong itself.
    } else if constexpr (!std::ranges::range<const In>) {
        static_assert(std::ranges::range<const In>,
                      "batten: these are no sequences: a collator reads a vector<vector<int>>, a ragged_view, inputs{...}, or a "
                      "tensor of your own as ragged_view{ids, offsets}");
    } else {
        using sequence = std::remove_cvref_t<std::ranges::range_reference_t<const In>>;
        if constexpr (std::is_arithmetic_v<sequence>) {
            static_assert(!std::is_arithmetic_v<sequence>,
                          "batten: this is one sequence, a collator reads several: pass std::span(&sequence, 1) for a batch of one");
        } else if constexpr (!indexed_range<In>) {
            static_assert(indexed_range<In>,
                          "batten: the sequences must be in a random-access range, as a vector or a span: a list or a set has no "
                          "sequence r");
        } else if constexpr (!std::ranges::range<const sequence>) {
            static_assert(std::ranges::range<const sequence>,
                          "batten: an element of this range is no sequence of token ids: show each as a span, "
                          "each(samples, [](const auto& s) { return std::span(s.data(), s.size()); })");
        } else if constexpr (!std::ranges::contiguous_range<const sequence>) {
            static_assert(std::ranges::contiguous_range<const sequence>,
                          "batten: the tokens of a sequence must be contiguous, as in a vector or a span (vector<bool> is not)");
        } else if constexpr (!std::is_arithmetic_v<std::ranges::range_value_t<const sequence>>) {
            static_assert(std::is_arithmetic_v<std::ranges::range_value_t<const sequence>>,
                          "batten: an element of a sequence must be an integer, a token id: these sequences hold something else");
        } else if constexpr (!integer_number<std::ranges::range_value_t<const sequence>>) {
            static_assert(integer_number<std::ranges::range_value_t<const sequence>>,
                          "batten: token ids are integers: these sequences hold floating-point numbers or bool; other values of "
                          "a token are a column, inputs{..., .columns = columns{named<\"weights\">(weights)}}");
        } else {
            static_assert(sequence_range<In>,
                          "batten: the sequences of this range are temporaries, gone before they are read: return a reference or "
                          "a span");
        }
    }
    return true;
}

// The calls of a collator, for inputs that none of them takes. Rest everywhere: where the parameters are the same, clang++ 14
// takes a call of the collator for one that hides the call here.
template <class Shape, class Batch, class Written>
class refusing_calls {
    template <class Result, class In>
    static constexpr Result refused()
    {
        static_assert(explain_inputs<In>());
        return Result{};
    }
    template <class... Rest>
    using made = std::conditional_t<sizeof...(Rest) == 0, Batch, Written>;

public:
    template <class In, class... Rest>
        requires(!collatable<In>)
    constexpr result<Shape> try_shape(const In& /*in*/, const Rest&... /*rest*/) const
    {
        return refused<Shape, In>();
    }
    template <class In, class... Rest>
        requires(!collatable<In>)
    constexpr Shape shape(const In& /*in*/, const Rest&... /*rest*/) const
    {
        return refused<Shape, In>();
    }
    template <class In, class... Rest>
        requires(!collatable<In>)
    constexpr result<Written> try_into(const In& /*in*/, const Rest&... /*rest*/) const
    {
        return refused<Written, In>();
    }
    template <class In, class... Rest>
        requires(!collatable<In>)
    constexpr Written into(const In& /*in*/, const Rest&... /*rest*/) const
    {
        return refused<Written, In>();
    }
    template <class In, class... Rest>
        requires(!collatable<In>)
    constexpr result<made<Rest...>> try_collate(const In& /*in*/, const Rest&... /*rest*/) const
    {
        return refused<made<Rest...>, In>();
    }
    template <class In, class... Rest>
        requires(!collatable<In>)
    constexpr made<Rest...> operator()(const In& /*in*/, const Rest&... /*rest*/) const
    {
        return refused<made<Rest...>, In>();
    }
};

}  // namespace batten::detail

#endif
