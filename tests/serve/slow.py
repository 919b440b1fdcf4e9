"""A model that takes its time without taking a processor, and that a row can break; registered as anybody's would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SECONDS_A_BATCH = 0.1


def register(tracking_uri: str, artifacts: Path) -> None:
    """Register `slow` version 1: float32 [n, 2] in, the same doubled out, after a tenth of a second."""
    import mlflow
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    # Defined in here so that it is pickled whole, and not as the name of a class that a replica cannot import.
    class Slow(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(2.0))
            self.seconds = SECONDS_A_BATCH

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            import time

            if bool(
                (x == 666).any()
            ):  # what torch says when a row makes a kernel fail; there is no GPU here
                raise RuntimeError("CUDA error: device-side assert triggered")
            time.sleep(self.seconds)
            return x * self.factor

    number = np.dtype(np.float32)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    try:
        experiment = mlflow.create_experiment("slow", artifacts.resolve().as_uri())
        with mlflow.start_run(experiment_id=experiment):
            mlflow.pytorch.log_model(
                Slow(),
                name="slow",
                registered_model_name="slow",
                serialization_format="pickle",
                signature=ModelSignature(
                    inputs=Schema([TensorSpec(number, (-1, 2), "x")]),
                    outputs=Schema([TensorSpec(number, (-1, 2), "y")]),
                ),
                pip_requirements=["torch"],
            )
    finally:
        mlflow.set_tracking_uri(before)
