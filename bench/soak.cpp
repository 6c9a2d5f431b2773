// SPDX-License-Identifier: MIT
// Ten million simulated requests through queue, schedule, pool and step (tests/unit/serve_soak.hpp): how many ended, and that
// none was lost or ended twice and no block was kept. A server that is wrong ends the run.
#include "measure.hpp"

#include "../tests/unit/serve_soak.hpp"

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <utility>

int main(int argc, char** argv)
{
    const bench::settings with = bench::parse_settings(argc, argv);
    bench::results_file results(with.results);
    const std::size_t requests = with.quick ? 100'000 : 10'000'000;
    soak::server server(requests);
    const auto begin = std::chrono::steady_clock::now();
    server.run();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    const std::pair<const char*, std::size_t> counts[] = {
        {"requests", requests},
        {"ended, each once", server.ended()},
        {"finished", server.count(soak::fate::finished)},
        {"cancelled", server.count(soak::fate::cancelled)},
        {"expired", server.count(soak::fate::expired)},
        {"times the queue was full", server.refused},
        {"forks", server.forks},
        {"blocks copied on write", server.copies},
        {"preempted for want of blocks", server.preempted},
        {"blocks never given back", server.pool().live_blocks()},
        {"requests a second", static_cast<std::size_t>(static_cast<double>(requests) / taken.count())},
    };
    for (const auto& [name, count] : counts)
        results.count("soak", name, count);
    if (server.is_good && server.ended() == requests && server.pool().live_blocks() == 0)
        return 0;
    std::fprintf(stderr, "wrong: soak\n");
    return 1;
}
