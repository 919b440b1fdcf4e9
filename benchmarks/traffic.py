"""What is sent: 64 real images and 64 sentences, in each server's own protocol, and the right answers to them.

Different bodies in turn, so that no server can answer from a cache by accident and sentences vary in length.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BODIES = 64
TOLERANCE = 1e-4
MODELS = ("digits", "sentences")


@dataclass(frozen=True)
class Protocol:
    """One item to a request body, and a response's JSON back to one prediction."""

    body: Callable[[str, Any], dict[str, Any]]
    prediction: Callable[[Any], dict[str, Any]]


def _oip_body(model: str, item: Any) -> dict[str, Any]:
    if model == "digits":
        tensor = {"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [item]}
    else:
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [item]}
    return {"inputs": [tensor]}


def _oip_prediction(payload: Any) -> dict[str, Any]:
    named = {output["name"]: output["data"] for output in payload["outputs"]}
    if "label" in named:
        named["label"] = named["label"][0]
    return named


INPUTS = Protocol(lambda _, item: {"inputs": [item]}, lambda payload: payload["predictions"][0])
INPUTS_TO_LIST = Protocol(lambda _, item: {"inputs": [item]}, lambda payload: payload[0])
OPEN_INFERENCE = Protocol(_oip_body, _oip_prediction)


def items(model: str) -> list[Any]:
    """Test images as 8x8 lists of grey values 0..16, or English sentences of 8 to 29 words."""
    if model == "sentences":
        return Path(__file__).with_name("sentences.txt").read_text().splitlines()[:BODIES]
    return [image.tolist() for image in _training_script().load_split().test_images[:BODIES]]


def _training_script() -> Any:
    """``models/digits.py``, which alone knows which images its models have not seen.

    Loaded by path: importing it as ``models.digits`` would make ``models`` a package of ours.
    """
    path = Path(__file__).resolve().parent.parent / "models" / "digits.py"
    spec = importlib.util.spec_from_file_location("digits_training", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def bodies(protocol: Protocol, model: str) -> list[bytes]:
    """The request bodies, compact JSON without line breaks."""
    return [
        json.dumps(protocol.body(model, item), separators=(",", ":")).encode()
        for item in items(model)
    ]


def difference(expected: dict[str, Any], answered: dict[str, Any]) -> str:
    """How `answered` differs from `expected` beyond the tolerance, in words; empty when it does not."""
    for name, value in expected.items():
        got = np.asarray(answered.get(name, []), dtype=np.float64)
        want = np.asarray(value, dtype=np.float64)
        if got.shape != want.shape:
            return f"{name} has shape {list(got.shape)}, not {list(want.shape)}"
        off = float(np.abs(got - want).max())
        if not off <= TOLERANCE:
            return f"{name} is off by {off:.2g}"
    return ""


def wrong(expected: Sequence[dict[str, Any]], answered: Sequence[dict[str, Any]]) -> str:
    """The first difference between two lists of predictions, in words; empty when there is none."""
    for index, (want, got) in enumerate(zip(expected, answered, strict=True)):
        if said := difference(want, got):
            return f"body {index}: {said}"
    return ""
