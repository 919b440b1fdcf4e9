"""The configuration that an engineer writes, as Pydantic models: the words are those of the README.

Unknown keys are refused everywhere. Defaults are what a team would want in production, and are documented here
once.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from deployments.inference.loaders.options import FLAVORS, Flavor
from deployments.inference.stages import BUILT_IN
from deployments.inference.stages.shipped import is_path
from deployments.spec.args import BucketArgs, LoaderArgs, StageArgs, Strict
from deployments.spec.signature import SignatureChoice

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_NAME = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"


def parse_duration(value: Any) -> float:
    """Seconds in ``250ms``, ``2s``, ``1.5m`` or a plain number of seconds.

    Raises:
        ValueError: It is none of these, or not above zero.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    seconds = float(found["number"]) * _SECONDS[found["unit"]] if found else 0.0
    if seconds <= 0:
        raise ValueError("a duration above zero is written like 250ms, 2s or 1m")
    return seconds


Duration = Annotated[float, BeforeValidator(parse_duration)]
Name = Annotated[str, Field(pattern=_NAME, description="Lower-case letters, digits, - and _")]
Percent = Annotated[float, Field(ge=0, le=100)]


class Resources(Strict):
    """What one replica is given. Fractions are bookkeeping: two replicas at 0.5 GPU share one."""

    num_cpus: Annotated[float, Field(ge=0)] = 1.0
    num_gpus: Annotated[float, Field(ge=0)] = 0.0
    accelerator_type: str | None = None
    memory: PositiveInt | None = Field(default=None, description="Bytes")

    @field_validator("num_gpus")
    @classmethod
    def _whole_above_one(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("more than one GPU must be a whole number of them")
        return value


class Variant(Strict):
    """A candidate behind an endpoint: a model version, by alias, number, or where its files are."""

    model: str = Field(
        description="models:/name@alias, models:/name/7, models:/name/latest, runs:/id/path, a folder or s3://"
    )
    trust: Literal["digest", "none"] = Field(
        default="digest",
        description="digest: only files that are the registered ones; none: whatever is there, never in production",
    )
    loader: LoaderArgs | None = Field(default=None, description="The endpoint's, if not given")
    resources: Resources | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    signature: SignatureChoice = "required"


class Traffic(Strict):
    """Who answers: percent by variant, to 0.01."""

    split: dict[str, Percent]
    unit: tuple[Literal["body", "header"], ...] = ("body", "header")
    salt: str | None = Field(default=None, description="The endpoint's name, if not given")

    @field_validator("split")
    @classmethod
    def _whole(cls, split: dict[str, float]) -> dict[str, float]:
        total = sum(split.values())
        if abs(total - 100) > 1e-6:  # noqa: PLR2004
            raise ValueError(f"the weights sum to {total:g}; they must sum to 100")
        if any(abs(weight * 100 - round(weight * 100)) > 1e-6 for weight in split.values()):  # noqa: PLR2004
            raise ValueError("weights are exact to 0.01")
        return split


class Scaling(Strict):
    """How many replicas a deployment has, by the rows that are queued and running."""

    min_replicas: PositiveInt = 1
    max_replicas: PositiveInt = 1
    target_rows: PositiveFloat = Field(
        default=32, description="Rows queued and running per replica"
    )
    upscale_delay: Duration = 3.0
    downscale_delay: Duration = 60.0

    @model_validator(mode="after")
    def _ordered(self) -> Scaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas is above max_replicas")
        return self


class Stage(StageArgs):
    """A preprocess or postprocess stage: what it does, and what its replicas are given."""

    use: str = "none"
    resources: Resources = Resources(num_cpus=0.5)
    autoscaling: Scaling | None = Field(default=None, description="The endpoint's, if not given")

    @field_validator("use")
    @classmethod
    def _known(cls, use: str) -> str:
        if use not in BUILT_IN and not is_path(use):
            raise ValueError(
                f"no stage is called {use!r}; there are {', '.join(BUILT_IN)}, "
                "and package.module:Class or artifact:module:Class for your own"
            )
        return use


class Stages(Strict):
    """The three stages. `separate` gives each its own autoscaled replicas; `together` puts all in one."""

    preprocess: Stage = Stage()
    postprocess: Stage = Stage()
    placement: Literal["separate", "together"] = "separate"


class Batching(Strict):
    """How large batches get and how many are under way."""

    max_rows: PositiveInt = Field(default=64, description="Rows in a batch")
    max_in_flight: PositiveInt = Field(default=2, description="Batches per replica and edge")
    max_queued_rows: PositiveInt = Field(
        default=4096, description="Rows an edge lets wait; then 429"
    )
    buckets: BucketArgs | None = Field(
        default=None, description="For padded sequences: rows of like length run together"
    )


class Limits(Strict):
    """What one request may bring."""

    max_rows: PositiveInt = 1024
    max_body_bytes: PositiveInt = 8 * 1024 * 1024


class Endpoint(Strict):
    """What a client calls."""

    variants: dict[Name, Variant] = Field(min_length=1)
    traffic: Traffic
    stages: Stages = Stages()
    resources: Resources = Resources()
    loader: LoaderArgs = LoaderArgs()
    load_timeout: Duration = Field(
        default=300.0, description="For fetching, loading and warming up a replica's model"
    )
    batching: Batching = Batching()
    autoscaling: Scaling = Scaling()
    limits: Limits = Limits()
    deadline: Duration = 2.0
    example: Any = Field(
        default=None, description="One row for the API document, if not the model's"
    )

    @model_validator(mode="after")
    def _known_variants(self) -> Endpoint:
        unknown = self.traffic.split.keys() - self.variants.keys()
        if unknown:
            raise ValueError(
                f"traffic.split names {', '.join(sorted(unknown))}, which variants does not have"
            )
        return self


class Edge(Strict):
    """The HTTP front: at least two replicas, so that one can be reconfigured while the other answers."""

    replicas: Annotated[int, Field(ge=2)] = 2
    resources: Resources = Resources(num_cpus=0.5)
    title: str = "Penstock"


class Spec(Strict):
    """A whole configuration."""

    edge: Edge = Edge()
    pin: Literal["digest", "version"] = Field(
        default="digest",
        description="What serve_config.yaml holds a model to: its files' digest, or its version number alone",
    )
    flavors: tuple[Flavor, ...] = Field(
        default=FLAVORS, min_length=1, description="The only flavours that may be loaded"
    )
    endpoints: dict[Name, Endpoint] = Field(min_length=1)
