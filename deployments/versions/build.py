"""Builds the stages that a replica runs. Only what it runs is imported: a replica without the model has no torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deployments.inference.buckets import LengthBuckets
from deployments.inference.devices import choose_device
from deployments.inference.loaders import load
from deployments.inference.stages import Stage
from deployments.inference.stages.build import build_stage
from deployments.spec.args import StageArgs, VersionArgs

log = logging.getLogger(__name__)


def build_stages(
    args: VersionArgs,
    stages: Sequence[str],
    *,
    fetch: Callable[[str, str], Path],
    gpus: Sequence[str],
    cpus: float,
) -> list[tuple[str, Stage]]:
    """The named stages of a version, in order, without those that do nothing.

    Args:
        args: The version.
        stages: Which of preprocess, model and postprocess.
        fetch: From a model's name and version to the folder with its files.
        gpus: The GPUs that the replica was assigned.
        cpus: The processors that it was assigned; the model uses as many threads, at least one.

    Raises:
        SetupError: A stage, the model or the device cannot be had.
    """
    built: list[tuple[str, Stage]] = []
    for name in stages:
        begun = time.perf_counter()
        if name == "model":
            stage = _model(args, fetch, gpus, cpus)
        else:
            given: StageArgs = getattr(args, name)
            if given.use == "none":
                continue
            stage = build_stage(
                name,
                given.use,
                given.params,
                lambda: fetch(args.model.name, args.model.version),
            )
        log.info("built stage %s in %.0f ms", name, (time.perf_counter() - begun) * 1000)
        built.append((name, stage))
    return built


def _model(
    args: VersionArgs, fetch: Callable[[str, str], Path], gpus: Sequence[str], cpus: float
) -> Stage:
    device = choose_device(gpus, args.device, _cuda_available)
    folder = fetch(args.model.name, args.model.version)
    model = load(folder, device=device, threads=max(1, round(cpus)))
    if args.buckets is None:
        return model
    return LengthBuckets(model, mask=args.buckets.mask, rows=args.buckets.rows)


def _cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()
