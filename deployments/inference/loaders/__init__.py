"""From an artifact folder to a model that can be called: one loader for each flavour that may be allowed.

Importing this costs nothing: the framework that a flavour needs is imported when a model of it is loaded.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from deployments.errors import LoadError
from deployments.inference import mlmodel
from deployments.inference.loaders import code
from deployments.inference.loaders.failures import told_in_one_line
from deployments.inference.loaders.options import FLAVORS, LoadOptions
from deployments.inference.loaders.wanted import Wanted
from deployments.inference.mlmodel import ModelFile, Signature
from deployments.inference.tensors import Tensors

# What MLflow calls a flavour in the `MLmodel` file, where that is not what everybody else calls it.
_IN_FILE = {"pyfunc": "python_function"}


class LoadedModel(Protocol):
    """A model in memory, on its device. Calling it blocks until the answer is there."""

    @property
    def signature(self) -> Signature | None: ...

    def __call__(self, tensors: Tensors) -> Tensors:
        """Named arrays in, named arrays out, with the same number of rows.

        Raises:
            ModelFailed: A tensor that the model takes is missing or of another kind.
            Exception: Whatever the model itself raises on these rows.
        """


class _Loader(Protocol):
    def load(self, wanted: Wanted) -> LoadedModel: ...


def load(
    folder: Path,
    *,
    device: str,
    threads: int | None,
    options: LoadOptions | None = None,
    signature: Signature | None = None,
) -> LoadedModel:
    """The model of an artifact folder, ready to be called.

    The code that the artifact ships becomes importable for the rest of the process, before whatever else is
    called the same; `code.borrowed` undoes that for a process that loads several.

    Args:
        folder: What an `MLmodel` file lies in.
        device: `cpu` or `cuda:0`, as `devices.choose_device` names it.
        threads: How many threads one call may use; None leaves it to the framework.
        options: How to load it; None is by the defaults.
        signature: What the model takes and gives, in place of what the artifact says.

    Raises:
        LoadError: It is of no flavour that is allowed, lacks a file or a package, or raises.
        SetupError: There is no model in this folder.
    """
    options = options or LoadOptions()
    file = _read(folder, options, signature)
    flavor = _choose(folder, file, options)
    _refuse_ineffective(folder, flavor, options)
    wanted = Wanted(
        folder=folder,
        flavors=file.flavors,
        device=device,
        threads=threads,
        options=options,
        signature=signature or file.signature,
    )
    with told_in_one_line(folder):
        # The framework first, so that it finds its own modules and not an artifact's of the same name.
        loader = cast("_Loader", importlib.import_module(f"{__name__}.{flavor}"))
        code.install(wanted)
        return loader.load(wanted)


def _read(folder: Path, options: LoadOptions, signature: Signature | None) -> ModelFile:
    """What the folder says of itself; a folder of weights alone is what a configuration says it is."""
    if options.weights is None or options.module is None or (folder / mlmodel.FILE_NAME).exists():
        return mlmodel.read(folder)
    if signature is None:
        raise LoadError(
            f"{folder} has no {mlmodel.FILE_NAME} file, so what its model takes and gives must be "
            "declared: write a `signature` in the configuration, or log the model with MLflow."
        )
    return ModelFile(flavors={"pytorch": {}})


def _choose(folder: Path, file: ModelFile, options: LoadOptions) -> str:
    """Which of the allowed flavours to load the model by."""
    allowed = ", ".join(options.allow) or "none"
    if unknown := [name for name in options.allow if name not in FLAVORS]:
        raise LoadError(
            f"`loader.allow` names {', '.join(unknown)}; there are {', '.join(FLAVORS)}."
        )
    if options.flavor is not None and options.flavor not in options.allow:
        raise LoadError(
            f"`loader.flavor: {options.flavor}` is not among what `loader.allow` has: {allowed}."
        )
    for name in (options.flavor,) if options.flavor is not None else options.allow:
        if _IN_FILE.get(name, name) in file.flavors:
            return name
    in_file = {inside: name for name, inside in _IN_FILE.items()}
    has = ", ".join(sorted(in_file.get(name, name) for name in file.flavors)) or "none"
    if options.flavor is not None:
        raise LoadError(
            f"The model in {folder} has the flavours {has}, and not {options.flavor} as "
            "`loader.flavor` says."
        )
    raise LoadError(
        f"The model in {folder} has the flavours {has}; allowed here are: {allowed}. "
        "Change `loader.allow` in its configuration, or log it with one of these."
    )


# What of `LoadOptions` is for some flavours only; elsewhere it would be believed to do something.
_FOR = {
    "weights": {"pytorch"},
    "module": {"pytorch"},
    "precision": {"pytorch"},
    "compile": {"pytorch"},
    "pin_memory": {"pytorch"},
    "method": {"sklearn", "pyfunc", "transformers"},
}


def _refuse_ineffective(folder: Path, flavor: str, options: LoadOptions) -> None:
    standard = LoadOptions()
    for name, flavors in _FOR.items():
        if flavor not in flavors and getattr(options, name) != getattr(standard, name):
            raise LoadError(
                f"`loader.{name}` is for models of the flavours {', '.join(sorted(flavors))}, but the one "
                f"in {folder} is loaded as {flavor}: remove it, or say another `loader.flavor`."
            )
