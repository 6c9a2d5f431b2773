# SPDX-License-Identifier: MIT
"""The models that more than one file needs. Read by pytest before the tests."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported
os.environ.setdefault("TQDM_DISABLE", "1")

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from decoders import VOCABULARY

torch.set_num_threads(1)  # models this small gain nothing by more


def gpt2(attention):
    """Learned positions: a shift of them shows."""
    torch.manual_seed(1)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=256, n_embd=48, n_layer=3, n_head=4, initializer_range=0.25, resid_pdrop=0,
            embd_pdrop=0, attn_pdrop=0, bos_token_id=None, eos_token_id=None, attn_implementation=attention,
        )
    )


def llama(attention):
    """Rotary positions, two queries a key: only distances between positions count, a shift of all of them does not show."""
    torch.manual_seed(2)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.25, bos_token_id=None,
            eos_token_id=None, pad_token_id=None, attn_implementation=attention,
        )
    )


@pytest.fixture(
    scope="module",
    params=[(family, attention) for family in (gpt2, llama) for attention in ("eager", "sdpa")],
    ids=lambda param: f"{param[0].__name__}-{param[1]}",
)
def model(request):
    """A small decoder of Transformers' own classes, with seeded random weights."""
    family, attention = request.param
    return family(attention).eval()
