"""Models of MLflow's `pytorch` flavour: exported programs (`pt2`) and pickled modules. The one module with torch.

An exported program is the computation itself, so no class of the model's author has to be importable. It is
called through its bare `forward` without the tree of arguments that torch wraps it in: on a tiny model
that, and not the arithmetic, is most of a call (25 microseconds instead of 70 for the digits perceptron).
What the wrapper would check, the shapes, has been checked against the signature before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export.passes import move_to_device_pass
from torch.fx.graph import CodeGen

from deployments.errors import ModelFailed, SetupError
from deployments.inference.mlmodel import ModelFile, Signature, TensorSpec
from deployments.inference.tensors import Array, Tensors

Forward = Callable[..., Any]

EXPORTED = "model.pt2"
PICKLED = "model.pth"


class TorchModel:
    """A torch computation with named NumPy arrays at both ends."""

    def __init__(
        self,
        forward: Forward,
        *,
        inputs: Sequence[tuple[str, np.dtype[Any] | None]],
        outputs: Sequence[str],
        device: str,
        signature: Signature | None,
    ) -> None:
        """Takes the computation and what it is called with.

        Args:
            forward: Takes one tensor for each input, positionally; gives a tensor, a sequence or a mapping.
            inputs: Name and dtype of each argument; None takes the dtype as it comes.
            outputs: The names of the results, for those that do not name themselves.
            device: Where the arguments have to be.
            signature: What was declared when the model was logged.
        """
        self._forward = forward
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._device = None if device == "cpu" else torch.device(device)
        self.signature = signature

    @torch.inference_mode()
    def __call__(self, tensors: Tensors) -> Tensors:
        """One forward pass over all rows; see `LoadedModel`."""
        result = self._forward(*[self._argument(tensors, *named) for named in self._inputs])
        return {name: tensor.cpu().numpy() for name, tensor in self._named(result)}

    def _argument(self, tensors: Tensors, name: str, dtype: np.dtype[Any] | None) -> torch.Tensor:
        try:
            array = tensors[name]
        except KeyError as exc:
            raise ModelFailed(
                f"The model takes a tensor `{name}`, but preprocessing gave "
                f"{', '.join(f'`{n}`' for n in tensors) or 'none'}."
            ) from exc
        tensor = torch.from_numpy(_shareable(array, dtype))
        return tensor if self._device is None else tensor.to(self._device, non_blocking=True)

    def _named(self, result: Any) -> list[tuple[str, torch.Tensor]]:
        if isinstance(result, torch.Tensor):
            return [(self._outputs[0] if self._outputs else "output", result)]
        if isinstance(result, Mapping):
            return list(result.items())
        names = self._outputs or [f"output_{i}" for i in range(len(result))]
        return list(zip(names, result, strict=True))


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


def load(folder: Path, file: ModelFile, *, device: str, threads: int | None) -> TorchModel:
    """The model in `folder`; see `loaders.load`."""
    if threads is not None:
        torch.set_num_threads(threads)
    data = folder / str(file.flavors["pytorch"].get("model_data", "data"))
    exported, pickled = data / EXPORTED, data / PICKLED
    try:
        if exported.exists():
            return _exported(exported, file.signature, device)
        if pickled.exists():
            return _pickled(pickled, file.signature, device)
    except Exception as exc:
        # Anything may come out of a damaged archive or out of the model's own code.
        reason = str(exc).strip().partition("\n")[0] or type(exc).__name__
        raise SetupError(f"The model in {folder} cannot be loaded: {reason}") from exc
    raise SetupError(
        f"The model in {folder} has neither {EXPORTED} nor {PICKLED} in {data.name}/: "
        "its artifacts are incomplete. Register it anew."
    )


def _exported(path: Path, signature: Signature | None, device: str) -> TorchModel:
    program = torch.export.load(path)
    if device != "cpu":
        program = move_to_device_pass(program, device)
    arguments = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    spec = program.call_spec.out_spec
    # Only the outermost level is undone here: a model that nests its results names them in no signature.
    names = [str(key) for key in spec.context] if spec is not None and spec.type is dict else None
    module = program.module(check_guards=False)
    module.graph.set_codegen(CodeGen())
    module.recompile()
    return TorchModel(
        module.forward,
        inputs=_inputs(signature) or [(name, None) for name in arguments],
        outputs=names or _outputs(signature),
        device=device,
        signature=signature,
    )


def _pickled(path: Path, signature: Signature | None, device: str) -> TorchModel:
    # Unpickling runs what the file says. This is the flavour's default for a logged module, and the
    # artifact is as trusted as the registry that names it.
    module = torch.load(path, map_location=device, weights_only=False)
    return TorchModel(
        module.eval(),
        inputs=_inputs(signature) or [("input", None)],
        outputs=_outputs(signature),
        device=device,
        signature=signature,
    )


def _inputs(signature: Signature | None) -> list[tuple[str, np.dtype[Any] | None]]:
    if signature is None:
        return []
    tensors = [spec for spec in signature.inputs if isinstance(spec, TensorSpec)]
    return [(spec.name, np.dtype(spec.dtype)) for spec in tensors]


def _outputs(signature: Signature | None) -> list[str]:
    return [] if signature is None else [spec.name for spec in signature.outputs]
