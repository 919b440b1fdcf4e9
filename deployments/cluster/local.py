"""A Ray of our own on this machine, Serve in it, and the end of both: nothing listens elsewhere, nothing is left.

Ray is started inside this process and not by `ray start`, because then the kernel ends its daemons together
with this process, even when that is killed outright; workers end when they lose their daemon, and HAProxy
when it loses its worker (see `deployments.cluster.haproxy`).

Three calls lean on private names of the pinned Ray: starting the controller without waiting for its proxies
(so that replicas start meanwhile: seconds), and setting the client that `serve.status` reads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments import settings
from deployments.cluster import family, flags, run_folder, sockets
from deployments.cluster.statuses import (
    Application,
    application_of,
    first_alert,
    first_fault,
    last_line,
)
from deployments.errors import SetupError

_LOGICAL_CPUS = 16
"""What Ray books replicas against. More than a laptop has, for a replica that waits for CPUs serves nobody."""
_OBJECT_STORE_BYTES = 256 * 1024 * 1024
_LAST_LOOKS = 3
_RAY_SHUTDOWN_S = 4.0


class LocalCluster:
    """Ray and Serve on loopback, started and stopped by this process; one per process, used once.

    Args:
        port: Where the front door listens on 127.0.0.1.
        drain_timeout_s: How long `stop` gives requests in flight before it cuts them off.
    """

    def __init__(self, port: int, *, drain_timeout_s: float = 4.0) -> None:
        self.port = port
        self._drain_timeout_s = drain_timeout_s
        self._starter = family.Starter.this_process()
        self._run_folder: Path | None = None
        self._client: Any = None
        self._proxies: list[Any] = []

    def start_ray(self) -> None:
        """Start Ray with the data plane's environment.

        Must be called in the main thread: the daemons end with the thread that started them.

        Raises:
            SetupError: Ray does not come up.
        """
        self._run_folder = run_folder.create()
        settings.export(flags.DATA_PLANE | flags.LOCAL)
        own = flags.haproxy_files(self._run_folder) | {family.MARK: str(self._starter)}
        settings.export(own, replace=True)  # a cluster's own, and no earlier one's of this process
        import ray

        try:
            ray.init(
                address="local",
                namespace="serve",
                num_cpus=max(_LOGICAL_CPUS, os.cpu_count() or 1),
                object_store_memory=_OBJECT_STORE_BYTES,
                include_dashboard=True,  # `serve deploy` and `serve status` talk to it
                dashboard_host="127.0.0.1",
                dashboard_port=flags.DASHBOARD_PORT,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except Exception as error:
            raise SetupError(
                f"Ray did not start: {last_line(str(error))} (its logs are in /tmp/ray)."
            ) from error
        _keep_private(Path.home() / ".ray" / "auth_token")

    def deploy(self, config: dict[str, Any]) -> None:
        """Start Serve and hand it `config`, in the form that `serve deploy` reads; returns before it is ready.

        Called again, it replaces what is deployed. Host and port of `http_options` are this cluster's own.

        Raises:
            SetupError: Serve refuses the configuration.
        """
        from pydantic import ValidationError
        from ray.exceptions import RayTaskError
        from ray.serve._private import api, client
        from ray.serve.context import _set_global_client
        from ray.serve.schema import ServeDeploySchema

        http = {**(config.get("http_options") or {}), "host": "127.0.0.1", "port": self.port}
        try:
            schema = ServeDeploySchema.model_validate({**config, "http_options": http})
        except ValidationError as error:
            raise SetupError(
                f"Ray Serve refuses the configuration: {first_fault(error)}"
            ) from error
        if self._client is None:
            controller, self._proxies = api._create_controller_and_proxy_refs(  # noqa: SLF001
                schema.http_options.model_dump(),
                schema.grpc_options.model_dump(),
                schema.logging_config,
                None,
                schema.controller_options,
                schema.proxy_location,
            )
            self._client = client.ServeControllerClient(controller)
            _set_global_client(self._client)
        try:
            self._client.deploy_apps(schema)
        except RayTaskError as error:
            raise SetupError(
                f"Ray Serve refuses the configuration: {last_line(str(error))}"
            ) from error

    def applications(self) -> list[Application]:
        """How far each application has come, in the order in which Serve names them.

        Raises:
            SetupError: The front door itself did not start, so that no application can be reached.
        """
        import ray
        from ray import serve

        done, self._proxies = (
            ray.wait(self._proxies, num_returns=len(self._proxies), timeout=0)
            if self._proxies
            else ([], [])
        )
        try:
            ray.get(done)
        except Exception as error:
            raise SetupError(f"HAProxy did not start: {first_alert(str(error))}") from error

        return [
            application_of(name, status) for name, status in serve.status().applications.items()
        ]

    def exposed(self) -> list[sockets.Listener]:
        """What of this cluster listens beyond loopback; an empty list is what must be."""
        return sockets.beyond_loopback(sockets.listeners(family.family_of(self._starter)))

    def stop(self, hurry: threading.Event, note: Callable[[str], None] = lambda _: None) -> None:
        """End everything that `start_ray` and `deploy` started, within about ten seconds; also half a start.

        Args:
            hurry: When set, also while this runs, requests in flight are not waited for.
            note: Told about processes that had to be killed.
        """
        if self._client is not None and not hurry.is_set():
            self._drain(hurry)
        relatives = family.family_of(self._starter)
        _bounded(self._shut_ray_down, _RAY_SHUTDOWN_S)
        alive = {p.pid: p for p in [*relatives, *family.family_of(self._starter)] if p.is_running()}
        stuck = family.end(alive.values())
        # In the middle of a start, one of them may have started another after they were listed.
        for _ in range(_LAST_LOOKS):
            if not (late := family.running(family.family_of(self._starter))):
                break
            stuck = family.end(late)
        for process in stuck:
            note(f"process {process.pid} does not end")
        if self._run_folder is not None:
            shutil.rmtree(self._run_folder, ignore_errors=True)

    def _drain(self, hurry: threading.Event) -> None:
        """Have Serve stop its replicas in an orderly way, each after its last request, and wait for that.

        Asked without waiting for the reply: the controller ends by killing itself, and Ray warns about every
        call that was waiting for it.
        """
        with contextlib.suppress(Exception):  # a controller that is gone has nothing to drain
            self._client._controller.graceful_shutdown.remote(False)  # noqa: SLF001
            deadline = time.monotonic() + self._drain_timeout_s
            while time.monotonic() < deadline and not hurry.wait(0.1):
                if not any("ServeReplica" in _title(p) for p in family.family_of(self._starter)):
                    return

    @staticmethod
    def _shut_ray_down() -> None:
        import ray

        ray.shutdown()


def _title(process: Any) -> str:
    try:
        return str(process.name())
    except Exception:  # noqa: BLE001 - psutil's errors and those of a process table that changes
        return ""


def _bounded(action: Callable[[], None], seconds: float) -> None:
    """Do `action`, but go on after `seconds`; whatever goes wrong in it is of no interest at the end."""

    def quietly() -> None:
        with contextlib.suppress(BaseException):
            action()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(seconds)


def _keep_private(path: Path) -> None:
    """Ray writes its token readable for all; whoever reads it can run code in every Ray of this user."""
    with contextlib.suppress(OSError):
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            path.chmod(0o600)
