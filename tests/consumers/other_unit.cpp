// SPDX-License-Identifier: MIT
#include "other_unit.hpp"

#ifdef INCLUDE_ALL
#include <batten/batten.hpp>
#else
#include <batten/collator.hpp>
#endif

batten::basic_batch<batten::causal_lm_fields> other_unit::collate(const std::vector<std::vector<int>>& prompts)
{
    return batten::collator<batten::pad_right, batten::dynamic_length>{{.pad_id = 0}}(prompts);
}

batten::error_handler other_unit::swap_error_handler() { return batten::set_error_handler(nullptr); }
