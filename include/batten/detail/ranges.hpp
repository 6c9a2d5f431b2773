// SPDX-License-Identifier: MIT
// The concepts and accesses of ranges (std::ranges::contiguous_range, size, data, ...) without what <ranges> brings along.
#ifndef BATTEN_DETAIL_RANGES_HPP_INCLUDED
#define BATTEN_DETAIL_RANGES_HPP_INCLUDED

// libstdc++ defines them with <iterator> and <span>; its <ranges> adds views and streams, which take a compiler a tenth of a
// second in every program that collates. Other libraries get the header that the standard names.
#include <iterator>
#include <span>
#if !defined(__GLIBCXX__)
#include <ranges>
#endif

#endif
