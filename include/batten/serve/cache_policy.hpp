// SPDX-License-Identifier: MIT
// Cache policies: the column of the mask and the KV cache that the next token of a row takes.
#ifndef BATTEN_SERVE_CACHE_POLICY_HPP_INCLUDED
#define BATTEN_SERVE_CACHE_POLICY_HPP_INCLUDED

#include <concepts>
#include <cstddef>

namespace batten::serve {

// A cache policy: all rows take the same column next, the first one after all columns in use. For batches padded left, and for
// runtimes that write one column for all rows. The column is not the position, which each row counts for itself.
struct aligned_cache {
    // width
    static constexpr std::size_t next(std::size_t width, std::size_t /*length*/) noexcept { return width; }
};

// A cache policy: each row takes the column after its own last token. For batches padded right, and for kernels that take a
// length for each row. The column is the position.
struct ragged_cache {
    // length
    static constexpr std::size_t next(std::size_t /*width*/, std::size_t length) noexcept { return length; }
};

// Models: aligned_cache, ragged_cache.
//
// Requires  next(width, length): the column that the next token takes, of a row of `length` tokens in a batch that uses `width`
//           columns; a pure function.
// Ensures   it comes after the row's last token. decode_batch checks this of the prefill, before the first write.
template <class Cache>
concept cache_policy = requires(std::size_t n) {
    { Cache::next(n, n) } -> std::same_as<std::size_t>;
};

}  // namespace batten::serve

#endif
