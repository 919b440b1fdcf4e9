"""Parameters of requests: each row by its own, whatever it was batched with."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deployments.errors import ModelFailed
from deployments.inference.loaders.params import by_params
from deployments.inference.mlmodel import ParamSpec, Signature
from deployments.inference.tensors import PARAMS

SIGNATURE = Signature(
    (), (), (ParamSpec("factor", "double", 2.0), ParamSpec("word", "string", "a"))
)


class Scaled:
    """Multiplies by a parameter, and remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[float], dict]] = []

    def __call__(self, tensors, params):
        assert PARAMS not in tensors
        self.calls.append((tensors["x"].tolist(), params))
        return {"y": tensors["x"] * params.get("factor", 1)}


def batch(*params):
    tensors = {"x": np.arange(1.0, len(params) + 1)}
    return tensors | {PARAMS: np.array([json.dumps(p) for p in params], object)}


def test_a_batch_of_one_kind_is_one_call():
    """The usual case costs nothing; the defaults fill in what the requests leave out."""
    run = Scaled()

    answer = by_params(run, batch({"word": "b"}, {"word": "b"}), SIGNATURE)

    assert run.calls == [([1, 2], {"factor": 2.0, "word": "b"})]
    assert answer["y"].tolist() == [2, 4]


def test_rows_of_different_parameters_are_run_apart_and_answered_in_order():
    """One call for each distinct value, not one for each row."""
    run = Scaled()

    answer = by_params(run, batch({"factor": 10}, {}, {"factor": 10}, {"factor": 0}), SIGNATURE)

    assert answer["y"].tolist() == [10, 4, 30, 0]
    assert [rows for rows, _ in run.calls] == [[1, 3], [2], [4]]


def test_without_any_given_the_defaults_hold():
    """The tensor is there only where some request gave parameters."""
    run = Scaled()

    by_params(run, {"x": np.ones(1)}, SIGNATURE)

    assert run.calls == [([1], {"factor": 2.0, "word": "a"})]


def test_a_model_without_parameters_gets_none():
    """Whatever came with the batch."""
    run = Scaled()

    by_params(run, batch({"factor": 10}), Signature((), ()))

    assert run.calls == [([1], {})]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (lambda x, k: np.ones((len(x), k)), "shapes its answers differently for different param"),
        (lambda x, k: np.ones(len(x) + 1), "answered 2 rows for 1"),
    ],
)
def test_answers_that_do_not_fit_together_are_an_error(shape, words):
    """They cannot be told apart again once they are one batch."""

    def run(tensors, params):
        return {"y": shape(tensors["x"], int(params["factor"]))}

    with pytest.raises(ModelFailed, match=words):
        by_params(run, batch({"factor": 1}, {"factor": 2}), SIGNATURE)
