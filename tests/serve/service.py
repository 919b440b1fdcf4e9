"""A running `penstock up` as the tests of this folder see it: an address, an environment, and processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

from deployments.cluster import family
from tests.conftest import ROOT

HERE = Path(__file__).parent
CONFIG = HERE / "serve.yaml"
PENSTOCK = (sys.executable, "-c", "from deployments.cli import main; main()")
GPUS = 4


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Whether it came true within the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return bool(condition())


@dataclass
class Service:
    """`penstock up`, from its start to its end.

    Attributes:
        environment: What it was started in, and what commands that speak to it need.
    """

    config: Path
    port: int
    home: Path
    tracking_uri: str
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [*PENSTOCK, "up", "--config", str(self.config), "--port", str(self.port)],
                cwd=self.home,  # not in the checkout, where it would train the examples
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._starter = family.Starter(
            self.process.pid, round(psutil.Process(self.process.pid).create_time(), 2)
        )

    @property
    def environment(self) -> dict[str, str]:
        path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        return os.environ | {
            "PENSTOCK_HOME": str(self.home),
            "PENSTOCK_TRACKING_URI": self.tracking_uri,
            "PENSTOCK_START_TIMEOUT_S": "150",
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # Ray's own way to book GPUs that are not there.
            "RAY_OVERRIDE_RESOURCES": json.dumps({"GPU": GPUS}),
        }

    @property
    def _log(self) -> Path:
        return self.home / "up.log"

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self, seconds: float) -> None:
        """Return once it says that it is ready; fail with what it said if it does not."""
        ended = "Ctrl-C stops everything."
        wait_for(lambda: ended in self.output or self.process.poll() is not None, seconds)
        assert ended in self.output, self.output

    def stop(self) -> None:
        """End it by SIGTERM; whatever is left of it is ended by force."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
        family.end(family.marked().get(self._starter, []))

    @cached_property
    def applications(self) -> dict[tuple[str, str], str]:
        """The application behind each endpoint and variant."""
        edge = self.rendered["applications"][0]["deployments"][0]
        return {
            (name, variant): route["application"]
            for name, endpoint in edge["user_config"]["endpoints"].items()
            for variant, route in endpoint["variants"].items()
        }

    @cached_property
    def rendered(self) -> dict[str, Any]:
        """What `penstock config render` makes of the configuration."""
        import yaml

        rendered = self.home / "rendered.yaml"
        subprocess.run(
            [*PENSTOCK, "config", "render", str(self.config), "--output", str(rendered)],
            env=self.environment,
            check=True,
            timeout=60,
        )
        document: dict[str, Any] = yaml.safe_load(rendered.read_text())
        return document

    def shell(self, script: str, seconds: float = 60) -> str:
        """What a script prints in a shell that has the environment of `penstock env --local`."""
        call = f"{sys.executable} -c 'from deployments.cli import main; main()' env --local"
        done = subprocess.run(
            ["bash", "-ec", f'eval "$({call})"\n{script}'],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self, document: dict[str, Any]) -> None:
        """`serve deploy`, as the README tells it."""
        import yaml

        file = self.home / "edited.yaml"
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        self.shell(f"serve deploy {file}")

    def replicas(self, application: str, deployment: str) -> list[psutil.Process]:
        """The processes of a deployment, by the title that Ray gives them."""
        title = f"ray::ServeReplica:{application}:{deployment}"
        found = []
        for process in family.marked().get(self._starter, []):
            try:
                if (process.cmdline() or [""])[0].partition(".")[0].strip() == title:
                    found.append(process)
            except psutil.Error:
                continue
        return found
