"""A server's process tree: started in a session of its own, and gone, all of it, before the next one starts.

Servers leave processes behind (HAProxy outlives Ray, workers outlive their parent). This process makes itself
the reaper of its descendants' orphans, so whatever it started stays below it in the tree however it was
detached, and can be ended exactly, without searching by name and without touching anybody else's processes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil
from environments import ROOT

PR_SET_CHILD_SUBREAPER = 36
POLITE_S = 60.0
IMPATIENT_S = 5.0


class NotStartedError(Exception):
    """A server ended or stayed silent while it was waited for."""


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parent ends (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on loopback's `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Running:
    """One started server; a context manager that stops it and everything below it."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check(self) -> None:
        """Raises NotStartedError with the log's last line if the server has ended."""
        if self._process.poll() is not None:
            raise NotStartedError(f"ended with {self._process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no output"

    def said(self, beginning: str) -> bool:
        """Whether a line of its output begins so."""
        return any(
            line.startswith(beginning) for line in self.log.read_text(errors="replace").splitlines()
        )

    def stop(self) -> int:
        """End it: its first process politely, as a supervisor would, then whatever it left behind.

        Returns:
            How many processes it left behind.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(POLITE_S)
        # Some servers' helpers need a moment longer than their parent: those are not left behind.
        left_behind = psutil.wait_procs(_below(), IMPATIENT_S)[1]
        for ending in (psutil.Process.terminate, psutil.Process.kill):
            left = _below()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    ending(process)
            psutil.wait_procs(left, IMPATIENT_S)
        self._process.poll()
        return len(left_behind)


def ours_listens(port: int) -> bool:
    """Whether who answers on `port` was started by this process, and is not somebody's leftover."""
    for process in _below():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def stop_on_sigterm() -> None:
    """Make SIGTERM end this process as Ctrl-C does, by way of what stops the server being measured."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _below() -> list[psutil.Process]:
    """All that this process has started, directly or not, and that has not ended."""
    return psutil.Process().children(recursive=True)


def wait_until(ready: Callable[[], bool], running: Running, limit_s: float) -> float:
    """Poll `ready` until it is true; returns the seconds it took.

    Raises:
        NotStartedError: the server ended, or `limit_s` passed.
    """
    began = time.monotonic()
    while not ready():
        running.check()
        if time.monotonic() - began > limit_s:
            raise NotStartedError(f"not ready within {limit_s:.0f} s: {running.last_words()}")
        time.sleep(0.2)
    return time.monotonic() - began
