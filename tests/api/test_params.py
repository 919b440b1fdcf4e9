"""Parameters of a request: checked by their types, carried to the model as sorted JSON, a text a row."""

from __future__ import annotations

import json

import pytest

from deployments.api.decode import BodyDecoder
from deployments.errors import InvalidInput
from deployments.inference.inputs import ParamInput, TextInput
from deployments.inference.tensors import PARAMS

PARAMETERS = (
    ParamInput("temperature", "double", 0.5),
    ParamInput("top k", "long", 5),
    ParamInput("narrow", "float", 0.5),
    ParamInput("stop", "string", ["."], (-1,)),
    ParamInput("seed", "integer", None),
    ParamInput("since", "datetime", "2020-01-01"),
    ParamInput("sample", "boolean", True),
)
SECRET = "5ecre7"
DECODER = BodyDecoder((TextInput("text"),), 4, PARAMETERS)


def decode(params: object, decoder: BodyDecoder = DECODER):
    body = {"inputs": ["a", "b"], "params": params}
    return decoder.decode(json.dumps(body).encode())[0]


def test_what_is_given_reaches_every_row() -> None:
    """Sorted, as one text that is the same for every row; what is not given is left to the model."""
    tensors = decode({"top k": 3, "temperature": 1, "stop": ["a", "b"], "seed": None})

    text = '{"seed":null,"stop":["a","b"],"temperature":1.0,"top k":3}'
    assert tensors[PARAMS].tolist() == [text, text]


@pytest.mark.parametrize("params", [{}, None])
def test_without_params_there_is_no_tensor_of_them(params) -> None:
    """So that such requests share their batches with those that say nothing."""
    assert PARAMS not in decode(params)


BAD = {
    "unknown": ({"temprature": 1}, "params.temprature"),
    "a double that is a string": ({"temperature": SECRET}, "params.temperature"),
    "a double that is true": ({"temperature": True}, "params.temperature"),
    "null where the default is a value": ({"temperature": None}, "params.temperature"),
    "a list for a scalar": ({"temperature": [0.5]}, "params.temperature"),
    "a long of 1.5": ({"top k": 1.5}, "params.top k"),
    "an integer of 2**31": ({"seed": 2**31}, "params.seed"),
    "a float of 1e39": ({"narrow": 1e39}, "params.narrow"),
    "a string for a list": ({"stop": SECRET}, "params.stop"),
    "a number in a list of strings": ({"stop": ["a", 5]}, "params.stop[1]"),
    "no datetime": ({"since": SECRET}, "params.since"),
    "a boolean that is 0": ({"sample": 0}, "params.sample"),
    "a list of params": ([1], "params"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_parameter_is_named(name) -> None:
    """Unknown or of a wrong type: 422 with its path, and never its value."""
    params, field = BAD[name]

    with pytest.raises(InvalidInput) as refused:
        decode(params)

    assert refused.value.fields == (field,)
    assert SECRET not in refused.value.message


@pytest.mark.parametrize("params", [{}, {"temperature": 1}, None, 5])
def test_a_model_without_parameters_takes_none(params) -> None:
    """To ignore them would let a client believe that they did something."""
    with pytest.raises(InvalidInput, match="takes no params") as refused:
        decode(params, BodyDecoder((TextInput("text"),), 4))

    assert refused.value.fields == ("params",)


def test_a_list_of_a_set_length() -> None:
    """Where a shape says how many, as many they are."""
    decoder = BodyDecoder((TextInput("text"),), 4, (ParamInput("pair", "double", [0, 1], (2,)),))

    assert decode({"pair": [1, 2]}, decoder)[PARAMS][0] == '{"pair":[1.0,2.0]}'
    with pytest.raises(InvalidInput, match=r"expected 2 values at params\.pair"):
        decode({"pair": [1, 2, 3]}, decoder)
