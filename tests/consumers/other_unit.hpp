// SPDX-License-Identifier: MIT
#ifndef BATTEN_TESTS_CONSUMERS_OTHER_UNIT_HPP_INCLUDED
#define BATTEN_TESTS_CONSUMERS_OTHER_UNIT_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>

#include <vector>

namespace other_unit {

batten::basic_batch<batten::causal_lm_fields> collate(const std::vector<std::vector<int>>& prompts);
batten::error_handler swap_error_handler();

}  // namespace other_unit

#endif
