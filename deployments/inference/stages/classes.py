"""The `classes` postprocess stage: a classifier's scores become a label and probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deployments.inference.tensors import Tensors


class Classes:
    """Softmax and argmax over the last axis.

    Params:
        scores: The model's output to read, its only one by default; float [rows, classes].
        labels: Names of the classes, their numbers by default.
        probabilities: Set if the model already answers probabilities.

    Answers `label`, int64 or str [rows], and `probabilities`, float32 [rows, classes], each row summing to 1.
    """

    needs_artifact = False

    def __init__(self, params: Mapping[str, Any], artifact: Path | None) -> None:
        self._scores: str | None = params.get("scores")
        labels = params.get("labels")
        self._labels = None if labels is None else np.array([str(x) for x in labels], dtype=object)
        self._normalised = bool(params.get("probabilities", False))

    def __call__(self, tensors: Tensors) -> Tensors:
        scores = tensors[self._scores] if self._scores else next(iter(tensors.values()))
        if self._normalised:
            probabilities = scores.astype(np.float32, copy=False)
        else:
            # Taking the maximum away first keeps exp() from overflowing and changes nothing else.
            exp = np.exp(scores - scores.max(axis=-1, keepdims=True), dtype=np.float32)
            probabilities = exp / exp.sum(axis=-1, keepdims=True)
        best = scores.argmax(axis=-1)
        return {
            "label": best if self._labels is None else self._labels[best],
            "probabilities": probabilities,
        }
