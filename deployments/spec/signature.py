"""A signature that a configuration declares, for a model that was logged without one or with a wrong one.

It takes the place of the artifact's own, for requests, for the API document and for the loader alike. The words are
those of MLflow: a tensor has a dtype and a shape, a column has a type.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from deployments.inference import mlmodel
from deployments.inference.columns import scalar_of
from deployments.inference.mlmodel import ColumnSpec, ParamSpec, Signature, TensorSpec


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeclaredTensor(_Strict):
    """A tensor: the first axis of its shape is the rows and is written -1."""

    dtype: str
    shape: Annotated[tuple[int, ...], Field(min_length=1)]

    @field_validator("dtype")
    @classmethod
    def _known(cls, dtype: str) -> str:
        try:
            np.dtype(dtype)
        except TypeError as exc:
            raise ValueError(f"{exc}; it is a NumPy name such as float32") from None
        return dtype


def _column_type(value: str) -> str:
    if scalar_of(value) is None:
        raise ValueError(f"a column is one of {', '.join(mlmodel.SCALARS)}, or array(TYPE)")
    return value


class DeclaredColumn(_Strict):
    """A column of a table, by MLflow's types; `array(double)` and its like are lists of scalars."""

    type: str
    required: bool = True

    _known = field_validator("type")(_column_type)


class DeclaredParam(_Strict):
    """A parameter of a request; `shape` is empty for one value and [-1] for a list."""

    type: str
    default: Any = None
    shape: tuple[int, ...] = ()

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in mlmodel.SCALARS or value == "binary":
            raise ValueError("a parameter is of a scalar type other than binary, such as double")
        return value


def _which(value: Any) -> str:
    """Chosen before it is checked, so that a mistake is told once and not for each of the two."""
    keys = value if isinstance(value, dict) else vars(value) if hasattr(value, "__dict__") else {}
    return "tensor" if "dtype" in keys or "shape" in keys else "column"


Declared = Annotated[
    Annotated[DeclaredTensor, Tag("tensor")] | Annotated[DeclaredColumn, Tag("column")],
    Discriminator(_which),
]


class DeclaredSignature(_Strict):
    """What a model takes and gives, by name and in the order of its arguments."""

    inputs: Annotated[dict[str, Declared], Field(min_length=1)]
    outputs: dict[str, Declared] = {}
    params: dict[str, DeclaredParam] = {}

    def signature(self) -> Signature:
        """The same as if the model had been logged with it."""
        return Signature(
            inputs=tuple(_spec(name, each) for name, each in self.inputs.items()),
            outputs=tuple(_spec(name, each) for name, each in self.outputs.items()),
            params=tuple(
                ParamSpec(name, each.type, each.default, each.shape)
                for name, each in self.params.items()
            ),
        )


def _spec(name: str, declared: Declared) -> TensorSpec | ColumnSpec:
    if isinstance(declared, DeclaredTensor):
        return TensorSpec(name, declared.dtype, declared.shape)
    return ColumnSpec(name, declared.type, declared.required)


def _word_or_signature(value: Any) -> str:
    return "word" if isinstance(value, str) else "declared"


SignatureChoice = Annotated[
    Annotated[Literal["required", "none"], Tag("word")]
    | Annotated[DeclaredSignature, Tag("declared")],
    Discriminator(_word_or_signature),
]
"""`required`: a model logged without one is not served. `none`: it is. Or a signature in its place."""
