// SPDX-License-Identifier: MIT
// Requests as a server saw them: when each came, how long its prompt is, how many tokens it got.
#ifndef BATTEN_EXAMPLES_SERVING_SIMULATION_TRACE_HPP_INCLUDED
#define BATTEN_EXAMPLES_SERVING_SIMULATION_TRACE_HPP_INCLUDED

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace serving_simulation {

using nanoseconds = std::int64_t;

struct request {
    nanoseconds arrival = 0;  // since the first one
    std::size_t prompt = 0;   // tokens, at least one
    std::size_t generated = 0;
};

struct source {
    std::string path{};  // none: requests are made up
    // Names of columns; those that are empty are found by the names that published traces give them.
    std::string arrival{};
    std::string prompt{};
    std::string generated{};
    std::string unit{};       // of arrivals that are numbers: s, ms, us, ns; empty: by the column's name
    std::size_t first = 0;    // only so many requests, where it is not 0
    std::size_t count = 4000; // of requests that are made up
    double rate = 5;          // a second, of arrivals that are made up
    std::uint64_t seed = 1;
};

struct trace {
    std::string name{};
    std::string made_up{};            // a sentence that says what is, where anything is
    std::vector<request> requests{};  // by arrival, the first one at 0
};

// Errors: std::runtime_error with file, line and column.
trace read_trace(const source& from);

}  // namespace serving_simulation

#endif
