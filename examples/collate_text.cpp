// SPDX-License-Identifier: MIT
// Reads text, collates it with every length strategy on both sides, and prints what each comes to. examples/run builds it.
//
// A sequence is a paragraph or a line of a text file, or a string of a JSON Lines file. Its token ids are its bytes: id b + 3
// is byte b; 0, 1 and 2 are pad, begin of sequence and end of sequence, and each sequence has a begin and an end.
#include "print.hpp"

#include <batten/batten.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <numeric>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

// ---- token ids -------------------------------------------------------------------------------------------------------

using token_id = std::uint16_t;
constexpr token_id pad_id = 0;
constexpr token_id begin_id = 1;
constexpr token_id end_id = 2;
constexpr token_id first_byte_id = 3;

// All sequences, flat, with offsets: what ragged_view reads in place.
class corpus {
public:
    void add(std::string_view text)
    {
        tokens_.push_back(begin_id);
        for (const char c : text)
            tokens_.push_back(static_cast<token_id>(first_byte_id + static_cast<unsigned char>(c)));
        tokens_.push_back(end_id);
        offsets_.push_back(tokens_.size());
    }

    [[nodiscard]] auto sequences() const { return batten::ragged_view(tokens_, offsets_); }
    [[nodiscard]] std::size_t token_count() const { return tokens_.size(); }
    [[nodiscard]] std::vector<std::size_t> lengths() const
    {
        std::vector<std::size_t> lengths(offsets_.size());
        std::adjacent_difference(offsets_.begin(), offsets_.end(), lengths.begin());
        lengths.erase(lengths.begin());
        return lengths;
    }

private:
    std::vector<token_id> tokens_;
    std::vector<std::size_t> offsets_{0};
};

// ---- files -----------------------------------------------------------------------------------------------------------

[[noreturn]] void refuse(const std::string& reason)
{
    throw std::runtime_error(reason);
}

std::string read_file(const std::filesystem::path& path)
{
    if (!std::filesystem::exists(path))
        refuse(path.string() + ": no such file");
    if (std::filesystem::is_directory(path))
        refuse(path.string() + ": a directory; name the files in it");
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file.is_open() || file.bad())
        refuse(path.string() + ": cannot be read");
    if (text.empty())
        refuse(path.string() + ": the file is empty");
    return text;
}

// visit(line, number) for each line, without its end, numbers from 1.
template <class Visit>
void each_line(std::string_view text, Visit visit)
{
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        visit(line, number);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

bool is_blank(std::string_view line)
{
    return line.find_first_not_of(" \t\v\f\r") == std::string_view::npos;
}

void add_lines(corpus& into, std::string_view text)
{
    each_line(text, [&](std::string_view line, std::size_t) {
        if (!is_blank(line))
            into.add(line);
    });
}

// Runs of lines without a blank one between them.
void add_paragraphs(corpus& into, std::string_view text)
{
    std::string_view paragraph;
    const auto finish = [&] {
        if (!paragraph.empty())
            into.add(paragraph);
        paragraph = {};
    };
    each_line(text, [&](std::string_view line, std::size_t) {
        if (is_blank(line))
            finish();
        else if (paragraph.empty())
            paragraph = line;
        else  // both lie in `text`: from the first line's begin to this one's end
            paragraph = {paragraph.data(), static_cast<std::size_t>(line.data() + line.size() - paragraph.data())};
    });
    finish();
}

// Adds the strings of one JSON value as they are parsed: no tree is built, so that no depth of nesting matters.
class string_collector : public nlohmann::json_sax<nlohmann::json> {
public:
    // An empty `field` takes every string; otherwise those that are the value of a field of that name, or in an array that is.
    string_collector(corpus& into, std::string_view field) : into_(into), field_(field) {}

    bool string(string_t& text) override
    {
        if (field_.empty() || (!named_.empty() && named_.back()))
            into_.add(text);
        return true;
    }
    bool key(string_t& name) override
    {
        named_.back() = name == field_;
        return true;
    }
    bool start_object(std::size_t) override
    {
        named_.push_back(false);
        return true;
    }
    bool end_object() override
    {
        named_.pop_back();
        return true;
    }
    bool start_array(std::size_t) override { return true; }
    bool end_array() override { return true; }
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool parse_error(std::size_t byte, const std::string&, const nlohmann::json::exception& error) override
    {
        // The library counts lines from the begin of what it was given, which is one line: only its reason is of use.
        const std::string_view text = error.what();
        const std::size_t colon = text.find(": ");
        reason = "column " + std::to_string(byte) + ": " +
                 std::string(colon == std::string_view::npos ? text : text.substr(colon + 2));
        return false;
    }

    std::string reason;  // why it is not JSON, where parsing said no

private:
    corpus& into_;
    std::string_view field_;
    std::vector<bool> named_;  // for each object that is open, whether its current field is the one asked for
};

void add_json_lines(corpus& into, const std::string& path, std::string_view text, std::string_view field)
{
    each_line(text, [&](std::string_view line, std::size_t number) {
        string_collector collector(into, field);
        if (!is_blank(line) && !nlohmann::json::sax_parse(line, &collector))
            refuse(path + ":" + std::to_string(number) + ": not JSON, " + collector.reason);
    });
}

struct settings {
    std::vector<std::string> files;
    std::string split = "paragraph";
    std::string field;
    std::size_t rows = 32;
    std::size_t window = 50;
    std::size_t repeat = 5;
    std::string lengths;
};

void add_file(corpus& into, const std::string& path, const settings& chosen)
{
    const std::string text = read_file(path);
    const std::size_t before = into.token_count();
    const bool is_json_lines = path.ends_with(".jsonl") || path.ends_with(".ndjson");
    if (is_json_lines)
        add_json_lines(into, path, text, chosen.field);
    else if (chosen.split == "line")
        add_lines(into, text);
    else
        add_paragraphs(into, text);
    if (into.token_count() == before)
        refuse(path + (is_json_lines && !chosen.field.empty() ? ": no string in a field named '" + chosen.field + "'"
                                                              : ": no text in it"));
}

// One a line, as examples/padding_report reads them.
void write_lengths(const std::string& path, const std::vector<std::size_t>& lengths)
{
    std::ofstream file(path);
    for (const std::size_t length : lengths)
        file << length << '\n';
    file.close();
    if (!file)
        refuse(path + ": cannot be written");
}

// This repository's own text, for a run without files.
std::vector<std::string> own_files()
{
    const std::filesystem::path root = std::filesystem::path(BATTEN_SOURCE_DIR);
    std::vector<std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "include"))
        if (entry.path().extension() == ".hpp")
            files.push_back(entry.path().string());
    std::sort(files.begin(), files.end());
    files.insert(files.begin(), {(root / "README.md").string(), (root / "LICENSE").string()});
    return files;
}

