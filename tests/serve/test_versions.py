"""Versions that cannot be served, beside those that are; and a replica that is replaced while the registry is away."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.serve.service import PENSTOCK, Service, wait_for
from tests.serve.test_traffic_shift import deploy, watched
from tests.versions import faulty

pytestmark = pytest.mark.serve

HANGS_S = 12.0
SAID = {
    "forged": "the files are not those that were registered (changed: data/model.pth)",
    "raises": "the weights are damaged",
    "hangs": f"was not fetched, loaded and warm within {HANGS_S:g} s",
}


def penstock(service: Service, *arguments: str) -> str:
    done = subprocess.run(
        [*PENSTOCK, *arguments],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def application(name: str) -> dict[str, Any]:
    """A version of one deployment, with as little around it as Serve wants.

    It books no processor: all of this small machine's may be booked by the versions that serve.
    """
    return {
        "name": f"{name}-v1",
        "route_prefix": None,
        "import_path": "deployments.app:version",
        "args": {
            "model": {"name": name, "version": "1"},
            "load_timeout": HANGS_S
            if name == "hangs"
            else 120.0,  # MLflow's import alone takes seconds
            "max_rows": 4,
        },
        "deployments": [{"name": "Model", "num_replicas": 1, "ray_actor_options": {"num_cpus": 0}}],
    }


def failures(service: Service) -> dict[str, str]:
    """What Serve says of each application of this file that it has given up, or is still trying to start."""
    told = yaml.safe_load(service.shell("serve status"))["applications"]
    return {
        name: told.get(f"{name}-v1", {}).get("deployments", {}).get("Model", {}).get("message", "")
        for name in SAID
    }


async def test_versions_that_cannot_be_served_leave_the_others_alone(
    client: httpx.AsyncClient, service: Service, tmp_path: Path
) -> None:
    """Forged files, an error and a hang at load: each is named in Serve's status, no file of a forged one is
    unpickled, and meanwhile every request to what was there is answered."""
    saved = {"forged": faulty.torch_module, "raises": faulty.raises, "hangs": faulty.hangs}
    for name, save in saved.items():
        save(tmp_path / name)
        penstock(service, "models", "register", str(tmp_path / name), "--name", name)
    marker = tmp_path / "marker"
    shown = json.loads(penstock(service, "models", "show", "forged/1", "--json"))
    faulty.leave_marker(Path(shown["source"].removeprefix("file://")), marker)

    document = copy.deepcopy(service.rendered)
    document["applications"] += [application(name) for name in SAID]
    seen_messages: dict[str, str] = {}
    last: dict[str, str] = {}

    def all_told() -> bool:
        last.update(failures(service))
        seen_messages.update({name: last[name] for name in SAID if SAID[name] in last[name]})
        return seen_messages.keys() == SAID.keys()

    try:
        async with watched(client) as seen:
            await deploy(service, document)
            told = await asyncio.to_thread(wait_for, all_told, 150)
    finally:
        await deploy(service, service.rendered)

    assert told, "\n\n".join(last[name] for name in SAID if name not in seen_messages)
    assert not any("The above exception" in message for message in seen_messages.values())
    assert not marker.exists()
    assert {status for _, status, _ in seen} == {200}
    assert len(seen) > 100


async def test_a_lost_replica_comes_back_while_the_registry_is_away(
    client: httpx.AsyncClient, service: Service
) -> None:
    """Its files are in the node's cache, and what the registry said of them is remembered."""
    database = Path(service.tracking_uri.removeprefix("sqlite:///"))
    away = database.with_suffix(".away")
    target = service.applications["solo", "only"], "Model"
    (old,) = service.replicas(*target)
    body = {"inputs": [[[0] * 8] * 8]}
    os.rename(database, away)  # noqa: PTH104 - see ASYNC240: no Path in here
    try:
        os.kill(old.pid, signal.SIGKILL)

        def back() -> bool:
            return any(each.pid != old.pid for each in service.replicas(*target))

        began = time.monotonic()
        assert await asyncio.to_thread(wait_for, back, 60)
        status = 0
        while status != 200 and time.monotonic() < began + 60:
            status = (await client.post("/api/v1/endpoints/solo/predict", json=body)).status_code
    finally:
        os.rename(away, database)  # noqa: PTH104

    assert status == 200


async def test_a_replica_whose_device_broke_is_replaced(
    client: httpx.AsyncClient, service: Service
) -> None:
    """The row that broke it gets a 503 that says so, the next request an answer from a new process."""
    target = service.applications["slow", "only"], "Model"
    assert await asyncio.to_thread(wait_for, lambda: len(service.replicas(*target)) == 1, 60)
    (old,) = service.replicas(*target)
    path = "/api/v1/endpoints/slow/predict"

    broke = await client.post(path, json={"inputs": [[1, 666]]})
    gone = await asyncio.to_thread(wait_for, lambda: not old.is_running(), 10)
    began, status = time.monotonic(), 0
    while status != 200 and time.monotonic() < began + 60:
        status = (await client.post(path, json={"inputs": [[1, 2]]})).status_code

    assert (broke.status_code, broke.json()["code"]) == (503, "replica_lost")
    assert "try again" in broke.json()["detail"]
    assert gone
    assert status == 200
