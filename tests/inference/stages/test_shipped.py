"""Stages that a team wrote: found in the image or in the model version, built with what they take, held to what a stage is."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from deployments.errors import SetupError, SpecError
from deployments.inference import isolate
from deployments.inference.inputs import ColumnInput, TensorInput
from deployments.inference.loaders.code import borrowed, install
from deployments.inference.loaders.wanted import Wanted
from deployments.inference.stages import shipped
from deployments.inference.stages.build import build_stage, stage_inputs

SOURCE = '''
"""A package as a team writes it: nothing of Penstock is imported."""
from mypack.words import GREETING

class Unreadable(Exception):
    def __init__(self, rows):
        self.rows = rows

class Plain:
    def __call__(self, tensors):
        return {"greeting": [GREETING] * len(tensors["x"])}

class WithParams:
    def __init__(self, params):
        self.factor = params["factor"]
    def __call__(self, tensors):
        if (tensors["x"] < 0).any():
            raise Unreadable({row: "negative" for row, x in enumerate(tensors["x"]) if x < 0})
        return {"x": tensors["x"] * self.factor}
    @staticmethod
    def inputs(params, model):
        return [{"kind": "tensor", "name": "x", "dtype": "float32", "shape": [-1]}]

class WithFolder:
    def __init__(self, params, folder):
        self.text = (folder / "names.txt").read_text()
    def __call__(self, tensors):
        return {"text": [self.text] * len(tensors["x"])}

class Broken:
    def __init__(self):
        raise OSError("no disk\\nand more")
    def __call__(self, tensors):
        return tensors

class Demanding:
    def __init__(self, a, b, c):
        pass
    def __call__(self, tensors):
        return tensors

class NoStage:
    pass

class Wrong:
    def __call__(self, tensors):
        return tensors["x"]
    @staticmethod
    def inputs(params, model):
        return [{"kind": "tensr", "name": "x"}]

def function(tensors):
    return tensors
'''
X = {"x": np.array([1.0, -2.0, 3.0])}


def write(folder: Path, *, greeting: str = "hello") -> Path:
    pack = folder / "code" / "mypack"
    pack.mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {python_function: {code: code}}")
    (folder / "names.txt").write_text("seven")
    (pack / "__init__.py").write_text("")
    (pack / "words.py").write_text(f"GREETING = {greeting!r}")
    (pack / "stages.py").write_text(SOURCE)
    (folder / "code" / "needs.py").write_text("import surely_not_installed")
    (folder / "code" / "broken.py").write_text("1 / 0")
    (folder / "code" / "json.py").write_text("class Stage: pass")
    return folder


@pytest.fixture
def artifact(tmp_path: Path):
    with borrowed():
        yield write(tmp_path / "artifact")


def built(use: str, artifact: Path, **params):
    return build_stage("preprocess", f"artifact:mypack.stages:{use}", params, lambda: artifact)


def test_a_class_of_the_artifact_is_built_with_what_it_takes(artifact) -> None:
    """Nothing, the params, or the folder too; lists that it answers become arrays, texts a str a row."""
    assert built("Plain", artifact)(X)["greeting"].tolist() == ["hello"] * 3
    assert built("WithParams", artifact, factor=2)({"x": np.ones(1)})["x"].tolist() == [2.0]
    texts = built("WithFolder", artifact)(X)["text"]
    assert (texts.dtype, texts.tolist()) == (np.dtype(object), ["seven"] * 3)


def test_a_shipped_class_names_bad_rows_by_an_attribute(artifact) -> None:
    """Its own exception with `rows` fails those alone, with its text, as `BadRows` does."""
    outcome = isolate.run("preprocess", built("WithParams", artifact, factor=2), X)

    assert outcome.tensors["x"].tolist() == [2.0, 6.0]
    [error] = outcome.errors
    assert (error.row, error.code, error.message) == (1, "invalid_input", "negative")


@pytest.mark.parametrize("rows", [{7: "out of range"}, {"0": "text"}, [0], {}, 3], ids=str)
def test_an_attribute_that_means_something_else_is_a_bug(rows) -> None:
    """Pandas has such attributes too: what names no rows of the batch is halved like any exception."""

    class Odd(Exception):
        pass

    def stage(tensors):
        found = Odd()
        found.rows = rows
        raise found

    outcome = isolate.run("preprocess", stage, X)

    assert [error.code for error in outcome.errors] == ["model_failed"] * 3


def test_a_class_of_the_image(tmp_path, monkeypatch) -> None:
    """By its import path, without asking for the version's files unless it takes them."""
    folder = write(tmp_path / "image")
    monkeypatch.syspath_prepend(str(folder / "code"))

    def refuse() -> Path:
        raise AssertionError("nobody needs the artifact")

    with borrowed():
        stage = build_stage("postprocess", "mypack.stages:Plain", {}, refuse)
        assert stage(X)["greeting"].tolist() == ["hello"] * 3
    for name in [name for name in sys.modules if name.startswith("mypack")]:
        del sys.modules[name]


