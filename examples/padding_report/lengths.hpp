// SPDX-License-Identifier: MIT
// Lengths of sequences from a file.
#ifndef BATTEN_EXAMPLES_PADDING_REPORT_LENGTHS_HPP_INCLUDED
#define BATTEN_EXAMPLES_PADDING_REPORT_LENGTHS_HPP_INCLUDED

#include "progress.hpp"

#include <batten/plan/histogram.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace padding_report {

struct source {
    std::string path;                  // - for standard input
    std::string format;                // csv, jsonl, numbers or histogram; empty: by the path's extension
    std::vector<std::string> columns;  // of a CSV file, added up
    std::vector<std::string> fields;   // of a JSON Lines file, added up
};

struct measured {
    std::string name;                      // of the file, and what was taken from it
    bool in_order = true;                  // whether `lengths` stand as the sequences came; false: only their counts are known
    std::vector<std::uint32_t> lengths{};  // empty where a histogram counts more sequences than one would lay out in memory
    batten::plan::histogram histogram{};
};

// Errors: std::runtime_error with the file, the line, and the text that is wrong there.
measured read_lengths(const source& from, progress& shown);

}  // namespace padding_report

#endif
