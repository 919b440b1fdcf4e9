"""What the commands work with: the registry of the environment and downloads, each opened when it is needed."""

from __future__ import annotations

from functools import cached_property

from deployments.commands.models.bar import Bar
from deployments.registry.client import Registry
from deployments.registry.connection import Connection
from deployments.registry.patience import PATIENCE
from deployments.settings import Settings, export
from deployments.versions.download import Downloads


class Opened:
    """One command's registry and downloads, by the operator's settings.

    Args:
        quiet: Show no progress, as for `--json`.
        create: Make a local registry that is not there yet.
    """

    def __init__(self, *, quiet: bool = False, create: bool = False) -> None:
        export(PATIENCE)
        self.settings = Settings()
        if self.settings.s3_endpoint_url is not None:
            # Uploads are MLflow's, which knows this by its own name.
            export({"MLFLOW_S3_ENDPOINT_URL": self.settings.s3_endpoint_url})
        self.bar = Bar(quiet=quiet)
        self._create = create

    @cached_property
    def downloads(self) -> Downloads:
        return Downloads(self.settings, on_total=self.bar.expected, on_bytes=self.bar.arrived)

    @cached_property
    def registry(self) -> Registry:
        return Registry(
            Connection(self.settings.tracking_uri, create=self._create),
            self.downloads.manifest_of,
            s3_endpoint_url=self.settings.s3_endpoint_url,
        )
