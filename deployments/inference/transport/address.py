"""Where a running replica can be called, as Serve's controller tells the edges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReplicaAddress:
    """A running replica.

    Attributes:
        replica_id: Serve's own, unique for ever.
        host: An IP address.
        port: A TCP port.
        token: The secret that the replica admits an edge by.
    """

    replica_id: str
    host: str
    port: int
    token: str
