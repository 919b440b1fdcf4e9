"""From a JSON body to tensors, by what an endpoint's inputs are: everything is checked before anything is queued.

msgspec checks the types while it parses: a boolean or null is not a number, unknown keys, NaN and numbers that
are out of range are refused with the path of the field. What it cannot say (ragged lists, ranges, base64) is
checked here. No message holds a value of the caller's.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np

from deployments.errors import BadRequest, InvalidInput
from deployments.inference.inputs import PNG_SUFFIX, ImageInput, Input, TensorInput, TextInput
from deployments.inference.tensors import Tensors

UNIT_MAX_CHARS = 256
_WHERE = re.compile(r" - at `(?P<path>[^`]*)`$")
_NOT_A_NUMBER = re.compile(rb"-?\b(?:NaN|Infinity)\b")
_PLAIN = re.compile(r"[^ -~]")

Column = Callable[[list[Any], Callable[[int], str]], Tensors]
"""Turns one input's values, a value a row, into tensors; the second argument names a row in a message."""


class BodyDecoder:
    """Decodes the bodies of one endpoint.

    Args:
        inputs: What a row consists of: a bare value where there is one input, an object by name where there
            are several.
        max_rows: The most rows in a request.
    """

    def __init__(self, inputs: tuple[Input, ...], max_rows: int) -> None:
        self._inputs = inputs
        self._columns = [_column(each) for each in inputs]
        row: Any = _row_type(inputs[0]) if len(inputs) == 1 else _object_type(inputs)
        rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=max_rows)]
        unit = Annotated[str, msgspec.Meta(min_length=1, max_length=UNIT_MAX_CHARS)]
        body = msgspec.defstruct(
            "Body",
            [("inputs", rows), ("unit", unit | None, None)],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(body)

    def decode(self, body: bytes) -> tuple[Tensors, str | None]:
        """The rows' tensors and the unit.

        Raises:
            BadRequest: It is not JSON.
            InvalidInput: It is not what the endpoint takes; `fields` says where.
        """
        try:
            parsed: Any = self._decoder.decode(body)
        except msgspec.ValidationError as exc:
            raise _invalid(str(exc)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise self._not_json(body, exc) from None
        except RecursionError:
            raise BadRequest("the body is nested too deeply", fields=("body",)) from None
        tensors: Tensors = {}
        if len(self._inputs) == 1:
            tensors.update(self._columns[0](parsed.inputs, lambda row: f"inputs[{row}]"))
        else:
            for spec, column in zip(self._inputs, self._columns, strict=True):
                values = [getattr(row, spec.name) for row in parsed.inputs]
                tensors.update(column(values, lambda row, n=spec.name: f"inputs[{row}].{n}"))  # type: ignore[misc]
        return tensors, parsed.unit

    def _not_json(self, body: bytes, exc: Exception) -> BadRequest:
        """What is wrong with it; the field too if it is a NaN or an infinity, which many encoders emit."""
        without = _NOT_A_NUMBER.sub(b"null", body)
        if without != body:
            try:
                self._decoder.decode(without)
            except msgspec.ValidationError as found:
                where = _invalid(str(found)).fields
                return BadRequest(
                    f"NaN and Infinity are not numbers in JSON, at {where[0]}", fields=where
                )
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
        return BadRequest(f"the body is not JSON: {_reason(exc)}", fields=("body",))


def _invalid(message: str) -> InvalidInput:
    """The message of msgspec, with the path taken out of it and into `fields`."""
    found = _WHERE.search(message)
    field = found["path"].removeprefix("$").removeprefix(".") if found else ""
    text = _PLAIN.sub("?", message[: found.start()] if found else message)[:200]
    return InvalidInput(
        text.replace("`", "") + (f" at {field[:200]}" if field else ""),
        fields=(field[:200] or "body",),
    )


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnicodeDecodeError):
        return "it is not UTF-8"
    return _PLAIN.sub("?", str(exc).removeprefix("JSON is malformed: "))[:200]


def _object_type(inputs: tuple[Input, ...]) -> Any:
    fields: Any = [(spec.name, _row_type(spec)) for spec in inputs]
    return msgspec.defstruct("Row", fields, forbid_unknown_fields=True)


def _row_type(spec: Input) -> Any:
    match spec:
        case ImageInput():
            return list[list[float]] | str
        case TextInput():
            return Annotated[str, msgspec.Meta(min_length=1, max_length=spec.max_chars)]
        case TensorInput():
            kind: Any = _number_type(spec.dtype)
            for _ in spec.shape[1:]:
                kind = list[kind]
            return kind


def _number_type(dtype: str) -> Any:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return float
    if kind.kind == "b":
        return bool
    if kind.kind in "iu":
        info = np.iinfo(kind)
        # msgspec's bounds are 64-bit signed; the largest uint64 are left to NumPy, which raises on overflow.
        return Annotated[int, msgspec.Meta(ge=int(info.min), le=min(int(info.max), 2**63 - 1))]
    return str


def _column(spec: Input) -> Column:
    match spec:
        case ImageInput():
            return lambda rows, at: _images(spec, rows, at)
        case TextInput():
            return lambda rows, at: _texts(spec, rows, at)
        case TensorInput():
            return lambda rows, at: _numbers(spec, rows, at)


def _images(spec: ImageInput, rows: list[Any], at: Callable[[int], str]) -> Tensors:
    encoded = [isinstance(row, str) for row in rows]
    if not any(encoded):
        return {spec.name: _grey(spec, rows, at)}
    blobs = np.empty(len(rows), dtype=object)
    for row, value in enumerate(rows):
        blobs[row] = _base64(value, at(row)) if encoded[row] else b""
    if all(encoded):
        return {spec.name + PNG_SUFFIX: blobs}
    blank = [[0.0] * spec.shape[1]] * spec.shape[0]
    lists = [blank if encoded[row] else value for row, value in enumerate(rows)]
    return {spec.name: _grey(spec, lists, at), spec.name + PNG_SUFFIX: blobs}


def _grey(spec: ImageInput, rows: list[Any], at: Callable[[int], str]) -> Any:
    array = _array(rows, np.dtype(np.float32), spec.shape, at)
    # Written so that NaN fails it too, were one ever to come this far.
    if not (array.min() >= spec.low and array.max() <= spec.high):
        inside = ((array >= spec.low) & (array <= spec.high)).reshape(len(rows), -1).all(axis=1)
        row = int(np.argmin(inside))
        raise InvalidInput(
            f"grey values go from {spec.low:g} to {spec.high:g} at {at(row)}", fields=(at(row),)
        )
    return array


def _base64(value: str, where: str) -> bytes:
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            f"a string must be a PNG image in base64 at {where}", fields=(where,)
        ) from None
    if not blob.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InvalidInput(f"a string must be a PNG image in base64 at {where}", fields=(where,))
    return blob


