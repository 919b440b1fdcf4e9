"""The ways to name a model, and what may be shown of a registry's address."""

from __future__ import annotations

import pytest

from deployments.errors import RegistryError
from deployments.registry.uris import Reference, parse, without_password


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("models:/digits@champion", Reference("digits", "champion", None)),
        ("models:/digits/7", Reference("digits", None, "7")),
        ("models:/digits/latest", Reference("digits", None, "latest")),
    ],
)
def test_three_forms_are_read(uri, expected):
    """An alias, a number, or `latest`."""
    assert parse(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "",
            "digits",
            "models:/digits",
            "models:/digits/",
            "models:/digits@",
            "models://digits/1",
        ),
        *(
            "models:/digits/Production",
            "models:/digits/0",
            "models:/digits/-1",
            "models:/digits/1 ",
        ),
        *("models:/a/b/1", "models:/digits@a@b", "models:/@champion", "runs:/abc/model"),
    ],
)
def test_any_other_form_is_refused(uri):
    """The message shows all three forms; stages such as `Production` are gone from MLflow 3."""
    with pytest.raises(RegistryError, match=r"write models:/NAME@ALIAS, models:/NAME/NUMBER or"):
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
