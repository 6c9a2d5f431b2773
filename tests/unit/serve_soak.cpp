// SPDX-License-Identifier: MIT
// The days of a server in serve_soak.hpp, and that they would show what is wrong. bench/soak.cpp runs as many as are asked for
// whatever the build.

#include "serve_soak.hpp"

#include "support.hpp"

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <vector>

namespace {

// Ten million where the compiler optimises; unoptimised builds and those with assertions and sanitizers have time for fewer.
#if defined(NDEBUG) && defined(__OPTIMIZE__)
constexpr std::size_t most_requests = 10'000'000;
#else
constexpr std::size_t most_requests = 200'000;
#endif

using soak::fate;

}  // namespace

TEST_CASE("of millions of requests none is lost, none ends twice, and every block comes back")
{
    soak::server server(most_requests);
    server.run();
    std::cout << "serve_soak: " << most_requests << " requests, " << server.count(fate::finished) << " finished, "
              << server.count(fate::cancelled) << " cancelled, " << server.count(fate::expired) << " expired; "
              << server.refused << " times the queue was full; " << server.forks << " forks, " << server.copies << " copies, "
              << server.preempted << " preempted\n";
    CHECK(server.is_good);
    CHECK(server.ended() == most_requests);
    CHECK(server.pool().live_blocks() == 0);
    std::vector<batten::serve::block_id> all(server.pool().free_blocks());
    CHECK(server.pool().allocate(all));
    std::sort(all.begin(), all.end());
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
    // Nothing was left out.
    for (const std::size_t happened : {server.count(fate::cancelled), server.count(fate::expired), server.refused,
                                       server.forks, server.copies, server.preempted})
        CHECK(happened > most_requests / 1000);
}

TEST_CASE("the simulation notices a block that nobody gives back, and a request that nobody sent")
{
    soak::server with_loss(1000);
    CHECK(with_loss.pool().allocate());
    with_loss.run();
    CHECK_FALSE(with_loss.is_good);

    soak::server with_stranger(1000);
    with_stranger.queue().push({1000, 5, 0, {}, {}}, 0);
    with_stranger.run();
    CHECK_FALSE(with_stranger.is_good);

    soak::server without(1000);
    without.run();
    CHECK(without.is_good);
}
