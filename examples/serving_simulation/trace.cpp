// SPDX-License-Identifier: MIT
#include "trace.hpp"

#include "words.hpp"

#include "../csv.hpp"

#include <date/date.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>

namespace serving_simulation {

namespace {

constexpr std::uint64_t most_tokens = std::uint64_t{1} << 24U;  // of a prompt, and of an answer
constexpr nanoseconds second = 1'000'000'000;
constexpr nanoseconds last_time = nanoseconds{1} << 62U;

// ---- text ------------------------------------------------------------------------------------------------------------

// Small letters without what separates words: ContextTokens and context_tokens are the same.
std::string plain(std::string_view name)
{
    std::string letters;
    for (const char c : name)
        if (c >= 'A' && c <= 'Z')
            letters += static_cast<char>(c - 'A' + 'a');
        else if (c != '_' && c != ' ' && c != '-')
            letters += c;
    return letters;
}

// A whole number at the start of `text`, which it takes away; nothing where there is none, or it is more than `most`.
std::optional<std::uint64_t> take_number(std::string_view& text, std::uint64_t most)
{
    std::uint64_t number = 0;
    const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || number > most)
        return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    return number;
}

// ---- times -----------------------------------------------------------------------------------------------------------

// 12.5, in units; digits beyond the nanosecond are dropped.
std::optional<nanoseconds> number_as_time(std::string_view text, nanoseconds unit)
{
    const auto whole = take_number(text, static_cast<std::uint64_t>(last_time / unit) - 1);
    if (!whole)
        return std::nullopt;
    nanoseconds time = static_cast<nanoseconds>(*whole) * unit;
    if (text.starts_with('.'))
        for (text.remove_prefix(1); !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1)) {
            unit /= 10;
            time += unit * (text.front() - '0');
        }
    return text.empty() ? std::optional(time) : std::nullopt;
}

// 2023-11-16 18:15:46.6805900, with a T between or a time zone (Z, +01:00) behind as well.
std::optional<nanoseconds> date_as_time(std::string text)
{
    if (text < "1970" || text >= "2200")  // what nanoseconds in 64 bits reach
        return std::nullopt;
    if (text.ends_with('Z'))
        text.replace(text.size() - 1, 1, "+00:00");
    const bool has_zone = text.find_first_of("+-", std::string_view("2023-1-1").size()) != std::string::npos;
    for (std::string format : {"%F%n%T", "%FT%T"}) {
        std::istringstream in(text);
        date::sys_time<std::chrono::nanoseconds> time;
        std::string zone;
        std::chrono::minutes ahead{0};
        // Not date::parse: in some versions it cannot tell its from_stream from the one of std::chrono that g++ 14 has.
        date::from_stream(in, format.append(has_zone ? "%Ez" : "").c_str(), time, &zone, &ahead);
        if (in && in.peek() == std::istream::traits_type::eof() && std::chrono::abs(ahead) <= std::chrono::hours(14))
            return time.time_since_epoch().count();
    }
    return std::nullopt;
}

// ---- what is made up -------------------------------------------------------------------------------------------------

// Uniform in (0, 1], a function of seed and number (splitmix64).
double drawn(std::uint64_t seed, std::uint64_t number)
{
    std::uint64_t bits = seed * 0xD1342543DE82EF95U + (number + 1) * 0x9E3779B97F4A7C15U;
    bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27U)) * 0x94D049BB133111EBU;
    return static_cast<double>(((bits ^ (bits >> 31U)) >> 11U) + 1) * 0x1.0p-53;
}

// Log-normal, as lengths of chats are about. Uses numbers 2 n and 2 n + 1 of the seed.
std::size_t drawn_length(std::uint64_t seed, std::uint64_t n, double median, double spread, double most)
{
    const double radius = std::sqrt(-2 * std::log(drawn(seed, 2 * n)));
    const double normal = radius * std::cos(2 * std::numbers::pi * drawn(seed, 2 * n + 1));
    return static_cast<std::size_t>(std::clamp(std::round(median * std::exp(spread * normal)), 1.0, most));
}

// A Poisson process.
void make_up_arrivals(std::vector<request>& requests, const source& from)
{
    double now = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        requests[i].arrival = static_cast<nanoseconds>(std::llround(now * 1e9));
        now -= std::log(drawn(from.seed, i)) / from.rate;
    }
}

std::string made_up_arrivals(const source& from)
{
    return "arrivals are synthetic: at random, " + fixed_point(from.rate, 2) + " a second, seed " + std::to_string(from.seed);
}

trace make_up(const source& from)
{
    trace made{.name = "synthetic requests"};
    made.requests.resize(from.count);
    for (std::size_t i = 0; i < from.count; ++i) {
        made.requests[i].prompt = drawn_length(from.seed + 1, i, 1000, 0.9, 16000);
        made.requests[i].generated = drawn_length(from.seed + 2, i, 130, 0.9, 1000);
    }
    make_up_arrivals(made.requests, from);
    made.made_up = (from.path.empty() ? "No file was given" : from.path + ": no such file") +
                   ", so lengths are synthetic (log-normal, medians of 1,000 and 130 tokens), and " + made_up_arrivals(from) +
                   ".";
    return made;
}

