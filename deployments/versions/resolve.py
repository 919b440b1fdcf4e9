"""What rendering a configuration needs to know of model versions: asked of the registry once, and of their files."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deployments.artifacts.store import open_store
from deployments.errors import PenstockError
from deployments.inference import mlmodel
from deployments.inference.example import example, json_row
from deployments.inference.saved import MAX_BYTES
from deployments.inference.tensors import Tensors
from deployments.registry.client import Registry
from deployments.registry.patience import PATIENCE
from deployments.registry.version import ModelVersion
from deployments.settings import Settings, export
from deployments.spec.applications import Json
from deployments.spec.args import ModelArgs
from deployments.spec.model import Spec
from deployments.spec.render import render
from deployments.versions.download import Downloads
from deployments.versions.fetch import Files

PATIENCE_S = 20.0
"""What an example in a document is worth waiting for."""


class Versions:
    """The versions that model URIs mean now.

    Args:
        settings: Where the registry and the cache are.
    """

    def __init__(self, settings: Settings) -> None:
        export(PATIENCE)
        self._settings = settings
        self._registry = cache(self._open)
        self._files = Files(settings)
        self.resolve = cache(self._resolve)

    def _open(self) -> Registry:
        downloads = Downloads(self._settings)
        return Registry(
            self._settings.tracking_uri,
            downloads.manifest_of,
            s3_endpoint_url=self._settings.s3_endpoint_url,
        )

    def _resolve(self, uri: str) -> ModelVersion:
        return self._registry().resolve(uri)

    def folder_of(self, version: ModelVersion) -> Path:
        """The version's files, verified.

        Raises:
            ArtifactError: They cannot be had, are others, or nobody vouches for them.
        """
        return self._files.folder_of(
            ModelArgs(
                name=version.name,
                version=version.version,
                digest=version.digest,
                source=None if version.registered else version.source,
            )
        )

    def example_of(self, version: ModelVersion) -> Any:
        """One row that the model was saved with, as JSON has it; None where it has none or cannot be had.

        Only a picture for the API document, so two small files are read for it and not the whole model, and what
        is wrong with them is for the replicas to say.
        """
        if version.signature is None:
            return None
        with TemporaryDirectory() as scratch:
            try:
                found = self._saved_example(version, Path(scratch))
            except PenstockError:
                return None
        return None if found is None else json_row(found, version.signature)

    def _saved_example(self, version: ModelVersion, scratch: Path) -> Tensors | None:
        settings = self._settings
        store = open_store(
            version.source,
            tracking_uri=settings.tracking_uri,
            endpoint_url=settings.s3_endpoint_url,
        )
        deadline = time.monotonic() + PATIENCE_S
        names = [mlmodel.FILE_NAME]
        for name in names:
            if Path(name).name != name:  # it came with the artifact, and would be written here
                return None
            (scratch / name).write_bytes(store.read(name, deadline, MAX_BYTES))
            if name == mlmodel.FILE_NAME:
                info = mlmodel.read(scratch).input_example
                keys = ("artifact_path", "serving_input_path")
                names.extend(str(info[key]) for key in keys if info.get(key))
        return example(scratch, mlmodel.read(scratch))


def rendered(spec: Spec, settings: Settings) -> Json:
    """The document of `serve_config.yaml` for a configuration, as the registry is now.

    Raises:
        SetupError: The configuration is wrong, or the registry does not have what it names.
    """
    versions = Versions(settings)
    return render(
        spec,
        versions.resolve,
        production=settings.environment == "production",
        example_of=versions.example_of,
        artifact_of=versions.folder_of,
    )
