// SPDX-License-Identifier: MIT
// Checks of arguments that several wings make.
#ifndef BATTEN_DETAIL_CHECKS_HPP_INCLUDED
#define BATTEN_DETAIL_CHECKS_HPP_INCLUDED

#include <batten/error.hpp>

#include <cstddef>
#include <string_view>

namespace batten::detail {

// Whether the argument `name` is at least 1.
constexpr bool require_positive(std::size_t value, std::string_view name, error& reason) noexcept
{
    return value != 0 || fail(reason, error::of(errors::argument_not_positive, 0, {}, name));
}

// Whether a batch is limited by rows, by cells or by both, and no limit is 0.
constexpr bool require_batch_limit(std::size_t max_rows, std::size_t max_cells, error& reason) noexcept
{
    return require_positive(max_rows, "max_rows", reason) && require_positive(max_cells, "max_cells", reason) &&
           (max_rows != no_limit || max_cells != no_limit || fail(reason, error::of(errors::batches_unlimited)));
}

}  // namespace batten::detail

#endif
