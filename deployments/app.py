"""The two import paths in `serve_config.yaml`, and alone in turning plain classes into Serve deployments.

`edge` is the HTTP ingress and never changes between releases: a changed argument would restart it. `version` is
one immutable model version; a new one is a new application beside the old. No ``from __future__ import
annotations`` here: Serve reads the argument classes from the annotations.
"""

import asyncio
import functools
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray import serve
from ray.serve import Application

from deployments.api.endpoints import Endpoints
from deployments.api.ingress import Front, Ingress
from deployments.cluster.discovery import ReplicaWatch
from deployments.cluster.tls import client_context, server_context
from deployments.errors import SetupError
from deployments.inference.execution import Execution
from deployments.inference.fitness import Fitness
from deployments.inference.pipeline import Pipeline
from deployments.inference.replica import Replica
from deployments.inference.table import read_table
from deployments.inference.transport.frames import MAX_FRAME_BYTES
from deployments.inference.transport.server import BatchServer
from deployments.registry.patience import PATIENCE
from deployments.settings import RayTls, Settings, export
from deployments.spec.applications import deployments_of, stages_of
from deployments.spec.args import EdgeArgs, VersionArgs
from deployments.versions.build import Builder
from deployments.versions.fetch import Files
from deployments.versions.patience import within

log = logging.getLogger("ray.serve")

FAREWELL_S = 0.1


class Edge:
    """The ingress deployment: owns the endpoints, follows the replicas, answers HTTP."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._watch = ReplicaWatch()
        self._endpoints = Endpoints(
            self._watch, functools.partial(Pipeline, tls=client_context(RayTls()))
        )

    def __serve_build_asgi_app__(self) -> Ingress:
        Front.ingress = Ingress(self._endpoints, title=self._title)
        return Front.ingress

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve another table. Never raises: a replica whose `reconfigure` raises is stopped by Serve."""
        try:
            self._endpoints.apply(read_table(user_config))
        except Exception as exc:  # noqa: BLE001 - whatever it is, an edge that still answers is worth more
            self._endpoints.refused = str(exc)
            log.error("kept the last good table: %s", exc)  # noqa: TRY400 - a mistake in a file, not a bug

    async def __del__(self) -> None:
        self._watch.close()


class StageReplica:
    """A deployment of one stage, or of all three: listens for batches, and tells Serve how many rows it has."""

    async def __init__(  # type: ignore[misc]  # Serve awaits a constructor that is a coroutine
        self, args: VersionArgs, stages: Sequence[str], *others: Any
    ) -> None:
        export(PATIENCE)  # before a loader imports MLflow
        context = ray.get_runtime_context()
        gpus = context.get_accelerator_ids().get("GPU", [])
        cpus = context.get_assigned_resources().get("CPU", 0.0)
        self._files = Files(Settings())  # kept: what it holds is not evicted from the node's cache
        builder = Builder(args, fetch=self._files.folder_of, gpus=gpus, cpus=cpus)
        try:
            built = await within(args.load_timeout, args.model, lambda: builder.build(stages))
        except SetupError as error:
            # Serve's status shows what is raised here: what it came from is in this replica's log.
            log.exception("%s cannot be served", args.model)
            raise error.with_traceback(None) from None
        self._replica = Replica(
            Execution(built.stages), max_rows=args.max_rows, on_broken=self._give_up
        )
        self._fitness = Fitness(
            self._replica,
            built.self_check,
            stuck_after_s=args.stuck_after,
            on_broken=self._give_up,
        )
        self._server = BatchServer(
            self._replica,
            host=ray.util.get_node_ip_address(),
            max_frame_bytes=MAX_FRAME_BYTES,
            tls=server_context(RayTls()),
        )
        await self._server.start()
        self._about = {"stages": list(stages), "gpus": gpus, "pid": os.getpid()}

    def _give_up(self, reason: str) -> None:
        """Ends the process, as nothing less gets a replica replaced at once.

        One that only says that it is unwell is asked three times, and is then given time to finish what it
        cannot finish. When the connections close, the edges ask another replica for what waits here.
        """
        log.critical("this replica cannot go on and ends: %s", reason)
        logging.shutdown()
        # Not before what the batch was told has left the sockets.
        asyncio.get_running_loop().call_later(FAREWELL_S, os._exit, 1)

    async def check_health(self) -> None:
        """Serve asks this every few seconds."""
        if hasattr(self, "_fitness"):
            await self._fitness.check()

    def record_replica_metadata(self) -> dict[str, Any]:
        """How the edges reach this replica; Serve's controller passes it on to them and nobody else."""
        return {
            "host": ray.util.get_node_ip_address(),
            "port": self._server.port,
            "token": self._server.token,
        }

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Rows here and rows waiting at the edges, for `RowsPolicy`."""
        return {
            "rows": float(self._replica.rows),
            "backlog": float(self._replica.backlog(time.monotonic())),
        }

    async def __call__(self) -> dict[str, Any]:
        """What this replica is, for whoever asks by a Serve handle; predictions do not come this way."""
        return self._about

    async def __del__(self) -> None:
        if not hasattr(self, "_server"):
            return  # the constructor failed, and Python tidies up
        # Serve waits for its own calls only; ours are finished here, before it ends the process.
        await self._replica.drain()
        await self._server.stop()
        self._replica.close()


def edge(args: EdgeArgs) -> Application:
    """The edge application."""
    deployment = serve.deployment(serve.ingress()(Edge), name="Edge")
    return deployment.bind(args.title)


def version(args: VersionArgs) -> Application:
    """One model version: its stages as deployments of their own, or all in one.

    Serve wants every application to have one deployment that binds the others and calls it the ingress, which
    drains more slowly than the rest; so it is not the model, whose GPU somebody may wait for. No request goes
    through it: the edges reach each deployment directly.
    """
    names = deployments_of(args)
    ingress = next((name for name in reversed(names) if name != "Model"), names[0])
    others = [_stage(name, args) for name in names if name != ingress]
    return _stage(ingress, args, *others)


def _stage(name: str, args: VersionArgs, *others: Application) -> Application:
    return serve.deployment(StageReplica, name=name).bind(args, stages_of(name), *others)
