"""The two tags that pin a version's files: a digest, and the manifest that it is of.

They are plain tags of the model version, so that any script can record them with MLflow alone: the manifest
is what `sha256sum` prints for every file, sorted by path, and the digest is the SHA-256 of that text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping

from deployments.errors import RegistryError

DIGEST = "penstock.digest"
MANIFEST = "penstock.manifest"

LONGEST = 65_000
"""Characters in a tag's value. MLflow itself allows 100,000 (`MAX_MODEL_REGISTRY_TAG_VALUE_LENGTH` in
`mlflow/utils/validation.py`), but keeps them in a `TEXT` column, which MySQL ends at 65,535 bytes."""

_PACKED = "zlib:"
_LARGEST = 16 * 1024 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def encode(digest: str, manifest: str) -> dict[str, str]:
    """The tags for a version; without a manifest if it is too long even when packed.

    With short paths some 700 files fit as they are and 1,100 packed: a hash does not pack below its bytes.
    """
    tags = {DIGEST: digest}
    for text in (manifest, _pack(manifest)):
        if len(text.encode()) <= LONGEST:
            return tags | {MANIFEST: text}
    return tags


def decode(tags: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Digest and manifest text, each None where it was not recorded.

    The manifest only explains the digest: one that the digest is not of, as is left when somebody changes
    one tag by hand, is as good as none.

    Raises:
        RegistryError: The digest is not one. Taking that for "not recorded" would let a garbled tag switch
            the check off.
    """
    digest = tags.get(DIGEST)
    if digest is None:
        return None, None
    if not _DIGEST.fullmatch(digest):
        raise RegistryError(
            f"the tag {DIGEST} is `{digest[:80]}`, which is no digest (sha256: and 64 hexadecimal digits)"
        )
    manifest = _unpack(tags.get(MANIFEST, ""))
    if manifest is None or digest_of(manifest) != digest:
        return digest, None
    return digest, manifest


def digest_of(manifest: str) -> str:
    """The digest over a manifest's text."""
    return f"sha256:{hashlib.sha256(manifest.encode()).hexdigest()}"


def _pack(text: str) -> str:
    return _PACKED + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _unpack(text: str) -> str | None:
    """What was packed, or None where it is no text; a few bytes cannot unfold into gigabytes."""
    packed = text.removeprefix(_PACKED)
    if packed == text:
        return text
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode(packed, validate=True), _LARGEST)
        return None if unpacking.unconsumed_tail else data.decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        return None