def test_what_a_class_says_of_requests(artifact) -> None:
    """Plain dicts become inputs; a class that says nothing takes what the model does."""
    model = (ColumnInput("age", "long"),)

    def asked(use):
        return stage_inputs(f"artifact:mypack.stages:{use}", {}, model, lambda: artifact)

    assert asked("WithParams") == (TensorInput("x", "float32", (-1,)),)
    assert asked("Plain") == model


def test_two_versions_bring_modules_of_one_name(tmp_path) -> None:
    """Each is asked its own, and nothing of either stays importable."""
    one, two = write(tmp_path / "one", greeting="hello"), write(tmp_path / "two", greeting="bye")
    (two / "code/mypack/stages.py").write_text(SOURCE.replace('"float32"', '"int8"'))
    use = "artifact:mypack.stages:WithParams"

    found = [stage_inputs(use, {}, (), lambda folder=folder: folder) for folder in (one, two, one)]

    assert [inputs[0].dtype for inputs in found] == ["float32", "int8", "float32"]
    assert "mypack" not in sys.modules
    assert not list(tmp_path.rglob("__pycache__")), "the digest would not match any more"


def test_a_stage_and_the_model_of_a_version_share_its_modules(artifact) -> None:
    """In a replica that runs both, what one made the other knows by its class."""
    before = shipped.load("artifact:mypack.stages:Plain", artifact)
    install(Wanted(artifact, {"python_function": {"code": "code"}}))

    assert importlib.import_module("mypack.stages").Plain is before


ERRORS = {
    "mypack.stagez:Plain": "the model version's code/ has no module mypack.stagez",
    "nothing.at.all:Plain": "the model version's code/ has no module nothing",
    "mypack.stages:Plian": "module mypack.stages has no class Plian",
    "mypack.stages:function": "is no class but a function",
    "mypack.stages:NoStage": "it has no method __call__",
    "mypack.stages:Broken": "cannot be built: OSError: no disk",
    "mypack.stages:Demanding": "it must take \\(params, artifact\\), \\(params\\) or nothing",
    "needs:Stage": "imports surely_not_installed, which is not installed",
    "broken:Stage": "cannot be imported: ZeroDivisionError: division by zero",
    "json:Stage": "json is a module of Python's own or of another origin",
}


@pytest.mark.parametrize("use", ERRORS)
def test_what_is_no_stage_is_told_in_a_line(artifact, use) -> None:
    """What is missing where, or what its class raised; no traceback is needed to mend it."""
    with pytest.raises(SetupError, match=ERRORS[use]) as refused:
        build_stage("preprocess", f"artifact:{use}", {}, lambda: artifact)

    assert "\n" not in refused.value.message
    assert use in refused.value.message


def test_params_for_a_class_that_takes_none(artifact) -> None:
    """They would do nothing, and nobody would know."""
    with pytest.raises(SpecError, match="takes no params"):
        built("Plain", artifact, factor=2)


def test_an_answer_that_is_no_dict_fails_the_rows(artifact) -> None:
    """With the class of the error, and not the replica."""
    outcome = isolate.run("preprocess", built("Wrong", artifact), X)

    assert {error.code for error in outcome.errors} == {"model_failed"}
    with pytest.raises(TypeError, match="must answer a dict of arrays, not a ndarray"):
        built("Wrong", artifact)(X)


def test_inputs_that_are_none(artifact) -> None:
    """A misspelt kind is refused when the configuration is rendered."""
    with pytest.raises(SpecError, match="tensr"):
        stage_inputs("artifact:mypack.stages:Wrong", {}, (), lambda: artifact)


def test_a_stage_of_an_artifact_needs_the_artifact() -> None:
    """Whoever renders without the files is told so."""
    with pytest.raises(SpecError, match="whose files are not at hand"):
        stage_inputs("artifact:mypack.stages:Plain", {}, (), None)
