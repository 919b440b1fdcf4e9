"""Predictions over HTTP: the body, the headers, the sticky split, and what is ready."""

from __future__ import annotations

import asyncio
import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from deployments.inference.traffic import Split


def grey(value: float) -> list[list[float]]:
    return [[value] * 8] * 8


def png(array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


async def test_the_answer_has_the_promised_shape(edge) -> None:
    """Body and headers of one prediction are those of the README."""
    answer = await edge.predict([grey(5)], unit="u1")

    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == ["id", "endpoint", "variant", "model", "predictions"]
    assert body["endpoint"] == "digits"
    assert answer.headers["x-penstock-variant"] == body["variant"]
    assert (
        answer.headers["x-penstock-model"] == f"{body['model']['name']}/{body['model']['version']}"
    )
    [prediction] = body["predictions"]
    assert prediction["label"] == 3
    assert len(prediction["probabilities"]) == 10
    assert sum(prediction["probabilities"]) == pytest.approx(1, abs=1e-5)
    timing = answer.headers["server-timing"]
    assert re.fullmatch(
        r"queue;dur=[\d.]+, preprocess;dur=[\d.]+, model;dur=[\d.]+, postprocess;dur=[\d.]+",
        timing,
    )


async def test_the_request_id_is_taken_or_made(edge) -> None:
    """A plain id is kept; a missing or malformed one is replaced."""
    given = await edge.predict([grey(1)], headers={"X-Request-ID": "abc-123"})
    made = await edge.predict([grey(1)])
    malformed = await edge.predict([grey(1)], headers={"X-Request-ID": "<script>"})

    assert given.json()["id"] == "abc-123"
    assert len(made.json()["id"]) == 36
    assert malformed.json()["id"] != "<script>"


async def test_pngs_of_any_size_and_lists_may_mix(edge) -> None:
    """An 8x8 list, an 8x8 PNG, a large PNG, a colour PNG and a 16-bit PNG of one picture agree."""
    level = np.full((8, 8), 204, dtype=np.uint8)
    pictures = [
        grey(12.8),
        png(level),
        png(level.repeat(13, 0).repeat(13, 1)),
        png(np.dstack([level] * 3)),
        png(level.astype(np.uint16) * 257),
        "data:image/png;base64," + png(level),
    ]

    answer = await edge.predict(pictures)

    assert answer.status_code == 200, answer.text
    assert {p["label"] for p in answer.json()["predictions"]} == {8}


async def test_a_split_is_sticky_by_unit(edge) -> None:
    """Every unit gets the variant that the public hash gives it, from the body and from the header."""
    split = Split({"champion": 50, "challenger": 50}, "digits")
    for n in range(20):
        unit = f"user-{n}"
        by_body = await edge.predict([grey(1)], unit=unit)
        by_header = await edge.predict([grey(1)], headers={"X-Penstock-Unit": unit})

        assert by_body.json()["variant"] == by_header.json()["variant"] == split.choose(unit)


async def test_a_variant_that_is_gone_leaves_its_share_to_the_other(edge) -> None:
    """With no replica of one variant all units are answered, and readiness names what is missing."""
    edge.watch.tell("digits-v1", [])
    answers = await asyncio.gather(*(edge.predict([grey(1)], unit=f"u{n}") for n in range(20)))
    ready = await edge.client.get("/api/v1/health/ready")

    assert {a.status_code for a in answers} == {200}
    assert {a.json()["variant"] for a in answers} == {"challenger"}
    assert ready.status_code == 503
    assert ready.json()["missing"] == ["digits/champion: no replica for together"]


async def test_health(edge) -> None:
    """Live always; ready while every variant with traffic can answer."""
    live = await edge.client.get("/api/v1/health/live")
    ready = await edge.client.get("/api/v1/health/ready")

    assert (live.status_code, ready.status_code) == (200, 200)


async def test_the_client_may_shorten_the_deadline_only(edge) -> None:
    """With nobody to answer, a request ends at its own deadline, or at the endpoint's 2 s at the latest."""
    for application in ("digits-v1", "digits-v2"):
        edge.watch.tell(application, [])
    loop = asyncio.get_running_loop()
    for asked, low, high in (("100", 0.08, 0.6), ("600000", 1.8, 3.0)):
        begun = loop.time()
        answer = await edge.predict(
            [grey(1)],
            headers={"X-Request-Timeout-Ms": asked, "X-Request-Timeout-Seconds": "0"},
        )
        took = loop.time() - begun

        assert answer.status_code == 504
        assert answer.json()["code"] == "deadline_exceeded"
        assert low < took < high


async def test_several_inputs_come_as_objects(edge) -> None:
    """Where a model takes two tensors a row names them; what it answers is named too."""
    answer = await edge.predict(
        [{"x": [1, 2, 3.5], "n": 7}, {"x": [0, 0, 0], "n": -8}], endpoint="numbers"
    )

    assert answer.json()["predictions"] == [
        {"x": [1.0, 2.0, 3.5], "n": 7},
        {"x": [0.0, 0.0, 0.0], "n": -8},
    ]


async def test_the_documents_examples_work(edge) -> None:
    """Every example body in the API document is answered with 200 by the endpoint it stands at."""
    document = (await edge.client.get("/openapi.json")).json()
    posts = {path: item["post"] for path, item in document["paths"].items() if "post" in item}

    assert len(posts) == 5
    for path, operation in posts.items():
        example = operation["requestBody"]["content"]["application/json"]["example"]
        answer = await edge.client.post(path, json=example)
        assert answer.status_code == 200, (path, answer.text)
