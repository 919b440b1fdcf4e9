"""The API document: valid, true to the decoder, and showing each endpoint's own inputs."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from deployments.api.decode import BodyDecoder
from deployments.api.document import example_body
from deployments.api.document.schemas import body_schema
from deployments.errors import BadRequest
from deployments.inference.inputs import ColumnInput, ParamInput, TensorInput
from deployments.inference.mlmodel import SCALARS
from deployments.inference.table import EndpointRoute, VariantRoute
from tests.api.conftest import TABLE

MANY = tuple(
    ColumnInput(f"{kind} {wrap}", wrap.format(kind), required=required)
    for kind in SCALARS
    for wrap, required in (("{}", True), ("array({})", False))
)
DTYPES = (
    "bool",
    "int8",
    "uint64",
    "float16",
    "float64",
    "object",
    "str",
    "bytes",
    "datetime64[ns]",
)
TENSORS = tuple(TensorInput(each, each, (-1, -1, 2)) for each in DTYPES)


def route(*inputs, params=()) -> EndpointRoute:
    return EndpointRoute(
        variants={"only": VariantRoute("m", "1", "m-v1", ("Model",))},
        split={"only": 100.0},
        inputs=inputs,
        salt="m",
        params=params,
    )


ROUTES = {
    "columns": route(*MANY),
    "tensors": route(*TENSORS),
    **{dtype: route(TensorInput("x", dtype, (-1,))) for dtype in DTYPES},
    "an example": route(
        ColumnInput("a", "long", example=3), ColumnInput("b", "long", required=False)
    ),
}


async def test_the_document_is_openapi(edge) -> None:
    """As its specification says, with columns, tensors and images in it."""
    document = (await edge.client.get("/openapi.json")).json()

    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    served = {path for path in document["paths"] if path.endswith("/predict")}
    assert {f"/api/v1/endpoints/{name}/predict" for name in TABLE.endpoints} <= served
    document["info"] = {}  # and a broken one is seen to be
    assert list(OpenAPIV31SpecValidator(document).iter_errors())


@pytest.mark.parametrize("name", ROUTES)
def test_the_example_is_taken(name) -> None:
    """It passes its own schema and the decoder."""
    each = ROUTES[name]
    body = json.loads(json.dumps(example_body(each)))

    Draft202012Validator(body_schema(each)).validate(body)
    tensors, _ = BodyDecoder(each.inputs, 4, each.params).decode(json.dumps(body).encode())

    assert {spec.name for spec in each.inputs if getattr(spec, "required", True)} <= set(tensors)


def test_the_models_example_is_shown_as_it_is() -> None:
    """An optional column that it lacks is not made up."""
    assert example_body(ROUTES["an example"]) == {"inputs": [{"a": 3}]}


def test_columns_are_an_object_with_what_it_requires() -> None:
    """Names, types, and that an optional one may be null."""
    schema = body_schema(route(ColumnInput("a b", "long"), ColumnInput("c", "double", False)))

    row = schema["properties"]["inputs"]["items"]
    assert row["required"] == ["a b"]
    assert row["additionalProperties"] is False
    assert row["properties"]["a b"]["type"] == "integer"
    assert row["properties"]["a b"]["description"] == "long"
    assert row["properties"]["c"]["type"] == ["number", "null"]


def test_a_tensor_tells_its_dtype_and_shape() -> None:
    """Of one row, with any length called so."""
    schema = body_schema(route(TensorInput("x", "float32", (-1, 3, -1))))

    item = schema["properties"]["inputs"]["items"]
    assert item["description"] == "float32 [3, any]"
    assert (item["minItems"], item["maxItems"]) == (3, 3)


def test_parameters_have_their_defaults() -> None:
    """Where JSON has a form for them; a default of null makes null a value."""
    params = (
        ParamInput("t", "double", 0.5),
        ParamInput("n", "double", float("nan")),
        ParamInput("stop", "string", None, (-1,)),
    )
    found = body_schema(route(TensorInput("x", "int8", (-1,)), params=params))["properties"][
        "params"
    ]

    assert found["additionalProperties"] is False
    assert found["properties"] == {
        "t": {"type": "number", "description": "double", "default": 0.5},
        "n": {"type": "number", "description": "double"},
        "stop": {"type": ["array", "null"], "items": {"type": "string"}, "description": "string"},
    }


BODIES = [
    {"inputs": [{"a": 1, "b": None}], "params": {"t": 1}},
    {"inputs": [{"a": 1}]},
    {"inputs": [{"a": 1, "b": 2.5}], "params": {}},
    {"inputs": [{"a": 1.5}]},
    {"inputs": [{"a": None}]},
    {"inputs": [{"b": 1}]},
    {"inputs": [{"a": 2**31}]},
    {"inputs": [{"a": 1, "c": 1}]},
    {"inputs": [{"a": 1}], "params": {"u": 1}},
    {"inputs": [{"a": 1}], "params": {"t": "1"}},
    {"inputs": []},
    {"inputs": [1]},
    {"inputs": [{"a": True}]},
]


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_schema_and_decoder_agree(number) -> None:
    """A body that passes the schema is taken, one that does not is refused."""
    each = route(
        ColumnInput("a", "integer"),
        ColumnInput("b", "double", required=False),
        params=(ParamInput("t", "double", 0.5),),
    )
    valid = Draft202012Validator(body_schema(each)).is_valid(BODIES[number])
    decoder = BodyDecoder(each.inputs, each.max_request_rows, each.params)
    try:
        decoder.decode(json.dumps(BODIES[number]).encode())
    except BadRequest:
        taken = False
    else:
        taken = True
    assert taken == valid
