"""Answers in JSON: every kind of output has a form, and what has none is the model's fault, told as such."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deployments.api.encode import encode_answer
from deployments.errors import ModelOutputInvalid
from deployments.inference.tensors import JSON_SUFFIX


def predictions(**tensors):
    body = encode_answer("id", "e", "v", {"name": "m", "version": "1"}, tensors)
    return json.loads(body)["predictions"]


def objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_outputs_of_every_kind() -> None:
    """Several named outputs, a row each: numbers, booleans, texts, base64 and ISO 8601."""
    rows = predictions(
        label=objects("a", "ü"),
        blob=objects(b"\x00\xff", b""),
        when=np.array(["2026-01-31T12:00:00.5", "NaT"], dtype="M8[ns]"),
        days=np.array([["1969-12-31"], ["2026-01-31"]], dtype="M8[D]"),
        yes=np.array([True, False]),
        count=np.array([1, 2**64 - 1], dtype=np.uint64),
        score=np.array([0.1, 0.2], dtype=np.float32),
        half=np.array([[0.5, 1], [2, 3]], dtype=np.float16),
        words=np.array([["a", "bc"], ["d", ""]]),
        big=np.array([[1.5], [2]], dtype=">f8"),
    )

    assert rows[0] == {
        "label": "a",
        "blob": "AP8=",
        "when": "2026-01-31T12:00:00.500Z",
        "days": ["1969-12-31T00:00:00Z"],
        "yes": True,
        "count": 1,
        "score": pytest.approx(0.1),
        "half": [0.5, 1],
        "words": ["a", "bc"],
        "big": [1.5],
    }
    assert (rows[1]["when"], rows[1]["blob"], rows[1]["count"]) == (None, "", 2**64 - 1)


@pytest.mark.parametrize(
    "array",
    [np.array([1j]), objects("\ud800"), objects({1, 2})],
    ids=["complex", "a lone surrogate", "a set"],
)
def test_what_json_has_no_form_for(array) -> None:
    """The model is named as the cause, the output too, and not a bug of ours."""
    with pytest.raises(ModelOutputInvalid, match="no form for, among odd"):
        predictions(odd=array)


def test_nested_answers_are_nested_again() -> None:
    """What a model answered as mappings and lists of any length comes out as such, under its own name."""
    found = {"found" + JSON_SUFFIX: objects('{"a":[1,2]}', "null")}
    assert predictions(**found, n=np.array([1, 2])) == [
        {"found": {"a": [1, 2]}, "n": 1},
        {"found": None, "n": 2},
    ]
