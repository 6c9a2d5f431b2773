// SPDX-License-Identifier: MIT
// bench_report RESULTS JSON SVG: prints the tables of a run, and writes ratios.json and the chart.
// A ratio A / B is how many times as fast A is as B: the time of B over the time of A, for the same batches.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

struct timing {
    std::string section{}, workload{}, outputs{}, contender{};
    double ns = 0, p10 = 0, p90 = 0;  // of one pass over `batches` batches
    double bytes = 0, real = 0, cells = 0, batches = 0;

    double gigabytes_per_second() const { return bytes / ns; }
    std::string name() const { return section + "/" + workload + "/" + outputs + "/" + contender; }
};

struct run_results {
    std::vector<std::pair<std::string, std::string>> meta{};
    std::vector<timing> times{};
    std::vector<std::pair<std::string, std::string>> counts{};  // section/name

    // Empty: any.
    const timing* find(std::string_view section, std::string_view workload, std::string_view outputs,
                       std::string_view contender) const
    {
        for (const timing& t : times)
            if (t.section == section && t.workload == workload && (outputs.empty() || t.outputs == outputs) &&
                t.contender == contender)
                return &t;
        return nullptr;
    }
    // The fastest of those whose name begins so, and ends so.
    const timing* fastest(std::string_view section, std::string_view workload, std::string_view outputs,
                          std::string_view begins, std::string_view ends = "") const
    {
        const timing* best = nullptr;
        for (const timing& t : times) {
            const std::string& c = t.contender;
            if (t.section == section && t.workload == workload && t.outputs == outputs && c.rfind(begins, 0) == 0 &&
                c.size() >= ends.size() && c.compare(c.size() - ends.size(), ends.size(), ends) == 0 &&
                (best == nullptr || t.ns < best->ns))
                best = &t;
        }
        return best;
    }
    // In the order of their first line.
    std::vector<std::string> names(std::string_view section, std::string timing::*which, std::string_view outputs = "") const
    {
        std::vector<std::string> found;
        for (const timing& t : times)
            if (t.section == section && (outputs.empty() || t.outputs == outputs) &&
                std::find(found.begin(), found.end(), t.*which) == found.end())
                found.push_back(t.*which);
        return found;
    }
};

run_results read_results(const char* path)
{
    run_results all;
    std::ifstream in(path);
    if (!in) {
        std::fprintf(stderr, "bench_report: cannot read %s\n", path);
        std::exit(2);
    }
    for (std::string line; std::getline(in, line);) {
        std::vector<std::string> parts;
        std::istringstream cut(line);
        for (std::string part; std::getline(cut, part, '\t');)
            parts.push_back(part);
        if (parts.size() == 3 && parts[0] == "meta") {
            const auto same = [&](const auto& m) { return m.first == parts[1]; };
            if (std::find_if(all.meta.begin(), all.meta.end(), same) == all.meta.end())
                all.meta.emplace_back(parts[1], parts[2]);
        } else if (parts.size() == 12 && parts[0] == "time") {
            const auto number = [&](std::size_t i) { return std::stod(parts[i]); };
            all.times.push_back({parts[1], parts[2], parts[3], parts[4], number(5), number(6), number(7), number(8), number(9),
                                 number(10), number(11)});
        } else if (parts.size() == 4 && parts[0] == "count") {
            all.counts.emplace_back(parts[1] + "/" + parts[2], parts[3]);
        } else {
            std::fprintf(stderr, "bench_report: what is this line of %s? %s\n", path, line.c_str());
            std::exit(2);
        }
    }
    return all;
}

std::string number(double value, int decimals)
{
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", decimals, value);
    return text;
}

std::string in_percent(double part)
{
    return number(100 * part, 1) + " %";
}

// A ratio, and whether it is at least the goal; 0: there is none.
std::string with_goal(double ratio, double goal)
{
    const std::string text = number(ratio, 2);
    return goal == 0 ? text : text + (ratio >= goal ? "  (>= " : "  MISSED (>= ") + number(goal, 2) + ")";
}

