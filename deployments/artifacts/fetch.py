"""A model version's files, from the cache or, if they are not there, from where they are stored: the one way to get them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deployments.artifacts.cache import Cache, Held
from deployments.artifacts.disk import amount, check_free
from deployments.artifacts.manifest import Manifest, check_digest, check_names
from deployments.artifacts.signing import verify_signature
from deployments.artifacts.store.interface import Store, StoredFile
from deployments.errors import StoreError


def key_of(digest: str | None, source: str) -> str:
    """The cache's key of files with `digest`, or, if nobody vouches for them, of what `source` held when first fetched."""
    if digest is None:
        return "unverified-" + hashlib.sha256(source.encode()).hexdigest()
    return check_digest(digest).replace(":", "-")


@dataclass(frozen=True)
class Limits:
    """What one model version may cost.

    Attributes:
        deadline_s: How long everything may take, waiting for other processes included.
        max_bytes: The most that its files may be.
    """

    deadline_s: float
    max_bytes: int


def obtain(
    cache: Cache,
    key: str,
    *,
    open_store: Callable[[], Store],
    digest: str | None,
    manifest: Manifest | None,
    limits: Limits,
    signing_key: Path | None = None,
    on_bytes: Callable[[int], None] = lambda count: None,
    on_event: Callable[[str], None] = lambda said: None,
) -> Held:
    """The files, verified and held in the cache: nothing may be deserialised but what this returns.

    Args:
        cache: Where they are kept on this node.
        key: As `key_of` gives it.
        open_store: Opens where they are stored. Not called if they are in the cache: a start then needs no network.
        digest: What they must add up to; None if nobody vouches for them.
        manifest: The files that `digest` stands for, where that is known.
        limits: What this may cost.
        signing_key: The public key that they must be signed with, or None.
        on_bytes: Told of every few bytes that are downloaded.
        on_event: Told in a line what takes long, or is worth knowing.

    Raises:
        DigestMismatch: They are not those that were registered, or not signed with the key.
        StoreError: They cannot be had, are too many, or the disk has no room for them.
        ArtifactError: The cache is too small, or another process has been at it for too long.
    """
    deadline = time.monotonic() + limits.deadline_s

    def fill(folder: Path) -> None:
        store = open_store()
        on_event(f"downloading from {store.uri}")
        listed = store.list(deadline)
        wanted = _wanted(store.uri, listed, folder, manifest, limits)
        needed = sum(file.size or 0 for file in wanted)
        cache.make_room(needed)
        check_free(folder, needed)
        # A digest says more than any checksum that the store has.
        vouched = [replace(file, vouched=digest is not None) for file in wanted]
        counter = _Counter(store.uri, limits.max_bytes, on_bytes)
        if vouched:
            store.fetch(vouched, folder, deadline=deadline, on_bytes=counter)

    held = cache.acquire(
        key, fill, digest=digest, manifest=manifest, deadline=deadline, on_event=on_event
    )
    if signing_key is not None:
        try:
            verify_signature(held.folder, signing_key)
        except BaseException:
            held.close()
            raise
    return held


def _wanted(
    uri: str,
    listed: Sequence[StoredFile],
    folder: Path,
    manifest: Manifest | None,
    limits: Limits,
) -> list[StoredFile]:
    """What of `listed` is not in `folder` yet; refused before the first byte if it is wrong or too much."""
    if manifest is not None:
        check_names({file.path: None for file in listed}, manifest)
    total = sum(file.size or 0 for file in listed)
    if total > limits.max_bytes:
        raise _too_large(uri, total, limits.max_bytes)
    return [file for file in listed if not (folder / file.path).exists()]


class _Counter:
    """Passes on what arrives, up to a limit: not every store says beforehand how much that will be."""

    def __init__(self, uri: str, limit: int, on_bytes: Callable[[int], None]) -> None:
        self._uri, self._limit, self._on_bytes = uri, limit, on_bytes
        self._seen = 0

    def __call__(self, count: int) -> None:
        self._seen += count
        if self._seen > self._limit:
            raise _too_large(self._uri, self._seen, self._limit)
        self._on_bytes(count)


def _too_large(uri: str, size: int, limit: int) -> StoreError:
    return StoreError(
        f"the files at {uri} are {amount(size)} or more, and a model version may have {amount(limit)} "
        "(PENSTOCK_ARTIFACT_MAX_BYTES)"
    )
