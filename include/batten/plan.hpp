// SPDX-License-Identifier: MIT
// Planning: which sequences share a batch, a bucket or a row, and what padding costs. All headers of batten/plan.
#ifndef BATTEN_PLAN_HPP_INCLUDED
#define BATTEN_PLAN_HPP_INCLUDED

#include <batten/plan/batch_options.hpp>
#include <batten/plan/batch_plan.hpp>
#include <batten/plan/batches.hpp>
#include <batten/plan/best_fit.hpp>
#include <batten/plan/edges.hpp>
#include <batten/plan/errors.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/next_fit.hpp>
#include <batten/plan/order.hpp>
#include <batten/plan/packing.hpp>
#include <batten/plan/ranks.hpp>
#include <batten/plan/stream.hpp>
#include <batten/plan/tight.hpp>
#include <batten/plan/waste.hpp>

#endif
