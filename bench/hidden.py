# SPDX-License-Identifier: MIT
"""Pads taken out of hidden rows, and put back, as torch does it, beside bench_decode; adds lines to the same results.

    hidden.py RESULTS [--quick]

Rows, width and real tokens are those of the lines that bench_decode wrote. Memory is reused, as there.
"""

import sys

sys.dont_write_bytecode = True  # of peers.py, into the source tree

from masks import timed  # noqa: E402
from peers import missing  # noqa: E402

D = 1024


def shapes(results):
    """(workload, rows, width, real tokens) of what bench_decode timed."""
    for line in open(results, encoding="utf-8"):
        parts = line.rstrip("\n").split("\t")
        if parts[:2] == ["time", "hidden"] and parts[4] == "Batten unpad (gather_rows)":
            rows, width, _ = (int(n) for n in parts[2].split(" x "))
            yield parts[2], rows, width, int(parts[9])


def main():
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    quick = "--quick" in sys.argv
    try:
        import torch
    except ImportError as error:
        return missing("torch", error)
    torch.set_num_threads(1)
    for workload, rows, width, real in list(shapes(arguments[0])):
        lengths = [real // rows + (r < real % rows) for r in range(rows)]
        places = torch.cat([torch.arange(r * width + width - n, (r + 1) * width) for r, n in enumerate(lengths)])
        padded = torch.randn(rows * width, D)
        packed = torch.empty(real, D)
        restored = torch.empty(rows * width, D)

        def unpad(_):
            return torch.index_select(padded, 0, places, out=packed)

        def pad(_):
            return restored.zero_().index_copy_(0, places, packed)

        unpad(None)
        pad(None)
        assert torch.equal(restored[places], padded[places]) and restored.count_nonzero() <= real * D
        for outputs, name, run, cells in (
            ("unpad", "torch index_select", unpad, real),
            ("pad", "torch zero_, index_copy_", pad, rows * width),
        ):
            taken = timed([(name, lambda: [None], run)], quick)[name]
            with open(arguments[0], "a", encoding="utf-8") as out:
                numbers = "\t".join(str(n) for n in [*taken, cells * D * 4, real, cells, 1])
                out.write(f"time\thidden\t{workload}\t{outputs}\t{name}\t{numbers}\n")
            print(f"  {'hidden':10} {workload:20} {outputs:10} {name:62} {taken[0]:16,d} ns")


if __name__ == "__main__":
    main()
