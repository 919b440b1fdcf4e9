"""What an edge serves, as plain data: rendered from a configuration, carried by Serve as its `user_config`.

It is the only thing that changes when traffic is shifted, and Serve applies it in place. Everything an edge
needs to refuse a bad request is in it, so that edges import no stage and ask no registry.
"""

from __future__ import annotations

from typing import Any

import msgspec

from deployments.inference.inputs import Input


class VariantRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A variant: the model version that stands behind it, and where that version runs.

    Attributes:
        application: The Serve application.
        deployments: Its deployments that a batch goes through, in order.
    """

    model: str
    version: str
    application: str
    deployments: tuple[str, ...]
    max_rows: int = 64
    max_in_flight: int = 2
    max_queued_rows: int = 4096


class EndpointRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint: how its requests look, who answers them and within what bounds.

    Attributes:
        split: Percent of traffic by variant.
        unit: Where the sticky key comes from, in this order: ``body``, ``header``.
        inputs: What one row consists of.
    """

    split: dict[str, float]
    variants: dict[str, VariantRoute]
    inputs: tuple[Input, ...]
    salt: str
    unit: tuple[str, ...] = ("body", "header")
    deadline_ms: int = 2000
    max_request_rows: int = 1024
    max_body_bytes: int = 8 * 1024 * 1024


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All endpoints of an edge."""

    endpoints: dict[str, EndpointRoute]


def read_table(user_config: Any) -> Table:
    """The table in a `user_config`.

    Raises:
        msgspec.ValidationError: It is not one; the message names the field.
    """
    return msgspec.convert(user_config, Table)


def write_table(table: Table) -> Any:
    """The table as the plain dicts and lists that a configuration file holds."""
    return msgspec.to_builtins(table)
