"""From a JSON body to tensors, by what an endpoint's inputs are: everything is checked before anything is queued.

msgspec checks the types while it parses, in one pass: a boolean or null is not a number, unknown keys, NaN and
numbers that are out of range are refused with the path of the field. What it cannot say (ragged lists, ranges,
points in time) is checked after it, input by input. No message holds a value of the caller's.
"""

from __future__ import annotations

from deployments.api.decode.body import BodyDecoder

__all__ = ["BodyDecoder"]
