"""One S3 server for all tests of artifacts, a proxy in front of it for each, and a model version's files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deployments.artifacts.store.s3 import S3Store
from deployments.artifacts.store.s3_client import Patience
from tests.artifacts.proxy import Proxy
from tests.artifacts.s3 import CREDENTIALS, S3Server

BRIEF = Patience(connect_s=1, read_s=2, attempts=3, pause_s=0.02)
FILES = {
    "MLmodel": b"flavors: {}\n",
    "data/weights.bin": random.Random(1).randbytes(20_000_000),  # three parts
    "data/empty.txt": b"",
    "data/a b+c?#%20&ü.txt": b"a name that URLs trip over",
    "code/net.py": b"import torch\n",
}


@dataclass(frozen=True)
class Stored:
    """A model version on S3 behind a proxy."""

    proxy: Proxy
    server: S3Server
    bucket: str
    uri: str

    def store(self, patience: Patience = BRIEF) -> S3Store:
        return S3Store(self.uri, endpoint_url=self.proxy.endpoint, patience=patience)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.put("models", {f"1/artifacts/{path}": content for path, content in FILES.items()})
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stored]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with Proxy(s3_server.port) as proxy:
        yield Stored(proxy, s3_server, "models", "s3://models/1/artifacts")
