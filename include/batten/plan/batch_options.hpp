// SPDX-License-Identifier: MIT
// What a batch plan is asked for: grouping, limits, order, seed.
#ifndef BATTEN_PLAN_BATCH_OPTIONS_HPP_INCLUDED
#define BATTEN_PLAN_BATCH_OPTIONS_HPP_INCLUDED

#include <batten/integer.hpp>
#include <batten/length.hpp>

#include <cstddef>
#include <cstdint>

namespace batten::plan {

// Which sequences share a batch.
enum class grouping : unsigned char {
    as_given,    // in the order of the lengths
    shuffled,    // in an order drawn from the seed
    sorted,      // by length, shortest first, equal lengths in their order
    windows,     // shuffled, then sorted within windows of .window sequences
    bucketed,    // by bucket of .edges; in each in their order, or in a drawn order where batches are shuffled
};

// What to do with a last batch that is not full, of a plan or of a bucket.
enum class last_batch : unsigned char {
    keep,
    drop,
    fill,  // up to the limits, by repeating rows of the same group, the next in length first where they are sorted
};

// What to do with a single sequence that exceeds max_cells.
enum class over_max_cells : unsigned char {
    is_error,
    is_alone,  // a batch of its own
};

// How sorted sequences and windows are cut into batches. Both choices make the fewest batches possible.
enum class objective : unsigned char {
    fewest_batches,  // cut from the longest sequence down, O(batches)
    least_padding,   // the cuts with the fewest pads, O(n log n)
};

// The order of the batches in the plan.
enum class batch_order : unsigned char {
    planned,        // that of the grouping
    longest_first,  // widest first: if memory runs out, it does in the first batch
    shuffled,       // drawn from the seed, steps as a whole
};

// A plan needs max_rows, max_cells or both.
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
    std::uint64_t epoch = 0;           // each epoch has its own draws
};

}  // namespace batten::plan

#endif
