"""From a version's arguments to running stages, and what a process imports for them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from deployments.errors import DeviceError, RegistryError
from deployments.inference.isolate import run
from deployments.settings import Settings
from deployments.spec.args import ModelArgs, StageArgs, VersionArgs
from deployments.versions.build import Builder
from deployments.versions.fetch import Files

ARGS = VersionArgs(
    model=ModelArgs(name="digits", version="1"),
    preprocess=StageArgs(use="images", params={"size": [8, 8], "high": 16}),
    postprocess=StageArgs(use="classes"),
)
ALL = ("preprocess", "model", "postprocess")


@pytest.fixture
def build(example_registry, tmp_path):
    """Builds stages of the example models, with a cache of the test's own."""
    settings = Settings(home=tmp_path, PENSTOCK_TRACKING_URI=example_registry.tracking_uri)
    files = Files(settings)

    def build(args=ARGS, stages=ALL, gpus=()):
        builder = Builder(args, fetch=files.folder_of, gpus=list(gpus), cpus=1)
        return builder.build(stages).stages

    yield build
    files.close()


def test_the_stages_answer_as_registered(build, script) -> None:
    """All 360 test images through the three stages: the accuracy is the version's."""
    split = script("digits").load_split()
    tensors = {"image": split.test_images.astype(np.float32)}
    for name, stage in build():
        outcome = run(name, stage, tensors)
        assert not outcome.errors
        tensors = outcome.tensors

    assert (tensors["label"] == split.test_labels).mean() >= 0.95


def test_a_stage_that_does_nothing_is_left_out(build) -> None:
    """`none` costs neither a stage nor a call."""
    bare = ARGS.model_copy(update={"preprocess": StageArgs(use="none")})

    assert [name for name, _ in build(bare)] == ["model", "postprocess"]


def test_a_promised_gpu_that_is_not_there_is_said(build) -> None:
    """The device is looked for before the registry is asked or a file is read."""
    with pytest.raises(DeviceError, match="device: cpu"):
        build(gpus=["0"])


def test_a_version_that_is_not_there_is_said(build) -> None:
    """The message names the model and the version."""
    args = ARGS.model_copy(update={"model": ModelArgs(name="digits", version="99")})
    with pytest.raises(RegistryError, match=r"digits.*99"):
        build(args)


@pytest.mark.parametrize("stage", ["preprocess", "postprocess"])
def test_a_stage_without_the_model_imports_neither_torch_nor_mlflow(stage) -> None:
    """A replica of such a stage starts fast and stays small."""
    code = (
        "import sys, deployments.app\n"
        "from deployments.spec.args import VersionArgs\n"
        "from deployments.versions.build import Builder\n"
        f"args = VersionArgs.model_validate_json({ARGS.model_dump_json()!r})\n"
        f"assert Builder(args, fetch=None, gpus=[], cpus=1).build([{stage!r}]).stages\n"
        "print(sorted({'torch', 'mlflow', 'sklearn'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
