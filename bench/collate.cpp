// SPDX-License-Identifier: MIT
// Batten against store fills and loops written by hand: the five workloads, the inference case, what padding strategies waste,
// and two workers. bench/run says how it is run.
#include "baselines.hpp"
#include "data.hpp"
#include "executor.hpp"
#include "fills.hpp"
#include "measure.hpp"
#include "outputs.hpp"

#include <batten/batten.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace bench;

template <class Side, class Set>
using collator = batten::collator<Side, batten::dynamic_length, batten::reject, typename Set::fields>;

template <class Side>
constexpr bool is_left = std::is_same_v<Side, batten::pad_left>;

// Every token is a label, as the peers have it. (The default of Batten, model_shifts, leaves out the first token after left
// pads.)
template <class Side, class Set>
collator<Side, Set> make_collator(batten::store_policy stores = batten::ordinary)
{
    return collator<Side, Set>{
        {.pad_id = pad_id, .targets = batten::same_position, .ignore_index = ignore_index, .stores = stores}};
}

template <class Side>
std::string side_name()
{
    return is_left<Side> ? "left" : "right";
}

// ---- the five workloads --------------------------------------------------------------------------------------------------

// run(i) collates batch i of `on`; written() says where to. Checked on every batch, then added.
template <class Set, class Run, class Written>
void add(std::vector<contender>& to, const workload& on, std::string name, bool left, typename Set::memory& memory, Run run,
         Written written)
{
    for (std::size_t i = 0; i < on.batches.size(); ++i) {
        memory.spoil(on.batches[i].cells());
        run(i);
        check_bytes(expected_bytes<Set>(on.batches[i], left), written(i), on.name + ", " + name);
    }
    to.push_back({std::move(name), passes(on.batches.size(), run)});
}

template <class Set>
void add_fills(std::vector<contender>& to, const workload& on, typename Set::memory& memory)
{
    std::vector<std::vector<fill_part>> parts;
    for (const batch& b : on.batches)
        parts.push_back(memory.fill_parts(b.real(), b.cells()));
    for (const named_fill& fill : machine_fills()) {
        for (std::size_t i = 0; i < on.batches.size(); ++i) {
            memory.spoil(on.batches[i].cells());
            run_fill(fill.fill, parts[i]);
            check_fill(parts[i], on.name + ", " + std::string(fill.name));
        }
        to.push_back({std::string(fill.name),
                      passes(on.batches.size(), [parts, fill](std::size_t i) { run_fill(fill.fill, parts[i]); })});
    }
}

// A ceiling of another kind: a row's tokens are read, then as many whole cache lines as a row of each array has are filled.
template <class Set>
void add_read_and_fill(std::vector<contender>& to, const workload& on, typename Set::memory& memory)
{
    for (const named_fill& fill : machine_fills()) {
        if (!fill.ordinary || fill.fill == fill_scalar)
            continue;
        const auto run = [&on, &memory, fill](std::size_t i) {
            const batch& b = on.batches[i];
            const std::vector<fill_part> parts = memory.fill_parts(b.real(), b.cells());
            for (std::size_t r = 0; r < b.rows.size(); ++r) {
                const auto tokens = bytes_of(b.rows[r].data(), b.rows[r].size());
                benchmark::DoNotOptimize(read_all(tokens.data(), tokens.size()));
                for (const fill_part& part : parts) {
                    const std::size_t lines = (part.real_bytes + part.pad_bytes) / 64;
                    const std::size_t begin = lines * r / b.rows.size() * 64;
                    const std::size_t end = lines * (r + 1) / b.rows.size() * 64;
                    const std::size_t real = std::clamp(part.real_bytes, begin, end);
                    fill.fill(part.out + begin, real - begin, part.real_value);
                    fill.fill(part.out + real, end - real, part.pad_value);
                }
            }
        };
        std::string name = "tokens read + " + std::string(fill.name);
        for (std::size_t i = 0; i < on.batches.size(); ++i) {
            memory.spoil(on.batches[i].cells());
            run(i);
            check_fill(memory.fill_parts(on.batches[i].real(), on.batches[i].cells()), on.name + ", " + name);
        }
        to.push_back({std::move(name), passes(on.batches.size(), run)});
    }
}

