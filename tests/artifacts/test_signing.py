"""Signatures by the `model-signing` package, with keys that `cryptography` made."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deployments.artifacts.cache import Cache
from deployments.artifacts.fetch import Limits, key_of, obtain
from deployments.artifacts.manifest import manifest_of
from deployments.artifacts.signing import sign, verify_signature
from deployments.artifacts.store.folder import FolderStore
from deployments.errors import ArtifactError, DigestMismatch


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    pair = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    encoding = serialization.Encoding.PEM
    private.write_bytes(
        pair.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        pair.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model/data").mkdir(parents=True)
    (tmp_path / "model/MLmodel").write_bytes(b"flavors: {}")
    (tmp_path / "model/data/weights").write_bytes(b"w" * 1000)
    return tmp_path / "model"


def test_what_was_signed_is_vouched_for(tmp_path: Path, model: Path) -> None:
    """By the key that signed it and by no other; the digest covers the signature too."""
    private, public = keys(tmp_path, "mine")
    assert sign(model, private) == model / "model.sig"
    verify_signature(model, public)
    sign(model, private)  # signing again does not sign the signature
    verify_signature(model, public)
    assert "model.sig" in manifest_of(model).files
    with pytest.raises(DigestMismatch, match=r"does not vouch .* under .*other\.pub"):
        verify_signature(model, keys(tmp_path, "other")[1])


@pytest.mark.parametrize(
    "fault", ["changed", "extra", ".gitignore", "missing", "no signature", "garbled"]
)
def test_what_was_not_signed_is_refused(tmp_path: Path, model: Path, fault: str) -> None:
    """Changed, added (git's own files too) and removed files, and a signature that is none."""
    private, public = keys(tmp_path, "mine")
    sign(model, private)
    match fault:
        case "changed":
            (model / "data/weights").write_bytes(b"v" + b"w" * 999)
        case "extra" | ".gitignore":
            (model / fault).write_bytes(b"more")
        case "missing":
            (model / "data/weights").unlink()
        case "no signature":
            (model / "model.sig").unlink()
        case "garbled":
            (model / "model.sig").write_bytes(b"{}")
    with pytest.raises(DigestMismatch, match=r"model\.sig"):
        verify_signature(model, public)


def test_a_key_that_is_none(tmp_path: Path, model: Path) -> None:
    """An unreadable key file, and one with something else in it."""
    private, public = keys(tmp_path, "mine")
    sign(model, private)
    with pytest.raises(ArtifactError, match=r"cannot read the public key .*none: No such file"):
        verify_signature(model, tmp_path / "none")
    (tmp_path / "text").write_text("not a key")
    with pytest.raises(ArtifactError, match="is no elliptic-curve public key"):
        verify_signature(model, tmp_path / "text")
    with pytest.raises(ArtifactError, match="cannot sign"):
        sign(model, tmp_path / "text")
    assert public.exists()


def test_obtain_asks_for_the_signature_each_time(tmp_path: Path, model: Path) -> None:
    """Files without one are not handed out once a key is set, be they in the cache or not."""
    private, public = keys(tmp_path, "mine")
    cache = Cache(tmp_path / "cache", 10**6)

    def get(signing_key: Path | None) -> bool:
        digest = manifest_of(model).digest
        with obtain(
            cache,
            key_of(digest, ""),
            open_store=lambda: FolderStore(model),
            digest=digest,
            manifest=None,
            limits=Limits(20, 10**6),
            signing_key=signing_key,
        ) as held:
            return held.fetched

    assert get(None)
    with pytest.raises(DigestMismatch, match="no signature"):
        get(public)
    sign(model, private)
    assert get(public)
    assert not get(public)


def test_the_package_is_not_installed(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is optional: the error says how to get it."""

    # Stands in for an environment without the package, of which a test run has none.
    def absent(name: str, *rest: Any) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ArtifactError, match=r"pip install 'penstock\[signing\]'"):
        verify_signature(model, tmp_path / "key")
