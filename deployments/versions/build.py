"""Builds the stages that a replica runs. Only what it runs is imported: a replica without the model has no torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from deployments.errors import LoadError
from deployments.inference import mlmodel
from deployments.inference.buckets import LengthBuckets
from deployments.inference.devices import choose_device
from deployments.inference.example import example, made_up
from deployments.inference.loaders import load
from deployments.inference.mlmodel import Signature
from deployments.inference.stages import Stage
from deployments.inference.stages.build import build_stage
from deployments.inference.tensors import Tensors, rows_of
from deployments.spec.args import ModelArgs, VersionArgs
from deployments.versions.warm_up import self_check, try_out, warm_up, what_is_wrong

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """What a replica runs.

    Attributes:
        stages: By name, in order, without those that do nothing.
        self_check: Asks the model for its example and raises when the answer is no good; None without a model,
            and for one whose example was made up and not answered.
    """

    stages: list[tuple[str, Stage]]
    self_check: Callable[[], None] | None = None


class Builder:
    """Builds the stages of one version.

    Args:
        args: The version.
        fetch: From a model to the folder with its verified files.
        gpus: The GPUs that the replica was assigned.
        cpus: The processors that it was assigned; the model uses as many threads, at least one.
    """

    def __init__(
        self,
        args: VersionArgs,
        *,
        fetch: Callable[[ModelArgs], Path],
        gpus: Sequence[str],
        cpus: float,
    ) -> None:
        self._args = args
        self._fetch = cache(lambda: fetch(args.model))
        self._gpus = gpus
        self._threads = max(1, round(cpus))

    def build(self, stages: Sequence[str]) -> Built:
        """The named ones of preprocess, model and postprocess, ready for their first batch.

        Raises:
            SetupError: A stage, the model's files, the model or the device cannot be had, or the model does not
                answer its own example as it should.
        """
        built: list[tuple[str, Stage]] = []
        check: Callable[[], None] | None = None
        answer: Tensors = {}
        for name in stages:
            begun = time.perf_counter()
            if name == "model":
                stage, check, answer = self._model()
            elif (given := getattr(self._args, name)).use == "none":
                continue
            else:
                stage = build_stage(name, given.use, given.params, self._fetch)
                if answer:  # made up, it would prove nothing; but here is a real one
                    try_out(name, stage, answer)
            log.info("built stage %s in %.0f ms", name, (time.perf_counter() - begun) * 1000)
            built.append((name, stage))
        return Built(built, check)

    def _model(self) -> tuple[Stage, Callable[[], None] | None, Tensors]:
        args = self._args
        device = choose_device(self._gpus, args.device, _cuda_available)
        folder = self._fetch()
        loaded = load(
            folder,
            device=device,
            threads=self._threads,
            options=args.loader.options(args.flavors),
            signature=args.signature.signature() if args.signature else None,
        )
        model: Stage = loaded
        if args.buckets is not None:
            model = LengthBuckets(loaded, mask=args.buckets.mask, rows=args.buckets.rows)
        signature = loaded.signature
        saved = _saved_example(folder, signature)
        rows = saved.rows or (made_up(signature, 1) if signature else {})
        if not rows:
            log.warning("there is no example and no signature to warm the model up with")
            return model, None, {}
        answer = warm_up(
            model,
            rows,
            max_rows=args.max_rows,
            signature=signature,
            registered=saved.rows is not None,
        )
        if saved.misfit and not answer:
            raise LoadError(
                "The model's signature is wrong: its own input example does not fit it, and the model cannot "
                "take what it describes. Log the model with the right one, or declare `signature:` on the variant."
            )
        sound = answer and not what_is_wrong(answer, rows_of(answer), signature, finite=True)
        return model, self_check(model, rows, signature) if sound else None, answer


@dataclass(frozen=True)
class _Saved:
    """The rows that a model was logged with, if there are any that fit; `misfit` says that there are others."""

    rows: Tensors | None = None
    misfit: bool = False


def _saved_example(folder: Path, signature: Signature | None) -> _Saved:
    """By the signature that counts; a folder of bare weights has no example."""
    if not (folder / mlmodel.FILE_NAME).exists():
        return _Saved()
    file = replace(mlmodel.read(folder), signature=signature)
    rows = example(folder, file)
    return _Saved(rows, misfit=rows is None and bool(file.input_example))


def _cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()
