#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Asks the peers what they make of some sequences, and writes it down for tests/unit/golden.cpp to compare with.

    tests/golden/make.py            writes golden.txt beside this file
    tests/golden/make.py --check    says what would change in it, and fails if anything would

The peers and their versions are those of tests/requirements.txt (`tests/run --python` installs them and runs --check).
Nothing here is a formula of our own: every value comes out of a call of a peer.

golden.txt: a `case` is some lines, each a name and its value, up to an empty line. A matrix is its rows, each ended by a
semicolon, the cells apart by spaces; a mask's cells are 0 and 1, not apart. `batch` names the sequences of a case.
"""

import difflib
import os
import pathlib
import random
import sys
import unittest.mock

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import datasets
import numpy
import pyarrow
import tokenizers
import torch
import transformers
import trl
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    DataCollatorWithFlattening,
    MistralConfig,
    PreTrainedTokenizerFast,
    masking_utils,
)
from transformers.generation.utils import GenerationMixin
from transformers.modeling_flash_attention_utils import _pad_input, _unpad_input, prepare_fa_kwargs_from_position_ids
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniPreTrainedModelForConditionalGeneration
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling as TrlCollator

GOLDEN = pathlib.Path(__file__).with_name("golden.txt")
PEERS = (torch, transformers, tokenizers, trl, datasets, pyarrow, numpy)

PAD = 0
PAD_TYPE = 2
VOCABULARY = 100
SIDES = ("right", "left")

# ---- the sequences ---------------------------------------------------------------------------------------------------------

RANDOM = random.Random(20261124)


def drawn(lengths):
    return [[RANDOM.randrange(1, VOCABULARY) for _ in range(length)] for length in lengths]


# The pad id is 0: only inner_pads has it among its tokens.
BATCHES = {
    "one": drawn([5]),
    "even": drawn([6, 6, 6]),
    "singles": drawn([1, 1, 1, 1]),
    "ragged": drawn([RANDOM.randrange(1, 14) for _ in range(7)]),
    "aligned": drawn([3, 16, 8, 1]),
    "many": drawn([RANDOM.randrange(1, 18) for _ in range(9)]),
    "empties": drawn([0, 4, 0, 0, 7, 1, 0]),
    "inner_pads": [[0, 7, 0, 0], [5, 0], [0], [3, 4, 5, 6, 7, 0], [9]],
}
# For each sequence a prompt length, and token types.
PROMPTS = {name: [RANDOM.randrange(len(row) + 1) for row in rows] for name, rows in BATCHES.items()}
TYPES = {name: [[RANDOM.randrange(2) for _ in row] for row in rows] for name, rows in BATCHES.items()}
# For the peers that say much of each.
SOME = ("aligned", "ragged", "empties", "inner_pads")


def prompt_masked(name):
    """Labels as users make them: the prompt is not trained."""
    return [[-100] * prompt + row[prompt:] for row, prompt in zip(BATCHES[name], PROMPTS[name])]


# ---- the file --------------------------------------------------------------------------------------------------------------

lines = []


def matrix(rows):
    return " ".join(" ".join(str(int(cell)) for cell in row) + ";" for row in rows)


def mask(rows):
    return " ".join("".join("01"[bool(cell)] for cell in row) + ";" for row in rows)


def case(what, **values):
    """Words and numbers are written as they are, lists and tensors as a matrix; a boolean tensor as a mask."""
    lines.append(f"case {what}")
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            value = (mask if value.dtype == torch.bool else matrix)(value.reshape(-1, value.shape[-1]).tolist())
        elif isinstance(value, list):
            value = matrix(value if not value or isinstance(value[0], (list, tuple)) else [value])
        lines.append(f"{name} {value}".rstrip())
    lines.append("")


# ---- Transformers and Tokenizers: padding ----------------------------------------------------------------------------------

WORDS = {"[PAD]": PAD, **{f"w{i}": i for i in range(1, VOCABULARY)}}


def rust_tokenizer():
    made = tokenizers.Tokenizer(WordLevel(WORDS, unk_token="[PAD]"))
    made.pre_tokenizer = WhitespaceSplit()
    return made


def tokenizer(side="right"):
    made = PreTrainedTokenizerFast(tokenizer_object=rust_tokenizer(), pad_token="[PAD]", padding_side=side)
    made._pad_token_type_id = PAD_TYPE
    assert made.pad_token_id == PAD and made.pad_token_type_id == PAD_TYPE
    return made


# How wide: to the longest, or fixed; `multiple` 1 is none.
WIDTHS = [("longest", 0, 1), ("longest", 0, 8), ("max_length", 19, 1), ("max_length", 17, 8)]


def width_arguments(strategy, max_length, multiple):
    return dict(padding=strategy, max_length=max_length or None, pad_to_multiple_of=multiple if multiple > 1 else None)


def tokenizer_pad():
    for name, rows in BATCHES.items():
        encoded = {
            "input_ids": rows,
            "token_type_ids": TYPES[name],
            "special_tokens_mask": [[int(i == 0) for i in range(len(row))] for row in rows],
        }
        for side in SIDES:
            for strategy, max_length, multiple in WIDTHS:
                padded = tokenizer(side).pad(
                    encoded, return_tensors="pt", **width_arguments(strategy, max_length, multiple)
                )
                case(
                    "tokenizer.pad",
                    batch=name,
                    side=side,
                    strategy=strategy,
                    max_length=max_length,
                    multiple=multiple,
                    input_ids=padded["input_ids"],
                    attention_mask=padded["attention_mask"].bool(),
                    token_type_ids=padded["token_type_ids"],
                    special_tokens_mask=padded["special_tokens_mask"].bool(),
                )
    padded = tokenizer().pad({"input_ids": BATCHES["many"]}, padding="max_length", max_length=8)
    case("tokenizer.pad_too_long", batch="many", max_length=8, lengths=[len(row) for row in padded["input_ids"]])


def tokenizers_padding():
    for name in ("ragged", "empties"):
        texts = [" ".join(f"w{token}" for token in row) for row in BATCHES[name]]
        for side in SIDES:
            for strategy, max_length, multiple in WIDTHS:
                made = rust_tokenizer()
                made.enable_padding(
                    direction=side,
                    pad_id=PAD,
                    pad_type_id=PAD_TYPE,
                    pad_token="[PAD]",
                    length=max_length or None,
                    pad_to_multiple_of=multiple if multiple > 1 else None,
                )
                encoded = made.encode_batch(texts)
                case(
                    "tokenizers.padding",
                    batch=name,
                    side=side,
                    strategy=strategy,
                    max_length=max_length,
                    multiple=multiple,
                    input_ids=[row.ids for row in encoded],
                    attention_mask=torch.tensor([row.attention_mask for row in encoded]).bool(),
                    token_type_ids=[row.type_ids for row in encoded],
                )
        for cut in SIDES:
            made = rust_tokenizer()
            made.enable_truncation(max_length=5, direction=cut)
            made.enable_padding(pad_id=PAD, pad_token="[PAD]")
            encoded = made.encode_batch(texts)
            case(
                "tokenizers.truncation",
                batch=name,
                cut=cut,
                max_length=5,
                input_ids=[row.ids for row in encoded],
                attention_mask=torch.tensor([row.attention_mask for row in encoded]).bool(),
                dropped=[sum(sum(piece.attention_mask) for piece in row.overflowing) for row in encoded],
            )


def torch_pad_sequence():
    for name, rows in BATCHES.items():
        for side in SIDES:
            padded = pad_sequence(
                [torch.tensor(row, dtype=torch.int64) for row in rows], True, padding_value=PAD, padding_side=side
            )
            weights = pad_sequence(
                [torch.tensor(row, dtype=torch.float32) for row in TYPES[name]], True, padding_value=-3.0, padding_side=side
            )
            case("torch.pad_sequence", batch=name, side=side, input_ids=padded, weights=weights)


# ---- Transformers: labels --------------------------------------------------------------------------------------------------


def seq2seq():
    for name in SOME:
        rows = BATCHES[name]
        for labels_of, labels in (("all", rows), ("prompts", prompt_masked(name))):
            for side in SIDES:
                for strategy, max_length, multiple in WIDTHS:
                    collate = DataCollatorForSeq2Seq(
                        tokenizer(side), **width_arguments(strategy, max_length, multiple)
                    )
                    batch = collate([{"input_ids": row, "labels": label} for row, label in zip(rows, labels)])
                    case(
                        "DataCollatorForSeq2Seq",
                        batch=name,
                        labels_of=labels_of,
                        side=side,
                        strategy=strategy,
                        max_length=max_length,
                        multiple=multiple,
                        input_ids=batch["input_ids"],
                        attention_mask=batch["attention_mask"].bool(),
                        labels=batch["labels"],
                    )


def language_modeling():
    for name, rows in BATCHES.items():
        for side in SIDES:
            for multiple in (1, 8):
                collate = DataCollatorForLanguageModeling(
                    tokenizer(side), mlm=False, pad_to_multiple_of=multiple if multiple > 1 else None
                )
                batch = collate([{"input_ids": row} for row in rows])
                case(
                    "DataCollatorForLanguageModeling",
                    batch=name,
                    side=side,
                    strategy="longest",
                    max_length=0,
                    multiple=multiple,
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"].bool(),
                    labels=batch["labels"],
                )


# ---- Transformers: packed in one row ---------------------------------------------------------------------------------------


def flattening():
    collate = DataCollatorWithFlattening(return_flash_attn_kwargs=True, return_seq_idx=True)
    for name, rows in BATCHES.items():
        for labels_of, labels in (("all", None), ("prompts", prompt_masked(name))):
            features = [{"input_ids": row} for row in rows]
            if labels:
                features = [{"input_ids": row, "labels": label} for row, label in zip(rows, labels)]
            batch = collate(features)
            # The two ways in which Transformers finds the borders again where nothing but the positions is given.
            from_positions, longest = prepare_fa_kwargs_from_position_ids(batch["position_ids"])
            indices = masking_utils.find_packed_sequence_indices(batch["position_ids"])
            case(
                "DataCollatorWithFlattening",
                batch=name,
                labels_of=labels_of,
                input_ids=batch["input_ids"],
                labels=batch["labels"],
                position_ids=batch["position_ids"],
                seq_idx=batch["seq_idx"],
                cu_seq_lens_q=batch["cu_seq_lens_q"],
                max_length_q=batch["max_length_q"],
                found_cu_seq_lens=from_positions[0],
                found_max_length=int(longest[0]),
                # None: one sequence.
                found_seq_idx=torch.zeros_like(batch["position_ids"]) if indices is None else indices,
            )


# ---- TRL -------------------------------------------------------------------------------------------------------------------


def trl_collator():
    for name in SOME:
        rows = BATCHES[name]
        for labels_of, labels in (("all", rows), ("prompts", prompt_masked(name))):
            features = [{"input_ids": row, "labels": label} for row, label in zip(rows, labels)]
            for multiple in (1, 8):
                wide = multiple if multiple > 1 else None
                batch = TrlCollator(PAD, padding_free=True, pad_to_multiple_of=wide)(features)
                case(
                    "trl.padding_free",
                    batch=name,
                    labels_of=labels_of,
                    multiple=multiple,
                    input_ids=batch["input_ids"],
                    labels=batch["labels"],
                    position_ids=batch["position_ids"],
                    cu_seq_lens_q=batch["cu_seq_lens_q"],
                    max_length_q=batch["max_length_q"],
                    seq_idx=batch["seq_idx"],
                )
                batch = TrlCollator(PAD, return_position_ids=True, pad_to_multiple_of=wide)(features)
                case(
                    "trl.padded",
                    batch=name,
                    labels_of=labels_of,
                    side="right",
                    strategy="longest",
                    max_length=0,
                    multiple=multiple,
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"].bool(),
                    position_ids=batch["position_ids"],
                    labels=batch["labels"],
                )


# Lists of lengths to pack, and the capacity. Some are empty, some over the capacity.
PACKED = {
    "short": ([RANDOM.randrange(0, 13) for _ in range(16)], 12),
    "even": ([4] * 9, 8),
    "over": ([RANDOM.randrange(0, 25) for _ in range(14)], 10),
    "exact": ([10, 1, 9, 2, 8, 3, 7, 4, 6, 5, 5], 10),
}
MANY_PACKED = {
    "uniform": ([RANDOM.randrange(0, 257) for _ in range(400)], 256),
    "heavy_tail": ([RANDOM.randrange(2 ** RANDOM.randrange(1, 11)) for _ in range(400)], 512),
    "halves": ([RANDOM.randrange(60, 70) for _ in range(300)], 128),
}


def numbered(lengths):
    """Tokens that say where they come from: sequence * 2048 + index + 1."""
    return [[sequence * 2048 + i + 1 for i in range(length)] for sequence, length in enumerate(lengths)]


def pieces_of(row, lengths):
    """Where the runs of a packed row come from: sequence, begin, length."""
    at = 0
    for length in lengths:
        first = row[at] - 1
        assert row[at : at + length] == list(range(row[at], row[at] + length))
        yield first // 2048, first % 2048, length
        at += length
    assert at == len(row)


def trl_packing():
    datasets.disable_progress_bars()
    for name, (lengths, capacity) in {**PACKED, **MANY_PACKED}.items():
        tokens = numbered(lengths)
        dataset = datasets.Dataset.from_dict({"input_ids": tokens})
        for strategy in ("bfd", "bfd_split"):
            packed = trl.pack_dataset(dataset, capacity, strategy)
            bins = [list(pieces_of(row["input_ids"], row["seq_lengths"])) for row in packed]
            values = {}
            if name in PACKED:
                batch = TrlCollator(PAD, return_position_ids=True)([dict(row) for row in packed])
                values = {key: batch[key] for key in ("input_ids", "position_ids", "labels")}
                values["attention_mask"] = batch["attention_mask"].bool()
            case(
                "trl.pack_dataset",
                name=name,
                strategy=strategy,
                capacity=capacity,
                lengths=lengths,
                # One row a bin: sequence, begin, length; sequence, begin, length; ...
                bins=[[number for piece in pieces for number in piece] for pieces in bins],
                **values,
            )
        if name in PACKED:
            rows = [row["input_ids"] for row in trl.pack_dataset(dataset, capacity, "wrapped")]
            case("trl.wrapped", name=name, capacity=capacity, lengths=lengths, input_ids=rows)


# ---- positions, unpadding --------------------------------------------------------------------------------------------------


def generated_positions():
    for name, rows in BATCHES.items():
        for side in SIDES:
            padded = tokenizer(side).pad({"input_ids": rows}, return_tensors="pt")
            attends = padded["attention_mask"]
            model = unittest.mock.MagicMock()
            zero = GenerationMixin._prepare_position_ids_for_generation(
                model, padded["input_ids"], {"attention_mask": attends}
            )
            # What generate of Transformers 4 did for every model, and what some models still do.
            one, _ = Qwen2_5OmniPreTrainedModelForConditionalGeneration.get_rope_index(
                model, padded["input_ids"], attention_mask=attends
            )
            assert (one == one[0]).all()
            case("generate.position_ids", batch=name, side=side, pads_hold_0=zero, pads_hold_1=one[0])


HIDDEN = 2


def unpadding():
    for name in SOME:
        rows = BATCHES[name]
        for side in SIDES:
            padded = tokenizer(side).pad({"input_ids": rows}, return_tensors="pt", pad_to_multiple_of=8)
            attends = padded["attention_mask"]
            count, width = attends.shape
            hidden = torch.arange(count * width * HIDDEN).reshape(count, width, HIDDEN)
            kept, indices, cu_seqlens, longest, used = _unpad_input(hidden, attends)
            case(
                "flash.unpad_input",
                batch=name,
                side=side,
                width=width,
                input_ids=padded["input_ids"],
                indices=indices,
                cu_seqlens=cu_seqlens,
                max_seqlen=longest,
                seqused=used,
                unpadded=kept,
                padded=_pad_input(kept, indices, count, width),
            )


# ---- masks -----------------------------------------------------------------------------------------------------------------

WINDOW = 3
CHUNK = 4


def masks_of(make, batch_size, width, **arguments):
    """The boolean mask, and the lowest value of the additive ones, as their bits, once these are seen to say the same."""

    def asked(implementation, dtype):
        config = MistralConfig(attn_implementation=implementation, sliding_window=WINDOW)
        config.attention_chunk_size = CHUNK
        return make(config, inputs_embeds=torch.zeros(batch_size, width, 4, dtype=dtype), **arguments)

    boolean = asked("sdpa", torch.float32)
    assert boolean.dtype == torch.bool and boolean.shape == (batch_size, 1, width, width)
    lowest = {}
    for dtype, integers in ((torch.float32, torch.int32), (torch.bfloat16, torch.int16), (torch.float16, torch.int16)):
        additive = asked("eager", dtype)
        assert additive.dtype == dtype and additive.shape == boolean.shape
        bits = additive.contiguous().view(integers)
        assert (bits[boolean] == 0).all()
        masked = bits[~boolean].unique().tolist()
        assert len(masked) <= 1
        if masked:
            lowest[str(dtype).removeprefix("torch.")] = masked[0] % (1 << 8 * dtype.itemsize)
    return {"window": WINDOW, "chunk": CHUNK, "attends": boolean, **lowest}


def masks():
    unskipped = {"allow_is_causal_skip": False, "cache": None}
    kinds = {
        "causal": lambda config, **given: masking_utils.create_causal_mask(config, **given, **unskipped),
        "sliding_window": lambda config, **given: masking_utils.create_sliding_window_causal_mask(
            config, **given, **unskipped
        ),
        "chunked": lambda config, **given: masking_utils.create_chunked_causal_mask(config, **given, **unskipped),
    }
    two_sided = {
        "bidirectional": lambda config, **given: masking_utils.create_bidirectional_mask(
            config, **given, allow_is_bidirectional_skip=False
        ),
        "symmetric_window": lambda config, **given: masking_utils.create_bidirectional_sliding_window_mask(
            config, **given, allow_is_bidirectional_skip=False
        ),
    }
    for name in ("one", "ragged", "empties"):
        rows = BATCHES[name]
        for side in SIDES:
            attends = tokenizer(side).pad({"input_ids": rows}, return_tensors="pt")["attention_mask"]
            count, width = attends.shape
            for kind, make in {**kinds, **two_sided}.items():
                case(
                    "mask.padded",
                    kind=kind,
                    batch=name,
                    side=side,
                    width=width,
                    **masks_of(make, count, width, attention_mask=attends),
                )
            # A prefix is one block, the rest is none.
            blocks = torch.full((count, width), -1)
            for row, (tokens, prompt) in enumerate(zip(rows, PROMPTS[name])):
                first = 0 if side == "right" else width - len(tokens)
                blocks[row, first : first + prompt] = 0
            case(
                "mask.padded",
                kind="prefix_lm",
                batch=name,
                labels_of="prompts",
                side=side,
                width=width,
                **masks_of(kinds["causal"], count, width, attention_mask=attends, block_sequence_ids=blocks),
            )
    for name in ("one", "singles", "ragged", "empties"):
        for multiple in (1, 8):
            wide = multiple if multiple > 1 else None
            features = [{"input_ids": row} for row in BATCHES[name]]
            positions = TrlCollator(PAD, padding_free=True, pad_to_multiple_of=wide)(features)["position_ids"]
            for kind in ("causal", "sliding_window"):
                case(
                    "mask.packed",
                    kind=kind,
                    batch=name,
                    multiple=multiple,
                    width=positions.shape[1],
                    **masks_of(kinds[kind], 1, positions.shape[1], attention_mask=None, position_ids=positions),
                )


# ---- all -------------------------------------------------------------------------------------------------------------------


def make():
    lines.append("# What the peers make of these sequences. Written by tests/golden/make.py; do not edit.")
    lines.append("# " + ", ".join(f"{peer.__name__} {peer.__version__.split('+')[0]}" for peer in PEERS))
    lines.append("")
    for name, rows in BATCHES.items():
        case("sequences", batch=name, tokens=rows, prompts=PROMPTS[name], types=TYPES[name])
    tokenizer_pad()
    tokenizers_padding()
    torch_pad_sequence()
    seq2seq()
    language_modeling()
    flattening()
    trl_collator()
    trl_packing()
    generated_positions()
    unpadding()
    masks()
    return "\n".join(lines)


def main():
    made = make()
    if sys.argv[1:] == ["--check"]:
        committed = GOLDEN.read_text()
        changes = difflib.unified_diff(committed.splitlines(), made.splitlines(), "committed", "made now", lineterm="", n=1)
        first = [change[:200] for _, change in zip(range(40), changes)]
        if first:
            sys.exit("\n".join(first) + "\n\ntests/golden/golden.txt is not what the peers say now: tests/golden/make.py")
        print(f"{GOLDEN.name}: {made.count('case ')} cases, as committed")
    elif not sys.argv[1:]:
        GOLDEN.write_text(made)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
