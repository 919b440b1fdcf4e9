"""A plain Ray Serve chain with Ray's defaults: ingress, preprocess, model, postprocess, joined by handles.

As Ray's documentation teaches model composition: one deployment per stage, each awaited in turn by a FastAPI
ingress. No HAProxy, no throughput mode, no flag is set. The two settings that differ from "nothing at all"
are needed to run it at all on a small machine: more logical CPUs than there are cores, because each of the
four deployments claims one by default and would otherwise wait for ever, and ``max_ongoing_requests``,
whose default of 5 would leave most of 64 connections queued outside (measured: 7 requests/s, instead of 66).
"""

from typing import Any

import pipeline as shared
import ray
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from ray.serve.handle import DeploymentHandle

ONGOING = 100
app = FastAPI()  # no __future__ annotations here: FastAPI must see the class of the body


class Body(BaseModel):
    inputs: list[Any]


@serve.deployment(max_ongoing_requests=ONGOING)
class Preprocess:
    def __init__(self) -> None:
        self.pipeline = shared.load()

    async def __call__(self, inputs: list[Any]) -> shared.Rows:
        return self.pipeline.decode(inputs)


@serve.deployment(max_ongoing_requests=ONGOING)
class Model:
    def __init__(self) -> None:
        self.pipeline = shared.load()

    async def __call__(self, rows: shared.Rows) -> shared.Rows:
        return self.pipeline.infer(rows)


@serve.deployment(max_ongoing_requests=ONGOING)
class Postprocess:
    def __init__(self) -> None:
        self.pipeline = shared.load()

    async def __call__(self, outputs: shared.Rows) -> list[dict[str, Any]]:
        return self.pipeline.encode(outputs)


@serve.deployment(max_ongoing_requests=ONGOING)
@serve.ingress(app)
class Ingress:
    def __init__(
        self, preprocess: DeploymentHandle, model: DeploymentHandle, postprocess: DeploymentHandle
    ) -> None:
        self.preprocess = preprocess
        self.model = model
        self.postprocess = postprocess

    @app.post("/predict")
    async def predict(self, body: Body) -> dict[str, Any]:
        rows = await self.preprocess.remote(body.inputs)
        outputs = await self.model.remote(rows)
        return {"predictions": await self.postprocess.remote(outputs)}


if __name__ == "__main__":
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": shared.port()})
    serve.run(
        Ingress.bind(Preprocess.bind(), Model.bind(), Postprocess.bind()),
        name="bench",
        blocking=True,
    )
