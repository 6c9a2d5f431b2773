// SPDX-License-Identifier: MIT
// Catch2 of either version: 3 has a header for each part, 2 has one.
#ifndef BATTEN_TESTS_CATCH_HPP_INCLUDED
#define BATTEN_TESTS_CATCH_HPP_INCLUDED

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_test_macros.hpp>
#else
#include <catch2/catch.hpp>
#endif

#endif
