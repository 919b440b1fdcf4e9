"""MLServer with a custom runtime, adaptive batching on, spoken to in its native protocol (OIP v2 as JSON).

``parallel_workers`` is 0: its pool of inference processes, one hop away, was slower on two cores at 1 and at 64
connections. Adaptive batching waits at most ``max_batch_time`` for
``max_batch_size`` requests. gRPC and metrics stay on but are not used: MLServer cannot be told to leave
gRPC out. Debug mode, which its default settings turn on, is off.
"""

from __future__ import annotations

import asyncio
import os

import pipeline as shared
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

DIGITS = os.environ.get("BENCH_MODEL", "digits") == "digits"
MAX_BATCH = 64 if DIGITS else 16
MAX_WAIT_S = 0.002 if DIGITS else 0.01


class Runtime(MLModel):
    async def load(self) -> bool:
        self.pipeline = shared.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensor = payload.inputs[0]
        codec = NumpyCodec if DIGITS else StringCodec
        answers = shared.predict(self.pipeline, codec.decode_input(tensor))
        names = list(answers[0])
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                NumpyCodec.encode_output(
                    name, shared.np.array([answer[name] for answer in answers])
                )
                for name in names
            ],
        )


async def main() -> None:
    port = shared.port()
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 1,
        metrics_port=port + 2,
        parallel_workers=0,
        logging_settings={"version": 1, "root": {"level": "WARNING"}},
    )
    server = MLServer(settings)
    await server.start(
        [
            ModelSettings(
                name="bench",
                implementation=Runtime,
                max_batch_size=MAX_BATCH,
                max_batch_time=MAX_WAIT_S,
            )
        ]
    )


if __name__ == "__main__":
    asyncio.run(main())