def _texts(spec: TextInput, rows: list[Any], at: Callable[[int], str]) -> Tensors:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return {spec.name: array}


def _numbers(spec: TensorInput, rows: list[Any], at: Callable[[int], str]) -> Tensors:
    dtype = np.dtype(spec.dtype)
    array = _array(rows, dtype, spec.shape[1:], at)
    if dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(np.argmin(np.isfinite(array).reshape(len(rows), -1).all(axis=1)))
        raise InvalidInput(f"a number is out of range at {at(bad)}", fields=(at(bad),))
    return {spec.name: array}


def _array(rows: list[Any], dtype: Any, shape: tuple[int, ...], at: Callable[[int], str]) -> Any:
    """Rows as one array of [rows, *shape]; -1 in `shape` is any length, but one and the same for all rows."""
    try:
        with np.errstate(over="ignore"):
            array = np.array(rows, dtype=dtype)
    except (ValueError, OverflowError, TypeError):
        array = np.empty(0)
    if array.ndim == len(shape) + 1 and all(
        want in (-1, got) for want, got in zip(shape, array.shape[1:], strict=True)
    ):
        return array
    raise _misshapen(rows, shape, at)


def _misshapen(rows: list[Any], shape: tuple[int, ...], at: Callable[[int], str]) -> InvalidInput:
    """Find the first row that is not of the shape, or not of the first row's."""
    expected = "x".join("any" if n == -1 else str(n) for n in shape)
    first = _shape(rows[0])
    for row, value in enumerate(rows):
        mine = _shape(value)
        fits = mine is not None and len(mine) == len(shape)
        if not fits or any(w not in (-1, g) for w, g in zip(shape, mine or (), strict=False)):
            return InvalidInput(f"expected {expected} numbers at {at(row)}", fields=(at(row),))
        if mine != first:
            return InvalidInput(
                f"all rows of a request must have one shape; another begins at {at(row)}",
                fields=(at(row),),
            )
    return InvalidInput(f"a number is out of range for its type at {at(0)}", fields=("inputs",))


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists, or None if they are ragged."""
    if not isinstance(value, list):
        return ()
    inner = {_shape(each) for each in value}
    if len(inner) > 1 or None in inner:
        return None
    return (len(value), *(inner.pop() if inner else ()))  # type: ignore[misc]