// ---- the two sentences of every text book ----------------------------------------------------------------------------

template <class Side>
void print_two_sentences(std::string_view side)
{
    const std::vector<std::vector<int>> sentences{{101, 102}, {103, 104, 105, 106}};
    const batten::collator<Side, batten::dynamic_length> collate{{.pad_id = pad_id}};
    const auto batch = collate(sentences);
    std::cout << "[101, 102] and [103, 104, 105, 106], padded " << side << '\n';
    print("token_ids", batch.template view<batten::token_ids>());
    print("attention_mask", batch.template view<batten::attention_mask>());
    print("position_ids", batch.template view<batten::position_ids>());
    print("loss_mask", batch.template view<batten::loss_mask>());
    std::cout << '\n';
}

// ---- the table -------------------------------------------------------------------------------------------------------

struct table_line {
    std::size_t batches = 0;
    std::size_t rows = 0;
    std::size_t narrowest = static_cast<std::size_t>(-1);
    std::size_t widest = 0;
    batten::summary totals{};

    // `rows` of them, cut into batches of at most `most`, all of one width.
    void count(std::size_t rows_of_batch, std::size_t most, std::size_t width, const batten::summary& sums)
    {
        batches += (rows_of_batch + most - 1) / most;
        rows += rows_of_batch;
        narrowest = std::min(narrowest, width);
        widest = std::max(widest, width);
        totals += sums;
    }
};

std::string grouped(std::size_t number)
{
    std::string digits = std::to_string(number);
    for (std::size_t i = digits.size(); i > 3; i -= 3)
        digits.insert(i - 3, 1, ',');
    return digits;
}

std::string fixed_point(double number, int digits)
{
    std::ostringstream text;
    text << std::fixed << std::setprecision(digits) << number;
    return text.str();
}

constexpr int column_widths[] = {30, 6, 8, 9, 12, 14, 15, 9, 10, 11};

void print_columns(const std::vector<std::string>& cells)
{
    for (std::size_t i = 0; i < cells.size(); ++i)
        std::cout << (i < 2 ? std::left : std::right) << std::setw(column_widths[i]) << cells[i];
    std::cout << std::right << '\n';
}

class comparison {
public:
    comparison(const corpus& text, const settings& chosen)
        : sequences_(text.sequences()), chosen_(chosen), lengths_(text.lengths()), sorted_(lengths_), as_read_(lengths_.size()),
          by_length_(lengths_.size())
    {
        std::sort(sorted_.begin(), sorted_.end());
        std::iota(as_read_.begin(), as_read_.end(), std::size_t{0});
        by_length_ = as_read_;
        std::stable_sort(by_length_.begin(), by_length_.end(),
                         [&](std::size_t a, std::size_t b) { return lengths_[a] < lengths_[b]; });
    }

