"""Estimators as MLflow saves them: the same answers as the estimator itself, from tables and from arrays."""

from __future__ import annotations

import subprocess
import sys
import threading

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from deployments.errors import LoadError
from deployments.inference.loaders import load
from deployments.inference.loaders.options import LoadOptions
from tests.conftest import ROOT

FLOWERS, KINDS = load_iris(return_X_y=True)


def saved(folder, estimator, signature=None, **more):
    """Saved by MLflow, which is told the requirements so that it starts no process to find them."""
    mlflow.sklearn.save_model(
        estimator, str(folder), signature=signature, pip_requirements=["scikit-learn"], **more
    )
    return folder


@pytest.fixture(scope="module")
def iris(tmp_path_factory):
    estimator = LogisticRegression(max_iter=500).fit(FLOWERS, KINDS)
    signature = infer_signature(FLOWERS, estimator.predict(FLOWERS))
    folder = tmp_path_factory.mktemp("iris") / "model"
    return saved(folder, estimator, signature, serialization_format="cloudpickle"), estimator


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_answers_are_the_estimators_own(iris, method):
    """By any method that a configuration names; `predict` by default."""
    folder, estimator = iris
    model = load(folder, device="cpu", threads=1, options=LoadOptions(method=method))

    answer = model({"input": FLOWERS})

    np.testing.assert_array_equal(answer["output"], getattr(estimator, method)(FLOWERS))


def test_the_logged_method_is_the_default(tmp_path):
    """What `pyfunc_predict_fn` said when the model was logged is what is asked."""
    estimator = LogisticRegression(max_iter=500).fit(FLOWERS, KINDS)
    folder = saved(tmp_path / "m", estimator, pyfunc_predict_fn="predict_proba")

    answer = load(folder, device="cpu", threads=1)({"x": FLOWERS})

    np.testing.assert_array_equal(answer["output"], estimator.predict_proba(FLOWERS))


def test_a_method_that_it_lacks_is_told_with_those_it_has(iris):
    """A misspelt `loader.method` is refused when the model is loaded, not at a request."""
    with pytest.raises(
        LoadError, match=r"LogisticRegression without `transform`; it has predict, predict_proba"
    ):
        load(iris[0], device="cpu", threads=1, options=LoadOptions(method="transform"))


@pytest.mark.parametrize("written", ["pickle", "cloudpickle", "skops", "joblib"])
def test_every_format_is_read(tmp_path, written):
    """Those that MLflow writes, and joblib, which people put in its place."""
    estimator = LogisticRegression(max_iter=500).fit(FLOWERS, KINDS)
    folder = tmp_path / "m"
    if written == "joblib":
        import joblib

        folder.mkdir()
        joblib.dump(estimator, folder / "model.joblib")
        (folder / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.joblib}}")
    else:
        saved(folder, estimator, serialization_format=written)

    answer = load(folder, device="cpu", threads=1)({"x": FLOWERS})

    np.testing.assert_array_equal(answer["output"], estimator.predict(FLOWERS))


def test_an_unknown_format_is_told(tmp_path):
    """With those that are read, and the other way to load it."""
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {serialization_format: dill}}")
    (tmp_path / "model.pkl").write_bytes(b"")

    with pytest.raises(LoadError, match=r"written as dill; read here are joblib, .*pyfunc"):
        load(tmp_path, device="cpu", threads=1)


