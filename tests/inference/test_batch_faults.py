"""Faults that are not a row's: memory that runs out, a device that breaks, a batch that never ends; and parameters."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import numpy as np
import pytest

from deployments.errors import ModelFailed, ModelOutOfMemory, ReplicaLost
from deployments.inference.execution import Execution
from deployments.inference.faults import DeviceBroken
from deployments.inference.fitness import IDLE_CHECK_EVERY_S, Fitness
from deployments.inference.isolate import run
from deployments.inference.pipeline import Bounds
from deployments.inference.replica import Replica
from deployments.inference.tensors import PARAMS


class OutOfMemoryError(RuntimeError):
    """What torch calls it; there is no GPU here that could run out."""


class Small:
    """A device on which `fits` rows fit, and a record of the batches that it was given."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.sizes: list[int] = []

    def __call__(self, tensors):
        self.sizes.append(len(tensors["x"]))
        if len(tensors["x"]) > self.fits:
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return {"y": tensors["x"] * 2}


def rows(n: int) -> dict:
    return {"x": np.arange(n, dtype=np.float64)}


def test_a_batch_that_does_not_fit_is_halved_once() -> None:
    """64 rows where 32 fit: three calls, and every row has its answer."""
    device = Small(32)
    outcome = run("model", device, rows(64))

    assert device.sizes == [64, 32, 32]
    assert not outcome.errors
    assert outcome.tensors["y"].tolist() == [2 * n for n in range(64)]


def test_halves_that_do_not_fit_either_are_an_error() -> None:
    """64 rows where 16 fit: three calls and not six, and an error that says what to do."""
    device = Small(16)
    outcome = run("model", device, rows(64))

    assert device.sizes == [64, 32, 32]
    assert {error.code for error in outcome.errors} == {ModelOutOfMemory.code}
    assert [error.row for error in outcome.errors] == list(range(64))
    assert "send fewer or smaller rows" in outcome.errors[0].message


def test_a_real_allocation_that_fails_is_known_for_one() -> None:
    """What torch's own allocator says on this machine."""
    torch = pytest.importorskip("torch")

    def huge(tensors):
        return {"y": torch.empty(len(tensors["x"]) * 2**50).numpy()}

    assert {e.code for e in run("model", huge, rows(2)).errors} == {ModelOutOfMemory.code}


async def test_a_broken_device_costs_one_replica_and_one_batch(rig) -> None:
    """The batch that broke it fails, and is not tried on the next device; what waited behind it is answered there."""
    given_up = []
    seen: list[list[float]] = []

    def fragile(tensors):
        seen.append(tensors["x"].tolist())
        if (tensors["x"] < 0).any():
            raise RuntimeError("CUDA error: device-side assert triggered")
        time.sleep(0.05)
        return {"y": tensors["x"] * 2}

    started = [await rig.replica(("model", fragile), max_rows=1) for _ in range(2)]
    loop = asyncio.get_running_loop()
    for each in started:
        each.replica._on_broken = lambda reason, each=each: (
            given_up.append(reason),
            loop.call_later(0.05, lambda: loop.create_task(each.die())),
        )
    pipeline = rig.pipeline("Model", bounds=Bounds(max_rows=1))
    pipeline.set_replicas("Model", [each.address for each in started])
    async with asyncio.timeout(5):
        while pipeline.missing():
            await asyncio.sleep(0.005)

    values = [1.0, 2.0, -1.0, 3.0, 4.0, 5.0]
    answers = await asyncio.gather(
        *(pipeline.predict({"x": np.array([v])}, time.monotonic() + 5) for v in values),
        return_exceptions=True,
    )

    assert isinstance(answers[2], ReplicaLost)
    good = [answer for value, answer in zip(values, answers, strict=True) if value > 0]
    assert [answer[0]["y"].tolist() for answer in good] == [[2], [4], [6], [8], [10]]
    assert given_up == ["CUDA error: device-side assert triggered"]
    assert seen.count([-1.0]) == 1


class Fit:
    """A replica that is watched, and what was said when it was given up."""

    def __init__(self, stage, self_check=None, stuck_after_s: float = 60.0) -> None:
        self.reasons: list[str] = []
        self.replica = Replica(
            Execution([("model", stage)]), max_rows=8, on_broken=self.reasons.append
        )
        self.fitness = Fitness(
            self.replica,
            self_check,
            stuck_after_s=stuck_after_s,
            on_broken=self.reasons.append,
        )


