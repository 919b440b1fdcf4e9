"""Rows of like length run together, and nobody can tell from the answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.inference.buckets import LengthBuckets


class Encoder:
    """Answers per token and per row, and remembers the shapes that it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, tensors):
        ids, mask = tensors["ids"], tensors["mask"]
        self.shapes.append(ids.shape)
        tokens = (ids * mask)[:, :, None] * np.array([1.0, 10.0])
        return {"tokens": tokens, "sum": (ids * mask).sum(axis=1), "mask": mask}


@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=20), rows=st.integers(1, 8))
def test_the_answers_are_those_of_the_whole_batch(lengths, rows) -> None:
    """For any lengths: every output, along the sequence or not, in the rows' own order."""
    padded = max(1, *lengths) if len(lengths) > 1 else max(1, lengths[0])
    mask = (np.arange(padded) < np.array(lengths)[:, None]).astype(np.int64)
    ids = np.arange(len(lengths) * padded).reshape(len(lengths), padded) + 1
    batch = {"ids": ids, "mask": mask, "other": np.arange(len(lengths))}

    expected = Encoder()(batch)
    answer = LengthBuckets(Encoder(), mask="mask", rows=rows)(batch)

    assert list(answer) == list(expected)
    for name, array in expected.items():
        assert (answer[name] == array).all()
        assert answer[name].dtype == array.dtype


@pytest.mark.parametrize(
    ("lengths", "shapes"), [([9, 2, 3, 8], [(2, 3), (2, 9)]), ([4, 4], [(2, 4)])]
)
def test_padding_is_not_computed(lengths, shapes) -> None:
    """Each piece is as long as its own longest row; rows of one length are not taken apart."""
    padded = max(lengths)
    mask = (np.arange(padded) < np.array(lengths)[:, None]).astype(np.int64)
    encoder = Encoder()

    LengthBuckets(encoder, mask="mask", rows=2)({"ids": mask, "mask": mask})

    assert encoder.shapes == shapes
