"""What an engineer writes: every mistake is told at once, in a line with the place where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deployments.errors import SpecError
from deployments.spec.model import Spec, parse_duration
from deployments.spec.read import read_spec

GOOD = """
endpoints:
  digits:
    variants:
      champion: {model: "models:/digits@champion"}
      challenger: {model: "models:/digits@challenger"}
    traffic:
      split: {champion: 90, challenger: 10}
    stages:
      preprocess: {use: images, params: {size: [8, 8]}}
      postprocess: {use: classes}
    deadline: 2s
"""


def said(folder: Path, text: str) -> list[str]:
    """The lines of the refusal of a configuration, without the file's name."""
    file = folder / "some.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as refused:
        read_spec(file)
    lines = refused.value.message.splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_a_good_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    """What is not written has the documented default."""
    (tmp_path / "some.yaml").write_text(GOOD)
    endpoint = read_spec(tmp_path / "some.yaml").endpoints["digits"]
    assert endpoint.deadline == 2
    assert endpoint.stages.placement == "separate"
    assert endpoint.traffic.unit == ("body", "header")
    assert (endpoint.batching.max_rows, endpoint.batching.max_in_flight) == (64, 2)
    assert endpoint.limits.max_body_bytes == 8 * 1024 * 1024


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "deadline: 2s",
            "dedaline: 2s",
            "endpoints.digits.dedaline: Extra inputs are not permitted",
        ),
        (
            "challenger: 10",
            "challenger: 20",
            "endpoints.digits.traffic.split: Value error, the weights sum to 110; they must sum to 100",
        ),
        (
            "champion: 90, challenger: 10",
            "champion: 90.001, challenger: 9.999",
            "endpoints.digits.traffic.split: Value error, weights are exact to 0.01",
        ),
        (
            "champion: 90",
            "champion: 110",
            "endpoints.digits.traffic.split.champion: Input should be less than or equal to 100",
        ),
        (
            "deadline: 2s",
            "deadline: soon",
            "endpoints.digits.deadline: Value error, a duration above zero is written like 250ms, 2s or 1m",
        ),
        (
            "use: images",
            "use: image",
            (
                "endpoints.digits.stages.preprocess.use: Value error, no stage is called 'image'; "
                "there are none, images, text, columns, classes, pooled, "
                "and package.module:Class or artifact:module:Class for your own"
            ),
        ),
        (
            "use: classes",
            "use: klasses",
            (
                "endpoints.digits.stages.postprocess.use: Value error, no stage is called 'klasses'; "
                "there are none, images, text, columns, classes, pooled, "
                "and package.module:Class or artifact:module:Class for your own"
            ),
        ),
        (
            "split: {champion: 90,",
            "split: {champoin: 90,",
            "endpoints.digits: Value error, traffic.split names champoin, which variants does not have",
        ),
        (
            "deadline: 2s",
            "resources: {num_gpus: 1.5}",
            (
                "endpoints.digits.resources.num_gpus: Value error, "
                "more than one GPU must be a whole number of them"
            ),
        ),
        (
            "deadline: 2s",
            "autoscaling: {min_replicas: 3, max_replicas: 2}",
            "endpoints.digits.autoscaling: Value error, min_replicas is above max_replicas",
        ),
        ("deadline: 2s", "deadline: 0", "endpoints.digits.deadline: Value error, a duration above"),
        ("digits:\n", "Digits!:\n", "endpoints.Digits!.[key]: String should match pattern"),
    ],
)
def test_a_mistake_is_a_line_that_says_where(tmp_path: Path, old: str, new: str, line: str) -> None:
    """One mistake in a good file is one line: its path in the file, and what is wrong."""
    assert old in GOOD
    (only,) = said(tmp_path, GOOD.replace(old, new))
    assert only.startswith(line)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to mend a file one error at a time."""
    wrong = GOOD.replace("deadline: 2s", "deadline: soon\n    colour: red")
    wrong = wrong.replace("challenger: 10", "challenger: 20").replace("images", "image")
    places = [line.partition(":")[0] for line in said(tmp_path, wrong)]
    assert sorted(places) == [
        "endpoints.digits.colour",
        "endpoints.digits.deadline",
        "endpoints.digits.stages.preprocess.use",
        "endpoints.digits.traffic.split",
    ]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", "the file: "),
        ("- a list", "the file: "),
        ("endpoints: {}", "endpoints: Dictionary should have at least 1 item"),
        ("a: [", None),
    ],
)
def test_a_file_that_is_no_configuration_is_said_to_be_none(
    tmp_path: Path, text: str, start: str | None
) -> None:
    """Empty, a list, without endpoints, no YAML: each a refusal that names the file, never a traceback."""
    file = tmp_path / "some.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as refused:
        read_spec(file)
    expected = f"{file} is not YAML: " if start is None else f"{file}: {start}"
    assert refused.value.message.startswith(expected)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message has the path and the system's reason."""
    with pytest.raises(SpecError, match=r"cannot read .*none\.yaml: No such file or directory"):
        read_spec(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("written", "seconds"), [("250ms", 0.25), ("2s", 2), ("1.5m", 90), (3, 3), (0.5, 0.5)]
)
def test_durations(written: object, seconds: float) -> None:
    """Milliseconds, seconds, minutes, or a plain number of seconds."""
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", [True, None, -1, "-2s", "2h", "2 s 3 s", "", [2]])
def test_what_is_no_duration(written: object) -> None:
    """A boolean is no number, and nothing at or below zero is a duration."""
    with pytest.raises(ValueError, match="a duration above zero"):
        parse_duration(written)


def test_the_good_file_is_good() -> None:
    """The parametrised mistakes above are mistakes only if the rest of the file has none."""
    spec = Spec.model_validate(yaml.safe_load(GOOD))

    assert list(spec.endpoints) == ["digits"]
