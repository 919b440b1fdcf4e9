"""Models as MLflow logs them, from their files to an answer: every part takes what the one before it gives.

No service runs here: what is rendered, decoded, loaded and encoded is handed on by hand.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deployments.api.decode import BodyDecoder
from deployments.api.document import example_body
from deployments.api.encode import encode_answer
from deployments.errors import InvalidInput
from deployments.inference import mlmodel
from deployments.inference.example import example, json_row
from deployments.inference.loaders import load
from deployments.inference.table import EndpointRoute, read_table
from deployments.registry.version import ModelVersion
from deployments.spec.model import Spec
from deployments.spec.render import render

pytestmark = pytest.mark.filterwarnings("ignore")  # what MLflow says of the examples it is given


class Logged:
    """A model in a folder, and the endpoint that it makes."""

    def __init__(self, folder: Path) -> None:
        self.file = mlmodel.read(folder)
        self.folder = folder
        self.route = self._route()
        self.decoder = BodyDecoder(self.route.inputs, 64, self.route.params)
        self.model = load(folder, device="cpu", threads=1)

    def _route(self) -> EndpointRoute:
        version = ModelVersion("m", "1", str(self.folder), signature=self.file.signature)
        endpoint = {
            "variants": {"only": {"model": "models:/m/1", "trust": "none"}},
            "traffic": {"split": {"only": 100}},
        }
        document = render(
            Spec.model_validate({"endpoints": {"e": endpoint}}),
            lambda _: version,
            example_of=lambda _: json_row(example(self.folder, self.file), self.file.signature),
        )
        table = document["applications"][0]["deployments"][0]["user_config"]
        return read_table(json.loads(json.dumps(table))).endpoints["e"]

    def answer(self, body: object) -> list[dict]:
        tensors, _ = self.decoder.decode(json.dumps(body).encode())
        return json.loads(encode_answer("id", "e", "v", {}, self.model(tensors)))["predictions"]


def test_a_pipeline_over_a_table(tmp_path) -> None:
    """sklearn with gaps and text: the document's example, gaps and a bad value, answered as the pipeline itself does."""
    import mlflow
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pd.DataFrame(
        {"age (y)": [30.0, None, 50, 20], "plan": ["a", "b", "a", None], "n": [1, 2, 3, 4]}
    )
    columns = make_column_transformer(
        (SimpleImputer(), ["age (y)", "n"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    pipeline = make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 0, 1])
    mlflow.sklearn.save_model(
        pipeline,
        tmp_path / "model",
        input_example=table,
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
    )

    logged = Logged(tmp_path / "model")

    assert example_body(logged.route) == {"inputs": [{"age (y)": 30.0, "plan": "a", "n": 1}]}
    rows = [
        {"age (y)": 30.0, "plan": "a", "n": 1},
        {"n": 2, "plan": "b"},
        {"age (y)": 50, "n": 3, "plan": "a"},
        {"n": 4, "age (y)": 20, "plan": None},
    ]
    assert [row["output"] for row in logged.answer({"inputs": rows})] == pipeline.predict(
        table
    ).tolist()
    with pytest.raises(InvalidInput, match=r"inputs\[1\]\.n"):
        logged.answer({"inputs": [rows[0], {"age (y)": 1}]})


def test_a_python_model_with_parameters(tmp_path) -> None:
    """Text, bytes, points in time and lists in and out, with and without parameters."""
    import mlflow

    class Teller(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return pd.DataFrame(
                {
                    "said": [f"{q} {params['k']} {params['t']}" for q in model_input["q"]],
                    "when": model_input["when"] + pd.Timedelta(days=1),
                    "blob": [blob + b"!" for blob in model_input["blob"]],
                    "sum": [float(np.sum(v)) for v in model_input["v"]],
                }
            )

    given = pd.DataFrame(
        {"q": ["hi"], "when": pd.to_datetime(["2020-01-01"]), "blob": [b"\0"], "v": [[1.0, 2.0]]}
    )
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=Teller(),
        input_example=(given, {"t": 0.5, "k": [1]}),
        pip_requirements=["mlflow"],
    )

    logged = Logged(tmp_path / "model")
    body = example_body(logged.route)

    answer = {"said": "hi [1] 0.5", "when": "2020-01-02T00:00:00Z", "blob": "ACE=", "sum": 3.0}
    assert logged.answer(body) == [answer]
    assert logged.answer(body | {"params": {"k": [3, 4], "t": 1}}) == [
        answer | {"said": "hi [3, 4] 1.0"}
    ]
