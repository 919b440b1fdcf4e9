"""The edge over real HTTP and real replicas over real sockets, without Ray: uvicorn on a free port of loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
import uvicorn

from deployments.api.endpoints import Endpoints
from deployments.api.ingress import Front, Ingress, OwnHeaders
from deployments.inference.execution import Execution
from deployments.inference.inputs import ColumnInput, ImageInput, TensorInput, TextInput
from deployments.inference.replica import Replica
from deployments.inference.stages.classes import Classes
from deployments.inference.stages.images import Images
from deployments.inference.table import EndpointRoute, Table, VariantRoute
from deployments.inference.transport.address import ReplicaAddress
from deployments.inference.transport.server import BatchServer

APPLICATIONS = ("digits-v1", "digits-v2", "plain-v1")


class StaticWatch:
    """Tells of replicas that a test started, in place of Serve's controller, which needs a cluster."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[ReplicaAddress]] = {}
        self.listeners: dict[str, object] = {}

    def watch(self, application, deployment, on_change) -> None:
        self.listeners[application] = on_change
        on_change(self.addresses.get(application, []))

    def unwatch(self, application, deployment) -> None:
        del self.listeners[application]

    def tell(self, application: str, addresses: list[ReplicaAddress]) -> None:
        self.addresses[application] = addresses
        if application in self.listeners:
            self.listeners[application](addresses)


def brightness(tensors):
    """A model without training: ten scores, of which the class of the mean grey value is the largest."""
    mean = tensors["image"].reshape(len(tensors["image"]), -1).mean(axis=1)
    classes = np.arange(10, dtype=np.float32) / 10 + 0.05
    return {"logits": -np.abs(mean[:, None] - classes[None, :]).astype(np.float32) * 50}


def echo(tensors):
    return dict(tensors.items())


DIGITS = EndpointRoute(
    variants={
        "champion": VariantRoute("digits", "1", "digits-v1", ("Together",)),
        "challenger": VariantRoute("digits", "2", "digits-v2", ("Together",)),
    },
    split={"champion": 50.0, "challenger": 50.0},
    inputs=(ImageInput("image", (8, 8), 0.0, 16.0),),
    salt="digits",
    max_request_rows=400,
    max_body_bytes=1_000_000,
)
PLAIN = VariantRoute("plain", "1", "plain-v1", ("Together",))
TABLE = Table(
    {
        "digits": DIGITS,
        "numbers": EndpointRoute(
            variants={"only": PLAIN},
            split={"only": 100.0},
            inputs=(TensorInput("x", "float32", (-1, 3)), TensorInput("n", "int8", (-1,))),
            salt="numbers",
        ),
        "loose": EndpointRoute(
            variants={"only": PLAIN},
            split={"only": 100.0},
            inputs=(TensorInput("x", "float64", (-1, -1)),),
            salt="loose",
        ),
        "table": EndpointRoute(
            variants={"only": PLAIN},
            split={"only": 100.0},
            inputs=(
                ColumnInput("sepal length (cm)", "double"),
                ColumnInput("größe", "float"),
                ColumnInput("class", "long"),
                ColumnInput("a.b", "integer", required=False),
                ColumnInput("yes?", "boolean"),
                ColumnInput("note", "string", required=False),
                ColumnInput("blob", "binary"),
                ColumnInput("when", "datetime"),
                ColumnInput("tags", "array(string)"),
            ),
            salt="table",
        ),
        "texts": EndpointRoute(
            variants={"only": PLAIN},
            split={"only": 100.0},
            inputs=(TextInput("text", 20),),
            salt="texts",
        ),
    }
)


class Edge:
    """A running edge."""

    def __init__(self, client, endpoints, watch, servers) -> None:
        self.client: httpx.AsyncClient = client
        self.endpoints: Endpoints = endpoints
        self.watch: StaticWatch = watch
        self.servers: dict[str, BatchServer] = servers

    async def predict(self, inputs, endpoint="digits", headers=None, **more) -> httpx.Response:
        return await self.client.post(
            f"/api/v1/endpoints/{endpoint}/predict",
            json={"inputs": inputs, **more},
            headers=headers,
        )


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Edge]:
    """One edge for all tests of a module: to start and stop uvicorn takes longer than most of them."""
    watch = StaticWatch()
    servers: dict[str, BatchServer] = {}
    for application in APPLICATIONS:
        stages = [("model", echo)]
        if application.startswith("digits"):
            images = Images({"size": (8, 8), "high": 16}, None)
            stages = [
                ("preprocess", images),
                ("model", brightness),
                ("postprocess", Classes({}, None)),
            ]
        server = BatchServer(
            Replica(Execution(stages), max_rows=64, on_broken=pytest.fail),
            host="127.0.0.1",
            max_frame_bytes=1 << 26,
        )
        await server.start()
        servers[application] = server
    endpoints = Endpoints(watch)
    endpoints.apply(TABLE)
    Front.ingress = Ingress(endpoints)
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    front = Front(OwnHeaders(Front.ingress))
    http = uvicorn.Server(uvicorn.Config(front, log_level="warning", lifespan="off"))
    task = asyncio.create_task(http.serve(sockets=[sock]))
    base = f"http://127.0.0.1:{sock.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base, timeout=10) as client:
        yield Edge(client, endpoints, watch, servers)
    http.should_exit = True
    await task
    Front.ingress = None
    endpoints.apply(Table({}))
    for server in servers.values():
        await server.stop()


@pytest.fixture
async def edge(running: Edge) -> Edge:
    """The edge with all its replicas there."""
    for application, server in running.servers.items():
        address = ReplicaAddress(application, "127.0.0.1", server.port, server.token)
        running.watch.tell(application, [address])
    async with asyncio.timeout(5):
        while running.endpoints.missing():
            await asyncio.sleep(0.01)
    return running