@pytest.fixture(scope="module")
def passengers(tmp_path_factory):
    """A pipeline on a table with strings, and with values that may be missing."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(1, 80, 200).astype(float),
            "cabins": rng.integers(0, 4, 200),
            "port": rng.choice(["C", "Q", "S"], 200),
        }
    )
    survived = (table["age"] < 30) ^ (table["port"] == "S")
    table.loc[:20, "age"] = np.nan
    table.loc[30:40, "port"] = None
    pipeline = make_pipeline(
        make_column_transformer(
            (SimpleImputer(), ["age", "cabins"]),
            (OneHotEncoder(handle_unknown="error"), ["port"]),
        ),
        LogisticRegression(),
    ).fit(table, survived)
    columns = [
        ColSpec("double", "age", required=False),
        ColSpec("long", "cabins", required=False),
        ColSpec("string", "port", required=False),
    ]
    signature = ModelSignature(Schema(columns), Schema([ColSpec("double", n) for n in "nf"]))
    folder = tmp_path_factory.mktemp("passengers") / "model"
    saved(folder, pipeline, signature, serialization_format="cloudpickle")
    return folder, pipeline, table


def test_a_pipeline_gets_the_table_that_it_was_fitted_on(passengers):
    """Columns by name and not by order, strings and missing values as in training; outputs by the signature."""
    folder, pipeline, table = passengers
    model = load(folder, device="cpu", threads=1, options=LoadOptions(method="predict_proba"))

    answer = model(
        {
            "port": np.array([v if isinstance(v, str) else "" for v in table["port"]], object),
            "port?missing": table["port"].isna().to_numpy(),
            "age": table["age"].fillna(0).to_numpy(),
            "age?missing": table["age"].isna().to_numpy(),
            "cabins": table["cabins"].to_numpy(),
        }
    )

    assert list(answer) == ["n", "f"]
    expected = pipeline.predict_proba(table)
    np.testing.assert_allclose(np.stack([answer["n"], answer["f"]], axis=1), expected, atol=1e-12)


def test_an_integer_that_is_missing_reaches_the_imputer(passengers):
    """Integers have no NaN: the column becomes a nullable one, which scikit-learn reads as NaN."""
    folder, pipeline, table = passengers
    model = load(folder, device="cpu", threads=1, options=LoadOptions(method="predict_proba"))
    some = table[50:53].copy()

    answer = model(
        {
            "age": some["age"].to_numpy(),
            "cabins": some["cabins"].to_numpy(),
            "cabins?missing": np.array([True, False, True]),
            "port": some["port"].to_numpy(object),
        }
    )

    some["cabins"] = np.where([True, False, True], np.nan, some["cabins"])
    np.testing.assert_allclose(answer["f"], pipeline.predict_proba(some)[:, 1], atol=1e-12)


def test_strings_are_answered_as_strings(tmp_path):
    """Class labels come as one str per row, whatever NumPy held them in."""
    names = np.array(["setosa", "versicolor", "virginica"])[KINDS]
    estimator = LogisticRegression(max_iter=500).fit(FLOWERS, names)

    answer = load(saved(tmp_path / "m", estimator), device="cpu", threads=1)({"x": FLOWERS})

    assert answer["output"].dtype == object
    assert answer["output"].tolist() == estimator.predict(FLOWERS).tolist()


def test_loading_an_estimator_imports_neither_mlflow_nor_torch(iris):
    """A replica pays for what its model needs and for nothing else."""
    code = (
        "import sys; from pathlib import Path; from deployments.inference.loaders import load; "
        f"load(Path({str(iris[0])!r}), device='cpu', threads=1); "
        "print({'torch', 'mlflow', 'onnxruntime', 'transformers'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "set()\n"


class Counts:
    """An estimator that tells how many threads its libraries may use where it is called."""

    def predict(self, table):
        from threadpoolctl import threadpool_info

        return np.full(len(table), max(each["num_threads"] for each in threadpool_info()))


def test_threads_are_limited_in_the_thread_that_predicts(tmp_path):
    """Which is not the one that loads; and OpenMP has a limit in each."""
    from threadpoolctl import threadpool_limits

    model = load(
        saved(tmp_path / "m", Counts(), serialization_format="cloudpickle"), device="cpu", threads=1
    )
    answers = []

    def call() -> None:
        with threadpool_limits(3):  # undone at the end, as other tests run in this process
            answers.append(model({"x": FLOWERS[:1]})["output"].tolist())

    for _ in range(2):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    assert answers == [[1], [1]]


def test_a_forest_takes_no_more_than_its_share(tmp_path):
    """`n_jobs=-1` is for training: a replica may use the processors that it was promised."""
    forest = RandomForestClassifier(5, n_jobs=-1, random_state=0).fit(FLOWERS, KINDS)
    folder = saved(tmp_path / "m", make_pipeline(forest), serialization_format="cloudpickle")

    model = load(folder, device="cpu", threads=1)

    assert model._ask.__self__[-1].n_jobs == 1
    np.testing.assert_array_equal(model({"x": FLOWERS})["output"], forest.predict(FLOWERS))
