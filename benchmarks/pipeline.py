"""The two models with their pre- and postprocessing, as every server of the benchmark runs them.

One module, so that no server wins by computing less: each imports it (through ``PYTHONPATH``) and adds only
its own way of moving requests. It needs NumPy and torch, and tokenizers for sentences; nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

Rows = dict[str, np.ndarray]
"""Name to array; all arrays have one row per input."""

GREY_LEVELS = 16.0


class Pipeline(Protocol):
    """Three stages that see batches, and the two helpers that a batching server needs."""

    def decode(self, inputs: Sequence[Any]) -> Rows: ...

    def join(self, parts: Sequence[Rows]) -> Rows: ...

    def infer(self, rows: Rows) -> Rows: ...

    def encode(self, outputs: Rows) -> list[dict[str, Any]]: ...


class ExportedModel:
    """A torch exported program, called with named arrays.

    An exported program remembers whether its inputs were positional or keywords when it was exported and
    refuses the other way; its call signature says which.
    """

    def __init__(self, path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        program = torch.export.load(path)
        positional = program.call_spec.in_spec.children()[0]
        self._by_position = len(positional.children()) > 0
        self._module = program.module()
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)

    def __call__(self, rows: Rows) -> Rows:
        tensors = {name: torch.from_numpy(rows[name]) for name in self._inputs}
        with torch.inference_mode():
            answer = (
                self._module(*tensors.values()) if self._by_position else self._module(**tensors)
            )
        if not isinstance(answer, dict):
            values = answer if isinstance(answer, (tuple, list)) else (answer,)
            answer = dict(zip(self._outputs, values, strict=False))
        return {name: answer[name].numpy() for name in self._outputs}


class DigitsPipeline:
    """Grey values 0..16 as 8x8 lists in, a label and ten probabilities out."""

    def __init__(self, artifact: Path) -> None:
        self._model = ExportedModel(model_file(artifact), ["image"], ["logits"])

    def decode(self, inputs: Sequence[Any]) -> Rows:
        """Lists or arrays of shape [n, 8, 8] to ``image``, float32 in 0..1."""
        return {"image": np.asarray(inputs, dtype=np.float32) / np.float32(GREY_LEVELS)}

    def join(self, parts: Sequence[Rows]) -> Rows:
        return {"image": np.concatenate([part["image"] for part in parts])}

    def infer(self, rows: Rows) -> Rows:
        """``image`` [n, 8, 8] to ``logits`` [n, 10]."""
        return self._model(rows)

    def encode(self, outputs: Rows) -> list[dict[str, Any]]:
        logits = outputs["logits"]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        labels = probabilities.argmax(axis=1).tolist()
        return [
            {"label": label, "probabilities": row}
            for label, row in zip(labels, probabilities.tolist(), strict=True)
        ]


class SentencesPipeline:
    """Text in, a mean-pooled embedding of length one with 384 numbers out.

    The tokenizer that travels with the model pads to the longest sentence of a batch, not to a fixed length.
    """

    def __init__(self, artifact: Path) -> None:
        from tokenizers import Tokenizer  # late: not needed, nor always there, for digits

        self._model = ExportedModel(
            model_file(artifact), ["input_ids", "attention_mask"], ["token_embeddings"]
        )
        self._tokenizer = Tokenizer.from_file(str(find(artifact, "tokenizer.json")))

    def decode(self, inputs: Sequence[str]) -> Rows:
        """Texts to ``input_ids`` and ``attention_mask``, int64 [n, longest]."""
        encodings = self._tokenizer.encode_batch(list(inputs))
        return {
            "input_ids": np.array([each.ids for each in encodings], dtype=np.int64),
            "attention_mask": np.array([each.attention_mask for each in encodings], dtype=np.int64),
        }

    def join(self, parts: Sequence[Rows]) -> Rows:
        """One batch, padded with zeros (which the mask excludes) to its longest row."""
        longest = max(part["input_ids"].shape[1] for part in parts)
        return {
            name: np.concatenate(
                [np.pad(part[name], ((0, 0), (0, longest - part[name].shape[1]))) for part in parts]
            )
            for name in ("input_ids", "attention_mask")
        }

    def infer(self, rows: Rows) -> Rows:
        """Tokens to ``token_embeddings`` [n, longest, 384]; the mask travels along for pooling."""
        return {**self._model(rows), "attention_mask": rows["attention_mask"]}

    def encode(self, outputs: Rows) -> list[dict[str, Any]]:
        mask = outputs["attention_mask"][:, :, None].astype(np.float32)
        summed = (outputs["token_embeddings"] * mask).sum(axis=1)
        mean = summed / np.maximum(mask.sum(axis=1), 1e-9)
        unit = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        return [{"embedding": row} for row in unit.tolist()]


def split(rows: Rows, counts: Sequence[int]) -> list[Rows]:
    """The opposite of joining: consecutive groups of `counts` rows, as views."""
    ends = np.cumsum(counts)
    return [
        {name: array[end - count : end] for name, array in rows.items()}
        for end, count in zip(ends, counts, strict=True)
    ]


def predict(pipeline: Pipeline, inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """All three stages in a row."""
    return pipeline.encode(pipeline.infer(pipeline.decode(inputs)))


def find(artifact: Path, name: str) -> Path:
    """The one file called `name` in a model version's artifact folder."""
    return next(iter(sorted(artifact.rglob(name))))


def model_file(artifact: Path) -> Path:
    """The exported program in a model version's artifact folder."""
    return next(iter(sorted(artifact.rglob("*.pt2"))))


def model_name() -> str:
    """Which model this process serves: ``digits`` or ``sentences``."""
    return os.environ["BENCH_MODEL"]


def port() -> int:
    """Where this process listens, on loopback."""
    return int(os.environ["BENCH_PORT"])


def open_pipeline(model: str, artifact: Path) -> Pipeline:
    """The pipeline of `model`, its files read from the artifact folder."""
    return DigitsPipeline(artifact) if model == "digits" else SentencesPipeline(artifact)


def load() -> Pipeline:
    """The pipeline that the environment names: model, artifact folder and torch threads."""
    torch.set_num_threads(int(os.environ["BENCH_THREADS"]))
    return open_pipeline(model_name(), Path(os.environ["BENCH_ARTIFACT"]))
