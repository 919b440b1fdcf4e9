"""What a stage is, and the ones that ship with Penstock.

A stage is a plain class: built once in its replica with the `params` of the configuration, then called with
batches. It sees whole batches so that it can be vectorised; it never sees a request. A configuration names it by
`use`: one of `BUILT_IN`, an import path `package.module:Class` that the image has, or `artifact:module:Class`, which
comes with the model version (see `shipped`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import index
from pathlib import Path
from typing import Any, Protocol

from deployments.errors import SpecError
from deployments.inference.inputs import Input
from deployments.inference.tensors import Tensors

BAD_ROW_MAX_CHARS = 300
"""How much of what a stage says of a row reaches the client."""


class Stage(Protocol):
    """Takes a batch and answers one with the same number of rows, in the same order.

    It may raise `BadRows`, or any exception with such an attribute `rows`, to say which rows it cannot take. Anything else it raises is a bug in it: the batch
    is halved until the row that causes it is found.
    """

    def __call__(self, tensors: Tensors) -> Tensors:
        """The batch's answer; blocking, called from one thread at a time."""


class BadRows(Exception):
    """Rows that a stage cannot take: row number to what is wrong, fit for the client's eyes."""

    def __init__(self, rows: Mapping[int, str]) -> None:
        super().__init__(f"{len(rows)} bad rows")
        self.rows = dict(rows)


def bad_rows(raised: Exception, rows: int) -> dict[int, str] | None:
    """What an exception says of single rows, or None where it says nothing that fits a batch of so many.

    By its attribute and not its class, since a stage that travels with a model imports nothing of ours.
    """
    told = getattr(raised, "rows", None)
    if not isinstance(told, Mapping) or not told:
        return None
    try:
        found = {index(row): str(text)[:BAD_ROW_MAX_CHARS] for row, text in told.items()}
    except TypeError:
        return None
    return found if all(0 <= row < rows for row in found) else None


class StageType(Protocol):
    """What a built-in preprocess stage's class has besides: how requests must look.

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


def _columns() -> Any:
    from deployments.inference.stages.columns import Columns

    return Columns


def _pooled() -> Any:
    from deployments.inference.stages.pooled import Pooled

    return Pooled


# Looked up by name and imported on use: a replica that decodes no images need not have Pillow in memory.
BUILT_IN: dict[str, Callable[[], Any]] = {
    "none": lambda: Passthrough,
    "images": _images,
    "text": _text,
    "columns": _columns,
    "classes": _classes,
    "pooled": _pooled,
}


def stage_type(use: str, artifact: Path | None = None) -> Any:
    """The class that `use` names.

    Args:
        use: See above.
        artifact: The model version's folder, for a class that comes with it.

    Raises:
        SpecError: There is none.
    """
    if use in BUILT_IN:
        return BUILT_IN[use]()
    from deployments.inference.stages import shipped

    if shipped.is_path(use):
        return shipped.load(use, artifact)
    raise SpecError(
        f"no stage is called {use!r}; there are {', '.join(BUILT_IN)}, "
        "and package.module:Class or artifact:module:Class for your own"
    )
