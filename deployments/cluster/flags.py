"""The environment that Ray's processes need for the fast and safe data plane, each variable with its reason.

Ray Serve reads these when it is imported, in every process, so they must be set before `ray start` or
`ray.init` on every node; a `runtime_env` comes too late and would give a mixed fleet. They are data here
rather than calls so that one list serves `penstock up`, `penstock env`, a container image and the tests.
"""

from __future__ import annotations

import shlex
import sysconfig
from pathlib import Path

STATS_PORT = 8404
METRICS_PORT = 9101
FALLBACK_PORT = 8500
DASHBOARD_PORT = 8265
LAUNCHER = Path(sysconfig.get_path("scripts")) / "penstock-haproxy"

DATA_PLANE: dict[str, str] = {
    # HAProxy (C) in front of the edge replicas instead of one Python proxy process: the proxy was the ceiling.
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    # User code on the replica's own loop, by-value gRPC between replicas, buffered access logs. Alone, without
    # the line above, it would leave a single front end on the head node: never set one without the other.
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # A batch of images passes gRPC's default of 4 MiB at once; 128 MiB is above every body limit of ours.
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(128 * 1024 * 1024),
    # Whoever reaches a Ray port can run code. The `ray` and `serve` commands need this too, or they end in a
    # stack trace about a missing token.
    "RAY_AUTH_MODE": "token",
    # Ray runs its workers at niceness 15, as batch work; these answer people.
    "RAY_worker_niceness": "0",
    # Nothing is reported to anybody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Serve lets any client switch its time limit and its watch for disconnects off by a header; these
    # middlewares, which Serve wraps around every ingress replica's and proxy's ASGI app, drop those headers.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.api.ingress:middlewares",
    # Rewrites what Ray's configuration template leaves open (see deployments.cluster.haproxy).
    "RAY_SERVE_HAPROXY_BINARY_PATH": str(LAUNCHER),
    # Serve would have HAProxy log every request to a Python process that parses the line, at a tenth of all that a
    # prediction costs. HAProxy's own counters, in C and on the same port, stay.
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    # Two threads carry several times what two edge replicas can; Ray's four only take turns on a small machine.
    "RAY_SERVE_HAPROXY_NBTHREAD": "2",
    # A client that stops reading or sending is cut off after a minute, not an hour.
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",
    # A frozen edge replica is out of rotation after 2 s, not 10; the check is answered by the replica's loop.
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
    # After a reload the old HAProxy closes its idle connections over 5 s, so that clients move to the new one.
    "RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S": "5",
    # No request of ours lives for two minutes; an old HAProxy that lingers keeps its ports in quarantine.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "90",
}

LOCAL: dict[str, str] = {
    # Ray's own switch for "this machine only" (its default on macOS): the node's address is 127.0.0.1, and
    # every server of Ray's binds to the node's address. `_node_ip_address="127.0.0.1"` does not do it: Ray
    # resolves that back to an address that others can reach.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # The one server that would still listen everywhere; see deployments.cluster.worker.
    "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": "deployments.cluster.worker.setup",
    # Elsewhere a replica waits 30 s before it goes, for load balancers that are slow to notice. Ours, on the
    # same machine, notices in about a second.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    # Ray writes process titles over the environment; with this it keeps to the command line, and a process that
    # has lost its parent can still be told to be ours (see deployments.cluster.family).
    "SPT_NOENV": "1",
    # Idle workers that Ray starts ahead have not imported Serve, and start while replicas want the CPUs.
    "RAY_enable_worker_prestart": "false",
    "RAY_prestart_worker_first_driver": "false",
}


def haproxy_files(folder: Path) -> dict[str, str]:
    """Where HAProxy's configuration and sockets lie: in a `folder` of one's own, not in /tmp for all to meddle."""
    return {
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "a.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "m.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
    }


def exports(variables: dict[str, str]) -> str:
    """Shell lines that set `variables`, for ``eval "$(penstock env)"``; what the shell has set already stays."""
    return "\n".join(
        f'export {name}="${{{name}:-{value}}}"'
        if shlex.quote(value) == value
        else f"export {name}={shlex.quote(value)}"
        for name, value in variables.items()
    )
