"""Any model that MLflow can load as a Python function: `PythonModel`s with their parameters, and other flavours."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from typing import Any

import mlflow.pyfunc
import numpy as np

from deployments.errors import LoadError
from deployments.inference.loaders.answers import tensors_of
from deployments.inference.loaders.params import Params, by_key, by_params
from deployments.inference.loaders.tables import model_input
from deployments.inference.loaders.threads import ThreadLimit
from deployments.inference.loaders.wanted import Wanted
from deployments.inference.mlmodel import ColumnSpec, Signature
from deployments.inference.tensors import MISSING_SUFFIX, Tensors

log = logging.getLogger(__name__)


class PythonFunction:
    """MLflow's own wrapper, with its check of what goes in, and named tensors at both ends."""

    def __init__(self, model: Any, *, signature: Signature | None, threads: int | None) -> None:
        """Takes what `mlflow.pyfunc.load_model` gave."""
        self._model = model
        self._limit = ThreadLimit(threads)
        self.signature = signature
        specs = () if signature is None else signature.inputs
        schema = model.metadata.get_input_schema()
        self._nameless = bool(schema and not (schema.is_tensor_spec() or schema.has_input_names()))
        self._unmarked = [
            spec.name
            for spec in specs
            if isinstance(spec, ColumnSpec) and spec.type in {"integer", "long"}
        ]

    @property
    def raw(self) -> Any:
        """The library's own object within MLflow's wrapper."""
        return self._model.get_raw_model()

    def __call__(self, tensors: Tensors) -> Tensors:
        """One call for all rows of the same parameters; see `LoadedModel`."""
        self._limit()
        return by_params(self._with_missing, tensors, self.signature)

    def _with_missing(self, tensors: Tensors, params: Params) -> Tensors:
        """MLflow takes no integer that is missing, only a table without the column: so such rows go by themselves."""
        gone = [name for name in self._unmarked if name + MISSING_SUFFIX in tensors]
        if not gone:
            return self._predict(tensors, params, ())
        masks = np.stack([tensors[name + MISSING_SUFFIX] for name in gone], axis=1)

        def run(rows: Tensors, missing: Hashable) -> Tensors:
            return self._predict(rows, params, missing)

        keys = [tuple(n for n, lacks in zip(gone, row, strict=True) if lacks) for row in masks]
        return by_key(run, tensors, keys, "missing columns")

    def _predict(self, tensors: Tensors, params: Params, without: Any) -> Tensors:
        columns = {
            n: a for n, a in tensors.items() if n.removesuffix(MISSING_SUFFIX) not in without
        }
        # The rows that have their integers have all of them: the marks would only make the column nullable.
        for name in self._unmarked:
            columns.pop(name + MISSING_SUFFIX, None)
        data = model_input(columns, self.signature)
        if without:
            data = data.drop(columns=list(without))
        if self._nameless:
            data.columns = range(data.shape[1])  # which some models check, as MLflow numbers them
        return tensors_of(self._model.predict(data, params=params or None), self.signature)


def load(wanted: Wanted) -> PythonFunction:
    """The model in the artifact, loaded by MLflow from its folder; see `loaders.load`."""
    return PythonFunction(_loaded(wanted), signature=wanted.signature, threads=wanted.threads)


def _loaded(wanted: Wanted) -> Any:
    model = mlflow.pyfunc.load_model(str(wanted.folder.absolute()), suppress_warnings=True)
    method = wanted.options.method
    if method is not None:
        implementation = model._model_impl  # noqa: SLF001 - MLflow calls it a stable interface
        if not callable(getattr(implementation, method, None)):
            raise LoadError(
                f"The model in {wanted.folder} has no method `{method}`: correct `loader.method`."
            )
        example = model.input_example
        model = mlflow.pyfunc.PyFuncModel(
            model.metadata, implementation, predict_fn=method, model_id=model.model_id
        )
        model.input_example = example
    return model
