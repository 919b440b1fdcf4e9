"""What MLflow keeps once for the whole process and not in its client, changed for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_UPLOAD_TIMEOUT_S = 300


@contextmanager
def as_mlflows_own(uri: str) -> Iterator[None]:
    """Makes `uri` MLflow's registry for the whole process, for a while.

    Where the registry is a database, MLflow looks a version's logged model up in that one and not in the
    client's (`create_model_version` in `mlflow/store/model_registry/sqlalchemy_store.py` says so itself).
    """
    import mlflow

    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


@contextmanager
def time_for_uploads() -> Iterator[None]:
    """A server answers an upload when its own store has all of it, which takes longer than a question."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

    before = MLFLOW_HTTP_REQUEST_TIMEOUT.get_raw()
    MLFLOW_HTTP_REQUEST_TIMEOUT.set(max(MLFLOW_HTTP_REQUEST_TIMEOUT.get(), _UPLOAD_TIMEOUT_S))
    try:
        yield
    finally:
        MLFLOW_HTTP_REQUEST_TIMEOUT.unset() if before is None else MLFLOW_HTTP_REQUEST_TIMEOUT.set(
            before
        )
