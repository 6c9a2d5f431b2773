// SPDX-License-Identifier: MIT
// Which calls allocate, and what happens where there is no memory. Every form of operator new of this program is counted here.

#include "support.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<long> allocations{0};
std::atomic<long> until_failure{0};  // the allocation that fails counts down to it; 0: none does

void* allocate(std::size_t bytes, std::size_t alignment) noexcept
{
    ++allocations;
    if (until_failure.load() > 0 && --until_failure == 0)
        return nullptr;
    if (alignment <= alignof(std::max_align_t))
        return std::malloc(bytes == 0 ? 1 : bytes);
    return std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment)
{
    void* const memory = allocate(bytes, alignment);
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

// Out of line: where the optimiser sees free beside new, it takes the two for a mistake.
[[gnu::noinline]] void release(void* memory) noexcept
{
    std::free(memory);
}

constexpr std::size_t usual = alignof(std::max_align_t);

}  // namespace

void* operator new(std::size_t bytes)
{
    return allocate_or_throw(bytes, usual);
}
void* operator new[](std::size_t bytes)
{
    return allocate_or_throw(bytes, usual);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept
{
    return allocate(bytes, usual);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept
{
    return allocate(bytes, usual);
}
void* operator new(std::size_t bytes, std::align_val_t alignment)
{
    return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment)
{
    return allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept
{
    return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept
{
    return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept
{
    release(memory);
}
void operator delete[](void* memory) noexcept
{
    release(memory);
}
void operator delete(void* memory, std::size_t) noexcept
{
    release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept
{
    release(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept
{
    release(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept
{
    release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept
{
    release(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept
{
    release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept
{
    release(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept
{
    release(memory);
}
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept
{
    release(memory);
}
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept
{
    release(memory);
}

namespace {

namespace errors = batten::errors;
using tests::error_is;
using tests::guarded_fields;
using tests::ragged;

// Allocations that `call` makes.
template <class Call>
long allocations_of(Call call)
{
    const long before = allocations;
    call();
    return allocations - before;
}

using fields = batten::training_fields;
using collator = batten::collator<batten::pad_left, batten::round_up_to<8>, batten::truncate_right, fields>;
using bucketed = batten::bucketed_collator<batten::pad_left, batten::bucketed_length, batten::truncate_right, fields>;

const ragged small_rows{{1, 2}, {3}};
const ragged large_rows(50, std::vector<int>(40, 7));
const std::vector<int> large_prompts(50, 3);

TEST_CASE("the count sees every form of operator new")
{
    struct alignas(128) wide {
        char bytes[128];
    };
    CHECK(allocations_of([] { delete new int(1); }) == 1);
    CHECK(allocations_of([] { delete[] new int[3]; }) == 1);
    CHECK(allocations_of([] { delete new wide; }) == 1);
    CHECK(allocations_of(
              [] { ::operator delete (::operator new (8, std::align_val_t{64}, std::nothrow), std::align_val_t{64}); }) == 1);
}

TEST_CASE("into never allocates, from the first call on")
{
    const collator collate{{.pad_id = 0}};
    auto memory = guarded_fields<fields>::of(collate.shape(large_rows));
    const auto out = memory.outputs();
    CHECK(allocations_of([&] { collate.into(large_rows, out); }) == 0);
    CHECK(allocations_of([&] { collate.into(batten::inputs{large_rows, large_prompts}, out); }) == 0);
    CHECK(allocations_of([&] { static_cast<void>(collate.try_into(large_rows, out).has_value()); }) == 0);
    CHECK(allocations_of([&] { static_cast<void>(collate.shape(large_rows)); }) == 0);
    CHECK(memory.only_inside());
}

TEST_CASE("into of a bucketed collator never allocates, from the first call on")
{
    std::vector<std::size_t> edges;
    for (std::size_t edge = 1; edge <= 300; ++edge)
        edges.push_back(edge);
    const bucketed collate{{.pad_id = 0, .length = {edges}}};
    auto memory = guarded_fields<fields>::of(collate.shape(large_rows));
    const auto out = memory.outputs();
    std::vector<std::size_t> order(large_rows.size());
    CHECK(allocations_of([&] { collate.into(large_rows, out, order); }) == 0);
    CHECK(memory.only_inside());
}

TEST_CASE("packed and binned batches go into the caller's memory without an allocation")
{
    const std::vector<batten::piece> pieces{{1, 0, 1}, {0, 0, 3}};
    const std::vector<std::size_t> offsets{0, 1, 2};
    const ragged rows{{1, 2, 3}, {4}};
    const batten::varlen_collator<batten::round_up_to<8>> pack{{.pad_id = 0}};
    auto flat = tests::guarded_fields<batten::varlen_fields>::of(pack.shape(rows));
    CHECK(allocations_of([&] { pack.into(rows, flat.outputs()); }) == 0);
    const batten::packed_collator<> bin{{.pad_id = 0, .length = {4}}};
    const auto in = batten::packed(rows, {pieces, offsets});
    auto binned = tests::guarded_fields<batten::packed_fields>::of(bin.shape(in));
    CHECK(allocations_of([&] { bin.into(in, binned.outputs()); }) == 0);
}

TEST_CASE("a decode step, masks and unpadding allocate nothing")
{
    const std::vector<std::int64_t> lengths{2, 4};
    std::vector<std::uint8_t> attention(2 * 8, 1);
    using kept = batten::fields<batten::attention_mask<std::uint8_t>>;
    batten::serve::decode_batch<kept> decode({.pad_id = 0}, lengths, 4, 8,
                                             batten::outputs{batten::set<batten::attention_mask>(attention)});
    std::vector<std::int64_t> ids(2), positions(2);
    const std::vector<int> tokens{5, 6};
    CHECK(allocations_of([&] {
              decode.append(tokens, batten::outputs{batten::set<batten::token_ids>(ids),
                                                    batten::set<batten::position_ids>(positions)});
          }) == 0);

    namespace mask = batten::mask;
    const auto where = batten::padded_rows(lengths, 4, batten::pad_right{});
    std::vector<mask::interval> seen(mask::interval_count(where));
    std::vector<float> dense(2 * 4 * 4);
    CHECK(allocations_of([&] { mask::additive(seen, mask::intervals(where, mask::causal{}, seen), dense); }) == 0);

    const batten::varlen_map places(where);
    std::vector<float> padded(2 * 4 * 3), packed(6 * 3);
    CHECK(allocations_of([&] { places.gather_rows(padded, 3, packed); }) == 0);
}

TEST_CASE("queue, pool, schedule and step of a server allocate when they are made, and never again")
{
    namespace serve = batten::serve;
    using ticks = std::int64_t;
    constexpr std::size_t rows = 4, context = 32, width = 8;
    serve::request_queue<ticks> queue({.edges = {8, 32},
                                       .max_rows = 2,
                                       .capacity = 8,
                                       .priorities = 2,
                                       .max_queue_delay = 5,
                                       .deadline_margin = 1});
    serve::block_pool pool({.blocks = 20, .block_size = 4});
    std::vector<serve::block_id> table(rows * width);
    std::vector<serve::block_list> lists;
    for (std::size_t r = 0; r < rows; ++r)
        lists.emplace_back(pool, std::span(table).subspan(r * width, width));
    std::vector<int> tokens(rows * context, 7), known(rows), computed(rows), scheduled(rows);
    std::vector<std::uint32_t> running;
    running.reserve(rows);
    std::vector<std::uint64_t> ids(rows), table_ids(rows);
    std::vector<std::int32_t> step_table(rows * width), input_ids(64), starts(rows + 1), seq_lens(rows), logits(rows);
    std::vector<std::int64_t> positions(64), slots(64);
    std::vector<serve::block_table_row_state> states(rows);
    serve::block_table_buffer<std::int32_t> rows_of({step_table.data(), rows, width, width}, table_ids, states);
    const serve::vllm_v1 arrays{.input_ids = input_ids,
                                .positions = positions,
                                .slot_mapping = slots,
                                .query_start_loc = starts,
                                .seq_lens = seq_lens,
                                .logits_indices = logits,
                                .block_table = rows_of};
    std::size_t steps = 0;
    const auto serve_all = [&] {
        for (ticks now = 0; now < 200; ++now) {
            const auto id = static_cast<std::uint64_t>(now);
            static_cast<void>(queue.try_push({id, 1 + id % 20, id % 2, id % 3 == 0 ? std::optional(now + 4) : std::nullopt, {}},
                                             now));
            static_cast<void>(queue.try_cancel(id / 2));
            for (std::size_t r = 0; r < rows; ++r)  // who has said three words leaves
                if (known[r] != 0 && known[r] == computed[r] + 1 && known[r] % 4 == 3) {
                    lists[r].clear();
                    known[r] = computed[r] = 0;
                }
            if (std::count(known.begin(), known.end(), 0) >= 2)
                if (const auto left = queue.poll(now); left && left->reason != serve::ready_reason::expired)
                    for (const auto& one : left->requests) {
                        const auto r = static_cast<std::size_t>(std::find(known.begin(), known.end(), 0) - known.begin());
                        known[r] = static_cast<int>(one.length);
                        ids[r] = one.id;
                    }
            serve::schedule(serve::live_requests{computed, known}, {.max_tokens = 16, .max_requests = rows}, scheduled);
            running.clear();
            for (std::size_t r = 0; r < rows; ++r)
                if (scheduled[r] != 0 && lists[r].append(static_cast<std::size_t>(scheduled[r])))
                    running.push_back(static_cast<std::uint32_t>(r));
            if (running.empty())
                continue;
            const batten::strided_sequences all(tokens, context, known);
            const serve::step_inputs in{all, computed, scheduled, batten::matrix_view<const serve::block_id>(
                                                                      table.data(), rows, width, width), ids};
            const serve::step step(batten::select(in, running), {.cache = {.blocks = 20, .block_size = 4}});
            serve::write(step, arrays, {.tokens = 32, .requests = rows});
            ++steps;
            for (const std::uint32_t r : running) {
                computed[r] += scheduled[r];
                known[r] += computed[r] == known[r] && known[r] < static_cast<int>(context) ? 1 : 0;
            }
        }
    };
    CHECK(allocations_of(serve_all) == 0);
    CHECK(steps > 100);
}

TEST_CASE("a queue and a pool for which there is no memory are errors")
{
    using queue = batten::serve::request_queue<int>;
    const batten::serve::queue_options<int> options{.edges = {8}, .max_rows = 2, .capacity = 100};
    const auto check_no_memory = [](long failing, auto make) {
        until_failure = failing;
        const auto made = make();
        const bool has_failed = until_failure == 0;
        until_failure = 0;
        CHECK(has_failed);
        CHECK(made.error().code == errors::out_of_memory);
    };
    for (long failing = 2; failing <= 5; ++failing)  // the first copies the options
        check_no_memory(failing, [&] { return queue::try_make(options); });
    for (long failing = 1; failing <= 2; ++failing)
        check_no_memory(failing, [] { return batten::serve::block_pool::try_make({.blocks = 100}); });
}

TEST_CASE("an error from a try_ call allocates nothing either")
{
    const batten::collator<batten::pad_left, batten::fixed_length> collate{{.pad_id = 0, .length = {2}}};
    CHECK(allocations_of([&] { static_cast<void>(collate.try_shape(large_rows).has_value()); }) == 0);
    CHECK(allocations_of([&] { static_cast<void>(collate.try_collate(large_rows).has_value()); }) == 0);
}

TEST_CASE("an owning call allocates")
{
    const collator collate{{.pad_id = 0}};
    CHECK(allocations_of([&] { static_cast<void>(collate(large_rows)); }) > 0);
    const bucketed buckets{{.pad_id = 0, .length = {8, 64}}};
    CHECK(allocations_of([&] { static_cast<void>(buckets(large_rows)); }) > 0);
}

TEST_CASE("a reusing call allocates only where the batch has less room than it needs")
{
    const collator collate{{.pad_id = 0}};
    collator::batch_type batch;
    CHECK(allocations_of([&] { collate(large_rows, batch); }) > 0);
    CHECK(allocations_of([&] { collate(large_rows, batch); }) == 0);
    CHECK(allocations_of([&] { collate(small_rows, batch); }) == 0);
    CHECK(allocations_of([&] { collate(ragged{}, batch); }) == 0);
    CHECK(allocations_of([&] { collate(large_rows, batch); }) == 0);  // it had that room once
    const ragged larger(51, std::vector<int>(40, 7));
    CHECK(allocations_of([&] { collate(larger, batch); }) > 0);
    CHECK(allocations_of([&] { collate(larger, batch); }) == 0);
}

TEST_CASE("a reusing call of a bucketed collator allocates nothing once it is warm")
{
    const bucketed collate{{.pad_id = 0, .length = {8, 64}}};
    bucketed::batch_type batches;
    collate(large_rows, batches);
    collate(large_rows, batches);
    CHECK(allocations_of([&] { collate(large_rows, batches); }) == 0);
    CHECK(allocations_of([&] { collate(small_rows, batches); }) == 0);
    CHECK(allocations_of([&] { collate(ragged{}, batches); }) == 0);
    CHECK(allocations_of([&] { collate(large_rows, batches); }) == 0);
}

TEST_CASE("moving a batch allocates nothing")
{
    const collator collate{{.pad_id = 0}};
    auto batch = collate(large_rows);
    CHECK(allocations_of([&] {
              auto moved = std::move(batch);
              batch = std::move(moved);
          }) == 0);
    CHECK(batch.rows() == 50);
}

// Lets each allocation of a reusing call fail in its turn: each is an error, and the batch is as before.
template <class Collator>
void check_out_of_memory(const Collator& collate)
{
    typename Collator::batch_type batch;
    collate(small_rows, batch);
    const auto before = tests::contents(batch);
    bool done = false;
    long failures = 0;
    while (!done && failures < 100) {
        until_failure = failures + 1;
        const auto result = collate.try_collate(large_rows, batch);
        done = until_failure > 0;  // it asked for less often than that
        until_failure = 0;
        if (done) {
            CHECK(result.has_value());
            break;
        }
        ++failures;
        CHECK(result.error().code == errors::out_of_memory);
        CHECK_FALSE(result.has_value());
        CHECK(tests::contents(batch) == before);
    }
    CHECK(done);
    CHECK(failures >= 5);
    CHECK(batch.summary().real_tokens == 50 * 40);
}

TEST_CASE("where there is no memory the call is an error, and a reused batch is as before")
{
    check_out_of_memory(collator{{.pad_id = 0}});
    check_out_of_memory(bucketed{{.pad_id = 0, .length = {8, 64}}});
}

TEST_CASE("the error says how many bytes there were none of")
{
    const batten::collator<batten::pad_left, batten::fixed_length, batten::reject,
                           batten::fields<batten::token_ids<std::int32_t>>>
        collate{{.pad_id = 0, .length = {100}}};
    until_failure = 1;
    const auto result = collate.try_collate(small_rows);
    until_failure = 0;
    REQUIRE_FALSE(result.has_value());
    CHECK(error_is(result.error()) == error_is(errors::out_of_memory, tests::no_row, 2 * 100 * 4));
    CHECK(result.error().message() == "batten: 800 bytes could not be allocated");
}

TEST_CASE("a copy for which there is no memory throws bad_alloc")
{
    const collator collate{{.pad_id = 0}};
    const auto batch = collate(small_rows);
    bool thrown = false;
    until_failure = 1;
    try {
        const auto copy = batch;
        static_cast<void>(copy);
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    until_failure = 0;
    CHECK(thrown);
}

}  // namespace
