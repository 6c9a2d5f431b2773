// SPDX-License-Identifier: MIT
// Batten: ragged token sequences in, batches out, as plain spans. Everything at once; each header also stands alone.
#ifndef BATTEN_BATTEN_HPP_INCLUDED
#define BATTEN_BATTEN_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/bucketed.hpp>
#include <batten/collator.hpp>
#include <batten/error.hpp>
#include <batten/field.hpp>
#include <batten/fill.hpp>
#include <batten/layout.hpp>
#include <batten/length.hpp>
#include <batten/mask/dense.hpp>
#include <batten/mask/half.hpp>
#include <batten/mask/intervals.hpp>
#include <batten/mask/mlm.hpp>
#include <batten/mask/segments.hpp>
#include <batten/overflow.hpp>
#include <batten/plan/batches.hpp>
#include <batten/plan/edges.hpp>
#include <batten/plan/histogram.hpp>
#include <batten/plan/order.hpp>
#include <batten/plan/packing.hpp>
#include <batten/plan/ranks.hpp>
#include <batten/plan/stream.hpp>
#include <batten/plan/tight.hpp>
#include <batten/plan/waste.hpp>
#include <batten/presets.hpp>
#include <batten/sequences.hpp>
#include <batten/serve/arrays.hpp>
#include <batten/serve/backends.hpp>
#include <batten/serve/decode.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/queue.hpp>
#include <batten/serve/schedule.hpp>
#include <batten/serve/step.hpp>
#include <batten/side.hpp>
#include <batten/varlen.hpp>
#include <batten/version.hpp>

#endif