template <class Set, class Side>
void add_into(std::vector<contender>& to, const workload& on, typename Set::memory& memory)
{
    const auto collate = make_collator<Side, Set>();
    const auto written = [&](std::size_t i) { return memory.written(on.batches[i].cells()); };
    const std::string side = side_name<Side>();
    add<Set>(
        to, on, "Batten into, " + side + ", vectors", is_left<Side>, memory,
        [&on, &memory, collate](std::size_t i) {
            const batch& b = on.batches[i];
            collate.into(b.rows, memory.outputs(b.cells()));
        },
        written);
    add<Set>(
        to, on, "Batten into, " + side + ", flat", is_left<Side>, memory,
        [&on, &memory, collate](std::size_t i) {
            const batch& b = on.batches[i];
            collate.into(b.flat(), memory.outputs(b.cells()));
        },
        written);
    add<Set>(
        to, on, "copy + fill loop, " + side, is_left<Side>, memory,
        [&on, &memory](std::size_t i) { fused_loop(on.batches[i].rows, is_left<Side>, memory); }, written);
}

template <class Set>
void run_workload(const settings& with, results_file& results, const workload& on)
{
    typename Set::memory memory(on.largest_cells() + 64);
    std::vector<contender> contenders;
    add_fills<Set>(contenders, on, memory);
    add_read_and_fill<Set>(contenders, on, memory);
    add_into<Set, batten::pad_right>(contenders, on, memory);
    add_into<Set, batten::pad_left>(contenders, on, memory);

    const auto collate = make_collator<batten::pad_right, Set>();
    const auto streaming = make_collator<batten::pad_right, Set>(batten::non_temporal);
    add<Set>(
        contenders, on, "Batten into, non-temporal stores, right, vectors", false, memory,
        [&on, &memory, streaming](std::size_t i) { streaming.into(on.batches[i].rows, memory.outputs(on.batches[i].cells())); },
        [&](std::size_t i) { return memory.written(on.batches[i].cells()); });
    typename collator<batten::pad_right, Set>::batch_type reused;
    add<Set>(
        contenders, on, "Batten, batch passed back, right, vectors", false, memory,
        [&on, &reused, collate](std::size_t i) { collate(on.batches[i].rows, reused); },
        [&](std::size_t) { return Set::written(reused); });
    typename collator<batten::pad_right, Set>::batch_type owned;
    add<Set>(
        contenders, on, "Batten, new batch each call, right, vectors", false, memory,
        [&on, &owned, collate](std::size_t i) { owned = collate(on.batches[i].rows); },
        [&](std::size_t) { return Set::written(owned); });
    decltype(grown_loop({}, Set{})) grown;
    add<Set>(
        contenders, on, "resize + push_back + flatten loop", false, memory,
        [&on, &grown](std::size_t i) { grown = grown_loop(on.batches[i].rows, Set{}); },
        [&](std::size_t) { return grown.written(); });

    time_contenders(with, results,
                    {"workloads", on.name, std::string(Set::name), "", on.cells() * Set::cell_bytes, on.real(), on.cells(),
                     on.batches.size()},
                    contenders);
}

// ---- the inference case --------------------------------------------------------------------------------------------------

