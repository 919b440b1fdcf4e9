"""Tables as a signature asks for them, held against MLflow's own check of a model's input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from mlflow.models.utils import _enforce_schema
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from deployments.errors import ModelFailed
from deployments.inference.loaders.tables import model_input
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec

VALUES = {
    "boolean": np.array([True, False]),
    "integer": np.array([1, -2], np.int32),
    "long": np.array([1 << 60, -2]),
    "float": np.array([1.5, 2], np.float32),
    "double": np.array([1.5, 2]),
    "string": np.array(["é", "x"], object),
    "binary": np.array([b"\x00", b"x"], object),
    "datetime": np.array(["2024-05-06T07:08:09.123456789", "1969-01-01"], "datetime64[ns]"),
}


def columns(**types) -> Signature:
    return Signature(tuple(ColumnSpec(n, t, required=False) for n, t in types.items()), ())


@pytest.mark.parametrize("kind", VALUES)
def test_a_column_passes_mlflows_own_check_unchanged(kind):
    """Every type of MLflow's, to the last digit, and no conversion is left for MLflow to make."""
    table = model_input({"c": VALUES[kind]}, columns(c=kind))

    checked = _enforce_schema(table, Schema([ColSpec(kind, "c")]))

    pd.testing.assert_frame_equal(checked, table)
    assert table["c"].tolist() == pd.Series(VALUES[kind]).tolist()


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - {"integer", "long"}))
def test_a_missing_value_passes_mlflows_check(kind):
    """As NaN, NaT or None: what stands in the tensor there is not seen."""
    tensors = {"c": VALUES[kind], "c?missing": np.array([False, True])}

    table = model_input(tensors, columns(c=kind))

    checked = _enforce_schema(table, Schema([ColSpec(kind, "c", required=False)]))
    pd.testing.assert_frame_equal(checked, table)
    assert table["c"].isna().tolist() == [False, True]
    assert table["c"][0] == pd.Series(VALUES[kind])[0]


@pytest.mark.parametrize("kind", ["integer", "long"])
def test_a_missing_integer_costs_no_digit_of_its_neighbour(kind):
    """A float column would round large ones; pandas' nullable integers do not."""
    tensors = {"c": VALUES[kind], "c?missing": np.array([False, True])}

    column = model_input(tensors, columns(c=kind))["c"]

    assert column[0] == VALUES[kind][0]
    assert column.isna().tolist() == [False, True]
    assert str(column.dtype) == {"integer": "Int32", "long": "Int64"}[kind]


@pytest.mark.parametrize("kind", VALUES)
def test_an_optional_column_that_nobody_gave_is_there_and_empty(kind):
    """The model sees all of its columns always, in the signature's order."""
    signature = columns(first="double", c=kind, last="string")
    tensors = {"last": np.array(["a", "b"], object), "first": np.array([1.0, 2.0])}

    table = model_input(tensors, signature)

    assert list(table) == ["first", "c", "last"]
    assert table["c"].isna().all()
    assert table["last"].tolist() == ["a", "b"]


def test_a_batch_is_not_changed_by_what_is_missing_in_it():
    """Tensors are shared with the replica, which may run the same rows again."""
    tensors = {"c": np.array([1.5, 2]), "c?missing": np.array([False, True])}

    model_input(tensors, columns(c="double"))

    assert tensors["c"].tolist() == [1.5, 2]


@pytest.mark.parametrize(
    ("kind", "values"),
    [("long", [[1, 2], [3, 4]]), ("double", [[0.5], [1]]), ("string", [["a", "é"], ["b", ""]])],
)
def test_a_column_of_arrays_is_one_of_lists(kind, values):
    """Which is what MLflow's check takes, for a tensor of [rows, n]."""
    tensor = np.array(values, dtype=object if kind == "string" else None)

    table = model_input({"c": tensor}, columns(c=f"array({kind})"))

    assert table["c"].tolist() == values
    checked = _enforce_schema(table, Schema([ColSpec(Array(DataType[kind]), "c")]))
    assert [list(row) for row in checked["c"]] == values


def test_a_number_is_not_rounded_into_an_integer():
    """A preprocess stage that gives floats for an integer column is told so."""
    with pytest.raises(ModelFailed, match="takes `c` as int64, but preprocessing gave float64"):
        model_input({"c": np.array([1.5])}, columns(c="long"))


def test_a_missing_column_is_named():
    """One that the signature requires and the preprocess stage does not give."""
    signature = Signature((ColumnSpec("c", "long"),), ())

    with pytest.raises(ModelFailed, match="takes a tensor `c`, but preprocessing gave `d`"):
        model_input({"d": np.array([1])}, signature)


def test_tensors_are_arrays():
    """One by itself, several as a dict; in the declared dtype."""
    one = Signature((TensorSpec("a", "float32", (-1, 2)),), ())
    two = Signature((*one.inputs, TensorSpec("b", "int64", (-1,))), ())
    tensors = {"b": np.array([1, 2]), "a": np.ones((2, 2))}

    assert model_input(tensors, one).dtype == np.float32
    assert list(model_input(tensors, two)) == ["a", "b"]


def test_without_a_signature_it_depends_on_the_tensors():
    """One array as it is, several of numbers as a table, anything else as a dict; never the marks beside them."""
    marks = {"?params": np.array(["{}"], object), "a?missing": np.array([True])}

    assert model_input({"a": np.ones((1, 2))} | marks, None).shape == (1, 2)
    assert list(model_input({"a": np.ones(1), "b": np.ones(1)} | marks, None).columns) == ["a", "b"]
    assert list(model_input({"a": np.ones((1, 2)), "b": np.ones(1)} | marks, None)) == ["a", "b"]
