"""mosec: a Rust front and three stages in processes of their own, with dynamic batching on the model stage.

As its documentation advises: the slow, vectorisable stage batches, the others handle one request each.
Stages are joined by sockets inside one machine; payloads are pickled. The model stage waits 1 ms for a batch
of images to fill: mosec's own 10 ms gives no more requests/s under load and trebles a lone request's time.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pipeline as shared
from mosec import Server, Worker

MODEL = os.environ.get("BENCH_MODEL", "digits")
MAX_BATCH = 64 if MODEL == "digits" else 16
MAX_WAIT_MS = 1 if MODEL == "digits" else 10


class Preprocess(Worker):
    def __init__(self) -> None:
        self.pipeline = shared.load()

    def deserialize(self, data: bytes) -> list[Any]:
        return json.loads(data)["inputs"]

    def forward(self, data: list[Any]) -> shared.Rows:
        return self.pipeline.decode(data)


class Model(Worker):
    def __init__(self) -> None:
        self.pipeline = shared.load()

    def forward(self, data: list[shared.Rows]) -> list[shared.Rows]:
        counts = [len(next(iter(part.values()))) for part in data]
        return shared.split(self.pipeline.infer(self.pipeline.join(data)), counts)


class Postprocess(Worker):
    def __init__(self) -> None:
        self.pipeline = shared.load()

    def forward(self, data: shared.Rows) -> list[dict[str, Any]]:
        return self.pipeline.encode(data)

    def serialize(self, data: list[dict[str, Any]]) -> bytes:
        return json.dumps({"predictions": data}).encode()


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "--address", "127.0.0.1", "--port", os.environ["BENCH_PORT"]]
    sys.argv += ["--log-level", "warning", "--timeout", "60000"]
    server = Server()
    server.append_worker(Preprocess, num=1)
    server.append_worker(Model, num=1, max_batch_size=MAX_BATCH, max_wait_time=MAX_WAIT_MS)
    server.append_worker(Postprocess, num=1)
    server.run()
