"""Real replicas on loopback, without Ray: a server, a handler and the stages that a test brings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from deployments.inference.execution import Execution
from deployments.inference.pipeline import Bounds, Pipeline
from deployments.inference.replica import Replica
from deployments.inference.stages import Stage
from deployments.inference.transport.address import ReplicaAddress
from deployments.inference.transport.server import BatchServer


@dataclass
class Running:
    """A replica that runs, and how to reach it."""

    replica: Replica
    server: BatchServer
    name: str

    @property
    def address(self) -> ReplicaAddress:
        return ReplicaAddress(self.name, "127.0.0.1", self.server.port, self.server.token)

    async def die(self) -> None:
        """End it as a crash does: every connection is cut, nothing more is answered."""
        for wire in list(self.server._admitted):
            wire._transport.abort()
        await self.server.stop()


class Rig:
    """Starts replicas and pipelines, and ends them."""

    def __init__(self) -> None:
        self.running: list[Running] = []
        self.pipelines: list[Pipeline] = []

    async def replica(self, *stages: tuple[str, Stage], max_rows: int = 64) -> Running:
        replica = Replica(Execution(stages), max_rows=max_rows, on_broken=pytest.fail)
        server = BatchServer(replica, host="127.0.0.1", max_frame_bytes=1 << 26)
        await server.start()
        self.running.append(Running(replica, server, f"r{len(self.running)}"))
        return self.running[-1]

    def pipeline(self, *names: str, bounds: Bounds | None = None) -> Pipeline:
        self.pipelines.append(Pipeline(names, bounds or Bounds()))
        return self.pipelines[-1]

    async def serving(
        self, stage: Stage, *, bounds: Bounds | None = None, replicas: int = 1
    ) -> Pipeline:
        """A pipeline of one stage that is ready."""
        started = [await self.replica(("model", stage)) for _ in range(replicas)]
        pipeline = self.pipeline("Model", bounds=bounds)
        pipeline.set_replicas("Model", [each.address for each in started])
        await until(lambda: not pipeline.missing())
        return pipeline


async def until(condition: Callable[[], bool], *, within: float = 5.0) -> None:
    """Wait for something to become true, and fail when it does not."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    for pipeline in made.pipelines:
        pipeline.close()
    for each in made.running:
        await each.server.stop()
        each.replica.close()
