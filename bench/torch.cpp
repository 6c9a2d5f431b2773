// SPDX-License-Identifier: MIT
// libtorch, one thread, on the same batches; Batten in the same process, so that the ratio is of one run.
#include "baselines.hpp"
#include "data.hpp"
#include "fills.hpp"
#include "measure.hpp"
#include "outputs.hpp"

#include <batten/batten.hpp>

#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace {

using namespace bench;

// A batch as tensors: what is made before the time is taken.
struct tensors {
    std::vector<torch::Tensor> rows{};
    torch::Tensor lengths{};
};

struct four_tensors {
    torch::Tensor ids{}, mask{}, positions{}, labels{};

    byte_spans written() const
    {
        byte_spans spans;
        for (const torch::Tensor* t : {&ids, &mask, &positions, &labels})
            spans.push_back(bytes_of(t->const_data_ptr<std::int64_t>(), static_cast<std::size_t>(t->numel())));
        return spans;
    }
};

tensors to_tensors(const batch& b)
{
    tensors made;
    std::vector<std::int64_t> lengths;
    for (const auto& row : b.rows) {
        lengths.push_back(static_cast<std::int64_t>(row.size()));
        made.rows.push_back(torch::tensor(std::vector<std::int64_t>(row.begin(), row.end())));
    }
    made.lengths = torch::tensor(lengths);
    return made;
}

// Mask by comparing with the lengths, positions by counting, labels by filling the pads in.
four_tensors masked(const tensors& b)
{
    four_tensors out;
    out.ids = torch::nn::utils::rnn::pad_sequence(b.rows, true, pad_id);
    const torch::Tensor columns = torch::arange(out.ids.size(1));
    const torch::Tensor real = columns.unsqueeze(0) < b.lengths.unsqueeze(1);
    out.mask = real.to(torch::kInt64);
    out.positions = out.mask * columns;
    out.labels = out.ids.masked_fill(~real, ignore_index);
    return out;
}

// As above, positions as transformers derives them.
four_tensors by_cumsum(const tensors& b)
{
    four_tensors out;
    out.ids = torch::nn::utils::rnn::pad_sequence(b.rows, true, pad_id);
    const torch::Tensor real = torch::arange(out.ids.size(1)).unsqueeze(0) < b.lengths.unsqueeze(1);
    out.mask = real.to(torch::kInt64);
    out.positions = (out.mask.cumsum(1) - 1).masked_fill_(~real, 0);
    out.labels = out.ids.masked_fill(~real, ignore_index);
    return out;
}

// Labels by a second pad_sequence.
four_tensors padded_twice(const tensors& b)
{
    four_tensors out;
    out.ids = torch::nn::utils::rnn::pad_sequence(b.rows, true, pad_id);
    out.labels = torch::nn::utils::rnn::pad_sequence(b.rows, true, static_cast<double>(ignore_index));
    const torch::Tensor columns = torch::arange(out.ids.size(1));
    out.mask = (columns.unsqueeze(0) < b.lengths.unsqueeze(1)).to(torch::kInt64);
    out.positions = out.mask * columns;
    return out;
}

void run(const settings& with, results_file& results, const workload& on, const std::string& malloc_kind, bool with_batten)
{
    std::vector<tensors> ready;
    for (const batch& b : on.batches)
        ready.push_back(to_tensors(b));
    four_int64::memory memory(on.largest_cells() + 64);
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, four_int64::fields> collate{
        {.pad_id = pad_id, .targets = batten::same_position, .ignore_index = ignore_index}};

    std::vector<contender> contenders;
    four_tensors out;
    torch::Tensor ids;
    const auto add = [&](std::string name, auto make) {
        const auto once = [&ready, &out, make](std::size_t i) { out = make(ready[i]); };
        for (std::size_t i = 0; i < on.batches.size(); ++i) {
            once(i);
            check_bytes(expected_bytes<four_int64>(on.batches[i], false), out.written(), on.name + ", " + name);
        }
        contenders.push_back({name + ", " + malloc_kind, passes(on.batches.size(), once)});
    };
    add("libtorch, full set, masked_fill", masked);
    add("libtorch, full set, cumsum", by_cumsum);
    add("libtorch, full set, pad_sequence twice", padded_twice);
    contender alone{"libtorch, pad_sequence alone, " + malloc_kind, passes(on.batches.size(), [&ready, &ids](std::size_t i) {
                        ids = torch::nn::utils::rnn::pad_sequence(ready[i].rows, true, pad_id);
                    })};
    alone.outputs = "1 x int64";
    alone.bytes = on.cells() * 8;
    contenders.push_back(std::move(alone));
    if (with_batten) {
        contenders.push_back({"Batten into", passes(on.batches.size(), [&](std::size_t i) {
                                  collate.into(on.batches[i].rows, memory.outputs(on.batches[i].cells()));
                              })});
        // The most that anything could reach here.
        for (const named_fill& fill : machine_fills())
            if (fill.ordinary)
                contenders.push_back({std::string(fill.name), passes(on.batches.size(), [&on, &memory, fill](std::size_t i) {
                                          run_fill(fill.fill, memory.fill_parts(on.batches[i].real(), on.batches[i].cells()));
                                      })});
    }
    time_contenders(with, results,
                    {"torch", on.name, std::string(four_int64::name), "", on.cells() * four_int64::cell_bytes, on.real(),
                     on.cells(), on.batches.size()},
                    contenders);
}

}  // namespace

int main(int argc, char** argv)
{
    const settings with = parse_settings(argc, argv);
    start_harness(argv[0]);
    torch::set_num_threads(1);
    torch::InferenceMode no_gradients;
    results_file results(with.results);
    results.meta("libtorch", TORCH_VERSION);
    for (const workload_kind& kind : workload_kinds)
        if (with.only.empty() || with.only == kind.name)
            run(with, results, make_workload(kind), "malloc", false);
#if defined(__GLIBC__)
    // As the C library is: large blocks go back to the system, and every call takes page faults. Now they are kept.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
#endif
    for (const workload_kind& kind : workload_kinds)
        if (with.only.empty() || with.only == kind.name)
            run(with, results, make_workload(kind), "memory kept", true);
    return 0;
}
