"""The `columns` stage: order, gaps, categories, and what cannot be made."""

from __future__ import annotations

import numpy as np
import pytest

from deployments.errors import SpecError
from deployments.inference.columns import column
from deployments.inference.inputs import ColumnInput, TensorInput
from deployments.inference.stages import BadRows
from deployments.inference.stages.build import stage_inputs
from deployments.inference.stages.columns import Columns

PARAMS = {
    "order": ["age", "colour", "member"],
    "name": "x",
    "types": {"age": "long", "member": "boolean"},
    "fill": {"age": 40, "colour": "red"},
    "categories": {"colour": ["red", "green"]},
}


def table(ages, colours, members):
    return {
        **column("member", "boolean", members),
        **column("colour", "string", colours),
        **column("age", "long", ages),
    }


def test_columns_become_one_tensor() -> None:
    """In the order of the configuration and not of the request, gaps filled, text one-hot."""
    answer = Columns(PARAMS, None)(
        table([30, None, 2], ["green", "red", None], [True, False, True])
    )

    expected = np.array([[30, 0, 1, 1], [40, 1, 0, 0], [2, 1, 0, 1]], dtype=np.float32)
    np.testing.assert_array_equal(answer["x"], expected, strict=True)


def test_a_value_without_a_category_fails_its_row() -> None:
    """The column is named, the value is not repeated."""
    with pytest.raises(BadRows) as bad:
        Columns(PARAMS, None)(table([1, 2], ["red", "5ecre7"], [True, True]))

    assert bad.value.rows == {1: "colour is none of its 2 categories"}


def test_requests_name_the_columns() -> None:
    """What has a fill is optional; a model of another width is refused when rendered."""
    model = (TensorInput("x", "float32", (-1, 4)),)

    assert stage_inputs("columns", PARAMS, model) == (
        ColumnInput("age", "long", required=False),
        ColumnInput("colour", "string", required=False),
        ColumnInput("member", "boolean"),
    )


@pytest.mark.parametrize(
    ("params", "model", "message"),
    [
        ({}, (), "cannot be made of params"),
        ({"order": ["a"], "fill": {"b": 1}}, (), "fill of the columns stage names b"),
        ({"order": ["a"], "types": {"a": "string"}}, (), "column a .* is of type string"),
        ({"order": ["a"], "types": {"a": "lnog"}}, (), "column a .* is of type lnog"),
        ({"order": ["a"], "fill": {"a": "x"}}, (), "cannot be made of params"),
        (
            {"order": ["a"], "fill": {"a": 1.5}, "types": {"a": "long"}},
            (),
            "fill of column a is no long",
        ),
        (
            {"order": ["a"], "fill": {"a": "x"}, "categories": {"a": ["y"]}},
            (),
            "fill of column a is none of its categories",
        ),
        (PARAMS, (TensorInput("x", "float32", (-1, 3)),), r"makes \[rows, 4\] .* takes \[-1, 3\]"),
        (PARAMS, (TensorInput("y", "float32", (-1, 4)),), "one tensor `x`, the model takes y"),
    ],
)
def test_what_cannot_be_made(params, model, message) -> None:
    """Misspelt names, types without a number, widths that do not fit: told when rendered."""
    with pytest.raises(SpecError, match=message):
        stage_inputs("columns", params, model)
