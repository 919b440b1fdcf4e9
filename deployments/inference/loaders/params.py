"""Runs a model once for each set of parameters in a batch, and puts the rows back in their order."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from deployments.errors import ModelFailed
from deployments.inference.mlmodel import Signature
from deployments.inference.tensors import PARAMS, Tensors, layout_of, pick, rows_of

Params = dict[str, Any]
K = TypeVar("K", bound=Hashable)


def split_params(tensors: Tensors) -> tuple[Tensors, list[str] | None]:
    """The inputs alone, and each row's parameters as JSON; None where no request of the batch gave any."""
    if PARAMS not in tensors:
        return tensors, None
    inputs = {name: array for name, array in tensors.items() if name != PARAMS}
    return inputs, tensors[PARAMS].tolist()


def defaults(signature: Signature | None) -> Params:
    """What a model's parameters are where a request says nothing."""
    return {} if signature is None else {spec.name: spec.default for spec in signature.params}


def by_params(
    run: Callable[[Tensors, Params], Tensors], tensors: Tensors, signature: Signature | None
) -> Tensors:
    """Call `run` with all rows of the same parameters; with none where the model has none.

    Raises:
        ModelFailed: The model's answers to different parameters do not fit into one batch.
    """
    inputs, texts = split_params(tensors)
    standard = defaults(signature)
    if texts is None or not standard:
        return run(inputs, standard)
    return by_key(
        lambda rows, text: run(rows, standard | json.loads(text)), inputs, texts, "parameters"
    )


def by_key(
    run: Callable[[Tensors, K], Tensors], tensors: Tensors, keys: Sequence[K], what: str
) -> Tensors:
    """Call `run` once for each distinct key with the rows that have it; their answers in the rows' order.

    Raises:
        ModelFailed: The answers have different shapes or types; `what` tells the reader what the keys are.
    """
    rows: dict[K, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    if len(rows) == 1:
        return run(tensors, next(iter(rows)))
    parts = [run(pick(tensors, index), key) for key, index in rows.items()]
    if len({layout_of(part) for part in parts}) > 1:
        raise ModelFailed(f"The model shapes its answers differently for different {what}.")
    for part, index in zip(parts, rows.values(), strict=True):
        if rows_of(part) != len(index):
            raise ModelFailed(f"The model answered {rows_of(part)} rows for {len(index)}.")
    place = np.argsort(np.concatenate(list(rows.values())))
    return {name: np.concatenate([part[name] for part in parts])[place] for name in parts[0]}
