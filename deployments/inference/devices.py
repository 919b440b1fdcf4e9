"""Where a replica puts its model: a decision over what it was promised, what it sees and what was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from deployments.errors import DeviceError

CHOICES = ("auto", "cpu", "cuda")


def choose_device(
    assigned_gpus: Sequence[str], configured: str, cuda_available: Callable[[], bool]
) -> str:
    """The torch device for a replica's model.

    Whoever promised the GPUs has narrowed what CUDA shows to them, so the replica's own is always number
    0, and a share of a GPU is the same device as a whole one.

    Args:
        assigned_gpus: The ids of the GPUs that the replica was promised; empty for none.
        configured: `auto` follows the promise, `cpu` ignores it, `cuda` insists on one.
        cuda_available: Whether CUDA sees a GPU; asked only when it matters, as asking imports torch.

    Raises:
        DeviceError: A GPU was promised or insisted on, and there is none. Serving from the CPU without a
            word would hide the fault behind a high latency.
    """
    if configured not in CHOICES:
        raise DeviceError(f"`device: {configured}` is unknown: write auto, cpu or cuda.")
    if configured == "cpu":
        return "cpu"
    if not assigned_gpus:
        if configured == "cuda":
            raise DeviceError(
                "`device: cuda` is set, but this replica was assigned no GPU: "
                "set `num_gpus` above 0, or `device: auto`."
            )
        return "cpu"
    if not cuda_available():
        promised = ", ".join(assigned_gpus)
        raise DeviceError(
            f"This replica was promised GPU {promised}, but CUDA sees none: mend the node's driver or "
            "install a CUDA build of torch, or set `device: cpu` to serve from the CPU."
        )
    return "cuda:0"


def release_cached_memory() -> None:
    """Gives back what torch keeps of a GPU's memory for later; without effect where torch or a GPU is not in use."""
    torch = sys.modules.get("torch")  # not imported here: a replica of another framework has none
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
