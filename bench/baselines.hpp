// SPDX-License-Identifier: MIT
// Collation by hand, as people write it.
#ifndef BENCH_BASELINES_HPP_INCLUDED
#define BENCH_BASELINES_HPP_INCLUDED

#include "outputs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace bench {

using token_rows = std::vector<std::vector<std::int32_t>>;

inline std::size_t longest_row(const token_rows& rows)
{
    std::size_t width = 0;
    for (const auto& row : rows)
        width = std::max(width, row.size());
    return width;
}

// The loop of somebody who takes care: memory of the caller's, each row of each output by copy and fill while the tokens are
// hot.
[[gnu::noinline]] inline void fused_loop(const token_rows& rows, bool left, const four_int64::memory& to)
{
    const std::size_t width = longest_row(rows);
    std::int64_t* ids = to.ids.data();
    std::int64_t* mask = to.mask.data();
    std::int64_t* positions = to.positions.data();
    std::int64_t* labels = to.labels.data();
    for (const auto& row : rows) {
        const std::size_t begin = left ? width - row.size() : 0;
        const std::size_t end = begin + row.size();
        std::fill(ids, ids + begin, pad_id);
        std::copy(row.begin(), row.end(), ids + begin);
        std::fill(ids + end, ids + width, pad_id);
        std::fill(mask, mask + begin, 0);
        std::fill(mask + begin, mask + end, 1);
        std::fill(mask + end, mask + width, 0);
        std::fill(positions, positions + begin, 0);
        std::iota(positions + begin, positions + end, std::int64_t{0});
        std::fill(positions + end, positions + width, 0);
        std::fill(labels, labels + begin, ignore_index);
        std::copy(row.begin(), row.end(), labels + begin);
        std::fill(labels + end, labels + width, ignore_index);
        ids += width;
        mask += width;
        positions += width;
        labels += width;
    }
}

[[gnu::noinline]] inline void fused_loop(const token_rows& rows, bool left, const int32_and_mask::memory& to)
{
    const std::size_t width = longest_row(rows);
    std::int32_t* ids = to.ids.data();
    std::uint8_t* mask = to.mask.data();
    for (const auto& row : rows) {
        const std::size_t begin = left ? width - row.size() : 0;
        const std::size_t end = begin + row.size();
        std::fill(ids, ids + begin, pad_id);
        std::copy(row.begin(), row.end(), ids + begin);
        std::fill(ids + end, ids + width, pad_id);
        std::fill(mask, mask + begin, std::uint8_t{0});
        std::fill(mask + begin, mask + end, std::uint8_t{1});
        std::fill(mask + end, mask + width, std::uint8_t{0});
        ids += width;
        mask += width;
    }
}

// The same for inference, left: ids, mask, positions.
[[gnu::noinline]] inline void fused_inference(const token_rows& rows, std::int64_t* ids, std::int64_t* mask,
                                              std::int64_t* positions)
{
    const std::size_t width = longest_row(rows);
    for (const auto& row : rows) {
        const std::size_t begin = width - row.size();
        std::fill(ids, ids + begin, pad_id);
        std::copy(row.begin(), row.end(), ids + begin);
        std::fill(mask, mask + begin, 0);
        std::fill(mask + begin, mask + width, 1);
        std::fill(positions, positions + begin, 0);
        std::iota(positions + begin, positions + width, std::int64_t{0});
        ids += width;
        mask += width;
        positions += width;
    }
}

// The loop that is written most: row vectors that grow, padded by resize, flattened at the end for the framework.
template <class T>
[[gnu::noinline]] std::vector<T> flattened(const std::vector<std::vector<T>>& rows)
{
    std::vector<T> flat;
    for (const auto& row : rows)
        flat.insert(flat.end(), row.begin(), row.end());
    return flat;
}

struct grown_four_int64 {
    std::vector<std::int64_t> ids{}, mask{}, positions{}, labels{};
    byte_spans written() const
    {
        return {bytes_of(ids.data(), ids.size()), bytes_of(mask.data(), mask.size()),
                bytes_of(positions.data(), positions.size()), bytes_of(labels.data(), labels.size())};
    }
};

[[gnu::noinline]] inline grown_four_int64 grown_loop(const token_rows& rows, four_int64)
{
    const std::size_t width = longest_row(rows);
    std::vector<std::vector<std::int64_t>> ids, mask, positions, labels;
    for (const auto& row : rows) {
        std::vector<std::int64_t> i, m, p, l;
        for (std::size_t t = 0; t < row.size(); ++t) {
            i.push_back(row[t]);
            m.push_back(1);
            p.push_back(static_cast<std::int64_t>(t));
            l.push_back(row[t]);
        }
        i.resize(width, pad_id);
        m.resize(width, 0);
        p.resize(width, 0);
        l.resize(width, ignore_index);
        ids.push_back(std::move(i));
        mask.push_back(std::move(m));
        positions.push_back(std::move(p));
        labels.push_back(std::move(l));
    }
    return {flattened(ids), flattened(mask), flattened(positions), flattened(labels)};
}

struct grown_int32_and_mask {
    std::vector<std::int32_t> ids{};
    std::vector<std::uint8_t> mask{};
    byte_spans written() const { return {bytes_of(ids.data(), ids.size()), bytes_of(mask.data(), mask.size())}; }
};

[[gnu::noinline]] inline grown_int32_and_mask grown_loop(const token_rows& rows, int32_and_mask)
{
    const std::size_t width = longest_row(rows);
    std::vector<std::vector<std::int32_t>> ids;
    std::vector<std::vector<std::uint8_t>> mask;
    for (const auto& row : rows) {
        std::vector<std::int32_t> i;
        std::vector<std::uint8_t> m;
        for (const std::int32_t token : row) {
            i.push_back(token);
            m.push_back(1);
        }
        i.resize(width, pad_id);
        m.resize(width, 0);
        ids.push_back(std::move(i));
        mask.push_back(std::move(m));
    }
    return {flattened(ids), flattened(mask)};
}

}  // namespace bench

#endif
