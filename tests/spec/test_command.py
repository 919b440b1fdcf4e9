"""`penstock config render` as it is called: what is wrong is said on stderr, and nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, ExampleRegistry

LOCAL = (ROOT / "configs" / "local.yaml").read_text()


def render(folder: Path, text: str, tracking_uri: str) -> subprocess.CompletedProcess[str]:
    (folder / "mine.yaml").write_text(text)
    call = "from deployments.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", call, "config", "render", "mine.yaml", "--output", "out.yaml"],
        cwd=folder,
        env=os.environ | {"PENSTOCK_TRACKING_URI": tracking_uri, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "deadline: 2s",
            "dedaline: 2s",
            "penstock: mine.yaml: endpoints.digits.dedaline: Extra inputs are not permitted",
        ),
        (
            "digits@challenger",
            "digits@chalenger",
            "penstock: `digits` has no alias `chalenger` in the model registry",
        ),
        (
            "models:/digits@champion",
            "digits@champion",
            "penstock: `digits@champion`",
        ),
    ],
)
def test_a_mistake_is_said_and_nothing_is_written(
    tmp_path: Path, example_registry: ExampleRegistry, old: str, new: str, said: str
) -> None:
    """In the file or in the registry: a line that begins with the program's name, exit code 1, no traceback."""
    assert old in LOCAL
    done = render(tmp_path, LOCAL.replace(old, new), example_registry.tracking_uri)
    assert done.returncode == 1
    assert done.stderr.startswith(said), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.yaml").exists()


def test_a_good_one_is_written(tmp_path: Path, example_registry: ExampleRegistry) -> None:
    """With the name of its source in the first line, which tells what to change instead."""
    done = render(tmp_path, LOCAL, example_registry.tracking_uri)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "out.yaml").read_text()
    assert written.startswith("# Rendered from mine.yaml by `penstock config render`")
    _, _, body = (ROOT / "serve_config.yaml").read_text().partition("proxy_location")
    assert written.endswith("proxy_location" + body)
