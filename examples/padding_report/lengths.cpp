// SPDX-License-Identifier: MIT
#include "lengths.hpp"

#include "../csv.hpp"
#include "../text.hpp"

#include <batten/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

namespace padding_report {

using namespace examples;

namespace {

// Longer than any sequence, and short enough that rounding up and sums of a few columns stay in range.
constexpr std::uint64_t longest_length = (std::uint64_t{1} << 31U) - 1;
// A histogram of more sequences is not laid out as a list.
constexpr std::uint64_t most_laid_out = std::uint64_t{1} << 25U;

// ---- where an error is -----------------------------------------------------------------------------------------------

// Made for every number that is read: its text is put together only where something is wrong.
struct place {
    const std::string& file;
    std::size_t line;
    std::string_view kind{};  // column or field
    std::string_view name{};

    [[noreturn]] void refuse(const std::string& reason) const
    {
        padding_report::refuse(file + ":" + std::to_string(line) + ": " +
                               (name.empty() ? "" : std::string(kind) + " " + in_quotes(name) + ": ") + reason);
    }
};

constexpr std::string_view blanks = " \t\v\f\r";

std::string_view trimmed(std::string_view text)
{
    const std::size_t first = text.find_first_not_of(blanks);
    return first == std::string_view::npos ? text.substr(0, 0)
                                           : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::uint64_t parse_number(std::string_view text, std::uint64_t most, const place& at)
{
    text = trimmed(text);
    std::uint64_t number = 0;
    const bool is_negative = text.starts_with('-');
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data() + (is_negative ? 1 : 0), end, number);
    if (text.empty())
        at.refuse("an empty field is not a number");
    if (stop != end || problem == std::errc::invalid_argument)
        at.refuse(in_quotes(text) + " is not a whole number");
    if (is_negative && number != 0)
        at.refuse(in_quotes(text) + " is negative");
    if (problem == std::errc::result_out_of_range || number > most)
        at.refuse(in_quotes(text) + " is more than " + grouped(most));
    return number;
}

// ---- what is read ----------------------------------------------------------------------------------------------------

class reading {
public:
    reading(const source& from, const std::string& file, std::istream& in, progress& shown)
        : from_(from), file_(file), in_(in), csv_(in, file), shown_(shown)
    {
    }

    // A line without its end; false at the end of the file.
    bool next_line(std::string& line)
    {
        if (!std::getline(in_, line))
            return false;
        if (line_++ == 0 && line.starts_with("\xEF\xBB\xBF"))  // a byte order mark, as spreadsheets write it
            line.erase(0, 3);
        if (line.ends_with('\r'))
            line.pop_back();
        return true;
    }

    [[nodiscard]] csv_reader& csv() { return csv_; }

    // Where the record, or the line, began.
    [[nodiscard]] place here(std::string_view kind = {}, std::string_view name = {}) const
    {
        return {file_, csv_.line() != 0 ? csv_.line() : line_, kind, name};
    }

    void add(std::uint64_t length)
    {
        if (length > longest_length)
            here().refuse("the length comes to " + grouped(length) + ", more than " + grouped(longest_length));
        lengths.push_back(static_cast<std::uint32_t>(length));
        shown_.read(lengths.size());
    }

    [[nodiscard]] const source& from() const { return from_; }
    [[noreturn]] void refuse(const std::string& reason) const { padding_report::refuse(file_ + ": " + reason); }

