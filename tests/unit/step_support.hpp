// SPDX-License-Identifier: MIT
// The obvious step: live requests as vectors, the arrays by one loop over requests and tokens.
#ifndef BATTEN_TESTS_STEP_SUPPORT_HPP_INCLUDED
#define BATTEN_TESTS_STEP_SUPPORT_HPP_INCLUDED

#include "support.hpp"

#include <batten/serve/backends.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace tests {

namespace serve = batten::serve;

struct live_request {
    std::vector<int> tokens{};
    int computed = 0;
    int scheduled = 0;
    std::vector<int> blocks{};
    int id = 0;
    int prompt = 0;
};

// Requests, and the arrays of a server that has them: columns of the block table that a request lacks hold -7.
class live_requests {
public:
    std::vector<live_request> list{};

    explicit live_requests(std::vector<live_request> requests, std::size_t max_blocks = 0) : list(std::move(requests))
    {
        for (const live_request& r : list)
            max_blocks = std::max(max_blocks, r.blocks.size());
        width_ = max_blocks;
        for (const live_request& r : list) {
            tokens.push_back(r.tokens);
            computed.push_back(r.computed);
            scheduled.push_back(r.scheduled);
            ids.push_back(r.id);
            prompts.push_back(r.prompt);
            std::vector<int> row = r.blocks;
            row.resize(width_, -7);
            table_.insert(table_.end(), row.begin(), row.end());
        }
    }

    batten::matrix_view<const int> blocks() const { return {table_.data(), list.size(), width_, width_}; }
    // Without prompt lengths, as most backends take it.
    auto inputs() const { return serve::step_inputs{tokens, computed, scheduled, blocks(), ids}; }
    auto inputs_with_prompts() const { return serve::step_inputs{tokens, computed, scheduled, blocks(), ids, prompts}; }

    ragged tokens{};
    std::vector<int> computed{};
    std::vector<int> scheduled{};
    std::vector<int> ids{};
    std::vector<int> prompts{};

private:
    std::size_t width_ = 0;
    std::vector<int> table_{};
};

// What a step of these requests, in this order, comes to.
struct expected_step {
    line ids{}, positions{}, slots{}, query_start_loc{0}, key_start_loc{0}, query_lens{}, computed{}, seq_lens{}, logits{};
    line pages{}, page_start_loc{0}, last_page_len{};
    grid blocks{};

    expected_step(const std::vector<live_request>& requests, int block_size)
    {
        for (const live_request& r : requests) {
            const int end = r.computed + r.scheduled;
            for (int p = r.computed; p < end; ++p) {
                ids.push_back(r.tokens.at(static_cast<std::size_t>(p)));
                positions.push_back(p);
                slots.push_back(r.blocks.at(static_cast<std::size_t>(p / block_size)) * block_size + p % block_size);
            }
            query_start_loc.push_back(static_cast<long long>(ids.size()));
            key_start_loc.push_back(key_start_loc.back() + end);
            query_lens.push_back(r.scheduled);
            computed.push_back(r.computed);
            seq_lens.push_back(end);
            logits.push_back(static_cast<long long>(ids.size()) - 1);
            blocks.emplace_back();
            int in_last = 0;
            for (int p = 0; p < end; ++p) {
                in_last = p % block_size == 0 ? 1 : in_last + 1;
                if (in_last == 1)
                    blocks.back().push_back(r.blocks.at(static_cast<std::size_t>(p / block_size)));
            }
            pages.insert(pages.end(), blocks.back().begin(), blocks.back().end());
            page_start_loc.push_back(static_cast<long long>(pages.size()));
            last_page_len.push_back(in_last);
        }
    }
};

// A block table with its notes.
template <class T = std::int32_t>
struct table_memory {
    explicit table_memory(std::size_t rows, std::size_t width, T fill = T{99})
        : cells(rows * width, fill), ids(rows), states(rows), rows_of(view(rows, width), ids, states)
    {
    }
    table_memory(const table_memory&) = delete;
    table_memory& operator=(const table_memory&) = delete;

    batten::matrix_view<T> view(std::size_t rows, std::size_t width) { return {cells.data(), rows, width, width}; }
    line row(std::size_t r) const { return line_of(rows_of.table().row(r)); }

    std::vector<T> cells;
    std::vector<std::uint64_t> ids;
    std::vector<serve::block_table_row_state> states;
    serve::block_table_buffer<T> rows_of;
};

// A row of blocks, padded to a width.
inline line padded_row(line row, std::size_t width, long long pad)
{
    row.resize(width, pad);
    return row;
}

// The error of a step that is none: both doors are asked.
template <class In>
error_is step_error(const In& in, const serve::step_options& options)
{
    const auto made = serve::try_step(in, options);
    CHECK_FALSE(made.has_value());
    check_throws(made.error(), [&] { static_cast<void>(serve::step(in, options)); });
    return made.error();
}

}  // namespace tests

#endif
