// SPDX-License-Identifier: MIT
// Stores that go round the caches write the same bytes, and nothing beside them.

#include "catch.hpp"

#include <batten/batten.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

std::vector<std::vector<int>> rows_of(std::size_t rows, std::size_t longest)
{
    std::vector<std::vector<int>> all(rows);
    for (std::size_t i = 0; i < rows; ++i)
        all[i].assign((i * 7919 + 3) % (longest + 1), static_cast<int>(i + 1));
    return all;
}

using training = batten::fields<batten::token_ids<>, batten::attention_mask<std::uint8_t>, batten::position_ids<std::int32_t>,
                                batten::loss_mask<float>, batten::labels<>>;

template <class Side>
void same_bytes(std::size_t rows, std::size_t longest)
{
    const auto sequences = rows_of(rows, longest);
    const batten::collator<Side, batten::dynamic_length, batten::reject, training> ordinary{{.pad_id = 0}};
    const batten::collator<Side, batten::dynamic_length, batten::reject, training> streaming{
        {.pad_id = 0, .stores = batten::non_temporal}};
    const auto expected = ordinary(sequences);
    const auto batch = streaming(sequences);
    CHECK(std::ranges::equal(batch.token_ids(), expected.token_ids()));
    CHECK(std::ranges::equal(batch.attention_mask(), expected.attention_mask()));
    CHECK(std::ranges::equal(batch.position_ids(), expected.position_ids()));
    CHECK(std::ranges::equal(batch.loss_mask(), expected.loss_mask()));
    CHECK(std::ranges::equal(batch.labels(), expected.labels()));
    CHECK(std::ranges::equal(batch.lengths(), expected.lengths()));
    CHECK(batch.summary() == expected.summary());
}

}  // namespace

TEST_CASE("non-temporal stores write the same bytes, on rows of every length and alignment")
{
    for (const std::size_t longest : {0U, 1U, 7U, 8U, 9U, 63U, 64U, 65U, 200U, 1001U}) {
        same_bytes<batten::pad_right>(37, longest);
        same_bytes<batten::pad_left>(37, longest);
    }
    same_bytes<batten::pad_right>(0, 5);
    same_bytes<batten::pad_right>(3, 9000);  // rows wider than the stage
}

TEST_CASE("non-temporal stores keep to the cells of the span, whatever its address and row_stride")
{
    const auto sequences = rows_of(11, 40);
    const batten::collator<batten::pad_right, batten::fixed_length, batten::reject, batten::encoder_fields> collate{
        {.pad_id = 0, .length = {40}, .stores = batten::non_temporal}};
    const auto expected = collate(sequences);
    for (std::size_t offset = 0; offset < 9; ++offset)
        for (const std::size_t row_stride : {40U, 43U, 64U}) {
            std::vector<std::int64_t> ids(offset + 11 * row_stride + 16, 77);
            std::vector<std::int64_t> mask(11 * 40);
            const std::span<std::int64_t> cells(ids.data() + offset, 10 * row_stride + 40);
            collate.into(sequences,
                         batten::outputs{batten::set<batten::token_ids>(cells, row_stride), batten::set<batten::attention_mask>(mask)});
            bool right = true;
            for (std::size_t i = 0; i < ids.size(); ++i) {
                const bool inside = i >= offset && i - offset < 11 * row_stride && (i - offset) % row_stride < 40;
                const std::int64_t value =
                    inside ? expected.token_ids((i - offset) / row_stride)[(i - offset) % row_stride] : std::int64_t{77};
                right = right && ids[i] == value;
            }
            CHECK(right);
        }
}

namespace {

// Writes the number of the row, which only the segment and the pads tell.
struct row_number {
    using value_type = std::int64_t;
    void write(const auto& segment, std::span<value_type> out) const
    {
        batten::cells::fill(out, static_cast<value_type>(segment.row));
    }
    void pad(const batten::pad_run& pads, std::span<value_type> out) const
    {
        batten::cells::fill(out, -static_cast<value_type>(pads.row));
    }
};

}  // namespace

TEST_CASE("a field that asks for its row is told the same with non-temporal stores")
{
    const auto sequences = rows_of(23, 50);
    using fields = batten::fields<row_number>;
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> ordinary{{}};
    const batten::collator<batten::pad_left, batten::dynamic_length, batten::reject, fields> streaming{
        {.stores = batten::non_temporal}};
    const auto expected = ordinary(sequences);
    const auto batch = streaming(sequences);
    CHECK(batch.view<row_number>()(22, batch.width() - 1) * batch.view<row_number>()(22, batch.width() - 1) == 22 * 22);
    CHECK(std::ranges::equal(batch.get<row_number>(), expected.get<row_number>()));
}

TEST_CASE("bucketed batches and executors take non-temporal stores as well")
{
    const auto sequences = rows_of(900, 300);
    const batten::bucketed_collator<batten::pad_left> ordinary{{.pad_id = 0, .length = {32, 128, 512}}};
    const batten::bucketed_collator<batten::pad_left> streaming{
        {.pad_id = 0, .length = {32, 128, 512}, .stores = batten::non_temporal}};
    const auto on_two = [](std::size_t n, auto&& body) {
        std::jthread other([&] {
            for (std::size_t i = 0; i < n; i += 2)
                body(i);
        });
        for (std::size_t i = 1; i < n; i += 2)
            body(i);
    };
    const auto expected = ordinary(sequences);
    decltype(ordinary)::batch_type batches;
    streaming(sequences, batches, on_two);
    REQUIRE(batches.size() == expected.size());
    for (std::size_t i = 0; i < batches.size(); ++i)
        CHECK(std::ranges::equal(batches[i].token_ids(), expected[i].token_ids()));
}