class table {
public:
    explicit table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    void print(const std::string& title) const
    {
        if (rows_.size() < 2)
            return;
        std::printf("\n%s\n\n", title.c_str());
        std::vector<std::size_t> widths(rows_[0].size());
        for (const auto& row : rows_)
            for (std::size_t c = 0; c < row.size(); ++c)
                widths[c] = std::max(widths[c], row[c].size());
        for (std::size_t r = 0; r < rows_.size(); ++r) {
            for (std::size_t c = 0; c < rows_[r].size(); ++c)
                std::printf(c == 0 ? "| %-*s |" : " %*s |", static_cast<int>(widths[c]), rows_[r][c].c_str());
            std::printf("\n");
            if (r == 0) {
                for (std::size_t c = 0; c < widths.size(); ++c)
                    std::printf("%s%s%s", c == 0 ? "| " : " ", std::string(widths[c] - (c == 0 ? 0 : 1), '-').c_str(),
                                c == 0 ? " |" : ": |");
                std::printf("\n");
            }
        }
    }

private:
    std::vector<std::vector<std::string>> rows_;
};

constexpr std::string_view four = "4 x int64";
constexpr std::string_view two = "i32 + u8";
constexpr std::string_view batten_into = "Batten into, right, vectors";

// Name to ratio, in the order of the tables.
using ratio_list = std::vector<std::pair<std::string, double>>;

// ---- workloads -----------------------------------------------------------------------------------------------------------

void workloads(const run_results& all, ratio_list& ratios)
{
    for (const std::string& outputs : all.names("workloads", &timing::outputs)) {
        std::vector<std::string> header{"GB/s written, and share of the fastest store fill"};
        const auto names = all.names("workloads", &timing::workload, outputs);
        header.insert(header.end(), names.begin(), names.end());
        table lines(header);
        for (const std::string& contender : all.names("workloads", &timing::contender, outputs)) {
            std::vector<std::string> row{contender};
            for (const std::string& workload : names) {
                const timing* const t = all.find("workloads", workload, outputs, contender);
                const timing* const limit = all.fastest("workloads", workload, outputs, "store fill");
                if (t == nullptr || limit == nullptr) {
                    row.emplace_back("-");
                    continue;
                }
                row.push_back(number(t->gigabytes_per_second(), 1) + "  " + number(limit->ns / t->ns, 2));
                ratios.emplace_back(workload + "/" + outputs + "/" + contender + " / store fill", limit->ns / t->ns);
            }
            lines.add(std::move(row));
        }
        lines.print(outputs + ", one core, into reused memory where the name does not say otherwise");
    }
}

// ---- the figures that the project holds itself to --------------------------------------------------------------------------

struct figure {
    std::string_view name;
    // B32, B256, B256bkt, B1024, B8192bkt; 0: reported alone
    double goals[5];
};

constexpr std::string_view workload_names[5] = {"B32", "B256", "B256bkt", "B1024", "B8192bkt"};

template <class Ratio>
void figure_row(table& lines, const figure& of, Ratio ratio, ratio_list* ratios)
{
    std::vector<std::string> row{std::string(of.name)};
    bool any = false;
    for (std::size_t i = 0; i < 5; ++i) {
        const std::optional<double> found = ratio(workload_names[i]);
        if (!found) {
            row.emplace_back("-");
            continue;
        }
        any = true;
        if (ratios != nullptr)
            ratios->emplace_back(std::string(workload_names[i]) + "/" + std::string(of.name), *found);
        row.push_back(with_goal(*found, of.goals[i]));
    }
    if (any)
        lines.add(std::move(row));
}

