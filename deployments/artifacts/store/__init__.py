"""Where artifacts are stored, by the scheme of their address; what a scheme needs is imported when it is met."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployments.artifacts.store.folder import FolderStore
from deployments.artifacts.store.interface import Store, StoredFile
from deployments.errors import StoreError

__all__ = ["Store", "StoredFile", "open_store"]


def open_store(uri: str, *, tracking_uri: str, endpoint_url: str | None) -> Store:
    """The store that holds the artifact folder `uri`; nothing is contacted yet.

    Args:
        uri: A path, ``file:``, ``s3://bucket/prefix``, or anything else that MLflow can download from.
        tracking_uri: The MLflow server that ``mlflow-artifacts:`` means.
        endpoint_url: Where an S3-compatible store listens that is not Amazon's.

    Raises:
        StoreError: The address makes no sense.
    """
    scheme = uri.partition(":")[0].lower() if ":" in uri.partition("/")[0] else ""
    if not scheme:
        return FolderStore(Path(uri))
    if scheme == "file":
        parts = urlsplit(uri)
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise StoreError(f"{uri} names no folder of this machine: write file:///path or a path")
        return FolderStore(Path(unquote(parts.path)))
    if scheme == "s3":
        from deployments.artifacts.store.s3 import S3Store

        return S3Store(uri, endpoint_url=endpoint_url)
    from deployments.artifacts.store.mlflow import MlflowStore

    return MlflowStore(uri, tracking_uri=tracking_uri)
