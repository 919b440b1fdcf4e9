"""How fast a model version's files arrive and are verified, beside boto3's single stream and plain SHA-256.

`python benchmarks/fetching.py`, some 20 seconds. Writes `results/artifacts.json`.

Download: 256 MB in 40 files from an S3 on loopback, by this project and by boto3's `download_file` without threads,
one file after the other, in turns; both have their client ready and know the files' names. Twice: from
`s3_files.py`, whose processes cost next to nothing, so that the clients are compared; and from moto, one Python process
that is itself the bottleneck.

Verification: what `manifest_of` does with those files, which the page cache has, beside `hashlib.sha256` over the same
bytes in memory, one thread per core.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from environments import ROOT
from machine import Disturbance, describe, load_average
from processes import Running, adopt_orphans

sys.path.insert(0, str(ROOT))

FILES, FILE_BYTES = 40, 6_400_000
ROUNDS = 7
BUCKET, PREFIX = "models", "1/artifacts"
GOALS = {"download": 2.0, "verification": 0.8}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def main() -> int:
    adopt_orphans()
    os.environ.update(ENVIRONMENT)
    home = Path(
        tempfile.mkdtemp(dir=ROOT, prefix=".bench-")
    )  # a disk: the system's own may be memory
    found: dict[str, Any] = {"machine": describe() | {"load": load_average()}, "goals": GOALS}
    disturbance = Disturbance()
    try:
        source = make(home / "bucket")
        for server in ("files", "moto"):
            found[f"download_from_{server}"] = download(server, source, home)
        found["verification"] = verification(source / PREFIX)
    finally:
        shutil.rmtree(home)
    found["others_share"] = disturbance.share()
    path = ROOT / "benchmarks" / "results" / "artifacts.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(f"others took {found['others_share']:.0%} of the machine meanwhile; {path} has all of it")
    met = found["download_from_files"]["ratio"] >= GOALS["download"]
    return 0 if met and found["verification"]["ratio"] >= GOALS["verification"] else 1


def make(folder: Path) -> Path:
    (folder / PREFIX / "data").mkdir(parents=True)
    for number in range(FILES):
        content = random.Random(number).randbytes(FILE_BYTES)
        (folder / PREFIX / f"data/{number:02}.bin").write_bytes(content)
    return folder


def download(server: str, source: Path, home: Path) -> dict[str, Any]:
    """Turns of boto3 and of this project against one server; medians in MB/s."""
    from deployments.artifacts.store.s3 import S3Store

    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = {
        "files": [str(ROOT / "benchmarks/s3_files.py"), str(source), str(port), "2"],
        "moto": ["-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
    }[server]
    with Running([sys.executable, *command], {}, home / f"{server}.log"):
        client = ready(endpoint, port)
        if server == "moto":
            fill(client, source)
        store = S3Store(f"s3://{BUCKET}/{PREFIX}", endpoint_url=endpoint)
        listed = store.list(time.monotonic() + 60)
        # As with a digest, which is the default: SHA-256 is computed afterwards, and no checksum of S3's.
        vouched = [replace(file, vouched=True) for file in listed]

        def ours(into: Path) -> None:
            store.fetch(vouched, into, deadline=time.monotonic() + 120, on_bytes=lambda count: None)

        def single(into: Path) -> None:
            (into / "data").mkdir()
            for file in listed:
                one_by_one(client, file.path, into / file.path)

        clients = {"boto3, single stream": single, "penstock": ours}
        rates = turns(clients, home / "into", source / PREFIX)
    return told(f"download from {server}", rates, "penstock", "boto3, single stream")


def ready(endpoint: str, port: int) -> Any:
    import boto3
    from botocore.config import Config

    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    config = Config(s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=endpoint, config=config)


def fill(client: Any, source: Path) -> None:
    client.create_bucket(Bucket=BUCKET)
    for path in sorted(source.rglob("*.bin")):
        client.put_object(Bucket=BUCKET, Key=str(path.relative_to(source)), Body=path.read_bytes())


def one_by_one(client: Any, name: str, target: Path) -> None:
    from boto3.s3.transfer import TransferConfig

    key, config = f"{PREFIX}/{name}", TransferConfig(use_threads=False)
    client.download_file(BUCKET, key, str(target), Config=config)


def turns(
    clients: dict[str, Callable[[Path], None]], into: Path, source: Path
) -> dict[str, list[float]]:
    """MB/s of each client in each round; the first round, unmeasured, checks what arrives."""
    rates: dict[str, list[float]] = {name: [] for name in clients}
    for turn in range(ROUNDS + 1):
        for name, fetch in clients.items():
            into.mkdir()
            began = time.perf_counter()
            fetch(into)
            took = time.perf_counter() - began
            if turn:
                rates[name].append(FILES * FILE_BYTES / took / 1e6)
            else:
                assert digest(into) == digest(source), f"{name}: other bytes arrived"
            shutil.rmtree(into)
    return rates


def digest(folder: Path) -> str:
    from deployments.artifacts.manifest import manifest_of

    return manifest_of(folder).digest


def verification(folder: Path) -> dict[str, Any]:
    """`manifest_of` in turns with plain SHA-256 of the same bytes in memory, one thread per core."""
    threads = len(os.sched_getaffinity(0))
    contents = [path.read_bytes() for path in sorted(folder.rglob("*.bin"))]

    def plain() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda content: hashlib.sha256(content).digest(), contents))

    works = {"sha256 in memory": plain, "penstock": lambda: digest(folder)}
    rates: dict[str, list[float]] = {name: [] for name in works}
    spent = dict.fromkeys(works, 0.0)
    for _ in range(2 * ROUNDS):
        for name, work in works.items():
            began, used = time.perf_counter(), time.process_time()
            work()
            rates[name].append(FILES * FILE_BYTES / (time.perf_counter() - began) / 1e6)
            spent[name] += time.process_time() - used
    found = told(f"verification in {threads} threads", rates, "penstock", "sha256 in memory")
    # What others take of the machine shows less in this one.
    found["ratio_of_processor_time"] = round(spent["sha256 in memory"] / spent["penstock"], 3)
    print(f"by processor time: ratio {found['ratio_of_processor_time']:.2f}")
    return found


def told(what: str, rates: dict[str, list[float]], ours: str, other: str) -> dict[str, Any]:
    """Medians, and the median of the rounds' ratios: both sides of a round met the same disturbance."""
    ratio = statistics.median(a / b for a, b in zip(rates[ours], rates[other], strict=True))
    medians = {name: round(statistics.median(turns), 1) for name, turns in rates.items()}
    shown = ", ".join(f"{name} {rate:.0f} MB/s" for name, rate in medians.items())
    print(f"{what}: {shown}; ratio {ratio:.2f}")
    rounded = {name: [round(rate, 1) for rate in turns] for name, turns in rates.items()}
    return {"mb_per_s": medians, "ratio": round(ratio, 3), "turns": rounded}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
