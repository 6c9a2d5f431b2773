// SPDX-License-Identifier: MIT
// Batten: ragged token sequences in, batches out, as plain spans. The core and all wings; each header also stands alone.
#ifndef BATTEN_BATTEN_HPP_INCLUDED
#define BATTEN_BATTEN_HPP_INCLUDED

#include <batten/batch.hpp>
#include <batten/bins.hpp>
#include <batten/bucketed.hpp>
#include <batten/collator.hpp>
#include <batten/error.hpp>
#include <batten/executor.hpp>
#include <batten/field.hpp>
#include <batten/fields.hpp>
#include <batten/half.hpp>
#include <batten/inputs.hpp>
#include <batten/integer.hpp>
#include <batten/layout.hpp>
#include <batten/length.hpp>
#include <batten/mask.hpp>
#include <batten/matrix.hpp>
#include <batten/outputs.hpp>
#include <batten/overflow.hpp>
#include <batten/plan.hpp>
#include <batten/presets.hpp>
#include <batten/rows.hpp>
#include <batten/segment.hpp>
#include <batten/sequences.hpp>
#include <batten/serve.hpp>
#include <batten/shape.hpp>
#include <batten/side.hpp>
#include <batten/targets.hpp>
#include <batten/varlen.hpp>
#include <batten/version.hpp>

#endif
