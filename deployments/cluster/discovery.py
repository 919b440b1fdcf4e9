"""Follows which replicas of a deployment are running and where they listen, by Serve's own long poll.

An edge talks to replicas over sockets of its own, so it must know them. A handle would know, but keeps it to
itself; asking the controller every so often would be late and a load. The long poll is what handles use: the
controller answers when something has changed. A replica tells its address by returning it from
`record_replica_metadata`, which Serve calls once, after the constructor and before it announces the replica.

Serve's `LongPollClient` is not used: it ends for good when the controller is out of reach once, it cannot
forget a key, and it tells a key added later only after the next change or up to a minute.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import Any

from deployments.inference.transport.address import ReplicaAddress

_log = logging.getLogger(__name__)
_RETRY_S = 0.5


OnChange = Callable[[list[ReplicaAddress]], None]


class ReplicaWatch:
    """Tells who is running, for any number of deployments; made and used in one event loop, inside Ray.

    `on_change` is called in that loop, with the whole list, soon after `watch` and at every change. A deployment
    that does not exist yet is called for once it does; one that was deleted has an empty list. While the
    controller is away the last list stands. Replicas that told no address are left out.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def watch(self, application: str, deployment: str, on_change: OnChange) -> None:
        """Follow a deployment; an earlier watch of the same one ends."""
        self.unwatch(application, deployment)
        # An empty context: Ray remembers there which request a call was made for, and would cancel the poll
        # together with the request during which `watch` happened to be called.
        self._tasks[application, deployment] = asyncio.get_running_loop().create_task(
            _follow(application, deployment, on_change),
            context=contextvars.Context(),
            name=f"replicas of {application}/{deployment}",
        )

    def unwatch(self, application: str, deployment: str) -> None:
        """Follow a deployment no longer; `on_change` is not called again. Unknown ones are fine."""
        task = self._tasks.pop((application, deployment), None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Follow none any longer."""
        for application, deployment in list(self._tasks):
            self.unwatch(application, deployment)


async def _follow(application: str, deployment: str, on_change: OnChange) -> None:
    import ray.serve  # noqa: F401 - only inside a Ray process; its private modules need it whole
    from ray.serve._private.common import DeploymentID
    from ray.serve._private.long_poll import LongPollNamespace

    key = (
        LongPollNamespace.DEPLOYMENT_TARGETS,
        DeploymentID(name=deployment, app_name=application),
    )
    snapshot = -1  # of no version: the first answer comes at once
    told: list[ReplicaAddress] | None = None
    controller: Any = None
    while True:
        try:
            if (
                controller is None
            ):  # looked up in a thread: it is a blocking call, and this loop serves requests
                controller = await asyncio.to_thread(_controller)
            updates = await controller.listen_for_change.remote({key: snapshot})
        except Exception as error:  # noqa: BLE001 - whatever it is, it passes: the controller restarts
            if controller is not None:
                _log.warning(
                    "Serve's controller is out of reach (%s); the known replicas stand.", error
                )
            controller = None
            await asyncio.sleep(_RETRY_S)
            continue
        if not isinstance(updates, dict) or key not in updates:  # nothing changed for a while
            continue
        snapshot = updates[key].snapshot_id
        addresses = _addresses(updates[key].object_snapshot)
        if addresses == told:  # Serve announces for reasons of its own as well, such as a new rank
            continue
        told = addresses
        try:
            on_change(addresses)
        except Exception:  # noqa: BLE001 - the caller's fault must not end the watch
            _log.exception("Telling about the replicas of %s/%s failed", application, deployment)


def _controller() -> Any:
    import ray
    from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE

    return ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)


def _addresses(target: Any) -> list[ReplicaAddress]:
    if not target.is_available:
        return []
    found = []
    for replica in target.running_replicas:
        metadata = replica.replica_metadata
        if "port" in metadata:
            found.append(
                ReplicaAddress(
                    replica_id=replica.replica_id.unique_id,
                    host=str(metadata.get("host") or replica.node_ip),
                    port=int(metadata["port"]),
                    token=str(metadata.get("token", "")),
                )
            )
    return sorted(found, key=lambda one: one.replica_id)