// Per call, everything that a server does: check, find the width, write ids, mask and positions, left.
void run_inference(const settings& with, results_file& results, std::size_t rows)
{
    constexpr std::size_t batches = 64;
    const workload on = make_inference(rows, batches);
    const batten::presets::generation<> collate{{.pad_id = pad_id}};
    const std::size_t most = rows * 64;
    const array<std::int64_t> ids(most), mask(most), positions(most);
    const auto outputs = [&](std::size_t cells) {
        auto i = std::span(ids.data(), cells), m = std::span(mask.data(), cells), p = std::span(positions.data(), cells);
        return batten::outputs{batten::set<batten::token_ids>(i), batten::set<batten::attention_mask>(m),
                               batten::set<batten::position_ids>(p)};
    };
    const auto into = [&](std::size_t i) {
        const batch& b = on.batches[i];
        collate.into(b.rows, outputs(b.cells()));
    };
    const auto shape_and_into = [&](std::size_t i) {
        const batch& b = on.batches[i];
        const auto shape = collate.shape(b.rows);
        collate.into(b.rows, outputs(shape.elements<batten::token_ids>()));
    };
    const auto into_flat = [&](std::size_t i) {
        const batch& b = on.batches[i];
        collate.into(b.flat(), outputs(b.cells()));
    };
    const auto by_hand = [&](std::size_t i) { fused_inference(on.batches[i].rows, ids.data(), mask.data(), positions.data()); };
    batten::presets::generation<>::batch_type reused;
    const auto passed_back = [&](std::size_t i) { collate(on.batches[i].rows, reused); };

    const auto check = [&](const auto& run, const char* name) {
        for (std::size_t i = 0; i < batches; ++i) {
            std::vector<std::vector<std::byte>> expected = expected_bytes<four_int64>(on.batches[i], true);
            expected.pop_back();  // no labels
            const std::size_t cells = on.batches[i].cells();
            for (const array<std::int64_t>* of : {&ids, &mask, &positions})
                std::memset(of->data(), 0xAB, cells * sizeof(std::int64_t));
            run(i);
            check_bytes(expected,
                        {bytes_of(ids.data(), cells), bytes_of(mask.data(), cells), bytes_of(positions.data(), cells)}, name);
        }
    };
    check(into, "Batten into");
    check(into_flat, "Batten into, flat");
    check(shape_and_into, "Batten shape, then into");
    check(by_hand, "copy + fill loop");
    time_contenders(with, results, {"inference", on.name, "3 x int64", "", on.cells() * 24, on.real(), on.cells(), batches},
                    {{"Batten into", passes(batches, into)},
                     {"Batten into, flat", passes(batches, into_flat)},
                     {"Batten shape, then into", passes(batches, shape_and_into)},
                     {"Batten, batch passed back", passes(batches, passed_back)},
                     {"copy + fill loop", passes(batches, by_hand)}});
}

// ---- what padding strategies waste -----------------------------------------------------------------------------------------

struct cost {
    std::size_t batches = 0;
    std::size_t cells = 0;
    std::size_t real = 0;

    void add(const batten::summary& s)
    {
        cells += s.real_tokens + s.padded_cells;
        real += s.real_tokens;
    }
};

// A row list's batches of `window` rows, each given to collate(rows); counted once, then timed.
template <class Collate>
contender strategy(std::string name, const batch& sample, std::size_t window, cost& counted, Collate collate)
{
    const std::size_t windows = sample.rows.size() / window;
    std::vector<std::size_t> numbers(sample.rows.size());
    for (std::size_t r = 0; r < numbers.size(); ++r)
        numbers[r] = r;
    const auto rows = [numbers, window](std::size_t i) { return std::span(numbers).subspan(i * window, window); };
    for (std::size_t i = 0; i < windows; ++i)
        collate(rows(i), &counted);
    contender made{std::move(name), passes(windows, [rows, collate](std::size_t i) { collate(rows(i), nullptr); })};
    made.cells = counted.cells;
    made.bytes = counted.cells * four_int64::cell_bytes;
    made.batches = counted.batches;
    return made;
}

