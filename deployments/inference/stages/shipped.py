"""Classes of a team's own as stages: from the image by their import path, or from a model version's `code/` folder.

Such a class need not import anything of ours. Those that come with a version never drift apart from its model, and
two versions may each bring a module of the same name: a process that looks at several (whoever renders a
configuration) forgets each version's modules again, one that runs a version (a replica) keeps them.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.errors import SpecError

ARTIFACT = "artifact:"
CODE = "code"
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_PATH = re.compile(rf"(?P<artifact>{ARTIFACT})?(?P<module>{_DOTTED}):(?P<name>{_DOTTED})")


def is_path(use: str) -> bool:
    """Whether `use` is written as an import path."""
    return _PATH.fullmatch(use) is not None


def is_from_artifact(use: str) -> bool:
    """Whether the class comes with the model version."""
    return use.startswith(ARTIFACT)


def load(use: str, artifact: Path | None) -> Any:
    """The class that an import path means; for good in this process.

    Raises:
        SpecError: The module, or the class in it, is not there, cannot be imported or is none; in one line.
    """
    found = _PATH.fullmatch(use)
    if found is None:
        raise SpecError(f"the stage {use!r} is not written as [artifact:]package.module:Class")
    module, name = found["module"], found["name"]
    if not found["artifact"]:
        return _class(use, module, name, "this Python environment")
    if artifact is None:
        raise SpecError(
            f"the stage {use} needs the files of its model version, which are not at hand"
        )
    code = artifact / CODE
    if not code.is_dir():
        raise SpecError(
            f"the stage {use} is not in the model version: it has no folder {CODE}/. "
            "Log the model with code_paths=[...]"
        )
    # Compiled files beside the sources would be files that nobody registered: the next digest would not match.
    sys.dont_write_bytecode = True
    if str(code) not in sys.path:
        sys.path.insert(0, str(code))
        importlib.invalidate_caches()
    kind = _class(use, module, name, f"the model version's {CODE}/")
    if not _is_within(sys.modules[module], artifact):
        raise SpecError(
            f"the stage {use}: this process already has a module {module} that is not the model "
            "version's; give the version's own another name"
        )
    return kind


@contextmanager
def forgotten(artifact: Path | None) -> Iterator[None]:
    """Within, classes of a version can be loaded; afterwards none of its modules can be imported any more."""
    path, modules = list(sys.path), set(sys.modules)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if artifact is not None and _is_within(sys.modules[name], artifact):
                del sys.modules[name]


def _is_within(module: Any, folder: Path) -> bool:
    # A namespace package has no file, but places.
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and Path(place).is_relative_to(folder) for place in places)


def _class(use: str, module: str, name: str, where: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as exc:
        missing = exc.name or module
        if module == missing or module.startswith(f"{missing}."):
            raise SpecError(f"the stage {use}: {where} has no module {missing}") from None
        raise SpecError(
            f"the stage {use} imports {missing}, which is not installed where it runs"
        ) from None
    except Exception as exc:
        raise SpecError(f"the stage {use} cannot be imported: {one_line(exc)}") from exc
    for part in name.split("."):
        if not hasattr(found, part):
            raise SpecError(f"the stage {use}: module {module} has no class {name}")
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
