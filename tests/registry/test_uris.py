"""The ways to name a model, and what may be shown of a registry's address."""

from __future__ import annotations

import pytest

from deployments.errors import RegistryError
from deployments.registry.uris import InRun, Logged, Place, Registered, parse, without_password


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("models:/digits@champion", Registered("digits", "champion", None)),
        ("models:/digits/7", Registered("digits", None, "7")),
        ("models:/digits/latest", Registered("digits", None, "latest")),
        ("models:/m-digits/1", Registered("m-digits", None, "1")),
        ("models:/m-0a1b2c", Logged("m-0a1b2c")),
        ("runs:/0a1b/model", InRun("0a1b", "model")),
        ("runs:/0a1b/some/folder/", InRun("0a1b", "some/folder")),
        ("s3://bucket/a/model", Place("s3://bucket/a/model")),
        ("file:///data/model", Place("file:///data/model")),
        ("/data/my model", Place("/data/my model")),
        ("./model", Place("./model")),
        ("a/model", Place("a/model")),
        (".", Place(".")),
    ],
)
def test_each_form_is_read(uri, expected):
    """A registered version, a logged model, a run's model, or the place of the files."""
    assert parse(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        *("", "digits", "digits@champion", "models:/digits", "models:/digits/"),
        *("models:/digits@", "models://digits/1", "models:/digits/Production", "models:/digits/0"),
        *("models:/digits/-1", "models:/digits/1 ", "models:/a/b/1", "models:/digits@a@b"),
        *("models:/@champion", "models:/m-", "runs:/0a1b", "runs:/0a1b/", "runs:/0a1b/../secrets"),
        *("modles:/digits/1", "s3://", "file:", "a/\0"),
    ],
)
def test_any_other_form_is_refused(uri):
    """The message shows all forms; stages such as `Production` are gone from MLflow 3."""
    with pytest.raises(
        RegistryError, match=r"write models:/NAME@ALIAS, models:/NAME/NUMBER, .* \./PATH"
    ):
        parse(uri)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:///.penstock/registry.db", "sqlite:///.penstock/registry.db"),
        ("postgresql://me:secret@db:5432/mlflow", "postgresql://me:***@db:5432/mlflow"),
        ("https://:secret@registry", "https://:***@registry"),
    ],
)
def test_passwords_are_not_shown(uri, shown):
    """What stands in messages and logs has no password in it."""
    assert without_password(uri) == shown
