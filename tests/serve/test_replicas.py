"""What replicas are given and what they carry: GPUs shared and whole, and torch only where a model runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.serve.service import HERE, Service

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def said(service: Service) -> dict[str, list[dict[str, Any]]]:
    at = service.applications
    targets = [
        f"{at['pair', 'only']}:Model:2",
        f"{at['together', 'champion']}:Together:1",
        f"{at['together', 'challenger']}:Together:1",
        f"{at['digits', 'champion']}:Model:1",
    ]
    script = HERE / "ask_replicas.py"
    answer = service.shell(f"{sys.executable} {script} {' '.join(targets)}").splitlines()[-1]
    found = json.loads(answer).values()
    return dict(zip(("half", "whole", "another whole", "none"), found, strict=True))


def test_two_halves_share_a_gpu(said: dict[str, list[dict[str, Any]]]) -> None:
    """Two replicas at `num_gpus: 0.5` are given the same one of four GPUs."""
    one, other = said["half"]
    assert one["pid"] != other["pid"]
    assert one["gpus"] == other["gpus"]
    assert len(one["gpus"]) == 1


def test_whole_gpus_are_not_shared(said: dict[str, list[dict[str, Any]]]) -> None:
    """Each replica at `num_gpus: 1` has one of its own, and none of those that are shared; without, none."""
    gpus = [
        gpu
        for about in (*said["whole"], *said["another whole"], said["half"][0])
        for gpu in about["gpus"]
    ]
    assert len(gpus) == len(set(gpus)) == 3
    assert said["none"][0]["gpus"] == []


def test_a_replica_says_which_stages_it_runs(said: dict[str, list[dict[str, Any]]]) -> None:
    """One where each has replicas of its own, all three where they share one."""
    assert said["half"][0]["stages"] == ["model"]
    assert said["whole"][0]["stages"] == ["preprocess", "model", "postprocess"]


def test_only_replicas_with_a_model_have_torch(service: Service) -> None:
    """Edges, preprocessing and postprocessing have no part of torch mapped into their memory; models have."""
    version = service.applications["digits", "champion"]

    def has_torch(application: str, deployment: str) -> set[bool]:
        processes = service.replicas(application, deployment)
        assert processes
        return {"libtorch" in Path(f"/proc/{p.pid}/maps").read_text() for p in processes}

    assert has_torch(version, "Model") == {True}
    for application, deployment in (
        ("edge", "Edge"),
        (version, "Preprocess"),
        (version, "Postprocess"),
    ):
        assert has_torch(application, deployment) == {False}


def test_endpoints_that_ask_for_the_same_share_its_replicas(service: Service) -> None:
    """`solo` and `digits` name version 1 in one form: it runs once."""
    at = service.applications
    assert at["solo", "only"] == at["digits", "champion"]
    assert len(service.replicas(at["solo", "only"], "Model")) == 1
