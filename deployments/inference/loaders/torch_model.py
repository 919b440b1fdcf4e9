"""A torch computation with named NumPy arrays at both ends, on its device and in its precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from deployments.inference.loaders.columns import found, side_by_side
from deployments.inference.mlmodel import ColumnSpec, Signature, TensorSpec
from deployments.inference.tensors import Array, Tensors

Forward = Callable[..., Any]

TABLE = "input"
"""What the one argument is called that a table's columns become."""
PRECISIONS = {"float16": torch.float16, "bfloat16": torch.bfloat16}
"""What a model can be made to compute in; `float32` leaves it as it was logged."""


class TorchModel:
    """A torch computation, called with one tensor for each input."""

    def __init__(
        self,
        forward: Forward,
        *,
        inputs: Sequence[tuple[str, np.dtype[Any] | None]],
        outputs: Sequence[str],
        device: str,
        signature: Signature | None,
        precision: torch.dtype | None = None,
        pin_memory: bool = False,
    ) -> None:
        """Takes the computation and what it is called with.

        Args:
            forward: Takes one tensor for each input, positionally; gives a tensor, a sequence or a mapping.
            inputs: Name and dtype of each argument; None takes the dtype as it comes.
            outputs: The names of the results, for those that do not name themselves.
            device: Where the arguments have to be.
            signature: What was declared when the model was logged.
            precision: The half precision that `forward` computes in, which floating arguments are turned
                into, and whose results into float32; None leaves both as they are.
            pin_memory: Whether arguments go to a GPU from page-locked memory; without one it says nothing.
        """
        self._forward = forward
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._device = None if device == "cpu" else torch.device(device)
        self._precision = precision
        self._pin_memory = pin_memory
        self.signature = signature

    @torch.inference_mode()
    def __call__(self, tensors: Tensors) -> Tensors:
        """One forward pass over all rows; see `LoadedModel`."""
        result = self._forward(*[self._argument(tensors, *named) for named in self._inputs])
        return {name: self._answer(tensor) for name, tensor in self._named(result)}

    def _argument(self, tensors: Tensors, name: str, dtype: np.dtype[Any] | None) -> torch.Tensor:
        tensor = torch.from_numpy(_shareable(found(tensors, name), dtype))
        if self._device is not None:
            # Only from page-locked memory does the copy run beside the computation, and no faster for small
            # batches: the locking itself is a copy.
            tensor = tensor.pin_memory() if self._pin_memory else tensor
            tensor = tensor.to(self._device, non_blocking=True)
        if self._precision is not None and tensor.is_floating_point():
            tensor = tensor.to(self._precision)
        return tensor

    def _answer(self, tensor: torch.Tensor) -> Array:
        # NumPy has no bfloat16; and whether a model computes in halves is no concern of its clients.
        if tensor.dtype is torch.bfloat16 or (tensor.dtype is torch.float16 and self._precision):
            tensor = tensor.float()
        array: Array = tensor.cpu().numpy()
        return array

    def _named(self, result: Any) -> list[tuple[str, torch.Tensor]]:
        if isinstance(result, torch.Tensor):
            return [(self._outputs[0] if self._outputs else "output", result)]
        if isinstance(result, Mapping):
            # The results of some libraries hold caches and None beside their tensors.
            return [(str(k), v) for k, v in result.items() if isinstance(v, torch.Tensor)]
        names = self._outputs or [f"output_{i}" for i in range(len(result))]
        return list(zip(names, result, strict=True))


class TableModel:
    """A torch computation that was logged with a table: its columns side by side are the one argument."""

    def __init__(self, model: TorchModel, columns: Sequence[str]) -> None:
        self._model = model
        self._columns = columns
        self.signature = model.signature

    def __call__(self, tensors: Tensors) -> Tensors:
        """One forward pass over all rows; see `LoadedModel`."""
        return self._model({TABLE: side_by_side(tensors, self._columns)})


def inputs_of(signature: Signature | None) -> list[tuple[str, np.dtype[Any] | None]]:
    """What a computation is called with: name and dtype of each argument; empty where nothing is declared."""
    if signature is None or not signature.inputs:
        return []
    if columns_of(signature):
        # As MLflow does: float32, whatever the columns are.
        return [(TABLE, np.dtype(np.float32))]
    tensors = [spec for spec in signature.inputs if isinstance(spec, TensorSpec)]
    return [(spec.name, np.dtype(spec.dtype)) for spec in tensors]


def columns_of(signature: Signature | None) -> list[str]:
    """The columns that a signature takes; empty for one of tensors."""
    specs = () if signature is None else signature.inputs
    return [spec.name for spec in specs if isinstance(spec, ColumnSpec)]


def _shareable(array: Array, dtype: np.dtype[Any] | None) -> Array:
    """The array itself where torch can work on its memory, else a copy.

    It cannot on memory that is read-only (an array out of Ray's object store, or over received bytes): torch
    does not know of read-only tensors, and a model that works in place would write into what others read.
    """
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    if array.flags.writeable and array.flags.c_contiguous:
        return array
    return array.copy(order="C")
