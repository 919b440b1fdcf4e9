"""From an artifact folder to a model that can be called: one loader for each flavour on the allow-list.

Importing this costs nothing: the framework that a flavour needs is imported when a model of it is loaded.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from deployments.errors import SetupError
from deployments.inference import mlmodel
from deployments.inference.mlmodel import ModelFile, Signature
from deployments.inference.tensors import Tensors

# An allow-list, since some flavours run whatever Python they bring. The order is that of preference.
LOADERS = {"pytorch": "deployments.inference.loaders.pytorch"}


class LoadedModel(Protocol):
    """A model in memory, on its device. Calling it blocks until the answer is there."""

    @property
    def signature(self) -> Signature | None: ...

    def __call__(self, tensors: Tensors) -> Tensors:
        """Named arrays in, named arrays out, with the same number of rows.

        Raises:
            ModelFailed: A tensor that the model takes is missing.
            Exception: Whatever the model itself raises on these rows.
        """


class _Loader(Protocol):
    def load(
        self, folder: Path, file: ModelFile, *, device: str, threads: int | None
    ) -> LoadedModel: ...


def load(folder: Path, *, device: str, threads: int | None) -> LoadedModel:
    """The model of an artifact folder, ready to be called.

    Args:
        folder: What an `MLmodel` file lies in.
        device: `cpu` or `cuda:0`, as `devices.choose_device` names it.
        threads: How many threads one call may use; None leaves it to the framework.

    Raises:
        SetupError: Not a model, of no flavour that is allowed here, or it cannot be loaded.
    """
    file = mlmodel.read(folder)
    for flavor, module in LOADERS.items():
        if flavor in file.flavors:
            loader = cast("_Loader", importlib.import_module(module))
            return loader.load(folder, file, device=device, threads=threads)
    raise SetupError(
        f"The model in {folder} has the flavours {', '.join(sorted(file.flavors))}; "
        f"served here are: {', '.join(LOADERS)}. Log it with one of these."
    )
