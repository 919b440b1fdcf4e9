"""Whether the service lives, and whether it can answer.

`live` says that the process runs its event loop: restart it when it does not answer. `ready` says that every
variant with traffic can answer: send no traffic while it is not 200.
"""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from deployments.api.endpoints import Endpoints


class Live(BaseModel):
    """The process runs."""

    status: str = "live"


class Ready(BaseModel):
    """Whether every variant with traffic can answer, and if not what is missing."""

    status: str
    missing: list[str] = []
    refused: str = Field(default="", description="Why the last configuration is not the one served")


def router(endpoints: Endpoints) -> APIRouter:
    """The health routes over the endpoints that are served."""
    routes = APIRouter(prefix="/health", tags=["health"])

    @routes.get("/live")
    async def live() -> Live:
        """200 while the process runs."""
        return Live()

    @routes.get("/ready", responses={503: {"model": Ready, "description": "Something is missing"}})
    async def ready(response: Response) -> Ready:
        """200 while every variant with traffic can answer; else 503, naming what is missing."""
        missing = endpoints.missing() if endpoints.configured else ["no configuration yet"]
        if missing:
            response.status_code = 503
            return Ready(status="not ready", missing=missing, refused=endpoints.refused)
        return Ready(status="ready", refused=endpoints.refused)

    return routes
