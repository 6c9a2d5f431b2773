// SPDX-License-Identifier: MIT
// One server, three ways to batch: what each comes to on the same requests, under one model of what a step costs.
#ifndef BATTEN_EXAMPLES_SERVING_SIMULATION_SIMULATION_HPP_INCLUDED
#define BATTEN_EXAMPLES_SERVING_SIMULATION_SIMULATION_HPP_INCLUDED

#include "trace.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace serving_simulation {

// What a step computes, pads and all.
struct step_work {
    std::uint64_t tokens = 0;
    std::uint64_t kv_entries = 0;  // read: each row reads its cache once, whatever its number of tokens
    std::uint64_t pairs = 0;       // of a token and one that it attends to
};

// The time of a step is a sum. The figures are assumptions, by arithmetic: a model of 8 billion parameters in 16 bits, 32
// layers of width 4096, 8 heads of 128 for keys and values, on one device with 80 GB of memory at 3 TB/s (2.6 TB/s for
// scattered reads) and 400 Tflop/s in use.
struct cost_model {
    double step_us = 6000;    // weights, 16 GB, are read once a step; launches
    double token_us = 40;     // 16 Gflop
    double kv_us = 0.05;      // 128 KiB
    double pair_us = 0.0013;  // 0.5 Mflop

    [[nodiscard]] nanoseconds time(const step_work& work) const;
    friend bool operator==(const cost_model&, const cost_model&) = default;
};

struct settings {
    cost_model cost{};
    std::size_t kv_tokens = 400'000;   // that the cache holds: 52 GB
    std::size_t context = 0;           // tokens of a row, at the most: prompt, pads and answer; 0: what the trace comes to
    // Batches that stay together until their longest answer is done.
    std::size_t rows = 32;             // at the most; the cache may hold fewer
    std::size_t cells = 32'768;        // of a batch of a bucket: rows x edge; at least one row
    std::size_t buckets = 8;
    nanoseconds max_queue_delay = 50'000'000; // for others
    // Iteration-level steps.
    std::size_t budget = 2048;         // tokens of a step
    std::size_t live = 256;            // requests with a cache, at the most
    std::size_t block = 16;            // tokens
};

struct outcome {
    std::string name{};
    std::uint64_t steps = 0;
    std::uint64_t rows = 0;         // summed over steps, finished ones that stay among them
    std::uint64_t real_tokens = 0;  // that were computed for a request that needs them
    std::uint64_t pads = 0;         // that were computed as well
    std::uint64_t recomputed = 0;   // of the real ones, those that had to be computed again
    std::uint64_t generated = 0;
    nanoseconds busy = 0;
    nanoseconds end = 0;                    // of the last answer
    std::vector<nanoseconds> waits{};       // from arrival to first token, sorted
    std::vector<nanoseconds> latencies{};   // from arrival to last token, sorted
    // Of the cache, summed over busy time, in tokens x ns.
    double reserved = 0;
    double used = 0;
    double needed = 0;                      // reserved, if each row reserved what its batch comes to and no more
    double reservations = 0;                // requests that have a part of the cache
    std::size_t most_wasted = 0;            // of pages: tokens of one request's part that lay unused, at one step

    [[nodiscard]] double padding() const;
    [[nodiscard]] double busy_share() const;
    [[nodiscard]] double tokens_a_second() const;
    [[nodiscard]] double rows_a_step() const;
    [[nodiscard]] double kv_wasted() const;             // share of what is reserved
    [[nodiscard]] double kv_wasted_at_least() const;    // share of what is needed
    [[nodiscard]] double wasted_a_reservation() const;  // tokens
};

// By nearest rank; `sorted` is not empty.
nanoseconds percentile(const std::vector<nanoseconds>& sorted, double p);

// Fills in what follows from the requests, and checks that they fit. Errors: std::runtime_error.
settings fitted(settings chosen, const std::vector<request>& requests);
// Rows that the cache holds where each reserves the whole context.
std::size_t contiguous_rows(const settings& chosen);
// Of prompts: those that pad least.
std::vector<std::size_t> bucket_edges(const settings& chosen, const std::vector<request>& requests);

// Batches in order of arrival, as wide as their longest prompt. Settings are fitted ones here and below.
outcome static_batches(const std::vector<request>& requests, const settings& chosen);
// Batches of a bucket, as wide as its edge (dynamic batching): batten::serve::request_queue.
outcome bucketed_batches(const std::vector<request>& requests, const settings& chosen);
// Who is live is decided at each step, prompts go in chunks, the cache is paged: batten::serve::schedule, block_pool.
outcome iteration_steps(const std::vector<request>& requests, const settings& chosen);

// The three, in that order.
std::vector<outcome> compare(const std::vector<request>& requests, const settings& chosen);
// How many times as fast as they do the requests may come, so that their median wait is `patience` at the most: for each of the
// three, to a sixteenth of an octave. 0: it is longer at any pace; infinity: it never is.
std::vector<double> sustained(const std::vector<request>& requests, const settings& chosen, nanoseconds patience);

// The same requests, arriving `speed` times as fast. Errors: std::runtime_error, where the last one is too far away.
std::vector<request> faster(std::vector<request> requests, double speed);
std::vector<request> at_once(std::vector<request> requests);

}  // namespace serving_simulation

#endif
