// SPDX-License-Identifier: MIT
// Real lists of lengths, for the tests that check known results on them; empty where they are not.
#ifndef BATTEN_TESTS_LISTS_HPP_INCLUDED
#define BATTEN_TESTS_LISTS_HPP_INCLUDED

#include <batten/plan/histogram.hpp>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace tests {

// The sum of the named columns of a file of numbers with a heading, line by line.
inline std::vector<std::size_t> real_lengths(const std::string& file, const std::set<std::string>& names)
{
    std::ifstream in(std::string(BATTEN_TEST_DATA) + "/" + file);
    std::vector<bool> wanted;
    std::vector<std::size_t> lengths;
    for (std::string text; std::getline(in, text);) {
        std::istringstream cells(text);
        std::size_t sum = 0;
        std::size_t c = 0;
        const bool heading = wanted.empty();
        for (std::string cell; std::getline(cells, cell, ','); ++c) {
            if (heading)
                wanted.push_back(names.count(cell) != 0);
            else if (wanted[c])
                sum += std::stoul(cell);
        }
        if (!heading)
            lengths.push_back(sum);
    }
    return lengths;
}

inline batten::plan::histogram packedbert_histogram()
{
    const std::string file = "traces/packedbert_wikipedia_histogram.csv";
    const auto lengths = real_lengths(file, {"length"});
    const auto counts = real_lengths(file, {"count"});
    std::vector<batten::plan::histogram::bin> bins;
    for (std::size_t i = 0; i < lengths.size(); ++i)
        bins.push_back({lengths[i], counts[i]});
    return batten::plan::histogram::from_bins(std::move(bins));
}

}  // namespace tests

#endif
