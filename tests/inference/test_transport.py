"""The hop between processes: what frames carry, who is let in, and what a broken peer does."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace

import numpy as np
import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deployments.cluster.tls import client_context, server_context
from deployments.errors import DeadlineExceeded, SetupError
from deployments.inference.execution import Execution
from deployments.inference.pipeline import Bounds, Pipeline
from deployments.inference.replica import Replica
from deployments.inference.transport.frames import (
    ALIGNMENT,
    Call,
    FrameError,
    decode,
    encode,
    pack_tensors,
)
from deployments.inference.transport.server import HELLO_MAX_BYTES, BatchServer
from deployments.settings import RayTls


def there_and_back(tensors):
    heads, buffers = pack_tensors(tensors)
    parts = encode(Call(7, [(1, 100)], 3, heads), buffers)
    frame = bytearray(b"".join(bytes(part) for part in parts))
    assert struct.unpack_from("<I", frame)[0] + 4 == len(frame)
    return decode(frame)


@given(
    array=hnp.arrays(
        st.sampled_from(["<f4", "<f8", "<i8", "|u1", "|b1", "<f2", "<i2", "<M8[ns]"]),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1),
    blobs=st.lists(st.binary(), min_size=1),
)
@settings(max_examples=300, deadline=None)
def test_tensors_travel_unchanged(array, texts, blobs) -> None:
    """Numbers of every dtype and shape, strings and bytes come out as they went in, aligned and writable."""
    sent = {"a": array, "t": np.array(texts, dtype=object), "b": np.empty(len(blobs), object)}
    sent["b"][:] = blobs

    header, got = there_and_back(sent)

    assert header.id == 7
    assert got["a"].dtype == array.dtype
    assert got["a"].shape == array.shape
    assert got["a"].tobytes() == array.tobytes()
    assert got["t"].tolist() == texts
    assert got["b"].tolist() == blobs
    if array.size:
        start = (
            got["a"].__array_interface__["data"][0]
            - np.frombuffer(got["a"].base.base, dtype=np.uint8).__array_interface__["data"][0]
        )
        assert start % ALIGNMENT == 0


@given(content=st.binary(min_size=8, max_size=300), head=st.integers(0, 400))
@settings(max_examples=500, deadline=None)
def test_bytes_that_are_no_frame_are_an_error_of_ours(content, head) -> None:
    """A broken or hostile peer raises `FrameError` and nothing else."""
    frame = bytearray(struct.pack("<II", len(content) + 4, head) + content)
    with pytest.raises(FrameError):
        decode(frame)


async def echo_server(**options) -> BatchServer:
    replica = Replica(
        Execution([("model", lambda tensors: tensors)]), max_rows=8, on_broken=pytest.fail
    )
    server = BatchServer(replica, host="127.0.0.1", max_frame_bytes=1 << 26, **options)
    await server.start()
    return server


async def test_megabytes_arrive_whole(rig) -> None:
    """A row of 8 MB, far beyond the reader's own buffer, comes back the same."""
    pipeline = await rig.serving(lambda tensors: {"y": tensors["x"] + 1})
    row = np.random.default_rng(0).random((1, 1_000_000))

    answer, _ = await pipeline.predict({"x": row}, asyncio.get_running_loop().time() + 10)

    assert (answer["y"] == row + 1).all()


async def test_without_the_secret_nobody_is_let_in(rig) -> None:
    """An edge with a wrong secret is turned away, and so is whoever begins with a long frame or says nothing."""
    running = await rig.replica(("model", lambda tensors: tensors))
    pipeline = rig.pipeline("Model")
    pipeline.set_replicas("Model", [replace(running.address, token="guess")])
    loop = asyncio.get_running_loop()
    with pytest.raises(DeadlineExceeded):
        await pipeline.predict({"x": np.zeros(1)}, loop.time() + 0.3)

    reader, writer = await asyncio.open_connection("127.0.0.1", running.server.port)
    writer.write(struct.pack("<II", HELLO_MAX_BYTES + 1, 0) + bytes(HELLO_MAX_BYTES))
    closed = await asyncio.wait_for(reader.read(), 2)
    writer.close()

    assert closed == b""
    assert running.replica.rows == 0


@pytest.fixture
def certificates(tmp_path) -> RayTls:
    authority = trustme.CA()
    issued = authority.issue_cert("ray")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    return RayTls(
        use_tls=True,
        tls_server_cert=str(tmp_path / "cert.pem"),
        tls_server_key=str(tmp_path / "key.pem"),
        tls_ca_cert=str(tmp_path / "ca.pem"),
    )


async def test_batches_are_encrypted_where_ray_is(rig, certificates) -> None:
    """With Ray's certificates a pipeline works over TLS, and one without them is not let in."""
    server = await echo_server(tls=server_context(certificates))
    loop = asyncio.get_running_loop()
    tls = Pipeline(["Model"], Bounds(), tls=client_context(certificates))
    plain = rig.pipeline("Model")
    address = (await rig.replica(("model", lambda tensors: tensors))).address
    address = replace(address, port=server.port, token=server.token)
    for pipeline in (tls, plain):
        pipeline.set_replicas("Model", [address])

    answer, _ = await tls.predict({"x": np.arange(3)}, loop.time() + 5)
    with pytest.raises(DeadlineExceeded):
        await plain.predict({"x": np.arange(3)}, loop.time() + 0.3)

    assert answer["x"].tolist() == [0, 1, 2]
    tls.close()
    await server.stop()


def test_certificates_that_are_not_there_are_told(certificates) -> None:
    """The message names the variables to mend."""
    lost = certificates.model_copy(update={"tls_ca_cert": "/nowhere/ca.pem"})
    with pytest.raises(SetupError, match="RAY_TLS_CA_CERT"):
        server_context(lost)