void figures(const run_results& all, ratio_list& ratios)
{
    table lines({"ratio (goal)", "B32", "B256", "B256bkt", "B1024", "B8192bkt"});
    const auto over = [](const timing* fast, const timing* slow) -> std::optional<double> {
        if (fast == nullptr || slow == nullptr)
            return std::nullopt;
        return slow->ns / fast->ns;
    };
    const auto to_fill = [&](std::string_view outputs) {
        return [&, outputs](std::string_view w) {
            return over(all.find("workloads", w, outputs, batten_into), all.fastest("workloads", w, outputs, "store fill"));
        };
    };
    figure_row(lines, {"Batten / store fill, 4 x int64", {0.90, 0.90, 0.85, 0.95, 0.92}}, to_fill(four), &ratios);
    figure_row(lines, {"Batten / store fill, i32 + u8", {0.80, 0.80, 0.75, 0, 0}}, to_fill(two), &ratios);
    for (const std::string_view outputs : {four, two})
        for (const std::string input : {"vectors", "flat"}) {
            const std::string name = "left / right, " + std::string(outputs) + ", " + input;
            figure_row(
                lines, {name, {0.90, 0.90, 0.90, 0.90, 0.90}},
                [&](std::string_view w) {
                    return over(all.find("workloads", w, outputs, "Batten into, left, " + input),
                                all.find("workloads", w, outputs, "Batten into, right, " + input));
                },
                &ratios);
        }
    figure_row(
        lines, {"Batten, non-temporal stores / ordinary, 4 x int64", {}},
        [&](std::string_view w) {
            return over(all.find("workloads", w, four, "Batten into, non-temporal stores, right, vectors"),
                        all.find("workloads", w, four, batten_into));
        },
        &ratios);
    figure_row(
        lines, {"Batten / copy + fill loop, 4 x int64", {}},
        [&](std::string_view w) {
            return over(all.find("workloads", w, four, batten_into), all.find("workloads", w, four, "copy + fill loop, right"));
        },
        &ratios);
    figure_row(
        lines, {"Batten / resize + push_back + flatten loop, 4 x int64", {}},
        [&](std::string_view w) {
            return over(all.find("workloads", w, four, batten_into),
                        all.find("workloads", w, four, "resize + push_back + flatten loop"));
        },
        &ratios);
    // Against the fastest way to say it, in the same process.
    const auto to_torch = [&](std::string_view malloc_kind) {
        return [&, malloc_kind](std::string_view w) {
            return over(all.find("torch", w, four, "Batten into"),
                        all.fastest("torch", w, four, "libtorch, full set", malloc_kind));
        };
    };
    figure_row(lines, {"Batten / libtorch full set, malloc that keeps its memory", {10, 8, 20, 3.5, 0}},
               to_torch(", memory kept"), &ratios);
    figure_row(lines, {"Batten / libtorch full set, malloc as it is", {}}, to_torch(", malloc"), &ratios);
    figure_row(
        lines, {"store fill / libtorch full set, memory kept: the most there is", {}},
        [&](std::string_view w) {
            return over(all.fastest("torch", w, four, "store fill"),
                        all.fastest("torch", w, four, "libtorch, full set", ", memory kept"));
        },
        &ratios);
    for (const std::string& contender : all.names("python", &timing::contender)) {
        const bool asked = contender.rfind("DataCollator", 0) == 0 || contender.rfind("tokenizers", 0) == 0;
        const double goal = asked ? 50 : 0;
        figure_row(
            lines, {"Batten (4 x int64) / " + contender, {goal, goal, goal, 0, 0}},
            [&](std::string_view w) {
                return over(all.find("workloads", w, four, batten_into), all.find("python", w, "", contender));
            },
            &ratios);
    }
    lines.print("Figures");
}

// ---- the other sections ----------------------------------------------------------------------------------------------------

