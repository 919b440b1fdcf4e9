"""What every Ray worker of a local cluster does first, so that it listens on loopback only and starts sooner.

Ray runs `setup` in each worker before anything of Serve's is imported (`flags.LOCAL` names it). It changes two
things in Ray that no option reaches. Both are checked by tests against the pinned Ray, not assumed.
"""

from __future__ import annotations

import sys
from typing import Any


def setup() -> None:
    """Called by Ray once in every worker process."""
    _bind_to_node_address()
    _import_serve_without_pandas()


def _bind_to_node_address() -> None:
    """Make replicas' gRPC servers listen on the node's own address, which others are told, and on no other.

    Serve binds them to ``[::]``, all interfaces, in a literal.
    """
    from ray._common import tls_utils
    from ray.util import get_node_ip_address

    bind = tls_utils.add_port_to_grpc_server

    def add_port(server: Any, address: str) -> Any:
        host, _, port = address.rpartition(":")
        return bind(server, f"{get_node_ip_address()}:{port}" if host == "[::]" else address)

    tls_utils.add_port_to_grpc_server = add_port


def _import_serve_without_pandas() -> None:
    """Import Serve as if pandas were not installed: a quarter of the CPU time of a worker's start.

    Serve asks for pandas only to render a DataFrame that a deployment returns over HTTP, which none of ours
    does, and takes its absence in its stride. Whoever imports pandas afterwards gets it.
    """
    if "pandas" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # Python's own way to say: not importable
    try:
        import ray.serve._private.replica  # noqa: F401
    finally:
        del sys.modules["pandas"]
