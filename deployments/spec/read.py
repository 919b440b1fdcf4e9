"""Reads a configuration file, and tells every mistake in it at once, each with where it stands."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from deployments.errors import SpecError
from deployments.spec.model import Spec


def read_spec(path: Path) -> Spec:
    """The configuration in a file.

    Raises:
        SpecError: It cannot be read, is not YAML, or says something that cannot be; one line for each mistake.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as exc:
        raise SpecError(f"cannot read {path}: {exc.strerror}") from None
    except yaml.YAMLError as exc:
        raise SpecError(f"{path} is not YAML: {exc}") from None
    try:
        return Spec.model_validate(document)
    except ValidationError as exc:
        lines = [
            f"{path}: {'.'.join(map(str, error['loc'])) or 'the file'}: {error['msg']}"
            for error in exc.errors(include_input=False, include_url=False)
        ]
        raise SpecError("\n".join(lines)) from None
