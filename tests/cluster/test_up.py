"""`penstock up` as a newcomer meets it: a process with a terminal's signals, over real Ray."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deployments.cluster import family, flags, preconditions, sockets
from tests.cluster.conftest import Run, app, wait_for

PORTS = [flags.STATS_PORT, flags.METRICS_PORT, flags.FALLBACK_PORT, flags.DASHBOARD_PORT]


@pytest.mark.serve
def test_it_serves_on_loopback_only_and_leaves_nothing(
    penstock_up: Callable[..., Run], free_port: int
) -> None:
    """Every socket of every process is on loopback; after SIGTERM no process is left and the ports are free."""
    run = penstock_up(app("edge", "/"))
    run.wait_for("Ctrl-C stops everything.")

    with urllib.request.urlopen(
        f"http://127.0.0.1:{free_port}/api/v1/health/ready", timeout=5
    ) as reply:
        assert reply.status == 200
    listening = sockets.listeners(family.family_of(run.starter))
    assert {free_port, flags.STATS_PORT, flags.METRICS_PORT} <= {one.port for one in listening}
    assert sockets.beyond_loopback(listening) == []
    tree = {process.pid for process in psutil.Process(run.process.pid).children(recursive=True)}
    assert tree <= {process.pid for process in run.left()}, (
        "a process without a mark could be left unseen"
    )
    assert (Path.home() / ".ray" / "auth_token").stat().st_mode & 0o077 == 0

    asked = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    run.process.send_signal(signal.SIGINT)  # the impatient second one only hurries it
    assert run.process.wait(20) == 0
    assert time.monotonic() - asked < 10
    assert run.left() == []
    assert not any(sockets.is_taken(port) for port in [free_port, *PORTS])


@pytest.mark.serve
@pytest.mark.parametrize("moment", ["Starting Ray ...", "Deploying ..."])
def test_a_signal_during_the_start_leaves_nothing(
    penstock_up: Callable[..., Run], moment: str
) -> None:
    """SIGINT while Ray comes up ends the half of it that is there, with the exit code of an interrupt."""
    run = penstock_up(app("edge", "/"))
    run.wait_for(moment)
    time.sleep(1)
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(20) == 128 + signal.SIGINT
    assert "Traceback" not in run.output
    assert run.left() == []


@pytest.mark.serve
def test_a_killed_run_is_cleared_by_the_next(penstock_up: Callable[..., Run]) -> None:
    """After kill -9 HAProxy and workers end by themselves, and the next start ends the rest and says so."""
    run = penstock_up(app("edge", "/"))
    run.wait_for("Ctrl-C stops everything.")
    run.process.kill()
    run.process.wait(5)
    assert wait_for(lambda: not sockets.is_taken(flags.STATS_PORT), 10)
    notes = preconditions.check(flags.STATS_PORT)
    assert run.left() == []
    assert not notes or "earlier run" in notes[0]


@pytest.mark.serve
def test_a_deployment_that_fails_is_one_line(penstock_up: Callable[..., Run]) -> None:
    """A constructor that raises ends the start with its own message, exit code 1 and nothing left."""
    run = penstock_up(app("edge", "/"), app("broken"))
    assert run.process.wait(90) == 1
    last = run.output.strip().splitlines()[-1]
    assert last.startswith("penstock: Application broken did not start:")
    assert "the weights are gone" in last
    assert "Traceback" not in run.output
    assert run.left() == []


def test_a_taken_port_is_one_line(penstock_up: Callable[..., Run], free_port: int) -> None:
    """A port in use is said before anything starts, with who has it and what to do."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", free_port))
        holder.listen()
        run = penstock_up(app("edge", "/"))
        assert run.process.wait(20) == 1
    (line,) = run.output.strip().splitlines()
    assert line.startswith(f"penstock: Port {free_port} is taken by python")
    assert "PORT=" in line


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """A configuration that is not there is a fault of the call, not a traceback."""
    call = [
        sys.executable,
        "-c",
        "from deployments.cli import main; main()",
        "up",
        "--config",
        "no.yaml",
    ]
    done = subprocess.run(
        call, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "penstock: Cannot read no.yaml: No such file or directory. Name another with --config."
    )
