"""Kills replicas of a running service with `kill -9` while requests come in, and tells what the clients saw.

    python benchmarks/kill_replicas.py --url http://127.0.0.1:8000 --kill digits-v1:Model --kill digits-v1:Preprocess

Requests are sent at their times whether the earlier ones are answered or not (an open loop), and each one's
latency counts from the time at which it was to be sent: so a service that stalls cannot hide it by stalling its
clients too. Replicas are found by the title that Ray gives their processes. One is killed only while every edge
is connected to another of its deployment, unless `--last` says that the last may go too: with that, clients may
see errors, without it they should see none. Only for a service on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

MOST_REQUESTS = 200_000
MOST_OPEN = 2_000
PATIENCE_S = 30.0
EDGE = "edge:Edge"
EXAMPLE = {"inputs": [[[0, 0, 11, 12, 0, 0, 0, 0]] + [[0, 2, 16, 16, 16, 13, 0, 0]] * 7]}


@dataclass
class Seen:
    """What clients saw."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)
    kills: list[tuple[float, str, int]] = field(default_factory=list)
    last_ok_at: float = 0.0
    sent_late: float = 0.0
    trace: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(self.statuses.values())

    def add(self, status: str, due: float, answered: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(answered - due)
        self.trace.append((round(due, 3), round(answered - due, 4), status))
        if status == "200":
            self.last_ok_at = max(self.last_ok_at, due)
        else:
            self.failed_at.append(due)

    def quantile(self, share: float) -> float:
        """Seconds within which this share of all requests had their answer, whatever it was."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def facts(self) -> dict[str, Any]:
        return {
            "sent": self.sent,
            "ok": self.statuses["200"],
            "failed": self.sent - self.statuses["200"],
            "by_status": dict(self.statuses.most_common()),
            "p50_ms": round(self.quantile(0.5) * 1000, 2),
            "p99_ms": round(self.quantile(0.99) * 1000, 2),
            "worst_ms": round(self.quantile(1) * 1000, 2),
            # How late this script itself was: what it cannot blame the service for.
            "sent_late_ms": round(self.sent_late * 1000, 2),
            "kills": [{"at_s": round(at, 2), "what": w, "pid": pid} for at, w, pid in self.kills],
            "failed_from_s": round(min(self.failed_at), 2) if self.failed_at else None,
            "failed_to_s": round(max(self.failed_at), 2) if self.failed_at else None,
            "last_ok_at_s": round(self.last_ok_at, 2),
        }


def replicas(target: str) -> list[psutil.Process]:
    """The processes of a deployment, named application:deployment, on this machine; the oldest first."""
    title = f"ray::ServeReplica:{target}"
    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        command = process.info["cmdline"] or [""]
        # While it runs a method Ray adds that to the title, after a full stop.
        if command[0] == title or command[0].startswith(f"{title}."):
            found.append(process)
    return sorted(found, key=lambda process: process.info["create_time"])


def served_by_all_edges() -> set[int]:
    """The ports that every edge is connected to: where the replicas listen that they send batches to."""
    ports = []
    for edge in replicas(EDGE):
        with contextlib.suppress(psutil.Error):
            connections = edge.net_connections("tcp")
            ports.append({c.raddr.port for c in connections if c.status == "ESTABLISHED"})
    return set.intersection(*ports) if ports else set()


def answers(process: psutil.Process, ports: set[int]) -> bool:
    """Whether a replica listens on one of the ports that the edges are connected to."""
    try:
        listening = {c.laddr.port for c in process.net_connections("tcp") if c.status == "LISTEN"}
    except psutil.Error:
        return False
    return bool(listening & ports)


class Killer:
    """Kills one replica after the other, of each target in turn.

    Args:
        last: Kill also where no other replica would be left.
    """

    def __init__(self, targets: Sequence[str], *, last: bool) -> None:
        self._targets = list(targets)
        self._last = last
        self._next = 0

    def kill(self) -> tuple[str, int] | None:
        """Kill a replica that may be spared; None if there is none now."""
        ports = served_by_all_edges()
        for _ in self._targets:
            target = self._targets[self._next % len(self._targets)]
            self._next += 1
            answering = [process for process in replicas(target) if answers(process, ports)]
            if len(answering) > (0 if self._last else 1):
                os.kill(answering[0].pid, signal.SIGKILL)
                return target, answering[0].pid
        return None


class Load:
    """An open loop of requests, with kills among them."""

    def __init__(self, client: httpx.AsyncClient, path: str, body: bytes, killer: Killer) -> None:
        self._client = client
        self._path = path
        self._body = body
        self._killer = killer
        self._open = 0
        self.seen = Seen()

    async def run(self, *, seconds: float, rate: float, every: float, kills: int) -> Seen:
        """Send `rate` requests a second, and kill a replica `every` so many seconds, `kills` times at most."""
        self._began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            killing = tasks.create_task(self._kill(every, kills))
            for number in range(round(seconds * rate)):
                due = number / rate
                await asyncio.sleep(max(0.0, due - self._now()))
                if self._open >= MOST_OPEN:
                    self.seen.add("not sent: too many are open", due, self._now())
                    continue
                tasks.create_task(self._send(due))
            killing.cancel()
        return self.seen

    def _now(self) -> float:
        return time.perf_counter() - self._began

    async def _send(self, due: float) -> None:
        self._open += 1
        self.seen.sent_late = max(self.seen.sent_late, self._now() - due)
        try:
            answer = await self._client.post(
                self._path, content=self._body, headers={"content-type": "application/json"}
            )
            status = str(answer.status_code)
        except httpx.HTTPError as error:
            status = type(error).__name__
        finally:
            self._open -= 1
        self.seen.add(status, due, self._now())

    async def _kill(self, every: float, kills: int) -> None:
        while len(self.seen.kills) < kills:
            await asyncio.sleep(every)
            # To look through all processes takes a while, in which requests are due.
            killed = await asyncio.to_thread(self._killer.kill)
            if killed is not None:
                self.seen.kills.append((self._now(), *killed))


async def measure(options: argparse.Namespace) -> Seen:
    killer = Killer(options.kill, last=options.last)
    body = json.dumps(options.body).encode()
    path = f"/api/v1/endpoints/{options.endpoint}/predict"
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=options.url, timeout=PATIENCE_S, limits=limits) as client:
        load = Load(client, path, body, killer)
        return await load.run(
            seconds=options.seconds, rate=options.rate, every=options.every, kills=options.kills
        )


def table(facts: dict[str, Any]) -> str:
    """The facts as lines to read."""
    lines = [f"{'sent':<12}{facts['sent']}", f"{'answered':<12}{facts['ok']} with 200"]
    for status, count in facts["by_status"].items():
        if status != "200":
            lines.append(f"{'':<12}{count} with {status}")
    lines += [f"{name:<12}{facts[f'{name}_ms']:.1f} ms" for name in ("p50", "p99", "worst")]
    lines.append(f"{'sent late':<12}{facts['sent_late_ms']:.1f} ms at worst, by this script")
    for kill in facts["kills"]:
        lines.append(f"{'killed':<12}{kill['what']} (process {kill['pid']}) after {kill['at_s']} s")
    if facts["failed"]:
        lines.append(f"{'failing':<12}from {facts['failed_from_s']} s to {facts['failed_to_s']} s")
    return "\n".join(lines)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Kill replicas under load and count what clients see."
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--endpoint", default="digits")
    parser.add_argument(
        "--kill",
        action="append",
        metavar="APPLICATION:DEPLOYMENT",
        help="whose replicas to kill, in turn; may be given again (default digits-v1:Model)",
    )
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--every", type=float, default=5, help="seconds between two kills")
    parser.add_argument("--kills", type=int, default=1000, help="the most kills")
    parser.add_argument("--last", action="store_true", help="also kill the last of a deployment")
    parser.add_argument("--body", type=json.loads, default=EXAMPLE, help="what to post, as JSON")
    parser.add_argument(
        "--trace", type=Path, help="write [due s, latency s, status] of every request to this file"
    )
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    options = parser.parse_args(given)
    options.kill = options.kill or ["digits-v1:Model"]
    host = urlsplit(options.url).hostname or ""
    if host != "localhost" and not (_is_address(host) and ipaddress.ip_address(host).is_loopback):
        parser.error("--url must be on loopback: replicas are killed on this machine")
    if not 0 < options.seconds * options.rate <= MOST_REQUESTS:
        parser.error(f"--seconds times --rate must be from 1 to {MOST_REQUESTS}")
    if options.every <= 0:
        parser.error("--every must be above 0")
    return options


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def main() -> None:
    options = arguments()
    seen = asyncio.run(measure(options))
    facts = seen.facts()
    if options.trace:
        options.trace.write_text("".join(f"{json.dumps(one)}\n" for one in sorted(seen.trace)))
    print(json.dumps(facts) if options.json else table(facts))
    if not facts["kills"]:
        sys.exit("Nothing was killed: no deployment named by --kill had a replica to spare.")


if __name__ == "__main__":
    main()