void run_waste(const settings& with, results_file& results, const distribution_kind& kind)
{
    constexpr std::size_t rows_each = 32;
    constexpr std::size_t buckets = 8;
    constexpr std::size_t window = rows_each * buckets;
    // As many rows as make some 3 million tokens, at least one window and at most 6,400 rows; a quick run fewer.
    std::size_t mean = 0;
    const distribution first = make_distribution(kind, with.data, 1000);
    for (const std::size_t length : first.sample)
        mean += length;
    mean = mean / 1000 + 1;
    const std::size_t wanted = std::min<std::size_t>((with.quick ? 800000U : 3000000U) / mean, with.quick ? 1280 : 6400);
    const std::size_t rows = std::max<std::size_t>(wanted / window, 1) * window;
    const distribution drawn = make_distribution(kind, with.data, rows);
    std::printf("%s: %zu rows, %s %s\n", std::string(drawn.name).c_str(), rows,
                drawn.from_list ? "from the list" : "the list is not there, so from quantiles in the source, of",
                std::string(kind.source).c_str());
    results.meta("lengths of " + std::string(drawn.name),
                 (drawn.from_list ? "the list: " : "21 quantiles of: ") + std::string(kind.source));

    generator draw(3000);
    const batch sample = make_batch(drawn.sample, draw);
    using fields = four_int64::fields;
    const batten::collator<batten::pad_right, batten::fixed_length, batten::reject, fields> fixed{
        {.pad_id = pad_id, .length = {drawn.longest}}};
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, fields> dynamic{{.pad_id = pad_id}};
    const batten::bucketed_collator<batten::pad_right, batten::bucketed_length, batten::reject, fields> bucketed{
        {.pad_id = pad_id, .length = {least_padding_edges(drawn.sample, buckets, drawn.longest)}}};
    decltype(fixed)::batch_type fixed_batch;
    decltype(dynamic)::batch_type dynamic_batch;
    decltype(bucketed)::batch_type bucketed_batches;

    const auto one = [&sample](const auto& collate, auto& into) {
        return [&](std::span<const std::size_t> rows_of, cost* counted) {
            collate(batten::select(sample.rows, rows_of), into);
            if (counted != nullptr) {
                counted->add(into.summary());
                counted->batches += 1;
            }
        };
    };
    cost of_fixed, of_dynamic, of_bucketed;
    std::vector<contender> contenders;
    contenders.push_back(strategy("fixed", sample, rows_each, of_fixed, one(fixed, fixed_batch)));
    contenders.push_back(strategy("dynamic", sample, rows_each, of_dynamic, one(dynamic, dynamic_batch)));
    contenders.push_back(
        strategy("bucketed", sample, window, of_bucketed, [&](std::span<const std::size_t> rows_of, cost* counted) {
            bucketed(batten::select(sample.rows, rows_of), bucketed_batches);
            if (counted != nullptr) {
                counted->add(bucketed_batches.summary());
                counted->batches += bucketed_batches.size();
            }
        }));
    for (const cost& c : {of_fixed, of_dynamic, of_bucketed})
        if (c.real != sample.real()) {
            std::fprintf(stderr, "a strategy lost tokens of %s\n", std::string(kind.name).c_str());
            std::exit(1);
        }
    time_contenders(with, results, {"waste", std::string(kind.name), std::string(four_int64::name), "", 0, sample.real(), 0, 0},
                    contenders);
}

// ---- two workers -----------------------------------------------------------------------------------------------------------

template <class Set>
void run_workers(const settings& with, results_file& results, const workload& on, two_workers& pool)
{
    typename Set::memory memory(on.largest_cells() + 64);
    const auto collate = make_collator<batten::pad_right, Set>();
    std::vector<contender> contenders;
    const auto written = [&](std::size_t i) { return memory.written(on.batches[i].cells()); };
    add<Set>(
        contenders, on, "Batten into, one worker", false, memory,
        [&on, &memory, collate](std::size_t i) { collate.into(on.batches[i].rows, memory.outputs(on.batches[i].cells())); },
        written);
    add<Set>(
        contenders, on, "Batten into, two workers", false, memory,
        [&on, &memory, &pool, collate](std::size_t i) {
            collate.into(on.batches[i].rows, memory.outputs(on.batches[i].cells()),
                         [&pool](std::size_t n, const auto& body) { pool.run(n, body); });
        },
        written);
    std::vector<std::vector<fill_part>> parts, halves[2];
    for (const batch& b : on.batches) {
        parts.push_back(memory.fill_parts(b.real(), b.cells()));
        // Each worker takes the first or the second half of the tokens and of the pads of every array.
        std::vector<fill_part> low, high;
        for (const fill_part& part : parts.back()) {
            const std::size_t real = part.real_bytes / 128 * 64;
            const std::size_t pads = part.pad_bytes / 128 * 64;
            low.push_back({part.out, real, 0, part.real_value, 0});
            high.push_back({part.out + real, part.real_bytes - real, 0, part.real_value, 0});
            low.push_back({part.out + part.real_bytes, 0, pads, 0, part.pad_value});
            high.push_back({part.out + part.real_bytes + pads, 0, part.pad_bytes - pads, 0, part.pad_value});
        }
        halves[0].push_back(std::move(low));
        halves[1].push_back(std::move(high));
    }
    for (const named_fill& fill : machine_fills()) {
        if (!fill.ordinary)
            continue;
        contenders.push_back({std::string(fill.name) + ", one worker",
                              passes(on.batches.size(), [&parts, fill](std::size_t i) { run_fill(fill.fill, parts[i]); })});
        const auto both = [&halves, &pool, fill](std::size_t i) {
            pool.run(2, [&](std::size_t half) { run_fill(fill.fill, halves[half][i]); });
        };
        for (std::size_t i = 0; i < on.batches.size(); ++i) {
            memory.spoil(on.batches[i].cells());
            both(i);
            check_fill(parts[i], "two " + std::string(fill.name) + "s");
        }
        contenders.push_back({std::string(fill.name) + ", two workers", passes(on.batches.size(), both)});
    }
    time_contenders(with, results,
                    {"workers", on.name, std::string(Set::name), "", on.cells() * Set::cell_bytes, on.real(), on.cells(),
                     on.batches.size()},
                    contenders, true);
}

