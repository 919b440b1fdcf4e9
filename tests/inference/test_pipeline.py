"""A request's way through lanes and replicas: joined, split, isolated, bounded, retried."""

from __future__ import annotations

import asyncio
import threading
import time

import numpy as np
import pytest

from deployments.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    ModelOutputInvalid,
    Overloaded,
    ReplicaLost,
)
from deployments.inference.pipeline import Bounds
from deployments.inference.stages import BadRows


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


def batch(*values: float) -> dict:
    return {"x": np.array(values, dtype=np.float64)}


class Double:
    """Answers twice each row, and remembers how large its batches were."""

    def __init__(self, pause: float = 0.0) -> None:
        self.sizes: list[int] = []
        self.pause = pause

    def __call__(self, tensors):
        self.sizes.append(len(tensors["x"]))
        time.sleep(self.pause)
        return {"y": tensors["x"] * 2}


async def test_every_row_gets_its_own_answer(rig) -> None:
    """200 concurrent requests of 1 to 5 rows are joined and split back without a mix-up."""
    double = Double(0.002)
    pipeline = await rig.serving(double)
    requests = [batch(*(10 * n + k for k in range(1 + n % 5))) for n in range(200)]

    answers = await asyncio.gather(*(pipeline.predict(r, soon()) for r in requests))

    for request, (answer, _) in zip(requests, answers, strict=True):
        assert (answer["y"] == 2 * request["x"]).all()
    assert len(double.sizes) < 200
    assert max(double.sizes) <= 64


async def test_a_request_larger_than_a_batch_comes_back_in_order(rig) -> None:
    """360 rows with batches of 64 are sent in parts and joined in their order."""
    double = Double()
    pipeline = await rig.serving(double)

    answer, _ = await pipeline.predict(batch(*range(360)), soon())

    assert answer["y"].tolist() == [2 * n for n in range(360)]
    assert max(double.sizes) <= 64


async def test_a_lone_request_waits_for_no_timer(rig) -> None:
    """One request after the other is answered in well under the 10 ms that a batching window would cost."""
    pipeline = await rig.serving(Double())
    await pipeline.predict(batch(1), soon())
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        await pipeline.predict(batch(1), soon())
        times.append(time.perf_counter() - begun)

    assert sorted(times)[25] < 0.005


async def test_layouts_that_differ_are_not_joined(rig) -> None:
    """Rows of different shapes are answered in batches of their own."""

    def shape(tensors):
        return {"y": np.full(len(tensors["x"]), tensors["x"].shape[-1])}

    pipeline = await rig.serving(shape)
    wide = {"x": np.zeros((2, 5))}
    narrow = {"x": np.zeros((2, 3))}

    answers = await asyncio.gather(
        *(pipeline.predict(each, soon()) for each in [wide, narrow] * 20)
    )

    assert [a["y"].tolist() for a, _ in answers] == [[5, 5], [3, 3]] * 20


