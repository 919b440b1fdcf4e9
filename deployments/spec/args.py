"""The arguments of the two import paths in `serve_config.yaml`: what Serve passes to `deployments.app`.

A changed argument makes Serve restart every deployment of its application, so what may change while serving
(traffic, replicas, resources) is not here but in `user_config` and the deployments' own options.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.inference.loaders.options import FLAVORS, Flavor, LoadOptions, Precision
from deployments.spec.signature import DeclaredSignature


class Strict(BaseModel):
    """Refuses keys that it does not know: Serve itself ignores them silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StageArgs(Strict):
    """A stage and its parameters; for the forms of `use` see `inference.stages`."""

    use: str
    params: dict[str, Any] = {}


class ModelArgs(Strict):
    """One immutable model version.

    Attributes:
        digest: What its files must be, ``sha256:`` and 64 hex digits; without one, what the registry's tag says.
        source: Where the files are, for a version that no registry numbers; else the registry is asked.
        trust: ``none`` loads files that nobody vouched for; never in production.
    """

    name: str
    version: str
    digest: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    source: str | None = None
    trust: Literal["digest", "none"] = "digest"


class LoaderArgs(Strict):
    """How a model is loaded; see `deployments.inference.loaders.options.LoadOptions`."""

    flavor: Flavor | None = None
    weights: str | None = Field(
        default=None, description="A weights file in the artifact that `module` is filled with"
    )
    module: str | None = Field(default=None, description="package.module:callable")
    method: str | None = Field(
        default=None, description="What an estimator is asked, e.g. predict_proba"
    )
    precision: Precision = "float32"
    compile: bool = False
    pin_memory: bool = False

    def options(self, allow: tuple[str, ...]) -> LoadOptions:
        """The same as the loaders take it."""
        return LoadOptions(allow=allow, **self.model_dump())


class BucketArgs(Strict):
    """Rows of like length run together, `rows` at a time; `mask` is the tensor whose row sums are the lengths."""

    mask: str = "attention_mask"
    rows: int = Field(default=8, ge=1)


class VersionArgs(Strict):
    """One model version as it is to run.

    Attributes:
        device: ``auto`` is the GPU that the replica was assigned, and the CPU if it was assigned none.
        max_rows: The most rows in a batch.
        flavors: The flavours that may be loaded.
        load_timeout: Seconds that fetching, loading and warming up may take.
        stuck_after: Seconds after which a batch that still runs is given up, and its replica with it.
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
    flavors: tuple[Flavor, ...] = FLAVORS
    loader: LoaderArgs = LoaderArgs()
    load_timeout: float = Field(default=300.0, gt=0)
    stuck_after: float = Field(default=60.0, gt=0)
    signature: DeclaredSignature | None = None


class EdgeArgs(Strict):
    """The edge as it is to run; it never changes between releases."""

    title: str = "Penstock"
