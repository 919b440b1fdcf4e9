"""The endpoints that an edge serves now: a snapshot that is replaced whole, over pipelines that live on.

A request takes the snapshot once and keeps it. A pipeline (its queue, its connections) belongs to a model
version and stays the same object for as long as any snapshot routes to it, so that shifting traffic costs no
connection and loses no request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from deployments.api.decode import BodyDecoder
from deployments.errors import EndpointNotFound
from deployments.inference.pipeline import Bounds, Pipeline
from deployments.inference.table import EndpointRoute, Table, VariantRoute
from deployments.inference.traffic import Split
from deployments.inference.transport.address import ReplicaAddress

log = logging.getLogger(__name__)


class ReplicaWatch(Protocol):
    """Tells which replicas of a deployment are running, now and whenever that changes."""

    def watch(
        self,
        application: str,
        deployment: str,
        on_change: Callable[[list[ReplicaAddress]], None],
    ) -> None:
        """Begin to follow a deployment."""

    def unwatch(self, application: str, deployment: str) -> None:
        """Stop following it."""


class Variant:
    """A variant of an endpoint, with what every answer of it says."""

    def __init__(self, name: str, route: VariantRoute, pipeline: Pipeline) -> None:
        self.name = name
        self.route = route
        self.pipeline = pipeline
        self.model = {"name": route.model, "version": route.version}
        self.headers = [
            (b"x-penstock-variant", name.encode()),
            (b"x-penstock-model", f"{route.model}/{route.version}".encode()),
        ]


class Endpoint:
    """An endpoint: how to read its requests and who answers them."""

    def __init__(self, name: str, route: EndpointRoute, pipelines: dict[str, Pipeline]) -> None:
        self.name = name
        self.route = route
        self.decoder = BodyDecoder(route.inputs, route.max_request_rows, route.params)
        self.variants = {
            each: Variant(each, variant, pipelines[variant.application])
            for each, variant in route.variants.items()
        }
        self._split = Split(route.split, route.salt)
        self._partial: dict[frozenset[str], Split] = {}

    def choose(self, unit: str) -> Variant:
        """The variant that answers for a unit: the split's, or one that is there if that one is not."""
        variant = self.variants[self._split.choose(unit)]
        if not variant.pipeline.missing():
            return variant
        present = frozenset(n for n, each in self.variants.items() if not each.pipeline.missing())
        if present not in self._partial:
            self._partial[present] = self._split.among(present)
        return self.variants[self._partial[present].choose(unit)]

    def missing(self) -> list[str]:
        """Each variant with traffic that cannot answer now, and the stages that it lacks."""
        return [
            f"{self.name}/{name}: no replica for {', '.join(stages)}"
            for name, variant in self.variants.items()
            if self.route.split.get(name) and (stages := variant.pipeline.missing())
        ]


class Endpoints:
    """All endpoints, and the pipelines of the versions behind them.

    Args:
        watch: Where to learn which replicas are running.
        make_pipeline: Builds the pipeline of a version.
    """

    def __init__(
        self,
        watch: ReplicaWatch,
        make_pipeline: Callable[[Sequence[str], Bounds], Pipeline] = Pipeline,
    ) -> None:
        self._watch = watch
        self._make_pipeline = make_pipeline
        self._pipelines: dict[str, tuple[VariantRoute, Pipeline]] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self.table = Table({})
        self.refused = ""
        """Why the last table that was to be served was not, if so; the one before it goes on."""

    def get(self, name: str) -> Endpoint:
        """The endpoint of a name.

        Raises:
            EndpointNotFound: There is none.
        """
        try:
            return self._endpoints[name]
        except KeyError:
            raise EndpointNotFound("no endpoint has this name") from None

    def missing(self) -> list[str]:
        """Everything with traffic that cannot answer now."""
        return [line for endpoint in self._endpoints.values() for line in endpoint.missing()]

    @property
    def configured(self) -> bool:
        """Whether a table was ever applied."""
        return bool(self._endpoints)

    def apply(self, table: Table) -> None:
        """Serve another table, at once and whole; versions that nobody routes to any more are let go.

        Called on the event loop; awaits nothing.
        """
        wanted = {v.application: v for e in table.endpoints.values() for v in e.variants.values()}
        for application, route in wanted.items():
            known = self._pipelines.get(application)
            if known is None or _runs_otherwise(known[0], route):
                self._replace(application, route)
        pipelines = {
            application: pipeline for application, (_, pipeline) in self._pipelines.items()
        }
        self._endpoints = {
            name: Endpoint(name, route, pipelines) for name, route in table.endpoints.items()
        }
        self.table = table
        self.refused = ""
        for application in self._pipelines.keys() - wanted.keys():
            self._release(application)

    def _replace(self, application: str, route: VariantRoute) -> None:
        if application in self._pipelines:
            self._release(application)
        bounds = Bounds(route.max_rows, route.max_in_flight, route.max_queued_rows)
        pipeline = self._make_pipeline(route.deployments, bounds)
        self._pipelines[application] = (route, pipeline)
        for deployment in route.deployments:
            self._watch.watch(application, deployment, _follow(pipeline, deployment))

    def _release(self, application: str) -> None:
        route, pipeline = self._pipelines.pop(application)
        for deployment in route.deployments:
            self._watch.unwatch(application, deployment)
        pipeline.close()


def _follow(pipeline: Pipeline, deployment: str) -> Callable[[list[ReplicaAddress]], None]:
    return lambda addresses: pipeline.set_replicas(deployment, addresses)


def _runs_otherwise(one: VariantRoute, other: VariantRoute) -> bool:
    """Whether a version's stages or bounds differ, so that it needs a pipeline of its own."""
    return (one.deployments, one.max_rows, one.max_in_flight, one.max_queued_rows) != (
        other.deployments,
        other.max_rows,
        other.max_in_flight,
        other.max_queued_rows,
    )
