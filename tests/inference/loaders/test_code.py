"""Artifacts that ship Python code: each gets its own, whatever else in the process is called the same."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pytest

from deployments.errors import LoadError
from deployments.inference.loaders import code, load
from deployments.inference.loaders.options import LoadOptions

DATA = {"x": np.array([1.0, 2.0])}


def package(folder: Path, factor: int, *, init: bool = True) -> Path:
    """A folder with packages `models` and `utils`, which need each other, and a lazy import among them."""
    files = {
        "models/net.py": (
            "from utils.scale import FACTOR\n"
            "class Net:\n"
            "    def predict(self, x):\n"
            "        import utils.late\n"
            "        return x * FACTOR + utils.late.SHIFT\n"
            "def build():\n"
            "    return Net()\n"
        ),
        "models/entry.py": (
            "from models.net import build\n"
            "class Impl:\n"
            "    def predict(self, data, params=None):\n"
            "        return build().predict(data)\n"
            "def _load_pyfunc(path):\n"
            "    return Impl()\n"
        ),
        "utils/scale.py": f"FACTOR = {factor}\n",
        "utils/late.py": f"SHIFT = {factor * 100}\n",
    }
    if init:
        files |= {"models/__init__.py": "", "utils/__init__.py": ""}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def artifact(folder: Path, factor: int, kind: str, *, init: bool = True) -> Path:
    """A model of that code: an estimator whose pickle names it, or a loader module that MLflow imports."""
    if kind == "pyfunc":
        source = package(folder.parent / f"{folder.name}-source", factor, init=init)
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module="models.entry",
            code_paths=[str(source / "models"), str(source / "utils")],
            pip_requirements=["numpy"],
        )
        return folder
    package(folder / "code", factor, init=init)
    (folder / "MLmodel").write_text("flavors: {sklearn: {}, python_function: {code: code}}")
    (folder / "model.pkl").write_bytes(b"cmodels.net\nbuild\n(tR.")
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A process that was started in a folder with a `models` package of its own, imported already."""
    here = tmp_path / "repo"
    (here / "models").mkdir(parents=True)
    (here / "models" / "__init__.py").write_text("HOME = True")
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(str(here))
    for name in [n for n in sys.modules if n.partition(".")[0] in {"models", "utils"}]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("models")


@pytest.mark.parametrize("init", [True, False], ids=["packages", "folders"])
@pytest.mark.parametrize("kind", ["sklearn", "pyfunc"])
def test_two_artifacts_with_packages_of_the_same_names(tmp_path, home, kind, init):
    """One after the other in one process, each answers by its own code, and home is there afterwards.

    A folder without `__init__.py` is a package too, and one that any other of its name on the path beats.
    """
    first = artifact(tmp_path / "first", 2, kind, init=init)
    second = artifact(tmp_path / "second", 3, kind, init=init)
    path, finders = sys.path, list(sys.meta_path)
    before = list(path)

    for folder, factor in ((first, 2), (second, 3), (first, 2)):
        with code.borrowed():
            model = load(folder, device="cpu", threads=None)
            answer = next(iter(model(DATA).values()))
        assert answer.tolist() == [1 * factor + 100 * factor, 2 * factor + 100 * factor]

    assert sys.modules["models"] is home
    assert "utils" not in sys.modules
    assert (sys.path, sys.meta_path) == (before, finders)
    assert sys.path is path


@pytest.mark.parametrize("init", [True, False], ids=["packages", "folders"])
def test_a_replica_keeps_its_models_code(tmp_path, home, monkeypatch, init):
    """Code that imports only when it is called finds its own modules for good, whatever comes onto the path."""
    with code.borrowed():  # for this process, which is none
        folder = artifact(tmp_path / "m", 2, "sklearn", init=init)
        model = load(folder, device="cpu", threads=None)
        assert sys.path[0] == str(folder / "code")
        monkeypatch.syspath_prepend(str(package(tmp_path / "other", 3, init=init)))

        assert model(DATA)["output"].tolist() == [202, 204]


def test_a_stage_that_came_with_the_model_shares_its_modules(tmp_path, home, monkeypatch):
    """Imported before the model, from the same folder: one copy, so that classes are equal to themselves."""
    folder = artifact(tmp_path / "m", 2, "sklearn")
    del sys.modules["models"]
    monkeypatch.syspath_prepend(str(folder / "code"))
    net = importlib.import_module("models.net")

    with code.borrowed():
        load(folder, device="cpu", threads=None)
        assert sys.modules["models.net"] is net

    assert sys.modules["models.net"] is net


@pytest.mark.parametrize("kind", ["sklearn", "pyfunc"])
def test_loading_leaves_no_file_behind(tmp_path, kind):
    """Python would write `__pycache__` into the folder, which would not be the verified one any more."""
    folder = artifact(tmp_path / "m", 2, kind)
    for cached in folder.rglob("__pycache__"):
        pytest.fail(f"MLflow saved {cached}")
    before = sorted(folder.rglob("*"))
    script = (
        "from pathlib import Path; from deployments.inference.loaders import load; import numpy as np; "
        f"load(Path({str(folder)!r}), device='cpu', threads=None)({{'x': np.ones(1)}})"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    subprocess.run([sys.executable, "-c", script], check=True, env=environment)

    assert sorted(folder.rglob("*")) == before


def test_a_package_called_as_penstock_is_refused(tmp_path):
    """It cannot be had in a process that Penstock runs, so it is said at once."""
    folder = artifact(tmp_path / "m", 2, "sklearn")
    (folder / "code" / "deployments").mkdir()

    with pytest.raises(LoadError, match="ships a module called `deployments`"):
        load(folder, device="cpu", threads=None)


def test_code_outside_the_artifact_is_refused(tmp_path):
    """The digest speaks for the folder alone."""
    folder = artifact(tmp_path / "m", 2, "sklearn")
    (folder / "MLmodel").write_text("flavors: {sklearn: {}, python_function: {code: ../..}}")

    with pytest.raises(LoadError, match="outside its own folder"):
        load(folder, device="cpu", threads=None)


def test_what_cannot_be_in_a_process_twice_stays(tmp_path, caplog):
    """Native packages and the standard library: half of them anew would break the whole."""
    folder = artifact(tmp_path / "m", 2, "sklearn")
    for name in ("numpy", "json"):
        (folder / "code" / name).mkdir()
        (folder / "code" / name / "__init__.py").write_text("raise ImportError('not this one')")
    kept = sys.modules["numpy"], sys.modules["json"]

    with code.borrowed():
        assert load(folder, device="cpu", threads=None)(DATA)["output"].tolist() == [202, 204]
        assert (sys.modules["numpy"], sys.modules["json"]) == kept

    assert (sys.modules["numpy"], sys.modules["json"]) == kept
    assert "ships numpy" in caplog.text


def test_without_the_model_of_that_name_it_is_told(tmp_path, home):
    """An artifact that forgot its code does not get another's by chance of a name."""
    folder = artifact(tmp_path / "m", 2, "sklearn")
    (folder / "code" / "models" / "net.py").unlink()

    with (
        code.borrowed(),
        pytest.raises(LoadError, match=r"needs the module models\.net, .*code_paths"),
    ):
        load(folder, device="cpu", threads=None, options=LoadOptions(flavor="sklearn"))
