"""Runs the stages before the first request does, at both ends of the batch sizes they will see, and looks at the answers.

First calls are slow: kernels are compiled, memory is allocated, caches fill. And a model that answers numbers that
are not finite, or not of the shape that it declared, must not get traffic at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from deployments.errors import LoadError
from deployments.inference.faults import OutOfMemory, fault_of
from deployments.inference.mlmodel import Signature, Spec, TensorSpec
from deployments.inference.stages import Stage
from deployments.inference.tensors import JSON_SUFFIX, Tensors, pick, rows_of

log = logging.getLogger(__name__)


def warm_up(
    model: Stage, example: Tensors, *, max_rows: int, signature: Signature | None, registered: bool
) -> Tensors:
    """Calls the model with one row and with `max_rows` of them.

    Args:
        model: The model.
        example: Rows that it takes.
        max_rows: The most rows that a batch has.
        signature: What it declared of its answer.
        registered: Whether the example came with the model. One that was made up proves nothing when the
            model cannot take it, so that is only logged.

    Returns:
        Its answer to the larger batch; no tensors if it could not take a made-up example.

    Raises:
        LoadError: It raises, runs out of memory, or does not answer what it declared.
    """
    answer: Tensors = {}
    for rows in sorted({1, max_rows}):
        begun = time.perf_counter()
        batch = pick(example, [row % rows_of(example) for row in range(rows)])
        try:
            answer = model(batch)
        except Exception as exc:
            fault = fault_of(exc)
            if isinstance(fault, OutOfMemory):
                raise LoadError(
                    f"The model runs out of memory on a batch of {rows} rows: lower batching.max_rows, or "
                    f"give it more memory ({fault})."
                ) from exc
            if registered:
                raise LoadError(
                    f"The model fails on its own input example, {rows} rows of it: {_line(exc)}"
                ) from exc
            log.warning("the model was not warmed up, it cannot take a made-up row: %s", _line(exc))
            return {}
        if wrong := what_is_wrong(answer, rows, signature, finite=registered):
            raise LoadError(f"On {rows} rows of its input example the model answers {wrong}.")
        log.info("warmed up with %d rows in %.0f ms", rows, (time.perf_counter() - begun) * 1000)
    return answer


def self_check(model: Stage, example: Tensors, signature: Signature | None) -> Callable[[], None]:
    """A function that asks the model for one row of its example and raises when the answer is no good."""
    one = pick(example, [0])

    def check() -> None:
        if wrong := what_is_wrong(model(one), 1, signature, finite=True):
            raise LoadError(f"on its own input example the model answers {wrong}")

    return check


def try_out(name: str, stage: Stage, answer: Tensors) -> None:
    """Calls a postprocess stage with what the model answered, so that its first call is behind it.

    Raises:
        LoadError: It cannot take that.
    """
    try:
        stage(answer)
    except Exception as exc:
        raise LoadError(
            f"The {name} stage fails on what the model answers to its input example: {_line(exc)}"
        ) from exc


def what_is_wrong(
    answer: Tensors, rows: int, signature: Signature | None, *, finite: bool
) -> str | None:
    """What an answer lacks to be the one that was declared, for a sentence that ends in it; None if nothing."""
    if not answer:
        return "nothing"
    for name, array in answer.items():
        if len(array) != rows:
            return f"{len(array)} rows in `{name}`"
        if finite and array.dtype.kind in "fc" and not np.isfinite(array).all():
            return f"numbers in `{name}` that are not finite"
    return _not_as_declared(answer, signature.outputs if signature is not None else ())


def _not_as_declared(answer: Tensors, declared: Sequence[Spec]) -> str | None:
    given = {name.removesuffix(JSON_SUFFIX) for name in answer}
    missing = [spec.name for spec in declared if spec.name not in given]
    if missing:
        return f"{_names(list(answer))}, but declared {_names(missing)}"
    for spec in declared:
        if isinstance(spec, TensorSpec) and spec.name not in answer:
            return f"rows of different shapes in `{spec.name}`, but declared {list(spec.shape[1:])}"
        if isinstance(spec, TensorSpec) and not _fits(answer[spec.name].shape[1:], spec.shape[1:]):
            shape = list(answer[spec.name].shape[1:])
            return f"rows of shape {shape} in `{spec.name}`, but declared {list(spec.shape[1:])}"
    return None


def _fits(shape: Sequence[int], declared: Sequence[int]) -> bool:
    return len(shape) == len(declared) and all(
        want in (-1, got) for got, want in zip(shape, declared, strict=True)
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _line(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}".strip().partition("\n")[0]
