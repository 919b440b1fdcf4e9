"""Every form that a torch model comes in: the same answers, and nothing run that need not be."""

from __future__ import annotations

import os
import pickle
import warnings

import cloudpickle
import mlflow.pytorch
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from deployments.errors import LoadError
from deployments.inference.loaders import load
from deployments.inference.loaders.options import LoadOptions
from deployments.inference.mlmodel import ColumnSpec, Signature
from tests.inference.loaders import digits

BUILDER = "tests.inference.loaders.digits:perceptron"


@pytest.fixture(scope="module")
def trained():
    return digits.trained()


def scripted(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(model)


def saved(folder, model, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(model, str(folder), pip_requirements=["torch"], **more)
    return folder


def answer(folder, **options) -> np.ndarray:
    model = load(
        folder,
        device="cpu",
        threads=1,
        options=LoadOptions(**options),
        signature=digits.SIGNATURE,
    )
    return model({"image": digits.images()[0]})["logits"]


@pytest.mark.parametrize("form", ["pickle", "torchscript", "pt2"])
def test_what_mlflow_saves_answers_as_the_module_does(tmp_path, trained, form):
    """A pickled module and a compiled one lie in a file of the same name."""
    model = scripted(trained) if form == "torchscript" else trained
    written = "pt2" if form == "pt2" else "pickle"
    example = {"input_example": digits.images()[0][:2]} if form == "pt2" else {}
    folder = saved(tmp_path / "m", model, serialization_format=written, **example)

    np.testing.assert_allclose(answer(folder), digits.logits(trained), atol=1e-5)


@pytest.mark.parametrize("module", [cloudpickle, pickle])
def test_a_module_pickled_otherwise_is_read_so(tmp_path, trained, module):
    """MLflow writes down which pickle module it was told to take."""
    folder = saved(tmp_path / "m", trained, serialization_format="pickle", pickle_module=module)
    assert (folder / "data" / "pickle_module_info.txt").read_text() == module.__name__

    np.testing.assert_array_equal(answer(folder), digits.logits(trained))


@pytest.mark.parametrize("form", ["state dict", "safetensors", "checkpoint"])
@pytest.mark.parametrize("mlmodel", [True, False])
def test_weights_are_filled_into_the_named_module(tmp_path, trained, form, mlmodel):
    """Beside an `MLmodel` file, or as a folder of weights whose signature is declared."""
    if mlmodel:
        (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    (tmp_path / "data").mkdir()
    name = "weights.safetensors" if form == "safetensors" else "weights.pth"
    weights = trained.state_dict()
    if form == "safetensors":
        save_file(weights, tmp_path / "data" / name)
    else:
        whole = {"state_dict": weights, "epoch": 3} if form == "checkpoint" else weights
        torch.save(whole, tmp_path / "data" / name)

    ours = answer(tmp_path, weights=f"data/{name}", module=BUILDER)

    np.testing.assert_array_equal(ours, digits.logits(trained))


def test_weights_where_mlflow_puts_them_need_no_name(tmp_path, trained):
    """A `state_dict.pth` in the model's data is found; only what builds the module must be said."""
    mlflow.pytorch.save_state_dict(trained.state_dict(), str(tmp_path / "data"))
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")

    np.testing.assert_array_equal(answer(tmp_path, module=BUILDER), digits.logits(trained))
    with pytest.raises(LoadError, match=r"weights without a computation: .*`loader\.module"):
        answer(tmp_path)


def test_weights_alone_need_a_signature(tmp_path):
    """Without an `MLmodel` file nothing else says what the model takes."""
    options = LoadOptions(weights="w.pth", module=BUILDER)

    with pytest.raises(LoadError, match="must be declared: write a `signature`"):
        load(tmp_path, device="cpu", threads=1, options=options)


class Marks:
    """Unpickled, it creates a file: what a hostile artifact would do."""

    def __init__(self, marker) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "data/state_dict.pth"])
@pytest.mark.parametrize(
    "write", [torch.save, lambda what, path: path.write_bytes(pickle.dumps(what, protocol=2))]
)
def test_code_among_weights_is_not_run(tmp_path, name, write):
    """Neither format may run any; the archive's as little as a bare pickle's."""
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    (tmp_path / "data").mkdir()
    write({"0.weight": Marks(tmp_path / "marker")}, tmp_path / name)
    options = {"module": BUILDER} | ({} if name.startswith("data") else {"weights": name})

    with pytest.raises(LoadError) as caught:
        answer(tmp_path, **options)

    assert not (tmp_path / "marker").exists()
    assert "\n" not in caught.value.message
    if name.endswith("pth"):
        assert "posix.mkdir, which is code: only weights are read" in caught.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("1.bias"), r"it lacks 1\.bias, and has besides nothing"),
        (lambda w: w.update(x=torch.ones(1)), r"it lacks nothing, and has besides x"),
        (
            lambda w: w.update({"3.bias": torch.ones(9)}),
            r"3\.bias is \[9\] in the file and \[10\] in the module",
        ),
    ],
)
def test_weights_of_another_module_are_told_apart(tmp_path, trained, change, words):
    """By name and shape, in one line."""
    weights = dict(trained.state_dict())
    change(weights)
    torch.save(weights, tmp_path / "w.pth")

    with pytest.raises(LoadError, match=words):
        answer(tmp_path, weights="w.pth", module=BUILDER)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("tests.inference.loaders.digits", "is not of the form package.module:callable"),
        ("tests.inference.loaders.digits:gone", "has no gone"),
        ("builtins:dict", "builds a dict for w.pth, not a torch module"),
        ("no_such_module:build", "needs the module no_such_module"),
    ],
)
def test_a_builder_that_is_none_is_told(tmp_path, trained, module, words):
    """`loader.module` is checked when the model is loaded."""
    torch.save(trained.state_dict(), tmp_path / "w.pth")

    with pytest.raises(LoadError, match=words):
        answer(tmp_path, weights="w.pth", module=module)


