"""One service for all tests of this folder: `penstock up` on a real Ray, with the digits and a slow model."""

from __future__ import annotations

import logging
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.registry.client import Registry
from deployments.settings import Settings
from deployments.versions.download import Downloads
from deployments.versions.pin import pin
from tests.conftest import ExampleRegistry
from tests.serve import slow
from tests.serve.service import CONFIG, Service

logging.getLogger("tests.serve").setLevel(logging.INFO)  # figures, which `pytest -rA` shows


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def tracking_uri(
    example_registry: ExampleRegistry, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A copy of the example registry that knows the slow model too; other folders' tests count what is there."""
    home = tmp_path_factory.mktemp("registry")
    shutil.copy(example_registry.tracking_uri.removeprefix("sqlite:///"), home / "registry.db")
    uri = f"sqlite:///{home}/registry.db"
    slow.register(uri, home / "artifacts")
    pin(Registry(uri), Downloads(Settings(home=home)).manifest_of, "slow", "1")
    return uri


@pytest.fixture(scope="session")
def service(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is ready; a minute on two cores.

    It lasts to the end of the session, so whatever starts a Ray of its own must come before: tests/cluster does.
    """
    service = Service(CONFIG, free_port(), tmp_path_factory.mktemp("home"), tracking_uri)
    try:
        service.wait_until_ready(160)
        yield service
    finally:
        service.stop()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client with its connections kept alive."""
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
    async with httpx.AsyncClient(base_url=service.url, timeout=30, limits=limits) as client:
        yield client


@pytest.fixture(scope="session")
def images(script: Callable[[str], ModuleType]) -> tuple[list[Any], np.ndarray[Any, Any]]:
    """The 360 test images as a client posts them, and what they show."""
    split = script("digits").load_split()
    return split.test_images.tolist(), split.test_labels
