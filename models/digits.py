"""Trains two small models on handwritten digits and registers both: what `make run` serves first.

    python models/digits.py

Scikit-learn brings 1,797 digits of 8x8 grey values with it, so nothing is downloaded. Two candidates learn
from the same 1,437 of them and are judged on the same 360: a perceptron, which becomes `digits` version 1
with the alias `champion`, and a convolutional net, version 2, `challenger`. Run again, the script does
nothing; `--force` trains anew and moves the aliases to the new versions.

This is a script and no part of the server: it knows MLflow, and of Penstock two names of tags. Any model
that is registered the way `register` does it can be served the same way.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

NAME = "digits"
SEED = 0
TEST_IMAGES = 360
BRIGHTEST = 16  # scikit-learn's grey values run from 0 to 16

# --------------------------------------------------------------------------------------------------------
# The data. Tests and benchmarks read it through `load_split` too, so that "the test images" are the same
# 360 everywhere and the accuracy measured over HTTP can be held against the registered one.


class Split(NamedTuple):
    """Images are uint8 [n, 8, 8], grey values 0..16 as a client posts them; labels are int64 [n]."""

    train_images: np.ndarray[Any, np.dtype[np.uint8]]
    train_labels: np.ndarray[Any, np.dtype[np.int64]]
    test_images: np.ndarray[Any, np.dtype[np.uint8]]
    test_labels: np.ndarray[Any, np.dtype[np.int64]]


def load_split(seed: int = SEED) -> Split:
    """1,437 digits to learn from and 360 to be judged on, every digit equally frequent in both."""
    digits = load_digits()
    train_images, test_images, train_labels, test_labels = train_test_split(
        digits.images.astype(np.uint8),
        digits.target.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=digits.target,
        random_state=seed,
    )
    return Split(train_images, train_labels, test_images, test_labels)


def scaled(images: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the models take: float32 [n, 8, 8] in 0..1. When serving, the stage `images` does this."""
    return images.astype(np.float32) / np.float32(BRIGHTEST)


# --------------------------------------------------------------------------------------------------------
# The two candidates. Both take float32 [n, 8, 8] and give float32 [n, 10], one logit for each digit.


def perceptron() -> nn.Module:
    """One hidden layer: 4,810 numbers, some 25 microseconds a call."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def convolutional() -> nn.Module:
    """Two convolutions and two layers on top: 38,282 numbers, and a third of the perceptron's mistakes."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(64, 10),
    )


class Candidate(NamedTuple):
    """A model to train: how it is built, for how long, and how good it must be to be registered."""

    title: str
    alias: str
    build: Callable[[], nn.Module]
    epochs: int
    shifts: bool
    required: float


CANDIDATES = (
    Candidate("MLP", "champion", perceptron, epochs=40, shifts=False, required=0.95),
    Candidate("CNN", "challenger", convolutional, epochs=20, shifts=True, required=0.98),
)


# --------------------------------------------------------------------------------------------------------
# Training: the same seed, one thread, so the same model on the same machine every time.


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """The batch moved by up to one pixel each way: a digit is the same digit a little to the left."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    down, right = torch.randint(0, 3, (2,), generator=generator).tolist()
    return padded[:, down : down + 8, right : right + 8]


def train(candidate: Candidate, split: Split, seed: int = SEED) -> nn.Module:
    """The candidate, trained, in evaluation mode."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(scaled(split.train_images))
    labels = torch.from_numpy(split.train_labels)
    model = candidate.build().train()
    batches_per_epoch = -(-len(images) // 64)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=6e-3, total_steps=candidate.epochs * batches_per_epoch
    )
    for _ in range(candidate.epochs):
        for rows in torch.randperm(len(images), generator=generator).split(64):  # type: ignore[no-untyped-call]
            batch = shifted(images[rows], generator) if candidate.shifts else images[rows]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model.eval()


def accuracy(model: nn.Module, split: Split) -> float:
    """The share of the test images that the model names rightly, 0..1."""
    with torch.inference_mode():
        answers = model(torch.from_numpy(scaled(split.test_images))).argmax(dim=1).numpy()
    return float((answers == split.test_labels).mean())


def judge(candidate: Candidate, reached: float) -> None:
    """Ends the script when the candidate is not good enough to be registered."""
    if reached < candidate.required:
        sys.exit(
            f"The {candidate.title} names {reached:.1%} of the test digits rightly; "
            f"at least {candidate.required:.0%} is required, so nothing of it was registered."
        )


# --------------------------------------------------------------------------------------------------------
# Registering. `pt2` stores the computation itself, so that no class has to be importable where the model is
# served. MLflow marks each -1 of the signature as a dynamic dimension, and torch.export then makes a
# dimension fixed if the example has size 1 in it: that is why the example is two images and not one.


