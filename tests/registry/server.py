"""A real `mlflow server` in a process of its own, on a free port of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx


class MlflowServer:
    """Started by `start`, stopped by `stop`.

    It costs some eight seconds and is shared by all tests that do not stop it.

    Attributes:
        url: Its address, from the first on.
        database: Where it keeps entries.
        artifacts: The folder that it keeps artifacts in and gives them out from.
    """

    def __init__(
        self,
        database: str,
        artifacts: Path,
        log: Path,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database, self.artifacts = database, artifacts
        self._log = log
        self._command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", database, "--artifacts-destination", str(artifacts)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 90.0) -> MlflowServer:
        """Returns when it answers."""
        own = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=own | {"MLFLOW_DISABLE_TELEMETRY": "true"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout_s
        while not self._healthy():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """Ends it with its workers; what connections it still waits for is not worth waiting for."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._process = None

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
