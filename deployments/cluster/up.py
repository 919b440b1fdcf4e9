"""`penstock up`: from nothing to a service that answers, step by step, and back to nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import yaml

from deployments.api.document import example_body
from deployments.cluster import preconditions
from deployments.cluster.local import LocalCluster
from deployments.cluster.statuses import Application
from deployments.cluster.stopping import StopSignals
from deployments.errors import SetupError, SpecError
from deployments.inference.table import read_table
from deployments.progress import Progress
from deployments.settings import Settings, export
from deployments.spec.model import Spec
from deployments.spec.read import read_spec
from deployments.versions.resolve import rendered

_EXAMPLES = Path("models/digits.py")
_READY_PATH = "/api/v1/health/ready"


Json = dict[str, Any]


class Up:
    """One run of `penstock up`."""

    def __init__(self, config: Path, port: int, settings: Settings, progress: Progress) -> None:
        self._config = config
        self._port = port
        self._settings = settings
        self._progress = progress
        self._cluster = LocalCluster(port, drain_timeout_s=settings.drain_timeout_s)

    def run(self) -> int:
        """Serve until a signal comes.

        Returns:
            The exit code: 0 when stopped while serving, 128 + the signal's number when stopped before.

        Raises:
            SetupError: It cannot start; everything that had started is stopped by then.
        """
        source = load(self._config)
        for note in preconditions.check(self._port):
            self._progress.say(note)
        export(self._settings.for_workers())  # Ray's processes inherit it
        ready = False
        with StopSignals() as signals:
            try:
                self._start(source, signals)
                ready = True
                signal.pause()
            except BaseException as error:
                # Whatever it is by now: raised in the middle of an import or of Ray's C++, `Stopped` comes out
                # as an ImportError or a RayError; and Ray's own handler, in place for a moment, exits.
                number = error.code if isinstance(error, SystemExit) else signals.number
                if not isinstance(number, int):
                    raise
                return 0 if ready else 128 + number
            finally:
                signals.ignore_first()
                with self._progress.step("Stopping"):
                    self._cluster.stop(signals.hurry, self._progress.say)
        return 0

    def _start(self, source: Spec | Json, signals: StopSignals) -> None:
        started = time.monotonic()
        # Without _EXAMPLES this is no checkout of Penstock: what is served is the operator's own.
        if _EXAMPLES.exists() and not (self._settings.home / "registry.db").exists():
            with self._progress.step(
                "Training and registering the example models (the first time only)"
            ):
                self._register_examples()
        config = rendered(source, self._settings) if isinstance(source, Spec) else source
        with self._progress.step("Starting Ray"):
            try:
                self._cluster.start_ray()
            finally:
                signals.take()
        with self._progress.step("Deploying"):
            self._cluster.deploy(config)
        with self._progress.step("Waiting until ready"):
            self._wait(time.monotonic() + self._settings.start_timeout_s)
        exposed = self._cluster.exposed()
        if exposed:
            raise SetupError(
                "Stopped, because this would be open to other machines: "
                + "; ".join(map(str, exposed))
            )
        self._announce(config, time.monotonic() - started)

    def _register_examples(self) -> None:
        home = self._settings.home
        home.mkdir(parents=True, exist_ok=True)
        log = home / "train.log"
        command = [
            sys.executable,
            str(_EXAMPLES),
            "--tracking-uri",
            self._settings.tracking_uri,
        ]
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603
                [*command, "--artifacts", str(home / "artifacts")],
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            (home / "registry.db").unlink(
                missing_ok=True
            )  # half a registry would be taken for a whole one
            raise SetupError(f"{_EXAMPLES} failed; what it said is in {log}.")

    def _wait(self, deadline: float) -> None:
        missing = "no answer yet"
        while time.monotonic() < deadline:
            applications = self._cluster.applications()
            for one in applications:
                if one.status == "DEPLOY_FAILED":
                    raise SetupError(f"Application {one.name} did not start: {one.message}")
            if all(one.status == "RUNNING" for one in applications):
                missing = self._missing()
                if not missing:
                    return
            self._progress.detail(_summary(applications, missing))
            time.sleep(0.1)
        raise SetupError(f"Not ready after {self._settings.start_timeout_s:.0f} s: {missing}.")

    def _missing(self) -> str:
        """What the service says is missing; empty when it is ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{_READY_PATH}", timeout=2):
                return ""
        except urllib.error.HTTPError as error:
            return _detail_of(error.read()) or f"HTTP {error.code}"
        except OSError as error:
            return str(error)

    def _announce(self, config: Json, seconds: float) -> None:
        url = f"http://127.0.0.1:{self._port}"
        self._progress.say(
            f"Ready in {seconds:.1f} s: {url} (documentation at {url}/docs)",
            url=url,
            seconds=round(seconds, 2),
        )
        found = _example(config)
        if found is not None:
            name, body = found
            # No spaces and no quotes but JSON's own: the line works as pasted into any shell.
            text = json.dumps(body, separators=(",", ":")).replace("'", "\\u0027")
            curl = (
                f"curl -s {url}/api/v1/endpoints/{name}/predict "
                f"-H 'content-type: application/json' -d '{text}'"
            )
            self._progress.say(f"Try it:\n{curl}", curl=curl)
        self._progress.say("Ctrl-C stops everything.")


def _example(config: Json) -> tuple[str, Json] | None:
    """The first endpoint of a configuration, and a body that it answers."""
    for application in config["applications"]:
        for deployment in application.get("deployments", ()):
            try:
                table = read_table(deployment.get("user_config"))
            except msgspec.ValidationError:
                continue
            for name, route in table.endpoints.items():
                return name, example_body(route)
    return None


def load(path: Path) -> Spec | Json:
    """What to run, from the file at `path`: a configuration of ours, or one that is ready for Ray Serve.

    Raises:
        SpecError: It cannot be read, or is neither.
    """
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SpecError(
            f"Cannot read {path}: {error.strerror}. Name another with --config."
        ) from error
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if isinstance(config, dict) and config.get("endpoints"):
        return read_spec(path)
    if not isinstance(config, dict) or not config.get("applications"):
        raise SpecError(
            f"{path} has neither `endpoints`, as configs/*.yaml have, nor `applications`, as what is "
            "rendered from them: it cannot be served."
        )
    return config


def _summary(applications: list[Application], missing: str) -> str:
    waiting = [one for one in applications if one.status != "RUNNING"]
    if not waiting:
        return f"applications are running; {missing}"
    return ", ".join(
        f"{one.name} {one.running}/{one.wanted} replicas"
        + (f" ({one.message[:120]})" if one.message else "")
        for one in waiting
    )


def _detail_of(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except ValueError:
        return ""
    return str(problem.get("detail", "")) if isinstance(problem, dict) else ""
