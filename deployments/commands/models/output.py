"""How the commands say what they found: a table for a person, aligned text for a pipe, JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Say it as JSON, for programs.")]

_GAP = "  "


def say_json(value: Any) -> None:
    """One JSON value on stdout."""
    typer.echo(json.dumps(value, indent=2, default=str))


def say_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with a line around its head on a terminal; in a pipe, columns that `awk` and people can read."""
    if sys.stdout.isatty():
        table = Table(*columns)
        for row in rows:
            table.add_row(*map(_shown, row))
        Console().print(table)
    else:
        typer.echo(aligned([[column.upper() for column in columns], *rows]))


def say_facts(facts: Sequence[tuple[str, str]]) -> None:
    """One fact a line: its name, then its value, aligned."""
    if sys.stdout.isatty():
        grid = Table.grid(padding=(0, 2))
        for name, value in facts:
            grid.add_row(f"[bold]{escape(name)}[/bold]", _shown(value))
        Console().print(grid)
    else:
        typer.echo(aligned(facts))


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lines in which every column begins at the same place; `-` stands for an empty cell."""
    cells = [[_plain(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (_GAP.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _shown(cell: str) -> str:
    return escape(_plain(cell))


def _plain(cell: str) -> str:
    """Names and tags are anybody's: no line break or escape sequence of theirs reaches a terminal."""
    return "".join(c if c.isprintable() else "�" for c in cell)
