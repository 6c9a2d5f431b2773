// SPDX-License-Identifier: MIT
// Two workers as an executor: the calling thread and one more, which stays.
#ifndef BENCH_EXECUTOR_HPP_INCLUDED
#define BENCH_EXECUTOR_HPP_INCLUDED

#include <atomic>
#include <cstddef>
#include <thread>

namespace bench {

class two_workers {
public:
    two_workers() : helper_([this] { help(); }) {}
    two_workers(const two_workers&) = delete;
    two_workers& operator=(const two_workers&) = delete;
    ~two_workers()
    {
        stop_ = true;
        call_.fetch_add(1);
        call_.notify_one();
        helper_.join();
    }

    template <class Body>
    void run(std::size_t n, const Body& body)
    {
        body_ = &body;
        invoke_ = [](const void* of, std::size_t i) { (*static_cast<const Body*>(of))(i); };
        n_ = n;
        next_.store(0, std::memory_order_relaxed);
        call_.fetch_add(1, std::memory_order_release);
        call_.notify_one();
        work();
        for (const unsigned done = call_.load(std::memory_order_relaxed); helped_.load(std::memory_order_acquire) != done;)
            std::this_thread::yield();
    }

private:
    void work()
    {
        for (std::size_t i = next_.fetch_add(1, std::memory_order_relaxed); i < n_;
             i = next_.fetch_add(1, std::memory_order_relaxed))
            invoke_(body_, i);
    }
    void help()
    {
        for (unsigned seen = 0;;) {
            // A while awake, since calls come back to back; then asleep, so as not to take the other core's turbo.
            for (int tries = 0; tries < 2000 && call_.load(std::memory_order_acquire) == seen; ++tries)
                std::this_thread::yield();
            call_.wait(seen, std::memory_order_acquire);
            ++seen;
            if (stop_)
                return;
            work();
            helped_.store(seen, std::memory_order_release);
        }
    }

    const void* body_ = nullptr;
    void (*invoke_)(const void*, std::size_t) = nullptr;
    std::size_t n_ = 0;
    std::atomic<std::size_t> next_{0};
    std::atomic<unsigned> call_{0};
    std::atomic<unsigned> helped_{0};
    std::atomic<bool> stop_{false};
    std::thread helper_;
};

}  // namespace bench

#endif
