"""What can go wrong, each with its problem type (RFC 9457).

Raised where the fact is known, worded for the person who can act. `api/problems.py` alone turns them into
responses. `slug` names the part of /docs/problems that `remedy` stands in; `title` is constant per type; `detail` is this case.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class MetristError(Exception):
    """Any fact that ends a request; `detail` says what to change."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"
    status: ClassVar[int] = 500
    remedy: ClassVar[str] = "The error has been logged. Try again, and tell the operator if it stays."

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extra = extra


class MissingKey(MetristError):
    slug, title, status = "missing-key", "An API key is needed", 401


class WrongKey(MetristError):
    slug, title, status = "wrong-key", "The API key is not valid", 401


class NotSignedIn(MetristError):
    slug, title, status = "not-signed-in", "Sign in first", 401


class Forbidden(MetristError):
    slug, title, status = "forbidden", "Not allowed", 403


class NotFound(MetristError):
    slug, title, status = "not-found", "There is nothing here", 404


class WrongMethod(MetristError):
    slug, title, status = "wrong-method", "This address does not take that method", 405


class MalformedBody(MetristError):
    slug, title, status = "malformed-body", "The body could not be read", 400


class InvalidBody(MetristError):
    slug, title, status = "invalid-body", "The body has the wrong shape", 422


class InvalidQuery(MetristError):
    slug, title, status = "invalid-query", "The query parameters are not valid", 422


class TooLarge(MetristError):
    slug, title, status = "too-large", "The request is too large", 413


class UnsupportedMedia(MetristError):
    slug, title, status = "unsupported-media", "The content type or encoding is not supported", 415


class QuotaExceeded(MetristError):
    slug, title, status = "quota-exceeded", "The account's quota is used up", 429


class Overloaded(MetristError):
    slug, title, status = "overloaded", "The server is busy", 503


class StoreUnavailable(MetristError):
    slug, title, status = "store-unavailable", "A store is not reachable just now", 503


class StorageFull(MetristError):
    slug, title, status = "storage-full", "The server's disk is full", 507


class Conflict(MetristError):
    """A second writer won on `unique (stream, version)`; read again and decide again."""

    slug, title, status = "conflict", "Someone else changed this at the same time", 409


class StartRefused(MetristError):
    """A process cannot start; the message is the one line the operator reads."""

    slug, title, status = "start-refused", "The process cannot start", 500
    remedy = "Send the header Authorization: Bearer mtr_… with a key of your account."
    remedy = "The key is mistyped, unknown or revoked: make a new one and send that."
    remedy = "Open a sign-in link; `metrist user sign-in EMAIL` prints one."
    remedy = "Use a key with the scope that the detail names, or ask an owner of the account."
    remedy = "Check the address; names are case-sensitive."
    remedy = "The Allow header names the methods that work."
    remedy = "The body is not JSON, or not what its Content-Encoding says; `offset` is the byte where reading stopped."
    remedy = "The JSON is well formed but not of the expected shape; the detail and `errors` name the fields."
    remedy = "A query parameter or header has a value that cannot be used; the detail names it."
    remedy = "Send smaller batches; the limit counts bytes after decompression."
    remedy = "Send application/json or application/x-ndjson, plain or with gzip or zstd."
    remedy = "Wait as long as Retry-After says, or raise the account's quota."
    remedy = "Nothing was stored. Send it again after the seconds of Retry-After; agents do so by themselves."
    remedy = "Nothing was lost. Try again in a few seconds; if it stays, tell the operator."
    remedy = "Nothing was stored. The operator must free disk space; send it again later."
    remedy = "Read the current state again, then repeat the change."
    remedy = "A process did not start; its one line says why."
