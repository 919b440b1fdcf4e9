"""How long to wait for a registry that is down: seconds, where MLflow by itself takes up to twenty minutes.

MLflow's retries are switched off and ours take their place, since two layers of them multiply.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import TypeVar

PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # ours tell bytes, and only on a terminal
}

T = TypeVar("T")


def be_brief(environ: MutableMapping[str, str]) -> None:
    """Gives MLflow in this process, and in those it starts, short timeouts; what is set already stays.

    Whoever starts a process calls this with its environment, before anything imports MLflow.
    """
    for name, value in PATIENCE.items():
        environ.setdefault(name, value)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to ask again, and for how long altogether.

    With the timeout of 4 s above, a registry that takes connections and never answers is given up on after
    two attempts, some 9 s; one that refuses connections after four, some 2 s.

    Attributes:
        attempts: How often to ask, the first time included.
        pause_s: The longest first pause; each further one may be twice as long. Every pause is drawn
            evenly from zero up, so that a hundred replicas do not come back at the same moment.
        total_s: No attempt begins later than this after the first, seconds.
    """

    attempts: int = 4
    pause_s: float = 0.4
    total_s: float = 8.0

    def ask(self, question: Callable[[], T], transient: Callable[[Exception], bool]) -> T:
        """The answer, or the last attempt's exception; only a transient one is worth another attempt."""
        begun = time.monotonic()
        for attempt in range(self.attempts):
            pause = random.uniform(0, self.pause_s * 2**attempt)  # noqa: S311 - no secret
            try:
                return question()
            except Exception as exc:
                late = time.monotonic() - begun + pause > self.total_s
                if late or attempt == self.attempts - 1 or not transient(exc):
                    raise
            time.sleep(pause)
        raise AssertionError("unreachable")
