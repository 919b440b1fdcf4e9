"""S3 over the wire: what arrives, and what a person reads when it does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deployments.artifacts.store.interface import StoredFile
from deployments.artifacts.store.s3 import S3Store
from deployments.errors import ArtifactError, StoreError
from tests.artifacts.conftest import BRIEF, FILES, Stored
from tests.artifacts.proxy import Fault, objects_only


def fetch(s3: Stored, into: Path, *, within: float = 30.0) -> int:
    """Downloads everything; returns how many bytes were reported."""
    store, seen = s3.store(), []
    deadline = time.monotonic() + within
    store.fetch(store.list(deadline), into, deadline=deadline, on_bytes=seen.append)
    return sum(seen)


def arrived(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_all_files_arrive(s3: Stored, tmp_path: Path) -> None:
    """Large files in ranges, empty ones and odd names, each byte reported once."""
    assert fetch(s3, tmp_path) == sum(map(len, FILES.values()))
    assert arrived(tmp_path) == FILES
    weights = [path for method, path in s3.proxy.requests if method == "GET" and "weights" in path]
    assert len(weights) == 3


def test_one_small_file_is_read(s3: Stored) -> None:
    """`MLmodel` can be had without the rest; a large file is refused instead of read."""
    deadline = time.monotonic() + 10
    assert s3.store().read("MLmodel", deadline, 1000) == FILES["MLmodel"]
    with pytest.raises(StoreError, match=r"larger than 1 KB"):
        s3.store().read("data/weights.bin", deadline, 1000)
    with pytest.raises(StoreError, match=r"there is no s3://models/1/artifacts/nothing at"):
        s3.store().read("nothing", deadline, 1000)
    with pytest.raises(ArtifactError, match="leads out"):
        s3.store().read("../2/MLmodel", deadline, 1000)


def test_a_long_listing_comes_in_pages(s3: Stored) -> None:
    """More objects than S3 lists at once are all found; markers of folders are none of them."""
    names = [f"pages/{number}" for number in range(9)]
    s3.server.put("many", dict.fromkeys(names, b"x") | {"pages/": b"", "pages-2/other": b"x"})
    store = S3Store("s3://many/pages", endpoint_url=s3.proxy.endpoint, page=4)
    listed = store.list(time.monotonic() + 30)
    assert [file.path for file in listed] == [f"{number}" for number in range(9)]
    assert len(s3.proxy.requests) == 3


def test_a_connection_cut_at_half_is_resumed(s3: Stored, tmp_path: Path) -> None:
    """What came before the cut is kept: fewer than twice the bytes are served."""
    s3.proxy.fault = Fault(cut_after=4_000_000, times=3, on=objects_only)
    fetch(s3, tmp_path)
    assert arrived(tmp_path) == FILES
    assert s3.proxy.served < 1.2 * sum(map(len, FILES.values()))


def test_a_store_that_always_cuts_at_half_is_no_obstacle(s3: Stored, tmp_path: Path) -> None:
    """As long as each try brings something, the download goes on."""
    s3.proxy.fault = Fault(cut_after=2_500_000, on=objects_only)
    fetch(s3, tmp_path)
    assert arrived(tmp_path) == FILES


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=403), r"refused \(403 AccessDenied\).*found by: env.*s3:ListBucket"),
        (Fault(status=404, code="NoSuchKey"), r"there is no s3://models/1/artifacts at http"),
        (Fault(status=404, code="NoSuchBucket"), r"there is no bucket for s3://models"),
        (Fault(status=500, code="InternalError"), r"answers 500 \(told to\)"),
        (Fault(status=503, code="SlowDown"), r"answers 503 \(told to\)"),
        (Fault(status=400, code="Odd"), r"answers 400 \(told to\)"),
    ],
)
def test_what_the_store_answers_is_told(
    s3: Stored, tmp_path: Path, fault: Fault, said: str
) -> None:
    """Refused, absent, broken: one line names the address and what to do, at listing and at download."""
    listed = s3.store().list(time.monotonic() + 10)
    s3.proxy.fault = fault
    with pytest.raises(StoreError, match=said) as caught:
        s3.store().list(time.monotonic() + 10)
    assert "\n" not in caught.value.message
    with pytest.raises(StoreError, match=f"{fault.status}|there is no"):
        s3.store().fetch(listed, tmp_path, deadline=time.monotonic() + 10, on_bytes=len_of)


def len_of(count: int) -> None:
    assert count > 0


def test_a_passing_fault_is_tried_again(s3: Stored, tmp_path: Path) -> None:
    """Two answers of 500 in a row are nothing that a person need read."""
    s3.proxy.fault = Fault(status=500, code="InternalError", times=2)
    fetch(s3, tmp_path)
    assert arrived(tmp_path) == FILES


@pytest.mark.parametrize("slow", ["objects", "all"])
def test_a_store_of_1_kb_per_s_ends_at_the_deadline(s3: Stored, tmp_path: Path, slow: str) -> None:
    """Bytes that drip in do not hold the deadline up, and the error says how far it got."""
    s3.proxy.fault = Fault(bytes_per_s=1000 if slow == "objects" else 100)
    if slow == "objects":
        s3.proxy.fault.on = objects_only
    began = time.monotonic()
    with pytest.raises(
        StoreError, match="too slow: .* of 20 MB" if slow == "objects" else "did not answer"
    ):
        fetch(s3, tmp_path, within=2.0)
    assert 2.0 <= time.monotonic() - began < 6.0


def test_a_store_that_falls_silent(s3: Stored, tmp_path: Path) -> None:
    """A connection that stays open and brings nothing is an error after the read timeout, not never."""
    s3.proxy.fault = Fault(bytes_per_s=1, on=objects_only)  # one byte, then silence for a second
    brief = S3Store(s3.uri, endpoint_url=s3.proxy.endpoint, patience=type(BRIEF)(1, 0.2, 2, 0.02))
    files = [StoredFile("MLmodel", len(FILES["MLmodel"]))]
    deadline = time.monotonic() + 20
    brief.fetch(files, tmp_path, deadline=deadline, on_bytes=len_of)  # each try brings a byte
    assert (tmp_path / "MLmodel").read_bytes() == FILES["MLmodel"]
    s3.proxy.fault = Fault(cut_after=0, on=objects_only)
    with pytest.raises(StoreError, match="breaks its connections"):
        brief.fetch(files, tmp_path, deadline=deadline, on_bytes=len_of)


def test_nobody_listens(s3: Stored) -> None:
    """A refused connection names the endpoint and the setting."""
    s3.proxy.refuse()
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:\d+ cannot be reached.*ENDPOINT_URL"):
        s3.store().list(time.monotonic() + 10)


def test_a_flipped_byte_is_noticed_by_the_stores_checksum(s3: Stored, tmp_path: Path) -> None:
    """Without any digest of ours, S3's own checksum of the object still counts."""
    s3.proxy.fault = Fault(flip=1_000_000, times=1, on=lambda _, path: "weights" in path)
    with pytest.raises(StoreError, match=r"weights.bin did not arrive as it is stored: its CRC32"):
        fetch(s3, tmp_path)


