"""What can go wrong, each with its problem type (RFC 9457).

Raised where the fact is known, worded for the person who can act. `api/problems.py` alone turns them into
responses. `slug` names the part of /docs/problems with the `remedy`; `title` is constant per type, `detail` this case.
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
    remedy = "Send the header Authorization: Bearer mtr_… with a key of your account."


class WrongKey(MetristError):
    slug, title, status = "wrong-key", "The API key is not valid", 401
    remedy = "The key is mistyped, unknown or revoked: make a new one and send that."


class NotSignedIn(MetristError):
    slug, title, status = "not-signed-in", "Sign in first", 401
    remedy = "Open /sign-in, or a sign-in link; `metrist user sign-in EMAIL` prints one."


class NoAccount(MetristError):
    slug, title, status = "no-account", "You belong to no account", 403
    remedy = "Make an account at /accounts/new, or open an invitation to one."


class SignInRefused(MetristError):
    slug, title, status = "sign-in-refused", "Signing in did not work", 403
    remedy = "Nothing was changed. Start again at /sign-in."


class SignInLost(SignInRefused):
    slug, title, status = "sign-in-lost", "This sign-in cannot be finished", 400
    remedy = "It was begun in another browser, too long ago, or is finished already: start again at /sign-in."


class ProviderFailed(SignInRefused):
    slug, title, status = "provider-failed", "The sign-in provider did not answer as it should", 502
    remedy = "Try again in a minute. If it stays, the operator finds the reason in the log as sign_in_failed."


class SignUpClosed(SignInRefused):
    slug, title, status = "sign-up-closed", "Nobody is known here by that name yet", 403
    remedy = "Open an invitation of an account, or ask the operator for one; METRIST_SIGN_UP says who may register."


class IdentityTaken(SignInRefused):
    slug, title, status = "identity-taken", "This could not be connected", 409
    remedy = "One identity of a provider signs in one user, and a user has one of each provider."


class Forbidden(MetristError):
    slug, title, status = "forbidden", "Not allowed", 403
    remedy = "Use a key with the scope that the detail names, or ask an owner of the account."


class NotFound(MetristError):
    slug, title, status = "not-found", "There is nothing here", 404
    remedy = "Check the address; names are case-sensitive."


class WrongMethod(MetristError):
    slug, title, status = "wrong-method", "This address does not take that method", 405
    remedy = "The Allow header names the methods that work."


class MalformedBody(MetristError):
    slug, title, status = "malformed-body", "The body could not be read", 400
    remedy = "The body is not JSON, or not what its Content-Encoding says; `offset` is the byte where reading stopped."


class InvalidBody(MetristError):
    slug, title, status = "invalid-body", "The body has the wrong shape", 422
    remedy = "The JSON is well formed but not of the expected shape; the detail and `errors` name the fields."


class InvalidQuery(MetristError):
    slug, title, status = "invalid-query", "The query parameters are not valid", 422
    remedy = "A query parameter or header has a value that cannot be used; the detail names it."


class TooLarge(MetristError):
    slug, title, status = "too-large", "The request is too large", 413
    remedy = "Send smaller batches; the limit counts bytes after decompression."


class UnsupportedMedia(MetristError):
    slug, title, status = "unsupported-media", "The content type or encoding is not supported", 415
    remedy = "Send application/json or application/x-ndjson, plain or with gzip or zstd."


class Overloaded(MetristError):
    slug, title, status = "overloaded", "The server is busy", 503
    remedy = "Nothing was stored. Send it again after the seconds of Retry-After; agents do so by themselves."


class StoreUnavailable(MetristError):
    slug, title, status = "store-unavailable", "A store is not reachable just now", 503
    remedy = "Nothing was lost. Try again in a few seconds; if it stays, tell the operator."


class StorageFull(MetristError):
    slug, title, status = "storage-full", "The server's disk is full", 507
    remedy = "Nothing was stored. The operator must free disk space; send it again later."


class Conflict(MetristError):
    """A second writer won on `unique (stream, version)`; read again and decide again."""

    slug, title, status = "conflict", "Someone else changed this at the same time", 409
    remedy = "Read the current state again, then repeat the change."


class Outdated(MetristError):
    """What someone decided on is no longer so; `saved_by`, `saved_at` and `version` tell who was faster."""

    slug, title, status = "outdated", "Someone else saved this first", 409
    remedy = "Look at what they saved; then save yours over it on purpose, with their version, or as a copy."


class LimitReached(MetristError):
    slug, title, status = "limit-reached", "There are as many as there may be", 409
    remedy = "Remove what is no longer used; the detail names the limit."


class StartRefused(MetristError):
    """A process cannot start; the message is the one line the operator reads."""

    slug, title, status = "start-refused", "The process cannot start", 500
    remedy = "A process did not start; its one line says why."
