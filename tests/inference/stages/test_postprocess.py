"""The `classes` and `pooled` stages, and the table of built-in ones."""

from __future__ import annotations

import numpy as np
import pytest

from deployments.errors import SpecError
from deployments.inference.stages import BUILT_IN, stage_type
from deployments.inference.stages.classes import Classes
from deployments.inference.stages.pooled import Pooled


def test_scores_become_a_label_and_probabilities() -> None:
    """Softmax over the last axis, stable for scores of thousands."""
    scores = np.array([[0, 0, np.log(2)], [5000, 0, -5000]], dtype=np.float32)

    answer = Classes({}, None)({"logits": scores})

    assert answer["label"].tolist() == [2, 0]
    assert np.allclose(answer["probabilities"], [[0.25, 0.25, 0.5], [1, 0, 0]], atol=1e-6)


def test_classes_may_have_names_and_ready_probabilities() -> None:
    """Labels are looked up; probabilities that a model gives are passed on."""
    stage = Classes({"labels": ["no", "yes"], "probabilities": True, "scores": "p"}, None)

    answer = stage({"other": np.zeros((1, 2)), "p": np.array([[0.1, 0.9]])})

    assert answer["label"].tolist() == ["yes"]
    assert answer["probabilities"].tolist() == [[pytest.approx(0.1), pytest.approx(0.9)]]


def test_padding_does_not_change_an_embedding() -> None:
    """The same tokens with and without padding give the same vector, of length 1."""
    tokens = np.random.default_rng(0).normal(size=(1, 3, 4)).astype(np.float32)
    padded = np.concatenate([tokens, np.full((1, 5, 4), 99, dtype=np.float32)], axis=1)
    stage = Pooled({}, None)

    short = stage({"token_embeddings": tokens, "attention_mask": np.ones((1, 3), dtype=np.int64)})
    mask = np.array([[1, 1, 1, 0, 0, 0, 0, 0]])
    long = stage({"token_embeddings": padded, "attention_mask": mask})

    assert np.allclose(short["embedding"], long["embedding"], atol=1e-6)
    assert np.linalg.norm(short["embedding"]) == pytest.approx(1)


def test_every_built_in_stage_can_be_had_by_its_name() -> None:
    """And another name says which there are."""
    assert all(callable(stage_type(name)) for name in BUILT_IN)
    with pytest.raises(SpecError, match="images"):
        stage_type("imgaes")
