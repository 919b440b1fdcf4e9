"""Turns whatever a framework or a model's own code raises while it is loaded into one line for an operator."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.errors import LoadError, SetupError

log = logging.getLogger(__name__)

# Which of our extras brings a package; anything else is the model's own requirement.
EXTRAS = {"onnxruntime": "onnx", "transformers": "transformers"}


@contextmanager
def told_in_one_line(folder: Path) -> Iterator[None]:
    """Raise a `LoadError` for anything that is raised within, and log the whole of it.

    Raises:
        LoadError: With the first line of what was raised, or with the package that is missing.
    """
    try:
        yield
    except SetupError:
        raise
    except ModuleNotFoundError as exc:
        log.warning("the model in %s cannot be loaded", folder, exc_info=exc)
        raise LoadError(_missing(folder, exc)) from exc
    # SystemExit too: a script among a model's code may end with one, and a replica shall not end by it.
    except (Exception, SystemExit) as exc:
        log.warning("the model in %s cannot be loaded", folder, exc_info=exc)
        raise LoadError(f"The model in {folder} cannot be loaded: {first_line(exc)}") from exc


def first_line(raised: BaseException) -> str:
    """The first line of an error's text, or its class where it has none or one that says nothing alone."""
    line = str(raised).strip().partition("\n")[0]
    if isinstance(raised, KeyError | SystemExit) or not line:
        return f"{type(raised).__name__} {line}".strip()
    return line


def _missing(folder: Path, exc: ModuleNotFoundError) -> str:
    """Which package to install, or which module the model should have brought."""
    top = (exc.name or "").partition(".")[0]
    if not top:
        return f"The model in {folder} cannot be loaded: {first_line(exc)}"
    needs = f"The model in {folder} needs the module {exc.name}, which is not installed here: "
    if top in EXTRAS:
        return f"{needs}pip install 'penstock[{EXTRAS[top]}]'"
    if requirement := requirement_of(folder, top):
        return f"{needs}its requirements.txt asks for pip install '{requirement}'"
    return (
        f"{needs}log the model with its module in `code_paths`, or install it where Penstock runs."
    )


# Packages whose modules are called otherwise; the rest differ at most in `-` and `_`.
_PACKAGES = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
}


def requirement_of(folder: Path, module: str) -> str | None:
    """The line of an artifact's requirements.txt that brings a module; None where none says so."""
    try:
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = _PACKAGES.get(module, module).replace("_", "-").lower()
    for line in lines:
        requirement = line.partition("#")[0].strip()
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if name and name[0].replace("_", "-").lower() == wanted:
            return requirement
    return None
