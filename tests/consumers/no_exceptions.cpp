// SPDX-License-Identifier: MIT
// Built with -fno-exceptions -fno-rtti. What it does is the first argument: one ctest entry each.
#include <batten/batten.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#error "this program is to be built with -fno-exceptions -fno-rtti"
#endif

using collator = batten::collator<batten::pad_left, batten::fixed_length>;

// Row 1 is one token over the limit.
static const std::vector<std::vector<int>> rows{{1, 2}, {3, 4, 5, 6, 7}};

static bool is_row_1_over_the_limit(const batten::error& reason)
{
    return reason.code == batten::errors::row_over_limit && reason.row == 1 && reason.first == batten::integer(5) &&
           reason.second == batten::integer(4);
}

// Every call that has no exception to throw says what is wrong by its result.
static bool try_calls_return_the_error()
{
    const auto no_length = collator::try_make({.pad_id = 0, .length = {0}});
    if (no_length || no_length.error().code != batten::errors::length_not_positive)
        return false;

    const auto made = collator::try_make({.pad_id = 0, .length = {4}});
    if (!made)
        return false;
    const auto shape = made->try_shape(rows);
    if (shape || !is_row_1_over_the_limit(shape.error()))
        return false;
    const auto batch = made->try_collate(rows);
    if (batch || !is_row_1_over_the_limit(batch.error()))
        return false;

    std::vector<std::int64_t> ids(8, 42);
    std::vector<std::int64_t> mask(8, 42);
    std::vector<std::int64_t> positions(8, 42);
    std::vector<std::int64_t> loss(8, 42);
    const auto written = made->try_into(
        rows, batten::outputs{batten::set<batten::token_ids>(ids), batten::set<batten::attention_mask>(mask),
                              batten::set<batten::position_ids>(positions), batten::set<batten::loss_mask>(loss)});
    if (written || !is_row_1_over_the_limit(written.error()))
        return false;
    return ids == std::vector<std::int64_t>(8, 42);
}

static bool try_calls_return_the_batch()
{
    const auto made = collator::try_make({.pad_id = 0, .length = {5}});
    if (!made)
        return false;
    const auto batch = made->try_collate(rows);
    if (!batch)
        return false;
    const std::vector<std::int64_t> expected{0, 0, 0, 1, 2, 3, 4, 5, 6, 7};
    const auto ids = batch->token_ids();
    return std::vector<std::int64_t>(ids.begin(), ids.end()) == expected;
}

int main(int argc, char** argv)
{
    const char* const mode = argc == 2 ? argv[1] : "";
    if (std::strcmp(mode, "try_calls") == 0)
        return try_calls_return_the_error() && try_calls_return_the_batch() ? 0 : 1;

    if (std::strcmp(mode, "own_handler") == 0) {
        batten::set_error_handler([](const batten::error& reason) {
            std::fprintf(stderr, "the handler got row %zu\n", reason.row);
            std::_Exit(is_row_1_over_the_limit(reason) ? 42 : 1);
        });
    } else if (std::strcmp(mode, "handler_that_returns") == 0) {
        batten::set_error_handler([](const batten::error&) { std::fputs("the handler returned\n", stderr); });
    } else if (std::strcmp(mode, "default_handler_again") == 0) {
        batten::set_error_handler([](const batten::error&) { std::_Exit(1); });
        batten::set_error_handler(nullptr);
    } else if (std::strcmp(mode, "default_handler") != 0) {
        std::fputs("which mode?\n", stderr);
        return 1;
    }

    // A call that throws elsewhere: it must not come back.
    const collator collate{{.pad_id = 0, .length = {4}}};
    static_cast<void>(collate(rows));
    std::fputs("the call came back\n", stderr);
    return 0;
}