    std::vector<std::uint32_t> lengths;
    std::vector<batten::plan::histogram::bin> bins;

private:
    const source& from_;
    const std::string& file_;
    std::istream& in_;
    csv_reader csv_;
    progress& shown_;
    std::size_t line_ = 0;
};

// ---- formats ---------------------------------------------------------------------------------------------------------

void read_numbers(reading& file)
{
    std::string line;
    while (file.next_line(line))
        for (std::string_view rest = trimmed(line); !rest.empty();) {
            const std::size_t end = std::min(rest.find_first_of(blanks), rest.size());
            file.add(parse_number(rest.substr(0, end), longest_length, file.here()));
            rest = trimmed(rest.substr(end));
        }
}

std::size_t find_column(const reading& file, const std::vector<std::string>& header, std::string_view name)
{
    const auto found = std::find_if(header.begin(), header.end(), [&](const std::string& c) { return trimmed(c) == name; });
    if (found == header.end())
        file.here().refuse("there is no column " + in_quotes(name) + ", there are: " + joined(header, ", ", in_quotes));
    return static_cast<std::size_t>(found - header.begin());
}

bool is_histogram(const std::vector<std::string>& header)
{
    return header.size() == 2 && trimmed(header[0]) == "length" && trimmed(header[1]) == "count";
}

// Files with one column, and those with the two of a histogram, need no --column.
void read_csv(reading& file)
{
    if (!file.csv().next())
        file.refuse("the file is empty");
    const std::vector<std::string> header = file.csv().fields();
    std::vector<std::string> names = file.from().columns;
    const bool counted = file.from().format == "histogram" || (names.empty() && is_histogram(header));
    if (counted)
        names = {"length", "count"};
    else if (names.empty() && header.size() == 1)
        names = {std::string(trimmed(header[0]))};
    else if (names.empty())
        file.here().refuse("which column has the lengths? Name it with --column, more than one to add them up; there are: " +
                           joined(header, ", ", in_quotes));
    std::vector<std::size_t> columns;
    for (const std::string& name : names)
        columns.push_back(find_column(file, header, name));

    const std::vector<std::string>& fields = file.csv().fields();
    const auto number = [&](std::size_t i, std::uint64_t most) {
        return parse_number(fields[columns[i]], most, file.here("column", names[i]));
    };
    while (file.csv().next()) {
        if (fields.size() != header.size())
            file.here().refuse("fields here: " + std::to_string(fields.size()) + ", in the header: " +
                               std::to_string(header.size()));
        if (counted) {
            file.bins.push_back({static_cast<std::size_t>(number(0, longest_length)),
                                 number(1, std::numeric_limits<std::uint64_t>::max())});
        } else {
            std::uint64_t length = 0;
            for (std::size_t i = 0; i < columns.size(); ++i)
                length += number(i, longest_length);
            file.add(length);
        }
    }
}

// A number is a length; an array of numbers has one; a string has its bytes and a begin and an end, as collate_text counts.
std::uint64_t length_of(const nlohmann::json& value, const place& at)
{
    if (value.is_number_unsigned() || value.is_number_integer())
        return parse_number(value.dump(), longest_length, at);
    if (value.is_string())
        return value.get_ref<const std::string&>().size() + 2;
    if (!value.is_array())
        at.refuse((value.is_number() ? value.dump() : "a value of type " + std::string(value.type_name())) +
                  " is not a whole number, an array of ids or a string");
    for (const nlohmann::json& id : value)
        if (!id.is_number())
            at.refuse("the array has an element of type " + std::string(id.type_name()) + ", ids are numbers");
    return value.size();
}

void read_json_lines(reading& file)
{
    if (file.from().fields.empty())
        file.refuse("which field has the lengths, the ids or the text? Name it with --field, more than one to add them up");
    std::string line;
    while (file.next_line(line)) {
        if (trimmed(line).empty())
            continue;
        nlohmann::json object;
        try {
            object = nlohmann::json::parse(line);
        } catch (const nlohmann::json::parse_error& problem) {
            // The library counts lines from the begin of what it was given, which is one line: only its reason is of use.
            const std::string_view text = problem.what();
            const std::size_t colon = text.find(": ");
            file.here().refuse("not JSON, column " + std::to_string(problem.byte) + ": " +
                               std::string(colon == std::string_view::npos ? text : text.substr(colon + 2)));
        }
        if (!object.is_object())
            file.here().refuse("a value of type " + std::string(object.type_name()) + " is not an object with fields");
        std::uint64_t length = 0;
        for (const std::string& name : file.from().fields) {
            const auto value = object.find(name);
            if (value == object.end())
                file.here().refuse("there is no field " + in_quotes(name) + ", there are: " +
                                   joined(object.items(), ", ", [](const auto& item) { return in_quotes(item.key()); }));
            length += length_of(*value, file.here("field", name));
        }
        file.add(length);
    }
}

// ---- files -----------------------------------------------------------------------------------------------------------

std::string format_of(const source& from)
{
    if (!from.format.empty())
        return from.format;
    if (from.path.ends_with(".csv") || !from.columns.empty())
        return "csv";
    if (from.path.ends_with(".jsonl") || from.path.ends_with(".ndjson") || !from.fields.empty())
        return "jsonl";
    return "numbers";
}

void read_stream(reading& file)
{
    const std::string format = format_of(file.from());
    if (format != "csv" && !file.from().columns.empty())
        file.refuse("--column is for csv, this is read as " + format);
    if (format != "jsonl" && !file.from().fields.empty())
        file.refuse("--field is for jsonl, this is read as " + format);
    if (format == "jsonl")
        read_json_lines(file);
    else if (format == "numbers")
        read_numbers(file);
    else
        read_csv(file);
}

void lay_out(const batten::plan::histogram& counts, std::vector<std::uint32_t>& lengths)
{
    if (counts.sequences() > most_laid_out)
        return;
    lengths.reserve(static_cast<std::size_t>(counts.sequences()));
    for (const batten::plan::histogram::bin& b : counts.bins())
        lengths.insert(lengths.end(), static_cast<std::size_t>(b.count), static_cast<std::uint32_t>(b.length));
}

}  // namespace

measured read_lengths(const source& from, progress& shown)
{
    const bool is_piped = from.path == "-";
    const std::string file = is_piped ? "standard input" : from.path;
    std::ifstream opened;
    if (!is_piped) {
        if (!std::filesystem::exists(from.path))
            refuse(file + ": no such file");
        if (std::filesystem::is_directory(from.path))
            refuse(file + ": a directory; name a file in it");
        opened.open(from.path, std::ios::binary);
    }
    std::istream& in = is_piped ? std::cin : opened;
    if (!in)
        refuse(file + ": cannot be read");
    reading all(from, file, in, shown);
    if (in.peek() == std::istream::traits_type::eof())
        all.refuse("the file is empty");
    read_stream(all);
    if (in.bad())
        all.refuse("cannot be read to its end");
    if (all.lengths.empty() && all.bins.empty())
        all.refuse("there are no lengths in it");

    measured found{.name = is_piped ? file : std::filesystem::path(from.path).filename().string()};
    const std::vector<std::string>& parts = from.columns.empty() ? from.fields : from.columns;
    if (!parts.empty())
        found.name += ", " + joined(parts, " + ");
    found.in_order = all.bins.empty();
    if (found.in_order) {
        found.histogram = batten::plan::histogram(all.lengths);
        found.lengths = std::move(all.lengths);
    } else {
        auto counts = batten::plan::histogram::try_from_bins(std::move(all.bins));
        if (!counts)
            all.refuse("its tokens add up to more than 64 bits hold");
        found.histogram = *std::move(counts);
        lay_out(found.histogram, found.lengths);
    }
    if (found.histogram.tokens() == 0)
        all.refuse("every sequence in it is empty");
    return found;
}

}  // namespace padding_report
