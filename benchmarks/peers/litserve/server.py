"""LitServe with its four hooks, batching on, one inference worker and one API server process.

``fast_queue`` moves requests between the two over ZeroMQ instead of a multiprocessing queue: documented, off by
default, and quicker here at 1 and at 64 connections. A second API server process added nothing.
"""

import os
from typing import Any

import litserve as ls
import pipeline as shared
from fastapi import Request

DIGITS = os.environ.get("BENCH_MODEL", "digits") == "digits"
MAX_BATCH = 64 if DIGITS else 16
MAX_WAIT_S = 0.002 if DIGITS else 0.01


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.pipeline = shared.load()

    # LitServe reads this annotation: anything but its own Request becomes a query parameter.
    def decode_request(self, request: Request) -> shared.Rows:
        return self.pipeline.decode(request["inputs"])

    def batch(self, inputs: list[shared.Rows]) -> tuple[shared.Rows, list[int]]:
        return self.pipeline.join(inputs), [len(next(iter(part.values()))) for part in inputs]

    def predict(self, inputs: tuple[shared.Rows, list[int]]) -> tuple[shared.Rows, list[int]]:
        rows, counts = inputs
        return self.pipeline.infer(rows), counts

    def unbatch(self, output: tuple[shared.Rows, list[int]]) -> list[shared.Rows]:
        return shared.split(*output)

    def encode_response(self, output: shared.Rows) -> dict[str, Any]:
        return {"predictions": self.pipeline.encode(output)}


if __name__ == "__main__":
    api = Api(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT_S)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=shared.port(),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
