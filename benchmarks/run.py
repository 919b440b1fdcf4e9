"""Measures this project beside its peers, on this machine, in one run: ``make bench``.

    .venv/bin/python benchmarks/run.py                        everything
    .venv/bin/python benchmarks/run.py --only fastapi mosec   some
    .venv/bin/python benchmarks/run.py --models digits --connections 1 64 --seconds 2

For each server in turn: start it, check that its answers are right, warm it up, load it with wrk, stop it
with all its processes. All serve the same model files through the same pre- and postprocessing
(``pipeline.py``). This project goes first and again last, so a machine that drifts shows. Results go to
``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import artifacts
import load
import machine
import processes
import report
import traffic
from environments import ROOT, NotInstallableError
from results import Results
from rich.console import Console
from servers import ALL, OURS, Ours, Peer
from turn import Turn, bare_loop

RESULTS = ROOT / "benchmarks" / "results"
PORT = 8710


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [server.name.removeprefix("penstock ") for server in ALL]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--models", nargs="+", default=list(traffic.MODELS), choices=traffic.MODELS)
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument(
        "--seconds",
        type=int,
        default=8,
        help="of each measurement; three times as many for sentences",
    )
    parser.add_argument("--warmup", type=int, default=3, help="seconds before each")
    parser.add_argument("--rounds", type=int, default=1, help="how often the whole is repeated")
    parser.add_argument("--port", type=int, default=PORT, help="and the two after it")
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json")
    parser.add_argument(
        "--artifact",
        action="append",
        default=[],
        metavar="MODEL=FOLDER",
        help="not the registered one",
    )
    return parser.parse_args()


def order(asked: argparse.Namespace) -> list[Ours | Peer]:
    """The servers of one round: ours, the peers, ours again."""
    chosen = [
        server
        for server in ALL
        if not asked.only or server.name.removeprefix("penstock ") in asked.only
    ]
    again = [server for server in chosen if server in OURS] if len(chosen) > 1 else []
    return [*chosen, *again]


def build(servers: list[Ours | Peer], results: Results, console: Console) -> list[Ours | Peer]:
    """Build the peers' environments; those that cannot be built are named and left out."""
    there = []
    for server in dict.fromkeys(servers):
        try:
            if isinstance(server, Peer):
                server.home.build(lambda text: console.print(f"[dim]{text}[/]"))
            results.versions[server.name] = server.versions()
            there.append(server)
        except NotInstallableError as reason:
            console.print(f"[yellow]{server.name} cannot be installed: {reason}[/]")
            for model in results.asked["models"]:
                results.problems[server.name, model] = f"not installable: {reason}"
    return [server for server in servers if server in there]


def measure(asked: argparse.Namespace, console: Console) -> Results:
    """The whole run; what goes wrong with one server is noted and does not stop the others."""
    servers = order(asked)
    results = Results(
        machine=machine.describe() | {"wrk": load.version(), "load_before": machine.load_average()},
        asked={
            "servers": list(dict.fromkeys(server.name for server in servers)),
            "models": asked.models,
            "connections": asked.connections,
            "seconds": asked.seconds,
            "rounds": asked.rounds,
        },
    )
    servers = build(servers, results, console)
    given = dict(pair.split("=", 1) for pair in asked.artifact)
    for model in asked.models:
        folder = Path(given[model]) if model in given else artifacts.locate(model)
        results.bare[model] = bare_loop(model, folder, min(4, asked.seconds))
        turn = Turn(model, folder, results, asked, console)
        for _ in range(asked.rounds):
            for server in servers:
                if server.serves(model):
                    turn.take(server)
    return results


def write(results: Results, path: Path, console: Console) -> None:
    """The JSON and, beside it, the chart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    chart = path.with_suffix(".png")
    if results.rows:
        report.draw(results, chart)
    console.print(f"\nwritten: {path.name} and {chart.name} in {path.parent.name}/")


def main() -> int:
    """0 when every row is good, 1 when one is not, 2 when nothing could be measured."""
    asked = arguments()
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    try:
        load.find_wrk()
        for port in range(asked.port, asked.port + 3):
            if not processes.port_is_free(port):
                console.print(
                    f"port {port} is taken: end what listens there, or give another --port"
                )
                return 2
        processes.adopt_orphans()
        processes.stop_on_sigterm()
        results = measure(asked, console)
    except (load.WrkMissingError, artifacts.NotRegisteredError) as reason:
        console.print(str(reason), style="red")
        return 2
    except KeyboardInterrupt:
        console.print("interrupted; nothing is written")
        return 130
    report.show(results, console)
    write(results, asked.json, console)
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
