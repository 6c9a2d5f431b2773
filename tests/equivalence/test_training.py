# SPDX-License-Identifier: MIT
"""Loss and gradients of a batch are the sums of those of its sequences alone: each target once, whatever the layout."""

import sys

import pytest
import torch
from torch.nn.functional import cross_entropy

from decoders import PAD_ID, dense_mask, padding_mask, sequences, shows_shifts
from differences import check_apart, check_close
from layouts import collate

# In double, but for what Transformers itself rounds to float: its loss, and Llama's softmax in eager attention.
TOLERANCE = 1e-6
TOLERANCE_OF_ITS_LOSS = 1e-5
WRONG = 1e-2

IDS = sequences([17, 1, 26, 8, 0, 23, 2, 31, 12, 29, 5], seed=11)
PROMPT_LENGTHS = [4, 0, 0, 8, 0, 10, 1, 12, 11, 3, 0]  # one sequence is all prompt, and trains nothing

# A token at or past its prompt is a target, but the first of a sequence, which nothing precedes.
TARGETS = sum(len(ids) - max(prompt, 1) for ids, prompt in zip(IDS, PROMPT_LENGTHS) if len(ids) > max(prompt, 1))

PADDED = (("right",), ("left",), ("fixed", 40), ("bucketed", 8, 16, 32))
SHARED = (("packed", 32), ("varlen",))


def gradients(model, loss):
    """The loss, and the gradient of every weight."""
    model.zero_grad()
    loss.backward()
    return [loss.detach()] + [weight.grad.clone() for weight in model.parameters()]


@pytest.fixture(scope="module")
def alone(model):
    """The oracle: no batch, no pad, no label; what predicts a target is the column before it."""
    model.double()
    loss = torch.zeros((), dtype=model.dtype)
    for ids, prompt in zip(IDS, PROMPT_LENGTHS):
        begin = max(prompt, 1)
        if len(ids) > begin:
            logits = model(torch.tensor([ids]), use_cache=False).logits[0]
            loss = loss + cross_entropy(logits[begin - 1 : -1], torch.tensor(ids[begin:]), reduction="sum")
    return gradients(model, loss / TARGETS)


def own(batch):
    return batch.labels


def trained(model, layout, *, targets="model_shifts", mask=dense_mask, positions=True, labels=own):
    """Loss and gradients of batches: by Transformers' own loss where the model shifts, else column by column."""
    batches = collate(IDS, *layout, prompt_lengths=PROMPT_LENGTHS, targets=targets, pad_id=PAD_ID)
    assert sum(batch.targets.item() for batch in batches) == TARGETS
    loss = torch.zeros((), dtype=model.dtype)
    for batch in batches:
        given = {"attention_mask": mask(model, batch), "position_ids": batch.position_ids if positions else None}
        if targets == "model_shifts":
            output = model(batch.token_ids, labels=labels(batch), num_items_in_batch=TARGETS, use_cache=False, **given)
            loss = loss + output.loss
        else:
            logits = model(batch.token_ids, use_cache=False, **given).logits
            loss = loss + cross_entropy(logits.flatten(0, 1), labels(batch).flatten(), reduction="sum") / TARGETS
    return gradients(model, loss)


@pytest.mark.parametrize("layout", PADDED + SHARED, ids=lambda layout: layout[0])
@pytest.mark.parametrize("targets", ("model_shifts", "next_token", "next_token_drop_last"))
def test_loss_and_gradients_of_a_batch_are_those_of_the_sequences_alone(model, alone, layout, targets):
    tolerance = TOLERANCE_OF_ITS_LOSS if targets == "model_shifts" else TOLERANCE
    check_close(layout, trained(model, layout, targets=targets), alone, tolerance)


def check_both_apart(what, found, expected):
    check_apart(f"{what}, loss", found[:1], expected[:1], WRONG)
    check_apart(f"{what}, gradients", found[1:], expected[1:], WRONG)


@pytest.mark.parametrize("layout", SHARED, ids=lambda layout: layout[0])
def test_without_mask_or_positions_loss_and_gradients_differ(model, alone, layout):
    check_both_apart("mask of the padding alone", trained(model, layout, mask=padding_mask), alone)
    if shows_shifts(model):
        check_both_apart("positions of the columns", trained(model, layout, positions=False), alone)


@pytest.mark.parametrize("layout", SHARED, ids=lambda layout: layout[0])
def test_with_labels_over_the_borders_loss_and_gradients_differ(model, alone, layout):
    def over_the_borders(batch):
        """The last token of each sequence is trained to predict the first of the next."""
        labels = batch.labels.clone()
        for _, row, column, columns in batch.placement.tolist():
            if columns and column:
                labels[row, column] = batch.token_ids[row, column]
        return labels

    check_both_apart("labels over the borders", trained(model, layout, labels=over_the_borders), alone)


@pytest.mark.parametrize("layout", PADDED, ids=lambda layout: layout[0])
def test_with_labels_on_pads_and_prompts_loss_and_gradients_differ(model, alone, layout):
    check_both_apart("labels everywhere", trained(model, layout, labels=lambda batch: batch.token_ids), alone)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
