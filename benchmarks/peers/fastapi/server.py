"""FastAPI and uvicorn with the model in process: the form most people write first, written well.

Measured twice, with one worker, as it is first written, and with two, which on two cores answers nearly twice
as many requests under load for a second copy of the model. The route is ``async`` and computes inline: handing 0.1 ms of work to a thread costs more than the
work, and the sentence encoder already uses both cores through torch. Answers go through a response model,
which pydantic turns into JSON in Rust, instead of FastAPI's slower generic encoder. uvloop and httptools
come with ``uvicorn[standard]``; the access log is off, as in every server here.
"""

from __future__ import annotations

import os

import pipeline as shared
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

served = shared.load()  # in each worker, which imports this module
app = FastAPI()


class Images(BaseModel):
    inputs: list[list[list[float]]]


class Texts(BaseModel):
    inputs: list[str]


class Digit(BaseModel):
    label: int
    probabilities: list[float]


class Digits(BaseModel):
    predictions: list[Digit]


class Embedding(BaseModel):
    embedding: list[float]


class Embeddings(BaseModel):
    predictions: list[Embedding]


@app.post("/digits")
async def digits(body: Images) -> Digits:
    return Digits.model_validate({"predictions": shared.predict(served, body.inputs)})


@app.post("/sentences")
async def sentences(body: Texts) -> Embeddings:
    return Embeddings.model_validate({"predictions": shared.predict(served, body.inputs)})


if __name__ == "__main__":
    uvicorn.run(
        "server:app",
        workers=int(os.environ["BENCH_WORKERS"]),
        host="127.0.0.1",
        port=shared.port(),
        access_log=False,
        log_level="warning",
    )
