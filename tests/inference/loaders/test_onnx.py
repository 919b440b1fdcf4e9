"""Graphs in onnxruntime: the same answers as onnxruntime itself, by the signature's names."""

from __future__ import annotations

import subprocess
import sys

import mlflow.onnx
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from deployments.errors import LoadError, ModelFailed
from deployments.inference.loaders import load
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec
from tests.conftest import ROOT
from tests.inference.loaders import digits


def tensor(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def saved(folder, nodes, inputs, outputs, weights=()):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, weights)
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    mlflow.onnx.save_model(model, str(folder), pip_requirements=["onnxruntime"])
    return folder


def loaded(folder, signature=None, device="cpu"):
    return load(folder, device=device, threads=1, signature=signature)


@pytest.fixture(scope="module")
def perceptron(tmp_path_factory):
    """The trained perceptron of the other tests, as a graph."""
    model = digits.trained()
    names = {"1.weight": "w1", "1.bias": "b1", "3.weight": "w2", "3.bias": "b2"}
    weights = [numpy_helper.from_array(v.numpy(), names[k]) for k, v in model.state_dict().items()]
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["logits"], transB=1),
    ]
    folder = saved(
        tmp_path_factory.mktemp("onnx") / "m",
        nodes,
        [tensor("image", TensorProto.FLOAT, None, 8, 8)],
        [tensor("logits", TensorProto.FLOAT, None, 10)],
        weights,
    )
    return folder, digits.logits(model)


@pytest.mark.parametrize("signature", [None, digits.SIGNATURE])
def test_a_graph_answers_as_the_model_it_was_made_of(perceptron, signature):
    """Doubles are taken too, as MLflow takes them: JSON has no float32."""
    folder, expected = perceptron
    pixels = digits.images()[0]
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))

    for given in (pixels, pixels.astype(np.float64)):
        ours = loaded(folder, signature)({"image": given})
        assert list(ours) == ["logits"]
        np.testing.assert_allclose(ours["logits"], expected, atol=1e-4)
        np.testing.assert_array_equal(ours["logits"], session.run(None, {"image": pixels})[0])


def test_a_signatures_names_stand_for_the_graphs(perceptron):
    """In their order, where the graph calls its tensors otherwise."""
    folder, expected = perceptron
    signature = Signature(
        (TensorSpec("pixels", "float32", (-1, 8, 8)),), (TensorSpec("score", "float32", (-1, 10)),)
    )

    ours = loaded(folder, signature)({"pixels": digits.images()[0]})

    np.testing.assert_allclose(ours["score"], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"x": np.ones((1, 8, 8)), "y": np.ones(1)}, "takes a tensor `image`, but .* `x`, `y`"),
        ({"image": np.array(["a"])}, "takes `image` as float32, but preprocessing gave <U1"),
    ],
)
def test_wrong_tensors_are_named(perceptron, tensors, words):
    """A preprocess stage that does not fit the model is told what the model takes."""
    with pytest.raises(ModelFailed, match=words):
        loaded(perceptron[0])(tensors)


def test_a_table_is_given_as_the_graph_takes_it(tmp_path):
    """Side by side to a graph of one input, each by its name to a graph of several; strings as well."""
    one = saved(
        tmp_path / "one",
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", TensorProto.FLOAT, None, 2)],
        [tensor("y", TensorProto.FLOAT, None, 2)],
    )
    several = saved(
        tmp_path / "several",
        [helper.make_node("Identity", [a], [b]) for a, b in (("n", "number"), ("s", "string"))],
        [tensor("s", TensorProto.STRING, None, 1), tensor("n", TensorProto.INT64, None, 1)],
        [
            tensor("number", TensorProto.INT64, None, 1),
            tensor("string", TensorProto.STRING, None, 1),
        ],
    )
    numbers = Signature((ColumnSpec("b", "long"), ColumnSpec("a", "double", required=False)), ())
    mixed = Signature((ColumnSpec("n", "integer"), ColumnSpec("s", "string")), ())

    table = loaded(one, numbers)(
        {"a": np.array([1.5, 0]), "b": np.array([7, 8]), "a?missing": np.array([False, True])}
    )
    columns = loaded(several, mixed)(
        {"n": np.int32([1, 2]), "s": np.array(["x", "é"], dtype=object)}
    )

    np.testing.assert_array_equal(table["y"], [[7, 1.5], [8, np.nan]])
    assert columns["number"].tolist() == [[1], [2]]
    assert columns["string"].tolist() == ["x", "é"]


def test_probabilities_by_class_are_json(tmp_path):
    """Exported estimators answer a mapping for each row (ZipMap), which no tensor holds."""
    zipped = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None])
    zipped.type.Clear()
    zipped.type.sequence_type.elem_type.map_type.key_type = TensorProto.INT64
    zipped.type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = (
        TensorProto.FLOAT
    )
    folder = saved(
        tmp_path / "m",
        [helper.make_node("ZipMap", ["x"], ["p"], domain="ai.onnx.ml", classlabels_int64s=[3, 5])],
        [tensor("x", TensorProto.FLOAT, None, 2)],
        [zipped],
    )

    ours = loaded(folder)({"x": np.float32([[0.25, 0.75], [1, 0]])})

    assert ours["p?json"].tolist() == ['{"3":0.25,"5":0.75}', '{"3":1.0,"5":0.0}']


def test_a_gpu_that_onnxruntime_cannot_use_is_told(perceptron):
    """It would go on without a word, on the CPU."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # The build with CUDA has nothing to complain of; which build is installed is the machine's choice.
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(LoadError, match=r"has no working CUDA: pip install onnxruntime-gpu"):
        loaded(perceptron[0], device="cuda:0")


def test_a_damaged_graph_is_told(tmp_path):
    """In one line that names the folder."""
    (tmp_path / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}")
    (tmp_path / "model.onnx").write_bytes(b"no graph")

    with pytest.raises(LoadError, match=r"^The model in .* cannot be loaded: .*$"):
        loaded(tmp_path)


def test_running_a_graph_imports_nothing_else(perceptron):
    """Neither torch, nor pandas, nor MLflow."""
    code = (
        "import sys; from pathlib import Path; from deployments.inference.loaders import load; "
        f"import numpy as np; m = load(Path({str(perceptron[0])!r}), device='cpu', threads=1); "
        "m({'image': np.zeros((1, 8, 8))}); print({'torch', 'pandas', 'mlflow'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "set()\n"


def test_external_weights_are_found(tmp_path):
    """Large graphs keep their weights in a file beside them."""
    weight = numpy_helper.from_array(np.arange(4096, dtype=np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "graph",
        [tensor("x", TensorProto.FLOAT, None, 1)],
        [tensor("y", TensorProto.FLOAT, None, 4096)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(
        model, str(tmp_path / "model.onnx"), save_as_external_data=True, location="weights.bin"
    )
    (tmp_path / "MLmodel").write_text("flavors: {onnx: {data: model.onnx}}")
    assert (tmp_path / "weights.bin").exists()

    assert loaded(tmp_path)({"x": np.float32([[1]])})["y"][0, 4095] == 4096
