"""Models of MLflow's `transformers` flavour: a pipeline from the artifact alone, never from a hub on the network."""

from __future__ import annotations

from typing import Any

from deployments.errors import LoadError
from deployments.inference.loaders import pyfunc
from deployments.inference.loaders.wanted import Wanted


def load(wanted: Wanted) -> pyfunc.PythonFunction:
    """The pipeline in the artifact, asked through MLflow's wrapper; see `loaders.load`."""
    flavor = wanted.flavors["transformers"]
    if "python_function" not in wanted.flavors:
        raise LoadError(
            f"The model in {wanted.folder} is a pipeline for {flavor.get('task')}, which MLflow has no "
            "prediction for: log it as a PythonModel instead."
        )
    if flavor.get("source_model_revision"):
        raise LoadError(
            f"The model in {wanted.folder} names {flavor.get('source_model_name')} on a hub and brings no "
            "weights: log it with save_pretrained=True, so that what was registered is what is served."
        )
    _stay_offline()
    function = pyfunc.load(wanted)
    _place(function, wanted.device)
    return function


def _stay_offline() -> None:
    """Let nothing be asked of the hub: what is missing is an error at once, not after a timeout."""
    import transformers  # first, to be the one that is told missing

    import huggingface_hub.constants  # isort: skip

    huggingface_hub.constants.HF_HUB_OFFLINE = True
    transformers.utils.logging.disable_progress_bar()  # nobody watches a replica's output


def _place(function: pyfunc.PythonFunction, device: str) -> None:
    """Move the pipeline; MLflow puts it on the first GPU that it sees, whatever the replica was promised."""
    import torch

    pipeline: Any = function.raw
    if getattr(pipeline, "model", None) is not None:
        pipeline.model.eval()
        pipeline.model.to(device)
        pipeline.device = torch.device(device)
