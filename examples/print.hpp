// SPDX-License-Identifier: MIT
// Prints a matrix of a batch. What the examples share, so that each shows its own point alone.
#ifndef BATTEN_EXAMPLES_PRINT_HPP_INCLUDED
#define BATTEN_EXAMPLES_PRINT_HPP_INCLUDED

#include <batten/batch.hpp>

#include <cstddef>
#include <iomanip>
#include <iostream>
#include <string_view>

template <class T>
void print(std::string_view name, batten::matrix_view<T> matrix)
{
    std::cout << name << '\n';
    for (std::size_t r = 0; r < matrix.rows(); ++r) {
        for (const auto cell : matrix.row(r))
            std::cout << std::setw(6) << +cell;  // the plus: a byte is a number here, not a character
        std::cout << '\n';
    }
}

#endif