void inference(const run_results& all, ratio_list& ratios, ratio_list& differences)
{
    table lines({"ns per call", "copy + fill loop", "Batten into", "difference", "ratio", "allowed", "into, flat",
                 "shape, then into", "batch passed back"});
    for (const std::string& workload : all.names("inference", &timing::workload)) {
        const auto per_call = [&](std::string_view contender) {
            const timing* const t = all.find("inference", workload, "", contender);
            return t == nullptr ? 0.0 : t->ns / t->batches;
        };
        const double hand = per_call("copy + fill loop");
        const double ours = per_call("Batten into");
        const bool small = workload == "B=1" || workload == "B=2" || workload == "B=4";
        const double allowed = small ? hand + 40 : hand * 1.3;
        lines.add({workload, number(hand, 0), number(ours, 0), number(ours - hand, 0), number(ours / hand, 2),
                   std::string(small ? "+ 40 ns" : "x 1.3") + (ours <= allowed ? "" : " MISSED"),
                   number(per_call("Batten into, flat"), 0), number(per_call("Batten shape, then into"), 0),
                   number(per_call("Batten, batch passed back"), 0)});
        ratios.emplace_back("inference/" + workload + "/Batten into / copy + fill loop", hand / ours);
        differences.emplace_back("inference/" + workload + "/Batten into - copy + fill loop", ours - hand);
    }
    lines.print("Inference: 3 x int64, left, rows of 8 to 64 tokens, validation included");
}

void waste(const run_results& all, ratio_list& ratios)
{
    table lines({"batches of 32", "strategy", "padded cells", "waste", "MB written", "GB/s", "batches/s", "real tokens/s"});
    for (const std::string& workload : all.names("waste", &timing::workload))
        for (const std::string& contender : all.names("waste", &timing::contender)) {
            const timing* const t = all.find("waste", workload, "", contender);
            const timing* const dynamic = all.find("waste", workload, "", "dynamic");
            if (t == nullptr || dynamic == nullptr)
                continue;
            lines.add({workload, contender, number(t->cells - t->real, 0), in_percent(1 - t->real / t->cells),
                       number(t->bytes / 1e6, 1), number(t->gigabytes_per_second(), 1), number(t->batches / t->ns * 1e9, 0),
                       number(t->real / t->ns * 1e3, 1) + " M"});
            ratios.emplace_back("waste/" + workload + "/" + contender + ", padded share of cells", 1 - t->real / t->cells);
            if (contender != "dynamic")
                ratios.emplace_back("waste/" + workload + "/real tokens per second, " + contender + " / dynamic",
                                    dynamic->ns / t->ns);
        }
    lines.print("What padding costs, 4 x int64. Fixed: to the list's longest. Bucketed: windows of 256 rows into the 8 "
                "buckets that pad least");
}

void workers(const run_results& all, ratio_list& ratios)
{
    table lines({"two workers / one", "Batten, GB/s", "ratio", "store fill, GB/s", "ratio"});
    for (const std::string& workload : all.names("workers", &timing::workload)) {
        const timing* const one = all.find("workers", workload, four, "Batten into, one worker");
        const timing* const both = all.find("workers", workload, four, "Batten into, two workers");
        const timing* const fill_one = all.fastest("workers", workload, four, "store fill", "one worker");
        const timing* const fill_both = all.fastest("workers", workload, four, "store fill", "two workers");
        if (one == nullptr || both == nullptr || fill_one == nullptr || fill_both == nullptr)
            continue;
        lines.add({workload, number(one->gigabytes_per_second(), 1) + " -> " + number(both->gigabytes_per_second(), 1),
                   number(one->ns / both->ns, 2),
                   number(fill_one->gigabytes_per_second(), 1) + " -> " + number(fill_both->gigabytes_per_second(), 1),
                   number(fill_one->ns / fill_both->ns, 2)});
        ratios.emplace_back("workers/" + workload + "/Batten, two / one", one->ns / both->ns);
        ratios.emplace_back("workers/" + workload + "/store fill, two / one", fill_one->ns / fill_both->ns);
    }
    lines.print("Two workers, 4 x int64, wall-clock time");
}

void peers(const run_results& all)
{
    for (const std::string section : {"torch", "python"}) {
        std::vector<std::string> header{"us per batch", "writes"};
        const auto names = all.names(section, &timing::workload);
        header.insert(header.end(), names.begin(), names.end());
        table lines(header);
        for (const std::string& contender : all.names(section, &timing::contender)) {
            std::vector<std::string> row{contender, ""};
            for (const std::string& workload : names) {
                const timing* const t = all.find(section, workload, "", contender);
                row.push_back(t == nullptr ? "-" : number(t->ns / t->batches / 1000, 1));
                if (t != nullptr)
                    row[1] = t->outputs;
            }
            lines.add(std::move(row));
        }
        lines.print(section == "torch" ? "libtorch in C++, one thread, and Batten in the same process"
                                       : "From Python, one thread, the same batches");
    }
}

