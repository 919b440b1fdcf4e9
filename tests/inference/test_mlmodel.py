"""Reading `MLmodel` files, the parts that the example models do not have."""

from __future__ import annotations

from deployments.inference.mlmodel import ColumnSpec, TensorSpec, parse

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
