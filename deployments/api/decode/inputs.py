"""Which type msgspec parses an input's value as, and what makes tensors of a request's values, by the kind of input."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np

from deployments.api.decode import columns, images, numbers
from deployments.api.decode.where import At, Column
from deployments.inference.inputs import ColumnInput, ImageInput, Input, TensorInput, TextInput
from deployments.inference.tensors import Tensors


def row_type(spec: Input) -> Any:
    """The type of one row's value."""
    match spec:
        case ImageInput():
            return list[list[float]] | str
        case TextInput():
            return Annotated[str, msgspec.Meta(min_length=1, max_length=spec.max_chars)]
        case TensorInput():
            return numbers.row_type(spec)
        case ColumnInput():
            return columns.row_type(spec.type)


def column(spec: Input) -> Column:
    """What makes tensors of one input's values."""
    match spec:
        case ImageInput():
            return lambda values, at: images.tensors(spec, values, at)
        case TextInput():
            return lambda values, at: _texts(spec, values, at)
        case TensorInput():
            return numbers.column(spec)
        case ColumnInput():
            return lambda values, at: columns.tensors(spec, values, at)


def _texts(spec: TextInput, values: list[Any], at: At) -> Tensors:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return {spec.name: array}
