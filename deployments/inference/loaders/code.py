"""Makes the Python code that an artifact ships importable, whatever else in the process has the same names.

A logged model may bring packages called `models`, `utils` or `configs`; so may the next version, and the
folder that a process was started in. The artifact's own must win. Putting its folder first on `sys.path`, as
MLflow does, is not enough: what was imported before stays in `sys.modules`, and a package without an
`__init__.py` loses to one that has it anywhere on the path. So a finder is asked before the path is.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from deployments.errors import LoadError
from deployments.inference.loaders.wanted import Wanted

log = logging.getLogger(__name__)

OURS = "deployments"


class ArtifactFinder(MetaPathFinder):
    """Finds the modules of one artifact in its own folders, before any other finder is asked.

    Attributes:
        names: The modules and packages that lie there.
        evicted: What was imported under these names before, by its full name, to be put back.
        kept: Those of the names that go on meaning what they did.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [str(folder) for folder in folders]
        self.names = frozenset(name for folder in folders for name in _modules(folder))
        self.evicted: dict[str, ModuleType] = {}
        self.kept: frozenset[str] = frozenset()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname not in self.names:
            return None
        spec = PathFinder.find_spec(fullname, self.folders)
        if spec is not None and spec.submodule_search_locations is not None:
            # For a package without `__init__.py` this is a list that is searched for again, along all of
            # `sys.path`, whenever that changes. A plain list stays as it is.
            spec.submodule_search_locations = list(spec.submodule_search_locations)
        return spec

    def ours(self) -> list[str]:
        """The full names of all imported modules that go by our names, but for those that are kept."""
        tops = self.names - self.kept
        return [name for name in sys.modules if _top(name) in tops]

    def evict(self) -> None:
        """Take other modules of our names out of `sys.modules`, so that the next import finds ours."""
        native = {_top(name) for name in self.ours() if _is_native(name)}
        if native:
            log.warning("an artifact ships %s; the one imported already stays", ", ".join(native))
        # Neither can be in a process twice: what stays of the old would not fit the new.
        self.kept = frozenset(native | (self.names & sys.stdlib_module_names))
        self.evicted = {name: sys.modules[name] for name in self.ours()}
        for name, module in self.evicted.items():
            # A stage that came with the model may have been imported before it: one copy serves both.
            if not self._is_home(module):
                del sys.modules[name]

    def _is_home(self, module: ModuleType) -> bool:
        """Whether a module came from these very folders."""
        # A package without `__init__.py` has no file, but places.
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        return any(
            place and Path(place).is_relative_to(folder)
            for place in places
            for folder in self.folders
        )


def install(wanted: Wanted) -> None:
    """Make an artifact's code importable for the rest of the process: for a replica, which loads one model.

    Nothing is written beside it either, from here on: a verified folder that gained `__pycache__` would not
    be the registered one any more.

    Raises:
        LoadError: The code is said to lie outside the artifact, or is called as Penstock itself is.
    """
    sys.dont_write_bytecode = True
    folders = _code_folders(wanted)
    finder = ArtifactFinder(folders)
    if not folders or any(
        isinstance(each, ArtifactFinder) and each.folders == finder.folders
        for each in sys.meta_path
    ):
        return  # a stage of the same version was here before: its modules stay the ones that they are
    if OURS in finder.names:
        raise LoadError(
            f"The model in {wanted.folder} ships a module called `{OURS}`, which is the name of what "
            "serves it: rename it in what `code_paths` named, and log the model anew."
        )
    importlib.invalidate_caches()
    finder.evict()
    sys.meta_path.insert(0, finder)
    # Also on the path, where code that looks for its files or starts processes expects it.
    sys.path[:0] = finder.folders


@contextmanager
def borrowed() -> Iterator[None]:
    """Undo at the end what loading models within has changed: for a process that loads several in turn.

    A model loaded within should be called within, too: code that imports when it is called finds its own
    modules only here.
    """
    path, before = sys.path, list(sys.path)
    finders = list(sys.meta_path)
    written = sys.dont_write_bytecode
    try:
        yield
    finally:
        sys.dont_write_bytecode = written
        path[:] = before
        sys.path = path  # MLflow puts a list of its own there
        added = [f for f in sys.meta_path if isinstance(f, ArtifactFinder) and f not in finders]
        # The newest is first, and what it evicted may belong to the one before.
        for finder in added:
            sys.meta_path.remove(finder)
            for name in finder.ours():
                del sys.modules[name]
            sys.modules.update(finder.evicted)
        importlib.invalidate_caches()


def _code_folders(wanted: Wanted) -> list[Path]:
    """Where the artifact's code lies, by what its flavours say and by custom, each folder once."""
    said = [conf.get("code") for conf in wanted.flavors.values()]
    folders = [wanted.path(code).absolute() for code in said if isinstance(code, str) and code]
    by_custom = wanted.folder.absolute() / "code"
    if by_custom.is_dir():
        folders.append(by_custom)
    return list({folder.resolve(): folder for folder in folders}.values())


def _modules(folder: Path) -> Iterator[str]:
    """What can be imported from a folder: packages, with an `__init__.py` or without, and modules."""
    for entry in folder.iterdir():
        name = _top(entry.name)
        suffixes = (".py", *EXTENSION_SUFFIXES)
        importable = entry.is_dir() or entry.name.endswith(suffixes)
        if importable and name.isidentifier() and name != "__pycache__":
            yield name


def _top(name: str) -> str:
    return name.partition(".")[0]


def _is_native(name: str) -> bool:
    """Whether a module that is imported is native code."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(file, str) and file.endswith(tuple(EXTENSION_SUFFIXES))
