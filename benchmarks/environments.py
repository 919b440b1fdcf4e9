"""A virtual environment per peer under ``.penstock/bench``, built on first use from its requirements.

torch comes first and alone, so that a CPU build in pip's find-links is taken where there is one, rather than
whatever a peer's own requirements would pull in.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benchmarks" / "peers"
HOME = ROOT / ".penstock" / "bench"
TORCH = "torch==2.13.*"
REPORTED = ("torch", "numpy", "tokenizers", "uvicorn", "uvloop", "fastapi", "starlette", "pydantic")


class NotInstallableError(Exception):
    """A peer's environment could not be built; the message is pip's last word."""


@dataclass(frozen=True)
class Environment:
    """One peer's virtual environment."""

    name: str

    @property
    def folder(self) -> Path:
        return HOME / self.name

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def build(self, say: Callable[[str], None]) -> None:
        """Build it unless it already has what its requirements ask for now.

        Raises:
            NotInstallableError: pip could not.
        """
        requirements = PEERS / self.name / "requirements.txt"
        asked = TORCH + "\n" + requirements.read_text()
        digest = hashlib.sha256(asked.encode()).hexdigest()
        stamp = self.folder / ".installed"
        if stamp.is_file() and stamp.read_text() == digest:
            return
        say(f"building {self.folder.relative_to(ROOT)} (one to two minutes, first time only)")
        self._run([sys.executable, "-m", "venv", str(self.folder)])
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        self._run([*pip, TORCH])
        self._run([*pip, TORCH, "-r", str(requirements)])
        stamp.write_text(digest)

    def versions(self, *packages: str) -> dict[str, str]:
        """The installed versions of `packages` and of those that matter for speed everywhere."""
        code = (
            "import importlib.metadata as m, json, sys\n"
            "def v(n):\n"
            "    try: return m.version(n)\n"
            "    except m.PackageNotFoundError: return None\n"
            "print(json.dumps({n: v(n) for n in sys.argv[1:] if v(n)}))"
        )
        command = [str(self.python), "-c", code, *packages, *REPORTED]
        found: dict[str, str] = json.loads(subprocess.check_output(command, text=True))
        return found

    def _run(self, command: list[str]) -> None:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
            raise NotInstallableError(
                (errors or ended.stderr.strip().splitlines() or ["pip failed"])[-1]
            )
