"""What a browser keeps for us between leaving for a provider and coming back: signed, for ten minutes.

A cookie for each flow, named by its state, so that two tabs never overwrite each other's. It holds no secret of ours:
the PKCE verifier and the nonce guard this browser's own sign-in against others, and only this browser has them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response
from itsdangerous import BadData, URLSafeTimedSerializer

from dashboards.signin import cookie_name, is_https
from domain.ids import UserId
from domain.settings import Settings

COOKIE = "metrist_flow_"
LASTS_S = 600
AT_ONCE = 6
"""So many tabs; the oldest flows are dropped, since servers refuse a heap of cookies."""
SALT = "metrist.sign-in"


@dataclass(frozen=True)
class Flow:
    """One sign-in under way.

    session  Authlib's: state, nonce, verifier
    after    where to go then
    user_id  who connects an identity to themselves; None when somebody signs in
    """

    session: Mapping[str, Any]
    after: str
    user_id: UserId | None = None


def keep(request: Request, answer: Response, key: bytes, state: str, flow: Flow) -> None:
    """Give the browser the flow to keep."""
    settings: Settings = request.app.state.settings
    older = [name for name in request.cookies if name.startswith(cookie_name(settings, COOKIE))]
    for name in older[: max(0, len(older) - AT_ONCE + 1)]:
        _drop(answer, settings, name)
    kept = {"session": flow.session, "after": flow.after, "user": str(flow.user_id) if flow.user_id else None}
    answer.set_cookie(
        _name(settings, state),
        str(_signer(key).dumps(kept)),
        max_age=LASTS_S,
        secure=is_https(settings),
        httponly=True,
        samesite="lax",
    )


def find(request: Request, key: bytes, state: str) -> Flow | None:
    """The flow of this state, if it was this browser that began it, with us and not too long ago."""
    cookie = request.cookies.get(_name(request.app.state.settings, state), "")
    try:
        kept = _signer(key).loads(cookie, max_age=LASTS_S)
    except BadData:
        return None
    return Flow(kept["session"], kept["after"], UserId(UUID(kept["user"])) if kept["user"] else None)


def end(request: Request, answer: Response, state: str) -> None:
    """Take the flow away: it can be finished once."""
    settings: Settings = request.app.state.settings
    if _name(settings, state) in request.cookies:
        _drop(answer, settings, _name(settings, state))


def _drop(answer: Response, settings: Settings, name: str) -> None:
    answer.delete_cookie(name, secure=is_https(settings), httponly=True, samesite="lax")


def _name(settings: Settings, state: str) -> str:
    return cookie_name(settings, COOKIE + hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()[:16])


def _signer(key: bytes) -> URLSafeTimedSerializer:
    how = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    return URLSafeTimedSerializer(key, salt=SALT, signer_kwargs=how)
