"""The `images` stage: what becomes of lists and PNGs, and which files it refuses."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from deployments.inference.stages import BadRows
from deployments.inference.stages.images import MAX_PIXELS, Images

STAGE = Images({"size": (8, 8), "high": 16}, None)


def png(array, mode=None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array, mode).save(buffer, "PNG")
    return buffer.getvalue()


def encoded(*blobs):
    column = np.empty(len(blobs), dtype=object)
    column[:] = blobs
    return {"image.png": column}


def test_lists_are_scaled_to_one() -> None:
    """The highest grey value is 1, and the dtype is the model's."""
    answer = STAGE({"image": np.full((2, 8, 8), 16, dtype=np.float32)})["image"]

    assert answer.dtype == np.float32
    assert (answer == 1).all()


def test_an_enlarged_picture_comes_back_exactly() -> None:
    """A PNG of 104 x 104 made of 13 x 13 blocks is the 8 x 8 picture it was made of."""
    small = np.random.default_rng(1).integers(0, 256, (8, 8), dtype=np.uint8)
    large = small.repeat(13, axis=0).repeat(13, axis=1)

    answer = STAGE(encoded(png(small), png(large)))["image"]

    assert (answer[0] == answer[1]).all()
    assert np.abs(answer[0] - small / 255).max() < 1e-6


def test_height_and_width_are_not_mixed_up() -> None:
    """A stage of 4 x 2 makes 4 lines of 2 of a tall picture."""
    stage = Images({"size": (4, 2), "high": 255}, None)
    tall = np.zeros((4, 2), dtype=np.uint8)
    tall[3, 1] = 255

    answer = stage(encoded(png(tall)))["image"]

    assert answer.shape == (1, 4, 2)
    assert answer[0, 3, 1] == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_])
def test_white_is_one_at_every_depth(dtype) -> None:
    """8 and 16 bits and black-and-white agree on what white is."""
    white = np.full((8, 8), np.iinfo(dtype).max if dtype is not np.bool_ else True, dtype=dtype)

    assert (STAGE(encoded(png(white)))["image"] == 1).all()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_hostile_files_are_bad_rows_and_leave_the_others_alone() -> None:
    """A truncated file, a file of another format and one that claims a billion pixels name their rows."""
    good = png(np.zeros((8, 8), dtype=np.uint8))
    side = 1 + int(MAX_PIXELS**0.5)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    gif = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(gif, "GIF")

    with pytest.raises(BadRows) as found:
        STAGE(encoded(good, good[:40], gif.getvalue(), bomb, b""))

    assert sorted(found.value.rows) == [1, 2, 3, 4]
    assert "pixels" in found.value.rows[3]
