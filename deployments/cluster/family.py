"""Which processes belong to a local cluster, also when their parents are gone, and how they are ended for good.

A process tree alone does not answer that: when a Ray process is killed its children are adopted by init. So
every process of a cluster carries a mark in its environment, inherited from the process that started it all,
which names that starter by process id and start time: a number alone may have been given to another since.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "PENSTOCK_STARTED_BY"
_MARKED = re.compile(rb"(?:^|\0)" + MARK.encode() + rb"=([0-9.@]+)")


@dataclass(frozen=True)
class Starter:
    """A process that started a local cluster, told apart from later ones with its process id."""

    pid: int
    started: float

    @classmethod
    def this_process(cls) -> Starter:
        """The one that asks."""
        me = psutil.Process()
        return cls(me.pid, round(me.create_time(), 2))

    @classmethod
    def parse(cls, mark: str) -> Starter | None:
        """The reverse of `str`; None for anything else."""
        pid, _, started = mark.partition("@")
        try:
            return cls(int(pid), float(started))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.pid}@{self.started:.2f}"

    def is_alive(self) -> bool:
        """Whether it runs still."""
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.started) < 1
                and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False


def starter_of(process: psutil.Process) -> Starter | None:
    """Who started the cluster that `process` belongs to; None for a process of none of ours.

    Raises:
        psutil.Error | OSError: It is another user's, or gone.
    """
    environment = Path(f"/proc/{process.pid}/environ")
    if not environment.parent.exists():  # no Linux
        return Starter.parse(process.environ().get(MARK, ""))
    # Not psutil's parser, which ends where Ray has written its process title over the first variables.
    found = _MARKED.search(environment.read_bytes())
    return Starter.parse(found[1].decode()) if found else None


def marked() -> dict[Starter, list[psutil.Process]]:
    """Every process on this machine that carries a mark, by who started it, starters themselves excepted."""
    found: dict[Starter, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            starter = starter_of(process)
        except (psutil.Error, OSError):  # another user's, or gone
            continue
        if starter is not None and starter.pid != process.pid:
            found.setdefault(starter, []).append(process)
    return found


def family_of(starter: Starter) -> list[psutil.Process]:
    """Everything that `starter` started and that runs: its descendants and who carries its mark."""
    relatives = {process.pid: process for process in marked().get(starter, [])}
    with contextlib.suppress(psutil.NoSuchProcess):
        relatives |= {p.pid: p for p in psutil.Process(starter.pid).children(recursive=True)}
    return list(relatives.values())


def running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; one that has, and whose parent has not asked for its exit code yet, has."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def orphans() -> list[psutil.Process]:
    """Processes of clusters whose starter is dead: nobody will stop them but whoever finds them."""
    return [p for starter, ps in marked().items() if not starter.is_alive() for p in ps]


def end(processes: Iterable[psutil.Process], patience_s: float = 0.5) -> list[psutil.Process]:
    """End `processes`: first asked, then not. Returns those that are there even then (in a system call)."""
    alive = list(processes)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(alive, timeout=2)
    return alive
