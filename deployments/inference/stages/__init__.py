"""What a stage is, and the ones that ship with Penstock.

A stage is a plain class: built once in its replica with the `params` of the configuration, then called with
batches. It sees whole batches so that it can be vectorised; it never sees a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from deployments.errors import SpecError
from deployments.inference.inputs import Input
from deployments.inference.tensors import Tensors


class Stage(Protocol):
    """Takes a batch and answers one with the same number of rows, in the same order.

    It may raise `BadRows` to say which rows it cannot take. Anything else it raises is a bug in it: the batch
    is halved until the row that causes it is found.
    """

    def __call__(self, tensors: Tensors) -> Tensors:
        """The batch's answer; blocking, called from one thread at a time."""


class BadRows(Exception):
    """Rows that a stage cannot take: row number to what is wrong, fit for the client's eyes."""

    def __init__(self, rows: Mapping[int, str]) -> None:
        super().__init__(f"{len(rows)} bad rows")
        self.rows = dict(rows)


class StageType(Protocol):
    """What a preprocess stage's class has besides: how requests must look.

    `artifact` is the folder of the model version that the stage belongs to, for what travels with a model
    (a tokenizer, a table of classes); None where `needs_artifact` is False.
    """

    needs_artifact: bool

    def __call__(self, params: Mapping[str, Any], artifact: Path | None) -> Stage:
        """Build the stage."""

    @staticmethod
    def inputs(params: Mapping[str, Any], model: tuple[Input, ...]) -> tuple[Input, ...]:
        """What a request's rows consist of, given what the model takes."""


class Passthrough:
    """Does nothing: the endpoint takes and answers what the model does."""

    needs_artifact = False

    def __init__(self, params: Mapping[str, Any], artifact: Path | None) -> None:
        pass

    def __call__(self, tensors: Tensors) -> Tensors:
        return tensors

    @staticmethod
    def inputs(params: Mapping[str, Any], model: tuple[Input, ...]) -> tuple[Input, ...]:
        return model


def _images() -> Any:
    from deployments.inference.stages.images import Images

    return Images


def _text() -> Any:
    from deployments.inference.stages.text import Text

    return Text


def _classes() -> Any:
    from deployments.inference.stages.classes import Classes

    return Classes


def _pooled() -> Any:
    from deployments.inference.stages.pooled import Pooled

    return Pooled


# Looked up by name and imported on use: a replica that decodes no images need not have Pillow in memory.
BUILT_IN: dict[str, Callable[[], Any]] = {
    "none": lambda: Passthrough,
    "images": _images,
    "text": _text,
    "classes": _classes,
    "pooled": _pooled,
}


def stage_type(use: str) -> Any:
    """The class of a built-in stage.

    Raises:
        SpecError: There is none of this name.
    """
    try:
        return BUILT_IN[use]()
    except KeyError:
        raise SpecError(f"no stage is called {use!r}; there are {', '.join(BUILT_IN)}") from None