// ---- the same batches for programs in other languages ----------------------------------------------------------------------

template <class T>
void write_numbers(const std::string& path, const std::vector<T>& numbers)
{
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(T)));
    if (!out.flush()) {
        std::fprintf(stderr, "cannot write %s\n", path.c_str());
        std::exit(2);
    }
}

// NAME.tokens (int32, all rows one behind the other) and NAME.lengths (int64); index.tsv: name, rows of a batch.
void dump(const std::string& folder)
{
    std::ofstream index(folder + "/index.tsv");
    for (const workload_kind& kind : workload_kinds) {
        const workload on = make_workload(kind);
        std::vector<std::int32_t> tokens;
        std::vector<std::int64_t> lengths;
        for (const batch& b : on.batches) {
            tokens.insert(tokens.end(), b.tokens.begin(), b.tokens.end());
            for (const auto& row : b.rows)
                lengths.push_back(static_cast<std::int64_t>(row.size()));
        }
        write_numbers(folder + "/" + on.name + ".tokens", tokens);
        write_numbers(folder + "/" + on.name + ".lengths", lengths);
        index << on.name << '\t' << kind.rows << '\n';
    }
}

// ---- the machine -----------------------------------------------------------------------------------------------------------

std::string cpu_name()
{
    std::ifstream in("/proc/cpuinfo");
    for (std::string line; std::getline(in, line);)
        if (line.rfind("model name", 0) == 0)
            return line.substr(line.find(':') + 2);
    return "unknown";
}

void describe(results_file& results)
{
    const benchmark::CPUInfo& cpu = benchmark::CPUInfo::Get();
    results.meta("cpu", cpu_name() + ", " + std::to_string(cpu.num_cpus) + " logical");
    std::string caches;
    for (const auto& cache : cpu.caches)
        caches += (caches.empty() ? "" : ", ") + ("L" + std::to_string(cache.level)) + " " + cache.type + " " +
                  std::to_string(cache.size / 1024) + " KiB";
    results.meta("caches", caches);
    results.meta("compiler", BENCH_BUILD);
    results.meta("Google Benchmark", BENCH_HARNESS);
    results.meta("Batten", std::to_string(BATTEN_VERSION_MAJOR) + "." + std::to_string(BATTEN_VERSION_MINOR) + "." +
                               std::to_string(BATTEN_VERSION_PATCH));
}

}  // namespace

int main(int argc, char** argv)
{
    const settings with = parse_settings(argc, argv);
    const auto wanted = [&](std::string_view name) { return with.only.empty() || with.only == name; };
    start_harness(argv[0]);
    results_file results(with.results);
    if (!with.dump.empty())
        dump(with.dump);

    if (with.only == "workers") {
        if (std::thread::hardware_concurrency() < 2) {
            std::printf("two workers: skipped, this machine has one core\n");
            return 0;
        }
        two_workers pool;
        for (const workload_kind& kind : workload_kinds)
            run_workers<four_int64>(with, results, make_workload(kind), pool);
        return 0;
    }

    describe(results);
    for (const workload_kind& kind : workload_kinds) {
        if (!wanted("workloads") && !wanted(kind.name))
            continue;
        const workload on = make_workload(kind);
        run_workload<four_int64>(with, results, on);
        run_workload<int32_and_mask>(with, results, on);
    }
    if (wanted("inference"))
        for (std::size_t rows = 1; rows <= 64; rows *= 2)
            run_inference(with, results, rows);
    if (wanted("waste"))
        for (const distribution_kind& kind : distribution_kinds)
            run_waste(with, results, kind);
    return 0;
}