def signature() -> Any:
    """One tensor in, one tensor out, both named, with any number of rows."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    number = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(number, (-1, 8, 8), "image")]),
        outputs=Schema([TensorSpec(number, (-1, 10), "logits")]),
    )


def file_tags(model_id: str) -> dict[str, str]:
    """The tags by which whoever serves a version knows its files, before any of them is loaded.

    The manifest is what `sha256sum` prints for each file, sorted by path, and the digest its own SHA-256.
    """
    import mlflow

    place = mlflow.get_logged_model(model_id).artifact_location
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=place, dst_path=scratch))
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        manifest = "".join(
            f"{hashlib.sha256(files[path].read_bytes()).hexdigest()}  {path}\n"
            for path in sorted(files, key=str.encode)
        )
    digest = hashlib.sha256(manifest.encode()).hexdigest()
    return {"penstock.digest": f"sha256:{digest}", "penstock.manifest": manifest}


def register(candidate: Candidate, model: nn.Module, split: Split, reached: float) -> str:
    """Logs the model in a run of its own, registers it and points its alias there.

    Returns:
        The number of the new version.
    """
    import mlflow

    with mlflow.start_run(run_name=candidate.title):
        mlflow.log_params({"epochs": candidate.epochs, "shifts": candidate.shifts, "seed": SEED})
        logged = mlflow.pytorch.log_model(
            model,
            name=candidate.title.lower(),
            serialization_format="pt2",
            signature=signature(),
            input_example=scaled(split.test_images[:2]),
            # Stated, since MLflow would otherwise load the model in a second process to find out.
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", "numpy"],
        )
        mlflow.log_metric("test_accuracy", reached, model_id=logged.model_id)
        client = mlflow.MlflowClient()
        version = client.create_model_version(
            NAME,
            source=logged.model_uri,
            run_id=mlflow.active_run().info.run_id,
            model_id=logged.model_id,
            tags={
                "test_accuracy": f"{reached:.4f}",
                "architecture": candidate.title,
                **file_tags(logged.model_id),
            },
        )
        client.set_registered_model_alias(NAME, candidate.alias, version.version)
    return str(version.version)


# --------------------------------------------------------------------------------------------------------
# The script.


def hush() -> None:
    """Leaves the terminal to this script's own lines: no telemetry, no notices about migrations."""
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
        ("GIT_PYTHON_REFRESH", "quiet"),
    ):
        os.environ.setdefault(name, value)  # noqa: TID251 - a script, not the server
    warnings.filterwarnings("ignore", module=r"mlflow|torch|alembic|sqlalchemy")
    import mlflow  # noqa: F401 - it sets up its loggers when imported, so they are quietened after

    for name in ("mlflow", "alembic", "torch"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def connect(tracking_uri: str, artifacts: Path) -> None:
    """Makes the registry, if it is not there, and the experiment whose artifacts go to `artifacts`."""
    import mlflow

    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(tracking_uri)
    if mlflow.get_experiment_by_name(NAME) is None:
        # A server stores artifacts where it was told to; only with a database is the place ours to choose.
        served = tracking_uri.startswith("http")
        mlflow.create_experiment(NAME, None if served else artifacts.resolve().as_uri())
    mlflow.set_experiment(NAME)


def registered_aliases() -> dict[str, str]:
    """Alias to version of what is registered already; makes the registered model when there is none."""
    import mlflow

    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name='{NAME}'"):
        client.create_registered_model(NAME, description="Handwritten digits, 8x8, 0 to 9.")
    return {str(a): str(v) for a, v in client.get_registered_model(NAME).aliases.items()}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train and register the digit models.")
    parser.add_argument("--tracking-uri", default="sqlite:///.penstock/registry.db")
    parser.add_argument("--artifacts", type=Path, default=Path(".penstock/artifacts"))
    parser.add_argument("--force", action="store_true", help="train anew and move the aliases")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    hush()
    torch.set_num_threads(1)
    connect(options.tracking_uri, options.artifacts)
    existing = registered_aliases()
    wanted = [c for c in CANDIDATES if options.force or c.alias not in existing]
    if not wanted:
        there = ", ".join(f"{c.alias} is version {existing[c.alias]}" for c in CANDIDATES)
        print(f"{NAME} is registered already ({there}); --force trains anew.")
        return
    split = load_split()
    print(
        f"Training on {len(split.train_images)} handwritten digits, testing on {TEST_IMAGES} others."
    )
    for candidate in wanted:
        began = time.perf_counter()
        model = train(candidate, split)
        reached = accuracy(model, split)
        judge(candidate, reached)
        took = time.perf_counter() - began
        version = register(candidate, model, split, reached)
        print(
            f"  {candidate.title}: {reached:.1%} right after {took:.1f} s of training; "
            f"registered as {NAME} version {version}, alias {candidate.alias}."
        )


if __name__ == "__main__":
    main()
