"""What an edge serves, as plain data: rendered from a configuration, carried by Serve as its `user_config`.

It is the only thing that changes when traffic is shifted, and Serve applies it in place. Everything an edge
needs to refuse a bad request is in it, so that edges import no stage and ask no registry.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from deployments.inference.inputs import Input, ParamInput, refusal

_EXACT = 1e-6
Positive = Annotated[int, msgspec.Meta(ge=1)]


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
    max_rows: Positive = 64
    max_in_flight: Positive = 2
    max_queued_rows: Positive = 4096


class EndpointRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint: how its requests look, who answers them and within what bounds.

    Attributes:
        split: Percent of traffic by variant.
        unit: Where the sticky key comes from, in this order: ``body``, ``header``.
        inputs: What one row consists of.
        params: What a request may say beside its rows.
    """

    split: dict[str, float]
    variants: dict[str, VariantRoute]
    inputs: tuple[Input, ...]
    salt: str
    params: tuple[ParamInput, ...] = ()
    unit: tuple[Literal["body", "header"], ...] = ("body", "header")
    deadline_ms: Positive = 2000
    max_request_rows: Positive = 1024
    max_body_bytes: Positive = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        # This is edited by hand too (`split`, for traffic alone), where no check of a configuration has been.
        if unknown := self.split.keys() - self.variants.keys():
            raise ValueError(
                f"split names {', '.join(sorted(unknown))}, which variants does not have"
            )
        total = sum(self.split.values())
        if min(self.split.values(), default=0) < 0 or abs(total - 100) > _EXACT:
            raise ValueError(
                f"the weights in split sum to {total:g}; from 0 up, they must sum to 100"
            )
        if not self.inputs:
            raise ValueError("inputs is empty: a row must consist of something")
        for each in (*self.inputs, *self.params):
            if (why := refusal(each)) is not None:
                raise ValueError(f"{each.name!r}: {why}")
        for names in ([each.name for each in self.inputs], [each.name for each in self.params]):
            if len(set(names)) < len(names):
                raise ValueError(f"two have one name among {', '.join(names)}")


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
