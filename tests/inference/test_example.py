"""Saved input examples, as MLflow itself writes them, and made-up ones: what a request would bring."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from mlflow.models.utils import _Example
from scipy import sparse

from deployments.api.decode import BodyDecoder
from deployments.inference import example as examples
from deployments.inference.columns import column
from deployments.inference.example import json_row, made_up
from deployments.inference.inputs import by_name
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec, read
from deployments.inference.tensors import rows_of
from deployments.spec.requests import model_inputs

pytestmark = [  # MLflow's, about what it was given and of itself
    pytest.mark.filterwarnings("ignore:.*integer column"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


def saved(folder: Path, given: object, params: dict | None = None) -> Path:
    """An artifact folder with an example, written by MLflow's own class for it.

    Not through `save_model`, which takes seconds for each and writes the same two files.
    """
    written = _Example(given if params is None else (given, params))
    written.save(folder)
    document = {
        "flavors": {"python_function": {}},
        "saved_input_example_info": written.info,
        "signature": infer_signature(given, params=params).to_dict(),
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(document))
    return folder


def example(folder: Path, signature: Signature | None = None):
    file = read(folder)
    return examples.example(folder, replace(file, signature=signature or file.signature))


TABLE = pd.DataFrame(
    {
        "sepal length (cm)": [1.5, None],
        "count": [1, 2],
        "größe": ["a", None],
        "blob": [b"x", b"\xff"],
        "when": pd.to_datetime(["2020-01-01T10:00:00.123", "2021-01-01T10:00:00.123"]),
        "yes": [True, False],
        "many": [[1, 2], [3, 4]],
    }
)
FORMS = {
    "a tensor": np.arange(6, dtype="float32").reshape(2, 3),
    "named tensors": {"a b": np.arange(2.0), "c": np.zeros((2, 2), dtype="int8")},
    "a tensor of text": np.array(["a", "b"]),
    "a table": TABLE,
    "a table without names": pd.DataFrame(np.arange(4.0).reshape(2, 2)),
    "one column": pd.DataFrame({"a": [1, 2]}),
    "a list": [1, 2, 3],
    "a text": "hello",
    "texts": ["a", "b"],
    "a dict": {"a": 1, "b": "x", "c": [1, 2]},
    "dicts": [{"a": 1, "b": 2.5}, {"a": 2}],
    "a sparse matrix": sparse.csr_matrix(np.eye(2)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_mlflow_is_read(tmp_path, form) -> None:
    """As a request of the same row would bring it: the example of the API document is taken, to equal tensors."""
    signature = read(saved(tmp_path, FORMS[form])).signature

    tensors = example(tmp_path)

    assert tensors is not None
    inputs = model_inputs(signature)
    for row in range(rows_of(tensors)):
        shown = json_row(tensors, signature, row)
        body = json.dumps({"inputs": [shown]}).encode()
        decoded, _ = BodyDecoder(inputs, 1).decode(body)
        assert by_name(inputs) == isinstance(shown, dict)
        for spec in inputs:
            gap = decoded.get(f"{spec.name}?missing", [False])[0]
            assert gap == tensors.get(f"{spec.name}?missing", [False] * 9)[row]
            if not gap:
                np.testing.assert_array_equal(
                    decoded[spec.name], tensors[spec.name][row : row + 1], strict=True
                )


def test_a_table_is_what_was_given(tmp_path) -> None:
    """Types of the signature, gaps as such, text and bytes a value a row."""
    tensors = example(saved(tmp_path, TABLE))

    assert tensors["sepal length (cm)"].tolist() == [1.5, 0.0]
    assert tensors["sepal length (cm)?missing"].tolist() == [False, True]
    assert tensors["größe"].tolist() == ["a", ""]
    assert tensors["blob"].tolist() == [b"x", b"\xff"]
    assert tensors["when"].dtype == np.dtype("M8[ns]")
    assert tensors["when"][0] == np.datetime64("2020-01-01T10:00:00.123")
    assert tensors["many"].tolist() == [[1, 2], [3, 4]]


def test_parameters_are_left_out(tmp_path) -> None:
    """They lie in the same file."""
    folder = saved(tmp_path, ["a"], {"temperature": 0.5})

    assert example(folder)["input"].tolist() == ["a"]
    assert read(folder).signature.params[0].default == 0.5


def test_a_declared_signature_takes_the_place_of_the_artifacts(tmp_path) -> None:
    """The same numbers by the name and in the dtype that the configuration declares."""
    folder = saved(tmp_path, np.ones((2, 3)))
    declared = Signature((TensorSpec("x", "float32", (-1, 3)),), ())

    np.testing.assert_array_equal(
        example(folder, declared)["x"], np.ones((2, 3), np.float32), strict=True
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "input_example.json").unlink(),
        lambda folder: (folder / "input_example.json").write_text("{"),
        lambda folder: (folder / "input_example.json").write_text("[[1, 2]]"),
        lambda folder: (folder / "input_example.json").write_text("[]"),
        lambda folder: (folder / "input_example.json").write_text('{"y": [1]}'),
        lambda folder: (folder / "MLmodel").write_text(
            (folder / "MLmodel").read_text().replace("input_example.json", "../out.json")
        ),
    ],
    ids=["lost", "no JSON", "another shape", "no rows", "another name", "outside the folder"],
)
def test_an_example_that_does_not_fit_is_none(tmp_path, damage) -> None:
    """Nobody checked it when it was saved; the model can be served all the same."""
    (tmp_path / "out.json").write_text("[[1, 2, 3]]")
    inside = tmp_path / "artifact"
    inside.mkdir()
    saved(inside, np.ones((2, 3)))
    assert example(inside) is not None

    damage(inside)

    assert example(inside) is None


def test_numbers_that_do_not_fit_their_column_make_no_example(tmp_path) -> None:
    """A float of 1e39 would be an infinity."""
    folder = saved(tmp_path, pd.DataFrame({"a": [1.0, 1e39]}))

    assert example(folder)["a"].tolist() == [1.0, 1e39]
    assert example(folder, Signature((ColumnSpec("a", "float"),), ())) is None
    assert example(folder, Signature((ColumnSpec("a", "long"),), ())) is None
    assert example(folder, Signature((ColumnSpec("a", "string"),), ())) is None


def test_without_an_example_or_a_signature_there_is_none(tmp_path) -> None:
    """Both are optional in MLflow."""
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}}")

    assert example(tmp_path) is None


def test_numbers_that_json_lacks_make_no_row() -> None:
    """NaN in a tensor cannot be shown as a request."""
    signature = Signature((TensorSpec("x", "float32", (-1, 1)),), ())

    assert json_row({"x": np.array([[np.nan]])}, signature) is None


def test_made_up_rows_fit_the_signature() -> None:
    """Any length is 1, text is "a", the rest zero; any number of rows."""
    signature = Signature(
        (
            TensorSpec("x", "float32", (-1, -1, 3)),
            TensorSpec("t", "str", (-1,)),
            ColumnSpec("when", "datetime"),
            ColumnSpec("blob", "binary", required=False),
            ColumnSpec("many", "array(long)"),
        ),
        (),
    )

    tensors = made_up(signature, 2)

    assert {name: array.shape for name, array in tensors.items()} == {
        "x": (2, 1, 3),
        "t": (2,),
        "when": (2,),
        "blob": (2,),
        "many": (2, 1),
    }
    assert (tensors["t"][0], tensors["blob"][1]) == ("a", b"a")
    assert made_up(None) == made_up(Signature((ColumnSpec("x", "map"),), ())) == {}


def test_columns_keep_their_gaps() -> None:
    """The mask is there only where there is a gap."""
    assert list(column("x", "long", [1, 2])) == ["x"]
    assert column("x", "string", ["a", None])["x?missing"].tolist() == [False, True]