// ---- one contender against another, the rest of the figures -----------------------------------------------------------------

struct comparison {
    std::string_view title;
    std::string_view section;  // of both, unless slow_section says otherwise
    std::string_view outputs;  // empty: any
    std::string_view fast;     // how the names of the two begin; the fastest of those that do
    std::string_view slow;
    double goal = 0;           // slow / fast, at the least; 0: reported alone
    std::string_view slow_section{};
    std::string_view goal_for{};  // how the names of the workloads begin that the goal is for; empty: all
};

constexpr comparison comparisons[] = {
    {"stable order by length / std::sort by key", "plan", "", "Batten stable_order", "std::sort by key", 20},
    {"plan, budget on sorted lengths / std::sort", "plan", "", "Batten plan, budget, sorted", "std::sort plan, budget, sorted",
     10},
    {"plan, budget on shuffled windows / std::sort", "plan", "", "Batten plan, budget, windows",
     "std::sort plan, budget, windows", 3},
    {"float mask / store fill", "masks", "float", "Batten intervals, then dense", "store fill", 0.85},
    {"bfloat16 mask / store fill", "masks", "bfloat16", "Batten intervals, then dense", "store fill"},
    {"float mask / torch", "masks", "float", "Batten intervals, then dense", "torch"},
    {"decode step / collating again", "decode", "", "Batten decode step, mask kept", "Batten collate again, into", 50},
    {"unpad of hidden rows / memcpy", "hidden", "unpad", "Batten unpad", "memcpy of as many bytes", 0.8},
    {"pad of hidden rows / memcpy", "hidden", "pad", "Batten pad", "memcpy of as many bytes", 0.8},
    {"unpad of hidden rows / torch index_select", "hidden", "unpad", "Batten unpad", "torch index_select"},
    {"pad of hidden rows / torch index_copy_", "hidden", "pad", "Batten pad", "torch zero_, index_copy_"},
    {"best fit on the histogram / first fit decreasing", "packing", "", "Batten best_fit", "first fit decreasing", 6},
    {"step of a server / loop by hand", "steps", "", "Batten step", "loop by hand", 0.83, {}, "decode"},  // within 1.2 times
    {"step of a server / nested vectors, rebuilt", "steps", "", "Batten step", "nested vectors", 20, {}, "decode"},
    {"step of a server / NumPy _prepare_inputs", "steps", "", "Batten step", "vLLM's _prepare_inputs in NumPy", 20, {},
     "decode"},
    {"block pool / std::vector free list", "blocks", "", "Batten block_pool", "push and pop", 0.5},  // within twice
    {"MLM masking / DataCollatorForLanguageModeling", "mlm", "", "Batten collate, then MLM masking",
     "DataCollatorForLanguageModeling", 20},
};

void compare(const run_results& all, ratio_list& ratios)
{
    table lines({"ratio", "of", "us", "against, us", "ratio (goal)"});
    const auto add = [&](std::string_view title, const std::string& workload, const timing& fast, const timing& slow,
                         double goal) {
        const double ratio = slow.ns / slow.batches / (fast.ns / fast.batches);
        lines.add({std::string(title), workload, number(fast.ns / fast.batches / 1000, 2),
                   number(slow.ns / slow.batches / 1000, 2), with_goal(ratio, goal)});
        ratios.emplace_back(fast.section + "/" + workload + "/" + std::string(title), ratio);
    };
    for (const comparison& of : comparisons) {
        const std::string_view slow_section = of.slow_section.empty() ? of.section : of.slow_section;
        for (const std::string& workload : all.names(of.section, &timing::workload))
            for (const std::string& outputs : all.names(of.section, &timing::outputs)) {
                if (!of.outputs.empty() && of.outputs != outputs)
                    continue;
                const timing* fast = all.find(of.section, workload, outputs, of.fast);  // by its whole name, if there is one
                if (fast == nullptr)
                    fast = all.fastest(of.section, workload, outputs, of.fast);
                const timing* const slow = all.fastest(slow_section, workload, outputs, of.slow);
                if (fast == nullptr || slow == nullptr)
                    continue;
                add(of.title, workload, *fast, *slow, workload.starts_with(of.goal_for) ? of.goal : 0);
            }
    }
    // One contender at two sizes: what a step costs does not grow with the context.
    const timing* const far = all.find("steps", "decode, 64 k", "", "Batten step");
    const timing* const near = all.find("steps", "decode, 1 k", "", "Batten step");
    if (far != nullptr && near != nullptr)
        add("step of a server at 64 k / at 1 k", "decode", *far, *near, 0.8);
    lines.print("Planning, packing, masks, decoding and serving: how many times as fast");
}

