"""From tensors to the answer's JSON: one object a row, with a key for each tensor.

orjson writes NumPy rows as they are, float32 with the fewest digits that read back the same, so that no Python
number is made for a probability. Bytes become base64 and points in time ISO 8601, as they are in requests.
"""

from __future__ import annotations

import base64
import logging
from typing import Any

import numpy as np
import orjson

from deployments.errors import ModelOutputInvalid
from deployments.inference.columns import plain
from deployments.inference.tensors import JSON_SUFFIX, Array, Tensors
from deployments.inference.work import Timing

log = logging.getLogger(__name__)

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def encode_answer(
    request_id: str, endpoint: str, variant: str, model: dict[str, str], tensors: Tensors
) -> bytes:
    """The body of a prediction's answer.

    Raises:
        ModelOutputInvalid: The model answered what JSON has no form for.
    """
    names = [name.removesuffix(JSON_SUFFIX) for name in tensors]
    columns = [
        _values(array) if not name.endswith(JSON_SUFFIX) else [orjson.Fragment(v) for v in array]
        for name, array in tensors.items()
    ]
    answer = {
        "id": request_id,
        "endpoint": endpoint,
        "variant": variant,
        "model": model,
        "predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)],
    }
    try:
        return orjson.dumps(answer, default=_default, option=_OPTIONS)
    except TypeError as exc:  # orjson.JSONEncodeError is one
        log.error("an answer of %s cannot be written as JSON: %s", model, exc)  # noqa: TRY400
        kinds = ", ".join(f"{name} ({array.dtype})" for name, array in tensors.items())
        raise ModelOutputInvalid(
            f"the model answered something that JSON has no form for, among {kinds}"
        ) from None


def _values(array: Array) -> Any:
    """A value for each row: plain where there is one a row, an array that orjson can read where there are more."""
    if array.dtype.kind == "M":
        return plain(array)
    if not array.dtype.isnative:  # which orjson refuses
        array = array.astype(array.dtype.newbyteorder("="))
    return array.tolist() if array.ndim == 1 or array.dtype.kind in "OSU" else array


def _default(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, np.ndarray):  # of a dtype that orjson does not know
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def server_timing(timing: Timing) -> bytes:
    """The `Server-Timing` header (https://www.w3.org/TR/server-timing/), in milliseconds.

    `queue` is all waiting, at the edge and in replicas; each stage's time is that of the batch it ran in.
    """
    parts = [f"queue;dur={timing.queue:.2f}"]
    parts += [f"{name};dur={ms:.2f}" for name, ms in timing.stages.items()]
    return ", ".join(parts).encode()
