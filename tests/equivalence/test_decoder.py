# SPDX-License-Identifier: MIT
"""Decoders: whatever the layout, the logits of every real token are those of its sequence alone."""

import sys

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface

from decoders import PAD_ID, dense_mask, no_mask, padding_mask, sequences, shows_shifts
from differences import check_apart, check_close
from layouts import collate, gather

TOLERANCE = 1e-4
WRONG = 1e-1

IDS = sequences([17, 1, 40, 8, 0, 23, 3, 31, 12, 29, 5], seed=3)
PADDED = (("right",), ("left",), ("fixed", 64), ("fixed_left", 64), ("bucketed", 8, 16, 32, 64))
SHARED = (("packed", 48), ("varlen",))


@pytest.fixture(scope="module")
def alone(model):
    """The oracle: logits of each sequence by itself."""
    with torch.no_grad():
        return [
            model(torch.tensor([ids]), use_cache=False).logits[0] if ids else torch.zeros(0, model.config.vocab_size)
            for ids in IDS
        ]


def own(batch):
    return batch.position_ids


def zeros(batch):
    return torch.zeros_like(batch.position_ids)


def of_columns(batch):
    """What Transformers takes where it is given none."""
    return None


def nothing_more(batch):
    return {}


def logits(model, layout, mask, positions=own, more=nothing_more):
    """Of the real tokens, by the caller's sequence."""
    batches = collate(IDS, *layout, pad_id=PAD_ID)
    outputs = []
    with torch.no_grad():
        for batch in batches:
            given = {"attention_mask": mask(model, batch), "position_ids": positions(batch), **more(batch)}
            outputs.append(model(batch.token_ids, use_cache=False, **given).logits)
    return gather(batches, outputs, len(IDS))


def varlen_attention(module, query, key, value, mask, scaling, cu_seq_lens_q, cu_seq_lens_k, max_length_q, max_length_k, **_):
    """What FlashAttention's varlen kernels compute, segment by segment: they need a GPU."""
    assert mask is None and query.shape[0] == 1
    assert cu_seq_lens_q.dtype == torch.int32 and cu_seq_lens_q[0] == 0 and cu_seq_lens_q[-1] == query.shape[2]
    assert cu_seq_lens_q.diff().max() == max_length_q
    out = torch.empty_like(query)
    for begin, end in cu_seq_lens_q.unfold(0, 2, 1).tolist():
        out[:, :, begin:end] = torch.nn.functional.scaled_dot_product_attention(
            *(states[:, :, begin:end] for states in (query, key, value)), is_causal=True, scale=scaling, enable_gqa=True
        )
    return out.transpose(1, 2), None


AttentionInterface.register("varlen", varlen_attention)
AttentionMaskInterface.register("varlen", lambda *_, **__: None)


def by_cu_seqlens(cu_seqlens, max_seqlen):
    """As Transformers hands them to FlashAttention."""
    return {
        "cu_seq_lens_q": cu_seqlens, "cu_seq_lens_k": cu_seqlens, "max_length_q": max_seqlen, "max_length_k": max_seqlen,
    }


@pytest.mark.parametrize("layout", PADDED, ids=lambda layout: layout[0])
@pytest.mark.parametrize("mask", (padding_mask, dense_mask))
def test_padded_logits_are_those_of_the_sequences_alone(model, alone, layout, mask):
    check_close(layout, logits(model, layout, mask), alone, TOLERANCE)


@pytest.mark.parametrize("layout", SHARED, ids=lambda layout: layout[0])
def test_logits_of_sequences_that_share_a_row_are_those_of_the_sequences_alone(model, alone, layout):
    check_close(layout, logits(model, layout, dense_mask), alone, TOLERANCE)


@pytest.mark.parametrize("layout", SHARED, ids=lambda layout: layout[0])
def test_transformers_finds_the_borders_in_positions_alone(model, alone, layout):
    # Without a mask and a cache it takes every jump of the positions for a border: a pad that holds 0 is a sequence of its own.
    check_close(layout, logits(model, layout, no_mask), alone, TOLERANCE)


def test_packed_logits_by_cu_seqlens_are_those_of_the_sequences_alone(model, alone, monkeypatch):
    monkeypatch.setattr(model.config, "_attn_implementation", "varlen")
    found = logits(model, ("varlen",), no_mask, more=lambda batch: by_cu_seqlens(batch.cu_seqlens, batch.max_seqlen.item()))
    check_close("varlen", found, alone, TOLERANCE)

    def one_segment(batch):
        total = batch.token_ids.shape[1]
        return by_cu_seqlens(torch.tensor([0, total], dtype=torch.int32), total)

    check_apart("varlen, one segment", logits(model, ("varlen",), no_mask, more=one_segment), alone, WRONG)


def test_without_the_mask_logits_differ(model, alone):
    def every_column(model, batch):
        return torch.ones_like(batch.attention_mask)

    # Pads on the right are behind all tokens: a causal model does not see them.
    for layout in (("left",), ("fixed_left", 64)):
        check_apart(layout, logits(model, layout, every_column), alone, WRONG)
    for layout in SHARED:
        check_apart(f"{layout}, mask of the padding alone", logits(model, layout, padding_mask), alone, WRONG)


def test_without_the_positions_logits_differ(model, alone):
    for layout in PADDED + SHARED:
        check_apart(f"{layout}, every position 0", logits(model, layout, dense_mask, zeros), alone, WRONG)
    for layout in (("left",), ("fixed_left", 64)) + SHARED:
        found = logits(model, layout, dense_mask, of_columns)
        if shows_shifts(model):
            check_apart(f"{layout}, positions of the columns", found, alone, WRONG)
        else:  # that is how the error stays unseen
            check_close(f"{layout}, positions of the columns", found, alone, TOLERANCE)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
