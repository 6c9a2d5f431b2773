// SPDX-License-Identifier: MIT
// Times contenders in one process, in turn, by Google Benchmark, and keeps the medians for the report.
#ifndef BENCH_MEASURE_HPP_INCLUDED
#define BENCH_MEASURE_HPP_INCLUDED

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

struct settings {
    bool quick = false;
    std::string results{};  // the file that lines are added to
    std::string data{};     // the folder of real length lists
    std::string dump{};     // a folder to write the workloads to, for the Python peers
    std::string only{};     // a section or a workload, all where empty

    int most_repetitions = 21;

    int repetitions() const { return quick ? 3 : most_repetitions; }
    double seconds() const { return quick ? 0.002 : 0.02; }  // a repetition takes at least this long
};

inline settings parse_settings(int argc, char** argv)
{
    settings found;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        const auto value = [&] {
            if (i + 1 == argc) {
                std::fprintf(stderr, "%s needs a value\n", argv[i]);
                std::exit(2);
            }
            return std::string(argv[++i]);
        };
        if (argument == "--quick")
            found.quick = true;
        else if (argument == "--results")
            found.results = value();
        else if (argument == "--data")
            found.data = value();
        else if (argument == "--dump")
            found.dump = value();
        else if (argument == "--only")
            found.only = value();
        else {
            std::fprintf(stderr, "unknown option %s\n", argv[i]);
            std::exit(2);
        }
    }
    return found;
}

// One line for each contender: tab-separated, so that programs in any language can add theirs. bench/report.cpp reads them.
class results_file {
public:
    explicit results_file(const std::string& path)
    {
        if (path.empty())
            return;
        out_.open(path, std::ios::app);
        if (!out_) {
            std::fprintf(stderr, "cannot write %s\n", path.c_str());
            std::exit(2);
        }
    }

    void meta(std::string_view key, std::string_view value) { out_ << "meta\t" << key << '\t' << value << '\n' << std::flush; }

    void count(std::string_view section, std::string_view name, std::size_t count)
    {
        out_ << "count\t" << section << '\t' << name << '\t' << count << '\n' << std::flush;
        std::printf("  %-10.*s %-40.*s %14zu\n", static_cast<int>(section.size()), section.data(),
                    static_cast<int>(name.size()), name.data(), count);
        std::fflush(stdout);
    }

    // Times in nanoseconds, of one pass over `batches` batches.
    struct line {
        std::string section{};
        std::string workload{};
        std::string outputs{};
        std::string contender{};
        std::size_t bytes = 0;
        std::size_t real = 0;
        std::size_t cells = 0;
        std::size_t batches = 0;
    };
    void time(const line& of, std::vector<double> times)
    {
        std::sort(times.begin(), times.end());
        const auto at = [&](double part) {
            return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1) + 0.5)];
        };
        char numbers[128];
        std::snprintf(numbers, sizeof numbers, "%.2f\t%.2f\t%.2f", at(0.5), at(0.1), at(0.9));
        out_ << "time\t" << of.section << '\t' << of.workload << '\t' << of.outputs << '\t' << of.contender << '\t' << numbers
             << '\t' << of.bytes << '\t' << of.real << '\t' << of.cells << '\t' << of.batches << '\n'
             << std::flush;
        std::printf("  %-10s %-20s %-10s %-44s %14.1f ns %9.2f GB/s\n", of.section.c_str(), of.workload.c_str(),
                    of.outputs.c_str(), of.contender.c_str(), at(0.5), static_cast<double>(of.bytes) / at(0.5));
        std::fflush(stdout);
    }

private:
    std::ofstream out_;
};

// What is timed: one pass over all batches of a workload.
struct contender {
    std::string name{};
    std::function<void(benchmark::State&)> loop{};
    // Where they are other than the workload's; else empty and 0.
    std::string outputs{};
    std::size_t bytes = 0;
    std::size_t cells = 0;
    std::size_t batches = 0;
};

// A contender that collates batch after batch: run(i).
template <class Run>
std::function<void(benchmark::State&)> passes(std::size_t batches, Run run)
{
    return [batches, run](benchmark::State& state) {
        for ([[maybe_unused]] auto _ : state)
            for (std::size_t i = 0; i < batches; ++i) {
                run(i);
                benchmark::ClobberMemory();
            }
    };
}

namespace detail {

class collecting_reporter : public benchmark::BenchmarkReporter {
public:
    explicit collecting_reporter(bool wall_clock) : wall_clock_(wall_clock) {}

    bool ReportContext(const Context& /*context*/) override { return true; }
    void ReportRuns(const std::vector<Run>& runs) override
    {
        for (const Run& run : runs)
            if (run.run_type == Run::RT_Iteration)
                times[run.run_name.function_name].push_back(wall_clock_ ? run.GetAdjustedRealTime() : run.GetAdjustedCPUTime());
    }

    std::map<std::string, std::vector<double>> times{};

private:
    bool wall_clock_;
};

}  // namespace detail

// Runs all contenders of a workload, their repetitions shuffled among one another. Times are the thread's own CPU time, from
// which the scheduler's other guests are absent; of the wall clock where several threads work.
inline void time_contenders(const settings& with, results_file& results, const results_file::line& of,
                            const std::vector<contender>& contenders, bool wall_clock = false)
{
    benchmark::ClearRegisteredBenchmarks();
    for (const contender& c : contenders)
        benchmark::RegisterBenchmark(c.name.c_str(), c.loop)
            ->Repetitions(with.repetitions())
            ->MinTime(with.seconds())
            ->Unit(benchmark::kNanosecond)
            ->UseRealTime();
    detail::collecting_reporter reporter(wall_clock);
    benchmark::RunSpecifiedBenchmarks(&reporter, ".");
    for (const contender& c : contenders) {
        results_file::line line = of;
        line.contender = c.name;
        line.outputs = c.outputs.empty() ? of.outputs : c.outputs;
        line.bytes = c.bytes != 0 ? c.bytes : of.bytes;
        line.cells = c.cells != 0 ? c.cells : of.cells;
        line.batches = c.batches != 0 ? c.batches : of.batches;
        results.time(line, reporter.times.at(c.name));
    }
}

inline void start_harness(char* program)
{
    std::string interleave = "--benchmark_enable_random_interleaving=true";
    char* arguments[] = {program, interleave.data(), nullptr};
    int count = 2;
    benchmark::Initialize(&count, arguments);
}

}  // namespace bench

#endif
