"""Whatever a model answers becomes named tensors, and nothing is lost on the way."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pydantic
import pytest
import torch
from scipy import sparse

from deployments.inference.loaders.answers import tensors_of
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec
from deployments.inference.tensors import JSON_SUFFIX


def outputs(*specs) -> Signature:
    return Signature((), specs)


def plain(answer, signature=None) -> dict[str, list]:
    return {name: array.tolist() for name, array in tensors_of(answer, signature).items()}


def nested(answer, signature=None) -> list:
    """What a client gets of an answer that no array holds."""
    ((name, array),) = tensors_of(answer, signature).items()
    assert name.endswith(JSON_SUFFIX)
    return [json.loads(text) for text in array]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.float32([[1, 2], [3, 4]]), {"output": [[1, 2], [3, 4]]}),
        (torch.tensor([1.5, 2.5], requires_grad=True), {"output": [1.5, 2.5]}),
        (torch.tensor([1.5], dtype=torch.bfloat16), {"output": [1.5]}),
        (sparse.csr_matrix([[0, 1], [2, 0]]), {"output": [[0, 1], [2, 0]]}),
        ([1, 2], {"output": [1, 2]}),
        ([[1.0, 2.0], [3.0, 4.0]], {"output": [[1, 2], [3, 4]]}),
        (["a", "b"], {"output": ["a", "b"]}),
        (np.array(["a", "bc"]), {"output": ["a", "bc"]}),
        ([b"\x00", b"b"], {"output": [b"\x00", b"b"]}),
        ([True, False], {"output": [True, False]}),
        (pd.Series([1, 2]), {"output": [1, 2]}),
        (pd.Series([1, 2], name="y"), {"y": [1, 2]}),
        (pd.Series(["a", "b"], dtype="category"), {"output": ["a", "b"]}),
        (pd.DataFrame({"p": [0.5], "label": ["a"]}), {"p": [0.5], "label": ["a"]}),
        (pd.DataFrame([[1, 2]]), {"output_0": [1], "output_1": [2]}),
        ({"a": np.ones(2), "b": ["x", "y"]}, {"a": [1, 1], "b": ["x", "y"]}),
        ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], {"a": [1, 2], "b": ["x", "y"]}),
        ((np.zeros(2), np.ones(2)), {"output_0": [0, 0], "output_1": [1, 1]}),
        ("a", {"output": ["a"]}),
        (pd.Timestamp("2024-01-01"), {"output?json": ['"2024-01-01T00:00:00"']}),
        ([], {"output": []}),
        ({"t": pd.DataFrame([[1, 2]])}, {"t": [[1, 2]]}),
        (3, {"output": [3]}),
        (np.float64(3), {"output": [3]}),
    ],
)
def test_every_form_of_answer(answer, expected):
    """Arrays of any library, tables, lists of values or of mappings, tuples of results, a lone value."""
    assert plain(answer) == expected


@pytest.mark.parametrize(
    "answer", [[1, 2], np.array([1, 2], np.uint8), pd.Series([1, 2], dtype="Int64")]
)
def test_integers_stay_integers(answer):
    """A class number of 1.0 would be another JSON."""
    assert tensors_of(answer, None)["output"].dtype.kind in "iu"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1], [2, 3]], [[1], [2, 3]]),
        ([{"a": 1}, {"b": 2}], [{"a": 1}, {"b": 2}]),
        ([{"a": 1}, "x"], [{"a": 1}, "x"]),
        (["x", None], ["x", None]),
        ([{"m": np.float32([1.5])}, {}], [{"m": [1.5]}, {}]),
        ([{1: {2}}, 5], [{"1": [2]}, 5]),
        ([{"m": b"ab"}, b"c"], [{"m": "YWI="}, "Yw=="]),
        (
            [{"at": pd.Timestamp("2024-01-01", tz="UTC")}, {}],
            [{"at": "2024-01-01T00:00:00+00:00"}, {}],
        ),
        ([{"price": Decimal("1.10")}, "x"], [{"price": "1.10"}, "x"]),
        ([1 << 70, "x"], [1 << 70, "x"]),
    ],
)
def test_what_no_tensor_holds_is_json_row_by_row(rows, expected):
    """Each row comes out as it was, whatever the rows beside it are."""
    assert nested(rows) == expected


def test_declared_nested_outputs_are_json_always():
    """Where a list of lists happens to be rectangular too, as it is for a lone row."""
    signature = outputs(ColumnSpec("found", "array(long)"))

    for rows in ([[1, 2]], [[1, 2], [3]], np.array([[1, 2]])):
        assert nested(rows, signature)[0] == [1, 2]


def test_results_get_the_signatures_names_in_order():
    """Unless they bring those very names themselves, in any order."""
    signature = outputs(TensorSpec("a", "float64", (-1,)), TensorSpec("b", "float64", (-1,)))

    assert plain((np.zeros(1), np.ones(1)), signature) == {"a": [0], "b": [1]}
    assert plain({"b": np.zeros(1), "a": np.ones(1)}, signature) == {"b": [0], "a": [1]}
    assert plain({"x": np.zeros(1), "y": np.ones(1)}, signature) == {"a": [0], "b": [1]}


def test_an_array_is_cut_into_declared_columns():
    """An estimator answers probabilities as one array where its signature names one column for each class."""
    signature = outputs(ColumnSpec("no", "double"), ColumnSpec("yes", "double"))

    assert plain(np.array([[0.25, 0.75]]), signature) == {"no": [0.25], "yes": [0.75]}


@pytest.mark.parametrize(
    ("came", "declared", "expected"),
    [
        ("int32", "long", "int64"),
        ("float32", "double", "float64"),
        ("int64", "integer", "int64"),
        ("float64", "long", "float64"),
        ("float64", "float", "float64"),
        ("int64", "string", "int64"),
    ],
)
def test_a_declared_type_is_taken_where_nothing_is_lost(came, declared, expected):
    """Never by rounding: a wrong signature shows, and does no harm to the numbers."""
    answer = np.array([1, 2], came)

    assert tensors_of(answer, outputs(ColumnSpec("y", declared)))["y"].dtype == expected


def test_none_among_numbers_is_not_a_number():
    """So that the row without an answer fails, and not its neighbours."""
    answer = tensors_of([1.5, None], None)["output"]

    assert answer.dtype == np.float64
    assert np.isnan(answer).tolist() == [False, True]
    nullable = tensors_of(pd.Series([1, None], dtype="Int64"), None)["output"]
    assert np.isnan(nullable).tolist() == [False, True]


@pytest.mark.parametrize(
    "column",
    [
        pd.to_datetime(["2024-01-01T00:00:00.5"]),
        pd.to_datetime(["2024-01-01T01:00:00.5+01:00"]),
        pd.Series([dt.datetime.fromisoformat("2024-01-01T00:00:00.500000")], dtype=object),
    ],
)
def test_times_are_nanoseconds_of_utc(column):
    """Of whatever unit and zone they were, or Python's own where the signature declares times."""
    signature = outputs(ColumnSpec("t", "datetime"))

    answer = tensors_of(pd.DataFrame({"t": column}), signature)["t"]

    assert answer.dtype == "datetime64[ns]"
    assert str(answer[0]) == "2024-01-01T00:00:00.500000000"


def test_pydantic_models_are_json():
    """MLflow's functions with type hints answer them, alone and within others."""

    class Point(pydantic.BaseModel):
        x: int

    assert nested([Point(x=1), Point(x=2)]) == [{"x": 1}, {"x": 2}]
    assert nested([{"a": [Point(x=1)]}, "-"]) == [{"a": [{"x": 1}]}, "-"]