// ---- what is read ----------------------------------------------------------------------------------------------------

class reading {
public:
    explicit reading(const source& from) : from_(from), file_(from.path, std::ios::binary), csv_(file_, from.path) {}

    trace read()
    {
        if (std::filesystem::is_directory(from_.path))
            refuse(from_.path + ": a directory; name a file in it");
        if (!file_)
            refuse(from_.path + ": cannot be read");
        trace found{.name = std::filesystem::path(from_.path).filename().string()};
        if (!csv_.next())
            refuse(from_.path + ": the file is empty");
        read_header();
        while ((from_.first == 0 || found.requests.size() < from_.first) && csv_.next())
            found.requests.push_back(next_request());
        if (file_.bad())
            refuse(from_.path + ": cannot be read to its end");
        if (found.requests.empty())
            refuse(from_.path + ": there are no requests in it");
        if (arrival_) {
            std::stable_sort(found.requests.begin(), found.requests.end(),
                             [](const request& a, const request& b) { return a.arrival < b.arrival; });
            const nanoseconds begin = found.requests.front().arrival;
            for (request& r : found.requests)
                r.arrival -= begin;
        } else {
            make_up_arrivals(found.requests, from_);
            found.made_up = "There is no column of arrivals: " + made_up_arrivals(from_) + ".";
        }
        return found;
    }

private:
    [[noreturn]] void refuse_field(std::size_t column, const std::string& reason) const
    {
        csv_.refuse("column " + in_quotes(names_[column]) + ": " + reason);
    }

    void read_header()
    {
        names_ = csv_.fields();
        arrival_ = column(from_.arrival, {"timestamp", "timestampms", "timestampus", "timestampns", "arrival", "arrivaltime",
                                          "arrivedat", "arrivalms", "time", "starttime"});
        const auto prompt = column(from_.prompt, {"contexttokens", "inputlength", "prompttokens", "prompt", "inputtokens",
                                                  "numprefilltokens", "requesttokens"});
        const auto generated = column(from_.generated, {"generatedtokens", "outputlength", "completiontokens", "generated",
                                                        "outputtokens", "numdecodetokens", "responsetokens", "completion"});
        if (!prompt || !generated)
            csv_.refuse(std::string("no column looks like the number of ") + (prompt ? "generated" : "prompt") +
                        " tokens; name it with " + (prompt ? "--generated" : "--prompt") + ": " + all_names());
        prompt_ = *prompt;
        generated_ = *generated;
        if (arrival_)
            unit_ = unit_of(names_[*arrival_]);
    }

    // The column of that name; where none is asked for, the first with one of the known names.
    std::optional<std::size_t> column(const std::string& name, std::initializer_list<std::string_view> known) const
    {
        for (std::size_t c = 0; c < names_.size(); ++c) {
            const std::string letters = plain(names_[c]);
            if (name.empty() ? std::find(known.begin(), known.end(), letters) != known.end() : names_[c] == name)
                return c;
        }
        if (!name.empty())
            csv_.refuse("there is no column " + in_quotes(name) + ", there are: " + all_names());
        return std::nullopt;
    }
    std::string all_names() const { return joined(names_, ", ", [](const std::string& name) { return in_quotes(name); }); }

    nanoseconds unit_of(std::string_view name) const
    {
        const std::string ending = from_.unit.empty() ? std::string(name.substr(name.find_last_of("_ ") + 1)) : from_.unit;
        return ending == "ms" ? 1'000'000 : ending == "us" ? 1000 : ending == "ns" ? 1 : second;
    }

    request next_request() const
    {
        const std::vector<std::string>& fields = csv_.fields();
        if (fields.size() != names_.size())
            csv_.refuse(std::to_string(fields.size()) + (fields.size() == 1 ? " field" : " fields") + " under a header of " +
                        std::to_string(names_.size()));
        return {.arrival = arrival_ ? time(fields[*arrival_]) : 0,
                .prompt = tokens(fields[prompt_], prompt_),
                .generated = tokens(fields[generated_], generated_)};
    }
    nanoseconds time(const std::string& text) const
    {
        const auto number = number_as_time(text, unit_);
        const auto found = number ? number : date_as_time(text);
        if (!found)
            refuse_field(*arrival_, in_quotes(text) + " is neither a number nor a time such as 2023-11-16 18:15:46.68");
        return *found;
    }
    std::size_t tokens(std::string_view text, std::size_t column) const
    {
        std::string_view rest = text;
        const auto number = take_number(rest, most_tokens);
        if (!number || !rest.empty() || *number == 0)
            refuse_field(column, in_quotes(text) + " is not a whole number of 1 to " + grouped(most_tokens));
        return static_cast<std::size_t>(*number);
    }

    const source& from_;
    std::ifstream file_;
    csv_reader csv_;
    std::vector<std::string> names_{};
    std::optional<std::size_t> arrival_{};
    std::size_t prompt_ = 0;
    std::size_t generated_ = 0;
    nanoseconds unit_ = second;
};

}  // namespace

trace read_trace(const source& from)
{
    if (from.path.empty() || !std::filesystem::exists(from.path))
        return make_up(from);
    return reading(from).read();
}

}  // namespace serving_simulation
