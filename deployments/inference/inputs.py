"""How one row of a request must look: plain values that the edge validates by, without importing any stage.

They are worked out once, when a configuration is rendered, and travel to the edges as data: so a request is
refused before any work is queued for it, and the API document shows each endpoint's real inputs.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from deployments.inference.columns import scalar_of
from deployments.inference.mlmodel import SCALARS


class ImageInput(msgspec.Struct, frozen=True, tag="image", tag_field="kind"):
    """Grey values as nested lists of `shape`, each from `low` to `high`, or a base64 PNG of any size.

    Becomes the tensor `name`, float32 [rows, *shape], and where any row is a PNG `name.png`, one bytes per
    row, empty for the rows that are not.
    """

    name: str
    shape: tuple[int, int]
    low: float = 0.0
    high: float = 255.0
    example: list[list[float]] | None = None


class TextInput(msgspec.Struct, frozen=True, tag="text", tag_field="kind"):
    """A string of 1 to `max_chars` characters; becomes an object tensor of str."""

    name: str
    max_chars: int = 20_000
    example: str | None = None


class TensorInput(msgspec.Struct, frozen=True, tag="tensor", tag_field="kind"):
    """Nested lists of `shape`, in which -1 is any length; becomes a tensor of `dtype`.

    Of numbers or booleans; of strings where `dtype` is str or object; of base64 for bytes, and of ISO 8601 for
    `datetime64[ns]`. The first axis of `shape` is the rows.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    example: object = None


class ColumnInput(msgspec.Struct, frozen=True, tag="column", tag_field="kind"):
    """A column of a table, of MLflow's `type`: a scalar, or a list of scalars where it is `array(...)`.

    Becomes the tensor `name`; where a row lacks a column that is not required, also `name?missing`.
    """

    name: str
    type: str
    required: bool = True
    example: object = None


class ParamInput(msgspec.Struct, frozen=True):
    """A parameter of the whole request, of MLflow's scalar `type`; a list of them where `shape` is not empty."""

    name: str
    type: str
    default: Any = None
    shape: tuple[int, ...] = ()


Input = ImageInput | TextInput | TensorInput | ColumnInput

PNG_SUFFIX = ".png"
"""What the tensor of encoded images is called, after the image input's name."""


def by_name(inputs: tuple[Input, ...]) -> bool:
    """Whether a row is an object with a key for each input; else it is the only input's bare value.

    A table's row names its columns even where there is one: tables gain columns.
    """
    return len(inputs) != 1 or isinstance(inputs[0], ColumnInput)


def refusal(spec: Input | ParamInput) -> str | None:
    """Why requests cannot bring this, or None if they can."""
    if (why := _name_refusal(spec.name)) is not None:
        return why
    match spec:
        case TensorInput():
            return _tensor_refusal(spec)
        case ColumnInput():
            if scalar_of(spec.type) is None:
                return f"a column of type {spec.type} does not fit into a tensor"
        case ParamInput():
            if spec.type not in SCALARS or spec.type == "binary":
                return f"a parameter cannot be of type {spec.type}"
    return None


def _name_refusal(name: str) -> str | None:
    if name.startswith("?"):
        return "names that begin with ? are Penstock's own"
    if any(char in '"\\' or char < " " for char in name):  # msgspec has no such keys
        return "a name cannot hold quotation marks, backslashes or control characters"
    if any("\ud800" <= char <= "\udfff" for char in name):
        return "its name is not Unicode text"
    return None


def _tensor_refusal(spec: TensorInput) -> str | None:
    try:
        kind = np.dtype(spec.dtype).kind
    except TypeError as exc:
        return str(exc)
    if kind not in "biufOSUM":
        return f"the dtype {spec.dtype} has no form in JSON"
    if not spec.shape:
        return "its shape is empty; the first axis is the rows"
    if min(spec.shape) < -1:
        return f"its shape is {list(spec.shape)}, but sizes are -1 for any, or from 0 up"
    if spec.shape[0] != -1:
        return f"the first axis of its shape is {spec.shape[0]} and not -1, but batches have any number of rows"
    return None
