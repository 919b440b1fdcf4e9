"""Builds stages, and asks their classes what requests look like, whoever wrote them.

Our own take `(params, artifact)`. A team's class may take fewer: `Class(params, artifact)`, `Class(params)` or
`Class()`, and may say nothing of requests: then they look as the model's signature says.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from deployments.errors import SetupError, SpecError
from deployments.inference.inputs import Input
from deployments.inference.loaders.code import borrowed
from deployments.inference.stages import BUILT_IN, Stage, shipped, stage_type
from deployments.inference.tensors import Array, Tensors

Artifact = Callable[[], Path]
"""Gets the folder of the model version, verified; called only where a stage needs it."""


class Guarded:
    """A team's stage, with what it answers made into tensors: lists become arrays, texts one str per row."""

    def __init__(self, name: str, stage: Any) -> None:
        self._name, self._stage = name, stage

    def __call__(self, tensors: Tensors) -> Tensors:
        """The stage's answer.

        Raises:
            TypeError: It is no mapping from names to arrays.
            Exception: Whatever the stage raises.
        """
        answer = self._stage(tensors)
        if not isinstance(answer, Mapping):
            raise TypeError(
                f"the {self._name} stage must answer a dict of arrays, not a {type(answer).__name__}"
            )
        return {str(name): _array(values) for name, values in answer.items()}


def build_stage(name: str, use: str, params: Mapping[str, Any], artifact: Artifact) -> Stage:
    """A stage, ready to be called.

    Args:
        name: Which one it is, for messages: preprocess or postprocess.
        use: What the configuration says.
        params: Its parameters.
        artifact: Gets the model version's files.

    Raises:
        SpecError: There is no such stage.
        SetupError: It raised when it was built.
    """
    if use in BUILT_IN:
        kind = stage_type(use)
        built: Stage = kind(params, artifact() if kind.needs_artifact else None)
        return built
    kind = stage_type(use, artifact() if shipped.is_from_artifact(use) else None)
    count = _accepts(use, kind)
    if count == 0 and params:
        raise SpecError(f"the {name} stage {use} takes no params, but the configuration gives some")
    arguments = (params, artifact() if count > 1 else None)[:count]
    try:
        stage = kind(*arguments)
    except SetupError:
        raise
    except Exception as exc:
        raise SetupError(
            f"the {name} stage {use} cannot be built: {shipped.one_line(exc)}"
        ) from exc
    return Guarded(name, stage)


def stage_inputs(
    use: str, params: Mapping[str, Any], model: tuple[Input, ...], artifact: Artifact | None = None
) -> tuple[Input, ...]:
    """What a request's rows consist of with this preprocess stage, given what the model takes.

    The modules of a version are forgotten again, so that several versions can be asked in one process.

    Raises:
        SpecError: There is no such stage, it is none for preprocessing, or its parameters do not fit.
    """
    folder = None
    if shipped.is_from_artifact(use):
        if artifact is None:
            raise SpecError(
                f"the stage {use} comes with a model version, whose files are not at hand"
            )
        folder = artifact()
    with borrowed():
        kind = stage_type(use, folder)
        asked = getattr(kind, "inputs", None)
        if asked is None:
            if use in BUILT_IN:
                raise SpecError(
                    f"the {use} stage is none for preprocessing: it reads a model's answer"
                )
            return model
        try:
            return msgspec.convert(
                msgspec.to_builtins(tuple(asked(params, model))), tuple[Input, ...]
            )
        except SpecError:
            raise
        except Exception as exc:
            raise SpecError(
                f"the {use} stage cannot be made of params {dict(params)}: {exc!r}"
            ) from exc


def _accepts(use: str, kind: Any) -> int:
    """With how many of (params, artifact) a class can be built."""
    try:
        signature = inspect.signature(kind)
    except (TypeError, ValueError):  # written in C, say
        return 2
    for count in (2, 1, 0):
        try:
            signature.bind(*(None,) * count)
        except TypeError:
            continue
        return count
    raise SpecError(
        f"the stage {use} cannot be built: it must take (params, artifact), (params) or nothing"
    )


def _array(values: Any) -> Array:
    array = np.asarray(values)
    return array.astype(object) if array.dtype.kind in "US" else array
