// SPDX-License-Identifier: MIT
// Replays the requests of a server through three ways to batch, and says what each comes to: static batches, dynamic batches in
// buckets, and iteration-level steps with a paged cache.
//
//   serving_simulation [FILE.csv] [--svg FILE.svg] [--speed TIMES] ...      --help says what else
//
//   trace.cpp       arrivals and lengths, from a CSV file or made up
//   simulation.cpp  the three, on batten/serve, and the model of what a step costs
//   chart.cpp       the picture
#include "chart.hpp"
#include "simulation.hpp"
#include "trace.hpp"
#include "words.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace serving_simulation;

// ---- what is compared ------------------------------------------------------------------------------------------------

double rate_of(const std::vector<request>& requests)
{
    const double seconds = static_cast<double>(requests.back().arrival) / 1e9;
    return seconds == 0 ? 0 : static_cast<double>(requests.size()) / seconds;
}

constexpr nanoseconds patience = 1'000'000'000;  // 1 s

// Of the three, in their order.
struct findings {
    std::vector<outcome> at_pace{};    // as they come
    std::vector<outcome> saturated{};  // all at once
    std::vector<double> sustained_rates{};  // none, where they come at once anyway
};

findings find(const std::vector<request>& requests, const settings& chosen)
{
    findings found{compare(requests, chosen), compare(at_once(requests), chosen), {}};
    if (const double rate = rate_of(requests); rate != 0)
        for (const double speed : sustained(requests, chosen, patience))
            found.sustained_rates.push_back(speed * rate);
    return found;
}

template <class Member>
std::string spread(const std::vector<request>& requests, Member member)
{
    std::vector<std::size_t> values;
    for (const request& r : requests)
        values.push_back(r.*member);
    std::sort(values.begin(), values.end());
    const auto at = [&](std::size_t p) { return grouped(values[(values.size() * p + 99) / 100 - 1]); };
    return "median " + at(50) + ", 95th percentile " + at(95) + ", longest " + grouped(values.back());
}

// How many come at the same time, at the most.
std::size_t most_together(const std::vector<request>& requests)
{
    std::size_t most = 0;
    std::size_t first = 0;
    for (std::size_t r = 0; r < requests.size(); ++r) {
        if (requests[r].arrival != requests[first].arrival)
            first = r;
        most = std::max(most, r - first + 1);
    }
    return most;
}

void print_requests(const trace& of, double speed)
{
    if (!of.made_up.empty())
        print_wrapped(std::cout, of.made_up);
    const nanoseconds span = of.requests.back().arrival;
    std::cout << of.name << ": " << counted(of.requests.size(), "request");
    if (span != 0)
        std::cout << " in " << duration(span) << ", " << fixed_point(rate_of(of.requests), 2) << " a second";
    if (const std::size_t together = most_together(of.requests); together != 1)
        std::cout << ", up to " << grouped(together) << " at one time";
    if (speed != 1)
        std::cout << " (" << short_decimal(speed) << " times the trace's own pace)";
    std::cout << "\n  prompts    " << spread(of.requests, &request::prompt) << "\n  generated  "
              << spread(of.requests, &request::generated) << "\n\n";
}

