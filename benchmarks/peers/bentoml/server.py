"""BentoML with a batchable API, as its page on adaptive batching advises, in one worker process.

BentoML joins the requests' inputs along the first axis and hands the API one batch, so all three stages
see batches. ``bentoml serve`` is the documented way to start it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import pipeline as shared

DIGITS = os.environ.get("BENCH_MODEL", "digits") == "digits"


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Bench:
    def __init__(self) -> None:
        self.pipeline = shared.load()

    if DIGITS:

        @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
        def predict(self, inputs: np.ndarray) -> list[dict[str, Any]]:
            return shared.predict(self.pipeline, inputs)

    else:

        @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=10000)
        def predict(self, inputs: list[str]) -> list[dict[str, Any]]:
            return shared.predict(self.pipeline, inputs)


if __name__ == "__main__":
    command = [sys.executable, "-m", "bentoml", "serve", "server:Bench", "--host", "127.0.0.1"]
    command += ["--port", str(shared.port()), "--working-dir", str(Path(__file__).parent)]
    os.execv(sys.executable, command)
