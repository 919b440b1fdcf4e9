"""The registry client against a real MLflow registry."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.errors import RegistryError, SetupError
from deployments.registry.client import Registry
from deployments.registry.version import ModelVersion, local_path, name_of_place
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def registry(example_registry):
    return Registry(example_registry.tracking_uri)


@pytest.mark.parametrize(
    ("uri", "version"),
    [
        ("models:/digits@champion", "1"),
        ("models:/digits@challenger", "2"),
        ("models:/digits/1", "1"),
        ("models:/digits/latest", "2"),
    ],
)
def test_a_name_resolves_to_one_version(registry, uri, version):
    """An alias, a number and `latest` each give a number, its flavours and its folder."""
    found = registry.resolve(uri)

    assert (found.name, found.version) == ("digits", version)
    assert found.flavors == ("python_function", "pytorch")
    assert (local_path(found.source) / "data" / "model.pt2").is_file()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "models:/digit@champion",
            r"^The model registry sqlite:///.*registry\.db has no model `digit`\. Registered are: digits\.$",
        ),
        (
            "models:/digits@champoin",
            r"^`digits` has no alias `champoin` in the model registry sqlite:///.*; it has: challenger \(version 2\), champion \(version 1\)\. Set the alias, or name a version\.$",
        ),
        (
            "models:/digits/9",
            r"^`digits` has no version 9 in the model registry sqlite:///.*; its newest is 2\.$",
        ),
        ("models:/it's/latest", r"has no model `it's`\. Registered are: digits\.$"),
    ],
)
def test_what_is_not_there_is_named_beside_what_is(registry, uri, message):
    """One line: which registry, which name, and what it could have meant."""
    with pytest.raises(RegistryError, match=message):
        registry.resolve(uri)


def test_a_model_without_versions_says_so(example_registry, registry):
    """A name can be registered with nothing under it yet."""
    from mlflow import MlflowClient

    client = MlflowClient(example_registry.tracking_uri)
    client.create_registered_model("empty")
    try:
        with pytest.raises(
            RegistryError, match=r"`empty` has no version latest .* it has none yet"
        ):
            registry.resolve("models:/empty/latest")
    finally:
        client.delete_registered_model("empty")


def test_a_missing_database_is_not_made(tmp_path):
    """MLflow would create it, empty; we say that it is not there and how to fill it."""
    with pytest.raises(RegistryError, match=r"does not exist\. Register a model first"):
        Registry(f"sqlite:///{tmp_path}/none.db")

    assert not (tmp_path / "none.db").exists()


def test_artifacts_that_are_gone_are_named(example_registry, registry, tmp_path):
    """The registry may know a version whose files were moved away."""
    folder = local_path(registry.resolve("models:/digits/1").source)
    moved = shutil.move(folder, tmp_path / "moved")
    try:
        with pytest.raises(RegistryError, match=r"`digits` version 1 should be in .* not there"):
            registry.resolve("models:/digits/1")
    finally:
        shutil.move(moved, folder)


def test_a_damaged_model_file_is_a_setup_error(registry, tmp_path):
    """What cannot be read as an `MLmodel` file never surfaces as a parser's exception."""
    folder = local_path(registry.resolve("models:/digits/1").source)
    intact = (folder / "MLmodel").read_text()
    try:
        for damaged in ("", "flavors: [", "- a list", "flavors: {}\nsignature: {inputs: '{'}"):
            (folder / "MLmodel").write_text(damaged)
            with pytest.raises(SetupError, match=r"MLmodel is damaged .*register the model anew"):
                registry.resolve("models:/digits/1")
    finally:
        (folder / "MLmodel").write_text(intact)


def test_importing_the_client_does_not_import_mlflow():
    """A process that asks the registry nothing does not pay for MLflow, nor for torch."""
    code = "import sys, deployments.registry.client as c; print({'mlflow', 'torch'} & set(sys.modules))"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "set()\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/data/my models", Path("/data/my models")),
        ("file:///data/my%20models", Path("/data/my models")),
        ("s3://bucket/model", None),
        ("mlflow-artifacts:/1/model", None),
    ],
)
def test_local_sources_are_paths(source, expected):
    """A `file:` URI is unquoted; what lies behind a network is no path."""
    assert local_path(source) == expected


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/data/Tall Trees", "tall-trees"),
        ("s3://bucket/a/b__c-/", "b-c"),
        ("file:///data/%C3%84pfel%20V2", "pfel-v2"),
        ("runs/---", "model"),
        ("s3://bucket", "model"),
        ("/" + "x" * 39 + "-y", "x" * 39),
    ],
)
def test_a_place_makes_a_name(place, name):
    """What endpoints and metrics are labelled with for a model that has no name."""
    assert name_of_place(place) == name


def test_a_version_is_a_value():
    """Two equal descriptions are equal, and neither can be changed."""
    version = ModelVersion("digits", "1", "/data")

    assert version == ModelVersion("digits", "1", "/data")
    with pytest.raises(AttributeError):
        version.version = "2"
