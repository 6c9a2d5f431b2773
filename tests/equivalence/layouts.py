# SPDX-License-Identifier: MIT
"""Batten's batches as torch tensors, by way of the library that arrays.cpp is (its path: BATTEN_EQUIVALENCE).

collate(sequences, layout) gives a list of batches, more than one for "bucketed" alone. A batch's tensors are its attributes.
Decoding(prompts, capacity) is a batch that goes on, step by step, in tensors of its own.
"""

import ctypes
import os
from types import SimpleNamespace

import numpy
import torch

_path = os.environ.get("BATTEN_EQUIVALENCE")
if not _path:
    raise RuntimeError("BATTEN_EQUIVALENCE must be the path of the library that the CMake target equivalence_arrays builds")
_library = ctypes.CDLL(_path)

_int64s = ctypes.POINTER(ctypes.c_int64)


class _Request(ctypes.Structure):
    _fields_ = [
        ("tokens", _int64s),
        ("offsets", _int64s),
        ("sequences", ctypes.c_size_t),
        ("prompt_lengths", _int64s),
        ("layout", ctypes.c_char_p),
        ("targets", ctypes.c_char_p),
        ("attention", ctypes.c_char_p),
        ("pad_id", ctypes.c_int64),
        ("sizes", _int64s),
        ("size_count", ctypes.c_size_t),
    ]


def _declare(name, result, *arguments):
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments
    return function


