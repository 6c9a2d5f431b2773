# SPDX-License-Identifier: MIT
"""What the tests with decoders share."""

import torch

VOCABULARY = 101
PAD_ID = 7  # a token like any other too: nothing may be told by comparing with it


def sequences(lengths, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(VOCABULARY, (n,), generator=generator).tolist() for n in lengths]


def shows_shifts(model):
    """Whether it has learned positions: of rotary ones only the distances count."""
    return model.config.model_type == "gpt2"


def dense_mask(model, batch):
    """Batten's mask in the form that the model's attention takes: numbers to add, or true where a key is seen."""
    if model.config._attn_implementation == "sdpa":
        return batch.boolean_mask
    return batch.additive_mask.to(model.dtype)


def padding_mask(model, batch):
    """Of which Transformers makes a causal mask that knows pads, but no borders between sequences."""
    return batch.attention_mask


def no_mask(model, batch):
    return None