void print_settings(const settings& chosen, const std::vector<request>& requests)
{
    const cost_model& cost = chosen.cost;
    print_wrapped(std::cout, "Time of a step: " + short_decimal(cost.step_us) + " us + " + short_decimal(cost.token_us) +
                  " us a token computed, pads too, + " + short_decimal(cost.kv_us) + " us a KV entry that a row reads + " +
                  short_decimal(cost.pair_us) + " us a pair of a token and one it attends to.");
    const std::string_view origin = cost == cost_model{} ? "arithmetic for a model of 8 billion parameters in 16 bits, on one "
                                                           "device with 80 GB at 3 TB/s and 400 Tflop/s."
                                                         : "those of the command line.";
    print_wrapped(std::cout, std::string("These constants are assumptions, not measurements: ").append(origin));
    print_wrapped(std::cout, "Not modelled: computing while memory is read, kernels that suit some shapes better, the CPU's "
                  "work, prefixes that requests share, several devices, requests that are refused or given up.");
    std::cout << '\n';
    print_wrapped(std::cout, "KV cache: " + grouped(chosen.kv_tokens) + " tokens. Each row of a padded batch reserves " +
                  grouped(chosen.context) + ", enough for the longest prompt and the longest answer: room for " +
                  counted(chosen.kv_tokens / chosen.context, "row") + ".");
    print_wrapped(std::cout, "static: " + counted(contiguous_rows(chosen), "row") +
                  " in order of arrival, fewer once the first has waited " + duration(chosen.max_queue_delay) +
                  "; as wide as the longest prompt, until the longest answer is done.");
    const auto edges = bucket_edges(chosen, requests);
    print_wrapped(std::cout, "dynamic, buckets: rows of one bucket, at most " + grouped(std::max(chosen.cells, edges.back())) +
                  " cells and what the cache holds, or once the first has waited " + duration(chosen.max_queue_delay) +
                  "; as wide as the bucket's edge (" + joined(edges, ", ", [](std::size_t e) { return grouped(e); }) +
                  ": those that pad least on these very prompts), until the longest answer is done.");
    print_wrapped(std::cout, "iteration-level: at each step one token of every live request (" + grouped(chosen.live) +
                  " at the most), then prompts in order of arrival, in chunks, up to " + grouped(chosen.budget) +
                  " tokens; KV blocks of " + grouped(chosen.block) +
                  ". Steps without prompts are padded to the graph sizes of vLLM.");
    print_wrapped(std::cout, "In all three a token is out at the end of the step that computes it, though its batch goes on.");
    std::cout << '\n';
}

// ---- the table -------------------------------------------------------------------------------------------------------

template <class Values, class ToText>
void print_line(std::string_view name, const Values& values, ToText to_text)
{
    std::cout << std::left << std::setw(60) << name << std::right;
    for (const auto& value : values)
        std::cout << std::setw(18) << to_text(value);
    std::cout << '\n';
}

std::string to_rate(double rate)
{
    return rate == 0 ? "none" : std::isinf(rate) ? "any" : fixed_point(rate, 2);
}

void print_table(const findings& of)
{
    const auto& [at_pace, saturated, sustained_rates] = of;
    print_line("", at_pace, [](const outcome& o) { return o.name; });
    print_line("padded share, % of tokens computed", at_pace, [](const outcome& o) { return percent(o.padding()); });
    print_line("steps", at_pace, [](const outcome& o) { return grouped(o.steps); });
    print_line("rows a step", at_pace, [](const outcome& o) { return amount(o.rows_a_step()); });
    print_line("busy, % of the time", at_pace, [](const outcome& o) { return percent(o.busy_share()); });
    print_line("generated tokens a second", at_pace, [](const outcome& o) { return amount(o.tokens_a_second()); });
    print_line("  all requests at once", saturated, [](const outcome& o) { return amount(o.tokens_a_second()); });
    if (!sustained_rates.empty())
        print_line("requests a second, so that p50 of the wait is at most 1 s", sustained_rates, to_rate);
    for (const double p : {50.0, 99.0})
        print_line("wait, arrival to first token, p" + fixed_point(p, 0), at_pace,
                      [p](const outcome& o) { return duration(percentile(o.waits, p)); });
    for (const double p : {50.0, 99.0})
        print_line("latency, arrival to last token, p" + fixed_point(p, 0), at_pace,
                      [p](const outcome& o) { return duration(percentile(o.latencies, p)); });
    print_line("KV cache wasted, % of what is reserved", at_pace, [](const outcome& o) { return percent(o.kv_wasted()); });
    print_line("  all requests at once", saturated, [](const outcome& o) { return percent(o.kv_wasted()); });
    print_line("  if each row reserved only what its batch comes to", at_pace,
               [](const outcome& o) { return percent(o.kv_wasted_at_least()); });
    print_line("KV cache wasted, tokens a request that holds some", at_pace,
                  [](const outcome& o) { return amount(o.wasted_a_reservation()); });
    print_line("tokens computed again for want of blocks", at_pace, [](const outcome& o) { return grouped(o.recomputed); });
    print_line("  all requests at once", saturated, [](const outcome& o) { return grouped(o.recomputed); });
    std::cout << '\n';
}