_error = _declare("batten_error", ctypes.c_char_p)
_collate = _declare("batten_collate", ctypes.c_void_p, ctypes.POINTER(_Request))
_free = _declare("batten_free", None, ctypes.c_void_p)
_batches = _declare("batten_batches", ctypes.c_size_t, ctypes.c_void_p)
_arrays = _declare("batten_arrays", ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t)
_array = _declare("batten_array", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_name = _declare("batten_array_name", ctypes.c_char_p, ctypes.c_void_p)
_type = _declare("batten_array_type", ctypes.c_char_p, ctypes.c_void_p)
_data = _declare("batten_array_data", ctypes.c_void_p, ctypes.c_void_p)
_bytes = _declare("batten_array_bytes", ctypes.c_size_t, ctypes.c_void_p)
_dimensions = _declare("batten_array_dimensions", ctypes.c_size_t, ctypes.c_void_p)
_shape = _declare("batten_array_shape", _int64s, ctypes.c_void_p)
_decode_start = _declare(
    "batten_decode_start", ctypes.c_void_p, ctypes.POINTER(_Request), ctypes.c_size_t, *[ctypes.c_void_p] * 3
)
_decode_free = _declare("batten_decode_free", None, ctypes.c_void_p)
_decode_width = _declare("batten_decode_width", ctypes.c_size_t, ctypes.c_void_p)
_decode_append = _declare(
    "batten_decode_append", ctypes.c_bool, *[ctypes.c_void_p] * 3, ctypes.c_size_t, *[ctypes.c_void_p] * 2
)
_decode_accept = _declare("batten_decode_accept", ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)
_decode_finish = _declare("batten_decode_finish", ctypes.c_bool, ctypes.c_void_p, ctypes.c_size_t)
_decode_drop = _declare("batten_decode_drop", ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p)


def _checked(result):
    """What a call of the library returned, or its error as an exception."""
    if not result:
        raise RuntimeError(_error().decode())
    return result


def _tensor(array):
    shape = _shape(array)[: _dimensions(array)]
    data = ctypes.string_at(_data(array), _bytes(array))
    return torch.from_numpy(numpy.frombuffer(data, dtype=_type(array).decode()).reshape(shape).copy())


def _int64_array(numbers):
    return (ctypes.c_int64 * len(numbers))(*numbers)


def _request(sequences, layout="left", sizes=(), prompt_lengths=None, targets="model_shifts", attention="causal", pad_id=0):
    offsets = [0]
    for sequence in sequences:
        offsets.append(offsets[-1] + len(sequence))
    return _Request(
        _int64_array([token for sequence in sequences for token in sequence]),
        _int64_array(offsets),
        len(sequences),
        _int64_array(prompt_lengths or [0] * len(sequences)),
        layout.encode(),
        targets.encode(),
        attention.encode(),
        pad_id,
        _int64_array(sizes),
        len(sizes),
    )


def collate(sequences, layout, *sizes, prompt_lengths=None, targets="model_shifts", attention="causal", pad_id=0):
    """Batches of a layout: right, left, varlen; and with sizes: fixed, fixed_left, bucketed (edges), packed (columns of a bin).

    `placement` has a row for each sequence: its index, the batch's row, its first column, its columns.
    """
    asked = _request(sequences, layout, sizes, prompt_lengths, targets, attention, pad_id)
    made = _checked(_collate(ctypes.byref(asked)))
    try:
        batches = []
        for b in range(_batches(made)):
            arrays = [_array(made, b, a) for a in range(_arrays(made, b))]
            tensors = {_name(array).decode(): _tensor(array) for array in arrays}
            tensors["boolean_mask"] = tensors["boolean_mask"].bool()
            batches.append(SimpleNamespace(**tensors))
        return batches
    finally:
        _free(made)


def gather(batches, outputs, count):
    """Cuts what a model made of each batch, [rows, width, ...], back into the caller's sequences."""
    cut = [None] * count
    for batch, output in zip(batches, outputs):
        for sequence, row, column, columns in batch.placement.tolist():
            cut[sequence] = output[row, column : column + columns]
    return cut


class Decoding:
    """Batten's decode_batch over tensors of torch, which it writes in place.

    token_ids, position_ids: of the prefill, then of the last step. mask: up to the columns in use, of whole_mask
    [rows, capacity].
    """

    def __init__(self, prompts, capacity, pad_id=0):
        shape = (len(prompts), max(map(len, prompts)))
        self._mask = torch.full((len(prompts), capacity), -1)
        self.token_ids, self.position_ids = torch.empty(shape, dtype=torch.int64), torch.empty(shape, dtype=torch.int64)
        asked = _request(prompts, pad_id=pad_id)
        self._state = _checked(
            _decode_start(
                ctypes.byref(asked), capacity, self._mask.data_ptr(), self.token_ids.data_ptr(), self.position_ids.data_ptr()
            )
        )
        self.rows = len(prompts)

    def __del__(self):
        if hasattr(self, "_state"):
            _decode_free(self._state)

    @property
    def width(self):
        return _decode_width(self._state)

    @property
    def whole_mask(self):
        return self._mask[: self.rows]

    @property
    def mask(self):
        return self._mask[: self.rows, : self.width]

    def append(self, runs):
        """A step: a list of tokens for each row, empty for those that are finished."""
        counts = [len(run) for run in runs]
        tokens = torch.zeros(self.rows, max(counts), dtype=torch.int64)
        for row, run in enumerate(runs):
            tokens[row, : len(run)] = torch.tensor(run, dtype=torch.int64)
        self.token_ids, self.position_ids = torch.empty_like(tokens), torch.empty_like(tokens)
        _checked(
            _decode_append(
                self._state, tokens.data_ptr(), _int64_array(counts), max(counts), self.token_ids.data_ptr(),
                self.position_ids.data_ptr(),
            )
        )

    def accept(self, counts):
        """Keeps the first counts[row] of the step's tokens."""
        _checked(_decode_accept(self._state, _int64_array(counts)))

    def finish(self, row):
        _checked(_decode_finish(self._state, row))

    def drop_finished(self):
        """The rows that are left, by what they were before."""
        places = (ctypes.c_size_t * self.rows)()
        self.rows = _decode_drop(self._state, places)
        left = [None] * self.rows
        for old, new in enumerate(places):
            if new < self.rows:
                left[new] = old
        return left
