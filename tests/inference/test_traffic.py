"""The split: a public hash, uniform, sticky, and monotonic when one of two weights grows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from deployments.inference.traffic import BUCKETS, Split, bucket

UNITS = [f"user-{number}" for number in range(100_000)]


@pytest.mark.parametrize(
    ("unit", "salt", "number"), [("a", "seed", 505), ("b", "seed", 2696), ("ab", "foo", 2575)]
)
def test_the_hash_is_growthbooks(unit: str, salt: str, number: int) -> None:
    """Its published vectors for version 2, times 10,000: anyone can recompute an assignment."""
    assert bucket(unit, salt) == number


def test_units_spread_evenly_over_the_buckets() -> None:
    """Chi-square of 100,000 units over 100 ranges: below the 99.9 % point (148.2) and not too even (61.1)."""
    found = np.bincount([bucket(unit, "digits") * 100 // BUCKETS for unit in UNITS], minlength=100)
    expected = len(UNITS) / 100
    assert 61.1 < ((found - expected) ** 2 / expected).sum() < 148.2


def test_shares_are_those_of_the_weights() -> None:
    """Three variants get 1, 9 and 90 percent of 100,000 units, each within four standard deviations."""
    weights = {"a": 1, "b": 9, "c": 90}
    counts = Counter(map(Split(weights, "salt").choose, UNITS))
    for name, weight in weights.items():
        share = weight / 100
        assert (
            abs(counts[name] / len(UNITS) - share) < 4 * (share * (1 - share) / len(UNITS)) ** 0.5
        )


@pytest.mark.parametrize("grows", ["first", "second"])
def test_raising_a_weight_moves_units_only_into_it(grows: str) -> None:
    """From 10 to 25 percent no unit leaves the variant that grows, whichever end of the range it has."""
    other = "second" if grows == "first" else "first"

    def split(weight: float) -> Split:
        weights = {grows: weight, other: 100 - weight}
        return Split({name: weights[name] for name in ("first", "second")}, "digits")

    before, after = split(10), split(25)
    moved = Counter(
        (before.choose(unit), after.choose(unit))
        for unit in UNITS
        if before.choose(unit) != after.choose(unit)
    )
    assert set(moved) == {(other, grows)}
    assert abs(moved[other, grows] / len(UNITS) - 0.15) < 0.005


def test_endpoints_with_other_salts_split_independently() -> None:
    """Of the units in one endpoint's tenth, a tenth are in the other's: experiments do not share their users."""
    one, other = (Split({"new": 10, "old": 90}, salt) for salt in ("digits", "sentences"))
    mine = [unit for unit in UNITS if one.choose(unit) == "new"]
    both = sum(other.choose(unit) == "new" for unit in mine)
    assert abs(both / len(mine) - 0.1) < 0.012


def test_a_weight_of_zero_gets_nobody() -> None:
    """Also where it is the last one, at which rounding could leave a bucket."""
    assert {Split({"a": 33.33, "b": 66.67, "c": 0}, "s").choose(u) for u in UNITS} == {"a", "b"}


def test_among_shares_the_absent_ones_traffic_in_proportion() -> None:
    """Without `a`, `b` and `c` keep their ratio of 3 to 1; with nobody present the split stays as it is."""
    split = Split({"a": 20, "b": 60, "c": 20}, "digits")
    assert split.among({"b", "c"}).weights == {"b": 75, "c": 25}
    assert split.among({"c"}).weights == {"c": 100}
    assert split.among(set()) is split


def test_among_the_untouched_few_change_variant() -> None:
    """A lone survivor keeps all of its own units when the other one is gone."""
    split = Split({"champion": 90, "challenger": 10}, "digits")
    rest = split.among({"champion"})
    assert all(rest.choose(unit) == "champion" for unit in UNITS[:1000])
