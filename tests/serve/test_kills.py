"""`kill -9` of replicas under load, by the script that anyone can run against a service of their own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.conftest import ROOT
from tests.serve.service import Service, wait_for

DEADLINE_S = 2.0
log = logging.getLogger(__name__)


def kill_replicas(service: Service, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks" / "kill_replicas.py"), "--json"),
            *("--url", service.url, "--trace", str(service.home / "trace.jsonl"), *options),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    log.info("%s", done.stdout)
    return facts


@pytest.mark.serve
def test_with_another_replica_nobody_notices(service: Service) -> None:
    """Model and preprocess replicas killed in turn at 50 requests/s: every request is answered with 200."""
    application = service.applications["pair", "only"]
    facts = kill_replicas(
        service,
        *("--endpoint", "pair", "--rate", "50", "--seconds", "30", "--every", "3"),
        *("--kill", f"{application}:Model", "--kill", f"{application}:Preprocess"),
    )
    assert facts["sent"] == 1500
    assert len(facts["kills"]) >= 3
    assert {kill["what"].partition(":")[2] for kill in facts["kills"]} == {"Model", "Preprocess"}
    assert facts["by_status"] == {"200": 1500}
    assert facts["worst_ms"] < DEADLINE_S * 1000


@pytest.mark.serve
@pytest.mark.parametrize(("stage", "seconds"), [("Model", 14), ("Preprocess", 9)])
def test_without_another_nobody_waits_beyond_the_deadline(
    service: Service, stage: str, seconds: int
) -> None:
    """The only replica killed: errors, but none later than the deadline and a second; then it heals by itself."""
    application = service.applications["solo", "only"]
    facts = kill_replicas(
        service,
        *("--endpoint", "solo", "--rate", "50", "--seconds", str(seconds), "--every", "2"),
        *("--kill", f"{application}:{stage}", "--kills", "1", "--last"),
    )
    assert len(facts["kills"]) == 1
    assert facts["sent"] == 50 * seconds
    assert facts["worst_ms"] < (DEADLINE_S + 1) * 1000
    assert set(facts["by_status"]) <= {"200", "429", "503", "504"}
    assert facts["failed"] > 0, "the kill was not felt, so that this showed nothing"

    def is_ready() -> bool:
        return httpx.get(f"{service.url}/api/v1/health/ready", timeout=5).status_code == 200

    assert wait_for(is_ready, 40)
    answer = httpx.post(
        f"{service.url}/api/v1/endpoints/solo/predict", json={"inputs": [[[0] * 8] * 8]}
    )
    assert answer.status_code == 200


def test_it_kills_on_this_machine_only() -> None:
    """A service elsewhere is refused before anything is sent or killed."""
    script = str(ROOT / "benchmarks" / "kill_replicas.py")
    done = subprocess.run(
        [sys.executable, script, "--url", "http://192.0.2.1:8000"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "--url must be on loopback" in done.stderr
