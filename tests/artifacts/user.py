"""One process that uses a cache, run by the tests of it: `user.py ROOT SOURCE MODE [KEY=VALUE …]`.

Its "download" copies the folder SOURCE and leaves a line in ROOT/../downloads. MODE is

* `use`: acquire and end; `hold`: acquire and wait for a line on standard input, then end
* `stall`: in the download, copy one file whole and half of another, then wait
* `fail`: in the download, wait until `others` processes wait for this one, then fail
* `meet`: in the download, wait until `others` processes wait for this one, then copy
* `die-before` and `die-after`: be gone right before or after the rename that publishes the entry
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from deployments.artifacts.cache import Cache
from deployments.artifacts.manifest import manifest_of
from deployments.errors import PenstockError, StoreError


class User:
    """Uses the cache in `root` once."""

    def __init__(self, root: Path, source: Path, mode: str, others: int = 0) -> None:
        self.root, self.source, self.mode, self.others = root, source, mode, others
        self.manifest = manifest_of(source)

    def fill(self, folder: Path) -> None:
        with (self.root.parent / "downloads").open("a") as file:
            file.write("x\n")
        if self.mode in {"meet", "fail"}:
            self.meet()
        if self.mode == "fail":
            raise StoreError("the store is away")
        for path in sorted(self.manifest.files):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.source / path, target)
            if self.mode == "stall" and path != min(self.manifest.files):
                os.truncate(target, target.stat().st_size // 2)
                tell("stalled")
                sys.stdin.readline()

    def meet(self) -> None:
        until = time.monotonic() + 60
        while len(list(self.root.parent.glob("waiting-*"))) < self.others:
            assert time.monotonic() < until
            time.sleep(0.01)

    def on_event(self, said: str) -> None:
        if said.startswith("waiting"):
            (self.root.parent / f"waiting-{os.getpid()}").touch()

    def use(self) -> None:
        key = self.manifest.digest.replace(":", "-")
        held = Cache(self.root, 10**9).acquire(
            key,
            self.fill,
            digest=self.manifest.digest,
            manifest=self.manifest,
            deadline=time.monotonic() + 60,
            on_event=self.on_event,
        )
        tell("fetched" if held.fetched else "found")
        if self.mode == "hold":
            sys.stdin.readline()


def die_at_rename(*, after: bool) -> None:
    """From here on the first rename is the last thing that this process does."""
    rename = Path.rename

    def dying(path: Path, target: Path) -> Path:
        if after:
            rename(path, target)
        os._exit(9)

    Path.rename = dying  # type: ignore[method-assign,assignment]


def tell(said: str) -> None:
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    mode = sys.argv[3]
    if mode.startswith("die"):
        die_at_rename(after=mode == "die-after")
    try:
        User(Path(sys.argv[1]), Path(sys.argv[2]), mode, *map(int, sys.argv[4:])).use()
    except PenstockError as fault:
        tell(f"{fault.code}: {fault.message}")
