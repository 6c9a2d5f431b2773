// SPDX-License-Identifier: MIT
// Serving: decoding, paged caches, queues, and the arrays of a server's step. All headers of batten/serve.
#ifndef BATTEN_SERVE_HPP_INCLUDED
#define BATTEN_SERVE_HPP_INCLUDED

#include <batten/serve/arrays.hpp>
#include <batten/serve/backends.hpp>
#include <batten/serve/block_list.hpp>
#include <batten/serve/block_table.hpp>
#include <batten/serve/cache.hpp>
#include <batten/serve/decode.hpp>
#include <batten/serve/errors.hpp>
#include <batten/serve/fields.hpp>
#include <batten/serve/graphs.hpp>
#include <batten/serve/pool.hpp>
#include <batten/serve/queue.hpp>
#include <batten/serve/requests.hpp>
#include <batten/serve/schedule.hpp>
#include <batten/serve/step.hpp>

#endif