void counts(const run_results& all)
{
    table lines({"counted", ""});
    for (const auto& [name, count] : all.counts)
        lines.add({name, count});
    lines.print("Counts");
}

// ---- ratios.json -----------------------------------------------------------------------------------------------------------

std::string quoted(std::string_view text)
{
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + "\"";
}

void write_list(std::ofstream& out, std::string_view name, const ratio_list& list, int decimals)
{
    out << "  " << quoted(name) << ": {";
    for (std::size_t i = 0; i < list.size(); ++i)
        out << (i == 0 ? "\n" : ",\n") << "    " << quoted(list[i].first) << ": " << number(list[i].second, decimals);
    out << "\n  },\n";
}

bool write_json(const char* path, const run_results& all, const ratio_list& ratios, const ratio_list& differences)
{
    std::ofstream out(path);
    out << "{\n";
    write_list(out, "ratios", ratios, 4);
    write_list(out, "nanoseconds_per_call_more", differences, 1);
    out << "  \"medians\": {";
    for (std::size_t i = 0; i < all.times.size(); ++i) {
        const timing& t = all.times[i];
        out << (i == 0 ? "\n" : ",\n") << "    " << quoted(t.name()) << ": {\"ns\": " << number(t.ns, 2)
            << ", \"p10\": " << number(t.p10, 2) << ", \"p90\": " << number(t.p90, 2) << ", \"bytes\": " << number(t.bytes, 0)
            << ", \"batches\": " << number(t.batches, 0) << "}";
    }
    out << "\n  },\n  \"counts\": {";
    for (std::size_t i = 0; i < all.counts.size(); ++i)
        out << (i == 0 ? "\n" : ",\n") << "    " << quoted(all.counts[i].first) << ": " << all.counts[i].second;
    out << "\n  },\n  \"machine_and_versions\": {";
    for (std::size_t i = 0; i < all.meta.size(); ++i)
        out << (i == 0 ? "\n" : ",\n") << "    " << quoted(all.meta[i].first) << ": " << quoted(all.meta[i].second);
    out << "\n  }\n}\n";
    return static_cast<bool>(out.flush());
}

// ---- the chart -------------------------------------------------------------------------------------------------------------

std::string escaped(std::string_view text)
{
    std::string out;
    for (const char c : text)
        out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
    return out;
}

// One bar: batches per second as a share of the fastest store fill's.
struct bar {
    std::string label;
    double share;
    std::string_view colour;
};

