"""Runs a stage so that a bad row fails alone: find it by halving the batch, answer its neighbours.

The stage is trusted with nothing: it may raise, answer numbers that are not finite, or the wrong number of
rows. A batch without a bad row costs one call and one check; one bad row among n costs about 2 log2(n) calls.

Two faults are not the rows': when memory runs out the batch is halved once, since smaller pieces may fit and
ever smaller ones would keep everybody waiting; and a device that is broken is for the caller to act on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np

from deployments.errors import InvalidInput, ModelFailed, ModelOutOfMemory, ModelOutputInvalid
from deployments.inference.devices import release_cached_memory
from deployments.inference.faults import DeviceBroken, OutOfMemory, fault_of
from deployments.inference.stages import Stage, bad_rows
from deployments.inference.tensors import Array, Tensors, join, layout_of, pick, rows_of, take
from deployments.inference.transport.frames import RowError

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """A stage's answer: tensors of the rows that survived, which rows those are, and why the others did not."""

    tensors: Tensors
    kept: list[int]
    errors: list[RowError] = field(default_factory=list)


def run(name: str, stage: Stage, tensors: Tensors) -> Outcome:
    """Call `stage` on all rows; rows that make it fail get an error, and the others their own answers.

    Raises:
        DeviceBroken: The device is, and with it this process.
    """
    rows = rows_of(tensors)
    outcomes = _run(name, stage, tensors, 0)
    if len(outcomes) == 1 and len(outcomes[0].kept) == rows:
        return outcomes[0]
    kept = [row for outcome in outcomes for row in outcome.kept]
    errors = [error for outcome in outcomes for error in outcome.errors]
    parts = [outcome.tensors for outcome in outcomes if outcome.kept]
    if len({layout_of(part) for part in parts}) < 2:  # noqa: PLR2004 - that is, all alike
        return Outcome(join(parts) if parts else {}, kept, errors)
    # A stage that pads to its longest row shapes each half by itself; only the whole can be joined.
    if len(kept) < rows:
        again = run(name, stage, pick(tensors, kept))
        return Outcome(
            again.tensors,
            [kept[row] for row in again.kept],
            errors + [RowError(kept[e.row], e.code, e.message) for e in again.errors],
        )
    # No row is bad by itself, the batch is too much for the stage: answer what can be answered as one.
    first = outcomes[0]
    message = f"the {name} stage failed on this batch and shapes its halves differently"
    rest = [row for row in range(rows) if row not in set(first.kept)]
    return Outcome(
        first.tensors, first.kept, [RowError(row, ModelFailed.code, message) for row in rest]
    )


def _run(
    name: str, stage: Stage, tensors: Tensors, offset: int, *, whole: bool = True
) -> list[Outcome]:
    """`whole` is False once the batch was halved because memory ran out."""
    rows = rows_of(tensors)
    answer = _attempt(stage, tensors)
    if isinstance(answer, Exception) and (bad := bad_rows(answer, rows)) is not None:
        return _without(name, stage, tensors, offset, bad, whole=whole)
    if isinstance(answer, OutOfMemory):
        return _smaller(name, stage, tensors, offset, answer, whole=whole)
    wrong = isinstance(answer, Exception) or _wrong_rows(answer, rows)
    if wrong and rows > 1:
        return _halve(name, stage, tensors, offset, whole=whole)
    if isinstance(answer, Exception):
        log.error("stage %s raised on a row", name, exc_info=answer)
        message = f"the {name} stage failed on this row ({type(answer).__name__})"
        return [Outcome({}, [], [RowError(offset, ModelFailed.code, message)])]
    if wrong:
        message = f"the {name} stage answered the wrong number of rows"
        log.error("%s: %s for 1", message, {k: len(v) for k, v in answer.items()})
        return [Outcome({}, [], [RowError(offset, ModelOutputInvalid.code, message)])]
    return [_finite(name, answer, offset)]


def _wrong_rows(answer: Tensors, rows: int) -> bool:
    return not answer or any(len(array) != rows for array in answer.values())


def _attempt(stage: Stage, tensors: Tensors) -> Tensors | Exception:
    """The answer or what was raised, as a value: halving within an `except` would chain every exception.

    Raises:
        DeviceBroken: Nothing that is done here would help.
    """
    try:
        return stage(tensors)
    except SystemExit as exc:  # would end the replica's one thread without a word
        return RuntimeError(f"it tried to end the process: {exc!r}")
    except Exception as exc:
        fault = fault_of(exc)
        if isinstance(fault, DeviceBroken):
            raise fault from exc
        return fault or exc


def _halve(name: str, stage: Stage, tensors: Tensors, offset: int, *, whole: bool) -> list[Outcome]:
    rows = rows_of(tensors)
    middle = rows // 2
    return [
        *_run(name, stage, take(tensors, 0, middle), offset, whole=whole),
        *_run(name, stage, take(tensors, middle, rows), offset + middle, whole=whole),
    ]


def _smaller(
    name: str, stage: Stage, tensors: Tensors, offset: int, fault: OutOfMemory, *, whole: bool
) -> list[Outcome]:
    """Once more in two halves, with what the framework kept of the failed attempt given back to the device."""
    rows = rows_of(tensors)
    log.warning("stage %s ran out of memory on %d rows: %s", name, rows, fault)
    release_cached_memory()
    if whole and rows > 1:
        return _halve(name, stage, tensors, offset, whole=False)
    message = f"the {name} stage has not enough memory for this batch; send fewer or smaller rows"
    errors = [RowError(offset + row, ModelOutOfMemory.code, message) for row in range(rows)]
    return [Outcome({}, [], errors)]


def _without(
    name: str, stage: Stage, tensors: Tensors, offset: int, bad: dict[int, str], *, whole: bool
) -> list[Outcome]:
    """The stage named the rows that it cannot take: run the others by themselves."""
    errors = [RowError(offset + row, InvalidInput.code, message) for row, message in bad.items()]
    rest = [row for row in range(rows_of(tensors)) if row not in bad]
    if not rest:
        return [Outcome({}, [], errors)]
    found = _run(name, stage, pick(tensors, rest), 0, whole=whole)
    return [
        Outcome({}, [], errors),
        *(
            Outcome(
                outcome.tensors,
                [offset + rest[row] for row in outcome.kept],
                [RowError(offset + rest[e.row], e.code, e.message) for e in outcome.errors],
            )
            for outcome in found
        ),
    ]


def _finite(name: str, answer: Tensors, offset: int) -> Outcome:
    """Sort out the rows whose floating-point numbers are not all finite."""
    rows = rows_of(answer)
    suspects = [array for array in answer.values() if array.dtype.kind in "fc"]
    if all(_surely_finite(array) for array in suspects):
        return Outcome(answer, list(range(offset, offset + rows)))
    good = np.ones(rows, dtype=bool)
    for array in suspects:
        good &= np.isfinite(array).reshape(rows, -1).all(axis=1)
    message = f"the {name} stage answered a number that is not finite"
    errors = [
        RowError(offset + int(row), ModelOutputInvalid.code, message)
        for row in np.nonzero(~good)[0]
    ]
    kept = np.nonzero(good)[0].tolist()
    return Outcome(pick(answer, kept) if kept else {}, [offset + row for row in kept], errors)


def _surely_finite(array: Array) -> bool:
    """True if all are finite; may say False for finite numbers whose sum overflows, which the caller rechecks."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum(dtype=np.float64)))