    void print() const
    {
        const std::size_t longest = sorted_.back();
        std::cout << grouped(lengths_.size()) << " sequences, "
                  << grouped(std::accumulate(lengths_.begin(), lengths_.end(), std::size_t{0})) << " tokens; shortest "
                  << sorted_.front() << ", median " << percentile(50) << ", 95th percentile " << percentile(95) << ", longest "
                  << longest << "\n\n";
        print_columns(
            {"strategy", "side", "batches", "rows", "width", "real tokens", "padded cells", "waste %", "dropped", "Mtokens/s"});
        padded("fixed to the longest", batten::fixed_length(longest), as_read_);
        padded("fixed to the 95th percentile", batten::fixed_length(percentile(95)), as_read_, batten::truncate_right{});
        padded("dynamic", batten::dynamic_length{}, as_read_);
        padded("dynamic, rounded up to 8", batten::round_up_to<8>{}, as_read_);
        padded("dynamic, rounded up to 64", batten::round_up_to<64>{}, as_read_);
        bucketed("bucketed, powers of two", powers_of_two());
        bucketed("bucketed, eight quantiles", quantiles());
        padded("sorted, dynamic", batten::dynamic_length{}, by_length_);
    }

private:
    // By nearest rank: the shortest length that `percent` of the sequences do not pass.
    [[nodiscard]] std::size_t percentile(std::size_t percent) const
    {
        return sorted_[(sorted_.size() * percent + 99) / 100 - 1];
    }

    [[nodiscard]] batten::bucketed_length powers_of_two() const
    {
        std::vector<std::size_t> edges{16};
        while (edges.back() < sorted_.back())
            edges.push_back(edges.back() * 2);
        return batten::bucketed_length(edges);
    }

    [[nodiscard]] batten::bucketed_length quantiles() const
    {
        std::vector<std::size_t> edges;
        for (std::size_t eighth = 1; eighth <= 8; ++eighth) {
            const std::size_t edge = sorted_[(sorted_.size() * eighth + 7) / 8 - 1];
            if (edges.empty() || edge > edges.back())
                edges.push_back(edge);
        }
        return batten::bucketed_length(edges);
    }

    template <class Length, class Overflow = batten::reject>
    void padded(std::string_view name, const Length& length, std::span<const std::size_t> order, Overflow = {}) const
    {
        padded_line(name, "right", batten::collator<batten::pad_right, Length, Overflow>{{.pad_id = pad_id, .length = length}},
                    order);
        padded_line(name, "left", batten::collator<batten::pad_left, Length, Overflow>{{.pad_id = pad_id, .length = length}},
                    order);
    }

    // Batches of `rows` sequences, in that order.
    template <class Collator>
    void padded_line(std::string_view name, std::string_view side, const Collator& collate,
                     std::span<const std::size_t> order) const
    {
        typename Collator::batch_type batch;
        line(name, side, [&](table_line& counts) {
            each_slice(order, chosen_.rows, [&](std::span<const std::size_t> rows) {
                collate(batten::select(sequences_, rows), batch);
                counts.count(batch.rows(), chosen_.rows, batch.width(), batch.summary());
            });
        });
    }

    void bucketed(std::string_view name, const batten::bucketed_length& ladder) const
    {
        bucketed_line(name, "right", batten::bucketed_collator<batten::pad_right>{{.pad_id = pad_id, .length = ladder}});
        bucketed_line(name, "left", batten::bucketed_collator<batten::pad_left>{{.pad_id = pad_id, .length = ladder}});
    }

    // The rows of a window of batches, grouped by bucket. Those of one bucket lie one behind the other with one width, so that
    // cutting them into batches of `rows` is arithmetic.
    template <class Collator>
    void bucketed_line(std::string_view name, std::string_view side, const Collator& collate) const
    {
        typename Collator::batch_type batches;
        line(name, side, [&](table_line& counts) {
            each_slice(as_read_, chosen_.rows * chosen_.window, [&](std::span<const std::size_t> rows) {
                collate(batten::select(sequences_, rows), batches);
                for (const auto& bucket : batches.buckets())
                    counts.count(bucket.rows, chosen_.rows, bucket.width, bucket.totals);
            });
        });
    }

    template <class Visit>
    static void each_slice(std::span<const std::size_t> order, std::size_t most, Visit visit)
    {
        for (; !order.empty(); order = order.subspan(std::min(most, order.size())))
            visit(order.first(std::min(most, order.size())));
    }

