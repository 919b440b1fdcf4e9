"""What Serve says about applications and faults, in the one line that an operator wants of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Application:
    """How far an application has come: Serve's status and message, and its replicas as (running, wanted)."""

    name: str
    status: str
    message: str
    running: int
    wanted: int


def application_of(name: str, status: Any) -> Application:
    """An application from Serve's ``ApplicationStatusOverview``."""
    deployments = status.deployments.values()
    counts = [
        {str(getattr(k, "value", k)): n for k, n in d.replica_states.items()} for d in deployments
    ]
    messages = [d.message for d in deployments if d.status != "HEALTHY" and d.message]
    return Application(
        name=name,
        status=str(getattr(status.status, "value", status.status)),
        message=last_line(messages[0] if messages else status.message or ""),
        running=sum(count.get("RUNNING", 0) for count in counts),
        wanted=sum(sum(count.values()) for count in counts),
    )


def last_line(text: str) -> str:
    """The line that says what happened: of a traceback the last, where the error speaks."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def first_alert(text: str) -> str:
    """The first thing that HAProxy complains about; its last says only that it complained."""
    alerts = [line for line in text.splitlines() if "[ALERT]" in line]
    return alerts[0].strip() if alerts else last_line(text)


def first_fault(error: Any) -> str:
    """The first field that a pydantic ``ValidationError`` complains about, and why."""
    fault = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
