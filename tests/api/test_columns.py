"""Tables in requests: what each type takes and refuses, names of any kind, and what the model gets of it."""

from __future__ import annotations

import base64
import datetime as dt
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.api.decode import BodyDecoder
from deployments.errors import BadRequest, InvalidInput
from deployments.inference.inputs import ColumnInput, refusal

SECRET = "5ecre7"
ROW = {
    "sepal length (cm)": 5.1,
    "größe": 2,
    "class": 7,
    "a.b": None,
    "yes?": True,
    "note": "höher",
    "blob": "AP8=",
    "when": "2026-01-31T13:45:00+01:00",
    "tags": ["x", ""],
}


async def test_every_type_goes_through_the_service(edge) -> None:
    """What an echo answers is what was sent: base64 for bytes, UTC for points in time, two rows in order."""
    other = ROW | {"a.b": -5, "note": None, "when": "1999-12-31", "yes?": False, "class": -(2**63)}

    answer = await edge.predict([ROW, other], endpoint="table")

    assert answer.status_code == 200, answer.text
    first, second = answer.json()["predictions"]
    assert first == ROW | {
        "when": "2026-01-31T12:45:00Z",
        "a.b": 0,
        "a.b?missing": True,
        "note?missing": False,
    }
    assert second == other | {
        "when": "1999-12-31T00:00:00Z",
        "note": "",
        "a.b?missing": False,
        "note?missing": True,
    }


