"""What is measured: this project in both placements, and its peers; how each is started, asked and stopped."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from environments import PEERS, ROOT, Environment
from traffic import INPUTS, INPUTS_TO_LIST, OPEN_INFERENCE, Protocol

CONFIGS = ROOT / "benchmarks" / "configs"
TORCH_THREADS = {"digits": 1, "sentences": 2}
"""More threads than one only cost on 0.1 ms of work; the encoder uses both cores."""


class UnavailableError(Exception):
    """A server cannot be measured here; the message says why, in a few words for the table."""


@dataclass(frozen=True, eq=False)
class Ours:
    """This project under one placement, started as a user starts it."""

    name: str
    configs: dict[str, str]
    protocol: Protocol = INPUTS
    packages: tuple[str, ...] = ("penstock", "ray", "fastapi")
    ready_line: str | None = "Ready"

    def serves(self, model: str) -> bool:
        return model in self.configs

    def path(self, model: str) -> str:
        return f"/api/v1/endpoints/{model}/predict"

    def prepare(self, model: str) -> None:
        if not (CONFIGS / self.configs[model]).is_file():
            raise UnavailableError(f"no benchmarks/configs/{self.configs[model]}")
        if not self._program.is_file():
            raise UnavailableError("penstock is not installed beside this Python")

    def command(self, model: str, port: int) -> list[str]:
        config = CONFIGS / self.configs[model]
        return [str(self._program), "up", "--config", str(config), "--port", str(port)]

    def environment(self, model: str, artifact: Path, port: int) -> dict[str, str]:
        return {}

    def versions(self) -> dict[str, str]:
        return _Main("main").versions(*self.packages)

    @property
    def _program(self) -> Path:
        return Path(sys.executable).parent / "penstock"


@dataclass(frozen=True, eq=False)
class Peer:
    """Another server, in an environment of its own."""

    name: str
    packages: tuple[str, ...]
    protocol: Protocol = INPUTS
    paths: dict[str, str] = field(default_factory=dict)
    default_path: str = "/predict"
    folder: str = ""
    """Under peers/, where it is not its name: two forms of one server share their code and environment."""
    workers: int = 1
    ready_line: str | None = None

    def serves(self, model: str) -> bool:
        return True

    def path(self, model: str) -> str:
        return self.paths.get(model, self.default_path)

    @property
    def home(self) -> Environment:
        return Environment(self.folder or self.name)

    def prepare(self, model: str) -> None:
        """Nothing beyond its environment, which the caller builds before the first measurement."""

    def command(self, model: str, port: int) -> list[str]:
        return [str(self.home.python), str(PEERS / self.home.name / "server.py")]

    def environment(self, model: str, artifact: Path, port: int) -> dict[str, str]:
        """What its server.py reads, and the environment's programs first on the path, as if activated."""
        return {
            "BENCH_MODEL": model,
            "BENCH_ARTIFACT": str(artifact),
            "BENCH_THREADS": str(TORCH_THREADS[model]),
            "BENCH_PORT": str(port),
            "BENCH_WORKERS": str(self.workers),
            "PYTHONPATH": str(ROOT / "benchmarks"),
            "PATH": f"{self.home.python.parent}:/usr/local/bin:/usr/bin:/bin",
        }

    def versions(self) -> dict[str, str]:
        return self.home.versions(*self.packages)


class _Main(Environment):
    """The environment this runs in."""

    @property
    def python(self) -> Path:
        return Path(sys.executable)


SEPARATE = Ours("penstock separate", {"digits": "digits-separate.yaml"})
TOGETHER = Ours(
    "penstock together", {"digits": "digits-together.yaml", "sentences": "sentences.yaml"}
)
OURS = (SEPARATE, TOGETHER)
PEERS_MEASURED = (
    Peer("ray_chain", ("ray",)),
    Peer("fastapi", ("fastapi",), paths={"digits": "/digits", "sentences": "/sentences"}),
    Peer(
        "fastapi_2",
        ("fastapi",),
        paths={"digits": "/digits", "sentences": "/sentences"},
        folder="fastapi",
        workers=2,
    ),
    Peer("mosec", ("mosec",), default_path="/inference"),
    Peer("mlserver", ("mlserver",), OPEN_INFERENCE, default_path="/v2/models/bench/infer"),
    Peer("litserve", ("litserve",)),
    Peer("bentoml", ("bentoml",), INPUTS_TO_LIST),
    Peer("mlflow", ("mlflow",), default_path="/invocations"),
)
ALL = (*OURS, *PEERS_MEASURED)
LABELS = {
    "ray_chain": "Ray Serve chain, defaults",
    "fastapi": "FastAPI + uvicorn in process",
    "fastapi_2": "FastAPI + uvicorn, 2 workers",
    "mosec": "mosec",
    "mlserver": "MLServer",
    "litserve": "LitServe",
    "bentoml": "BentoML",
    "mlflow": "mlflow models serve",
}
