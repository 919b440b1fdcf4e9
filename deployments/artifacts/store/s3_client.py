"""One bucket and prefix on S3 as boto3 reaches it, with short timeouts and tries that are bounded here, not there."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from deployments.artifacts.store.s3_faults import FAULTS, explain, is_passing
from deployments.errors import StoreError


@dataclass(frozen=True)
class Patience:
    """How long a store may be silent and how often it is asked again; seconds.

    Attributes:
        attempts: How many tries in a row may bring nothing before it is an error.
        pause_s: The longest pause after the first such try; doubled after each further one.
    """

    connect_s: float = 5.0
    read_s: float = 10.0
    attempts: int = 6
    pause_s: float = 0.5
    longest_pause_s: float = 5.0

    def pause_after(self, failed: int) -> float:
        """How long to wait after `failed` tries in a row, drawn so that many clients do not return as one."""
        longest = min(self.longest_pause_s, self.pause_s * 2.0 ** (failed - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311 - no secret


class S3Client:
    """boto3's client, and the one place where its faults become errors that a person reads."""

    def __init__(
        self, address: str, *, endpoint_url: str | None, patience: Patience, connections: int
    ) -> None:
        self.address = address
        self._patience = patience
        try:
            session = boto3.session.Session()
            self._credentials = session.get_credentials()
            self.s3: Any = session.client(
                "s3", endpoint_url=endpoint_url, config=_config(patience, connections, endpoint_url)
            )
        except (*FAULTS, ValueError) as fault:
            raise StoreError(f"cannot ask for {address}: {' '.join(str(fault).split())}") from None

    def patiently(
        self,
        what: str,
        attempt: Callable[[], bool],
        *,
        deadline: float,
        stop: threading.Event | None = None,
    ) -> None:
        """Calls `attempt` until it returns True.

        Args:
            what: The address that is asked for, for the message.
            attempt: One try. Returns whether it is done; sets forth what a failed try reached, and then
                says so by returning False instead of raising.
            deadline: When to give up, in `time.monotonic` seconds.
            stop: Set when nobody waits any more.

        Raises:
            StoreError: The store refuses, or too many tries in a row brought nothing.
            TimeoutError: The deadline passed, or `stop` was set.
        """
        stop = stop or threading.Event()
        failed = 0
        while True:
            try:
                if attempt():
                    return
                failed = 1  # it got further: a try of its own kind, but never without a pause
            except FAULTS as fault:
                failed += 1
                if isinstance(fault, TimeoutError) and time.monotonic() >= deadline:
                    raise
                if not is_passing(fault) or failed >= self._patience.attempts:
                    raise self.explain(fault, what) from None
            pause = self._patience.pause_after(failed)
            if stop.wait(min(pause, max(0.0, deadline - time.monotonic()))):
                raise TimeoutError
            if time.monotonic() >= deadline:
                raise TimeoutError

    def explain(self, fault: Exception, what: str) -> StoreError:
        method = getattr(self._credentials, "method", None)
        whose = f"found by: {method}" if method else "none"
        return explain(fault, what, self.s3.meta.endpoint_url, whose)


def _config(patience: Patience, connections: int, endpoint_url: str | None) -> Config:
    return Config(
        connect_timeout=patience.connect_s,
        read_timeout=patience.read_s,
        retries={"total_max_attempts": 1},
        max_pool_connections=connections,
        # Ranges have no checksum of their own; whole files are checked when all of them are there.
        response_checksum_validation="when_required",
        # What listens elsewhere seldom has a name for each bucket.
        s3={"addressing_style": "path"} if endpoint_url else None,
    )
