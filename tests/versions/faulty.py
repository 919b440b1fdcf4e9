"""Models that go wrong, each in its own way, saved and registered as anybody would with MLflow alone."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS = np.zeros((2, 2), dtype=np.float32)


def signature(outputs: int = 2) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    kind = np.dtype(np.float32)
    return ModelSignature(
        Schema([TensorSpec(kind, (-1, 2), "x")]), Schema([TensorSpec(kind, (-1, outputs), "y")])
    )


def _python(folder: Path, body: str, *, outputs: int = 2, example: Any = None) -> None:
    """A PythonModel from code, so that nothing of it is pickled: `body` is its `predict`, and runs at load too."""
    import mlflow

    code = folder.parent / f"{folder.name}.py"
    code.write_text(
        "import numpy as np\nfrom mlflow.models import set_model\nfrom mlflow.pyfunc import PythonModel\n"
        f"{body}\nset_model(Model())\n"
    )
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(code),
        signature=signature(outputs),
        input_example=example,
        pip_requirements=["numpy"],
    )


PREDICT = """
class Model(PythonModel):
    def load_context(self, context):
        {load}
    def predict(self, context, model_input, params=None):
        return {answer}
"""
DOUBLE = "{'y': np.asarray(model_input['x']) * 2}"


def good(folder: Path) -> None:
    """Doubles."""
    _python(folder, PREDICT.format(load="pass", answer=DOUBLE))


def raises(folder: Path) -> None:
    """Raises when it is loaded."""
    _python(
        folder, PREDICT.format(load="raise RuntimeError('the weights are damaged')", answer=DOUBLE)
    )


def hangs(folder: Path) -> None:
    """Never finishes to load."""
    _python(folder, PREDICT.format(load="import time; time.sleep(3600)", answer=DOUBLE))


def needs(folder: Path) -> None:
    """Imports a package that nobody has."""
    _python(folder, PREDICT.format(load="import package_that_nobody_has", answer=DOUBLE))


def misdeclares(folder: Path) -> None:
    """Declares three numbers a row and answers two."""
    _python(folder, PREDICT.format(load="pass", answer=DOUBLE), outputs=3)


def wrong_signature(folder: Path) -> None:
    """Takes two numbers a row, as its example shows, and says that it takes three."""
    answer = "{'y': model_input['x'] @ np.eye(2)}"
    _python(folder, PREDICT.format(load="pass", answer=answer), example={"x": ROWS})
    file = folder / "MLmodel"
    file.write_text(file.read_text().replace("[-1, 2]", "[-1, 3]"))


def not_finite(folder: Path) -> None:
    """Answers NaN to everything."""
    _python(
        folder,
        PREDICT.format(
            load="pass", answer="{'y': np.full((len(model_input['x']), 2), np.nan, 'float32')}"
        ),
    )


class Marker:
    """A pickle that creates a file when it is read: what no unverified artifact may ever do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self._path), "w")


def leave_marker(folder: Path, path: Path) -> None:
    """Replaces the model of an artifact of the `pytorch` flavour by one that creates `path`."""
    (folder / "data" / "model.pth").write_bytes(pickle.dumps(Marker(path)))


def torch_module(folder: Path) -> None:
    """A pickled torch module that is good."""
    import mlflow
    import torch

    mlflow.pytorch.save_model(
        torch.nn.Identity(),
        folder,
        serialization_format="pickle",
        signature=signature(),
        pip_requirements=["torch"],
    )
