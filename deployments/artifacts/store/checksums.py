"""The checksum of a whole object, where S3 keeps one that can be computed here.

S3 keeps what the uploader chose; for an object in parts it may keep a checksum of the parts' checksums, which says
nothing without knowing the parts. CRC-32C and CRC-64/NVME need a compiled package and are left to the ETag. Source:
"Checking object integrity for data uploads in Amazon S3", in the S3 User Guide.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

_CHUNK_BYTES = 1 << 20
_MD5 = re.compile(r'"([0-9a-f]{32})"')


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


_KINDS: dict[str, Callable[[], _Hash]] = {
    "ChecksumSHA256": hashlib.sha256,
    "ChecksumSHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "ChecksumCRC32": _Crc32,
}


class Checksum:
    """What the bytes of one object must add up to."""

    def __init__(self, name: str, make: Callable[[], _Hash], expected: bytes) -> None:
        self.name = name
        self._make = make
        self._expected = expected

    def matches(self, path: Path) -> bool:
        total, buffer = self._make(), memoryview(bytearray(_CHUNK_BYTES))
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                total.update(buffer[:count])
        return total.digest() == self._expected


def checksum_of(head: Mapping[str, Any]) -> Checksum | None:
    """The strongest checksum of the whole object in S3's answer to HeadObject; None if there is none."""
    if head.get("ChecksumType") != "COMPOSITE":
        for name, make in _KINDS.items():
            value = str(head.get(name, ""))
            if value and "-" not in value:  # "-3" would say: of three parts
                return Checksum(name.removeprefix("Checksum"), make, base64.b64decode(value))
    etag = _MD5.fullmatch(str(head.get("ETag", "")))
    # Encrypted with a key of the customer's, an object of one part has an ETag that is no MD5.
    encrypted = head.get("ServerSideEncryption", "AES256") != "AES256"
    if etag is None or encrypted or "SSECustomerAlgorithm" in head:
        return None
    return Checksum("MD5", lambda: hashlib.md5(usedforsecurity=False), bytes.fromhex(etag[1]))
