"""How long MLflow may wait for a registry that is down, which by itself is up to twenty minutes."""

from __future__ import annotations

from collections.abc import MutableMapping

PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def be_brief(environ: MutableMapping[str, str]) -> None:
    """Gives MLflow in this process, and in those it starts, short timeouts; what is set already stays.

    Whoever starts a process calls this with its environment, before anything imports MLflow.
    """
    for name, value in PATIENCE.items():
        environ.setdefault(name, value)
