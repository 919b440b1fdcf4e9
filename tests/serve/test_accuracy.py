"""All 360 test images over HTTP: the accuracy is the registered one, whichever way they come."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from deployments.inference.traffic import Split
from deployments.registry.client import Registry

pytestmark = pytest.mark.serve

Images = tuple[list[Any], np.ndarray[Any, Any]]
SPLIT = Split({"champion": 90, "challenger": 10}, "digits")
UNITS = {
    name: next(u for u in map("user-{}".format, range(1000)) if SPLIT.choose(u) == name)
    for name in SPLIT.weights
}


@pytest.fixture(params=["champion", "challenger"])
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def registered(tracking_uri: str, variant: str) -> float:
    return float(Registry(tracking_uri).resolve(f"models:/digits@{variant}").tags["test_accuracy"])


async def predict(
    client: httpx.AsyncClient, variant: str, inputs: list[Any], endpoint: str = "digits"
) -> list[dict[str, Any]]:
    answer = await client.post(
        f"/api/v1/endpoints/{endpoint}/predict", json={"inputs": inputs, "unit": UNITS[variant]}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["variant"] == variant
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    assert len(predictions) == len(inputs)
    return predictions


def png(image: list[list[int]], side: int = 8) -> str:
    """The image as a base64 PNG of `side` x `side` pixels, in the 256 grey values that a PNG has."""
    grey = np.rint(np.array(image) * (255 / 16)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey.repeat(side // 8, 0).repeat(side // 8, 1)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def probabilities(predictions: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    return np.array([each["probabilities"] for each in predictions])


async def test_posted_singly_and_at_once_they_reach_the_registered_accuracy(
    client: httpx.AsyncClient, images: Images, tracking_uri: str, variant: str
) -> None:
    """360 concurrent requests of one row and one request of 360 give the same labels, as right as registered."""
    inputs, labels = images
    singly = await asyncio.gather(*(predict(client, variant, [one]) for one in inputs))
    at_once = await predict(client, variant, inputs)

    assert [one[0]["label"] for one in singly] == [each["label"] for each in at_once]
    # Batches of other sizes add up in another order: equal but for float32's last digits.
    apart = np.abs(probabilities([one[0] for one in singly]) - probabilities(at_once)).max()
    assert apart < 1e-5
    right = np.mean([each["label"] for each in at_once] == labels)
    assert round(float(right), 4) == registered(tracking_uri, variant)
    assert right >= {"champion": 0.95, "challenger": 0.98}[variant]


async def test_both_placements_give_equal_answers(
    client: httpx.AsyncClient, images: Images, variant: str
) -> None:
    """`together` is another way through the same stages and nothing else."""
    inputs, _ = images
    separate = await predict(client, variant, inputs)
    together = await predict(client, variant, inputs, "together")

    assert [each["label"] for each in together] == [each["label"] for each in separate]
    assert np.abs(probabilities(together) - probabilities(separate)).max() < 1e-5


async def test_pngs_agree_with_lists(
    client: httpx.AsyncClient, images: Images, variant: str
) -> None:
    """As PNGs of 8, 64 and 200 pixels a side, mixed with lists in one request, images get their lists' labels."""
    inputs, _ = images
    lists = await predict(client, variant, inputs[:60])
    mixed = [
        png(image, (8, 64, 200)[row % 3]) if row % 4 else image
        for row, image in enumerate(inputs[:60])
    ]
    pngs = await predict(client, variant, mixed)

    assert [each["label"] for each in pngs] == [each["label"] for each in lists]
    # A PNG has 256 grey values where the lists have 17: the rounding is at most 1/510.
    assert np.abs(probabilities(pngs) - probabilities(lists)).max() < 0.03


async def test_the_split_is_the_public_hash(client: httpx.AsyncClient) -> None:
    """Who gets which variant is what anyone computes from the unit and the salt, on any endpoint of that salt."""
    blank = [[0] * 8] * 8
    for endpoint in ("digits", "together"):
        for unit in map("someone-{}".format, range(30)):
            answer = await client.post(
                f"/api/v1/endpoints/{endpoint}/predict", json={"inputs": [blank], "unit": unit}
            )
            assert answer.json()["variant"] == SPLIT.choose(unit)
