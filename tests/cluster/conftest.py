"""A local cluster in the test's own process, and `penstock up` in one of its own."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from deployments.cluster import family
from deployments.cluster.local import LocalCluster

HERE = Path(__file__).parent
WORKERS = {
    "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "standin:middlewares",
}


def app(name: str, route: str | None = None, **args: str) -> dict[str, object]:
    return {"name": name, "route_prefix": route, "import_path": f"standin:{name}", "args": args}


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return bool(condition())


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with pytest.MonkeyPatch.context() as patch:
        before = dict(os.environ)
        for name, value in WORKERS.items():
            patch.setenv(name, value)
        cluster = LocalCluster(8000)
        try:
            cluster.start_ray()
            yield cluster
        finally:
            cluster.stop(threading.Event())
            for name in set(os.environ) - set(before):
                del os.environ[name]


class Run:
    """A running `penstock up`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self.starter = family.Starter(
            process.pid, round(psutil.Process(process.pid).create_time(), 2)
        )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, seconds: float = 90) -> None:
        assert wait_for(lambda: text in self.output or self.process.poll() is not None, seconds)
        assert text in self.output, self.output
        assert self.left() or "Starting Ray ..." in text, (
            "a search that finds nothing would prove nothing"
        )

    def left(self) -> list[psutil.Process]:
        return [
            p for p in family.marked().get(self.starter, []) if p.status() != psutil.STATUS_ZOMBIE
        ]


@pytest.fixture
def penstock_up(tmp_path: Path, free_port: int) -> Iterator[Callable[..., Run]]:
    with _runs(tmp_path, free_port) as start:
        yield start


@contextmanager
def _runs(folder: Path, port: int) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*applications: dict[str, object]) -> Run:
        config = folder / "serve_config.yaml"
        config.write_text(yaml.safe_dump({"applications": list(applications)}))
        log = folder / "up.log"
        call = "from deployments.cli import main; main()"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", call, "up", "--port", str(port)],
                cwd=folder,
                env=os.environ | WORKERS,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        runs.append(Run(process, log))
        return runs[-1]

    try:
        yield start
    finally:
        for run in runs:
            if run.process.poll() is None:
                run.process.terminate()
                run.process.wait(20)
            family.end(run.left())
        shutil.rmtree(folder, ignore_errors=True)
