// SPDX-License-Identifier: MIT
// The words that the terminal and the page share: the table's cells, and what is to be known about them.
#ifndef BATTEN_EXAMPLES_PADDING_REPORT_TABLE_HPP_INCLUDED
#define BATTEN_EXAMPLES_PADDING_REPORT_TABLE_HPP_INCLUDED

#include "strategies.hpp"
#include "../text.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace padding_report {

using namespace examples;

inline std::vector<std::string> headings()
{
    return {"strategy", "waste %", "attention %", "shapes", "width", "cells", "lost tokens"};
}

// Name and reason alone where the strategy is left out.
inline std::vector<std::string> cells(const strategy& of)
{
    if (!of.left_out.empty())
        return {of.name, "left out: " + of.left_out};
    return {of.name,
            percent(of.waste.padding()),
            percent(of.waste.attention()),
            grouped(of.shapes),
            of.shapes == 1 ? grouped(of.widest) : grouped(of.narrowest) + ".." + grouped(of.widest),
            grouped(of.cells()),
            grouped(of.lost())};
}

// What a batch may hold.
inline std::string batch_size(const settings& chosen)
{
    if (chosen.budget != 0)
        return grouped(chosen.budget) + " cells";
    return grouped(chosen.rows) + (chosen.rows == 1 ? " row" : " rows");
}

inline std::vector<std::string> notes(const measured& of, const settings& chosen)
{
    const std::size_t capacity = packed_capacity(of, chosen);
    std::vector<std::string> lines{
        "waste %: cells that are padding, of all cells. attention %: pairs of cells that attention computes in whole rows, but "
        "not between tokens of one sequence, of all pairs. A kernel that knows where sequences end (cu_seqlens) computes none "
        "of those of packed rows.",
        "shapes: different widths, each of which costs a compilation or a graph where shapes are static. lost tokens: cut off "
        "sequences that are longer than the width.",
        "dynamic: as wide as the longest of the batch. p95: the 95th percentile by nearest rank. bucketed: sequences batched "
        "with those of their bucket, at most " + grouped(chosen.shapes) + " edges; percentile edges and powers of two are what "
        "people write down.",
        "sorted in windows: shuffled, then sorted within the rows of " + grouped(chosen.window) +
            " batches. sorted: all of them, so that lengths and batches go together. packed: several sequences a row of " +
            grouped(capacity) + " cells."};
    if (capacity < of.histogram.longest())
        lines.push_back("Sequences longer than the capacity of " + grouped(capacity) + " are split into pieces.");
    if (!of.in_order && !of.lengths.empty())
        lines.push_back("What is shuffled starts from the histogram's sequences in an order that was drawn.");
    return lines;
}

}  // namespace padding_report

#endif
