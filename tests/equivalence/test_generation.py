# SPDX-License-Identifier: MIT
"""Greedy generation from a batch padded left, step by step over a real KV cache, yields the tokens of each prompt alone."""

import random
import sys

import pytest
import torch
from transformers import DynamicCache, StaticCache

from decoders import PAD_ID, VOCABULARY, sequences
from layouts import Decoding

TOKENS = 32
PROMPTS = sequences([9, 1, 17, 4, 12, 6], seed=5)
WIDTH = max(map(len, PROMPTS))
CAPACITY = 160
ALL = [TOKENS] * len(PROMPTS)


@pytest.fixture(scope="module")
@torch.no_grad()
def alone(model):
    """The oracle: no batch, no cache, the whole sequence anew for each token."""
    made = []
    for prompt in PROMPTS:
        ids = list(prompt)
        for _ in range(TOKENS):
            best = model(torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
            assert best.values[0] - best.values[1] > 1e-3, "a tie: which token is best would be chance"
            ids.append(best.indices[0].item())
        made.append(ids[len(prompt) :])
        assert len(set(made[-1])) > 4, "the model repeats itself: a wrong step could go unseen"
    return made


def current(decode):
    return decode.mask


def whole(decode):
    return decode.whole_mask


def own(decode):
    return decode.position_ids


@torch.no_grad()
def generate(model, budgets, *, cache=DynamicCache, mask=current, positions=own, drop=False):
    """One token a step. Row r stops after budgets[r] tokens: its row is dropped, or stays with holes."""
    decode = Decoding(PROMPTS, CAPACITY, PAD_ID)
    kept = cache(config=model.config, **({"max_cache_len": CAPACITY} if cache is StaticCache else {}))
    made = [[] for _ in PROMPTS]
    prompts = list(range(len(PROMPTS)))  # of the rows
    while True:
        logits = model(
            decode.token_ids, attention_mask=mask(decode), position_ids=positions(decode), cache=kept, use_cache=True
        ).logits
        runs = []
        for row, (prompt, token) in enumerate(zip(prompts, logits[:, -1].argmax(-1).tolist())):
            if len(made[prompt]) < budgets[prompt]:
                made[prompt].append(token)
            going = len(made[prompt]) < budgets[prompt]
            runs.append([token] if going else [])
            if not going:
                decode.finish(row)
        if not any(runs):
            return made
        if drop and not all(runs):
            left = decode.drop_finished()
            runs, prompts = [runs[row] for row in left], [prompts[row] for row in left]
            kept.batch_select_indices(torch.tensor(left))
        decode.append(runs)


@torch.no_grad()
def speculate(model, expected, *, mask=current, positions=own):
    """Several tokens a step: drafts of up to three, some of them wrong, and every row accepts another number."""
    chance = random.Random(7)
    decode = Decoding(PROMPTS, CAPACITY, PAD_ID)
    cache = DynamicCache(config=model.config)

    def best():
        given = {"attention_mask": mask(decode), "position_ids": positions(decode), "cache": cache, "use_cache": True}
        return model(decode.token_ids, **given).logits.argmax(-1)

    made = [[token] for token in best()[:, -1].tolist()]
    while any(len(tokens) < TOKENS for tokens in made):
        runs = []
        for row, tokens in enumerate(made):
            draft = expected[row][len(tokens) : len(tokens) + chance.randint(0, 3)]
            draft = [token if chance.random() < 0.7 else (token + 1) % VOCABULARY for token in draft]
            runs.append([tokens[-1], *draft] if len(tokens) < TOKENS else [])
            if not runs[row]:
                decode.finish(row)
        decode.append(runs)
        columns = decode.width
        counts = []
        for run, judged, tokens in zip(runs, best().tolist(), made):
            accepted = min(len(run), 1)
            while accepted < len(run) and run[accepted] == judged[accepted - 1]:
                accepted += 1
            tokens += judged[:accepted]
            counts.append(accepted)
        decode.accept(counts)
        cache.crop(decode.width - columns)
    return [tokens[:TOKENS] for tokens in made]


def prompts_that_differ(what, made, expected):
    wrong = sum(a != b for a, b in zip(made, expected, strict=True))
    print(f"{what}: {wrong} of {len(expected)} prompts go on differently")
    return wrong


def test_a_batch_generates_what_each_prompt_alone_does(model, alone):
    assert not prompts_that_differ("current mask", generate(model, ALL), alone)
    assert not prompts_that_differ("whole mask", generate(model, ALL, cache=StaticCache, mask=whole), alone)


def test_rows_that_finish_leave_the_others_as_they_are(model, alone):
    budgets = [5, TOKENS, 11, 1, TOKENS, 20]
    expected = [tokens[:budget] for tokens, budget in zip(alone, budgets)]
    assert not prompts_that_differ("kept with holes", generate(model, budgets), expected)
    assert not prompts_that_differ("dropped", generate(model, budgets, drop=True), expected)


def test_rows_that_accept_different_numbers_of_drafted_tokens_stay_right(model, alone):
    assert not prompts_that_differ("speculative", speculate(model, alone), alone)


def every_column(decode):
    return torch.ones_like(decode.mask)


def no_holes(decode):
    seen = decode.mask.clone()
    seen[:, WIDTH:] = 1
    return seen


def zeros(decode):
    return torch.zeros_like(decode.position_ids)


def columns(decode):
    """What Transformers takes where it is given none."""
    return torch.arange(decode.width - decode.token_ids.shape[1], decode.width).expand(decode.token_ids.shape)


def columns_after_the_prefill(decode):
    return own(decode) if decode.width == WIDTH else columns(decode)


def test_without_the_mask_other_tokens_come(model, alone):
    assert prompts_that_differ("no mask", generate(model, ALL, mask=every_column), alone)
    assert prompts_that_differ("speculative, no holes", speculate(model, alone, mask=no_holes), alone)


def test_without_the_positions_other_tokens_come(model, alone):
    assert prompts_that_differ("every position 0", generate(model, ALL, positions=zeros), alone)
    assert prompts_that_differ("columns in steps alone", generate(model, ALL, positions=columns_after_the_prefill), alone)
    # Holes between a row's tokens show even in rotary positions that columns are no positions.
    assert prompts_that_differ("speculative, columns", speculate(model, alone, positions=columns), alone)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
