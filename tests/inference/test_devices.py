"""Where a replica puts its model."""

from __future__ import annotations

import pytest

from deployments.errors import DeviceError
from deployments.inference.devices import choose_device


def never() -> bool:
    raise AssertionError("asking imports torch, and a replica without a GPU may not need to")


@pytest.mark.parametrize(
    ("assigned", "configured", "expected"),
    [
        ([], "auto", "cpu"),
        ([], "cpu", "cpu"),
        (["0"], "cpu", "cpu"),
    ],
)
def test_the_cpu_is_chosen_without_asking_cuda(assigned, configured, expected):
    """Without a promise, or told so, a replica uses the CPU."""
    assert choose_device(assigned, configured, never) == expected


@pytest.mark.parametrize("configured", ["auto", "cuda"])
@pytest.mark.parametrize("assigned", [["0"], ["3"], ["1", "2"]])
def test_a_promised_gpu_is_number_0(assigned, configured):
    """Whatever its number on the node: the replica sees only its own."""
    assert choose_device(assigned, configured, lambda: True) == "cuda:0"


@pytest.mark.parametrize(
    ("assigned", "configured", "message"),
    [
        (["3"], "auto", r"promised GPU 3, but CUDA sees none: .* or set `device: cpu`"),
        (["1", "2"], "cuda", r"promised GPU 1, 2, but CUDA sees none"),
        ([], "cuda", r"was assigned no GPU: set `num_gpus` above 0, or `device: auto`"),
        ([], "gpu", r"`device: gpu` is unknown: write auto, cpu or cuda"),
    ],
)
def test_a_broken_promise_is_an_error(assigned, configured, message):
    """Serving from the CPU without a word would hide the fault behind a latency fifty times as high."""
    with pytest.raises(DeviceError, match=message):
        choose_device(assigned, configured, lambda: False)
