"""From a version's arguments to running stages, and what a process imports for them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from deployments.errors import DeviceError, RegistryError
from deployments.inference.isolate import run
from deployments.spec.args import ModelArgs, StageArgs, VersionArgs
from deployments.versions.build import build_stages
from deployments.versions.fetch import fetch_from

ARGS = VersionArgs(
    model=ModelArgs(name="digits", version="1"),
    preprocess=StageArgs(use="images", params={"size": [8, 8], "high": 16}),
    postprocess=StageArgs(use="classes"),
)
ALL = ("preprocess", "model", "postprocess")


def build(registry, args=ARGS, stages=ALL, gpus=()):
    fetch = fetch_from(registry.tracking_uri)
    return build_stages(args, stages, fetch=fetch, gpus=list(gpus), cpus=1)


def test_the_stages_answer_as_registered(example_registry, script) -> None:
    """All 360 test images through the three stages: the accuracy is the version's."""
    split = script("digits").load_split()
    tensors = {"image": split.test_images.astype(np.float32)}
    for name, stage in build(example_registry):
        outcome = run(name, stage, tensors)
        assert not outcome.errors
        tensors = outcome.tensors

    assert (tensors["label"] == split.test_labels).mean() >= 0.95


def test_a_stage_that_does_nothing_is_left_out(example_registry) -> None:
    """`none` costs neither a stage nor a call."""
    bare = ARGS.model_copy(update={"preprocess": StageArgs(use="none")})

    assert [name for name, _ in build(example_registry, bare)] == ["model", "postprocess"]


def test_a_promised_gpu_that_is_not_there_is_said(example_registry) -> None:
    """The device is looked for before the registry is asked or a file is read."""
    with pytest.raises(DeviceError, match="device: cpu"):
        build(example_registry, gpus=["0"])


def test_a_version_that_is_not_there_is_said(example_registry) -> None:
    """The message names the model and the version."""
    args = ARGS.model_copy(update={"model": ModelArgs(name="digits", version="99")})
    with pytest.raises(RegistryError, match=r"digits.*99"):
        build(example_registry, args)


@pytest.mark.parametrize("stage", ["preprocess", "postprocess"])
def test_a_stage_without_the_model_imports_neither_torch_nor_mlflow(stage) -> None:
    """A replica of such a stage starts fast and stays small."""
    code = (
        "import sys, deployments.app\n"
        "from deployments.spec.args import VersionArgs\n"
        "from deployments.versions.build import build_stages\n"
        f"args = VersionArgs.model_validate_json({ARGS.model_dump_json()!r})\n"
        f"assert build_stages(args, [{stage!r}], fetch=None, gpus=[], cpus=1)\n"
        "print(sorted({'torch', 'mlflow', 'sklearn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
