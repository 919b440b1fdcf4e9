"""The OpenAPI document: each endpoint by its own name, with the inputs that it really takes and an example that works."""

from __future__ import annotations

from deployments.api.document.examples import example_body
from deployments.api.document.paths import openapi

__all__ = ["example_body", "openapi"]
