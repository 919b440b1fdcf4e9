"""What requests to an endpoint look like: worked out from its variants' signatures and its preprocess stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from deployments.errors import SpecError
from deployments.inference.inputs import (
    ColumnInput,
    Input,
    ParamInput,
    TensorInput,
    by_name,
    refusal,
)
from deployments.inference.mlmodel import Signature, TensorSpec
from deployments.inference.stages.build import stage_inputs
from deployments.registry.version import ModelVersion
from deployments.spec.model import Endpoint, Stage, Variant

Example = Callable[[ModelVersion], Any]
"""One row that a model was saved with, as JSON has it; None where there is none."""
Artifact = Callable[[ModelVersion], Path]
"""The folder with a version's files, verified."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What one variant takes.

    Attributes:
        own: Whether these are the model's inputs as they are, so that its example is one of a request.
    """

    inputs: tuple[Input, ...]
    params: tuple[ParamInput, ...]
    own: bool


def signature_of(variant: Variant, version: ModelVersion) -> Signature | None:
    """The signature that a variant is served by: declared in the configuration, or logged with the model."""
    if isinstance(variant.signature, str):
        return version.signature
    return variant.signature.signature()


def requests_of(
    stage: Stage, variant: Variant, version: ModelVersion, artifact_of: Artifact | None
) -> Requests:
    """What requests must look like for one variant.

    Raises:
        SpecError: Nothing says it, or what says it cannot be served; the message names the input.
    """
    called = f"{version.name} version {version.version}"
    signature = signature_of(variant, version)
    model = () if signature is None else model_inputs(signature)
    artifact = None if artifact_of is None else (lambda: artifact_of(version))
    inputs = stage_inputs(stage.use, stage.params, model, artifact)
    if signature is None and variant.signature == "required":
        raise SpecError(_unsigned(called, stage_says=bool(inputs)))
    if not inputs:
        raise SpecError(
            f"nothing says what requests for {called} look like: it has no signature, and the "
            f"preprocess stage {stage.use} names no inputs. Declare `signature:` on the variant"
        )
    params = tuple(
        ParamInput(each.name, each.type, each.default, each.shape)
        for each in (signature.params if signature else ())
    )
    _refuse_unservable(called, inputs, params)
    return Requests(inputs, params, own=inputs == model)


def model_inputs(signature: Signature) -> tuple[Input, ...]:
    """The model's own inputs, as yet unchecked: a stage may take the place of what cannot be served."""
    return tuple(
        TensorInput(each.name, each.dtype, each.shape)
        if isinstance(each, TensorSpec)
        else ColumnInput(each.name, each.type, each.required)
        for each in signature.inputs
    )


def agreed(name: str, asked: dict[str, Requests]) -> Requests:
    """What the variants of an endpoint all take.

    Raises:
        SpecError: Two differ; the message names them and each difference.
    """
    (first, one), *others = asked.items()
    for second, other in others:
        mine, theirs = _described(one), _described(other)
        differences = [
            f"{what} ({mine.get(what, 'not there')} and {theirs.get(what, 'not there')})"
            for what in mine | theirs
            if mine.get(what) != theirs.get(what)
        ]
        if differences:
            raise SpecError(
                f"endpoint {name}: the variants {first} and {second} take different inputs, so a request "
                f"cannot be for both: {'; '.join(differences)}. Give them endpoints of their own"
            )
    return one


def with_example(name: str, inputs: tuple[Input, ...], row: Any) -> tuple[Input, ...]:
    """The inputs with one row as the example of the API document.

    Raises:
        SpecError: The row is not made as the inputs are.
    """
    if row is None:
        return inputs
    if not by_name(inputs):
        return (msgspec.structs.replace(inputs[0], example=row),)
    names = [each.name for each in inputs]
    if not isinstance(row, dict) or row.keys() - set(names):
        raise SpecError(
            f"endpoint {name}: example must be one row, an object of {', '.join(names)}"
        )
    return tuple(msgspec.structs.replace(each, example=row.get(each.name)) for each in inputs)


def example_of_model(
    endpoint: Endpoint, taken: Requests, version: ModelVersion, example_of: Example | None
) -> Any:
    """The row to show: the configuration's, or the model's where requests bring what the model takes."""
    if endpoint.example is not None or example_of is None or not taken.own:
        return endpoint.example
    return example_of(version)


def _unsigned(called: str, *, stage_says: bool) -> str:
    text = (
        f"{called} was logged without a signature, so requests for it cannot be checked. Log it with one "
        "(`signature=` or `input_example=` of log_model), or declare `signature:` on the variant"
    )
    if stage_says:
        text += (
            ", or say `signature: none` there, since the preprocess stage says what requests are"
        )
    return text


def _refuse_unservable(
    called: str, inputs: tuple[Input, ...], params: tuple[ParamInput, ...]
) -> None:
    for what, names in (
        ("inputs", [i.name for i in inputs]),
        ("parameters", [p.name for p in params]),
    ):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SpecError(f"{called}: two {what} are called {', '.join(twice)}")
    for what, each in (
        *(("input", each) for each in inputs),
        *(("parameter", each) for each in params),
    ):
        if (why := refusal(each)) is not None:
            raise SpecError(
                f"{called} cannot be served as it is: its {what} {each.name!r}: {why}. "
                "Log it with another signature, declare `signature:` on the variant, "
                "or give the endpoint a preprocess stage that makes it"
            )


def _described(requests: Requests) -> dict[str, str]:
    """Each input and parameter in words, without what may differ: examples and defaults."""
    described: dict[str, str] = {}
    for each in requests.inputs:
        fields = msgspec.to_builtins(msgspec.structs.replace(each, example=None))
        words = [
            f"{key} {value}" for key, value in fields.items() if key not in ("name", "example")
        ]
        described[f"input {each.name}"] = ", ".join(words)
    for param in requests.params:
        described[f"parameter {param.name}"] = f"{param.type} {list(param.shape)}"
    return described
