"""The ceiling: each model in a bare loop, no server, no HTTP, at several batch sizes.

Same pipeline, same inputs in the same order, same torch threads as the servers. A batch is decoded from what
is in a request and encoded to what is in an answer, without JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import artifacts
import pipeline
import torch
import traffic
from servers import TORCH_THREADS

BATCHES = (1, 8, 16, 32, 64)


def measure(model: str, artifact: Path, seconds: float) -> dict[str, Any]:
    """Rows per second for each batch size, and the best of them."""
    torch.set_num_threads(TORCH_THREADS[model])
    served = pipeline.open_pipeline(model, artifact)
    items = traffic.items(model)
    rates = {batch: _rate(served, items, batch, seconds) for batch in BATCHES}
    best = max(rates, key=lambda batch: rates[batch])
    return {"model": model, "rows_per_s": rates, "best_batch": best, "best_rows_per_s": rates[best]}


def _rate(served: pipeline.Pipeline, items: list[Any], batch: int, seconds: float) -> float:
    groups = [items[start : start + batch] for start in range(0, len(items), batch)]
    for group in groups[: max(1, 64 // batch)]:
        pipeline.predict(served, group)
    done = turn = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        group = groups[turn % len(groups)]
        pipeline.predict(served, group)
        done += len(group)
        turn += 1
    return done / passed


def main() -> int:
    """Measure and print; with --json, as one line for another program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=traffic.MODELS, choices=traffic.MODELS)
    parser.add_argument("--seconds", type=float, default=4.0, help="per batch size")
    parser.add_argument("--artifact", action="append", default=[], metavar="MODEL=FOLDER")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    given = dict(pair.split("=", 1) for pair in asked.artifact)
    for model in asked.models:
        folder = Path(given[model]) if model in given else artifacts.locate(model)
        found = measure(model, folder, asked.seconds)
        if asked.json:
            print(json.dumps(found), flush=True)
        else:
            rates = ", ".join(f"{n}: {rate:,.0f}" for n, rate in found["rows_per_s"].items())
            print(f"{model}: rows/s by batch size {rates}; best at {found['best_batch']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
