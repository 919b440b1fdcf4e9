"""Manifests and digests: what they stand for, and what they refuse."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from deployments.artifacts.manifest import Manifest, check_digest, manifest_of, verify
from deployments.errors import ArtifactError, DigestMismatch

HEX = "0" * 64


def fill(folder: Path) -> Path:
    for path, content in {
        "MLmodel": b"flavors: {}",
        "data/weights.bin": os.urandom(3_000_000),
        "data/empty": b"",
        "data-2/ü b.txt": b"after data/ by bytes",
        "B": b"capitals come first",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_a_digest_is_what_sha256sum_says(tmp_path: Path) -> None:
    """Anyone can recompute the manifest and the digest with standard tools."""
    fill(tmp_path)
    script = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum"
    done = subprocess.run(script, shell=True, cwd=tmp_path, capture_output=True, check=True)
    whole = subprocess.run(["sha256sum"], input=done.stdout, capture_output=True, check=True)
    found = manifest_of(tmp_path)
    assert found.text == done.stdout.decode()
    assert found.digest == "sha256:" + whole.stdout.decode().split()[0]
    assert Manifest.parse(found.text) == found


def test_verify_names_each_file(tmp_path: Path) -> None:
    """A missing, an extra and a changed file are each named when the manifest is known."""
    manifest = manifest_of(fill(tmp_path))
    verify(tmp_path, manifest.digest, manifest)
    verify(tmp_path, manifest.digest)
    (tmp_path / "B").unlink()
    (tmp_path / "more.pkl").write_bytes(b"x")
    with (tmp_path / "data/weights.bin").open("r+b") as file:
        file.seek(2_999_999)
        byte = file.read(1)
        file.seek(2_999_999)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(DigestMismatch) as caught:
        verify(tmp_path, manifest.digest, manifest)
    assert "missing: B;" in caught.value.message
    assert "not registered: more.pkl;" in caught.value.message
    assert "changed: data/weights.bin)" in caught.value.message
    with pytest.raises(DigestMismatch, match=manifest.digest):
        verify(tmp_path, manifest.digest)


def test_a_manifest_that_is_not_the_digests_is_refused(tmp_path: Path) -> None:
    """A manifest tag changed to fit changed files does not help: the digest stands above it."""
    digest = manifest_of(fill(tmp_path)).digest
    (tmp_path / "B").write_bytes(b"changed")
    with pytest.raises(DigestMismatch, match="after the version was registered"):
        verify(tmp_path, digest, manifest_of(tmp_path))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a//b",
        "a/",
        "./a",
        "a\\b",
        "a\rb",
        "a\x00b",
        "a\x85b",
        "\udcff",
    ],
)
def test_a_path_that_points_outside_is_refused(path: str) -> None:
    """No manifest can name a file outside its folder, or one that a terminal would misread."""
    with pytest.raises(ArtifactError):
        Manifest.parse(f"{HEX}  {path}\n")
    with pytest.raises(ArtifactError):
        Manifest({path: HEX})


@pytest.mark.parametrize(
    "text",
    ["", "\n", f"{HEX} one-space\n", f"{HEX}  a\n{HEX}  a\n", f"{HEX}  a\n{HEX}  a/b\n", "xyz  a"],
)
def test_a_text_that_is_no_manifest_is_refused(text: str) -> None:
    """Nothing, a malformed line, a file named twice, and a file that is a folder too."""
    with pytest.raises(ArtifactError):
        Manifest.parse(text)


@pytest.mark.parametrize("kind", ["link", "folder link", "dangling", "pipe", "socket"])
def test_only_plain_files_count(tmp_path: Path, kind: str) -> None:
    """A link, a pipe or a socket in an artifact is refused, not followed or opened."""
    fill(tmp_path)
    odd = tmp_path / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(odd))
    else:
        odd.symlink_to({"link": "B", "folder link": "data", "dangling": "nowhere"}[kind])
    with pytest.raises(ArtifactError, match="odd"):
        manifest_of(tmp_path)


def test_no_folder_and_no_files(tmp_path: Path) -> None:
    """An artifact folder that is not there or empty is said to be so."""
    with pytest.raises(ArtifactError, match="No such file"):
        manifest_of(tmp_path / "none")
    with pytest.raises(ArtifactError, match="no files"):
        manifest_of(tmp_path)


@pytest.mark.parametrize("digest", ["", "sha256:", HEX, f"sha256:{HEX[1:]}", f"SHA256:{HEX}\n"])
def test_what_is_no_digest_is_refused(digest: str, tmp_path: Path) -> None:
    """A digest that is cut off or of another kind never matches anything by accident."""
    with pytest.raises(ArtifactError, match="64 hex digits"):
        check_digest(digest)
    with pytest.raises(ArtifactError, match="64 hex digits"):
        verify(fill(tmp_path), digest)