class Picky:
    """Fails the whole batch, by whichever fault is asked for, when a row is negative."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def __call__(self, tensors):
        x = tensors["x"]
        bad = x < 0
        if bad.any():
            if self.fault == "raise":
                raise RuntimeError("a secret of the model")
            if self.fault == "rows":
                return {"y": x[~bad]}
            if self.fault == "refuse":
                raise BadRows({int(n): "negative" for n in np.nonzero(bad)[0]})
            return {"y": np.where(bad, float(self.fault), x)}
        return {"y": x}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("raise", ModelFailed),
        ("rows", ModelOutputInvalid),
        ("nan", ModelOutputInvalid),
        ("inf", ModelOutputInvalid),
        ("refuse", InvalidInput),
    ],
)
async def test_a_bad_row_fails_its_own_request_only(rig, fault, error) -> None:
    """Among 60 requests in flight the 3 with a bad row fail, and the others get their own answers."""
    pipeline = await rig.serving(Picky(fault))
    requests = [batch(n, -n if n in (7, 20, 41) else n) for n in range(1, 61)]

    answers = await asyncio.gather(
        *(pipeline.predict(r, soon()) for r in requests), return_exceptions=True
    )

    for request, answer in zip(requests, answers, strict=True):
        if request["x"].min() < 0:
            assert type(answer) is error
            assert answer.fields == ("inputs[1]",)
            assert "secret" not in answer.message
        else:
            assert answer[0]["y"].tolist() == request["x"].tolist()


async def test_a_full_queue_refuses_at_once(rig) -> None:
    """Rows beyond the bound are refused with a time to come back, in well under 50 ms."""
    release = threading.Event()

    def stuck(tensors):
        release.wait(5)
        return {"y": tensors["x"]}

    pipeline = await rig.serving(stuck, bounds=Bounds(max_rows=4, max_queued_rows=8))
    held = [asyncio.ensure_future(pipeline.predict(batch(n), soon())) for n in range(8)]
    await asyncio.sleep(0.05)

    begun = time.perf_counter()
    with pytest.raises(Overloaded) as refused:
        await pipeline.predict(batch(9), soon())
    took = time.perf_counter() - begun
    release.set()
    answers = await asyncio.gather(*held)

    assert took < 0.05
    assert refused.value.retry_after >= 1
    assert [a["y"].tolist() for a, _ in answers] == [[n] for n in range(8)]


async def test_the_deadline_is_kept_when_the_model_hangs(rig) -> None:
    """A request is answered at its deadline, and what follows is answered once the model is free again."""
    release = threading.Event()
    seen: list[float] = []

    def hang_once(tensors):
        if not seen:
            seen.append(0)
            release.wait(5)
        else:
            seen.extend(tensors["x"])
        return {"y": tensors["x"]}

    pipeline = await rig.serving(hang_once)
    begun = time.monotonic()
    first = asyncio.ensure_future(pipeline.predict(batch(1), begun + 0.2))
    await asyncio.sleep(0.05)
    second = asyncio.ensure_future(pipeline.predict(batch(2), begun + 0.2))

    for each in (first, second):
        with pytest.raises(DeadlineExceeded):
            await each
    took = time.monotonic() - begun
    release.set()
    answer, _ = await pipeline.predict(batch(3), soon())

    assert 0.15 < took < 0.4
    assert answer["y"].tolist() == [3]
    assert 2 not in seen, "the model ran a row whose deadline had passed"


async def test_a_cancelled_request_is_dropped_before_the_model_runs(rig) -> None:
    """A caller that goes away while its rows wait in the replica costs the model nothing."""
    release = threading.Event()
    seen: list[float] = []

    def model(tensors):
        seen.extend(tensors["x"])
        release.wait(5)
        return {"y": tensors["x"]}

    pipeline = await rig.serving(model)
    first = asyncio.ensure_future(pipeline.predict(batch(1), soon()))
    await asyncio.sleep(0.05)
    gone = asyncio.ensure_future(pipeline.predict(batch(2), soon()))
    await asyncio.sleep(0.05)
    gone.cancel()
    await asyncio.sleep(0.05)
    release.set()
    await first
    await pipeline.predict(batch(3), soon())

    assert seen == [1, 3]


async def test_a_call_lost_with_its_replica_is_answered_by_another(rig) -> None:
    """With a second replica the caller sees nothing of the first one's death."""
    release = threading.Event()

    def model(tensors):
        release.wait(5)
        return {"y": tensors["x"]}

    pipeline = await rig.serving(model, replicas=2)
    held = [asyncio.ensure_future(pipeline.predict(batch(n), soon())) for n in range(6)]
    await asyncio.sleep(0.05)
    await rig.running[0].die()
    release.set()
    answers = await asyncio.gather(*held)

    assert [a["y"].tolist() for a, _ in answers] == [[n] for n in range(6)]


