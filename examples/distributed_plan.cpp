// SPDX-License-Identifier: MIT
// A batch plan on real ranks: mpirun -n 4 distributed_plan [SEQUENCES]
//
// Each rank makes the whole plan and takes its share of every step. Messages are sent to check that alone: that all made the
// same plan, that they take equally many steps, and that what they take together is the data set, once. Then the run is cut in
// its middle, and the rest is taken by half as many ranks with two workers each.
#include <batten/batten.hpp>

#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

// Lengths as of chat prompts: many short, some very long. The same on every rank, as a file of lengths would be.
std::vector<std::uint32_t> some_lengths(std::size_t count)
{
    std::vector<std::uint32_t> lengths(count);
    std::uint64_t state = 20240607;
    for (auto& length : lengths) {
        double sum = 0;  // of twelve uniform draws: near enough to normal
        for (int i = 0; i < 12; ++i) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            sum += static_cast<double>(state >> 40U) / 16777216.0;
        }
        length = static_cast<std::uint32_t>(std::clamp(180.0 * std::exp(0.9 * (sum - 6.0)), 8.0, 4096.0));
    }
    return lengths;
}

// How often each row was taken by any rank; rank 0 gets the sums.
std::vector<int> taken_by_all(std::vector<int> taken)
{
    std::vector<int> sum(taken.size());
    MPI_Reduce(taken.data(), sum.data(), static_cast<int>(taken.size()), MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    return sum;
}

bool same_on_all(std::uint64_t value)
{
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    MPI_Allreduce(&value, &least, 1, MPI_UINT64_T, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&value, &most, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
    return least == most;
}

void take(const batten::plan::planned_batch<>& batch, std::vector<int>& taken)
{
    for (const auto row : batch.rows)  // here a loader collates select(inputs, batch.rows)
        ++taken[row];
}

bool each_once(const std::vector<int>& taken)
{
    return std::all_of(taken.begin(), taken.end(), [](int times) { return times == 1; });
}

// Whether all went well, on rank 0.
bool run(std::size_t count, std::size_t rank, std::size_t ranks)
{
    namespace plan = batten::plan;
    const auto lengths = some_lengths(count);
    bool good = true;
    const auto expect = [&](bool is_so, const char* what) {
        good = good && is_so;
        if (rank == 0)
            std::printf("%-4s %s\n", is_so ? "ok" : "NOT", what);
    };

    plan::batch_options options{.group = plan::grouping::windows, .max_cells = 16384, .seed = 7};
    options.order = plan::batch_order::shuffled;
    options.batches_per_step = ranks;
    for (options.epoch = 0; options.epoch < 2; ++options.epoch) {
        const auto batches = plan::batches(lengths, options);
        const auto mine = plan::for_rank(batches, rank, ranks);
        if (rank == 0) {
            const auto wasted = plan::waste_of(batches, lengths);
            const auto balance = plan::balance_of(batches, ranks);
            std::printf("epoch %d: %zu sequences, %zu batches, %zu steps on %zu ranks, %.1f %% padding, busiest / mean rank "
                        "%.3f\n",
                        static_cast<int>(options.epoch), count, batches.size(), mine.size(), ranks, 100 * wasted.padding(),
                        balance.mean);
        }
        expect(same_on_all(plan::state_of(batches, options, 0).check), "every rank made the same plan");
        expect(same_on_all(mine.size()), "every rank takes as many steps");
        std::vector<int> taken(count, 0);
        for (const auto& batch : mine)
            take(batch, taken);
        expect(each_once(taken_by_all(taken)) || rank != 0, "together they take the data set, once");

        // Stopped in the middle. All that is kept is a state of four integers; the rest goes to other ranks.
        std::vector<int> in_two_runs(count, 0);
        const std::size_t steps = mine.size() / 2;
        for (std::size_t s = 0; s < steps; ++s)
            take(mine[s], in_two_runs);
        const plan::plan_state state = plan::state_of(batches, options, steps * ranks);

        const std::size_t ranks_now = std::max<std::size_t>(1, ranks / 2);
        const auto again = plan::batches(lengths, options);  // with state.seed and state.epoch
        const std::size_t first = plan::resume(again, state);
        if (rank < ranks_now)
            for (std::size_t worker = 0; worker < 2; ++worker)
                for (const auto& batch : plan::for_rank(again, rank + ranks_now * worker, ranks_now * 2, first))
                    take(batch, in_two_runs);
        expect(each_once(taken_by_all(in_two_runs)) || rank != 0, "so they do when the run stops and half of the ranks go on");
    }
    return good;
}

}  // namespace

int main(int argc, char** argv)
{
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const long count = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 100000;
    bool good = false;
    if (count < 1)
        std::fprintf(stderr, "distributed_plan: the number of sequences must be at least 1, not '%s'\n", argv[1]);
    else
        good = run(static_cast<std::size_t>(count), static_cast<std::size_t>(rank), static_cast<std::size_t>(ranks));
    MPI_Finalize();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
