"""A GPU that was promised and is not there ends the start, with a line that says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.registry.client import Registry
from deployments.spec.model import Spec
from deployments.spec.render import render
from tests.cluster.conftest import Run
from tests.conftest import ExampleRegistry


# What it shows, a GPU that is booked and not there, cannot be had where one is.
@pytest.mark.serve
@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU on this machine")
def test_a_promised_gpu_without_cuda_ends_the_start(
    penstock_up: Callable[..., Run],
    example_registry: ExampleRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not a model that answers from the CPU fifty times as slowly, but exit code 1 and what to do about it."""
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", example_registry.tracking_uri)
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 1}')  # Ray books a GPU that is not there
    endpoint = {
        "variants": {"only": {"model": "models:/digits@champion"}},
        "traffic": {"split": {"only": 100}},
        "resources": {"num_cpus": 0.1, "num_gpus": 1},
    }
    spec = Spec.model_validate({"endpoints": {"digits": endpoint}})
    config = render(spec, Registry(example_registry.tracking_uri).resolve)
    run = penstock_up(*config["applications"])

    assert run.process.wait(120) == 1
    last = run.output.strip().splitlines()[-1]
    assert last.startswith("penstock: Application digits-v1 did not start:")
    assert "This replica was promised GPU 0, but CUDA sees none" in last
    assert "set `device: cpu` to serve from the CPU" in last
    assert "Traceback" not in run.output
    assert run.left() == []