def test_an_object_replaced_meanwhile(s3: Stored, tmp_path: Path) -> None:
    """Parts of two objects are never put together: the ETag of the listing must still hold."""
    s3.server.put("changing", {"v/a": b"one"})
    store = S3Store("s3://changing/v", endpoint_url=s3.proxy.endpoint, patience=BRIEF)
    deadline = time.monotonic() + 10
    listed = store.list(deadline)
    s3.server.put("changing", {"v/a": b"two"})
    with pytest.raises(StoreError, match="s3://changing/v/a was replaced"):
        store.fetch(listed, tmp_path, deadline=deadline, on_bytes=len_of)


@pytest.mark.parametrize("key", ["v/../../up", "v//etc/passwd", "v/a\tb", "v/./a", "v/a/"])
def test_a_key_that_points_outside_is_refused(s3: Stored, key: str) -> None:
    """An object's name is data from outside: none becomes a path out of the folder."""
    bucket = f"hostile-{abs(hash(key))}"
    s3.server.put(bucket, {"v/fine": b"x", key: b"hostile"})
    store = S3Store(f"s3://{bucket}/v", endpoint_url=s3.proxy.endpoint)
    with pytest.raises(StoreError, match="nothing is written"):
        store.list(time.monotonic() + 10)


def test_nothing_there(s3: Stored) -> None:
    """An empty prefix, a bucket that is none and an address without one are three different errors."""
    deadline = time.monotonic() + 10
    with pytest.raises(StoreError, match="no objects under s3://models/2"):
        S3Store("s3://models/2", endpoint_url=s3.proxy.endpoint).list(deadline)
    with pytest.raises(StoreError, match="there is no bucket for s3://absent/x"):
        S3Store("s3://absent/x", endpoint_url=s3.proxy.endpoint).list(deadline)
    with pytest.raises(StoreError, match="names no bucket"):
        S3Store("s3:///x")


def test_no_credentials(s3: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says where boto3 looks for them."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(
        StoreError, match=r"no credentials for s3://models/1/artifacts: .*AWS_ACCESS"
    ):
        s3.store().list(time.monotonic() + 10)


def test_a_profile_or_an_address_that_is_none(s3: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 refuses before it asks anybody is one line as well."""
    with pytest.raises(StoreError, match=r"cannot ask for s3://models/1: Invalid endpoint: here"):
        S3Store("s3://models/1", endpoint_url="here")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreError, match=r"The config profile \(nobody\) could not be found"):
        s3.store()