def test_a_state_dict_in_place_of_a_module_is_told(tmp_path, trained):
    """`model.pth` should hold a module; what to write instead is said."""
    (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    (tmp_path / "data").mkdir()
    torch.save(trained.state_dict(), tmp_path / "data" / "model.pth")

    with pytest.raises(LoadError, match=r"holds a OrderedDict, not a module.*loader\.weights"):
        answer(tmp_path)


def dropping() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 10), torch.nn.BatchNorm1d(10)
    )


@pytest.mark.parametrize("form", ["pickle", "torchscript", "pt2"])
def test_a_model_saved_in_training_mode_is_served_in_evaluation_mode(tmp_path, form):
    """Dropout would make answers random, and normalisation would mix the rows of a batch."""
    model = dropping()
    model(torch.randn(64, 8, 8))
    model.train()
    if form == "pt2":
        (tmp_path / "data").mkdir()
        (tmp_path / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
        shapes = ({0: torch.export.Dim.AUTO},)
        program = torch.export.export(model, (torch.randn(2, 8, 8),), dynamic_shapes=shapes)
        torch.export.save(program, tmp_path / "data" / "model.pt2")
        folder = tmp_path
    else:
        folder = saved(
            tmp_path / "m",
            scripted(model) if form == "torchscript" else model,
            serialization_format="pickle",
        )

    ours = answer(folder)

    np.testing.assert_allclose(ours, digits.logits(model.eval()), atol=1e-4)


def test_a_table_becomes_one_matrix(tmp_path):
    """A module that was logged with a data frame takes its columns side by side, as with MLflow."""
    model = torch.nn.Linear(3, 1)
    folder = saved(tmp_path / "m", model, serialization_format="pickle")
    columns = tuple(ColumnSpec(name, "double", required=name != "c") for name in "abc")
    loaded = load(folder, device="cpu", threads=1, signature=Signature(columns, ()))

    ours = loaded({"c": np.array([3.0]), "a": np.array([1.0]), "b": np.array([2.0])})

    theirs = model(torch.tensor([[1.0, 2.0, 3.0]])).detach().numpy()
    np.testing.assert_allclose(ours["output"], theirs, rtol=1e-6)


def test_what_is_no_state_dict_is_told(tmp_path):
    """Plain numbers can be read from such a file as well."""
    torch.save([1, 2], tmp_path / "w.pth")

    with pytest.raises(LoadError, match=r"w\.pth is not a state dict: save `module\.state_dict"):
        answer(tmp_path, weights="w.pth", module=BUILDER)
