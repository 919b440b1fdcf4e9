"""The tags that pin a version, as text in and text out."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from deployments.artifacts.manifest import Manifest
from deployments.errors import RegistryError
from deployments.registry import tags


def manifest(files: int) -> Manifest:
    return Manifest(
        {f"data/model/part-{n:05}.bin": hashlib.sha256(b"%d" % n).hexdigest() for n in range(files)}
    )


@pytest.mark.parametrize("files", [1, 500, 1000])
def test_what_is_encoded_is_decoded(files):
    """As plain text while that fits MySQL's column, packed while that does."""
    given = manifest(files)
    recorded = tags.encode(given.digest, given.text)

    assert tags.decode(recorded) == (given.digest, given.text)
    assert len(recorded[tags.MANIFEST]) <= tags.LONGEST
    assert recorded[tags.MANIFEST].startswith("zlib:") == (len(given.text) > tags.LONGEST)


def test_a_manifest_that_is_too_long_is_left_out():
    """The digest alone pins as well; it only cannot say which file differs."""
    given = manifest(5000)

    assert tags.encode(given.digest, given.text) == {tags.DIGEST: given.digest}
    assert tags.decode({tags.DIGEST: given.digest}) == (given.digest, None)


def test_the_digest_is_the_manifests():
    """Both parts of the project compute it over the same text."""
    assert tags.digest_of(manifest(3).text) == manifest(3).digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "another manifest",
        "zlib:no base64",
        "zlib:" + base64.b64encode(b"no zlib").decode(),
        "zlib:" + base64.b64encode(zlib.compress(b"\xff")).decode(),
        "zlib:" + base64.b64encode(zlib.compress(bytes(64 << 20), 9)).decode(),
    ],
    ids=["empty", "another", "no base64", "no zlib", "no text", "a bomb"],
)
def test_a_manifest_that_the_digest_is_not_of_is_none(text):
    """Whatever stands in the tag: the digest stays what counts, and nothing unfolds into gigabytes."""
    digest = manifest(1).digest

    assert tags.decode({tags.DIGEST: digest, tags.MANIFEST: text}) == (digest, None)


@pytest.mark.parametrize("digest", ["", "none", "sha256:", "md5:" + "0" * 64, "sha256:" + "F" * 64])
def test_a_garbled_digest_is_an_error(digest):
    """It is not taken for a version that nobody pinned, which would switch the check off."""
    with pytest.raises(RegistryError, match=r"the tag penstock\.digest is .* no digest"):
        tags.decode({tags.DIGEST: digest})


def test_without_tags_there_is_nothing():
    """A version that nobody pinned."""
    assert tags.decode({}) == (None, None)
