"""One server's turn: started, proved right, warmed up, loaded, stopped."""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import load
import machine
import processes
import traffic
from environments import HOME, ROOT
from results import NOISY, Results, Row
from rich.console import Console
from servers import Ours, Peer, UnavailableError

START_LIMIT_S = 240
ANSWER_LIMIT_S = 60
CHECKED_AT_ONCE = 16
LONGER = {"sentences": 3}
"""A batch of 64 sentences takes a second or more, and one cut off by the end of a run is not counted."""


class WrongAnswersError(Exception):
    """A server does not answer what the model does; its speed means nothing."""


class Turn:
    """Takes servers in turn for one model and notes what it finds in `results`."""

    def __init__(
        self,
        model: str,
        artifact: Path,
        results: Results,
        asked: argparse.Namespace,
        console: Console,
    ) -> None:
        self._model = model
        self._artifact = artifact
        self._results = results
        self._asked = asked
        self._console = console
        self._expected = _local_answers(model, artifact)
        self._taken = 0

    def take(self, server: Ours | Peer) -> None:
        """One turn; a server that cannot be measured, or answers wrongly, is noted with the reason."""
        self._taken += 1
        key = server.name, self._model
        try:
            server.prepare(self._model)
            self._measure(server)
        except UnavailableError as reason:
            self._results.problems[key] = str(reason)
            self._console.print(f"[yellow]{server.name}, {self._model}: {reason}[/]")
        except (processes.NotStartedError, WrongAnswersError, load.WrkFailedError) as reason:
            self._fail(key, f"{type(reason).__name__}: {reason}")

    def _fail(self, key: tuple[str, str], text: str) -> None:
        self._results.problems[key] = text
        self._results.failed = True
        self._console.print(f"[red]{key[0]}, {key[1]}: {text}[/]")

    def _measure(self, server: Ours | Peer) -> None:
        port = self._asked.port
        log = HOME / "logs" / f"{server.name.replace(' ', '-')}-{self._model}.log"
        url = f"http://127.0.0.1:{port}{server.path(self._model)}"
        bodies = traffic.bodies(server.protocol, self._model)
        self._wait_for_port(port)
        running = processes.Running(
            server.command(self._model, port),
            server.environment(self._model, self._artifact, port),
            log,
        )
        with running, tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            file.write(b"\n".join(bodies))
            file.flush()
            took = self._wait(server, running, bodies[0])
            self._check(server, bodies)
            self._console.print(
                f"[bold]{server.name}[/], {self._model}: ready in {took:.1f} s, answers are right"
            )
            seconds = self._asked.seconds * LONGER.get(self._model, 1)
            for connections in self._asked.connections:
                # Warmed as it is measured: batchers that learn would otherwise make a lone request wait for
                # company that only the load before it had.
                load.run(url, Path(file.name), connections, self._asked.warmup)
                self._drain(server, bodies[0])
                disturbed = machine.Disturbance()
                found = load.run(url, Path(file.name), connections, seconds)
                self._note(server, found, disturbed.share())

    def _wait(self, server: Ours | Peer, running: processes.Running, body: bytes) -> float:
        """Until it says so, where it does, and answers; returns the seconds since its start."""

        def ready() -> bool:
            if server.ready_line and not running.said(server.ready_line):
                return False
            try:
                return _post(self._asked.port, server.path(self._model), body)[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        took = processes.wait_until(ready, running, START_LIMIT_S)
        if not processes.ours_listens(self._asked.port):
            raise processes.NotStartedError("something else answers on its port")
        self._results.starts_s[f"{server.name}, {self._model}"] = round(took, 1)
        return took

    def _check(self, server: Ours | Peer, bodies: list[bytes]) -> None:
        """Every body, many at once so that batches form, must get its own right answer."""

        def ask(body: bytes) -> dict[str, Any]:
            status, text = _post(self._asked.port, server.path(self._model), body)
            if status != 200:
                raise WrongAnswersError(f"{status}: {text[:200].decode(errors='replace')}")
            return server.protocol.prediction(json.loads(text))

        with ThreadPoolExecutor(CHECKED_AT_ONCE) as pool:
            answered = list(pool.map(ask, bodies))
        if said := traffic.wrong(self._expected, answered):
            raise WrongAnswersError(said)

    def _drain(self, server: Ours | Peer, body: bytes) -> None:
        """Wait out what wrk left queued when its time was up: its next run would pay for the last one's."""
        for _ in range(2):
            _post(self._asked.port, server.path(self._model), body)

    def _note(self, server: Ours | Peer, found: load.Load, others: float) -> None:
        self._results.rows.append(Row(server.name, self._model, self._taken, found, others))
        noise = f" [yellow](others took {others:.0%} of the machine)[/]" if others > NOISY else ""
        self._console.print(
            f"  {found.connections:>3} connections: {found.rate:>9,.1f} requests/s, "
            f"p50 {found.p50_ms:,.1f} ms, p95 {found.p95_ms:,.1f} ms, p99 {found.p99_ms:,.1f} ms{noise}"
        )
        if problem := found.failures or ("" if found.requests else "no answer in time"):
            self._fail((server.name, self._model), f"at {found.connections} connections: {problem}")

    def _wait_for_port(self, port: int) -> None:
        for _ in range(50):
            if processes.port_is_free(port):
                return
            time.sleep(0.2)
        raise processes.NotStartedError(f"port {port} is taken by another process")


def bare_loop(model: str, artifact: Path, seconds: float) -> dict[str, Any]:
    """The model without any server, measured in a process of its own so that this one stays small."""
    command = [sys.executable, str(ROOT / "benchmarks" / "bare_loop.py"), "--json"]
    command += ["--models", model, "--artifact", f"{model}={artifact}"]
    command += ["--seconds", str(seconds)]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, text=True))
    return found


def _local_answers(model: str, artifact: Path) -> list[dict[str, Any]]:
    """What the model answers to every item, alone, in this process."""
    import pipeline  # late: imports torch

    served = pipeline.open_pipeline(model, artifact)
    return [pipeline.predict(served, [item])[0] for item in traffic.items(model)]


def _post(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_LIMIT_S)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
