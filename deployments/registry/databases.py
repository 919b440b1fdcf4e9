"""A registry that is a database server: tried with a short timeout before MLflow opens it.

MLflow asks a database that is away ten times with growing pauses, a hundred seconds in all, and each time
without a timeout of its own; no setting of it changes that.
"""

from __future__ import annotations

CONNECT_TIMEOUT_S = 4
_WITH_CONNECT_TIMEOUT = ("postgresql", "mysql")  # as all their drivers call it


def dsn(tracking_uri: str) -> str | None:
    """The address as SQLAlchemy takes it; None if the registry is no database server that can be tried."""
    dialect = tracking_uri.partition(":")[0].partition("+")[0]
    if dialect == "postgres":
        return f"postgresql{tracking_uri.removeprefix('postgres')}"
    return tracking_uri if dialect in _WITH_CONNECT_TIMEOUT else None


def probe(address: str) -> None:
    """Connects once and leaves; raises SQLAlchemy's error if that fails or takes too long."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        address, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_TIMEOUT_S}
    )
    try:
        engine.connect().close()
    finally:
        engine.dispose()
