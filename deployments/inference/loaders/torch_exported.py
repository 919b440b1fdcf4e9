"""Exported programs (`pt2`): the computation itself, so that no class of the model's author is needed.

A program is called through its bare `forward` without the tree of arguments that torch wraps it in: on a tiny
model that, and not the arithmetic, is most of a call (25 microseconds instead of 70 for the digits
perceptron). What the wrapper would check, the shapes, has been checked against the signature before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.export.passes import move_to_device_pass
from torch.fx import GraphModule, Node
from torch.fx.graph import CodeGen

from deployments.errors import LoadError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """A program as a module that takes its arguments one by one.

    Attributes:
        arguments: What the graph calls them.
        results: What it calls its results; None where they are no mapping.
    """

    module: GraphModule
    arguments: list[str]
    results: list[str] | None


def read(path: Path, device: str, precision: torch.dtype | None) -> Exported:
    """The program in a file, on a device, in float32 or a half precision.

    Raises:
        LoadError: It cannot be had in half precision.
        Exception: Whatever torch makes of a file that is not one.
    """
    program = torch.export.load(path)
    if device != "cpu":
        program = move_to_device_pass(program, device)
    arguments = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    spec = program.call_spec.out_spec
    # Only the outermost level is undone here: a model that nests its results names them in no signature.
    results = [str(key) for key in spec.context] if spec is not None and spec.type is dict else None
    # The cast: what is declared is any module, what comes is always one of a graph.
    module: Any = program.module(check_guards=False)
    _evaluate(module, path)
    if precision is not None:
        _halve(module, path, precision)
    module.graph.set_codegen(CodeGen())
    module.recompile()
    return Exported(module, arguments, results)


# Where these operators have `train` or `training` among their arguments.
_TRAINING = {
    "aten.dropout.default": 2,
    "aten.dropout_.default": 2,
    "aten.feature_dropout.default": 2,
    "aten.alpha_dropout.default": 2,
    "aten.feature_alpha_dropout.default": 2,
    "aten.native_dropout.default": 2,
    "aten.batch_norm.default": 5,
    "aten.instance_norm.default": 5,
}


def _evaluate(module: GraphModule, path: Path) -> None:
    """Undo training mode, which an export writes down in the graph: a program has no `eval()`."""
    changed = False
    for node in module.graph.nodes:
        place = _TRAINING.get(str(node.target), 0)
        if place and len(node.args) > place and node.args[place] is True:
            node.update_arg(place, False)
            changed = True
    if changed:
        log.warning("%s was exported in training mode; it is served in evaluation mode", path)


def _halve(module: GraphModule, path: Path, precision: torch.dtype) -> None:
    """Turn the program's numbers into a half precision, as `Module.half` does for a module.

    That is right only where each operator takes its type from its operands. A graph that names a floating
    type anywhere, as an export of a cast or of a new tensor does, may be meant to compute just there in
    full precision, or would mix types; which of both cannot be told from here.
    """
    for node in module.graph.nodes:
        if any(kind.is_floating_point for kind in _types(node)):
            raise LoadError(
                f"{path} cannot be run in {str(precision).removeprefix('torch.')}: its graph fixes a type "
                f"in {node.name} ({node.target}). Log the module itself (serialization_format='pickle'), "
                "export it in that precision, or take `loader.precision: float32`."
            )
    module.to(precision)
    for node in module.graph.nodes:
        # Constants are no parameters, and plain attributes where `to` does not look.
        if node.op == "get_attr":
            _halve_constant(module, str(node.target), precision)


def _types(node: Node) -> Iterator[torch.dtype]:
    for value in (*node.args, *node.kwargs.values()):
        if isinstance(value, torch.dtype):
            yield value


def _halve_constant(module: GraphModule, target: str, precision: torch.dtype) -> None:
    owner: Any = module.get_submodule(target.rpartition(".")[0])
    name = target.rpartition(".")[2]
    value = getattr(owner, name)
    if isinstance(value, torch.Tensor) and value.dtype in {torch.float32, torch.float64}:
        setattr(owner, name, value.to(precision))
