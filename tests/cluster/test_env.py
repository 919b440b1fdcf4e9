"""`penstock env` for a Ray that is already there, as the README tells it."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml

from deployments.cluster import family, sockets
from tests.cluster.conftest import WORKERS, app, wait_for

ENV = "python -c 'from deployments.cli import main; main()' env --local"


@pytest.mark.serve
def test_serve_deploy_works_onto_a_ray_that_was_started_with_it(
    tmp_path: Path, free_port: int
) -> None:
    """`ray start` and `serve deploy` need nothing but the exports; `ray stop` then takes HAProxy with it."""
    config = {
        "http_options": {"host": "127.0.0.1", "port": free_port},
        "applications": [app("edge", "/")],
    }
    (tmp_path / "serve_config.yaml").write_text(yaml.safe_dump(config))
    mark = str(family.Starter.this_process())  # so that what is left can be found, whatever happens
    environment = os.environ | WORKERS | {family.MARK: mark}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"

    def shell(script: str) -> None:
        done = subprocess.run(
            ["bash", "-ec", f'eval "$({ENV})"\n{script}'],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        shell(
            "ray start --head --node-ip-address 127.0.0.1 --num-cpus 4 --disable-usage-stats\n"
            "serve deploy serve_config.yaml"
        )
        url = f"http://127.0.0.1:{free_port}/api/v1/health/ready"
        assert wait_for(lambda: _answers(url), 60)
        running = family.marked()[family.Starter.this_process()]
        assert sockets.beyond_loopback(sockets.listeners(running)) == []
        shell("ray stop")
        assert wait_for(lambda: not _alive(), 15)
    finally:
        family.end(_alive())


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _alive() -> list[psutil.Process]:
    mine = family.marked().get(family.Starter.parse(str(family.Starter.this_process())), [])
    return [process for process in mine if process.status() != psutil.STATUS_ZOMBIE]