// ---- what it shows ---------------------------------------------------------------------------------------------------

constexpr double clearly = 2;  // times

double throughput_gain(const findings& of)
{
    return of.saturated.back().tokens_a_second() / of.saturated.front().tokens_a_second();
}
double latency_gain(const findings& of)
{
    return static_cast<double>(percentile(of.at_pace.front().latencies, 50)) /
           static_cast<double>(std::max<nanoseconds>(percentile(of.at_pace.back().latencies, 50), 1));
}

// Whether what is published comes out: iteration-level steps far ahead of static ones, in throughput or in latency under load.
void print_batching(const findings& of)
{
    const outcome& fixed = of.at_pace.front();
    const auto is_overloaded = [](const outcome& at_pace, const outcome& saturated) {
        return at_pace.busy_share() > 0.95 && at_pace.tokens_a_second() > 0.95 * saturated.tokens_a_second();
    };
    const bool is_idle = fixed.busy_share() < 0.5;
    std::string figures = fixed_point(throughput_gain(of), 2) + " times the tokens a second with all requests at once";
    if (const auto& rates = of.sustained_rates; !rates.empty() && rates.front() != 0 && !std::isinf(rates.back()))
        figures += ", " + amount(rates.back() / rates.front()) + " times the load at a median wait of 1 s";
    figures += "; as they come, the median latency of static batches is " + amount(latency_gain(of)) + " times as long";
    const bool comes_at_once = of.sustained_rates.empty();
    if (!comes_at_once && is_overloaded(of.at_pace.back(), of.saturated.back()))
        figures += " (neither keeps up with what comes, and so both grow as long as requests come)";
    else if (!comes_at_once && is_overloaded(fixed, of.saturated.front()))
        figures += " (they do not keep up with what comes, and so it grows as long as requests come)";
    if (throughput_gain(of) >= clearly || (latency_gain(of) >= clearly && !is_idle))
        return print_wrapped(std::cout, "Iteration-level steps are far ahead of static batches: " + figures + ".");
    std::string reason;
    if (is_idle)
        reason += " The load is low: static batches keep the server busy " + percent(fixed.busy_share()) + " % of the time.";
    if (of.saturated.front().padding() < 0.5)
        reason += " Little is padding: " + percent(of.saturated.front().padding()) +
                  " % of what static batches compute, with all requests at once.";
    if (of.saturated.back().rows_a_step() < clearly * of.saturated.front().rows_a_step())
        reason += " Steps are hardly larger: " + amount(of.saturated.back().rows_a_step()) + " rows against " +
                  amount(of.saturated.front().rows_a_step()) + ", with all requests at once.";
    if (reason.empty())
        reason = " Under these constants a step costs about as much as its tokens do.";
    print_wrapped(std::cout, "Iteration-level steps are not far ahead of static batches here: " + figures + "." + reason);
}

void print_paging(const findings& of, std::size_t block)
{
    const outcome& paged = of.at_pace.back();
    const std::size_t most = std::max(paged.most_wasted, of.saturated.back().most_wasted);
    print_wrapped(std::cout, std::string("Paged waste ") + (most < block ? "stays" : "does not stay") +
                  " below a block a request: at most " + grouped(most) + " of " + grouped(block) + " tokens, " +
                  amount(paged.wasted_a_reservation()) +
                  " on average; contiguous rows waste " + amount(of.at_pace.front().wasted_a_reservation()) + ".");
}

// Half octaves around the pace of the trace; none, where all come at once.
std::vector<load_point> loads(const std::vector<request>& requests, const settings& chosen)
{
    std::vector<load_point> curve;
    if (rate_of(requests) == 0)
        return curve;
    for (int half_octave = -6; half_octave <= 6; ++half_octave) {
        const double speed = std::pow(2.0, half_octave / 2.0);
        curve.push_back({speed, speed * rate_of(requests), compare(faster(requests, speed), chosen)});
    }
    return curve;
}

