"""The parts of the cluster that need no cluster: arithmetic, text and addresses."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from deployments.cluster import flags, haproxy, sockets
from deployments.cluster.autoscaling import RowsPolicy, replicas_wanted
from deployments.cluster.family import Starter


@pytest.mark.parametrize(
    ("rows", "backlog", "wanted"),
    [
        ({}, {}, 1),
        ({"a": 32}, {}, 1),
        ({"a": 32, "b": 1}, {}, 2),
        ({"a": 10}, {"a": 80, "b": 90}, 4),
        ({"a": 1e9}, {}, 8),
    ],
)
def test_rows_add_up_and_the_largest_backlog_counts_once(
    rows: dict[str, float], backlog: dict[str, float], wanted: int
) -> None:
    """Every replica is told of the same queue, so two reports of it are not twice the work."""
    assert replicas_wanted(rows, backlog, target_rows=32, least=1, most=8) == wanted


def _context(**reports: float) -> SimpleNamespace:
    points = {
        name: [SimpleNamespace(value=99.0), SimpleNamespace(value=rows)]
        for name, rows in reports.items()
    }
    return SimpleNamespace(
        running_replicas=["a", "b"],
        raw_metrics={"rows": points},
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=8,
        target_num_replicas=3,
    )


def test_the_latest_report_counts_and_a_gone_replica_does_not() -> None:
    """Old points of a series and replicas that no longer run hold no rows."""
    assert RowsPolicy(10)(_context(a=10, b=0, gone=500)) == (1, {})


def test_silence_is_not_idleness() -> None:
    """While a running replica has not reported, as after a restart of the controller, nothing shrinks."""
    assert RowsPolicy(10)(_context(a=0))[0] == 3


def test_a_target_of_no_rows_is_refused() -> None:
    """It would divide by zero in the controller, at every tick."""
    with pytest.raises(ValueError, match="target_rows"):
        RowsPolicy(0)


RAYS = """global
    stats socket /tmp/x/admin.sock mode 666 level admin expose-fd listeners
defaults
    mode http
    option httplog
    option abortonclose
    option splice-request
frontend prometheus
    bind :9101
    mode http
frontend http_frontend
    bind *:8000
listen stats
  bind *:8404
"""


def test_the_configuration_is_closed_where_ray_leaves_it_open() -> None:
    """Statistics, metrics and admin socket are for this machine's user, heads have a limit; the door stays."""
    closed = haproxy.close(RAYS)
    assert "  bind 127.0.0.1:8404\n" in closed
    assert "    bind 127.0.0.1:9101\n" in closed
    assert "    bind *:8000\n" in closed
    assert "mode 600 level admin" in closed
    assert closed.count("timeout http-request 10s") == 1
    assert "option splice-request" not in closed
    assert "    option abortonclose\n" in closed
    assert haproxy.close(closed) == closed


def test_the_pinned_ray_still_writes_what_is_closed() -> None:
    """Ray's template has the very lines that the launcher rewrites; if not, it would leave them open silently."""
    # Read, not imported: Ray takes its flags from the environment when it is first imported, and the tests that
    # start it in this process set them later.
    spec = importlib.util.find_spec("ray")
    assert spec is not None
    assert spec.origin is not None
    template = (Path(spec.origin).parent / "serve/_private/haproxy_templates.py").read_text()

    for line in (
        "bind :{{ config.metrics_port }}",
        "bind *:{{ config.stats_port }}",
        "mode 666 level admin",
        "option abortonclose\n",
        "option splice-request\n",
    ):
        assert line in template


@pytest.mark.parametrize(
    ("host", "exposed"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", True),
        ("::", True),
        ("10.1.2.3", True),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, exposed: bool) -> None:
    """Also in the form in which Ray's dual-stack servers show up."""
    one = sockets.Listener(1, "x", host, 1)
    assert sockets.beyond_loopback([one]) == ([one] if exposed else [])


def test_exports_are_shell_and_keep_what_is_set() -> None:
    """A variable that the shell has is kept, and a value with a space survives."""
    assert flags.exports({"A": "1", "B": "/a b"}) == "export A=\"${A:-1}\"\nexport B='/a b'"


def test_a_starter_is_more_than_its_process_id() -> None:
    """A process that got a dead starter's id is not taken for it."""
    me = Starter.this_process()
    assert me.is_alive()
    assert not Starter(me.pid, me.started - 100).is_alive()
    assert Starter.parse("nonsense") is None
