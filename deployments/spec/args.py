"""The arguments of the two import paths in `serve_config.yaml`: what Serve passes to `deployments.app`.

A changed argument makes Serve restart every deployment of its application, so what may change while serving
(traffic, replicas, resources) is not here but in `user_config` and the deployments' own options.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.spec.signature import DeclaredSignature


class Strict(BaseModel):
    """Refuses keys that it does not know: Serve itself ignores them silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StageArgs(Strict):
    """A stage and its parameters; for the forms of `use` see `inference.stages`."""

    use: str
    params: dict[str, Any] = {}


class ModelArgs(Strict):
    """One immutable version in the registry."""

    name: str
    version: str


class BucketArgs(Strict):
    """Rows of like length run together, `rows` at a time; `mask` is the tensor whose row sums are the lengths."""

    mask: str = "attention_mask"
    rows: int = Field(default=8, ge=1)


class VersionArgs(Strict):
    """One model version as it is to run.

    Attributes:
        device: ``auto`` is the GPU that the replica was assigned, and the CPU if it was assigned none.
        max_rows: The most rows in a batch.
        buckets: How rows of different lengths are kept apart, for models that take padded sequences.
        signature: Takes the place of the artifact's.
    """

    model: ModelArgs
    preprocess: StageArgs = StageArgs(use="none")
    postprocess: StageArgs = StageArgs(use="none")
    placement: Literal["separate", "together"] = "separate"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_rows: int = Field(default=64, ge=1)
    buckets: BucketArgs | None = None
    signature: DeclaredSignature | None = None


class EdgeArgs(Strict):
    """The edge as it is to run; it never changes between releases."""

    title: str = "Penstock"
