"""Scales a stage on rows, not on requests: an edge joins hundreds of requests into one call, and hides them so.

Each replica says through `record_autoscaling_stats` how many rows it holds (``rows``: queued and running) and
how many the edges told it are waiting for its stage (``backlog``). Serve pushes that to its controller every
`metrics_interval_s`, and applies the delays, factors and bounds of `autoscaling_config` to what the policy
here wants, as it does to its own policy: so this module holds the wish alone.

Serve averages a metric over `look_back_period_s` by itself; the latest value is taken here instead, because
the delays smooth already, and smoothing twice answers a burst when it is over.

Serve pickles this module by value into its controller: it must not import other modules of Penstock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def replicas_wanted(
    rows: Mapping[Any, float],
    backlog: Mapping[Any, float],
    *,
    target_rows: float,
    least: int,
    most: int,
) -> int:
    """How many replicas the work at hand asks for.

    Args:
        rows: Rows queued and running, by replica; they add up.
        backlog: Rows waiting at the edges, by the replica that was told. Every replica is told of the same
            queues, at different times, so the largest counts, once.
        target_rows: Rows that one replica is to hold, above 0.
        least: The fewest replicas.
        most: The most replicas.
    """
    total = sum(rows.values()) + max(backlog.values(), default=0.0)
    return min(most, max(least, math.ceil(total / target_rows)))


class RowsPolicy:
    """Serve's autoscaling policy for a stage: ``policy_function: deployments.cluster.autoscaling:RowsPolicy``.

    Args:
        target_rows: Rows that one replica is to hold, queued and running.

    Raises:
        ValueError: `target_rows` is not above 0.
    """

    def __init__(self, target_rows: float) -> None:
        if not target_rows > 0:
            raise ValueError(f"target_rows must be above 0, not {target_rows!r}")
        self._target_rows = target_rows

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """The number of replicas wanted for an ``AutoscalingContext``, and the state to keep: none."""
        running = set(context.running_replicas)
        series = context.raw_metrics or {}
        rows = _latest(series.get("rows", {}), running)
        wanted = replicas_wanted(
            rows,
            _latest(series.get("backlog", {}), running),
            target_rows=self._target_rows,
            least=context.capacity_adjusted_min_replicas,
            most=context.capacity_adjusted_max_replicas,
        )
        if rows.keys() != running:
            # Some have not reported: new ones, or all of them after the controller restarted. Their rows are
            # unknown, not none, so nothing shrinks on their account.
            wanted = max(wanted, context.target_num_replicas)
        return wanted, {}


def _latest(series: Mapping[Any, Any], running: set[Any]) -> dict[Any, float]:
    """The last value of each running replica's series; a replica that is gone has no rows any more."""
    return {
        replica: points[-1].value
        for replica, points in series.items()
        if points and replica in running
    }
