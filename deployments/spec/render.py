"""From a configuration to what Ray Serve deploys: one edge application and one application per model version.

Aliases are resolved to version numbers here, once, so that what is deployed is written down. The result is the
same for the same input: no times, no random names.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, count

from deployments.inference.inputs import Input, ParamInput
from deployments.inference.table import EndpointRoute, Table, VariantRoute, write_table
from deployments.registry.version import ModelVersion
from deployments.spec.applications import Json, application_of, version_args
from deployments.spec.args import EdgeArgs
from deployments.spec.model import Endpoint, Spec
from deployments.spec.requests import (
    Artifact,
    Example,
    Requests,
    agreed,
    example_of_model,
    requests_of,
    with_example,
)

EDGE_APPLICATION = "edge"


def render(
    spec: Spec,
    resolve: Callable[[str], ModelVersion],
    *,
    port: int = 8000,
    production: bool = False,
    example_of: Example | None = None,
    artifact_of: Artifact | None = None,
) -> Json:
    """The document of `serve_config.yaml`.

    Args:
        spec: What was written.
        resolve: From a model URI to its version in the registry.
        port: Where HTTP is served.
        production: Whether only models whose files are known may be served.
        example_of: From a version to the row that its model was saved with, for the API document.
        artifact_of: From a version to its files, verified; for preprocess stages that come with it.

    Raises:
        SpecError: A stage is unknown or its parameters do not fit; nothing says what requests for a model look
            like; the variants of an endpoint take different ones.
    """
    applications: dict[str, Json] = {}
    routes: dict[str, EndpointRoute] = {}
    for name, endpoint in spec.endpoints.items():
        variants: dict[str, VariantRoute] = {}
        asked: dict[str, Requests] = {}
        versions = {each: resolve(variant.model) for each, variant in endpoint.variants.items()}
        for each, variant in endpoint.variants.items():
            version = versions[each]
            args = version_args(spec, endpoint, variant, version, production=production)
            application = application_of(endpoint, variant, args)
            _name(application, applications, name, each)
            variants[each] = _variant_route(endpoint, version, application)
            asked[each] = requests_of(endpoint.stages.preprocess, variant, version, artifact_of)
        taken = agreed(name, asked)
        first = next(iter(versions.values()))
        row = example_of_model(endpoint, taken, first, example_of)
        inputs = with_example(name, taken.inputs, row)
        routes[name] = _route(name, endpoint, variants, inputs, taken.params)
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [_edge(spec, Table(routes)), *applications.values()],
    }


def _name(application: Json, taken: dict[str, Json], endpoint: str, variant: str) -> None:
    """Name an application after its version, and after who asked where another runs that version otherwise.

    One that is exactly the same is shared. The number comes last: names joined by hyphens may meet.
    """
    short = application["name"]
    asked = (short, f"{short}-{endpoint}", f"{short}-{endpoint}-{variant}")
    for name in chain(asked, (f"{asked[-1]}-{number}" for number in count(2))):
        application["name"] = name
        if taken.setdefault(name, application) == application:
            return


def _variant_route(endpoint: Endpoint, version: ModelVersion, application: Json) -> VariantRoute:
    return VariantRoute(
        model=version.name,
        version=version.version,
        application=application["name"],
        deployments=tuple(each["name"] for each in application["deployments"]),
        max_rows=endpoint.batching.max_rows,
        max_in_flight=endpoint.batching.max_in_flight,
        max_queued_rows=endpoint.batching.max_queued_rows,
    )


def _route(
    name: str,
    endpoint: Endpoint,
    variants: dict[str, VariantRoute],
    inputs: tuple[Input, ...],
    params: tuple[ParamInput, ...],
) -> EndpointRoute:
    return EndpointRoute(
        variants=variants,
        split={each: float(weight) for each, weight in endpoint.traffic.split.items()},
        inputs=inputs,
        params=params,
        salt=endpoint.traffic.salt or name,
        unit=tuple(endpoint.traffic.unit),
        deadline_ms=round(endpoint.deadline * 1000),
        max_request_rows=endpoint.limits.max_rows,
        max_body_bytes=endpoint.limits.max_body_bytes,
    )


def _edge(spec: Spec, table: Table) -> Json:
    return {
        "name": EDGE_APPLICATION,
        "route_prefix": "/",
        "import_path": "deployments.app:edge",
        # Serve's access log was a large part of an edge's time in a profile; what a request did is in its answer's headers.
        "logging_config": {"enable_access_log": False},
        "args": EdgeArgs(title=spec.edge.title).model_dump(mode="json"),
        "deployments": [
            {
                "name": "Edge",
                "num_replicas": spec.edge.replicas,
                # The edge's own queues refuse what is too much, with a reason; Serve's would only cut it off.
                "max_ongoing_requests": 10_000,
                "max_surge_percent": 100,
                # One edge at a time is reconfigured; the others answer meanwhile.
                "rolling_update_percentage": 0.34,
                "health_check_period_s": 5.0,
                "health_check_timeout_s": 5.0,
                "ray_actor_options": spec.edge.resources.model_dump(mode="json", exclude_none=True),
                "user_config": write_table(table),
            }
        ],
    }