async def test_a_call_lost_twice_is_an_error(rig) -> None:
    """One retry, not an endless chase."""
    release = threading.Event()

    def model(tensors):
        release.wait(5)
        return {"y": tensors["x"]}

    pipeline = await rig.serving(model, replicas=2)
    held = asyncio.ensure_future(pipeline.predict(batch(1), soon()))
    for _ in range(2):
        await until(lambda: any(each.replica.rows for each in rig.running))
        holder = next(each for each in rig.running if each.replica.rows)
        rig.running.remove(holder)
        await holder.die()

    with pytest.raises(ReplicaLost):
        await held
    release.set()


async def test_without_any_replica_a_request_ends_at_its_deadline(rig) -> None:
    """Nobody waits longer than the deadline, and what has expired does not pile up in the queue."""
    pipeline = rig.pipeline("Model")
    for _ in range(3):
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await pipeline.predict(batch(1), begun + 0.1)
        assert time.monotonic() - begun < 0.3

    assert pipeline.rows == 0
    assert pipeline._lanes[0].waiting_rows <= 1


async def test_a_closed_pipeline_answers_what_it_had_admitted(rig) -> None:
    """When a configuration replaces a pipeline, what waits in it is still sent, and only then let go."""
    pipeline = await rig.serving(Double(0.01), bounds=Bounds(max_rows=1, max_in_flight=1))
    held = [asyncio.ensure_future(pipeline.predict(batch(n), soon())) for n in range(10)]
    await asyncio.sleep(0.005)

    pipeline.close()
    answers = await asyncio.gather(*held)

    assert [a["y"].tolist() for a, _ in answers] == [[2 * n] for n in range(10)]
    assert pipeline.missing() == ["model"]


async def test_three_stages_in_three_replicas(rig) -> None:
    """Each stage sees what the one before answered, and each reports its time."""
    names = ["Preprocess", "Model", "Postprocess"]
    pipeline = rig.pipeline(*names)
    for index, name in enumerate(names):
        replica = await rig.replica((name.lower(), lambda t, k=index: {"x": t["x"] * 10 + k}))
        pipeline.set_replicas(name, [replica.address])

    answer, timing = await pipeline.predict(batch(1, 2), soon())

    assert answer["x"].tolist() == [1012, 2012]
    assert list(timing.stages) == ["preprocess", "model", "postprocess"]


async def test_three_stages_in_one_replica_answer_the_same(rig) -> None:
    """The placement changes the hops, not the answers, nor that a bad row fails alone."""

    def before(tensors):
        return {"x": tensors["x"] + 1}

    def after(tensors):
        return {"z": tensors["y"] * 100}

    stages = [("preprocess", before), ("model", Picky("raise")), ("postprocess", after)]
    together = rig.pipeline("Together")
    together.set_replicas("Together", [(await rig.replica(*stages)).address])

    good, bad, other = await asyncio.gather(
        together.predict(batch(1, 2), soon()),
        together.predict(batch(3, -4), soon()),
        together.predict(batch(5), soon()),
        return_exceptions=True,
    )

    assert good[0]["z"].tolist() == [200, 300]
    assert other[0]["z"].tolist() == [600]
    assert type(bad) is ModelFailed
    assert bad.fields == ("inputs[1]",)
    assert list(good[1].stages) == ["preprocess", "model", "postprocess"]


async def test_those_who_left_keep_nobody_waiting(rig) -> None:
    """A crowd that cancels leaves no queue behind: the next request is admitted, now and after a pause."""
    pipeline = await rig.serving(Double(0.05), bounds=Bounds(max_rows=1, max_in_flight=1))
    for pause in (0.0, 1.0):
        crowd = [asyncio.create_task(pipeline.predict(batch(n), soon(60))) for n in range(60)]
        await asyncio.sleep(0.6)  # long enough to know how slow the model is
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        await asyncio.sleep(pause)

        answers = await asyncio.gather(
            *(pipeline.predict(batch(n), soon(1.5)) for n in range(4)), return_exceptions=True
        )
        assert [answer[0]["y"].tolist() for answer in answers] == [[0], [2], [4], [6]]
