"""Models of MLflow's `pytorch` flavour, in each form that one comes in, told apart by the files and not by trying."""

from __future__ import annotations

import contextlib
import importlib
import logging
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deployments.errors import LoadError
from deployments.inference.loaders import torch_exported, torch_weights
from deployments.inference.loaders.torch_model import (
    PRECISIONS,
    Forward,
    TableModel,
    TorchModel,
    columns_of,
    inputs_of,
)
from deployments.inference.loaders.wanted import Wanted
from deployments.inference.mlmodel import Signature, TensorSpec
from deployments.inference.tensors import Tensors

log = logging.getLogger(__name__)

EXPORTED = "model.pt2"
PICKLED = "model.pth"
WEIGHTS = ("model.safetensors", "state_dict.pth")

_WARM_ROWS, _WARM_LENGTH = 2, 8


def load(wanted: Wanted) -> TorchModel | TableModel:
    """The model in the artifact; see `loaders.load`."""
    _limit_threads(wanted.threads)
    options = wanted.options
    data = wanted.folder / str(wanted.flavors["pytorch"].get("model_data", "data"))
    names: list[str] | None = None
    arguments = ["input"]
    module: Any
    if options.weights is not None:
        module = torch_weights.read(wanted.path(options.weights), options.module)
    elif (data / EXPORTED).exists():
        precision = PRECISIONS.get(options.precision)
        program = torch_exported.read(data / EXPORTED, wanted.device, precision)
        module, names, arguments = program.module, program.results, program.arguments
        return _model(wanted, module, module.forward, arguments, names)
    elif (data / PICKLED).exists():
        module = _pickled(data, wanted.device)
    elif weights := [name for name in WEIGHTS if (data / name).exists()]:
        module = torch_weights.read(data / weights[0], options.module)
    else:
        raise LoadError(
            f"The model in {wanted.folder} has neither {EXPORTED} nor {PICKLED} nor weights in "
            f"{data.name}/: its artifacts are incomplete. Register it anew."
        )
    module = module.eval().to(wanted.device, PRECISIONS.get(options.precision))
    return _model(wanted, module, module, arguments, names)


def _limit_threads(threads: int | None) -> None:
    if threads is None:
        return
    torch.set_num_threads(threads)
    # One forward pass at a time runs here. It can be set only before the first parallel work, and once.
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)


def _pickled(data: Path, device: str) -> Any:
    """A module as MLflow's default writes it: TorchScript, or a pickle, which runs what the file says."""
    path = data / PICKLED
    if _is_torchscript(path):
        with warnings.catch_warnings():
            # Deprecated by torch, and still what models are logged as.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError):
        named = (data / "pickle_module_info.txt").read_text(encoding="utf-8").strip()
        # MLflow's own is the standard library's for reading; importing it would import all of MLflow.
        if named not in {"", "mlflow.pytorch.pickle_module"}:
            reader = importlib.import_module(named)
            # Cloudpickle writes what the standard library reads.
            options = {"pickle_module": reader} if hasattr(reader, "Unpickler") else {}
    module = torch.load(path, map_location=device, weights_only=False, **options)
    if not isinstance(module, torch.nn.Module):
        raise LoadError(
            f"{path} holds a {type(module).__name__}, not a module: a state dict is loaded with "
            f"`loader.weights: {data.name}/{PICKLED}` and `loader.module`."
        )
    return module


def _is_torchscript(path: Path) -> bool:
    """By what is in the archive: a compiled module has its constants in a file of their own, a pickle has not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:  # torch before 1.6 wrote bare pickles
        return False


def _model(
    wanted: Wanted, module: Any, forward: Forward, arguments: list[str], names: list[str] | None
) -> TorchModel | TableModel:
    signature = wanted.signature
    outputs = [] if signature is None else [spec.name for spec in signature.outputs]
    columns = columns_of(signature)
    options = wanted.options

    def around(called: Forward) -> TorchModel | TableModel:
        model = TorchModel(
            called,
            inputs=inputs_of(signature) or [(name, None) for name in arguments],
            outputs=names or outputs,
            device=wanted.device,
            signature=signature,
            precision=PRECISIONS.get(options.precision),
            pin_memory=options.pin_memory,
        )
        return TableModel(model, columns) if columns else model

    return around(forward) if not options.compile else _compiled(wanted, module, around)


def _compiled(wanted: Wanted, module: Any, around: Any) -> TorchModel | TableModel:
    """The module through `torch.compile`, called once so that the compiler runs now and not at a request."""
    if isinstance(module, torch.jit.ScriptModule):
        raise LoadError(
            f"The model in {wanted.folder} is TorchScript, which torch.compile does not take: remove "
            "`loader.compile`, or log the module itself."
        )
    compiled = torch.compile(module)
    model: TorchModel | TableModel = around(compiled)
    example = _example(wanted.signature)
    if example is None:
        log.warning("without a signature, %s is compiled at its first request", wanted.folder)
        return model
    try:
        around(_any_size(compiled, wanted.signature))(example)
    except Exception as exc:
        if "C++ compiler" in str(exc):
            raise LoadError(
                f"The model in {wanted.folder} cannot be compiled, as there is no working C++ compiler "
                "here: install g++ in the image, or remove `loader.compile`."
            ) from exc
        raise
    return model


def _any_size(compiled: Forward, signature: Signature | None) -> Forward:
    """Tells the compiler which sizes vary; else it takes them for fixed, and compiles anew when they do."""
    from torch._dynamo import maybe_mark_dynamic

    specs = () if signature is None else signature.inputs
    # A table is one matrix, however many columns it has.
    shapes = [spec.shape for spec in specs if isinstance(spec, TensorSpec)] or [(-1,)]

    def call(*tensors: torch.Tensor) -> Any:
        for tensor, shape in zip(tensors, shapes, strict=True):
            for axis, size in enumerate(shape):
                if size < 0:
                    maybe_mark_dynamic(tensor, axis)
        return compiled(*tensors)

    return call


def _example(signature: Signature | None) -> Tensors | None:
    """Zeros as a signature asks for; None where there is none."""
    if signature is None or not signature.inputs:
        return None
    example = {}
    for spec in signature.inputs:
        if isinstance(spec, TensorSpec):
            shape = [_WARM_LENGTH if n < 0 else n for n in spec.shape[1:]]
            example[spec.name] = np.zeros((_WARM_ROWS, *shape), spec.dtype)
        else:
            example[spec.name] = np.zeros(_WARM_ROWS, np.float32)
    return example
