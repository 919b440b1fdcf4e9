"""From tensors to the answer's JSON: one object a row, with a key for each tensor.

orjson writes NumPy rows as they are, float32 with the fewest digits that read back the same, so that no Python
number is made for a probability.
"""

from __future__ import annotations

from typing import Any

import orjson

from deployments.inference.tensors import Tensors
from deployments.inference.work import Timing

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def encode_answer(
    request_id: str, endpoint: str, variant: str, model: dict[str, str], tensors: Tensors
) -> bytes:
    """The body of a prediction's answer."""
    names = list(tensors)
    columns = [_values(array) for array in tensors.values()]
    return orjson.dumps(
        {
            "id": request_id,
            "endpoint": endpoint,
            "variant": variant,
            "model": model,
            "predictions": [
                dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)
            ],
        },
        option=_OPTIONS,
    )


def _values(array: Any) -> Any:
    """A value for each row: plain where there is one a row, an array that orjson can read where there are more."""
    return array.tolist() if array.ndim == 1 or array.dtype.kind in "OSU" else array


def server_timing(timing: Timing) -> bytes:
    """The `Server-Timing` header (https://www.w3.org/TR/server-timing/), in milliseconds.

    `queue` is all waiting, at the edge and in replicas; each stage's time is that of the batch it ran in.
    """
    parts = [f"queue;dur={timing.queue:.2f}"]
    parts += [f"{name};dur={ms:.2f}" for name, ms in timing.stages.items()]
    return ", ".join(parts).encode()
