"""From the store to verified files in the cache: each fault on the way, and what is left after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.artifacts.cache import Cache, Held
from deployments.artifacts.fetch import Limits, key_of, obtain
from deployments.artifacts.manifest import Manifest, manifest_of
from deployments.artifacts.store import open_store
from deployments.artifacts.store.interface import Store, StoredFile
from deployments.artifacts.store.s3 import S3Store
from deployments.errors import ArtifactError, DigestMismatch, StoreError
from tests.artifacts.conftest import FILES, Stored
from tests.artifacts.proxy import Fault, objects_only

LIMITS = Limits(deadline_s=30, max_bytes=10**8)
SIZE = sum(map(len, FILES.values()))


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("registered")
    for path, content in FILES.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    return manifest_of(folder)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 10**9)


def get(
    cache: Cache,
    open_store: Callable[[], Store],
    manifest: Manifest,
    *,
    limits: Limits = LIMITS,
    named: bool = True,
) -> Held:
    """What was registered as `manifest`; `named` is whether the registry keeps more than its digest."""
    return obtain(
        cache,
        key_of(manifest.digest, ""),
        open_store=open_store,
        digest=manifest.digest,
        manifest=manifest if named else None,
        limits=limits,
    )


def closed() -> Store:
    raise AssertionError("the store was opened although all is in the cache")


def test_the_store_is_needed_once(s3: Stored, cache: Cache, manifest: Manifest) -> None:
    """A cold start with a warm cache contacts nothing, whether or not the files' names are known."""
    with get(cache, s3.store, manifest) as held:
        assert held.fetched
        assert manifest_of(held.folder) == manifest
    s3.proxy.refuse()
    get(cache, closed, manifest).close()
    get(cache, closed, manifest, named=False).close()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=403), "refused"),
        (Fault(status=404, code="NoSuchKey"), "there is no"),
        (Fault(status=500), "answers 500"),
        (Fault(bytes_per_s=1000, on=objects_only), r"too slow: .* of 20 MB came"),
        (Fault(cut_after=0, on=objects_only), "breaks its connections"),
    ],
)
def test_a_fault_of_the_store_hurts_nothing_that_is_held(
    s3: Stored, cache: Cache, manifest: Manifest, tmp_path: Path, fault: Fault, said: str
) -> None:
    """Each ends in one clear line within its deadline; what is served stays; later it works."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old/MLmodel").write_bytes(b"old")
    old = manifest_of(tmp_path / "old")
    serving = get(
        cache, lambda: open_store(str(tmp_path / "old"), tracking_uri="", endpoint_url=None), old
    )
    s3.proxy.fault = fault
    began = time.monotonic()
    with pytest.raises(StoreError, match=said) as caught:
        get(cache, s3.store, manifest, limits=replace(LIMITS, deadline_s=2.0))
    assert time.monotonic() - began < 6.0
    assert "\n" not in caught.value.message
    assert manifest_of(serving.folder) == old
    s3.proxy.fault = Fault()
    assert get(cache, s3.store, manifest).fetched


@pytest.mark.parametrize("named", [True, False])
def test_one_flipped_byte_is_refused(
    s3: Stored, cache: Cache, manifest: Manifest, tmp_path: Path, named: bool
) -> None:
    """A single wrong bit in 20 MB: no file is handed out, and quarantine has the reason."""
    s3.proxy.fault = Fault(flip=4_000_000, times=1, on=lambda _, path: "weights" in path)
    with pytest.raises(
        DigestMismatch, match="changed: data/weights.bin" if named else "was registered"
    ):
        get(cache, s3.store, manifest, named=named)
    (put_away,) = (tmp_path / "cache/quarantine").iterdir()
    assert manifest.digest in (put_away / "reason").read_text() or named
    assert not any((tmp_path / "cache/entries").iterdir())
    assert get(cache, s3.store, manifest).fetched


def test_a_cut_off_download_goes_on_where_it_was(
    s3: Stored, cache: Cache, manifest: Manifest
) -> None:
    """Cut at half, then well: fewer bytes are served than two downloads would be."""
    s3.proxy.fault = Fault(cut_after=4_000_000, times=4, on=objects_only)
    get(cache, s3.store, manifest).close()
    assert s3.proxy.served < 1.3 * SIZE


def test_a_second_call_keeps_what_the_first_one_got(
    s3: Stored, cache: Cache, manifest: Manifest
) -> None:
    """After an error the files that arrived whole are not asked for again."""

    class BreakingOff(S3Store):
        def fetch(self, files: Sequence[StoredFile], into: Path, **more: Any) -> None:
            super().fetch([file for file in files if "net.py" not in file.path], into, **more)
            raise StoreError("broke off")

    with pytest.raises(StoreError, match="broke off"):
        get(cache, lambda: BreakingOff(s3.uri, endpoint_url=s3.proxy.endpoint), manifest)
    asked = len(s3.proxy.requests)
    get(cache, s3.store, manifest).close()
    again = [path for _, path in s3.proxy.requests[asked:] if "list-type" not in path]
    assert again == ["/models/1/artifacts/code/net.py"]


def test_missing_and_extra_files_are_named_before_anything_is_downloaded(
    s3: Stored, cache: Cache, manifest: Manifest, tmp_path: Path
) -> None:
    """The listing alone shows them: a file of 20 MB is not fetched to find that another is missing."""
    files = dict(manifest.files)
    files["data/tokenizer.json"] = files.pop("code/net.py")
    with pytest.raises(
        DigestMismatch, match=r"missing: data/tokenizer.json; not registered: code/net.py"
    ):
        get(cache, s3.store, Manifest(files))
    assert s3.proxy.served == 0
    assert not any((tmp_path / "cache/quarantine").iterdir())


def test_too_large_is_refused_before_anything_is_downloaded(
    s3: Stored, cache: Cache, manifest: Manifest
) -> None:
    """The limit on a model version's files, with both sizes."""
    with pytest.raises(StoreError, match=r"are 20 MB or more, and .* may have 1 MB"):
        get(cache, s3.store, manifest, limits=replace(LIMITS, max_bytes=10**6))
    assert s3.proxy.served == 0


def test_larger_than_the_cache(s3: Stored, manifest: Manifest, tmp_path: Path) -> None:
    """So is the cache's."""
    with pytest.raises(ArtifactError, match=r"20 MB, and the cache .* may hold 10 MB"):
        get(Cache(tmp_path / "small", 10**7), s3.store, manifest)
    assert s3.proxy.served == 0


def test_the_manifest_must_be_the_digests(s3: Stored, cache: Cache, manifest: Manifest) -> None:
    """Two tags that contradict each other are refused without a look at any file."""
    with pytest.raises(DigestMismatch, match="one of the two was changed"):
        obtain(
            cache,
            key_of(manifest.digest, ""),
            open_store=closed,
            digest=manifest.digest,
            manifest=Manifest({"MLmodel": "0" * 64}),
            limits=LIMITS,
        )


def test_without_a_digest(s3: Stored, cache: Cache, manifest: Manifest) -> None:
    """What nobody vouches for is kept under its address, and fetched once as well."""
    for opened in (s3.store, closed):
        with obtain(
            cache,
            key_of(None, s3.uri),
            open_store=opened,
            digest=None,
            manifest=None,
            limits=LIMITS,
        ) as held:
            assert manifest_of(held.folder) == manifest