    // pass(counts) collates everything once, into batches that it keeps from pass to pass.
    template <class Pass>
    void line(std::string_view name, std::string_view side, Pass pass) const
    {
        table_line counts;
        pass(counts);
        const auto cells = counts.totals.real_tokens + counts.totals.padded_cells;
        const double seconds = chosen_.repeat == 0 ? 0.0 : median_seconds(pass);
        print_columns({std::string(name), std::string(side), grouped(counts.batches), grouped(counts.rows),
                       counts.narrowest == counts.widest
                           ? std::to_string(counts.widest)
                           : std::to_string(counts.narrowest) + ".." + std::to_string(counts.widest),
                       grouped(counts.totals.real_tokens), grouped(counts.totals.padded_cells),
                       fixed_point(100.0 * static_cast<double>(counts.totals.padded_cells) / static_cast<double>(cells), 1),
                       grouped(counts.totals.truncated_tokens),
                       seconds > 0.0 ? fixed_point(static_cast<double>(counts.totals.real_tokens) / seconds / 1e6, 0) : "-"});
    }

    // Of at least `repeat` passes, and of as many as a tenth of a second holds.
    template <class Pass>
    double median_seconds(Pass pass) const
    {
        using clock = std::chrono::steady_clock;
        std::vector<double> seconds;
        const auto begin = clock::now();
        while (seconds.size() < chosen_.repeat || clock::now() - begin < std::chrono::milliseconds(100)) {
            table_line counts;
            const auto start = clock::now();
            pass(counts);
            seconds.push_back(std::chrono::duration<double>(clock::now() - start).count());
        }
        std::nth_element(seconds.begin(), seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2), seconds.end());
        return seconds[seconds.size() / 2];
    }

    batten::ragged_view<token_id, std::size_t> sequences_;
    const settings& chosen_;
    std::vector<std::size_t> lengths_;
    std::vector<std::size_t> sorted_;
    std::vector<std::size_t> as_read_;    // row numbers in the order of the files
    std::vector<std::size_t> by_length_;  // row numbers, shortest first
};

void print_notes(const settings& chosen)
{
    std::cout << "\nTokens are bytes + 3; ids 0, 1, 2 are pad, begin, end, and every sequence has a begin and an end.\n"
                 "Batches of "
              << chosen.rows
              << " rows: token ids, attention mask, positions and loss mask, int64. waste % = padded cells / all cells.\n"
                 "fixed to the 95th percentile cuts the right end of longer sequences, and counts what it dropped.\n"
                 "bucketed: the rows of "
              << chosen.window
              << " batches at a time grouped by bucket, each bucket cut into batches; sorted: all rows by length.\n";
    if (chosen.repeat != 0)
        std::cout
            << "Mtokens/s: real tokens of a pass over all batches / median time of a pass, in millions; one warm-up pass, "
               "then at least\n"
            << chosen.repeat
            << " and 0.1 s of them, into batches that are reused, on one thread. Reading, tokenizing and sorting are not "
               "timed, bucketing is.\n"
               "All buckets of a window are written at once: a wide --window makes fuller batches, a narrow one stays in "
               "cache.\n";
}

void run(const settings& chosen)
{
    const std::vector<std::string> files = chosen.files.empty() ? own_files() : chosen.files;
    corpus text;
    for (const std::string& path : files)
        add_file(text, path, chosen);

    print_two_sentences<batten::pad_right>("right");
    print_two_sentences<batten::pad_left>("left");
    if (chosen.files.empty())
        std::cout << "README.md, LICENSE and headers of this repository: ";
    else if (files.size() == 1)
        std::cout << files.front() << ": ";
    else
        std::cout << files.size() << " files: ";
    comparison(text, chosen).print();
    print_notes(chosen);
    if (!chosen.lengths.empty())
        write_lengths(chosen.lengths, text.lengths());
}

}  // namespace

int main(int argc, char** argv)
{
    settings chosen;
    CLI::App app("Collates text with every length strategy and prints what each comes to.", "collate_text");
    app.add_option("FILE", chosen.files, "text, or JSON Lines (.jsonl, .ndjson); default: this repository's own text");
    app.add_option("--split", chosen.split, "a sequence of a text file is a: paragraph (blank lines between), line")
        ->check(CLI::IsMember({"paragraph", "line"}))
        ->capture_default_str();
    app.add_option("--field", chosen.field, "take only strings in fields of this name from JSON Lines; default: every string");
    app.add_option("--rows", chosen.rows, "rows of a batch")->check(CLI::Range(1, 1 << 20))->capture_default_str();
    app.add_option("--window", chosen.window, "batches whose rows are bucketed together")
        ->check(CLI::Range(1, 1 << 20))
        ->capture_default_str();
    app.add_option("--repeat", chosen.repeat, "timed passes at the least, 0 for no timing")
        ->check(CLI::Range(0, 1 << 20))
        ->capture_default_str();
    app.add_option("--lengths", chosen.lengths, "write the lengths of the sequences to this file, for padding_report");
    CLI11_PARSE(app, argc, argv);
    try {
        run(chosen);
        return 0;
    } catch (const std::exception& reason) {
        std::cerr << "collate_text: " << reason.what() << '\n';
        return 1;
    }
}
