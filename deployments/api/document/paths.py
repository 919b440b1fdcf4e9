"""The document itself: FastAPI's own routes, and one path for each endpoint of the table."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from deployments.api.document import fixed
from deployments.api.document.examples import example_body
from deployments.api.document.fixed import Json
from deployments.api.document.schemas import body_schema
from deployments.inference.table import EndpointRoute, Table


def openapi(app: FastAPI, table: Table) -> Json:
    """The document for the application's routes and all endpoints of the table."""
    document: Json = get_openapi(
        title=app.title,
        version=app.version,
        routes=app.routes,
        description="Predictions from registered model versions. Errors are problem documents (RFC 9457).",
    )
    document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = (
        fixed.PROBLEM_SCHEMA
    )
    for name, route in table.endpoints.items():
        document["paths"][f"/api/v1/endpoints/{name}/predict"] = {"post": _operation(name, route)}
    return document


def _operation(name: str, route: EndpointRoute) -> Json:
    return {
        "tags": ["predict"],
        "summary": f"Predict with {name}",
        "operationId": f"predict_{name}",
        "parameters": fixed.PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": body_schema(route),
                    "example": example_body(route),
                }
            },
        },
        "responses": {
            "200": {
                "description": "One prediction for each input, in order",
                "headers": {
                    header: {"description": text, "schema": {"type": "string"}}
                    for header, text in fixed.HEADERS.items()
                },
                "content": {"application/json": {"schema": fixed.ANSWER}},
            },
            **{
                str(status): {
                    "description": text,
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"}
                        }
                    },
                }
                for status, text in fixed.PROBLEMS.items()
            },
        },
    }
