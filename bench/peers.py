# SPDX-License-Identifier: MIT
"""What people collate with from Python, on the batches that bench_collate dumped; adds lines to the same results.

    peers.py DUMP RESULTS [--quick]

Every contender's output is compared with a plain reference before it is timed. What is not installed is named and left out.
"""

import gc
import os
import random
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("OMP_NUM_THREADS", "1")

PAD_ID = 0
IGNORE_INDEX = -100
FOUR = "4 x int64"


def missing(name, error):
    print(f"  {name}: left out, it is not installed ({error}): bench/run --python installs it")


class Workload:
    """Batches as every contender wants them, made outside of the timed part."""

    def __init__(self, np, folder, name, rows):
        self.name = name
        tokens = np.fromfile(os.path.join(folder, name + ".tokens"), dtype=np.int32)
        lengths = np.fromfile(os.path.join(folder, name + ".lengths"), dtype=np.int64)
        ends = np.cumsum(lengths)
        rows_of_all = np.split(tokens, ends[:-1])
        assert len(tokens) == ends[-1] and len(lengths) % rows == 0
        self.arrays = [rows_of_all[i : i + rows] for i in range(0, len(rows_of_all), rows)]
        self.lists = [[row.tolist() for row in batch] for batch in self.arrays]
        self.widths = [max(len(row) for row in batch) for batch in self.arrays]
        self.cells = sum(rows * width for width in self.widths)
        self.real = len(tokens)


def reference(np, batch):
    """ids, mask, positions, labels, cell by cell."""
    width = max(len(row) for row in batch)
    ids, mask, positions, labels = [], [], [], []
    for row in batch:
        pads = width - len(row)
        row = row.tolist()
        ids.append(row + [PAD_ID] * pads)
        mask.append([1] * len(row) + [0] * pads)
        positions.append(list(range(len(row))) + [0] * pads)
        labels.append(row + [IGNORE_INDEX] * pads)
    return {
        "ids": np.array(ids),
        "mask": np.array(mask),
        "positions": np.array(positions),
        "labels": np.array(labels),
    }


def contenders(np, load):
    """(name, outputs, bytes a cell, prepare(load, i), collate(prepared), as_arrays(collated)) for all that is installed."""
    found = []

    # ---- NumPy

    def row_slices(rows):
        width = max(map(len, rows))
        shape = (len(rows), width)
        ids = np.full(shape, PAD_ID, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        positions = np.zeros(shape, dtype=np.int64)
        labels = np.full(shape, IGNORE_INDEX, dtype=np.int64)
        counting = np.arange(width)
        for r, row in enumerate(rows):
            n = len(row)
            ids[r, :n] = row
            mask[r, :n] = 1
            positions[r, :n] = counting[:n]
            labels[r, :n] = row
        return {"ids": ids, "mask": mask, "positions": positions, "labels": labels}

    def same(made):
        return made

    found.append(("NumPy row slices, from int32 arrays", FOUR, 32, lambda w, i: w.arrays[i], row_slices, same))
    found.append(("NumPy row slices, from lists", FOUR, 32, lambda w, i: w.lists[i], row_slices, same))

    # ---- torch

    torch = load("torch")
    if torch is not None:
        torch.set_num_threads(1)
        from torch.nn.utils.rnn import pad_sequence

        def full_set(rows):
            lengths = torch.tensor([len(row) for row in rows])
            ids = pad_sequence(rows, batch_first=True, padding_value=PAD_ID)
            columns = torch.arange(ids.shape[1])
            real = columns[None, :] < lengths[:, None]
            mask = real.to(torch.int64)
            return {
                "ids": ids,
                "mask": mask,
                "positions": mask * columns,
                "labels": ids.masked_fill(~real, IGNORE_INDEX),
            }

        def to_numpy(made):
            return {key: value.numpy() for key, value in made.items()}

        def tensors(w, i):
            return [torch.tensor(row, dtype=torch.int64) for row in w.lists[i]]

        found.append(("torch pad_sequence + mask + positions + labels, tensors ready", FOUR, 32, tensors, full_set, to_numpy))

        def from_lists(rows):
            return full_set([torch.tensor(row) for row in rows])

        def lists(w, i):
            return w.lists[i]

        found.append(("torch pad_sequence + mask + positions + labels, from lists", FOUR, 32, lists, from_lists, to_numpy))

    # ---- transformers and tokenizers, with a tokenizer made here: nothing is fetched

    tokenizers = load("tokenizers")
    transformers = load("transformers") if tokenizers is not None and torch is not None else None
    if tokenizers is not None:
        from tokenizers import Tokenizer, models, pre_tokenizers

        words = {"[PAD]": PAD_ID, **{f"t{i}": i for i in range(1, 50257)}}
        rust = Tokenizer(models.WordLevel(words, unk_token="[PAD]"))
        rust.pre_tokenizer = pre_tokenizers.WhitespaceSplit()

        # pad mutates, so that every time takes fresh encodings
        def encodings(w, i):
            texts = [" ".join(f"t{token}" for token in row) for row in w.lists[i]]
            return rust.encode_batch(texts, add_special_tokens=False)

        def pad(batch):
            width = max(map(len, batch))
            for encoding in batch:
                encoding.pad(width, direction="right", pad_id=PAD_ID, pad_token="[PAD]")
            return batch

        def to_arrays(batch):
            return {
                "ids": np.array([encoding.ids for encoding in batch]),
                "mask": np.array([encoding.attention_mask for encoding in batch]),
            }

        found.append(("tokenizers (Rust) pad", "encodings", 16, encodings, pad, to_arrays))
        found.append(
            ("tokenizers (Rust) pad, then to NumPy", "2 x int64", 16, encodings, lambda b: to_arrays(pad(b)), same)
        )
    if transformers is not None:
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=rust, pad_token="[PAD]")
        with_padding = transformers.DataCollatorWithPadding(tokenizer)
        seq2seq = transformers.DataCollatorForSeq2Seq(tokenizer)

        # Dictionaries are made anew, since a collator may change them
        def features(w, i):
            return [{"input_ids": row} for row in w.lists[i]]

        def labelled(w, i):
            return [{"input_ids": row, "attention_mask": [1] * len(row), "labels": row} for row in w.lists[i]]

        def renamed(made):
            names = {"input_ids": "ids", "attention_mask": "mask", "labels": "labels"}
            return {names[key]: made[key].numpy() for key in made if key in names}

        found.append(("DataCollatorWithPadding", "2 x int64", 16, features, with_padding, renamed))
        found.append(("DataCollatorForSeq2Seq", "3 x int64", 24, labelled, seq2seq, renamed))
    return found


