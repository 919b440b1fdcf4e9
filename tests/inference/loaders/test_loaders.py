"""Which loader a model gets, which get none, and what an operator reads when one cannot be loaded."""

from __future__ import annotations

import logging
import pickle

import pytest

from deployments.errors import LoadError, SetupError
from deployments.inference.loaders import load
from deployments.inference.loaders.options import LoadOptions


def refusal(folder, **options) -> str:
    """What an operator reads."""
    with pytest.raises(LoadError) as caught:
        load(folder, device="cpu", threads=None, options=LoadOptions(**options))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_flavour_that_is_not_allowed_is_refused(tmp_path):
    """The message names the model's flavours, those that are allowed, and where that is changed."""
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}, python_function: {}}")

    assert refusal(tmp_path, allow=("pytorch", "onnx")) == (
        f"The model in {tmp_path} has the flavours pyfunc, sklearn; allowed here are: pytorch, onnx. "
        "Change `loader.allow` in its configuration, or log it with one of these."
    )


def test_the_first_allowed_flavour_is_taken(tmp_path):
    """`loader.allow` is an order of preference; each flavour complains of its own missing file."""
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}, onnx: {}, python_function: {}}")

    assert "lacks model.pkl" in refusal(tmp_path, allow=("sklearn", "onnx"))
    assert "lacks model.onnx" in refusal(tmp_path, allow=("onnx", "sklearn"))
    assert "lacks model.onnx" in refusal(tmp_path, flavor="onnx", allow=("sklearn", "onnx"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"flavor": "onnx"}, "has the flavours sklearn, and not onnx as `loader.flavor` says"),
        (
            {"flavor": "onnx", "allow": ("sklearn",)},
            "`loader.flavor: onnx` is not among what `loader.allow` has: sklearn",
        ),
        ({"allow": ("sklearn", "keras")}, "`loader.allow` names keras; there are pytorch, onnx"),
        ({"allow": ()}, "allowed here are: none"),
        (
            {"precision": "float16"},
            "`loader.precision` is for models of the flavours pytorch, but the one in",
        ),
        ({"compile": True}, "is loaded as sklearn: remove it, or say another `loader.flavor`"),
    ],
)
def test_options_that_contradict_are_told(tmp_path, options, words):
    """An operator reads which two lines do not agree."""
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}}")

    assert words in refusal(tmp_path, **options)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    """Without an `MLmodel` file nothing is guessed."""
    with pytest.raises(SetupError, match=r"is not a model: its MLmodel file cannot be read"):
        load(tmp_path, device="cpu", threads=None)


@pytest.mark.parametrize("inside", ["../secret.pkl", "/etc/hostname", "link.pkl"])
def test_a_file_outside_the_artifact_is_not_read(tmp_path, inside):
    """Not by a path that leads out, nor by a link."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    (tmp_path / "secret.pkl").write_bytes(pickle.dumps(1))
    (folder / "link.pkl").symlink_to(tmp_path / "secret.pkl")
    (folder / "MLmodel").write_text(f"flavors: {{sklearn: {{pickled_model: {inside}}}}}")

    assert "lies outside its own folder" in refusal(folder)


class Raises:
    """Unpickles into a call of `what`."""

    def __init__(self, what, *arguments) -> None:
        self.call = (what, arguments)

    def __reduce__(self):
        return self.call


def pickled(folder, value: object) -> None:
    (folder / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl}}")
    (folder / "model.pkl").write_bytes(
        value if isinstance(value, bytes) else pickle.dumps(value, protocol=0)
    )


def test_a_model_that_raises_at_load_is_told_in_its_first_line(tmp_path, caplog):
    """The rest is for the log, the traceback among it."""
    pickled(tmp_path, Raises(exec, "raise ValueError('no such table\\nsecond line')"))

    with caplog.at_level(logging.WARNING):
        message = refusal(tmp_path)

    assert message == f"The model in {tmp_path} cannot be loaded: no such table"
    assert "second line" in caplog.text
    assert "Traceback" in caplog.text


def test_a_model_that_exits_at_load_ends_no_replica(tmp_path):
    """A script among a model's code may call `sys.exit`; `SystemExit` is no `Exception`."""
    pickled(tmp_path, Raises(exec, "raise SystemExit(3)"))

    assert refusal(tmp_path).endswith("cannot be loaded: SystemExit 3")


@pytest.mark.parametrize(
    ("module", "requirements", "advice"),
    [
        ("no_such_net", "", "log the model with its module in `code_paths`"),
        ("no_such.inner", "no-such==1.5  # x\n", "asks for pip install 'no-such==1.5'"),
        ("onnxruntime.gone", "", "pip install 'penstock[onnx]'"),
    ],
)
def test_a_missing_package_is_named(tmp_path, module, requirements, advice):
    """With what brings it: our extra, the artifact's own requirement, or the author."""
    pickled(tmp_path, f"c{module}\nThing\n.".encode())
    (tmp_path / "requirements.txt").write_text(requirements)

    message = refusal(tmp_path)

    assert f"needs the module {module.partition('.')[0]}" in message
    assert advice in message
