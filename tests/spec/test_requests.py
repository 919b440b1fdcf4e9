"""What requests to an endpoint are, rendered from signatures: and each way in which nothing, or too much, says it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import SpecError
from deployments.inference.inputs import ColumnInput, ParamInput, TensorInput
from deployments.inference.mlmodel import ColumnSpec, ParamSpec, Signature, TensorSpec
from deployments.inference.table import EndpointRoute, read_table
from deployments.registry.version import ModelVersion
from deployments.spec.model import Spec
from deployments.spec.render import render

IRIS = Signature(
    inputs=(
        ColumnSpec("sepal length (cm)", "double"),
        ColumnSpec("0", "long", required=False),
        ColumnSpec("note", "string", required=False),
    ),
    outputs=(ColumnSpec("output", "long"),),
    params=(ParamSpec("top k", "long", 3), ParamSpec("stop", "string", ["."], (-1,))),
)
TENSOR = Signature(inputs=(TensorSpec("x", "float32", (-1, 3)),), outputs=())


def route(
    *signatures: Signature | None,
    stage: dict[str, Any] | None = None,
    variant: dict[str, Any] | None = None,
    example: Any = None,
    **more: Any,
) -> EndpointRoute:
    """The route of an endpoint with a variant a, b, ... for each signature."""
    names = "abc"[: len(signatures)]
    versions = dict(zip(names, signatures, strict=True))

    def resolve(uri: str) -> ModelVersion:
        name = uri.rpartition("/")[2]
        return ModelVersion("m", name, "file:///nowhere", signature=versions["abc"[int(name) - 1]])

    endpoint: dict[str, Any] = {
        "variants": {
            name: {"model": f"models:/m/{number}", "trust": "none", **(variant or {})}
            for number, name in enumerate(names, 1)
        },
        "traffic": {"split": {name: 100 if name == "a" else 0 for name in names}},
        "example": example,
    }
    if stage is not None:
        endpoint["stages"] = {"preprocess": stage}
    spec = Spec.model_validate({"endpoints": {"e": endpoint}})
    edge = render(spec, resolve, **more)["applications"][0]
    return read_table(edge["deployments"][0]["user_config"]).endpoints["e"]


def signed(*inputs: Any, params: tuple[ParamSpec, ...] = ()) -> Signature:
    return Signature(inputs, (), params)


def test_a_tables_columns_and_parameters_become_the_requests() -> None:
    """Names, types, what is required and what are the defaults, through the text of a configuration."""
    found = route(IRIS)

    assert found.inputs == (
        ColumnInput("sepal length (cm)", "double"),
        ColumnInput("0", "long", required=False),
        ColumnInput("note", "string", required=False),
    )
    assert found.params == (
        ParamInput("top k", "long", 3),
        ParamInput("stop", "string", ["."], (-1,)),
    )


def test_the_example_of_the_model_is_shown() -> None:
    """The configuration's own comes first; and a model's is not shown where a stage takes other inputs."""
    row = {"sepal length (cm)": 5.1, "0": 2}

    found = route(IRIS, example_of=lambda _: row)
    own = route(IRIS, example={"note": "mine"}, example_of=lambda _: row)
    images = {"use": "images", "params": {"size": [8, 8]}}
    staged = route(TENSOR, stage=images, example_of=lambda _: [1, 2, 3])
    bare = route(TENSOR, example_of=lambda _: [1, 2, 3])
    none = route(TENSOR, example_of=lambda _: None)

    assert [each.example for each in found.inputs] == [5.1, 2, None]
    assert [each.example for each in own.inputs] == [None, None, "mine"]
    assert [each.inputs[0].example for each in (staged, bare, none)] == [None, [1, 2, 3], None]


@pytest.mark.parametrize("example", [{"sepal length": 5.1}, [5.1]])
def test_an_example_that_is_no_row(example) -> None:
    """Misspelt or not an object: refused, with the names."""
    with pytest.raises(SpecError, match=r"object of sepal length \(cm\), 0, note"):
        route(IRIS, example=example)


UNSERVABLE = {
    "map": (signed(ColumnSpec("m", "map")), "'m': a column of type map"),
    "object": (signed(ColumnSpec("o", "object")), "'o': a column of type object"),
    "any": (signed(ColumnSpec("y", "any")), "'y': a column of type any"),
    "nested": (signed(ColumnSpec("n", "array(array(long))")), "'n': .* array\\(array\\(long\\)\\)"),
    "complex": (signed(TensorSpec("c", "complex64", (-1,))), "'c': the dtype complex64"),
    "no dtype": (signed(TensorSpec("c", "f33", (-1,))), "'c': data type 'f33' not understood"),
    "no rows": (signed(TensorSpec("x", "int8", ())), "'x': its shape is empty"),
    "one batch size": (signed(TensorSpec("x", "int8", (8, 3))), "'x': the first axis .* is 8"),
    "a size of -2": (signed(TensorSpec("x", "int8", (-1, -2))), "sizes are -1 for any"),
    "half a letter": (signed(ColumnSpec("\ud800", "long")), "is not Unicode text"),
    "ours": (signed(ColumnSpec("?params", "long")), "'\\?params': names that begin with"),
    "a quote": (signed(ColumnSpec('5"', "long")), "a name cannot hold quotation marks"),
    "a parameter": (
        signed(ColumnSpec("a", "long"), params=(ParamSpec("p", "object", {}),)),
        "its parameter 'p': a parameter cannot be of type object",
    ),
}


@pytest.mark.parametrize("name", UNSERVABLE)
def test_what_cannot_be_served_is_named(name) -> None:
    """The version, the input, its type, and what to do."""
    signature, message = UNSERVABLE[name]

    with pytest.raises(SpecError, match=f"m version 1 .*{message}.*signature:"):
        route(signature)


def test_two_inputs_of_one_name() -> None:
    """An object has a key once."""
    with pytest.raises(SpecError, match="m version 1: two inputs are called a"):
        route(signed(ColumnSpec("a", "long"), ColumnSpec("a", "double")))


def test_a_stage_takes_the_place_of_what_cannot_be_served() -> None:
    """A model of objects is served where a stage makes them of something else."""
    found = route(signed(ColumnSpec("o", "object")), stage={"use": "text"})

    assert [each.name for each in found.inputs] == ["text"]


def test_a_model_without_a_signature_is_refused() -> None:
    """With what to do about it: `signature: none` only where a stage says what requests are."""
    with pytest.raises(SpecError, match=r"m version 1 was logged without a signature") as bare:
        route(None)
    with pytest.raises(SpecError, match="signature: none") as staged:
        route(None, stage={"use": "text"})

    assert "log_model" in bare.value.message
    assert "`signature:`" in bare.value.message
    assert "signature: none" not in bare.value.message
    assert "log_model" in staged.value.message


def test_a_model_without_a_signature_may_be_served_all_the_same() -> None:
    """Where the configuration says so and a stage says what requests are."""
    none = {"signature": "none"}

    assert route(None, stage={"use": "text"}, variant=none).inputs[0].name == "text"
    with pytest.raises(SpecError, match="names no inputs"):
        route(None, variant=none)


def test_a_declared_signature_takes_the_place_of_the_logged_one() -> None:
    """For requests here, and as data for the replicas that load the model."""
    declared = {
        "inputs": {"age": {"type": "long", "required": False}},
        "params": {"t": {"type": "double", "default": 0.5}},
    }
    for logged in (None, IRIS):
        found = route(logged, variant={"signature": declared})

        assert found.inputs == (ColumnInput("age", "long", required=False),)
        assert found.params == (ParamInput("t", "double", 0.5),)


DIFFERENT = {
    "another dtype": (
        TENSOR,
        signed(TensorSpec("x", "float64", (-1, 3))),
        "input x .*float32.*float64",
    ),
    "another shape": (TENSOR, signed(TensorSpec("x", "float32", (-1, 4))), "input x"),
    "another name": (TENSOR, signed(TensorSpec("y", "float32", (-1, 3))), "input y .not there"),
    "a column more": (signed(*IRIS.inputs[:2]), signed(*IRIS.inputs), "input note .not there and"),
    "required": (
        signed(ColumnSpec("a", "long")),
        signed(ColumnSpec("a", "long", required=False)),
        "required True.*required False",
    ),
    "parameters": (signed(*IRIS.inputs), IRIS, "parameter top k"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_variants_that_take_different_inputs(name) -> None:
    """Both are named, and the difference: a request could not be for both."""
    one, other, message = DIFFERENT[name]

    with pytest.raises(SpecError, match=f"variants a and b take different inputs.*{message}"):
        route(one, other)


def test_the_order_of_inputs_and_defaults_may_differ() -> None:
    """Requests name their inputs, and each model knows its own defaults."""
    turned = Signature(
        inputs=tuple(reversed(IRIS.inputs)),
        outputs=(),
        params=(ParamSpec("top k", "long", 9), IRIS.params[1]),
    )

    assert route(IRIS, turned).inputs == route(IRIS).inputs


def test_a_stage_that_comes_with_the_version_says_what_requests_are(tmp_path: Path) -> None:
    """From the files of that version, and not without them."""
    code = tmp_path / "code"
    code.mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {}")
    (code / "teamstage.py").write_text(
        "class Stage:\n"
        "    def __call__(self, tensors): return tensors\n"
        "    @staticmethod\n"
        "    def inputs(params, model):\n"
        "        return [{'kind': 'column', 'name': 'age', 'type': params['type']}]\n"
    )
    stage = {"use": "artifact:teamstage:Stage", "params": {"type": "long"}}

    assert route(TENSOR, stage=stage, artifact_of=lambda _: tmp_path).inputs == (
        ColumnInput("age", "long"),
    )
    with pytest.raises(SpecError, match="whose files are not at hand"):
        route(TENSOR, stage=copy.deepcopy(stage))


def test_a_plain_tensor_stays_bare() -> None:
    """As before: its row is a value."""
    assert route(TENSOR).inputs == (TensorInput("x", "float32", (-1, 3)),)
