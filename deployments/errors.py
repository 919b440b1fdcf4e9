"""The error tree: what can go wrong, with the HTTP status and the stable code that clients may rely on.

Known errors speak: their message goes to the caller and says what to do. Everything else is a bug: it is
logged whole and answered blandly as ``internal``. Nothing below ``api`` knows what a response looks like.

    PenstockError
     ├─ BadRequest                    400 bad_request          the body cannot be read
     │   ├─ InvalidInput              422 invalid_input        it can, but a field is wrong
     │   ├─ BodyTooLarge              413 body_too_large
     │   ├─ BodyTooSlow               408 body_too_slow
     │   ├─ UnsupportedContent        415 unsupported_content
     │   └─ HeaderInvalid             400 header_invalid
     ├─ NotFound                      404 not_found
     │   └─ EndpointNotFound          404 endpoint_not_found
     ├─ Overloaded                    429 overloaded           the queue is full: come back after `retry_after`
     ├─ Unavailable                   503 unavailable          nobody can answer now
     │   ├─ DeadlineUnmeetable        503 deadline_unmeetable  refused before any work was done
     │   └─ ReplicaLost               503 replica_lost         lost with its replica, twice
     ├─ DeadlineExceeded              504 deadline_exceeded
     ├─ ModelFailed                   500 model_failed         the model raised on this request's rows
     │   ├─ ModelOutputInvalid        500 model_output_invalid it answered NaN, infinity or the wrong shape
     │   └─ ModelOutOfMemory          500 model_out_of_memory  not even half of the batch fitted
     ├─ SetupError                    what an operator sees: a flag, a file, a port, a model version
     │   ├─ RegistryError             the registry, or a name in it
     │   ├─ ArtifactError             a model version's files
     │   │   ├─ StoreError            where they are stored: away, refused, too slow, too large
     │   │   └─ DigestMismatch        they are not what was registered
     │   ├─ LoadError                 they are, but no model can be made of them
     │   ├─ SpecError                 a configuration file
     │   └─ DeviceError               a GPU was promised that is not there
     └─ Internal                      500 internal             a bug of ours
"""

from __future__ import annotations


class PenstockError(Exception):
    """An error that speaks to whoever caused it.

    Attributes:
        status: The HTTP status it is answered with.
        code: A stable name; clients may branch on it, so it never changes.
        fields: Which parts of the input are meant, as JSON paths such as ``inputs[3]``.
        retry_after: Whole seconds after which trying again makes sense, or None.
    """

    status: int = 500
    code: str = "internal"

    def __init__(
        self, message: str, *, fields: tuple[str, ...] = (), retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields
        self.retry_after = retry_after


class BadRequest(PenstockError):
    """The request cannot be read."""

    status, code = 400, "bad_request"


class InvalidInput(BadRequest):
    """The request can be read, but a field of it is wrong; `fields` names which."""

    status, code = 422, "invalid_input"


class BodyTooLarge(BadRequest):
    """The body is over the limit; refused before it is buffered."""

    status, code = 413, "body_too_large"


class BodyTooSlow(BadRequest):
    """The body did not arrive within the time for it."""

    status, code = 408, "body_too_slow"


class UnsupportedContent(BadRequest):
    """The body's content type or encoding is not one that this route reads."""

    status, code = 415, "unsupported_content"


class HeaderInvalid(BadRequest):
    """A request header has a value that it cannot have."""

    status, code = 400, "header_invalid"


class NotFound(PenstockError):
    """There is nothing at this address."""

    status, code = 404, "not_found"


class EndpointNotFound(NotFound):
    """No endpoint has this name."""

    status, code = 404, "endpoint_not_found"


class Overloaded(PenstockError):
    """The queue for this model version is full."""

    status, code = 429, "overloaded"


class Unavailable(PenstockError):
    """No replica can answer now."""

    status, code = 503, "unavailable"


class DeadlineUnmeetable(Unavailable):
    """The work queued ahead takes longer than this request may wait; nothing was started."""

    status, code = 503, "deadline_unmeetable"


class ReplicaLost(Unavailable):
    """The call was lost with its replica, and so was the one retry, or the retry budget was spent."""

    status, code = 503, "replica_lost"


class DeadlineExceeded(PenstockError):
    """The request's deadline passed before its answer was there."""

    status, code = 504, "deadline_exceeded"


class ModelFailed(PenstockError):
    """A stage raised on this request's rows; its neighbours in the batch are not touched."""

    status, code = 500, "model_failed"


class ModelOutputInvalid(ModelFailed):
    """A stage answered non-finite numbers, or the wrong number of rows."""

    status, code = 500, "model_output_invalid"


class ModelOutOfMemory(ModelFailed):
    """The device's memory did not suffice for the batch, nor for its halves."""

    status, code = 500, "model_out_of_memory"


class SetupError(PenstockError):
    """What stands in the way of starting: told to an operator in one line, never to a client."""

    code = "setup"


class RegistryError(SetupError):
    """The model registry, or a name in it."""

    code = "registry"


class ArtifactError(SetupError):
    """The files of a model version."""

    code = "artifact"


class StoreError(ArtifactError):
    """Where artifacts are stored: out of reach, refusing, too slow, or holding what cannot be taken."""

    code = "store"


class DigestMismatch(ArtifactError):
    """Files are not those that were registered: none of them may be read by a deserialiser."""

    code = "digest_mismatch"


class LoadError(SetupError):
    """The files are the right ones, but no model that can be served comes of them."""

    code = "load"


class SpecError(SetupError):
    """A configuration file says something that cannot be."""

    code = "spec"


class DeviceError(SetupError):
    """A replica was promised a device that it cannot see."""

    code = "device"


class Internal(PenstockError):
    """A bug of ours; the log has the whole of it under the request's id."""


def error_by_code(code: str) -> type[PenstockError]:
    """The class of a stable code, for an error that travelled between processes; `Internal` for an unknown one."""
    waiting: list[type[PenstockError]] = [PenstockError]
    while waiting:
        kind = waiting.pop()
        if kind.code == code and kind is not PenstockError:
            return kind
        waiting.extend(kind.__subclasses__())
    return Internal
