"""Models that MLflow loads as Python functions: the same answers as MLflow's own, through its own checks."""

from __future__ import annotations

import json

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from sklearn.linear_model import LogisticRegression

from deployments.errors import LoadError
from deployments.inference.loaders import load
from deployments.inference.loaders.options import LoadOptions
from deployments.inference.tensors import PARAMS


class Priced(mlflow.pyfunc.PythonModel):
    """Prices from a table whose amounts may be missing, with a parameter; and what columns it saw."""

    def predict(self, context, model_input, params=None):
        amount = model_input.get("amount", 1)
        return pd.DataFrame(
            {
                "price": model_input["each"] * amount * params["rate"],
                "columns": ",".join(model_input.columns),
                "note": model_input["note"].map(lambda v: v if isinstance(v, str) else "-"),
            }
        )


@pytest.fixture(scope="module")
def priced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("priced") / "model"
    signature = ModelSignature(
        Schema(
            [
                ColSpec("double", "each"),
                ColSpec("long", "amount", required=False),
                ColSpec("string", "note", required=False),
            ]
        ),
        Schema(
            [ColSpec("double", "price"), ColSpec("string", "columns"), ColSpec("string", "note")]
        ),
        ParamSchema([ParamSpec("rate", DataType.double, 1.0)]),
    )
    mlflow.pyfunc.save_model(
        str(folder), python_model=Priced(), signature=signature, pip_requirements=["pandas"]
    )
    return folder


def loaded(folder, **options):
    return load(folder, device="cpu", threads=1, options=LoadOptions(**options))


def batch(**more):
    tensors = {
        "each": np.array([1.0, 2.0, 3.0]),
        "amount": np.array([10, 0, 30]),
        "note": np.array(["a", "b", ""], object),
        "note?missing": np.array([False, False, True]),
    }
    return tensors | more


def test_a_python_model_answers_with_its_parameters(priced):
    """Each row by its own, and as MLflow itself answers for it."""
    params = [{"rate": 2}, {}, {"rate": 0.5}]

    answer = loaded(priced)(batch(**{PARAMS: np.array([json.dumps(p) for p in params], object)}))

    assert answer["price"].tolist() == [20, 0, 45]
    assert answer["note"].tolist() == ["a", "b", "-"]
    theirs = mlflow.pyfunc.load_model(str(priced)).predict(
        pd.DataFrame({"each": [1.0], "amount": [10], "note": ["a"]}), params={"rate": 2.0}
    )
    assert theirs["price"].tolist() == [20]


def test_a_row_without_its_integer_is_run_without_the_column(priced):
    """MLflow refuses an integer column with a gap in it; a table without the column it takes."""
    answer = loaded(priced)(batch(**{"amount?missing": np.array([False, True, False])}))

    assert answer["price"].tolist() == [10, 2, 90]
    assert answer["columns"].tolist() == ["each,amount,note", "each,note", "each,amount,note"]


def test_a_method_that_it_lacks_is_refused(priced):
    """When the model is loaded, and not at a request."""
    with pytest.raises(LoadError, match="has no method `predict_proba`"):
        loaded(priced, method="predict_proba")


def test_a_method_of_mlflows_wrapper_is_asked(tmp_path):
    """`loader.method` is for models that MLflow loads as well."""
    rng = np.random.default_rng(0)
    rows, labels = rng.random((50, 2)), rng.integers(0, 2, 50)
    estimator = LogisticRegression().fit(rows, labels)
    mlflow.sklearn.save_model(estimator, str(tmp_path / "m"), pip_requirements=["scikit-learn"])

    model = loaded(tmp_path / "m", flavor="pyfunc", method="predict_proba")

    np.testing.assert_array_equal(model({"x": rows})["output"], estimator.predict_proba(rows))


class Arrays(mlflow.pyfunc.PythonModel):
    """Tells what it was given."""

    def predict(self, context, model_input, params=None):
        if isinstance(model_input, dict):
            return {"sum": model_input["a"] + model_input["b"]}
        return model_input.sum(axis=1)


@pytest.mark.parametrize("names", [[None], ["a"], ["a", "b"]])
def test_tensors_reach_it_as_its_signature_says(tmp_path, names):
    """One without a name, one with, and several."""
    specs = [TensorSpec(np.dtype("float32"), (-1, 2), name) for name in names]
    mlflow.pyfunc.save_model(
        str(tmp_path / "m"),
        python_model=Arrays() if len(names) != 1 or names[0] is None else Named(),
        signature=ModelSignature(Schema(specs)),
        pip_requirements=["numpy"],
    )
    model = load(tmp_path / "m", device="cpu", threads=1)
    ones = np.ones((3, 2), np.float32)

    answer = model({name or "input": ones for name in names})

    assert {name: np.asarray(array).sum() for name, array in answer.items()} == (
        {"sum": 12} if len(names) == 2 else {"output": 6}
    )


class Named(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["a"].sum(axis=1)


def test_a_function_with_type_hints_is_served(tmp_path):
    """MLflow makes the signature of the hints; strings come and go as one per row."""

    def shout(model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]

    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=shout, pip_requirements=["mlflow"])
    model = load(tmp_path / "m", device="cpu", threads=1)
    name = model.signature.inputs[0].name

    answer = model({name: np.array(["a", "ö"], object)})

    assert [array.tolist() for array in answer.values()] == [["A", "Ö"]]


class NeedsPackage(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        import no_such_package_at_all  # noqa: F401

    def predict(self, context, model_input, params=None):
        return model_input


def test_a_package_that_a_model_asks_for_is_told(tmp_path):
    """By the line of the artifact's requirements that brings it."""
    mlflow.pyfunc.save_model(
        str(tmp_path / "m"),
        python_model=NeedsPackage(),
        pip_requirements=["no-such-package-at-all==3.1"],
    )

    with pytest.raises(LoadError, match=r"asks for pip install 'no-such-package-at-all==3\.1'"):
        load(tmp_path / "m", device="cpu", threads=1)
