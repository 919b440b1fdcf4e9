"""FastAPI and uvicorn with the model in process: the form most people write first, written well.

One worker: a second one would take the core that the load generator and the kernel need, and measured
no more. The route is ``async`` and computes inline: handing 0.1 ms of work to a thread costs more than the
work, and the sentence encoder already uses both cores through torch. Answers go through a response model,
which pydantic turns into JSON in Rust, instead of FastAPI's slower generic encoder. uvloop and httptools
come with ``uvicorn[standard]``; the access log is off, as in every server here.
"""

from __future__ import annotations

import pipeline as shared
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

served = shared.load()
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
    uvicorn.run(app, host="127.0.0.1", port=shared.port(), access_log=False, log_level="warning")
