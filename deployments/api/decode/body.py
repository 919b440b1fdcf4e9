"""Decodes a request's body: its rows, its parameters and its unit."""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from deployments.api.decode import params as request_params
from deployments.api.decode.inputs import column, row_type
from deployments.api.decode.refused import invalid, reason
from deployments.api.decode.where import At, at
from deployments.errors import BadRequest
from deployments.inference.inputs import Input, ParamInput, by_name
from deployments.inference.tensors import Tensors

UNIT_MAX_CHARS = 256
_NOT_A_NUMBER = re.compile(rb"-?\b(?:NaN|Infinity)\b")


class BodyDecoder:
    """Decodes the bodies of one endpoint.

    Args:
        inputs: What a row consists of: a bare value where there is one input and that is no column, else an
            object by name.
        max_rows: The most rows in a request.
        params: What a request may say beside its rows.
    """

    def __init__(
        self, inputs: tuple[Input, ...], max_rows: int, params: tuple[ParamInput, ...] = ()
    ) -> None:
        named = by_name(inputs)
        self._single = None if named else column(inputs[0])
        # Names are anybody's and need not be identifiers, so the attributes have names of their own.
        self._columns = [
            (attrgetter(f"f{number}"), column(each), at(each.name))
            for number, each in enumerate(inputs)
        ]
        self._at: At = at("")
        self._params = params
        row: Any = _object_type(inputs) if named else row_type(inputs[0])
        rows = Annotated[list[row], msgspec.Meta(min_length=1, max_length=max_rows)]
        unit = Annotated[str, msgspec.Meta(min_length=1, max_length=UNIT_MAX_CHARS)]
        fields: list[Any] = [("inputs", rows), ("unit", unit | None, None)]
        if params:
            fields.append(("params", request_params.params_type(params) | None, None))
        body = msgspec.defstruct("Body", fields, forbid_unknown_fields=True, gc=False)
        self._decoder = msgspec.json.Decoder(body)

    def decode(self, body: bytes) -> tuple[Tensors, str | None]:
        """The rows' tensors, with the parameters among them where any were given, and the unit.

        Raises:
            BadRequest: It is not JSON.
            InvalidInput: It is not what the endpoint takes; `fields` says where.
        """
        try:
            parsed: Any = self._decoder.decode(body)
        except msgspec.ValidationError as exc:
            raise invalid(str(exc)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise self._not_json(body, exc) from None
        except RecursionError:
            raise BadRequest("the body is nested too deeply", fields=("body",)) from None
        rows: list[Any] = parsed.inputs
        if self._single is not None:
            tensors = self._single(rows, self._at)
        else:
            tensors = {}
            for value, to_tensors, where in self._columns:
                tensors |= to_tensors(list(map(value, rows)), where)
        if self._params and parsed.params is not None:
            tensors |= request_params.tensor(self._params, parsed.params, len(rows))
        return tensors, parsed.unit

    def _not_json(self, body: bytes, exc: Exception) -> BadRequest:
        """What is wrong with it; the field too if it is a NaN or an infinity, which many encoders emit."""
        # An object is right in place of no number, so the decoder says where it stands.
        without = _NOT_A_NUMBER.sub(b"{}", body)
        if without != body:
            try:
                self._decoder.decode(without)
            except msgspec.ValidationError as found:
                where = invalid(str(found)).fields
                return BadRequest(
                    f"NaN and Infinity are not numbers in JSON, at {where[0]}", fields=where
                )
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass
        return BadRequest(f"the body is not JSON: {reason(exc)}", fields=("body",))


def _object_type(inputs: tuple[Input, ...]) -> Any:
    fields: list[Any] = []
    for number, spec in enumerate(inputs):
        kind: Any = row_type(spec)
        optional = not getattr(spec, "required", True)
        fields.append((f"f{number}", kind | None, None) if optional else (f"f{number}", kind))
    # msgspec wants those with a default last; the attributes' names keep telling which is which.
    fields.sort(key=len)
    names = {f"f{number}": spec.name for number, spec in enumerate(inputs)}
    return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)