async def test_a_batch_that_never_ends_costs_the_replica(rig) -> None:
    """Only after the time that the configuration gives it, not before."""
    release = threading.Event()

    def hang(tensors):
        release.wait(30)
        return tensors

    started = await rig.replica(("model", hang))
    fitness = Fitness(started.replica, None, stuck_after_s=0.3, on_broken=(reasons := []).append)
    pipeline = rig.pipeline("Model")
    pipeline.set_replicas("Model", [started.address])
    task = asyncio.create_task(pipeline.predict(rows(1), time.monotonic() + 30))
    async with asyncio.timeout(5):
        while not started.replica.rows:
            await asyncio.sleep(0.005)
    await fitness.check()
    before = list(reasons)
    await asyncio.sleep(0.4)
    await fitness.check()
    release.set()
    await task

    assert before == []
    assert len(reasons) == 1
    assert "will not end" in reasons[0]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("answers nothing"), "self-check failed: answers nothing"),
        (DeviceBroken("CUDA error: unspecified launch failure"), "the device is broken"),
    ],
)
async def test_a_failed_self_check_costs_an_idle_replica(raised, said) -> None:
    """It is asked for every half minute, and only then."""

    def check() -> None:
        raise raised

    fit = Fit(lambda tensors: tensors, check)
    await fit.fitness.check()
    early = list(fit.reasons)
    fit.fitness._checked -= IDLE_CHECK_EVERY_S + 1
    await fit.fitness.check()
    fit.replica.close()

    assert early == []
    assert len(fit.reasons) == 1
    assert fit.reasons[0].startswith(said)


async def test_a_self_check_without_memory_costs_nothing() -> None:
    """Somebody else fills the device: a new replica would find it as full."""

    def check() -> None:
        raise MemoryError("no")

    fit = Fit(lambda tensors: tensors, check)
    fit.fitness._checked -= IDLE_CHECK_EVERY_S + 1
    await fit.fitness.check()
    fit.replica.close()

    assert fit.reasons == []


async def test_batches_that_all_fail_bring_the_self_check_forward(rig) -> None:
    """Three in a row are enough to ask whether it is the rows or the model."""
    asked = threading.Event()

    def fails(tensors):
        raise ValueError("no")

    started = await rig.replica(("model", fails))
    fitness = Fitness(
        started.replica, asked.set, stuck_after_s=60, on_broken=(reasons := []).append
    )
    pipeline = rig.pipeline("Model")
    pipeline.set_replicas("Model", [started.address])
    for n in range(3):
        await fitness.check()
        assert not asked.is_set(), n
        with pytest.raises(Exception, match="failed on this row"):
            await pipeline.predict(rows(1), time.monotonic() + 5)
    await fitness.check()

    assert asked.is_set()
    assert reasons == []  # it was the rows


async def test_parameters_pass_stages_by_and_reach_the_model(rig) -> None:
    """Each row's own, also when rows of a preprocess stage were dropped before it."""
    seen = {}

    def pre(tensors):
        seen["pre"] = set(tensors)
        if (tensors["x"] < 0).any():
            raise ValueError("no")
        return {"z": tensors["x"] + 1}

    def model(tensors):
        seen["model"] = set(tensors)
        return {"y": tensors["z"], "p": tensors[PARAMS]}

    def post(tensors):
        seen["post"] = set(tensors)
        return tensors

    started = await rig.replica(("preprocess", pre), ("model", model), ("postprocess", post))
    pipeline = rig.pipeline("Together")
    pipeline.set_replicas("Together", [started.address])

    def ask(value: float, params: str | None):
        given = {"x": np.array([value])}
        if params is not None:
            given[PARAMS] = np.array([params], dtype=object)
        return pipeline.predict(given, time.monotonic() + 5)

    answers = await asyncio.gather(
        *(ask(n - 3.0, f'{{"n": {n}}}') for n in range(8)), return_exceptions=True
    )

    assert [isinstance(a, Exception) for a in answers] == [True] * 3 + [False] * 5
    assert [a[0]["p"].tolist() for a in answers[3:]] == [[f'{{"n": {n}}}'] for n in range(3, 8)]
    assert seen == {"pre": {"x"}, "model": {"z", PARAMS}, "post": {"y", "p"}}


async def test_a_stage_that_ends_the_process_fails_its_row_alone(rig) -> None:
    """Its neighbours are answered, and so is the next request."""

    def exits(tensors):
        if (tensors["x"] < 0).any():
            sys.exit(3)
        return {"y": tensors["x"]}

    pipeline = await rig.serving(exits)
    answers = await asyncio.gather(
        *(pipeline.predict({"x": np.array([v])}, time.monotonic() + 5) for v in (1.0, -1.0, 2.0)),
        return_exceptions=True,
    )
    later, _ = await pipeline.predict(rows(2), time.monotonic() + 5)

    assert isinstance(answers[1], ModelFailed)
    assert [answers[n][0]["y"].tolist() for n in (0, 2)] == [[1], [2]]
    assert later["y"].tolist() == [0, 1]
