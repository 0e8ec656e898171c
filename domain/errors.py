"""What can go wrong, each with its problem type (RFC 9457).

Raised where the fact is known, worded for the person who can act. `api/problems.py` alone turns them into
responses. `slug` names the page docs/problems.md#slug; `title` is constant per type; `detail` is this case.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class MetristError(Exception):
    """Any fact that ends a request; `detail` says what to change."""

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Something went wrong on our side"
    status: ClassVar[int] = 500

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
