"""One model version as a Serve application: its arguments, and a deployment for each stage that does something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployments.registry.version import ModelVersion
from deployments.spec.args import StageArgs, VersionArgs
from deployments.spec.model import Endpoint, Resources, Scaling, Spec, Variant
from deployments.spec.pinning import model_args

Json = dict[str, Any]

POLICY = "deployments.cluster.autoscaling:RowsPolicy"
DRAIN_MARGIN_S = 5.0
"""A replica that goes has the deadline of its last request and this long."""

STUCK_AFTER_AT_LEAST_S = 60.0
STUCK_AFTER_DEADLINES = 10.0
"""A batch that runs for so many deadlines answers nobody any more; short ones are given time for a first call."""

_STAGES = {"preprocess": "Preprocess", "model": "Model", "postprocess": "Postprocess"}
_TOGETHER = "Together"


def deployments_of(args: VersionArgs) -> tuple[str, ...]:
    """The Serve deployments of a model version, in the order in which a batch goes through them.

    A stage that does nothing has no deployment, and costs no hop.
    """
    if args.placement == "together":
        return (_TOGETHER,)
    uses = {"preprocess": args.preprocess.use, "model": "", "postprocess": args.postprocess.use}
    return tuple(name for stage, name in _STAGES.items() if uses[stage] != "none")


def stages_of(deployment: str) -> tuple[str, ...]:
    """The stages that a deployment of a version runs."""
    if deployment == _TOGETHER:
        return tuple(_STAGES)
    return tuple(stage for stage, name in _STAGES.items() if name == deployment)


def version_args(
    spec: Spec, endpoint: Endpoint, variant: Variant, version: ModelVersion, *, production: bool
) -> VersionArgs:
    """What the replicas of a variant's version are told.

    Raises:
        SpecError: Nobody vouches for its files.
    """
    stages = endpoint.stages
    return VersionArgs(
        model=model_args(version, variant.trust, spec.pin, production=production),
        preprocess=StageArgs(use=stages.preprocess.use, params=stages.preprocess.params),
        postprocess=StageArgs(use=stages.postprocess.use, params=stages.postprocess.params),
        placement=stages.placement,
        device=variant.device,
        max_rows=endpoint.batching.max_rows,
        buckets=endpoint.batching.buckets,
        flavors=spec.flavors,
        loader=variant.loader or endpoint.loader,
        load_timeout=endpoint.load_timeout,
        stuck_after=max(STUCK_AFTER_AT_LEAST_S, STUCK_AFTER_DEADLINES * endpoint.deadline),
        signature=None if isinstance(variant.signature, str) else variant.signature,
    )


def application_of(endpoint: Endpoint, variant: Variant, args: VersionArgs) -> Json:
    """The application of a version, named after it."""
    stages = endpoint.stages
    model = variant.resources or endpoint.resources
    given: Mapping[str, tuple[Resources, Scaling | None]] = {
        "Preprocess": (stages.preprocess.resources, stages.preprocess.autoscaling),
        "Model": (model, None),
        "Postprocess": (stages.postprocess.resources, stages.postprocess.autoscaling),
        _TOGETHER: (model, None),
    }
    return {
        "name": f"{args.model.name}-v{args.model.version}",
        "route_prefix": None,
        "import_path": "deployments.app:version",
        "args": _plain(args),
        "deployments": [
            _deployment(each, given[each][0], given[each][1] or endpoint.autoscaling, endpoint)
            for each in deployments_of(args)
        ],
    }


def _plain(args: VersionArgs) -> Json:
    """The arguments without what is left at its default, of which a file to be read would be full."""
    shown = {"placement", "device", "max_rows"}
    kept = args.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return args.model_dump(mode="json", include=shown | kept.keys()) | {
        "model": kept["model"],
        **({"loader": kept["loader"]} if "loader" in kept else {}),
    }


def _deployment(name: str, resources: Resources, scaling: Scaling, endpoint: Endpoint) -> Json:
    return {
        "name": name,
        "max_ongoing_requests": 100,
        # Serve's default stops old replicas before new ones start.
        "max_surge_percent": 100,
        "graceful_shutdown_timeout_s": endpoint.deadline + DRAIN_MARGIN_S,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 5.0,
        "health_check_timeout_s": 5.0,
        "autoscaling_config": {
            "min_replicas": scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "upscale_delay_s": scaling.upscale_delay,
            "downscale_delay_s": scaling.downscale_delay,
            "metrics_interval_s": 1.0,
            "look_back_period_s": 3.0,
            "policy": {
                "policy_function": POLICY,
                "policy_kwargs": {"target_rows": scaling.target_rows},
            },
        },
        "ray_actor_options": resources.model_dump(mode="json", exclude_none=True),
    }
