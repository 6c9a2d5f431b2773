// SPDX-License-Identifier: MIT
// Batten has no thread of its own: into() and the reusing calls take an executor, any callable (n, body) that runs body(0) ...
// body(n - 1). Adapters for std::thread, OpenMP and TBB, and that all write the same bytes.
#include <batten/batten.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#if defined(EXAMPLE_HAS_TBB)
#include <tbb/parallel_for.h>
#endif

// Threads of its own for each call, which take the next piece when they have done one. A program that collates often would keep
// the threads, and the calling one busy as well.
struct on_threads {
    unsigned workers = 2;

    template <class Body>
    void operator()(std::size_t n, Body&& body) const
    {
        std::atomic<std::size_t> next{0};
        std::vector<std::jthread> threads;
        for (unsigned t = 0; t < workers; ++t)
            threads.emplace_back([&] {
                for (std::size_t i = next++; i < n; i = next++)
                    body(i);
            });
    }  // jthreads join here
};

#if defined(_OPENMP)
struct on_openmp {
    template <class Body>
    void operator()(std::size_t n, Body&& body) const
    {
#pragma omp parallel for schedule(dynamic)
        for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(n); ++i)
            body(static_cast<std::size_t>(i));
    }
};
#endif

#if defined(EXAMPLE_HAS_TBB)
struct on_tbb {
    template <class Body>
    void operator()(std::size_t n, Body&& body) const
    {
        tbb::parallel_for(std::size_t{0}, n, body);
    }
};
#endif

int main()
{
    std::vector<std::vector<int>> documents(2000);
    for (std::size_t i = 0; i < documents.size(); ++i)
        documents[i].assign(i * 37 % 700, static_cast<int>(i));

    const batten::presets::training<> collate{{.pad_id = 0}};
    const auto expected = collate(documents);

    bool all_same = true;
    const auto try_on = [&](const char* name, const auto& executor) {
        decltype(collate(documents)) batch;
        collate(documents, batch, executor);
        const bool same = std::ranges::equal(batch.token_ids(), expected.token_ids()) &&
                          std::ranges::equal(batch.position_ids(), expected.position_ids()) &&
                          std::ranges::equal(batch.labels(), expected.labels()) && batch.summary() == expected.summary();
        std::cout << name << (same ? ": the same bytes\n" : ": other bytes\n");
        all_same = all_same && same;
    };
    for (const unsigned workers : {1U, 2U, 3U, 8U})
        try_on((std::string("std::thread, ") += std::to_string(workers)).c_str(), on_threads{workers});
#if defined(_OPENMP)
    try_on("OpenMP", on_openmp{});
#endif
#if defined(EXAMPLE_HAS_TBB)
    try_on("TBB", on_tbb{});
#endif
    return all_same ? 0 : 1;
}
