"""Models of MLflow's `onnx` flavour, run by onnxruntime: a graph without any Python in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime

from deployments.errors import LoadError
from deployments.inference.loaders.answers import tensors_of
from deployments.inference.loaders.columns import cast, found, side_by_side
from deployments.inference.loaders.params import split_params
from deployments.inference.loaders.wanted import Wanted
from deployments.inference.mlmodel import ColumnSpec, Signature
from deployments.inference.tensors import Array, Tensors

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

# What onnxruntime calls the types of a graph's inputs; https://onnx.ai/onnx/intro/concepts.html#element-type
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
} | {f"tensor({name})": name for name in (f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64))}


class OnnxModel:
    """An onnxruntime session with named NumPy arrays at both ends."""

    def __init__(
        self, session: onnxruntime.InferenceSession, *, signature: Signature | None
    ) -> None:
        """Takes an open session, whose graph says what its inputs and outputs are called."""
        self._session = session
        self._inputs = session.get_inputs()
        self._outputs = [output.name for output in session.get_outputs()]
        self.signature = signature
        specs = () if signature is None else signature.inputs
        self._names = [spec.name for spec in specs]
        # One input of several numbers per row, logged as a table: its columns side by side.
        self._stacked = len(self._inputs) == 1 and any(isinstance(s, ColumnSpec) for s in specs)

    def __call__(self, tensors: Tensors) -> Tensors:
        """One run of the graph for all rows; see `LoadedModel`."""
        inputs, _ = split_params(tensors)
        arrays = [side_by_side(inputs, self._names)] if self._stacked else self._each(inputs)
        feed = {
            declared.name: _shaped(array, declared)
            for array, declared in zip(arrays, self._inputs, strict=True)
        }
        answers = self._session.run(self._outputs, feed)
        return tensors_of(dict(zip(self._outputs, answers, strict=True)), self.signature)

    def _each(self, tensors: Tensors) -> list[Array]:
        """One array for each input of the graph: by its name, else by the signature's order."""
        own = [declared.name for declared in self._inputs]
        names = own
        if set(own) != set(self._names) and len(self._names) == len(own):
            names = self._names
        if not self._names and len(own) == len(tensors) == 1:
            return list(tensors.values())
        return [found(tensors, name) for name in names]


def _shaped(array: Array, declared: Any) -> Array:
    """An array in the type and rank that the graph's input has; a column per row where it wants [rows, 1]."""
    dtype = np.dtype(DTYPES.get(declared.type, array.dtype))
    array = cast(array, dtype, declared.name)
    wanted: Sequence[int | str | None] = declared.shape
    if (
        array.ndim == 1
        and len(wanted) > 1
        and math.prod(n for n in wanted[1:] if isinstance(n, int)) == 1
    ):
        return array.reshape(-1, *(1 for _ in wanted[1:]))
    return array


def load(wanted: Wanted) -> OnnxModel:
    """The graph in the artifact, in a session of its own; see `loaders.load`."""
    path = wanted.path(str(wanted.flavors["onnx"].get("data", "model.onnx")))
    session = onnxruntime.InferenceSession(
        str(path), _options(wanted.threads), providers=_providers(wanted.device)
    )
    # Asked for CUDA, it goes on without where a library of CUDA's is missing, and only logs it.
    if wanted.device != "cpu" and CUDA not in session.get_providers():
        raise LoadError(_no_cuda(wanted.device))
    return OnnxModel(session, signature=wanted.signature)


def _options(threads: int | None) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: as many as there are cores
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors; they are raised as well
    return options


def _providers(device: str) -> list[Any]:
    if device == "cpu":
        return [CPU]
    if CUDA not in onnxruntime.get_available_providers():
        raise LoadError(_no_cuda(device))
    number = int(device.partition(":")[2] or 0)
    return [(CUDA, {"device_id": number}), CPU]


def _no_cuda(device: str) -> str:
    return (
        f"The model is to run on {device}, but this onnxruntime has no working CUDA: pip install "
        "onnxruntime-gpu in place of onnxruntime, or set `device: cpu`."
    )
