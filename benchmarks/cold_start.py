"""What it takes to have a model ready in a fresh process: a replica of ours against MLflow's own loader.

    python benchmarks/cold_start.py

Each turn starts a process, loads the digits model (torch) or a scikit-learn pipeline, answers one row and ends.
A replica of ours imports everything it will serve with, Ray included, verifies every file of the artifact against
its digest, loads it from the node's cache and warms it up at both batch sizes; `mlflow.pyfunc.load_model` loads the
same folder and predicts once. The two take turns. Memory is what the process holds resident afterwards, and beside it
that of a process that holds the framework and the model and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

REPLICA = """
import deployments.app
from deployments.settings import Settings
from deployments.spec.args import ModelArgs, VersionArgs
from deployments.versions.build import Builder
from deployments.versions.fetch import Files
args = VersionArgs(model=ModelArgs(name={name!r}, version="1", source={folder!r}, digest={digest!r}))
built = Builder(args, fetch=Files(Settings()).folder_of, gpus=[], cpus=1).build(["model"])
"""
MLFLOW = """
import mlflow
model = mlflow.pyfunc.load_model({folder!r})
from mlflow.models import Model
model.predict(Model.load({folder!r}).load_input_example({folder!r}))
"""
ALONE = {
    "digits": """
import torch
program = torch.export.load({folder!r} + "/data/model.pt2").module()
program(torch.zeros(1, 8, 8))
""",
    "iris": """
import pickle, pandas
with open({folder!r} + "/model.pkl", "rb") as file:
    model = pickle.load(file)
model.predict(pandas.DataFrame([[5.1, 3.5, 1.4, 0.2]], columns=list(model.feature_names_in_)))
""",
}
MEASURE = """
import psutil
print(psutil.Process().memory_full_info().uss)
"""


def make_models(home: Path) -> dict[str, Path]:
    """An artifact folder of each model, as MLflow saves it."""
    import mlflow
    import numpy as np
    import torch
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import Schema, TensorSpec
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )
    kind = np.dtype(np.float32)
    signature = ModelSignature(
        Schema([TensorSpec(kind, (-1, 8, 8))]),
        Schema([TensorSpec(kind, (-1, 10))]),
    )
    example = np.zeros((2, 8, 8), dtype=np.float32)
    mlflow.pytorch.save_model(
        net.eval(),
        home / "digits",
        serialization_format="pt2",
        signature=signature,
        input_example=example,
        pip_requirements=["torch"],
    )
    table = load_iris(as_frame=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(table.data, table.target)
    mlflow.sklearn.save_model(
        pipeline,
        home / "iris",
        signature=infer_signature(table.data, pipeline.predict(table.data)),
        input_example=table.data.head(2),
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
    )
    return {"digits": home / "digits", "iris": home / "iris"}


def turn(code: str, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds from the start of a process to its model's readiness, and the megabytes that are its own then."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint('ready', flush=True)\n{MEASURE}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    seconds = time.perf_counter() - begun
    out, err = process.communicate(timeout=120)
    if line.strip() != "ready":
        sys.exit(f"a process did not get its model ready:\n{err}")
    return seconds, int(out.split()[-1]) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure cold starts and memory.")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/cold_start.json")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {
            "PENSTOCK_HOME": f"{scratch}/home",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONPATH": str(ROOT),
        }
        from deployments.artifacts.manifest import manifest_of

        for name, folder in make_models(Path(scratch) / "models").items():
            given = {"name": name, "folder": str(folder), "digest": manifest_of(folder).digest}
            codes = {"replica": REPLICA, "mlflow": MLFLOW, "alone": ALONE[name]}
            turn(REPLICA.format(**given), environment)  # fills the cache
            seen: dict[str, list[tuple[float, float]]] = {kind: [] for kind in codes}
            for _ in range(options.turns):
                for kind, code in codes.items():
                    seen[kind].append(turn(code.format(**given), environment))
            results[name] = {
                kind: {
                    "seconds": round(statistics.median(s for s, _ in pairs), 2),
                    "megabytes": round(statistics.median(m for _, m in pairs)),
                }
                for kind, pairs in seen.items()
            }
            ratio = results[name]["replica"]["seconds"] / results[name]["mlflow"]["seconds"]
            results[name]["replica / mlflow"] = round(ratio, 2)
            print(name, json.dumps(results[name]))
    options.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
