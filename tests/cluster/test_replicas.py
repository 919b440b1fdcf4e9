"""What the edge needs to know about replicas, against a real Serve: who runs where, and how many."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from deployments.cluster.discovery import ReplicaWatch
from deployments.cluster.local import LocalCluster
from deployments.inference.transport.address import ReplicaAddress
from tests.cluster.conftest import app, wait_for


async def _until(
    seen: list[list[ReplicaAddress]], condition: object, seconds: float
) -> list[ReplicaAddress]:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not (seen and condition(seen[-1])):
            await asyncio.sleep(0.05)
    return seen[-1]


@pytest.mark.serve
def test_the_watch_follows_replicas_through_death_and_deletion(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Two replicas with what they told; a killed one leaves the list and another comes; deletion empties it."""
    (tmp_path / "backlog").write_text("0")
    busy = app("busy", backlog=str(tmp_path / "backlog"))

    async def follow() -> None:
        watch = ReplicaWatch()
        seen: list[list[ReplicaAddress]] = []
        watch.watch("addressed", "Addressed", seen.append)  # before it exists
        deploying = asyncio.to_thread(cluster.deploy, {"applications": [app("addressed"), busy]})
        await deploying
        first = await _until(seen, lambda now: len(now) == 2, 60)
        assert {one.host for one in first} == {"127.0.0.1"}
        assert {one.token for one in first} == {"secret"}

        again: list[list[ReplicaAddress]] = []
        late = ReplicaWatch()
        late.watch("addressed", "Addressed", again.append)
        assert await _until(again, bool, 2) == first  # a late watcher is told at once
        late.close()

        import ray

        ray.kill(ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve"), no_restart=False)
        await asyncio.sleep(1)
        os.kill(first[0].port, signal.SIGKILL)  # the stand-in publishes its process id
        lone = await _until(seen, lambda now: first[0] not in now, 40)
        assert first[1] in lone
        healed = await _until(seen, lambda now: len(now) == 2, 40)
        assert first[0].replica_id not in {one.replica_id for one in healed}

        await asyncio.to_thread(cluster.deploy, {"applications": [busy]})
        await _until(seen, lambda now: now == [], 40)
        assert len(again) == 1  # closed means closed
        watch.close()

    asyncio.run(follow())


@pytest.mark.serve
def test_a_stage_scales_on_rows_up_and_down_again(cluster: LocalCluster, tmp_path: Path) -> None:
    """A backlog of 29 rows at 10 a replica makes one replica three, and an empty one makes three one."""
    backlog = tmp_path / "backlog"
    backlog.write_text("0")
    cluster.deploy({"applications": [app("busy", backlog=str(backlog))]})
    assert wait_for(lambda: _running(cluster) == 1, 60)
    backlog.write_text("26")  # and each replica's own row: 27, then 29 with three
    assert wait_for(lambda: _running(cluster) == 3, 30)
    backlog.write_text("0")
    assert wait_for(lambda: _running(cluster) == 1, 30)


def _running(cluster: LocalCluster) -> int:
    return sum(one.running for one in cluster.applications() if one.status == "RUNNING")
