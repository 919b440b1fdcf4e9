"""What a run of the benchmark found: rows as measured, medians over rounds, ratios to ours, goals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from load import Load

RAY, FASTAPI, MOSEC, MLSERVER = "ray_chain", "fastapi", "mosec", "mlserver"
NOISY = 0.05
SEPARATE, TOGETHER = "penstock separate", "penstock together"


@dataclass(frozen=True)
class Row:
    """One server under one number of connections, in one turn of the run."""

    server: str
    model: str
    turn: int
    load: Load
    others: float
    """The part of the machine that processes outside the benchmark took meanwhile, 0..1."""

    def as_json(self) -> dict[str, Any]:
        figures = asdict(self.load) | {"requests_per_s": round(self.load.rate, 1)}
        about = {"server": self.server, "model": self.model, "turn": self.turn}
        return about | figures | {"others_share": self.others}


@dataclass(frozen=True)
class Figures:
    """A server's medians over all its turns."""

    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    turns: tuple[float, ...]
    """Requests/s in each turn, in order: how far the machine drifted."""


@dataclass
class Results:
    """Everything found; filled while the run goes on."""

    machine: dict[str, Any]
    asked: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    problems: dict[tuple[str, str], str] = field(default_factory=dict)
    """(server, model) to why it was not measured or cannot be trusted."""
    failed: bool = False
    """Whether a problem is a failure, rather than a server that cannot be had here."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    starts_s: dict[str, float] = field(default_factory=dict)
    bare: dict[str, dict[str, Any]] = field(default_factory=dict)

    def figures(self, server: str, model: str, connections: int) -> Figures | None:
        """Medians for one line of the table; None when there is nothing."""
        loads = [
            row.load
            for row in self.rows
            if (row.server, row.model, row.load.connections) == (server, model, connections)
        ]
        if not loads:
            return None
        return Figures(
            rate=median(load.rate for load in loads),
            p50_ms=median(load.p50_ms for load in loads),
            p95_ms=median(load.p95_ms for load in loads),
            p99_ms=median(load.p99_ms for load in loads),
            turns=tuple(load.rate for load in loads),
        )

    def ratio(self, ours: str, server: str, model: str, connections: int) -> float | None:
        """How many times as many requests/s `ours` answers as `server`."""
        mine = self.figures(ours, model, connections)
        theirs = self.figures(server, model, connections)
        return mine.rate / theirs.rate if mine and theirs and theirs.rate else None

    def p50_ratio(self, ours: str, server: str, model: str, connections: int) -> float | None:
        """What part of the median latency of `server` that of `ours` is."""
        mine = self.figures(ours, model, connections)
        theirs = self.figures(server, model, connections)
        return mine.p50_ms / theirs.p50_ms if mine and theirs and theirs.p50_ms else None

    def goals(self) -> list[dict[str, Any]]:
        """The goals that this run has figures for, each with what it asks and what was reached."""
        sentences = [self.figures(ours, "sentences", 64) for ours in (SEPARATE, TOGETHER)]
        best = max((found.rate for found in sentences if found), default=None)
        bare = self.bare.get("sentences", {}).get("best_rows_per_s")
        asked = [
            (
                "separate / Ray Serve chain, requests/s at 64",
                15.0,
                self.ratio(SEPARATE, RAY, "digits", 64),
            ),
            (
                "separate / MLServer, requests/s at 64",
                1.0,
                self.ratio(SEPARATE, MLSERVER, "digits", 64),
            ),
            (
                "together / FastAPI, requests/s at 64",
                1.0,
                self.ratio(TOGETHER, FASTAPI, "digits", 64),
            ),
            ("together / mosec, requests/s at 64", 0.9, self.ratio(TOGETHER, MOSEC, "digits", 64)),
            ("sentences at 64 / bare loop", 0.9, best / bare if best and bare else None),
        ]
        at_most = [
            (
                "separate / Ray Serve chain, p50 at 1",
                0.33,
                self.p50_ratio(SEPARATE, RAY, "digits", 1),
            ),
            (
                "together / Ray Serve chain, p50 at 1",
                0.15,
                self.p50_ratio(TOGETHER, RAY, "digits", 1),
            ),
        ]
        return [
            {"goal": name, "limit": f"{sign} {limit}", "reached": round(got, 3), "met": met}
            for sign, goals in ((">=", asked), ("<=", at_most))
            for name, limit, got in goals
            if got is not None
            for met in [got >= limit if sign == ">=" else got <= limit]
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it, for `json.dump`."""
        return {
            "machine": self.machine,
            "asked": self.asked,
            "versions": self.versions,
            "seconds_to_ready": self.starts_s,
            "bare_loop": self.bare,
            "goals": self.goals(),
            "problems": [
                {"server": server, "model": model, "problem": text}
                for (server, model), text in self.problems.items()
            ],
            "rows": [row.as_json() for row in self.rows],
        }
