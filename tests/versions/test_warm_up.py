"""Before the first request: a model is tried at both batch sizes, and one that lies about its answer gets none."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import numpy as np
import pytest

from deployments.errors import LoadError
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec
from deployments.spec.args import ModelArgs
from deployments.versions.patience import within
from deployments.versions.warm_up import self_check, try_out, warm_up

SIGNATURE = Signature(
    inputs=(TensorSpec("x", "float32", (-1, 2)),), outputs=(TensorSpec("y", "float32", (-1, 3)),)
)
EXAMPLE = {"x": np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)}
MODEL = ModelArgs(name="digits", version="7")


def answering(y):
    """A model that answers `y` of the number of rows."""
    return lambda tensors: {"y": y(len(tensors["x"]))}


def warmed(model, *, max_rows=64, registered=True, signature=SIGNATURE):
    return warm_up(model, EXAMPLE, max_rows=max_rows, signature=signature, registered=registered)


def test_it_is_called_with_one_row_and_with_as_many_as_a_batch_has() -> None:
    """The example is repeated as often as that takes."""
    seen = []

    def model(tensors):
        seen.append(tensors["x"])
        return {"y": np.zeros((len(tensors["x"]), 3), dtype=np.float32)}

    answer = warmed(model)

    assert [len(each) for each in seen] == [1, 64]
    assert (seen[1][3:6] == EXAMPLE["x"]).all()
    assert len(answer["y"]) == 64


LIES = {
    "not finite": (lambda n: np.full((n, 3), np.nan), r"numbers in `y` that are not finite"),
    "another shape": (lambda n: np.zeros((n, 4)), r"shape \[4\] in `y`, but declared \[3\]"),
    "another rank": (np.zeros, r"shape \[\] in `y`, but declared \[3\]"),
    "too few rows": (lambda n: np.zeros((n - 1, 3)), r"0 rows in `y`"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_model_that_lies_about_its_answer_is_refused(name) -> None:
    """The message says what it answered and what it declared."""
    y, said = LIES[name]
    with pytest.raises(LoadError, match=said):
        warmed(answering(y))


def test_an_answer_of_another_name_is_refused() -> None:
    """Whoever reads `y` would find nothing."""
    with pytest.raises(LoadError, match=r"answers `z`, but declared `y`"):
        warmed(lambda tensors: {"z": np.zeros((len(tensors["x"]), 3))})


def test_a_model_that_fails_on_its_own_example_is_refused() -> None:
    """Its first line is shown, no traceback."""
    with pytest.raises(LoadError, match=r"on its own input example, 1 rows.*ValueError: no such"):
        warmed(lambda tensors: (_ for _ in ()).throw(ValueError("no such column\nmore")))


def test_a_made_up_example_proves_nothing() -> None:
    """A model that cannot take zeros may be a good one: it starts, cold."""
    assert warmed(lambda tensors: {}["x"], registered=False) == {}


def test_a_batch_that_does_not_fit_is_said_before_traffic() -> None:
    """It names the number of rows and the setting."""

    def model(tensors):
        if len(tensors["x"]) > 1:
            raise MemoryError("no")
        return {"y": np.zeros((1, 3))}

    with pytest.raises(LoadError, match=r"batch of 64 rows: lower batching.max_rows"):
        warmed(model)


def test_columns_are_held_to_their_names() -> None:
    """A table's answer has no shape to be wrong about."""
    columns = Signature(inputs=(), outputs=(ColumnSpec("price", "double"),))
    model = {"price": np.zeros}
    assert warmed(lambda t: {k: f(len(t["x"])) for k, f in model.items()}, signature=columns)


def test_the_self_check_asks_for_one_row() -> None:
    """It is quiet while the answer is good, and raises once it is not."""
    state = {"value": 0.0}
    seen = []

    def model(tensors):
        seen.append(len(tensors["x"]))
        return {"y": np.full((len(tensors["x"]), 3), state["value"])}

    check = self_check(model, EXAMPLE, SIGNATURE)
    check()
    state["value"] = np.inf
    with pytest.raises(LoadError, match="not finite"):
        check()
    assert seen == [1, 1]


def test_a_stage_that_cannot_take_the_models_answer_is_refused() -> None:
    """It is known before a client finds out."""
    with pytest.raises(LoadError, match=r"postprocess stage fails.*KeyError: 'logits'"):
        try_out("postprocess", lambda tensors: {"z": tensors["logits"]}, EXAMPLE)


async def test_what_hangs_is_given_up() -> None:
    """The message names the version and the setting, and the hanging thread holds nothing up."""
    release = threading.Event()
    begun = time.monotonic()
    with pytest.raises(
        LoadError, match=r"`digits` version 7 was not .* within 0.2 s.*load_timeout"
    ):
        await within(0.2, MODEL, lambda: release.wait(60))
    release.set()
    assert time.monotonic() - begun < 30


async def test_what_is_done_in_time_comes_back() -> None:
    """The task's own answer, or its own error, also if that is a TimeoutError or an exit."""
    assert await within(30, MODEL, lambda: 5) == 5
    with pytest.raises(KeyError):
        await within(30, MODEL, lambda: {}["x"])
    with pytest.raises(TimeoutError, match="the task's own"):
        await within(30, MODEL, lambda: (_ for _ in ()).throw(TimeoutError("the task's own")))
    with pytest.raises(LoadError, match="SystemExit"):
        await within(30, MODEL, lambda: sys.exit(3))
    await asyncio.sleep(0)
