"""Which addresses a tree of processes listens on, and who holds a port: facts for checks before and after a start."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Listener:
    """A process that accepts connections on an address."""

    pid: int
    name: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid}) on {self.host}:{self.port}"


def listeners(processes: Iterable[psutil.Process]) -> list[Listener]:
    """Every listening TCP socket of `processes`; those that ended meanwhile have none."""
    found = []
    for process in processes:
        try:
            found += [
                Listener(process.pid, process.name(), connection.laddr.ip, connection.laddr.port)
                for connection in process.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN
            ]
        except psutil.Error:
            continue
    return found


def beyond_loopback(found: Iterable[Listener]) -> list[Listener]:
    """Those of `found` that another machine could reach."""
    return [one for one in found if not _is_loopback(one.host)]


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback  # Ray's own servers show as ::ffff:127.0.0.1


def is_taken(port: int) -> bool:
    """Whether nothing can listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def holder(port: int) -> str:
    """Who listens on `port`, in words; other users' processes stay nameless without root."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return "another process"
    for connection in connections:
        if (
            connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port
            and connection.pid
        ):
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                break
    return "another process"
