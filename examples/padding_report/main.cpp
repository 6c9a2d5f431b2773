// SPDX-License-Identifier: MIT
// Reads lengths, says what each strategy of batching wastes on them and which one to take, and writes it as a page with charts.
//
//   lengths.cpp     files: CSV, JSON Lines, numbers, histograms
//   strategies.cpp  what each strategy comes to, by the planners of batten/plan
//   charts.cpp      three charts                        page.cpp  the page around them
#include "page.hpp"
#include "strategies.hpp"
#include "table.hpp"
#include "../text.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace examples;
using namespace padding_report;

void print_table(const comparison& found)
{
    std::vector<std::vector<std::string>> lines{headings()};
    for (const strategy& s : found.strategies)
        lines.push_back(cells(s));
    std::vector<std::size_t> widths(lines.front().size(), 0);
    for (const auto& line : lines)
        for (std::size_t c = 0; c < line.size(); ++c)
            if (line.size() == widths.size() || c == 0)
                widths[c] = std::max(widths[c], line[c].size());
    for (const auto& line : lines) {
        std::cout << std::left << std::setw(static_cast<int>(widths[0])) << line[0] << std::right;
        for (std::size_t c = 1; c < line.size(); ++c)
            std::cout << "  " << std::setw(static_cast<int>(line.size() == widths.size() ? widths[c] : 0)) << line[c];
        std::cout << '\n';
    }
}

void print(const measured& of, const settings& chosen, const comparison& found)
{
    const auto& lengths = of.histogram;
    const double mean = static_cast<double>(lengths.tokens()) / static_cast<double>(lengths.sequences());
    std::cout << of.name << ": " << grouped(lengths.sequences()) << " sequences, " << grouped(lengths.tokens())
              << " tokens; shortest " << grouped(lengths.bins().front().length) << ", median "
              << grouped(lengths.percentile(50)) << ", mean " << fixed_point(mean, 1) << ", 95th percentile "
              << grouped(lengths.percentile(95)) << ", longest "
              << grouped(lengths.longest()) << "\nbatches of " << batch_size(chosen) << "\n\n";
    print_table(found);
    std::cout << '\n';
    for (const std::string& note : notes(of, chosen))
        print_wrapped(std::cout, note);

    const strategy& best = found.strategies[found.recommended];
    std::cout << '\n';
    print_wrapped(std::cout, "Recommended: " + best.name + ". It fits where " + best.condition + ". " + found.reason);
    std::cout << "    " << best.code << '\n';
    for (const std::size_t s : found.otherwise) {
        const strategy& other = found.strategies[s];
        print_wrapped(std::cout,
                      "Where " + other.condition + ": " + other.name + ", " + percent(other.waste.padding()) + " %.");
        std::cout << "    " << other.code << '\n';
    }
}

void write_page(const std::string& path, const std::string& text)
{
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file)
        refuse(path + ": cannot be written");
    std::cout << "\nwrote " << path << '\n';
}

}  // namespace

int main(int argc, char** argv)
{
    source from;
    settings chosen;
    std::string title;
    std::string html;
    const auto count = CLI::Range(std::size_t{1}, std::size_t{1} << 30U);
    CLI::App app("Says what each strategy of batching wastes on a list of lengths, and which one to take.", "padding_report");
    app.add_option("FILE", from.path, "CSV, JSON Lines, numbers, or a histogram (CSV with length,count); - for standard input")
        ->required();
    app.add_option("--format", from.format, "csv, jsonl, numbers, histogram; default: by the extension of FILE")
        ->check(CLI::IsMember({"csv", "jsonl", "numbers", "histogram"}));
    app.add_option("--column", from.columns, "column of a CSV file; give several to add them up")
        ->allow_extra_args(false);
    app.add_option("--field", from.fields,
                   "field of a JSON Lines file: a number, an array of ids, which counts its ids, or a string, which counts its "
                   "bytes + 2; give several to add them up")
        ->allow_extra_args(false);
    auto* rows = app.add_option("--rows", chosen.rows, "rows of a batch")->check(count)->capture_default_str();
    app.add_option("--budget", chosen.budget, "cells of a batch instead: rows x width")->check(count)->excludes(rows);
    app.add_option("--shapes", chosen.shapes, "bucket edges at the most")->check(count)->capture_default_str();
    app.add_option("--multiple", chosen.multiple, "widths are multiples of it")->check(count)->capture_default_str();
    app.add_option("--capacity", chosen.capacity, "cells of a packed row; default: the longest sequence")->check(count);
    app.add_option("--window", chosen.window, "batches whose rows are sorted together")->check(count)->capture_default_str();
    app.add_option("--seed", chosen.seed, "of what is shuffled")->capture_default_str();
    app.add_option("--html", html, "also write the report as a page with charts to this file");
    app.add_option("--title", title, "what the page and the report call the sequences; default: FILE and its columns");
    CLI11_PARSE(app, argc, argv);
    try {
        progress shown;
        measured lengths = read_lengths(from, shown);
        if (!title.empty())
            lengths.name = title;
        const comparison found = compare(lengths, chosen, shown);
        print(lengths, chosen, found);
        if (!html.empty())
            write_page(html, page(lengths, chosen, found));
        return 0;
    } catch (const std::exception& reason) {
        std::cerr << "padding_report: " << reason.what() << '\n';
        return 1;
    }
}
