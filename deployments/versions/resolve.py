"""From a model URI to the version that it means now, for whoever renders a configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from deployments.registry.client import Registry
from deployments.registry.patience import PATIENCE
from deployments.registry.version import ModelVersion
from deployments.settings import Settings, export


def resolver() -> Callable[[str], ModelVersion]:
    """A function that asks the registry of the environment, once for each URI."""
    export(PATIENCE)
    registry = cache(lambda: Registry(Settings().tracking_uri))
    return cache(lambda uri: registry().resolve(uri))
