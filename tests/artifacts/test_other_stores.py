"""Folders, and a real MLflow server that hands artifacts on: the same files, the same kind of errors."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.artifacts.cache import Cache
from deployments.artifacts.fetch import Limits, key_of, obtain
from deployments.artifacts.store import Store, open_store
from deployments.artifacts.store.s3 import S3Store
from deployments.errors import ArtifactError, StoreError
from tests.artifacts.conftest import FILES, Stored
from tests.artifacts.proxy import Fault, Proxy

# MLflow's own server refuses paths with a "?", "#" or "%" in them.
PLAIN = {path: content for path, content in FILES.items() if "?" not in path}


def opened(uri: str, tracking_uri: str = "") -> Store:
    return open_store(uri, tracking_uri=tracking_uri, endpoint_url=None)


def write(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def mlflow_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real MLflow server with a model version's files below ``mlflow-artifacts:/v1``."""
    home = tmp_path_factory.mktemp("mlflow")
    write(home / "artifacts/v1", PLAIN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (
        f"{sys.executable} -m mlflow server --host 127.0.0.1 --port {port} --workers 1 "
        f"--artifacts-only --artifacts-destination {home}/artifacts"
    )
    with (home / "log").open("w") as log:
        server = subprocess.Popen(command.split(), stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except OSError:
            assert time.monotonic() < until, (home / "log").read_text()
            time.sleep(0.1)
    yield port
    os.killpg(server.pid, 15)
    server.wait()


def test_mlflow_hands_artifacts_on(mlflow_port: int, tmp_path: Path) -> None:
    """``mlflow-artifacts:`` is listed, read and fetched through MLflow's own downloader."""
    store = opened("mlflow-artifacts:/v1", f"http://127.0.0.1:{mlflow_port}")
    deadline, seen = time.monotonic() + 60, []
    (tmp_path / "into").mkdir()
    listed = store.list(deadline)
    assert {file.path: file.size or 0 for file in listed} == {
        path: len(content) for path, content in PLAIN.items()
    }
    store.fetch(listed, tmp_path / "into", deadline=deadline, on_bytes=seen.append)
    found = {
        str(path.relative_to(tmp_path / "into")): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert found == PLAIN
    assert sum(seen) == sum(map(len, PLAIN.values()))
    assert store.read("MLmodel", deadline, 1000) == FILES["MLmodel"]
    with pytest.raises(StoreError, match="larger than 5 bytes"):
        store.read("MLmodel", deadline, 5)


def test_mlflow_too_slow_away_or_without_the_files(mlflow_port: int, tmp_path: Path) -> None:
    """MLflow knows no deadline: here it is kept, and its long errors become one line."""
    with Proxy(mlflow_port) as proxy:
        store = opened("mlflow-artifacts:/v1", proxy.endpoint)
        listed = store.list(time.monotonic() + 60)
        proxy.fault = Fault(bytes_per_s=1000)
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"mlflow-artifacts:/v1 is too slow: .* of 20 MB came"):
            store.fetch(listed, tmp_path, deadline=time.monotonic() + 1, on_bytes=lambda _: None)
        assert time.monotonic() - began < 10
        proxy.fault = Fault()
        with pytest.raises(StoreError, match="no files at mlflow-artifacts:/v2"):
            opened("mlflow-artifacts:/v2", proxy.endpoint).list(time.monotonic() + 30)
        proxy.fault = Fault(status=403)
        with pytest.raises(StoreError, match=r"MLflow cannot download from .*403") as caught:
            store.list(time.monotonic() + 30)
        assert "\n" not in caught.value.message


GIVE_UP = """
import sys, time
from pathlib import Path
from deployments.artifacts.store import open_store
from deployments.errors import StoreError
store = open_store("mlflow-artifacts:/v1", tracking_uri=sys.argv[1], endpoint_url=None)
listed = store.list(time.monotonic() + 60)
print("listed", flush=True)
sys.stdin.readline()
try:
    store.fetch(listed, Path(sys.argv[2]), deadline=time.monotonic() + 1, on_bytes=lambda _: None)
except StoreError as error:
    print(error, flush=True)
"""


def test_a_process_that_gave_up_on_mlflow_ends(mlflow_port: int, tmp_path: Path) -> None:
    """What its downloader still waits for does not keep the interpreter from ending."""
    with Proxy(mlflow_port) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-c", GIVE_UP, proxy.endpoint, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "listed\n"
        proxy.fault = Fault(bytes_per_s=1000)
        out, _ = process.communicate("\n", timeout=30)  # at this rate the files would take hours
    assert "too slow" in out
    assert process.returncode == 0


def test_a_limit_holds_while_mlflow_downloads(mlflow_port: int, tmp_path: Path) -> None:
    """A store that understates its sizes is stopped by what has come, not by what it said."""
    store = opened("mlflow-artifacts:/v1", f"http://127.0.0.1:{mlflow_port}")

    class Understating:
        uri = store.uri

        def list(self, deadline: float):
            from dataclasses import replace

            return [replace(file, size=None) for file in store.list(deadline)]

        fetch = staticmethod(store.fetch)
        read = staticmethod(store.read)

    with pytest.raises(StoreError, match="PENSTOCK_ARTIFACT_MAX_BYTES"):
        obtain(
            Cache(tmp_path, 10**9),
            key_of(None, store.uri),
            open_store=Understating,
            digest=None,
            manifest=None,
            limits=Limits(30, 10**6),
        )


@pytest.mark.parametrize("form", ["path", "file:", "file://", "file://localhost"])
def test_a_folder(tmp_path: Path, form: str) -> None:
    """A path or a ``file:`` address, with escapes where it is one."""
    folder = write(tmp_path / "a b%20c")
    quoted = str(folder).replace("%", "%25").replace(" ", "%20")
    store = opened(str(folder) if form == "path" else form + quoted)
    deadline, seen = time.monotonic() + 20, []
    into = tmp_path / "into"
    into.mkdir()
    store.fetch(store.list(deadline), into, deadline=deadline, on_bytes=seen.append)
    assert {path: (into / path).read_bytes() for path in FILES} == FILES
    assert sum(seen) == sum(map(len, FILES.values()))
    assert store.read("MLmodel", deadline, 1000) == FILES["MLmodel"]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """Absent, empty, with a link in it, or on another machine: each said as what it is."""
    deadline = time.monotonic() + 10
    with pytest.raises(StoreError, match="No such file"):
        opened(str(tmp_path / "none")).list(deadline)
    with pytest.raises(StoreError, match="there are no files"):
        opened(str(tmp_path)).list(deadline)
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(StoreError, match=r"link in the artifact folder .* is a link"):
        opened(str(tmp_path)).list(deadline)
    with pytest.raises(StoreError, match="cannot read link"):
        opened(str(tmp_path)).read("link", deadline, 10)
    with pytest.raises(ArtifactError, match="leads out"):
        opened(str(tmp_path)).read("../x", deadline, 10)
    with pytest.raises(StoreError, match="no folder of this machine"):
        opened("file://elsewhere/models")


def test_a_folder_that_changes_while_it_is_copied(tmp_path: Path) -> None:
    """A file that became shorter since it was listed is an error, not a file with a hole."""
    folder = write(tmp_path / "source")
    store, deadline = opened(str(folder)), time.monotonic() + 10
    listed = store.list(deadline)
    os.truncate(folder / "data/weights.bin", 10)
    with pytest.raises(StoreError, match="became shorter"):
        store.fetch(listed, tmp_path, deadline=deadline, on_bytes=lambda _: None)


def test_the_scheme_says_which_store(s3: Stored) -> None:
    """Colons within a path make no scheme; a password in an address is not repeated."""
    assert opened("some/path:with/colons").uri == "some/path:with/colons"
    assert isinstance(opened("s3://bucket/x"), S3Store)
    assert opened("https://me:secret@example.test/x").uri == "https://example.test/x"
