"""How what is wrong with a request is said to stand somewhere: `inputs[3]`, or `inputs[3].age`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deployments.inference.tensors import Tensors

At = Callable[[int], str]
"""Names a row in a message, and the input in it."""
Column = Callable[[list[Any], At], Tensors]
"""Turns one input's values, a value a row, into tensors."""


def at(name: str) -> At:
    """For an input that a row names; "" where the row is the input's value."""
    suffix = f".{name}" if name else ""
    return lambda row: f"inputs[{row}]{suffix}"
