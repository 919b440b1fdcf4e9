"""Results for people: tables in the terminal, a chart as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from results import NOISY, SEPARATE, TOGETHER, Results
from rich.console import Console
from rich.table import Table
from servers import ALL, LABELS

TITLES = {
    "digits": "digits: 8x8 images, a small MLP",
    "sentences": "sentences: MiniLM, 23 M weights",
}


def show(results: Results, console: Console) -> None:
    """Print a table per model, the goals and how far the machine drifted."""
    machine = results.machine
    console.print(
        f"\n[bold]{machine['cpu']}[/], {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}"
    )
    for model in results.asked["models"]:
        console.print(_table(results, model))
        for (server, about), problem in results.problems.items():
            if about == model:
                console.print(f"[red]{LABELS.get(server, server)}: {problem}[/]")
        if bare := results.bare.get(model):
            console.print(
                f"A bare loop over {model} without a server: {bare['best_rows_per_s']:,.0f} rows/s "
                f"at its best batch size, {bare['best_batch']}."
            )
    for line in _drift(results):
        console.print(line)
    noisy = [row for row in results.rows if row.others > NOISY]
    if noisy:
        console.print(
            f"[yellow]{len(noisy)} of {len(results.rows)} measurements were disturbed: other processes took up to "
            f"{max(row.others for row in noisy):.0%} of the machine. Run again on a quiet one.[/]"
        )
    for goal in results.goals():
        mark = "[green]met[/]" if goal["met"] else "[red]missed[/]"
        console.print(f"goal {goal['goal']}: {goal['reached']:g} (asked {goal['limit']}) {mark}")


def _table(results: Results, model: str) -> Table:
    table = Table(title=f"\n{TITLES[model]}", title_justify="left", title_style="bold")
    table.add_column("server", no_wrap=True)
    for name in ("connections", "requests/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right")
    table.add_column("separate is", justify="right")
    table.add_column("together is", justify="right")
    for server in results.asked["servers"]:
        label = LABELS.get(server, server)
        for connections in results.asked["connections"]:
            found = results.figures(server, model, connections)
            if found is None:
                continue
            cells = [f"{found.rate:,.0f}" if found.rate >= 100 else f"{found.rate:,.1f}"]
            cells += [f"{ms:,.1f}" for ms in (found.p50_ms, found.p95_ms, found.p99_ms)]
            for ours in (SEPARATE, TOGETHER):
                ratio = results.ratio(ours, server, model, connections)
                cells.append("-" if ratio is None else f"{ratio:.2f} x")
            table.add_row(label, str(connections), *cells)
            label = ""
        table.add_section()
    return table


def _drift(results: Results) -> list[str]:
    lines = []
    most = max(results.asked["connections"])
    for ours in (SEPARATE, TOGETHER):
        for model in results.asked["models"]:
            found = results.figures(ours, model, most)
            if found and len(found.turns) > 1:
                turns = ", ".join(f"{rate:,.0f}" for rate in found.turns)
                change = found.turns[-1] / found.turns[0] - 1
                lines.append(
                    f"drift of {ours}, {model}, {most} connections: {turns} requests/s ({change:+.1%})"
                )
    return lines


def draw(results: Results, path: Path) -> None:
    """A chart: requests/s and median latency of every server, one row of panels per model."""
    import matplotlib as mpl  # late: slow to import

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    models = results.asked["models"]
    few, most = min(results.asked["connections"]), max(results.asked["connections"])
    figure, panels = plt.subplots(len(models), 2, figsize=(12, 3.6 * len(models)), squeeze=False)
    for (left, right), model in zip(panels, models, strict=True):
        _bars(left, results, model, most, "rate", label=f"requests/s, {most} connections")
        _bars(
            right, results, model, few, "p50_ms", label=f"median latency in ms, {few} connection(s)"
        )
        left.set_title(TITLES[model], loc="left", fontsize=10, fontweight="bold")
    machine = results.machine
    figure.text(
        0.01,
        0.005,
        f"{machine['cpu']}, {machine['cores']} cores; load by wrk on the same machine",
        fontsize=7,
        color="#555",
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _bars(
    axes: Any, results: Results, model: str, connections: int, figure: str, *, label: str
) -> None:
    shown = [
        (
            LABELS.get(server.name, server.name),
            getattr(found, figure),
            server.name in (SEPARATE, TOGETHER),
        )
        for server in ALL
        if (found := results.figures(server.name, model, connections))
    ]
    shown.sort(key=lambda bar: bar[1], reverse=figure != "rate")
    colors = ["#0b6e99" if ours else "#b8c4cc" for _, _, ours in shown]
    bars = axes.barh([name for name, _, _ in shown], [value for _, value, _ in shown], color=colors)
    axes.bar_label(
        bars, fmt=lambda v: f"{v:,.0f}" if v >= 100 else f"{v:,.1f}", fontsize=8, padding=3
    )
    axes.margins(x=0.18)
    axes.set_xlabel(label, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
