// SPDX-License-Identifier: MIT
// Attention masks as intervals, bits, bytes or additive values, and masked language modelling. All headers of batten/mask.
#ifndef BATTEN_MASK_HPP_INCLUDED
#define BATTEN_MASK_HPP_INCLUDED

#include <batten/mask/dense.hpp>
#include <batten/mask/errors.hpp>
#include <batten/mask/intervals.hpp>
#include <batten/mask/mlm.hpp>
#include <batten/mask/queries.hpp>

#endif
