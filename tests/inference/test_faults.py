"""Faults of a device, told from faults of a model: by class and by text, on real errors where there are any."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from deployments.inference.faults import DeviceBroken, OutOfMemory, fault_of
from tests.conftest import ROOT


def raised(call) -> Exception:
    try:
        call()
    except Exception as exc:  # noqa: BLE001 - whatever it is
        return exc
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: torch.empty(1 << 50, dtype=torch.uint8), id="torch"),
        pytest.param(lambda: np.empty(1 << 50, dtype=np.uint8), id="numpy"),
    ],
)
def test_a_failed_allocation_is_out_of_memory(call):
    """A petabyte is more than any machine has; the message stays, in one line."""
    fault = fault_of(raised(call))

    assert isinstance(fault, OutOfMemory)
    assert "llocate" in str(fault)
    assert "\n" not in str(fault)


def test_an_allocation_that_fails_within_onnxruntime_is_out_of_memory():
    """Its error is a RuntimeException of its own, told by the text of its arena."""
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    shape = onnx.helper.make_tensor_value_info("shape", onnx.TensorProto.INT64, [1])
    big = onnx.helper.make_tensor_value_info("big", onnx.TensorProto.FLOAT, [None])
    node = onnx.helper.make_node("ConstantOfShape", ["shape"], ["big"])
    graph = onnx.helper.make_graph([node], "big", [shape], [big])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    fault = fault_of(raised(lambda: session.run(None, {"shape": np.array([1 << 48])})))

    assert isinstance(fault, OutOfMemory)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[ONNXRuntimeError] : 6 : CUDA failure 2: out of memory ; GPU=0"),
        MemoryError(),
        OutOfMemory("told before"),
    ],
)
def test_a_full_device_is_out_of_memory(error):
    """Though some of these speak of a CUDA error too: there the process is as good as before."""
    # Made up, as no GPU is at hand here: the texts are those of torch 2.13 and onnxruntime 1.32.
    assert isinstance(fault_of(error), OutOfMemory)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        RuntimeError("unspecified launch failure"),
    ],
)
def test_a_broken_context_is_a_broken_device(error):
    """Every later call of the process would fail as well."""
    fault = fault_of(error)

    assert isinstance(fault, DeviceBroken)
    assert str(fault) == str(error).partition("\n")[0]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x3 and 4x4)"),
        ValueError("the column `notes` says: CUDA error"),
        KeyError("device-side assert"),
    ],
)
def test_a_models_own_errors_are_no_fault_of_the_device(error):
    """Not even where a client's text that they quote looks like one."""
    assert fault_of(error) is None


def test_an_error_that_wraps_a_fault_is_looked_through():
    """A model that says `raise ... from exc` has not cured it."""
    outer = RuntimeError("the encoder failed")
    outer.__cause__ = torch.OutOfMemoryError("CUDA out of memory.")

    assert isinstance(fault_of(outer), OutOfMemory)


def test_telling_faults_imports_no_framework():
    """It is asked in replicas of stages, too, which have none."""
    code = "import sys, deployments.inference.faults; print({'torch', 'numpy'} & set(sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "set()\n"
