"""`penstock` as it is called, within this process: a new one would import MLflow for every call."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from deployments.cli import main


@dataclass(frozen=True)
class Done:
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def penstock(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Done:
    """Calls the entry point with these arguments, its output going to pipes and not to a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "argv", ["penstock", *arguments])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = 0
            try:
                main()
            except SystemExit as left:
                code = int(left.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
