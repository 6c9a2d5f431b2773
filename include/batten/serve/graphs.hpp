// SPDX-License-Identifier: MIT
// Captured graphs: the batch sizes that servers capture graphs for, and the one that a step is padded to.
#ifndef BATTEN_SERVE_GRAPHS_HPP_INCLUDED
#define BATTEN_SERVE_GRAPHS_HPP_INCLUDED

#include <batten/error.hpp>
#include <batten/integer.hpp>
#include <batten/serve/errors.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

namespace batten::serve {

// The first of the sizes that is at least n. Requires: increasing sizes, as those below.
//
// Errors  n over the last size.
// Cost    O(log sizes).
[[nodiscard]] constexpr result<std::size_t> try_graph_size(std::span<const std::size_t> sizes, std::size_t n)
{
    const auto size = std::lower_bound(sizes.begin(), sizes.end(), n);
    if (size == sizes.end())
        return error::of(errors::size_past_last, n, sizes.empty() ? 0 : sizes.back());
    return *size;
}
[[nodiscard]] constexpr std::size_t graph_size(std::span<const std::size_t> sizes, std::size_t n)
{
    return try_graph_size(sizes, n).value();
}

namespace detail {

// from, from + step, ..., to
struct size_steps {
    std::size_t from = 0;
    std::size_t to = 0;
    std::size_t step = 1;
};
// The sizes of all parts, up to `most`.
constexpr std::vector<std::size_t> sizes_of(std::initializer_list<size_steps> parts, std::size_t most)
{
    std::vector<std::size_t> sizes;
    for (const size_steps& part : parts)
        for (std::size_t size = part.from; size <= std::min(part.to, most); size += part.step)
            sizes.push_back(size);
    return sizes;
}

inline constexpr std::size_t no_end = batten::detail::size_limit / 2;

}  // namespace detail

// The batch sizes that servers capture graphs for, up to `most`: vLLM's.
[[nodiscard]] constexpr std::vector<std::size_t> vllm_graph_sizes(std::size_t most)
{
    return detail::sizes_of({{1, 2}, {4, 4}, {8, 255, 8}, {256, detail::no_end, 16}}, most);
}

// SGLang's.
[[nodiscard]] constexpr std::vector<std::size_t> sglang_graph_sizes(std::size_t most)
{
    return detail::sizes_of({{1, 2}, {4, 12, 4}, {16, 256, 8}, {272, 511, 16}, {512, detail::no_end, 32}}, most);
}

// SGLang's for speculative decoding.
[[nodiscard]] constexpr std::vector<std::size_t> sglang_speculative_graph_sizes(std::size_t most)
{
    return detail::sizes_of({{1, 8}, {10, 32, 2}, {40, 64, 4}, {72, 256, 8}, {272, detail::no_end, 16}}, most);
}

// TensorRT-LLM's, with padding on.
[[nodiscard]] constexpr std::vector<std::size_t> tensorrt_llm_graph_sizes(std::size_t most)
{
    return detail::sizes_of({{1, 2}, {4, 4}, {8, 128, 8}, {192, detail::no_end, 64}}, most);
}

// FastDeploy's.
[[nodiscard]] constexpr std::vector<std::size_t> fastdeploy_graph_sizes(std::size_t most)
{
    return detail::sizes_of({{1, 2}, {4, 4}, {8, 128, 8}, {144, 256, 16}, {288, detail::no_end, 32}}, most);
}

}  // namespace batten::serve

#endif
