// SPDX-License-Identifier: MIT
// Executors, which run the parts of a call on threads of the caller's choice, and how cells are stored.
#ifndef BATTEN_EXECUTOR_HPP_INCLUDED
#define BATTEN_EXECUTOR_HPP_INCLUDED

#include <cstddef>

namespace batten {

// An executor runs body(0) ... body(n - 1), each once, in any order and on any threads, and returns when all are done. Any
// callable (n, body) is one; a batch has the same bytes with every executor.
template <class T>
concept executor = requires(const T& run, std::size_t n, void (*body)(std::size_t)) { run(n, body); };

// An executor: one after the other, on the calling thread. The default.
struct serial {
    template <class Body>
    constexpr void operator()(std::size_t n, Body&& body) const
    {
        for (std::size_t i = 0; i < n; ++i)
            body(i);
    }
};

// How cells are stored. non_temporal writes past the caches: faster for outputs of several times the last-level cache that the
// same core does not read next, slower for all others (bench/run shows both). It applies to layouts of one sequence in each row,
// and to rows of up to 64 KiB; other rows are stored as usual.
enum class store_policy : unsigned char { ordinary, non_temporal };
using enum store_policy;

}  // namespace batten

#endif
