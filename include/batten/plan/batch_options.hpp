// SPDX-License-Identifier: MIT
// What a batch plan is asked for: grouping, limits, order, seed.
#ifndef BATTEN_PLAN_BATCH_OPTIONS_HPP_INCLUDED
#define BATTEN_PLAN_BATCH_OPTIONS_HPP_INCLUDED

#include <batten/integer.hpp>
#include <batten/length.hpp>

#include <cstddef>
#include <cstdint>

namespace batten::plan {

// Which sequences come together.
enum class grouping : unsigned char {
    as_given,  // as they come
    shuffled,    // in an order drawn from the seed
    sorted,      // by length, shortest first, equal lengths as they come
    windows,     // shuffled, then sorted within windows of .window sequences
    bucketed,    // by bucket of .edges; in each as they come, or in a drawn order where batches are shuffled
};

// Of a batch that is left over with fewer rows than its limits allow: the last one of a plan, or of a bucket.
enum class last_batch : unsigned char {
    keep,
    drop,
    fill,  // up to the limits, with rows of the same group once more, neighbours in length first where they are sorted
};

// Of a sequence that is over the budget alone.
enum class over_max_cells : unsigned char {
    is_error,
    is_alone,  // a batch of its own
};

// Of sorted sequences and windows: how the cuts between batches are chosen. Either makes the fewest batches that there can be.
enum class objective : unsigned char {
    fewest_batches,  // found from the longest on, O(batches)
    least_padding,   // the fewest pads among those, O(n log n)
};

// In which order the batches stand.
enum class batch_order : unsigned char {
    planned,        // that of the grouping
    longest_first,  // widest first, so that memory runs out at once or never
    shuffled,       // drawn from the seed, steps as a whole
};

// At least one of rows and budget is needed.
struct batch_options {
    grouping group = grouping::sorted;
    std::size_t max_rows = no_limit;   // of a batch
    std::size_t max_cells = no_limit;  // of a batch, pads included: rows * width, never real tokens
    std::size_t multiple = 1;          // widths are multiples of it
    std::size_t window = 1600;         // sequences; rounded up to a multiple of .max_rows
    bucketed_length edges{};           // for grouping::bucketed
    last_batch last = last_batch::keep;
    over_max_cells over = over_max_cells::is_error;
    objective aim = objective::fewest_batches;
    batch_order order = batch_order::planned;
    std::size_t batches_per_step = 1;  // ranks that take one batch each per step: see ranks.hpp
    std::uint64_t seed = 0;
    std::uint64_t epoch = 0;           // another epoch, another draw
};

}  // namespace batten::plan

#endif
