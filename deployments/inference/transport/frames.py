"""What travels on a connection: frames of a small msgpack header and the tensors' bytes, unpickled and uncopied.

    frame   = u32 length of the rest | u32 length of header | header | padding | tensor | padding | tensor ...
    header  = msgpack of `Hello`, `Call`, `Cancel` or `Reply`, told apart by a tag

Tensors start at multiples of 16 bytes from the frame's beginning, so that views of them are aligned. An array
of strings or bytes travels as u32 lengths followed by the joined bytes. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np

from deployments.inference.tensors import Array, Tensors

PREFIX = struct.Struct("<II")
ALIGNMENT = 16
MAX_FRAME_BYTES = 1 << 30
"""A frame longer than this is a broken or hostile peer."""


class FrameError(Exception):
    """The peer sent something that is not a frame; the connection is closed."""


class TensorHead(msgspec.Struct, array_like=True, frozen=True):
    """One tensor's description; `kind` is a NumPy dtype string, or ``str``/``bytes`` for object arrays."""

    name: str
    kind: str
    shape: tuple[int, ...]
    nbytes: int


class RowError(msgspec.Struct, array_like=True, frozen=True):
    """Why one row of a batch has no answer.

    `code` is the code of a `PenstockError`; `message` is fit for the client.
    """

    row: int
    code: str
    message: str


class StageTime(msgspec.Struct, array_like=True, frozen=True):
    """How long a stage ran for the batch that a call was part of, in milliseconds."""

    stage: str
    ms: float


class Hello(msgspec.Struct, array_like=True, tag="hello"):
    """The first frame of a connection: the secret that the replica published to the edges."""

    token: str


class Call(msgspec.Struct, array_like=True, tag="call"):
    """A batch to run.

    `items` holds for each request in the batch its number of rows and the milliseconds it may still take:
    relative, since clocks of two nodes differ. `backlog` is the rows still waiting at this edge for this stage.
    """

    id: int
    items: list[tuple[int, int]]
    backlog: int
    tensors: list[TensorHead]


class Cancel(msgspec.Struct, array_like=True, tag="cancel"):
    """The caller of item number `item` in call `id` went away."""

    id: int
    item: int


class Reply(msgspec.Struct, array_like=True, tag="reply"):
    """The answer to call `id`: tensors of the surviving rows in order, and an error for each of the others."""

    id: int
    queued_ms: float
    times: list[StageTime]
    errors: list[RowError]
    tensors: list[TensorHead]


Header = Hello | Call | Cancel | Reply

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Header] = msgspec.msgpack.Decoder(Header)


def pack_tensors(tensors: Tensors) -> tuple[list[TensorHead], list[Any]]:
    """Descriptions of the tensors, and for each one buffer of its bytes (a view where it is contiguous)."""
    heads: list[TensorHead] = []
    buffers: list[Any] = []
    buffer: Any
    for name, array in tensors.items():
        if array.dtype == object:
            kind, buffer = _pack_objects(array)
            heads.append(TensorHead(name, kind, array.shape, len(buffer)))
        else:
            contiguous = np.ascontiguousarray(array)
            buffer = contiguous.reshape(-1).view(np.uint8).data if contiguous.size else b""
            heads.append(TensorHead(name, array.dtype.str, array.shape, contiguous.nbytes))
        buffers.append(buffer)
    return heads, buffers


def encode(header: Header, buffers: list[Any] | None = None) -> list[Any]:
    """The buffers to write, in order, for a header and the tensors' buffers that it describes."""
    head = _ENCODER.encode(header)
    if not buffers:
        return [PREFIX.pack(4 + len(head), len(head)) + head]
    parts: list[Any] = [b"", head]
    offset = PREFIX.size + len(head)
    for buffer in buffers:
        gap = -offset % ALIGNMENT
        if gap:
            parts.append(bytes(gap))
        parts.append(buffer)
        offset += gap + len(buffer)
    parts[0] = PREFIX.pack(offset - 4, len(head))
    return parts


def decode(frame: bytearray) -> tuple[Header, Tensors]:
    """The header and the tensors of one whole frame, prefix included; the tensors are views into `frame`.

    Raises:
        FrameError: The bytes are not a frame: a bad header, or tensors that do not fit it.
    """
    head_length = PREFIX.unpack_from(frame)[1]
    view = memoryview(frame)
    try:
        header = _DECODER.decode(view[PREFIX.size : PREFIX.size + head_length])
        tensors = (
            _unpack(header.tensors, view, PREFIX.size + head_length)
            if isinstance(header, Call | Reply)
            else {}
        )
    except (msgspec.MsgspecError, ValueError, TypeError, struct.error) as exc:
        raise FrameError(f"not a frame: {exc}") from exc
    return header, tensors


def _unpack(heads: list[TensorHead], view: memoryview, offset: int) -> Tensors:
    tensors: Tensors = {}
    for head in heads:
        offset += -offset % ALIGNMENT
        piece = view[offset : offset + head.nbytes]
        if len(piece) != head.nbytes:
            raise ValueError(f"tensor {head.name!r} is cut short")
        if head.kind in ("str", "bytes"):
            tensors[head.name] = _unpack_objects(piece, head)
        else:
            dtype = np.dtype(head.kind)
            if dtype.hasobject:
                raise ValueError(f"tensor {head.name!r} has a dtype that may not travel")
            tensors[head.name] = np.frombuffer(piece, dtype=dtype).reshape(head.shape)
        offset += head.nbytes
    return tensors


def _pack_objects(array: Array) -> tuple[str, bytes]:
    flat = array.reshape(-1).tolist()
    kind = "str" if flat and isinstance(flat[0], str) else "bytes"
    blobs = [value.encode() for value in flat] if kind == "str" else flat
    lengths = np.fromiter(map(len, blobs), dtype="<u4", count=len(blobs))
    return kind, lengths.tobytes() + b"".join(blobs)


def _unpack_objects(piece: memoryview, head: TensorHead) -> Array:
    count = int(np.prod(head.shape, dtype=np.int64))
    lengths = np.frombuffer(piece[: 4 * count], dtype="<u4")
    ends = (4 * count + np.cumsum(lengths, dtype=np.int64)).tolist()
    if len(lengths) != count or (ends[-1] if ends else 0) != head.nbytes:
        raise ValueError(f"tensor {head.name!r} has lengths that lie")
    array = np.empty(count, dtype=object)
    start = 4 * count
    for index, end in enumerate(ends):
        blob = bytes(piece[start:end])
        array[index] = blob.decode() if head.kind == "str" else blob
        start = end
    return array.reshape(head.shape)
