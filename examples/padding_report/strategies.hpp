// SPDX-License-Identifier: MIT
// What each strategy wastes on lengths, and which one to take.
#ifndef BATTEN_EXAMPLES_PADDING_REPORT_STRATEGIES_HPP_INCLUDED
#define BATTEN_EXAMPLES_PADDING_REPORT_STRATEGIES_HPP_INCLUDED

#include "lengths.hpp"
#include "progress.hpp"

#include <batten/plan/waste.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace padding_report {

struct settings {
    std::size_t rows = 32;        // of a batch
    std::size_t budget = 0;       // cells of a batch instead, where it is not 0
    std::size_t shapes = 8;       // edges of a ladder, at the most
    std::size_t multiple = 1;     // of widths
    std::size_t capacity = 0;     // of a packed row; 0: the longest sequence
    std::size_t window = 50;      // batches whose rows are sorted together
    std::uint64_t seed = 1;
};

struct strategy {
    std::string name;
    std::string left_out{};          // why, where it has no figures
    batten::plan::waste waste{};
    std::size_t shapes = 0;          // distinct widths
    std::size_t narrowest = 0;
    std::size_t widest = 0;
    std::string code{};              // the line of C++ that does it, where it is one to recommend
    std::string condition{};         // when it can be taken, in the words of a clause after "where"

    [[nodiscard]] std::uint64_t cells() const { return batten::plan::waste::sum(waste.real_tokens, waste.pads); }
    [[nodiscard]] std::uint64_t lost() const { return waste.truncated_tokens + waste.dropped_tokens; }
};

// Padding of ladders of 1, 2, ... edges.
struct curve {
    std::string name;
    std::vector<double> padding;
};

struct comparison {
    std::vector<strategy> strategies;
    std::vector<std::size_t> edges;     // the optimal ones
    std::vector<curve> curves;          // optimal edges first
    std::size_t as_they_come = 0;       // of strategies: what one does without thinking about it
    std::size_t recommended = 0;        // of strategies
    std::vector<std::size_t> otherwise; // of strategies: those to take where the recommended one does not fit
    std::string reason;
};

// Cells of a packed row.
std::size_t packed_capacity(const measured& of, const settings& chosen);

// Errors: batten::exception, as of a sequence over the budget.
comparison compare(const measured& of, const settings& chosen, progress& shown);

}  // namespace padding_report

#endif
