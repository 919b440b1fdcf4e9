"""Classes of a team's own as stages: from the image by their import path, or from a model version's `code/` folder.

Such a class need not import anything of ours. Those that come with a version never drift apart from its model, and
two versions may each bring a module of the same name: see `loaders.code`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deployments.errors import SpecError
from deployments.inference import mlmodel
from deployments.inference.loaders import code
from deployments.inference.loaders.wanted import Wanted

ARTIFACT = "artifact:"
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PATH = re.compile(rf"(?P<artifact>{ARTIFACT})?(?P<module>{_DOTTED}):(?P<name>{_DOTTED})")


def is_path(use: str) -> bool:
    """Whether `use` is written as an import path."""
    return _PATH.fullmatch(use) is not None


def is_from_artifact(use: str) -> bool:
    """Whether the class comes with the model version."""
    return use.startswith(ARTIFACT)


def load(use: str, artifact: Path | None) -> Any:
    """The class that an import path means; what comes with a version stays importable, unless `code.borrowed`.

    Raises:
        SpecError: The module, or the class in it, is not there, cannot be imported or is none; in one line.
    """
    found = _PATH.fullmatch(use)
    if found is None:
        raise SpecError(f"the stage {use!r} is not written as [artifact:]package.module:Class")
    module, name = found["module"], found["name"]
    if not found["artifact"]:
        return _class(use, _module(use, module, "this Python environment"), name)
    if artifact is None:
        raise SpecError(
            f"the stage {use} needs the files of its model version, which are not at hand"
        )
    code.install(Wanted(artifact, _flavors(artifact)))
    own = _module(use, module, "the model version's code/")
    if not _is_within(own, artifact.resolve()):
        raise SpecError(
            f"the stage {use}: {module} is a module of Python's own or of another origin, not the model "
            "version's; give the version's own another name"
        )
    return _class(use, own, name)


def _flavors(artifact: Path) -> Mapping[str, Mapping[str, Any]]:
    """What the model's file says, among it where its code is; a folder of bare weights has no such file."""
    file = artifact / mlmodel.FILE_NAME
    return mlmodel.read(artifact).flavors if file.exists() else {}


def _is_within(module: Any, folder: Path) -> bool:
    # A namespace package has no file, but places.
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and Path(place).resolve().is_relative_to(folder) for place in places)


def _module(use: str, module: str, where: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        missing = exc.name or module
        if module == missing or module.startswith(f"{missing}."):
            raise SpecError(f"the stage {use}: {where} has no module {missing}") from None
        raise SpecError(
            f"the stage {use} imports {missing}, which is not installed where it runs"
        ) from None
    except Exception as exc:
        raise SpecError(f"the stage {use} cannot be imported: {one_line(exc)}") from exc


def _class(use: str, module: Any, name: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise SpecError(f"the stage {use}: module {module.__name__} has no class {name}")
        found = getattr(found, part)
    if not isinstance(found, type):
        raise SpecError(f"the stage {use} is no class but a {type(found).__name__}")
    if "__call__" not in dir(found):  # callable() would say that a class can always be called
        raise SpecError(
            f"the stage {use} cannot be called with a batch: it has no method __call__(self, tensors)"
        )
    return found


def one_line(exc: BaseException) -> str:
    """An exception's class and the first line of what it says."""
    said = str(exc).strip().partition("\n")[0]
    return f"{type(exc).__name__}: {said}" if said else type(exc).__name__
