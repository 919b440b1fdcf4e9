"""Too much work: a load step scales the model up and down again, and what cannot be taken on is refused at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import Self

import httpx
import pytest

from tests.serve.service import Service, wait_for

pytestmark = pytest.mark.serve

SLOW = "/api/v1/endpoints/slow/predict"
log = logging.getLogger(__name__)
QUEUED_ROWS = 24  # of serve.yaml
ONE_REPLICA = (
    44  # rows a second: it does 40 at most, and one batch may fall on the other side of a second
)


def body(rows: int) -> dict[str, list[list[int]]]:
    return {"inputs": [[1, 2]] * rows}


class Crowd:
    """Clients that each ask for some rows again as soon as they are answered; refused ones pause."""

    def __init__(self, client: httpx.AsyncClient, size: int, rows: int = 1) -> None:
        self._client = client
        self._size = size
        self._body = body(rows)
        self.statuses: Counter[int] = Counter()
        self.refusals: set[str] = set()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._one()) for _ in range(self._size)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(self) -> None:
        while True:
            answer = await self._client.post(SLOW, json=self._body)
            self.statuses[answer.status_code] += 1
            if answer.status_code != 200:
                self.refusals.add(answer.text)
                await asyncio.sleep(0.1)


@pytest.fixture
async def many(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=service.url, timeout=30, limits=httpx.Limits(max_connections=None)
    )


async def test_a_load_step_scales_up_and_down_again(
    many: httpx.AsyncClient, service: Service
) -> None:
    """24 rows at a target of 12 a replica make one model two; without them it is one again; nobody fails."""
    application = service.applications["slow", "only"]

    def models(wanted: int) -> bool:
        return len(service.replicas(application, "Model")) == wanted

    assert await asyncio.to_thread(wait_for, lambda: models(1), 20)
    async with Crowd(many, 24) as crowd:
        up = await asyncio.to_thread(wait_for, lambda: models(2), 20)
        began = time.monotonic()
        rate = 0.0
        while rate <= ONE_REPLICA and time.monotonic() < began + 45:  # the new one starts
            before = crowd.statuses[200]
            await asyncio.sleep(2)
            rate = (crowd.statuses[200] - before) / 2
    assert up, "it did not scale up"
    async with Crowd(many, 1) as trickle:
        down = await asyncio.to_thread(wait_for, lambda: models(1), 30)
    assert down, "it did not scale down"
    log.info("down %.1f s after up; %.0f rows/s with two", time.monotonic() - began, rate)
    assert not crowd.refusals | trickle.refusals, (crowd.statuses, trickle.statuses)
    assert rate > ONE_REPLICA
    await many.aclose()


async def test_what_is_too_much_is_refused_at_once(
    many: httpx.AsyncClient, service: Service
) -> None:
    """With rows queued at both edges, a queue's worth more gets its 429 and when to come back in under 50 ms."""
    refused, alive = [], []
    async with (
        Crowd(many, 12, QUEUED_ROWS // 2) as crowd,
        httpx.AsyncClient(base_url=service.url) as one_more,
    ):
        await asyncio.sleep(1)
        for _ in range(100):
            began = time.perf_counter()
            answer = await one_more.post(SLOW, json=body(QUEUED_ROWS))
            refused.append(time.perf_counter() - began)
            assert answer.status_code == 429, answer.text
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "overloaded"
            assert int(answer.headers["retry-after"]) >= 1
            began = time.perf_counter()
            await one_more.get("/api/v1/health/live")
            alive.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
    refused.sort()
    alive.sort()
    log.info("refused: median %.1f ms, slowest %.1f ms", refused[50] * 1000, refused[-1] * 1000)
    # A machine that is busy with something else is late with everything; how late, `alive` tells.
    assert refused[95] < 0.05 + alive[95]
    assert refused[50] < 0.05
    assert set(crowd.statuses) == {200, 429}  # what was taken on was answered
    await many.aclose()
