// SPDX-License-Identifier: MIT
// Batches are the same bytes whatever runs the pieces: in order, backwards, on threads.

#include "catch.hpp"

#include <batten/batten.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

std::vector<std::vector<int>> documents(std::size_t rows)
{
    std::vector<std::vector<int>> all(rows);
    for (std::size_t i = 0; i < rows; ++i) {
        all[i].resize(i * 7919 % 900);
        for (std::size_t j = 0; j < all[i].size(); ++j)
            all[i][j] = static_cast<int>(i * 31 + j);
    }
    return all;
}

struct backwards {
    void operator()(std::size_t n, auto&& body) const
    {
        while (n-- > 0)
            body(n);
    }
};

// Counts, too, that each piece is run once.
struct on_threads {
    std::size_t workers = 2;

    void operator()(std::size_t n, auto&& body) const
    {
        std::atomic<std::size_t> next{0};
        std::vector<std::jthread> threads;
        for (std::size_t t = 0; t < workers; ++t)
            threads.emplace_back([&] {
                for (std::size_t i = next++; i < n; i = next++)
                    body(i);
            });
    }
};

struct counting {
    std::size_t* pieces;
    void operator()(std::size_t n, auto&& body) const
    {
        *pieces += n;
        for (std::size_t i = 0; i < n; ++i)
            body(i);
    }
};

template <class A, class B>
bool same_fields(const A& a, const B& b)
{
    return std::ranges::equal(a.token_ids(), b.token_ids()) && std::ranges::equal(a.attention_mask(), b.attention_mask()) &&
           std::ranges::equal(a.position_ids(), b.position_ids()) && std::ranges::equal(a.loss_mask(), b.loss_mask()) &&
           std::ranges::equal(a.labels(), b.labels()) && std::ranges::equal(a.lengths(), b.lengths()) &&
           std::ranges::equal(a.target_counts(), b.target_counts()) && a.summary() == b.summary();
}

template <class Collator, class Check>
void on_every_executor(const Collator& collate, const std::vector<std::vector<int>>& rows, Check check)
{
    const auto expected = collate(rows);
    const auto try_on = [&](const auto& executor) {
        typename Collator::batch_type batch;
        CHECK(collate(rows, batch, executor).summary == expected.summary());
        check(batch, expected);
    };
    try_on(batten::serial{});
    try_on(backwards{});
    for (std::size_t workers = 1; workers <= 7; ++workers)
        try_on(on_threads{workers});
}

}  // namespace

TEST_CASE("a batch is the same bytes whatever the executor and the number of workers")
{
    const auto rows = documents(1500);
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, batten::training_fields> collate{
        {.pad_id = 0}};
    on_every_executor(collate, rows, [](const auto& batch, const auto& expected) { CHECK(same_fields(batch, expected)); });
}

TEST_CASE("bucketed batches are the same bytes whatever the executor and the number of workers")
{
    const auto rows = documents(1500);
    const batten::bucketed_collator<batten::pad_right, batten::bucketed_length, batten::reject, batten::training_fields> collate{
        {.pad_id = 0, .length = {64, 256, 1024}}};
    on_every_executor(collate, rows, [](const auto& batches, const auto& expected) {
        REQUIRE(batches.size() == expected.size());
        CHECK(std::ranges::equal(batches.order(), expected.order()));
        for (std::size_t i = 0; i < batches.size(); ++i)
            CHECK(same_fields(batches[i], expected[i]));
    });
}

TEST_CASE("into the caller's memory, an executor writes what the serial call writes")
{
    const auto rows = documents(700);
    const batten::collator<batten::pad_right, batten::dynamic_length, batten::reject, batten::encoder_fields> collate{
        {.pad_id = 0}};
    const auto expected = collate(rows);
    std::vector<std::int64_t> ids(expected.token_ids().size(), -1);
    std::vector<std::int64_t> mask(ids.size(), -1);
    collate.into(rows, batten::outputs{batten::set<batten::token_ids>(ids), batten::set<batten::attention_mask>(mask)},
                 on_threads{3});
    CHECK(std::ranges::equal(ids, expected.token_ids()));
    CHECK(std::ranges::equal(mask, expected.attention_mask()));
}

TEST_CASE("large batches come in several pieces, an empty one in none")
{
    const batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};
    decltype(collate)::batch_type batch;
    std::size_t pieces = 0;
    collate(documents(1500), batch, counting{&pieces});
    CHECK(pieces > 8);
    pieces = 0;
    collate(documents(0), batch, counting{&pieces});
    CHECK(pieces == 0);
}

TEST_CASE("an executor is not asked where the inputs are bad")
{
    const batten::collator<batten::pad_right, batten::fixed_length> collate{{.pad_id = 0, .length = {8}}};
    decltype(collate)::batch_type batch;
    std::size_t pieces = 0;
    CHECK_FALSE(collate.try_collate(documents(10), batch, counting{&pieces}));
    CHECK(pieces == 0);
}
