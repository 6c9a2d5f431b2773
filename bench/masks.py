# SPDX-License-Identifier: MIT
"""Masks and MLM masking as torch and transformers make them, beside bench_masks; adds lines to the same results.

    masks.py DUMP RESULTS [--quick]

DUMP: what bench_collate dumped. What a contender makes is checked before it is timed. What is not installed is named and left
out.
"""

import gc
import os
import sys
import time

sys.dont_write_bytecode = True  # of peers.py, into the source tree

from peers import PAD_ID, Workload, missing  # noqa: E402

SHAPE = "8 x 1 x 2048 x 2048"
WIDTH = 2048
LENGTHS = [2048, 1792, 1536, 1280, 1024, 768, 512, 256]
MASK_ID = 50256


def timed(runs, quick):
    """Median, 10th and 90th percentile, in nanoseconds, of each run(prepared); prepare() is outside of the timed part."""
    times = {name: [] for name, *_ in runs}
    gc.collect()
    gc.disable()
    begin = time.monotonic()
    rounds = 0
    while rounds < (2 if quick else 5) or (not quick and rounds < 25 and time.monotonic() - begin < 60):
        for name, prepare, run in runs:
            spent = 0
            for prepared in prepare():
                start = time.thread_time_ns()
                made = run(prepared)
                spent += time.thread_time_ns() - start
                del made
            times[name].append(spent)
        gc.collect()
        rounds += 1
    gc.enable()

    def at(taken, part):
        return sorted(taken)[int(part * (len(taken) - 1) + 0.5)]

    return {name: [at(taken, part) for part in (0.5, 0.1, 0.9)] for name, taken in times.items()}


def mask_contenders(torch):
    """(name, outputs, bytes, make, inside, outside) of the causal mask with padding, from lengths."""
    lengths = torch.tensor(LENGTHS)

    def seen():
        columns = torch.arange(WIDTH)
        causal = columns[None, :] <= columns[:, None]
        real = columns[None, :] < lengths[:, None]
        return (causal[None, :, :] & real[:, :, None])[:, None, :, :]

    def masked_fill(dtype):
        lowest = torch.finfo(dtype).min
        return lambda _: torch.zeros((), dtype=dtype).expand(len(LENGTHS), 1, WIDTH, WIDTH).masked_fill(~seen(), lowest)

    def where(dtype):
        lowest = torch.tensor(torch.finfo(dtype).min, dtype=dtype)
        zero = torch.zeros((), dtype=dtype)
        return lambda _: torch.where(seen(), zero, lowest)

    found = [("torch boolean, from lengths", "bytes", 1, lambda _: seen(), True, False)]
    for dtype, outputs in ((torch.float32, "float"), (torch.bfloat16, "bfloat16")):
        size = torch.finfo(dtype).bits // 8
        found.append(("torch masked_fill, from lengths", outputs, size, masked_fill(dtype), 0.0, torch.finfo(dtype).min))
        found.append(("torch where, from lengths", outputs, size, where(dtype), 0.0, torch.finfo(dtype).min))
    return found


def check_mask(torch, name, made, inside, outside):
    """Row by row, by slices."""
    assert made.shape == (len(LENGTHS), 1, WIDTH, WIDTH), name
    for row, length in enumerate(LENGTHS):
        for query in (0, 1, 255, 256, 1000, 2047):
            keys = query + 1 if query < length else 0
            line = made[row, 0, query]
            assert bool((line[:keys] == inside).all()) and bool((line[keys:] == outside).all()), (name, row, query)


def mlm_contenders(transformers, tokenizers):
    """(name, prepare(load, i), collate)"""
    words = {"[PAD]": PAD_ID, **{f"t{i}": i for i in range(1, MASK_ID)}, "[MASK]": MASK_ID}
    rust = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[PAD]"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=rust, pad_token="[PAD]", mask_token="[MASK]")
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=1)

    # Dictionaries are made anew, since a collator may change them
    def plain(load, i):
        return [{"input_ids": row} for row in load.lists[i]]

    def with_mask(load, i):
        return [{"input_ids": row, "special_tokens_mask": [0] * len(row)} for row in load.lists[i]]

    def tensors(load, i):
        batch = tokenizer.pad(with_mask(load, i), return_tensors="pt")
        return batch["input_ids"], batch["special_tokens_mask"]

    def alone(prepared):
        ids, special = prepared
        ids, labels = collator.torch_mask_tokens(ids, special_tokens_mask=special)
        return {"input_ids": ids, "labels": labels}

    # The pads' special_tokens_mask is 1, so that none of them is chosen
    return [
        ("DataCollatorForLanguageModeling", plain, collator),
        ("DataCollatorForLanguageModeling, special_tokens_mask given", with_mask, collator),
        ("its torch_mask_tokens alone, padded tensors ready", tensors, alone),
    ]


def main():
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    quick = "--quick" in sys.argv
    folder, results = arguments
    try:
        import numpy as np
        import torch
    except ImportError as error:
        return missing("torch", error)
    torch.set_num_threads(1)

    with open(results, "a", encoding="utf-8") as out:

        def write(section, workload, outputs, name, taken, size, real, cells, batches):
            numbers = "\t".join(str(n) for n in [*taken, size, real, cells, batches])
            out.write(f"time\t{section}\t{workload}\t{outputs}\t{name}\t{numbers}\n")
            out.flush()
            print(f"  {section:10} {workload:20} {outputs:10} {name:62} {taken[0]:16,d} ns")

        pairs = len(LENGTHS) * WIDTH * WIDTH
        for name, outputs, size, make, inside, outside in mask_contenders(torch):
            check_mask(torch, name, make(None), inside, outside)
            taken = timed([(name, lambda: [None], make)], quick)
            write("masks", SHAPE, outputs, name, taken[name], pairs * size, 0, pairs, 1)

        try:
            import tokenizers
            import transformers
        except ImportError as error:
            return missing("transformers", error)
        load = Workload(np, folder, "B256", 256)
        batches = len(load.arrays)
        runs = []
        for name, prepare, collate in mlm_contenders(transformers, tokenizers):
            made = collate(prepare(load, 0))
            share = float((made["labels"] != -100).sum()) / sum(map(len, load.lists[0]))
            assert 0.14 < share < 0.16, (name, share)
            runs.append((name, lambda prepare=prepare: (prepare(load, i) for i in range(batches)), collate))
        for name, taken in timed(runs, quick).items():
            write("mlm", "B256", "3 x int64", name, taken, load.cells * 24, load.real, load.cells, batches)


if __name__ == "__main__":
    main()
