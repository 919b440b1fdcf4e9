"""Traffic shifts in place: `serve deploy` of an edited file moves it within a second or so, and drops nothing."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from deployments.inference.traffic import Split
from tests.serve.service import Service

pytestmark = pytest.mark.serve

BODY = {"inputs": [[[0] * 8] * 8]}
PATH = "/api/v1/endpoints/digits/predict"
BEFORE, AFTER = (
    Split({"champion": share, "challenger": 100 - share}, "digits") for share in (90, 10)
)
MOVES = next(
    unit
    for unit in map("user-{}".format, range(1000))
    if (BEFORE.choose(unit), AFTER.choose(unit)) == ("champion", "challenger")
)


def edited(service: Service, **digits: Any) -> dict[str, Any]:
    document = copy.deepcopy(service.rendered)
    edge = document["applications"][0]["deployments"][0]
    edge["user_config"]["endpoints"]["digits"].update(digits)
    return document


@asynccontextmanager
async def watched(client: httpx.AsyncClient) -> AsyncIterator[list[tuple[float, int, str]]]:
    """Ask for one unit's prediction, four at a time, and note when which variant answered."""
    seen: list[tuple[float, int, str]] = []

    async def ask() -> None:
        while True:
            answer = await client.post(PATH, json=BODY | {"unit": MOVES})
            seen.append(
                (time.monotonic(), answer.status_code, answer.headers.get("x-penstock-variant", ""))
            )
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(ask()) for _ in range(4)]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
    failed = [t for t in tasks if t.done() and not t.cancelled() and t.exception()]
    assert not failed


async def deploy(service: Service, document: dict[str, Any]) -> float:
    """Deploy, and answer when the command had returned."""
    await asyncio.to_thread(service.deploy, document)
    return time.monotonic()


async def test_an_edited_split_applies_at_once_and_drops_nothing(
    client: httpx.AsyncClient, service: Service
) -> None:
    """From 90/10 to 10/90: all edges follow within 1.5 s, every request is answered, no process restarts."""
    versions = [
        (service.applications["digits", name], stage)
        for name in ("champion", "challenger")
        for stage in ("Preprocess", "Model", "Postprocess")
    ]
    everybody = [("edge", "Edge"), *versions]
    before = {target: {p.pid for p in service.replicas(*target)} for target in everybody}
    try:
        async with watched(client) as seen:
            await asyncio.sleep(0.5)
            shifted = await deploy(
                service, edited(service, split={"champion": 10, "challenger": 90})
            )
            await asyncio.sleep(2.5)
    finally:
        await deploy(service, service.rendered)

    assert len(seen) > 100
    assert {status for _, status, _ in seen} == {200}
    assert {name for at, _, name in seen if at > shifted + 1.5} == {"challenger"}
    assert seen[0][2] == "champion"
    assert {target: {p.pid for p in service.replicas(*target)} for target in everybody} == before


BROKEN: list[dict[str, Any]] = [
    {"split": {"champion": 50, "stranger": 50}},
    {"split": "all of it"},
    {"inputs": [{"kind": "tensor", "name": "x", "dtype": "nonsense", "shape": [-1, 2]}]},
]


async def test_an_edge_survives_broken_tables(client: httpx.AsyncClient, service: Service) -> None:
    """What cannot be served is not applied: the same edges answer on, by the last good table, without an error."""
    edges = {process.pid for process in service.replicas("edge", "Edge")}
    try:
        async with watched(client) as seen:
            for broken in BROKEN:
                await deploy(service, edited(service, **broken))
                await asyncio.sleep(1)
            ready = await client.get("/api/v1/health/ready")
    finally:
        await deploy(service, service.rendered)

    assert ready.status_code == 200
    assert "data type 'nonsense' not understood" in ready.json()["refused"]
    assert {(status, name) for _, status, name in seen} == {(200, "champion")}
    assert {process.pid for process in service.replicas("edge", "Edge")} == edges
