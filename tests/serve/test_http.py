"""What a client gets through HAProxy, Serve and the edge: headers once, problems whole, Serve's own switches off."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.serve

BLANK = [[0] * 8] * 8
DIGITS = "/api/v1/endpoints/digits/predict"
SLOW = "/api/v1/endpoints/slow/predict"


def ids(answer: httpx.Response) -> list[str]:
    return answer.headers.get_list("x-request-id")


@pytest.mark.parametrize(
    "path", ["/api/v1/health/live", "/api/v1/health/ready", "/nowhere", DIGITS]
)
async def test_the_request_id_is_in_the_answer_once(client: httpx.AsyncClient, path: str) -> None:
    """Given or made, of a prediction, a health check or an error: one header, and a given one is kept."""
    method = "POST" if path == DIGITS else "GET"
    body = {"inputs": [BLANK]} if path == DIGITS else None
    made = await client.request(method, path, json=body)
    given = await client.request(method, path, json=body, headers={"X-Request-ID": "mine-1"})

    assert len(ids(made)) == 1
    assert len(ids(made)[0]) >= 16
    assert ids(given) == ["mine-1"]
    if path == DIGITS:
        assert [made.json()["id"], given.json()["id"]] == [*ids(made), *ids(given)]


@pytest.mark.parametrize("endpoint", ["digits", "together"])
async def test_server_timing_names_every_stage(client: httpx.AsyncClient, endpoint: str) -> None:
    """Queue and all three stages, each once and none longer than the request, in both placements."""
    began = time.perf_counter()
    answer = await client.post(f"/api/v1/endpoints/{endpoint}/predict", json={"inputs": [BLANK]})
    took = (time.perf_counter() - began) * 1000

    (timing,) = answer.headers.get_list("server-timing")
    found = {name: float(ms) for name, ms in re.findall(r"([a-z]+);dur=([\d.]+)", timing)}
    assert list(found) == ["queue", "preprocess", "model", "postprocess"]
    assert sum(found.values()) <= took


async def test_a_model_without_stages_is_timed_by_itself(client: httpx.AsyncClient) -> None:
    """The slow model's header shows where its 100 ms went, and no stage that there is not."""
    answer = await client.post(SLOW, json={"inputs": [[1, 2]]})

    assert answer.json()["predictions"] == [{"y": [2.0, 4.0]}]
    timing = answer.headers["server-timing"]
    assert re.sub(r"[\d.]+", "_", timing) == "queue;dur=_, model;dur=_"
    assert float(timing.rpartition("=")[2]) >= 100


@pytest.mark.parametrize(
    "header", [{"X-Request-Timeout-Seconds": "0.001"}, {"X-Request-Disconnect-Disabled": "?1"}]
)
async def test_serves_own_switches_do_nothing(
    client: httpx.AsyncClient, header: dict[str, str]
) -> None:
    """A client cannot set Serve's time limit or switch off its watch for disconnects: the answer is as ever."""
    for path, body in ((SLOW, {"inputs": [[1, 2]]}), (DIGITS, {"inputs": [BLANK]})):
        answer = await client.post(path, json=body, headers=header)
        assert answer.status_code == 200, answer.text
    health = await client.get("/api/v1/health/ready", headers=header)
    assert health.status_code == 200


async def test_the_client_may_shorten_its_deadline(client: httpx.AsyncClient) -> None:
    """50 ms for a model that takes 100: a 504 in time, and not the model's answer late."""
    began = time.perf_counter()
    answer = await client.post(
        SLOW, json={"inputs": [[1, 2]]}, headers={"X-Request-Timeout-Ms": "50"}
    )

    assert answer.status_code == 504
    assert answer.json()["code"] == "deadline_exceeded"
    assert 0.04 < time.perf_counter() - began < 0.5


async def test_health_and_documents(client: httpx.AsyncClient) -> None:
    """Live, ready, the page, and a document whose every example is answered with 200."""
    assert (await client.get("/api/v1/health/live")).json() == {"status": "live"}
    assert (await client.get("/api/v1/health/ready")).json()["status"] == "ready"
    assert "swagger" in (await client.get("/docs")).text.lower()
    document = (await client.get("/openapi.json")).json()
    posts = {path: item["post"] for path, item in document["paths"].items() if "post" in item}
    assert len(posts) == 5
    for path, operation in posts.items():
        example = operation["requestBody"]["content"]["application/json"]["example"]
        answer = await client.post(path, json=example)
        assert answer.status_code == 200, (path, answer.text)


def _chunks(size: int) -> AsyncIterator[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(size // 10_000):
            yield b" " * 10_000

    return stream()


PROBLEMS: list[tuple[str, dict[str, Any], int, str]] = [
    (DIGITS, {"json": {"inputs": [[[99] * 8] * 8]}}, 422, "invalid_input"),
    (DIGITS, {"json": {"inputs": [BLANK], "colour": 1}}, 422, "invalid_input"),
    (
        DIGITS,
        {"content": b"{", "headers": {"content-type": "application/json"}},
        400,
        "bad_request",
    ),
    (
        DIGITS,
        {"content": b"x", "headers": {"content-type": "text/plain"}},
        415,
        "unsupported_content",
    ),
    (DIGITS, {"json": {"inputs": ["x" * 3_000_000]}}, 413, "body_too_large"),
    ("/api/v1/endpoints/digit/predict", {"json": {"inputs": [BLANK]}}, 404, "endpoint_not_found"),
    ("/api/v2", {"json": {}}, 404, "not_found"),
]


@pytest.mark.parametrize(("path", "request_", "status", "code"), PROBLEMS)
async def test_a_problem_keeps_status_and_body_on_its_way(
    client: httpx.AsyncClient, path: str, request_: dict[str, Any], status: int, code: str
) -> None:
    """Nothing in front of the edge replaces an error by a page of its own."""
    answer = await client.post(path, **request_)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["status"]) == (code, status)
    assert ids(answer) == [answer.json()["request_id"]]


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(client: httpx.AsyncClient) -> None:
    """Chunked, without a Content-Length: refused once it is over the limit, whoever buffers in between."""
    answer = await client.post(
        DIGITS, content=_chunks(3_000_000), headers={"content-type": "application/json"}
    )

    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


async def test_what_nobody_waits_for_any_more_is_dropped(client: httpx.AsyncClient) -> None:
    """Ten clients of a full second's work go away; the next one does not wait for what they had asked for."""

    async def is_gone() -> bool:
        try:
            await client.post(
                SLOW,
                json={"inputs": [[1, 2]] * 4},
                timeout=0.15,
                headers={"X-Request-Disconnect-Disabled": "?1"},
            )
        except httpx.ReadTimeout:
            return True
        return False  # the first one's turn comes within its patience

    began = time.perf_counter()
    gone = await asyncio.gather(*(is_gone() for _ in range(10)))
    answer = await client.post(SLOW, json={"inputs": [[1, 2]]})

    assert sum(gone) >= 8
    assert answer.status_code == 200
    # All of it would take 1.1 s; what had been sent on to the replica by then takes 0.3 s.
    assert time.perf_counter() - began < 0.7
