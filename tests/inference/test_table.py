"""The table that edges serve by is edited by hand too: what cannot be served is refused whole, naming the field."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from deployments.inference.table import read_table, write_table

VARIANT = {"model": "d", "version": "1", "application": "d-v1", "deployments": ["Model"]}
GOOD: dict[str, Any] = {
    "endpoints": {
        "d": {
            "split": {"a": 90, "b": 10},
            "variants": {"a": VARIANT, "b": VARIANT | {"version": "2", "application": "d-v2"}},
            "inputs": [{"kind": "tensor", "name": "x", "dtype": "float32", "shape": [-1, 2]}],
            "salt": "d",
        }
    }
}


def test_a_table_survives_the_way_through_yaml() -> None:
    """What is written is read back the same."""
    table = read_table(GOOD)
    assert read_table(write_table(table)) == table


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": {}}, "the weights in split sum to 0"),
        ({"split": {"a": 90, "b": 20}}, "the weights in split sum to 110"),
        ({"split": {"a": 110, "b": -10}}, "from 0 up"),
        ({"split": {"a": 90, "c": 10}}, "split names c, which variants does not have"),
        ({"split": {"a": "all"}}, "Expected `float`, got `str`"),
        ({"spilt": {}}, "unknown field `spilt`"),
        ({"inputs": []}, "inputs is empty"),
        (
            {"inputs": [{"kind": "tensor", "name": "x", "dtype": "f33", "shape": [-1]}]},
            "data type 'f33' not understood",
        ),
        (
            {"inputs": [{"kind": "column", "name": "a", "type": "map"}]},
            "'a': a column of type map does not fit",
        ),
        (
            {"inputs": [{"kind": "column", "name": "a", "type": "long"}] * 2},
            "two have one name among a, a",
        ),
        ({"params": [{"name": "?p", "type": "long"}]}, "Penstock's own"),
        ({"params": [{"name": "p", "type": "binary"}]}, "cannot be of type binary"),
        ({"deadline_ms": 0}, "deadline_ms"),
        ({"unit": ["cookie"]}, "Invalid enum value 'cookie'"),
    ],
)
def test_what_cannot_be_served_is_refused(change: dict[str, Any], message: str) -> None:
    """Weights that do not add up, strangers in the split, misspelt keys: none of it reaches a request."""
    wrong = copy.deepcopy(GOOD)
    wrong["endpoints"]["d"].update(change)
    with pytest.raises(msgspec.ValidationError, match=message) as refused:
        read_table(wrong)
    assert "$.endpoints" in str(refused.value)