bool write_chart(const char* path, const run_results& all)
{
    std::vector<std::pair<std::string, std::vector<bar>>> groups;
    for (const std::string_view workload : workload_names) {
        const timing* const limit = all.fastest("workloads", workload, four, "store fill");
        const timing* const ours = all.find("workloads", workload, four, batten_into);
        if (limit == nullptr || ours == nullptr)
            continue;
        std::vector<bar> bars;
        const auto add = [&](std::string label, const timing* t, std::string_view colour) {
            if (t != nullptr)
                bars.push_back({std::move(label), limit->ns / t->ns, colour});
        };
        add(limit->contender + " (the limit)", limit, "#9aa0a6");
        add("Batten, right", ours, "#0b7a75");
        add("Batten, left", all.find("workloads", workload, four, "Batten into, left, vectors"), "#19a29b");
        add("loop of copy + fill", all.find("workloads", workload, four, "copy + fill loop, right"), "#d9822b");
        add("loop of resize + push_back", all.find("workloads", workload, four, "resize + push_back + flatten loop"),
            "#d9822b");
        const timing* const torch = all.fastest("torch", workload, four, "libtorch, full set");
        const timing* const beside = all.find("torch", workload, four, "Batten into");
        if (torch != nullptr && beside != nullptr)
            bars.push_back({"libtorch, C++", limit->ns / ours->ns * beside->ns / torch->ns, "#7b5ea7"});
        add("NumPy, row slices", all.find("python", workload, "", "NumPy row slices, from int32 arrays"), "#7b5ea7");
        add("tokenizers (Rust), pad alone", all.find("python", workload, "", "tokenizers (Rust) pad"), "#7b5ea7");
        add("transformers, Seq2Seq collator", all.find("python", workload, "", "DataCollatorForSeq2Seq"), "#7b5ea7");
        groups.emplace_back(std::string(workload) + ": " + number(limit->gigabytes_per_second(), 0) + " GB/s", std::move(bars));
    }
    constexpr int left = 250, scale = 420, line = 19, width = 760;
    double longest = 1;
    int height = 62;
    for (const auto& [title, bars] : groups) {
        height += 34 + line * static_cast<int>(bars.size());
        for (const bar& b : bars)
            longest = std::max(longest, b.share);
    }
    std::ofstream out(path);
    out << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width << ' ' << height << "\" width=\"" << width
        << "\" height=\"" << height << "\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">\n"
        << "<title>Batches per second, as a share of plain stores of as many bytes</title>\n"
        << "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        << "<text x=\"16\" y=\"26\" font-size=\"16\" font-weight=\"600\">Batches per second, 4 x int64, one core: share of "
           "plain "
           "stores of as many bytes</text>\n";
    std::string cpu = "this machine";
    for (const auto& [key, value] : all.meta)
        if (key == "cpu")
            cpu = value;
    out << "<text x=\"16\" y=\"44\" font-size=\"11\" fill=\"#666\">" << escaped(cpu)
        << "; ids, mask, positions, labels (transformers writes no positions, tokenizers lists of its own)</text>\n";
    int y = 58;
    for (const auto& [title, bars] : groups) {
        y += 26;
        out << "<text x=\"16\" y=\"" << y << "\" font-weight=\"600\">" << escaped(title) << "</text>\n";
        y += 8;
        for (const bar& b : bars) {
            const double length = std::max(1.0, b.share / longest * scale);
            out << "<text x=\"" << left - 8 << "\" y=\"" << y + 13 << "\" text-anchor=\"end\">" << escaped(b.label) << "</text>"
                << "<rect x=\"" << left << "\" y=\"" << y + 2 << "\" width=\"" << number(length, 1) << "\" height=\""
                << line - 5 << "\" fill=\"" << b.colour << "\"/><text x=\"" << number(left + length + 6, 1) << "\" y=\""
                << y + 13 << "\">" << number(100 * b.share, b.share < 0.1 ? 1 : 0) << " %</text>\n";
            y += line;
        }
    }
    out << "</svg>\n";
    return static_cast<bool>(out.flush());
}

}  // namespace

int main(int argc, char** argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "bench_report RESULTS JSON SVG\n");
        return 2;
    }
    const run_results all = read_results(argv[1]);
    ratio_list ratios, differences;
    std::printf("\n");
    for (const auto& [key, value] : all.meta)
        std::printf("%s: %s\n", key.c_str(), value.c_str());
    workloads(all, ratios);
    inference(all, ratios, differences);
    waste(all, ratios);
    workers(all, ratios);
    peers(all);
    figures(all, ratios);
    compare(all, ratios);
    counts(all);
    if (!write_json(argv[2], all, ratios, differences) || !write_chart(argv[3], all)) {
        std::fprintf(stderr, "bench_report: cannot write %s or %s\n", argv[2], argv[3]);
        return 2;
    }
    return 0;
}