def main():
    arguments = [a for a in sys.argv[1:] if a != "--quick"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    quick = "--quick" in sys.argv
    folder, results = arguments

    versions = {}

    def load(name):
        try:
            module = __import__(name)
        except ImportError as error:
            missing(name, error)
            return None
        versions[name] = module.__version__
        return module

    np = load("numpy")
    if np is None:
        return
    everyone = contenders(np, load)

    with open(os.path.join(folder, "index.tsv"), encoding="utf-8") as index:
        kinds = [line.split("\t") for line in index.read().splitlines()]
    if quick:
        kinds = [kind for kind in kinds if kind[0] in ("B32", "B256bkt")]

    with open(results, "a", encoding="utf-8") as out:
        out.write(f"meta\tPython\t{sys.version.split()[0]}\n")
        for name, version in versions.items():
            out.write(f"meta\t{name}\t{version}\n")
        for kind, rows in kinds:
            load_of = Workload(np, folder, kind, int(rows))
            batches = len(load_of.arrays)
            for name, _, _, prepare, collate, as_arrays in everyone:
                for i in range(batches if not quick else 1):
                    expected = reference(np, load_of.arrays[i])
                    for key, array in as_arrays(collate(prepare(load_of, i))).items():
                        if not np.array_equal(array, expected[key]):
                            sys.exit(f"{kind}, {name}: wrote other {key} than the reference")
            times = {name: [] for name, *_ in everyone}
            gc.collect()
            gc.disable()
            # In turn, in another order each round; a round may take seconds where batches are large
            begin = time.monotonic()
            rounds = 0
            while rounds < (2 if quick else 5) or (not quick and rounds < 25 and time.monotonic() - begin < 20):
                order = list(everyone)
                random.Random(rounds).shuffle(order)
                for name, _, _, prepare, collate, _ in order:
                    spent = 0
                    for i in range(batches):
                        prepared = prepare(load_of, i)
                        start = time.thread_time_ns()
                        made = collate(prepared)
                        spent += time.thread_time_ns() - start
                        del made, prepared
                    times[name].append(spent)
                gc.collect()
                rounds += 1
            gc.enable()
            for name, outputs, cell_bytes, *_ in everyone:
                taken = sorted(times[name])

                def at(part):
                    return taken[int(part * (len(taken) - 1) + 0.5)]

                size = load_of.cells * cell_bytes
                out.write(
                    f"time\tpython\t{kind}\t{outputs}\t{name}\t{at(0.5)}\t{at(0.1)}\t{at(0.9)}\t{size}\t{load_of.real}"
                    f"\t{load_of.cells}\t{batches}\n"
                )
                print(f"  {'python':10} {kind:20} {outputs:10} {name:62} {at(0.5):16,d} ns")
            out.flush()


if __name__ == "__main__":
    main()
