"""Models of MLflow's `sklearn` flavour, read as MLflow wrote them but without it: it takes two seconds to import."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from deployments.errors import LoadError
from deployments.inference.loaders.answers import tensors_of
from deployments.inference.loaders.params import split_params
from deployments.inference.loaders.tables import model_input
from deployments.inference.loaders.threads import ThreadLimit
from deployments.inference.loaders.wanted import Wanted
from deployments.inference.mlmodel import Signature
from deployments.inference.tensors import Tensors

METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "transform",
    "score_samples",
)


class Estimator:
    """A fitted estimator or pipeline, asked by one of its methods."""

    def __init__(self, ask: Any, *, signature: Signature | None, threads: int | None) -> None:
        """Takes the estimator's bound method."""
        self._ask = ask
        self._limit = ThreadLimit(threads)
        self.signature = signature

    def __call__(self, tensors: Tensors) -> Tensors:
        """One call for all rows; see `LoadedModel`. Parameters are ignored, as MLflow does for this flavour."""
        self._limit()
        inputs, _ = split_params(tensors)
        return tensors_of(self._ask(model_input(inputs, self.signature)), self.signature)


def load(wanted: Wanted) -> Estimator:
    """The estimator in the artifact; see `loaders.load`."""
    flavor = wanted.flavors["sklearn"]
    path = wanted.path(str(flavor.get("pickled_model", "model.pkl")))
    written = str(flavor.get("serialization_format", "pickle"))
    estimator = _read(path, written, flavor.get("skops_trusted_types"))
    ask = getattr(estimator, wanted.method, None)
    if not callable(ask):
        has = ", ".join(name for name in METHODS if callable(getattr(estimator, name, None)))
        raise LoadError(
            f"The model in {wanted.folder} is a {type(estimator).__name__} without `{wanted.method}`; "
            f"it has {has or 'none of the usual methods'}. Correct `loader.method`."
        )
    _limit_jobs(estimator, wanted.threads)
    return Estimator(ask, signature=wanted.signature, threads=wanted.threads)


def _limit_jobs(estimator: Any, threads: int | None) -> None:
    """Hold forests and their like to the replica's processors; logged with -1 they take all of the machine's."""
    if threads is None or not hasattr(estimator, "get_params"):
        return
    jobs = {
        name: threads
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "n_jobs"
        and isinstance(value, int)
        and (value < 0 or value > threads)
    }
    if jobs:
        estimator.set_params(**jobs)


# The library that reads each format, imported when a model needs it.
_READERS = {"joblib": "joblib", "cloudpickle": "cloudpickle", "pickle": "pickle"}


def _read(path: Path, written: str, trusted: list[str] | None) -> Any:
    """Deserialise an estimator; but for skops this runs what the file says, which is the flavour's way."""
    if written == "skops":
        # The types come from the artifact itself, as with MLflow: it is as trusted as its digest.
        return importlib.import_module("skops.io").load(path, trusted=trusted)
    if path.suffix == ".joblib":
        written = "joblib"
    if written not in _READERS:
        raise LoadError(
            f"{path} was written as {written}; read here are {', '.join(_READERS)} and skops. "
            "Log the model in one of these, or let `loader.flavor: pyfunc` load it by MLflow."
        )
    with path.open("rb") as file:
        return importlib.import_module(_READERS[written]).load(file)
