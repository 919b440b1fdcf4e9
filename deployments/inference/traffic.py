"""Which variant answers: a pure function of the unit, the salt and the split.

The bucket is GrowthBook's hash, version 2, so that anyone can recompute an assignment offline
(https://docs.growthbook.io/lib/build-your-own#hashing). Test vectors: ``bucket("a", "seed") == 505``,
``bucket("b", "seed") == 2696``, ``bucket("ab", "foo") == 2575``.

Variants own consecutive ranges of buckets in the order in which they are written. Between two variants, moving
weight from one to the other moves only the units in between.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

BUCKETS = 10_000
"""Weights are exact to 0.01 %."""

_FNV_OFFSET = 0x811C9DC5
_FNV_PRIME = 0x01000193


def fnv1a32(text: str) -> int:
    """The 32-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def bucket(unit: str, salt: str) -> int:
    """The bucket, 0 to 9999, of a unit."""
    return fnv1a32(str(fnv1a32(salt + unit))) % BUCKETS


class Split:
    """Shares of traffic in percent, by variant.

    Args:
        weights: Percent by variant; they sum to 100.
        salt: Endpoints with different salts split independently.
    """

    def __init__(self, weights: Mapping[str, float], salt: str) -> None:
        self.weights = dict(weights)
        self._salt = salt
        self._upper: list[tuple[int, str]] = []
        edge = 0
        for name, weight in weights.items():
            edge += round(weight * BUCKETS / 100)
            self._upper.append((edge, name))

    def choose(self, unit: str) -> str:
        """The variant that the unit belongs to."""
        mine = bucket(unit, self._salt)
        for edge, name in self._upper:
            if mine < edge:
                return name
        return self._upper[-1][1]

    def among(self, present: Collection[str]) -> Split:
        """The same split when only some variants are present: theirs grow in proportion.

        With none of them present there is nobody to give the traffic to, and it stays as it is.
        """
        rest = {name: weight for name, weight in self.weights.items() if name in present}
        total = sum(rest.values())
        if not total:
            return self
        return Split({name: 100 * weight / total for name, weight in rest.items()}, self._salt)
