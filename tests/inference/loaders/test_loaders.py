"""Which loader a model gets, and which get none."""

from __future__ import annotations

import pytest

from deployments.errors import SetupError
from deployments.inference.loaders import load


def test_a_flavour_that_is_not_on_the_list_is_refused(tmp_path):
    """The message names the model's flavours and those that are served."""
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}, python_function: {}}")

    with pytest.raises(
        SetupError, match=r"has the flavours python_function, sklearn; served here are: pytorch"
    ):
        load(tmp_path, device="cpu", threads=None)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    """Without an `MLmodel` file nothing is guessed."""
    with pytest.raises(SetupError, match=r"is not a model: its MLmodel file cannot be read"):
        load(tmp_path, device="cpu", threads=None)