BAD = {
    "no double": ("sepal length (cm)", SECRET),
    "a double that is true": ("sepal length (cm)", True),
    "a double that is null": ("sepal length (cm)", None),
    "a list for a double": ("sepal length (cm)", [1.0]),
    "a float of 1e39": ("größe", 1e39),
    "a long of 1.5": ("class", 1.5),
    "a long of 1.0": ("class", 1.0),
    "a long that is true": ("class", True),
    "a long in quotes": ("class", "7"),
    "a long of 2**63": ("class", 2**63),
    "a long of -2**63-1": ("class", -(2**63) - 1),
    "an integer of 2**31": ("a.b", 2**31),
    "a boolean that is 1": ("yes?", 1),
    "a boolean in quotes": ("yes?", "true"),
    "a string that is a number": ("note", 5),
    "a string that is an object": ("note", {"x": SECRET}),
    "a binary that is no base64": ("blob", SECRET + "!"),
    "a binary without padding": ("blob", "AP8"),
    "a binary that is a list": ("blob", [0, 255]),
    "no datetime": ("when", SECRET),
    "a datetime that is a number": ("when", 1700000000),
    "a 30th of February": ("when", "2026-02-30"),
    "an hour of 25": ("when", "2026-01-01T25:00"),
    "an offset of 99 h": ("when", "2026-01-01T05:00+99:00"),
    "a year that nanoseconds cannot count": ("when", "3000-01-01"),
    "digits of another script": ("when", "٢٠٢٦-01-01"),
    "a datetime with a line break": ("when", "2026-01-01\n"),
    "an array that is a string": ("tags", SECRET),
    "an array of numbers": ("tags", [1]),
    "an array of null": ("tags", [None]),
    "an array that is null": ("tags", None),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_value_is_refused_where_it_stands(edge, name) -> None:
    """422 with the row and the column in `fields`, without the value, and the neighbour is not blamed."""
    column, value = BAD[name]

    answer = await edge.predict([ROW, ROW | {column: value}], endpoint="table")

    assert answer.status_code == 422, answer.text
    [field] = answer.json()["fields"]
    assert field.startswith(f"inputs[1].{column}")
    assert SECRET not in answer.text


async def test_lists_of_a_column_have_one_length(edge) -> None:
    """They make one tensor; the first row that differs is named."""
    answer = await edge.predict([ROW, ROW, ROW | {"tags": ["x"]}], endpoint="table")

    assert (answer.status_code, answer.json()["fields"]) == (422, ["inputs[2].tags"])


@pytest.mark.parametrize("column", [name for name in ROW if name not in ("a.b", "note")])
async def test_a_required_column_must_be_there(edge, column) -> None:
    """The one that is missing is named with its row."""
    lacking = {name: value for name, value in ROW.items() if name != column}

    answer = await edge.predict([ROW, lacking], endpoint="table")

    assert (answer.status_code, answer.json()["fields"]) == (422, [f"inputs[1].{column}"])


async def test_an_optional_column_may_be_left_out(edge) -> None:
    """To leave it out is the same as null."""
    short = {name: value for name, value in ROW.items() if name not in ("a.b", "note")}

    answer = await edge.predict([short], endpoint="table")

    [row] = answer.json()["predictions"]
    assert (row["a.b?missing"], row["note?missing"]) == (True, True)


async def test_an_unknown_column_is_named(edge) -> None:
    """Misspelt columns would otherwise be missing ones."""
    answer = await edge.predict([ROW | {"sepal length": 5}], endpoint="table")

    assert (answer.status_code, answer.json()["fields"]) == (422, ["inputs[0].sepal length"])


async def test_a_row_is_an_object(edge) -> None:
    """Not a list of values, whose order nobody checks."""
    answer = await edge.predict([list(ROW.values())], endpoint="table")

    assert (answer.status_code, answer.json()["fields"]) == (422, ["inputs[0]"])


def test_a_lone_column_is_named_too() -> None:
    """So that a table which gains a column keeps its form."""
    decoder = BodyDecoder((ColumnInput("x", "double"),), 4)

    tensors, _ = decoder.decode(b'{"inputs": [{"x": 1}, {"x": 2.5}]}')

    np.testing.assert_array_equal(tensors["x"], [1.0, 2.5], strict=True)
    with pytest.raises(InvalidInput):
        decoder.decode(b'{"inputs": [1]}')


def test_nan_is_named_even_where_null_may_stand() -> None:
    """What pandas writes for a missing number is no JSON; the message names the column."""
    decoder = BodyDecoder((ColumnInput("x", "double", required=False),), 4)

    with pytest.raises(BadRequest) as refused:
        decoder.decode(b'{"inputs": [{"x": 1}, {"x": NaN}]}')

    assert refused.value.fields == ("inputs[1].x",)


def test_arrays_that_are_missing_are_as_long_as_the_others() -> None:
    """So that the rows make one tensor; the mask says which mean nothing."""
    decoder = BodyDecoder((ColumnInput("x", "array(long)", required=False),), 4)

    tensors, _ = decoder.decode(b'{"inputs": [{}, {"x": [1, 2]}, {"x": null}]}')

    np.testing.assert_array_equal(tensors["x"], [[0, 0], [1, 2], [0, 0]])
    np.testing.assert_array_equal(tensors["x?missing"], [True, False, True])


FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(
    dt.datetime.fromisoformat("1678-01-02"), dt.datetime.fromisoformat("2261-12-30")
)
# By type: what a client has, how it writes it, and what the model gets.
VALUES = {
    "boolean": (st.booleans(), bool),
    "integer": (st.integers(-(2**31), 2**31 - 1), int),
    "long": (st.integers(-(2**63), 2**63 - 1), int),
    "float": (FLOAT32, float),
    "double": (st.floats(allow_nan=False, allow_infinity=False) | st.integers(-99, 99), float),
    "string": (st.text(st.characters(exclude_categories=["Cs"])), str),
    "binary": (st.binary(), lambda blob: base64.b64encode(blob).decode()),
    "datetime": (MOMENTS, dt.datetime.isoformat),
}
NAMES = st.text(st.characters(exclude_categories=["Cs"])).filter(
    lambda name: refusal(ColumnInput(name, "long")) is None
)


@st.composite
def tables(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    columns = [
        ColumnInput(name, draw(st.sampled_from(list(VALUES))), draw(st.booleans()))
        for name in names
    ]
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    each.name: VALUES[each.type][0] | (st.nothing() if each.required else st.none())
                    for each in columns
                }
            ),
            min_size=1,
            max_size=3,
        )
    )
    return tuple(columns), rows


@given(table=tables(), plain_ascii=st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_table_comes_through_as_it_was(table, plain_ascii) -> None:
    """Any names, types, values and gaps: every tensor holds each row's own value and the mask its gaps."""
    columns, rows = table
    written = [
        {
            each.name: None if row[each.name] is None else VALUES[each.type][1](row[each.name])
            for each in columns
        }
        for row in rows
    ]
    body = json.dumps({"inputs": written}, ensure_ascii=plain_ascii).encode()

    tensors, _ = BodyDecoder(columns, 3).decode(body)

    for each in columns:
        missing = tensors.get(each.name + "?missing", np.zeros(len(rows), bool)).tolist()
        assert missing == [row[each.name] is None for row in rows]
        for gone, value, row in zip(missing, tensors[each.name], rows, strict=True):
            if not gone and each.type == "datetime":
                assert value == np.datetime64(row[each.name], "us")
            elif not gone:
                assert value == row[each.name]


@pytest.mark.parametrize("name", ["?params", 'a"b', "a\\b", "a\nb"])
def test_names_that_cannot_be_served(name) -> None:
    """Ours, and those that the parser has no form for, are refused before anything is served."""
    assert refusal(ColumnInput(name, "long")) is not None
