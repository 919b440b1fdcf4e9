"""The `MLmodel` file of a version, wherever its folder lies: a few kilobytes, and not the model with it."""

from __future__ import annotations

import time
from collections.abc import Callable

import yaml

from deployments.artifacts.store import open_store
from deployments.errors import StoreError
from deployments.inference import mlmodel
from deployments.registry.version import local_path

ReadModelFile = Callable[[str], mlmodel.ModelFile]

_TIMEOUT_S = 20.0
_LARGEST = 16 * 1024 * 1024  # a signature may list thousands of columns


def reader(tracking_uri: str, s3_endpoint_url: str | None) -> ReadModelFile:
    """A function from an artifact folder's place to its `MLmodel` file.

    It raises StoreError for a file that cannot be had in 20 seconds, SetupError for one that is damaged.
    """

    def read(source: str) -> mlmodel.ModelFile:
        folder = local_path(source)
        if folder is not None:
            return mlmodel.read(folder)
        store = open_store(source, tracking_uri=tracking_uri, endpoint_url=s3_endpoint_url)
        deadline = time.monotonic() + _TIMEOUT_S
        try:
            text = store.read(mlmodel.FILE_NAME, deadline, _LARGEST).decode()
            return mlmodel.parse(text)
        except StoreError as exc:
            raise StoreError(
                f"{store.uri} is no model that can be read: {exc.message.rstrip('.')}. "
                "Make its files reachable, or register the model anew."
            ) from exc
        except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as exc:
            raise StoreError(
                f"{mlmodel.FILE_NAME} in {store.uri} is damaged ({type(exc).__name__}). "
                "Log and register the model anew."
            ) from exc

    return read