// - is standard output.
void write_chart(const std::string& path, const std::string& text)
{
    if (path == "-") {
        std::cout << '\n' << text;
        return;
    }
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
    double speed = 1;
    double max_wait_ms = 1e-6 * static_cast<double>(chosen.max_queue_delay);
    std::string svg;
    std::string title;
    const auto count = CLI::Range(std::size_t{1}, std::size_t{1} << 24U);
    const auto cost = CLI::Range(0.0, 1e6);
    const auto positive = CLI::Range(1e-6, 1e6);
    CLI::App app("Replays requests through static batches, dynamic batches in buckets, and iteration-level steps.",
                 "serving_simulation");
    app.add_option("FILE", from.path, "CSV: arrival, prompt and generated tokens; where there is none, requests are made up");
    app.add_option("--arrival", from.arrival, "column of arrivals: numbers, or dates and times; default: by its name");
    app.add_option("--prompt", from.prompt, "column of prompt tokens; default: by its name");
    app.add_option("--generated", from.generated, "column of generated tokens; default: by its name");
    app.add_option("--unit", from.unit, "of arrivals that are numbers; default: by the column's name, else s")
        ->check(CLI::IsMember({"s", "ms", "us", "ns"}));
    app.add_option("--first", from.first, "only so many requests of FILE")->check(count);
    app.add_option("--speed", speed, "times as fast as the trace's own pace")->check(positive)->capture_default_str();
    app.add_option("--count", from.count, "requests that are made up")->check(count)->capture_default_str();
    app.add_option("--rate", from.rate, "a second, of arrivals that are made up")->check(positive)->capture_default_str();
    app.add_option("--seed", from.seed, "of what is made up")->capture_default_str();
    app.add_option("--step-us", chosen.cost.step_us, "microseconds that each step takes")->check(cost)->capture_default_str();
    app.add_option("--token-us", chosen.cost.token_us, "a token computed, pads too")->check(cost)->capture_default_str();
    app.add_option("--kv-us", chosen.cost.kv_us, "a KV entry that a row reads")->check(cost)->capture_default_str();
    app.add_option("--pair-us", chosen.cost.pair_us, "a token and one it attends to")->check(cost)->capture_default_str();
    app.add_option("--kv-tokens", chosen.kv_tokens, "tokens that the KV cache holds")->check(count)->capture_default_str();
    app.add_option("--context", chosen.context,
                   "tokens that a row of a padded batch reserves; default: the longest prompt and the longest answer")
        ->check(count);
    app.add_option("--rows", chosen.rows, "of a static batch")->check(count)->capture_default_str();
    app.add_option("--cells", chosen.cells, "of a batch of a bucket")->check(count)->capture_default_str();
    app.add_option("--buckets", chosen.buckets, "at the most")
        ->check(CLI::Range(std::size_t{1}, std::size_t{64}))
        ->capture_default_str();
    app.add_option("--max-wait-ms", max_wait_ms, "that a request waits for others")->check(cost)->capture_default_str();
    app.add_option("--budget", chosen.budget, "tokens of an iteration-level step")->check(count)->capture_default_str();
    app.add_option("--live", chosen.live, "requests with a cache, at the most")
        ->check(CLI::Range(std::size_t{1}, std::size_t{4096}))
        ->capture_default_str();
    app.add_option("--block", chosen.block, "tokens of a KV block")->check(count)->capture_default_str();
    app.add_option("--svg", svg, "also draw the comparison, over a range of loads, to this file; - for standard output");
    app.add_option("--title", title, "of the picture; default: FILE");
    CLI11_PARSE(app, argc, argv);
    try {
        chosen.max_queue_delay = std::llround(1e6 * max_wait_ms);
        trace of = read_trace(from);
        of.requests = faster(std::move(of.requests), speed);
        chosen = fitted(chosen, of.requests);

        print_requests(of, speed);
        print_settings(chosen, of.requests);
        const findings found = find(of.requests, chosen);
        print_table(found);
        print_batching(found);
        print_paging(found, chosen.block);
        if (!svg.empty())
            write_chart(svg, chart(title.empty() ? "Three ways to batch: " + of.name : title, found.at_pace, found.saturated,
                                   loads(of.requests, chosen)));
        return 0;
    } catch (const std::exception& reason) {
        std::cerr << "serving_simulation: " << reason.what() << '\n';
        return 1;
    }
}
