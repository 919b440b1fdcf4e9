"""What a model says of itself: the flavours and the signature in the `MLmodel` file beside its weights.

Read here and not by MLflow, since a model replica would pay two seconds and a hundred megabytes for the
import, and the file is plain YAML with JSON inside. Both the registry and the loaders read it through this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deployments.errors import SetupError

FILE_NAME = "MLmodel"

SCALARS = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "object",
    "binary": "object",
    "datetime": "datetime64[ns]",
}
"""MLflow's types of one value, and the dtype of a tensor of them (mlflow.types.DataType)."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor: a NumPy dtype name and a shape in which -1 stands for any size."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column of a table: its MLflow type, needed or not.

    Attributes:
        type: One of `SCALARS`; `array(TYPE)`, one axis for each `array`; or `object`, `map`, `any` and what else
            MLflow has and no tensor can hold: kept, so that it can be named where it has to be refused.
    """

    name: str
    type: str
    required: bool = True


Spec = TensorSpec | ColumnSpec


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A parameter of a request: its MLflow type, its default, and -1 for each axis that it has (none: a scalar)."""

    name: str
    type: str
    default: Any
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, in the order of its arguments and results."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    params: tuple[ParamSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The parts of an `MLmodel` file that serving needs; `signature` is None where none was logged."""

    flavors: Mapping[str, Mapping[str, Any]]
    signature: Signature | None = None
    input_example: Mapping[str, Any] = field(default_factory=dict)


def read(folder: Path) -> ModelFile:
    """The `MLmodel` file of an artifact folder.

    Raises:
        SetupError: There is none, or it cannot be read as one.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SetupError(
            f"{folder} is not a model: its {FILE_NAME} file cannot be read ({exc.strerror}). "
            "Register the model anew, or correct where the artifacts are."
        ) from exc
    try:
        return parse(text)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise SetupError(
            f"{path} is damaged ({type(exc).__name__}). Log and register the model anew."
        ) from exc


def parse(text: str) -> ModelFile:
    """The file's contents; raises what YAML, JSON or a missing key raise when it is not one."""
    contents = yaml.safe_load(text)
    signature = contents.get("signature")
    return ModelFile(
        flavors=dict(contents["flavors"]),
        signature=None if signature is None else _signature(signature),
        input_example=contents.get("saved_input_example_info") or {},
    )


def _signature(signature: Mapping[str, str | None]) -> Signature:
    return Signature(
        inputs=_specs(signature.get("inputs"), unnamed="input"),
        outputs=_specs(signature.get("outputs"), unnamed="output"),
        params=tuple(_param(entry) for entry in json.loads(signature.get("params") or "[]")),
    )


def _specs(encoded: str | None, unnamed: str) -> tuple[Spec, ...]:
    """MLflow lets a lone tensor, and columns, go without names; ours all have one."""
    if encoded is None:
        return ()
    entries = json.loads(encoded)
    names = [unnamed] if len(entries) == 1 else [f"{unnamed}_{i}" for i in range(len(entries))]
    return tuple(_spec(entry, name) for entry, name in zip(entries, names, strict=True))


def _spec(entry: Mapping[str, Any], unnamed: str) -> Spec:
    given = entry.get("name")
    # A table without column names is logged with their numbers, of which 0 is false.
    name = unnamed if given is None or given == "" else str(given)
    if entry["type"] == "tensor":
        tensor = entry["tensor-spec"]
        return TensorSpec(name, tensor["dtype"], tuple(tensor["shape"]))
    return ColumnSpec(name, _type(entry), _required(entry))


def _type(entry: Mapping[str, Any]) -> str:
    kind = str(entry["type"])
    return f"array({_type(entry['items'])})" if kind == "array" else kind


def _required(entry: Mapping[str, Any]) -> bool:
    """`optional` is how MLflow before 2.9 said it."""
    required = entry.get("required")
    return not entry.get("optional", False) if required is None else bool(required)


def _param(entry: Mapping[str, Any]) -> ParamSpec:
    """The type is called `dtype` in older files; a shape of None is a single value."""
    kind = str(entry.get("type") or entry["dtype"])
    return ParamSpec(str(entry["name"]), kind, entry["default"], tuple(entry.get("shape") or ()))
