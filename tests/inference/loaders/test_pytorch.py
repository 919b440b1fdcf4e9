"""The pytorch loader: the same answers as torch itself, for exported and for pickled modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from deployments.errors import LoadError, ModelFailed
from deployments.inference.loaders import load
from deployments.registry.client import Registry
from deployments.registry.version import local_path
from tests.conftest import ROOT


@pytest.fixture(scope="module", params=["champion", "challenger"])
def folder(request, example_registry) -> Path:
    registry = Registry(example_registry.tracking_uri)
    return local_path(registry.resolve(f"models:/digits@{request.param}").source)


def images(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).random((rows, 8, 8), dtype=np.float32)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_answers_are_those_of_the_exported_program(folder, rows):
    """At any number of rows, one included, though the example it was exported with had two."""
    ours = load(folder, device="cpu", threads=1)({"image": images(rows)})
    with torch.inference_mode():
        theirs = torch.export.load(folder / "data/model.pt2").module()(
            torch.from_numpy(images(rows))
        )

    assert list(ours) == ["logits"]
    assert ours["logits"].shape == (rows, 10)
    np.testing.assert_allclose(ours["logits"], theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "awkward",
    [
        pytest.param(lambda a: a.astype(np.float64), id="float64"),
        pytest.param(lambda a: np.flip(np.flip(a, 0).copy(), 0), id="negative strides"),
        pytest.param(
            lambda a: np.frombuffer(a.tobytes(), np.float32).reshape(a.shape), id="read-only"
        ),
    ],
)
def test_any_array_of_the_right_shape_is_taken(folder, awkward, recwarn):
    """Other dtypes, strides and read-only memory are copied where torch cannot share them, silently."""
    model = load(folder, device="cpu", threads=1)
    expected = model({"image": images(3)})["logits"]

    np.testing.assert_array_equal(model({"image": awkward(images(3))})["logits"], expected)
    assert not recwarn.list


def test_a_missing_tensor_is_named(folder):
    """A preprocess stage that gives other tensors than the model takes is told both names."""
    with pytest.raises(
        ModelFailed, match="takes a tensor `image`, but preprocessing gave `pixels`"
    ):
        load(folder, device="cpu", threads=1)({"pixels": images(1)})


def test_threads_follow_the_argument(folder):
    """The replica's share of the machine decides, not the number of cores."""
    before = torch.get_num_threads()
    try:
        load(folder, device="cpu", threads=1)
        assert torch.get_num_threads() == 1
        load(folder, device="cpu", threads=2)
        assert torch.get_num_threads() == 2
        load(folder, device="cpu", threads=None)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class Two(torch.nn.Module):
    """Two arguments in, two results out."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return a + b, a - b


class Mapped(Two):
    """The same, naming its results itself."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": a + b, "difference": a - b}


SPEC = '{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1]}, "name": "%s"}'
SIGNATURE = (
    "signature:\n"
    f"  inputs: '[{SPEC % 'a'}, {SPEC % 'b'}]'\n"
    f"  outputs: '[{SPEC % 'sum'}, {SPEC % 'difference'}]'\n"
)


def write(folder: Path, module: torch.nn.Module, kind: str, signature: str) -> Path:
    (folder / "data").mkdir()
    (folder / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}\n" + signature)
    if kind == "pickled":
        torch.save(module, folder / "data" / "model.pth")
    else:
        example = (torch.zeros(2), torch.zeros(2))
        rows = ({0: torch.export.Dim.AUTO},) * 2
        program = torch.export.export(module, example, dynamic_shapes=rows)
        torch.export.save(program, folder / "data" / "model.pt2")
    return folder


@pytest.mark.parametrize("kind", ["exported", "pickled"])
@pytest.mark.parametrize("module", [Two(), Mapped()], ids=["tuple", "mapping"])
def test_several_tensors_keep_their_names(tmp_path, kind, module):
    """Arguments go by the signature's order and not the batch's; results by their keys, else by its names."""
    model = load(write(tmp_path, module, kind, SIGNATURE), device="cpu", threads=None)
    a, b = np.float32([5, 7, 9]), np.float32([1, 2, 3])

    result = {name: array.tolist() for name, array in model({"b": b, "a": a}).items()}

    assert result == {"sum": [6, 9, 12], "difference": [4, 5, 6]}


def test_without_a_signature_an_exported_program_names_its_own_arguments(tmp_path):
    """The graph knows what its arguments are called; its results are numbered."""
    model = load(write(tmp_path, Two(), "exported", ""), device="cpu", threads=None)
    a, b = np.float32([5, 7]), np.float32([1, 2])

    result = {name: array.tolist() for name, array in model({"a": a, "b": b}).items()}

    assert result == {"output_0": [6, 9], "output_1": [4, 5]}


@pytest.mark.parametrize("name", ["model.pt2", "model.pth"])
def test_a_damaged_artifact_is_a_load_error(tmp_path, name):
    """Whatever torch makes of it, an operator reads one line that names the folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    (tmp_path / "data" / name).write_bytes(b"not a model")

    with pytest.raises(LoadError, match=r"^The model in .* cannot be loaded: .+$"):
        load(tmp_path, device="cpu", threads=None)


def test_an_artifact_without_weights_is_incomplete(tmp_path):
    """The folder may be there and its data not."""
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")

    with pytest.raises(LoadError, match=r"neither model\.pt2 nor model\.pth nor weights in data/"):
        load(tmp_path, device="cpu", threads=None)


def test_importing_the_loaders_does_not_import_torch():
    """A process that runs no torch model does not pay for it: 200 MB and two seconds."""
    code = (
        "import sys, deployments.inference.loaders, deployments.inference.devices; "
        "print('torch' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "False\n"
