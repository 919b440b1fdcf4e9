"""Weights without a computation: state dicts and safetensors, filled into a module that a configuration names.

Neither format runs anything when it is read: a state dict is unpickled by torch's restricted reader
(`weights_only`), and safetensors has no code in it at all.
"""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from deployments.errors import LoadError

SAFETENSORS = ".safetensors"


def read(path: Path, builder: str | None) -> torch.nn.Module:
    """The module that `builder` builds, with the weights of a file.

    Args:
        path: A state dict, or safetensors by its suffix.
        builder: ``package.module:callable``, called without arguments.

    Raises:
        LoadError: There is no such builder, it builds no module, or the weights are not this module's.
    """
    if builder is None:
        raise LoadError(
            f"{path} holds weights without a computation: name what builds the module with "
            "`loader.module: package.module:callable`, or log the module itself."
        )
    weights = _weights(path)
    module = _build(path, builder)
    wrong = module.load_state_dict(weights, strict=False) if _fits(path, module, weights) else None
    if wrong is not None and (wrong.missing_keys or wrong.unexpected_keys):
        raise LoadError(
            f"{path} does not fit what {builder} builds: it lacks {_some(wrong.missing_keys)}, "
            f"and has besides {_some(wrong.unexpected_keys)}."
        )
    return module


def _weights(path: Path) -> Mapping[str, torch.Tensor]:
    if path.suffix == SAFETENSORS:
        from safetensors.torch import load_file

        loaded: Any = load_file(path)
        return dict(loaded)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as exc:
        # Torch's own text is about how to switch this off.
        named = re.search(r"GLOBAL ([\w.]+)", str(exc))
        what = f"names {named[1]}, which is code" if named else "is not a state dict"
        raise LoadError(
            f"{path} {what}: only weights are read from it. Save `module.state_dict()`."
        ) from exc
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]  # a checkpoint, with the optimiser's state and more beside it
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise LoadError(f"{path} is not a state dict: save `module.state_dict()` alone.")
    return loaded


def _build(path: Path, builder: str) -> torch.nn.Module:
    name, _, attributes = builder.partition(":")
    if not name or not attributes:
        raise LoadError(f"`loader.module: {builder}` is not of the form package.module:callable.")
    build: Any = importlib.import_module(name)
    for attribute in attributes.split("."):
        build = getattr(build, attribute, None)
    if not callable(build):
        raise LoadError(
            f"`loader.module: {builder}` names nothing that can be called: {name} has no {attributes}."
        )
    module = build()
    if not isinstance(module, torch.nn.Module):
        raise LoadError(
            f"{builder} builds a {type(module).__name__} for {path.name}, not a torch module."
        )
    return module


def _fits(path: Path, module: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> bool:
    """True; the shapes are compared here, as torch tells them over many lines."""
    own = module.state_dict()
    for name in sorted(own.keys() & weights.keys()):
        if own[name].shape != weights[name].shape:
            raise LoadError(
                f"{path} does not fit the module: {name} is {list(weights[name].shape)} in the file and "
                f"{list(own[name].shape)} in the module."
            )
    return True


def _some(keys: list[str], limit: int = 3) -> str:
    more = f" and {len(keys) - limit} more" if len(keys) > limit else ""
    return (", ".join(keys[:limit]) or "nothing") + more
