// SPDX-License-Identifier: MIT
// What every consumer builds: two translation units that include a collator, or with INCLUDE_ALL everything, and agree.
#include "other_unit.hpp"

#ifdef INCLUDE_ALL
#include <batten/batten.hpp>
#else
#include <batten/collator.hpp>
#endif

#include <cstdint>
#include <cstdio>
#include <vector>

int main()
{
    const std::vector<std::vector<int>> prompts{{101, 102}, {103, 104, 105, 106}};
    batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    const auto here = collate(prompts);
    const auto there = other_unit::collate(prompts);

    const std::vector<std::int64_t> expected{101, 102, 0, 0, 103, 104, 105, 106};
    const auto is_expected = [&](auto ids) { return std::vector<std::int64_t>(ids.begin(), ids.end()) == expected; };
    if (!is_expected(here.token_ids()) || !is_expected(there.token_ids())) {
        std::fputs("the token ids are wrong\n", stderr);
        return 1;
    }

    // What is one object in the program must be the same object in both units.
    const batten::error_handler mine = [](const batten::error&) {};
    batten::set_error_handler(mine);
    if (other_unit::swap_error_handler() != mine) {
        std::fputs("the two units have an error handler each\n", stderr);
        return 1;
    }
    std::puts("collated in both units");
}
