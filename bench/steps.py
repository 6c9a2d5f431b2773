# SPDX-License-Identifier: MIT
"""The step of a server as vLLM's _prepare_inputs builds it in NumPy, beside bench_steps; adds lines to the same results.

    steps.py RESULTS [--quick]

The same sizes as bench/steps.cpp: 256 requests, blocks of 16, 32 steps one behind the other. Of the block table only new blocks
are written, in one NumPy assignment, where vLLM loops over requests. What is made is checked before it is timed.
"""

import gc
import random
import sys
import time

from peers import missing

REQUESTS = 256
BLOCK = 16
STEPS = 32


class Server:
    """What a server keeps of its requests, and what it schedules in each step."""

    def __init__(self, np, context):
        draw = random.Random(7000 + context)
        self.name = f"decode, {context // 1024} k"
        self.max_context = context + STEPS
        self.max_blocks = (self.max_context + BLOCK - 1) // BLOCK
        self.tokens = (1 + np.arange(REQUESTS * self.max_context, dtype=np.int32) % 50256).reshape(REQUESTS, -1)
        pool = np.arange(1, REQUESTS * self.max_blocks + 1, dtype=np.int32)
        np.random.default_rng(context).shuffle(pool)
        self.blocks = pool.reshape(REQUESTS, -1)
        first = np.array([context - draw.randrange(context // 8) - 1 for _ in range(REQUESTS)], dtype=np.int32)
        self.computed = [first + step for step in range(STEPS)]
        self.scheduled = [{r: 1 for r in range(REQUESTS)} for _ in range(STEPS)]


class Prepared:
    """Persistent arrays, as vLLM's model runner has them, and one step's work on them."""

    def __init__(self, np, of):
        self.np = np
        self.of = of
        self.arange = np.arange(max(REQUESTS, of.max_context))
        self.ids = np.zeros(REQUESTS, dtype=np.int32)
        self.positions = np.zeros(REQUESTS, dtype=np.int64)
        self.slots = np.zeros(REQUESTS, dtype=np.int64)
        self.query_start_loc = np.zeros(REQUESTS + 1, dtype=np.int32)
        self.seq_lens = np.zeros(REQUESTS, dtype=np.int32)
        self.table = of.blocks.copy()
        self.logits_indices = None

    def step(self, s):
        np, of = self.np, self.of
        computed = of.computed[s]
        scheduled = np.array([of.scheduled[s][r] for r in range(REQUESTS)], dtype=np.int32)
        requests = np.repeat(self.arange[:REQUESTS], scheduled)
        ends = np.cumsum(scheduled)
        total = ends[-1]
        arange = self.arange[:total] - np.repeat(ends - scheduled, scheduled)
        positions = self.positions[:total]
        np.add(computed[requests], arange, out=positions)
        np.take(of.tokens.ravel(), positions + requests * of.max_context, out=self.ids[:total])
        new = positions % BLOCK == 0
        rows, columns = requests[new], positions[new] // BLOCK
        self.table[rows, columns] = of.blocks[rows, columns]
        numbers = self.table.ravel()[requests * of.max_blocks + positions // BLOCK]
        np.add(numbers * BLOCK, positions % BLOCK, out=self.slots[:total])
        self.query_start_loc[0] = 0
        self.query_start_loc[1 : REQUESTS + 1] = ends
        self.query_start_loc[REQUESTS + 1 :].fill(total)
        np.add(computed, scheduled, out=self.seq_lens[:REQUESTS])
        self.seq_lens[REQUESTS:].fill(0)
        self.logits_indices = self.query_start_loc[1 : REQUESTS + 1] - 1

    def check(self, s):
        """Request by request."""
        of = self.of
        for r in range(REQUESTS):
            p = int(of.computed[s][r])
            assert self.ids[r] == of.tokens[r, p] and self.positions[r] == p, (self.of.name, s, r)
            assert self.slots[r] == int(of.blocks[r, p // BLOCK]) * BLOCK + p % BLOCK, (self.of.name, s, r)
            assert self.query_start_loc[r + 1] == r + 1 and self.logits_indices[r] == r, (self.of.name, s, r)
            assert self.seq_lens[r] == p + 1 and self.table[r, p // BLOCK] == of.blocks[r, p // BLOCK], (self.of.name, s, r)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    quick = "--quick" in sys.argv
    try:
        import numpy as np
    except ImportError as error:
        return missing("numpy", error)

    with open(arguments[0], "a", encoding="utf-8") as out:
        for context in (1024, 4096, 65536):
            prepared = Prepared(np, Server(np, context))
            for s in range(STEPS):
                prepared.step(s)
                prepared.check(s)
            taken = []
            gc.collect()
            gc.disable()
            for _ in range(5 if quick else 51):
                start = time.thread_time_ns()
                for s in range(STEPS):
                    prepared.step(s)
                taken.append(time.thread_time_ns() - start)
            gc.enable()
            taken.sort()

            def at(part, taken=taken):
                return taken[int(part * (len(taken) - 1) + 0.5)]

            name = "vLLM's _prepare_inputs in NumPy"
            tokens = STEPS * REQUESTS
            out.write(
                f"time\tsteps\t{prepared.of.name}\t7 arrays\t{name}\t{at(0.5)}\t{at(0.1)}\t{at(0.9)}\t{tokens * 32}\t{tokens}"
                f"\t{tokens}\t{STEPS}\n"
            )
            out.flush()
            print(f"  {'steps':10} {prepared.of.name:20} {'7 arrays':10} {name:62} {at(0.5):16,d} ns")


if __name__ == "__main__":
    main()
