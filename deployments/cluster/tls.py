"""TLS for the batches between edges and replicas, by the certificates that Ray itself uses.

An operator who turned Ray's own TLS on (`RAY_USE_TLS=1` and `RAY_TLS_*`, see Ray's manual) has said that traffic
within the cluster is not to be read; our transport is such traffic. Both ends show a certificate of the same
authority. Names are not checked, as Ray does not: replicas are reached by address, and are known by their secret.
"""

from __future__ import annotations

import ssl

from deployments.errors import SetupError
from deployments.settings import RayTls


def server_context(tls: RayTls) -> ssl.SSLContext | None:
    """What a replica listens with; None where Ray's TLS is off."""
    return _context(tls, ssl.PROTOCOL_TLS_SERVER)


def client_context(tls: RayTls) -> ssl.SSLContext | None:
    """What an edge connects with; None where Ray's TLS is off."""
    return _context(tls, ssl.PROTOCOL_TLS_CLIENT)


def _context(tls: RayTls, protocol: int) -> ssl.SSLContext | None:
    if not tls.use_tls:
        return None
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.tls_server_cert, tls.tls_server_key)
        context.load_verify_locations(tls.tls_ca_cert)
    except OSError as exc:
        raise SetupError(
            "RAY_USE_TLS is set, but the certificates that RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and "
            f"RAY_TLS_CA_CERT name cannot be used: {exc}"
        ) from exc
    return context
