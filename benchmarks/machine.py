"""What the figures were measured on: enough to judge them, nothing that names the machine."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import psutil


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and Python; no host names, no paths."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def load_average() -> float:
    """How busy the machine was in the last minute: what is not 0 before a run disturbs it."""
    return round(os.getloadavg()[0], 2)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


class Disturbance:
    """How much of the machine was used by others between two moments: what makes a measurement worthless.

    Matters most for Ray, whose workers run at low priority: anything else that computes starves them first.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._own = _busy_s(), _own_s()

    def share(self) -> float:
        """The others' part of all cores' time since the start, 0..1; stolen time counts."""
        others = (_busy_s() - self._busy) - (_own_s() - self._own)
        available = (time.monotonic() - self._began) * len(os.sched_getaffinity(0))
        return round(max(0.0, others / available), 3)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _own_s() -> float:
    """CPU time of this process and of all below it, those that have ended included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return float(total)
