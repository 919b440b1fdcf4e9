"""How a model is to be loaded, as a configuration may say; the defaults load what MLflow logged as it was logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Flavor = Literal["pytorch", "onnx", "sklearn", "transformers", "pyfunc"]
FLAVORS: tuple[Flavor, ...] = ("pytorch", "onnx", "sklearn", "transformers", "pyfunc")
"""Every flavour that can be loaded, in the order of preference where an artifact has several."""

Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a configuration says about loading.

    Attributes:
        allow: The flavours that may be loaded. An allow-list, since some run whatever Python they bring.
        flavor: The one of them to take, where the artifact has several; else the first of `allow`'s order.
        weights: A weights file within the artifact (a state dict, safetensors) for `module` to be filled with.
        module: ``package.module:callable`` that builds the torch module, from the artifact's ``code/`` or the
            image; for weights without a computation.
        method: What an estimator is asked, such as ``predict_proba``; else what the artifact itself says.
        precision: What a torch model computes in.
        compile: Whether a torch model goes through `torch.compile`.
        pin_memory: Whether a batch is copied to the GPU from page-locked memory.
    """

    allow: tuple[str, ...] = FLAVORS
    flavor: str | None = None
    weights: str | None = None
    module: str | None = None
    method: str | None = None
    precision: Precision = "float32"
    compile: bool = False
    pin_memory: bool = False
