"""The `pooled` postprocess stage: a transformer's token vectors become one vector per text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deployments.inference.tensors import Tensors


class Pooled:
    """Mean over the tokens that the mask admits, then length 1, as sentence-transformers does it.

    Takes `token_embeddings`, float [rows, length, size], and `attention_mask`, int [rows, length]; answers
    `embedding`, float32 [rows, size], each of Euclidean length 1.
    """

    needs_artifact = False

    def __init__(self, params: Mapping[str, Any], artifact: Path | None) -> None:
        self._tokens = params.get("tokens", "token_embeddings")
        self._mask = params.get("mask", "attention_mask")

    def __call__(self, tensors: Tensors) -> Tensors:
        mask = tensors[self._mask].astype(np.float32)
        sums = np.einsum("rls,rl->rs", tensors[self._tokens], mask)
        mean = sums / np.maximum(mask.sum(axis=1, keepdims=True), np.float32(1e-9))
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        return {"embedding": (mean / np.maximum(length, np.float32(1e-12))).astype(np.float32)}
