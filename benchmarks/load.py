"""Load by ``wrk``: closed loop, keep-alive, a fixed number of connections, bodies in turn.

A closed loop sends a connection's next request when the last answer is there, so throughput is the server's
and latencies are those of a server kept exactly that busy. wrk adds to them what it reckons a stalled connection
kept it from sending ("coordinated omission"), which raises the tails of servers that answer in bursts.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")
THREADS = 2
TIMEOUT_S = (
    30  # wrk counts slower answers as errors; its own 2 s would blame a slow server for being slow
)


class WrkMissingError(Exception):
    """There is no ``wrk`` on this machine."""


class WrkFailedError(Exception):
    """``wrk`` ended without a report."""


@dataclass(frozen=True)
class Load:
    """What one run of ``wrk`` measured; times in milliseconds."""

    connections: int
    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    errors: dict[str, int]

    @property
    def rate(self) -> float:
        """Good answers per second."""
        return (self.requests - self.errors["status"]) / self.seconds

    @property
    def failures(self) -> str:
        """What went wrong, in words; empty when every answer was a 2xx."""
        words = {"status": "answers that were not 2xx", "timeout": f"answers after {TIMEOUT_S} s"}
        return ", ".join(
            f"{count} {words.get(kind, f'socket errors ({kind})')}"
            for kind, count in self.errors.items()
            if count
        )


def find_wrk() -> str:
    """The path of ``wrk``, or WrkMissingError with what to do."""
    path = shutil.which("wrk")
    if path is None:
        raise WrkMissingError(
            "make bench needs wrk, which is not on this machine: install it: apt install wrk"
        )
    return path


def version() -> str:
    """What ``wrk`` calls itself."""
    said = subprocess.run([find_wrk(), "--version"], capture_output=True, text=True, check=False)
    return " ".join(said.stdout.split()[:2])


def run(url: str, bodies: Path, connections: int, seconds: float) -> Load:
    """Load `url` with the lines of `bodies` over `connections` connections.

    Raises:
        WrkFailedError: wrk ended without a report, for instance because nothing listens.
    """
    command = [find_wrk(), "--threads", str(min(THREADS, connections))]
    command += ["--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
    command += ["--timeout", f"{TIMEOUT_S}s", "--script", str(SCRIPT), url, "--", str(bodies)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in ended.stdout.splitlines():
        if line.startswith("RESULT "):
            return Load(connections=connections, **json.loads(line.removeprefix("RESULT ")))
    said = (ended.stderr or ended.stdout).strip().splitlines()
    raise WrkFailedError(f"wrk ended with {ended.returncode}: {said[-1] if said else 'no word'}")
