"""Bad requests: always a 4xx that names the field, in milliseconds, and never an echo of a value."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.api.decode import BodyDecoder
from deployments.errors import BadRequest
from deployments.inference.inputs import (
    ColumnInput,
    ImageInput,
    ParamInput,
    TensorInput,
    TextInput,
)

GOOD = [[1] * 8] * 8
SECRET = "5ecre7"


def body(row: object) -> bytes:
    return json.dumps({"inputs": [row]}).encode()


def with_number(text: str) -> bytes:
    return body([[1] * 7 + ["@"]] + [[1] * 8] * 7).replace(b'"@"', text.encode())


PATH = "inputs[0]"
DIGITS = {
    "empty": (b"", 400, "body"),
    "not JSON": (b"{inputs: 1}", 400, "body"),
    "truncated": (b'{"inputs": [[[1, 2', 400, "body"),
    "trailing": (body(GOOD) + b" x", 400, "body"),
    "UTF-16": (body(GOOD).decode().encode("utf-16"), 400, "body"),
    "not UTF-8": (b'{"inputs": ["\xff\xfe"]}', 400, "body"),
    "a lone surrogate": (b'{"inputs": ["\\ud800"]}', 400, "body"),
    "a lone surrogate in a key": (b'{"\\ud800": 1, "inputs": []}', 400, "body"),
    "depth 100,000": (b"[" * 100_000, 422, "body"),
    "depth 100,000 within": (b'{"inputs": ' + b"[" * 100_000, 422, PATH),
    "depth 100,000 in an unknown key": (b'{"a": ' + b"[" * 100_000, 422, "body"),
    "an array": (b"[]", 422, "body"),
    "null": (b"null", 422, "body"),
    "no inputs": (b"{}", 422, "body"),
    "unknown key": (b'{"inputs": [], "input": 1}', 422, "inputs"),
    "unknown key after": (body(GOOD)[:-1] + b', "variant": 1}', 422, "body"),
    "inputs null": (b'{"inputs": null}', 422, "inputs"),
    "inputs an object": (b'{"inputs": {}}', 422, "inputs"),
    "no rows": (b'{"inputs": []}', 422, "inputs"),
    "too many rows": (json.dumps({"inputs": [GOOD] * 401}).encode(), 422, "inputs"),
    "a number for a row": (body(5), 422, PATH),
    "null for a row": (body(None), 422, PATH),
    "an empty row": (body([]), 422, PATH),
    "7 lines": (body([[1] * 8] * 7), 422, PATH),
    "9 lines": (body([[1] * 8] * 9), 422, PATH),
    "ragged": (body([[1] * 8] * 7 + [[1] * 7]), 422, PATH),
    "too deep": (body([[[1] * 8] * 8]), 422, PATH),
    "too flat": (body([1] * 64), 422, PATH),
    "boolean": (with_number("true"), 422, PATH),
    "null within": (with_number("null"), 422, PATH),
    "a string within": (with_number(f'"{SECRET}"'), 422, PATH),
    "NaN": (with_number("NaN"), 400, PATH),
    "Infinity": (with_number("Infinity"), 400, PATH),
    "-Infinity": (with_number("-Infinity"), 400, PATH),
    "1e400": (with_number("1e400"), 422, PATH),
    "-1e400": (with_number("-1e400"), 422, PATH),
    "1e300": (with_number("1e300"), 422, PATH),
    "400 digits": (with_number("9" * 400), 422, PATH),
    "5,000 digits": (with_number("9" * 5000), 422, PATH),
    "negative": (with_number("-1"), 422, PATH),
    "over 16": (with_number("16.5"), 422, PATH),
    "text for an image": (body(SECRET), 422, PATH),
    "an empty string": (body(""), 422, PATH),
    "base64 of no PNG": (body(base64.b64encode(SECRET.encode()).decode()), 422, PATH),
    "a PNG's first bytes": (
        body(base64.b64encode(b"\x89PNG\r\n\x1a\n" + SECRET.encode()).decode()),
        422,
        PATH,
    ),
    "a unit that is a number": (body(GOOD)[:-1] + b', "unit": 5}', 422, "unit"),
    "an empty unit": (body(GOOD)[:-1] + b', "unit": ""}', 422, "unit"),
    "a long unit": (body(GOOD)[:-1] + b', "unit": "' + b"u" * 257 + b'"}', 422, "unit"),
}


@pytest.mark.parametrize("name", DIGITS)
async def test_a_bad_body_is_refused(edge, name) -> None:
    """Each is a problem document that names the field, comes at once and holds nothing of the body."""
    content, status, field = DIGITS[name]
    url, kind = "/api/v1/endpoints/digits/predict", {"content-type": "application/json"}
    await edge.client.post(url, content=body(GOOD), headers=kind)

    took = []
    for _ in range(3):  # the machine may be busy with something else for once, not thrice
        begun = time.perf_counter()
        answer = await edge.client.post(url, content=content, headers=kind)
        took.append(time.perf_counter() - begun)

    problem = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["fields"][0].startswith(field)
    assert problem["status"] == status
    assert SECRET not in answer.text
    assert min(took) < 0.1


async def test_the_neighbours_of_a_bad_request_are_answered(edge) -> None:
    """A request with one bad PNG of three names that row; the same rows without it are answered."""
    broken = base64.b64encode(b"\x89PNG\r\n\x1a\n broken").decode()

    bad = await edge.predict([GOOD, broken, GOOD])
    good = await edge.predict([GOOD, GOOD])

    assert (bad.status_code, bad.json()["fields"]) == (422, ["inputs[1]"])
    assert good.status_code == 200


NUMBERS = {
    "an int8 of 128": ([{"x": [1, 2, 3], "n": 128}], "inputs[0].n"),
    "an int8 of 0.5": ([{"x": [1, 2, 3], "n": 0.5}], "inputs[0].n"),
    "a key is missing": ([{"x": [1, 2, 3]}], "inputs[0].n"),
    "a key is unknown": ([{"x": [1, 2, 3], "n": 1, "m": 1}], "inputs[0].m"),
    "a float32 of 1e39": ([{"x": [1, 2, 1e39], "n": 1}], "inputs[0].x"),
    "a short row": ([{"x": [1, 2, 3], "n": 1}, {"x": [1, 2], "n": 1}], "inputs[1].x"),
}


@pytest.mark.parametrize("name", NUMBERS)
async def test_tensors_are_held_to_their_types(edge, name) -> None:
    """A number that its dtype cannot hold is refused where it stands."""
    inputs, field = NUMBERS[name]

    answer = await edge.predict(inputs, endpoint="numbers")

    assert answer.status_code == 422, answer.text
    assert answer.json()["fields"] == [field]


async def test_rows_of_different_lengths_are_refused(edge) -> None:
    """Any length is fine where the signature says so, but one for all rows of a request."""
    ragged = await edge.predict([[1, 2, 3], [1, 2]], endpoint="loose")
    even = await edge.predict([[1, 2, 3], [4, 5, 6]], endpoint="loose")

    assert (ragged.status_code, ragged.json()["fields"]) == (422, ["inputs[1]"])
    assert even.json()["predictions"] == [{"x": [1, 2, 3]}, {"x": [4, 5, 6]}]


HEADERS = {
    "no content type": ({"content-type": ""}, 415, "Content-Type"),
    "form": ({"content-type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
    "another charset": ({"content-type": "application/json; charset=utf-16"}, 415, "Content-Type"),
    "an encoding": ({"content-encoding": "gzip"}, 415, "Content-Encoding"),
    "a timeout of 0": ({"x-request-timeout-ms": "0"}, 400, "X-Request-Timeout-Ms"),
    "a timeout of nan": ({"x-request-timeout-ms": "nan"}, 400, "X-Request-Timeout-Ms"),
    "a negative timeout": ({"x-request-timeout-ms": "-5"}, 400, "X-Request-Timeout-Ms"),
    "a long unit": ({"x-penstock-unit": "u" * 257}, 400, "X-Penstock-Unit"),
}


@pytest.mark.parametrize("name", HEADERS)
async def test_a_bad_header_is_refused(edge, name) -> None:
    """The problem names the header."""
    headers, status, field = HEADERS[name]

    answer = await edge.client.post(
        "/api/v1/endpoints/digits/predict",
        content=body(GOOD),
        headers={"content-type": "application/json", **headers},
    )

    assert answer.status_code == status, answer.text
    assert answer.json()["fields"] == [field]


async def test_unknown_addresses_are_problems_too(edge) -> None:
    """Wrong endpoint, wrong path and wrong method answer in the same shape as everything else."""
    unknown = await edge.predict([GOOD], endpoint="cats")
    nowhere = await edge.client.get("/api/v1/nothing")
    method = await edge.client.get("/api/v1/endpoints/digits/predict")
    other = await edge.client.post("/api/v1/health/live")

    assert [(a.status_code, a.json()["code"]) for a in (unknown, nowhere, method, other)] == [
        (404, "endpoint_not_found"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (405, "method_not_allowed"),
    ]
    assert "cats" not in unknown.text


async def test_a_body_over_the_limit_is_refused_before_it_is_read(edge) -> None:
    """By its declared length without reading it, and a chunked one as soon as it is too long."""
    url, kind = "/api/v1/endpoints/digits/predict", {"content-type": "application/json"}
    sent = 0

    async def endless():
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b" " * 65536

    declared = await edge.client.post(url, content=b" " * 1_000_001, headers=kind)
    exact = await edge.client.post(url, content=body(GOOD).ljust(1_000_000, b" "), headers=kind)
    chunked = await edge.client.post(url, content=endless(), headers=kind)

    assert (declared.status_code, declared.json()["code"]) == (413, "body_too_large")
    assert exact.status_code == 200
    assert chunked.status_code == 413


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)
DECODERS = [
    BodyDecoder((ImageInput("image", (2, 2)),), 4),
    BodyDecoder((TextInput("text"),), 4),
    BodyDecoder((TensorInput("x", "int32", (-1, -1)),), 4),
    BodyDecoder((TensorInput("x", "float32", (-1, 2)), TextInput("t")), 4),
    BodyDecoder((TensorInput("x", "datetime64[ns]", (-1, -1)),), 4),
    BodyDecoder((TensorInput("x", "uint64", (-1,)),), 4),
    BodyDecoder(
        (ColumnInput("a", "datetime", required=False), ColumnInput("b", "array(float)")),
        4,
        (ParamInput("p", "datetime", None, (-1,)),),
    ),
]


@pytest.mark.parametrize("decoder", DECODERS)
@given(document=anything | st.fixed_dictionaries({"inputs": st.lists(anything)}))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_decoded_or_refused(decoder, document) -> None:
    """Whatever JSON comes, and much that is not JSON, is tensors or a `BadRequest` with a field."""
    try:
        tensors, _ = decoder.decode(json.dumps(document).encode("utf-8", "surrogatepass"))
    except BadRequest as refused:
        assert refused.fields
    else:
        assert {len(array) for array in tensors.values()} <= {1, 2, 3, 4}


@given(content=st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_decoded_or_refused(content) -> None:
    """Bytes that are no JSON are a `BadRequest`."""
    for decoder in DECODERS:
        try:
            decoder.decode(content)
        except BadRequest as refused:
            assert refused.fields
