"""A tiny Serve application that stands in for Penstock's own, so that the cluster is tested by itself."""

import os

from ray import serve
from ray.serve import Application
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

CPUS = {"num_cpus": 0.1}


@serve.deployment(num_replicas=2, ray_actor_options=CPUS, max_ongoing_requests=100)
class Edge:
    async def __call__(self, request: Request) -> Response:
        return PlainTextResponse("ready")


@serve.deployment(num_replicas=1, ray_actor_options=CPUS)
class Broken:
    def __init__(self) -> None:
        raise RuntimeError("the weights are gone")


@serve.deployment(num_replicas=2, ray_actor_options=CPUS)
class Addressed:
    def record_replica_metadata(self) -> dict[str, object]:
        return {"port": os.getpid(), "token": "secret"}


@serve.deployment(
    ray_actor_options=CPUS,
    autoscaling_config={
        "min_replicas": 1,
        "max_replicas": 5,
        "upscale_delay_s": 1,
        "downscale_delay_s": 2,
        "metrics_interval_s": 0.5,
        "look_back_period_s": 2,
        "policy": {
            "policy_function": "deployments.cluster.autoscaling:RowsPolicy",
            "policy_kwargs": {"target_rows": 10},
        },
    },
)
class Busy:
    """Says that as many rows wait as the file at PENSTOCK_TEST_BACKLOG names."""

    def __init__(self, backlog: str) -> None:
        self._backlog = backlog

    def record_autoscaling_stats(self) -> dict[str, float]:
        with open(self._backlog) as file:  # noqa: PTH123
            return {"rows": 1, "backlog": float(file.read())}


def edge(args: dict[str, str]) -> Application:
    return Edge.bind()


def broken(args: dict[str, str]) -> Application:
    return Broken.bind()


def addressed(args: dict[str, str]) -> Application:
    return Addressed.bind()


def busy(args: dict[str, str]) -> Application:
    return Busy.bind(args["backlog"])


def middlewares() -> list[object]:
    return []
