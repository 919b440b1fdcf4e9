"""Reading `MLmodel` files, the parts that the example models do not have."""

from __future__ import annotations

from deployments.inference.mlmodel import ColumnSpec, ParamSpec, TensorSpec, parse

COLUMNS = """
flavors: {sklearn: {}}
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}, {"type": "string", "name": "note", "required": false}]'
  outputs: '[{"type": "long"}]'
"""

UNNAMED = """
flavors: {pytorch: {}}
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]'
  outputs: null
"""


def test_columns_are_read_with_what_they_require():
    """A table's columns keep their types; one that MLflow let go without a name gets one."""
    signature = parse(COLUMNS).signature

    assert signature.inputs == (ColumnSpec("age", "double"), ColumnSpec("note", "string", False))
    assert signature.outputs == (ColumnSpec("output", "long"),)


def test_a_lone_tensor_without_a_name_gets_one():
    """So that every tensor inside has a name; an absent half of a signature is empty."""
    signature = parse(UNNAMED).signature

    assert signature.inputs == (TensorSpec("input", "float32", (-1, 3)),)
    assert signature.outputs == ()


def test_a_model_may_have_no_signature():
    """Old models, and those logged without an example."""
    assert parse("flavors: {sklearn: {}}").signature is None


EVERY = """
flavors: {python_function: {}}
signature:
  inputs: '[{"type": "array", "items": {"type": "double"}, "name": "a", "required": true},
    {"type": "array", "items": {"type": "array", "items": {"type": "object", "properties": {}}}, "name": "b"},
    {"type": "map", "values": {"type": "string"}, "name": "m"}, {"type": "any", "name": "y"},
    {"type": "long", "name": 0, "required": null}, {"type": "long", "name": "old", "optional": true}]'
  params: '[{"name": "t", "default": 0.5, "shape": null, "type": "double"},
    {"name": "stop", "default": ["."], "shape": [-1], "dtype": "string"},
    {"name": "o", "default": {"x": 1}, "shape": null, "type": "object", "properties": {}}]'
"""


def test_every_form_of_a_column_is_kept():
    """What no tensor can hold keeps its type, so that it can be named; a number is a name, as 0 is."""
    assert parse(EVERY).signature.inputs == (
        ColumnSpec("a", "array(double)"),
        ColumnSpec("b", "array(array(object))"),
        ColumnSpec("m", "map"),
        ColumnSpec("y", "any"),
        ColumnSpec("0", "long"),
        ColumnSpec("old", "long", required=False),
    )


def test_parameters_have_a_type_a_default_and_a_shape():
    """Older files call the type `dtype`."""
    assert parse(EVERY).signature.params == (
        ParamSpec("t", "double", 0.5),
        ParamSpec("stop", "string", ["."], (-1,)),
        ParamSpec("o", "object", {"x": 1}),
    )
