"""What goes wrong with S3, in one line each, and whether trying again makes sense."""

from __future__ import annotations

from http import HTTPStatus

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import (
    ConnectionError as NoConnection,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError
from urllib3.exceptions import ReadTimeoutError as StoppedSending

from deployments.errors import StoreError

FAULTS = (BotoCoreError, ClientError, ResponseParserError, HTTPError, OSError)
"""Everything that a request or the reading of its answer raises. Reading raises urllib3's own errors."""

_PASSING = (NoConnection, HTTPClientError, HTTPError, OSError)
_PASSING_CODES = {"SlowDown", "RequestTimeout", "InternalError"}


class Shortened(HTTPError):
    """The connection ended before the range that was asked for did."""


def is_passing(fault: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(fault, ClientError):
        status = _status(fault)
        return (
            status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or status == HTTPStatus.TOO_MANY_REQUESTS
            or _code(fault) in _PASSING_CODES
        )
    return isinstance(fault, _PASSING) and not isinstance(fault, SSLError)


def explain(fault: Exception, what: str, endpoint: str, credentials: str) -> StoreError:
    """The error that a person reads.

    Args:
        fault: One of `FAULTS`.
        what: The ``s3://`` address that was asked for.
        endpoint: The URL that was talked to.
        credentials: Where boto3 found its credentials.
    """
    if isinstance(fault, ClientError):
        return StoreError(_answered(fault, what, endpoint, credentials))
    if isinstance(fault, NoCredentialsError | PartialCredentialsError):
        return StoreError(
            f"no credentials for {what}: boto3 found none in the environment (AWS_ACCESS_KEY_ID), in "
            "~/.aws, or from the container or machine that this runs on"
        )
    if isinstance(fault, ReadTimeoutError | StoppedSending):
        said = "stopped answering"
    elif isinstance(fault, SSLError):
        said = "has no TLS certificate that this machine trusts (AWS_CA_BUNDLE names another authority)"
    elif isinstance(fault, EndpointConnectionError | ConnectTimeoutError):
        said = (
            "cannot be reached: no connection is made (PENSTOCK_S3_ENDPOINT_URL says where it is)"
        )
    elif is_passing(fault):
        said = "breaks its connections"
    else:
        return StoreError(f"cannot fetch {what} from {endpoint}: {' '.join(str(fault).split())}")
    return StoreError(f"cannot fetch {what}: the store at {endpoint} {said}")


def _answered(fault: ClientError, what: str, endpoint: str, credentials: str) -> str:
    status, code = _status(fault), _code(fault)
    said = fault.response.get("Error", {}).get("Message") or code
    if code == "NoSuchBucket":
        return f"there is no bucket for {what} at {endpoint}"
    refused = (
        f"{what} is refused ({status} {code}) to the credentials that boto3 found ({credentials}): "
        "they must be valid and allowed s3:ListBucket on the bucket and s3:GetObject on its objects"
    )
    elsewhere = f"{what} is in another region: set AWS_REGION to the bucket's ({said})"
    known: dict[int, str] = {
        HTTPStatus.UNAUTHORIZED: refused,
        HTTPStatus.FORBIDDEN: refused,
        HTTPStatus.NOT_FOUND: f"there is no {what} at {endpoint} ({code})",
        HTTPStatus.PRECONDITION_FAILED: f"{what} was replaced while it was downloaded: try again",
        HTTPStatus.MOVED_PERMANENTLY: elsewhere,
        HTTPStatus.TEMPORARY_REDIRECT: elsewhere,
    }
    other = f"cannot fetch {what}: the store at {endpoint} answers {status} ({said})"
    return known.get(status, other)


def _status(fault: ClientError) -> int:
    return int(fault.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(fault: ClientError) -> str:
    return str(fault.response.get("Error", {}).get("Code", ""))
