// SPDX-License-Identifier: MIT
// What the snippets of the README stand on: its first program's includes and variables.
#ifndef BATTEN_TESTS_README_PRELUDE_HPP_INCLUDED
#define BATTEN_TESTS_README_PRELUDE_HPP_INCLUDED

#include <batten/batten.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <span>
#include <string_view>
#include <vector>

static const std::vector<std::vector<int>> prompts{{101, 102}, {103, 104, 105, 106}};
static const batten::collator<batten::pad_right, batten::dynamic_length> collate{{.pad_id = 0}};

#endif
