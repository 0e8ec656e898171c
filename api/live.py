"""POST /api/v1/live: an agent streams what viewers asked for; the answer says whether to go on."""

import time

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import body, contact
from api.auth import authenticate
from api.openapi import WITH_BODY, WITH_KEY, described
from api.seldom import Seldom
from api.snapshots import Ingest, bounds, store
from domain import live as rules
from domain.errors import MetristError
from domain.live import Ask, LivePost
from domain.settings import Settings
from schema import live
from schema.live import Message

router = APIRouter()
BODY_MAX_BYTES = 1_048_576


_SELDOM = Seldom()


class _Answer(msgspec.Struct):
    """`live` null: nobody looks any more."""

    live: Ask | None


_encode = msgspec.json.Encoder().encode


@router.post("/api/v1/live", **described(takes=LivePost, gives=_Answer, problems=(*WITH_KEY, *WITH_BODY)))
async def post_live(request: Request) -> Response:
    """Re-route live data to its viewers, and store what a recording keeps.

    503 while Redis is away: keep trying for a while.
    """
    now_ms = int(time.time() * 1000)
    principal = await authenticate(request)
    body.media_type(request)
    post = rules.parse(await body.read(request, BODY_MAX_BYTES))
    await contact.record_contact(request.app.state, principal, {post.node}, now_ms, post.instance)
    stores = request.app.state.stores
    sent = await live.publish(stores.redis, principal.account_id, post.node, Message(now_ms, post.snapshots))
    if sent.is_recorded:
        await _keep(request, str(principal.account_id), post, now_ms / 1000)
    return Response(_encode(_Answer(sent.ask)), media_type=body.JSON)


async def _keep(request: Request, account: str, post: LivePost, received_s: float) -> None:
    """Into the spool like any snapshot; a full disk must not end what people see."""
    ingest: Ingest = request.app.state.ingest
    settings: Settings = request.app.state.settings
    found = [{"node": post.node, "ts": one.ts, "metrics": one.metrics} for one in post.snapshots if one.metrics]
    if not found:
        return
    try:
        admitted = ingest.admission.admit(msgspec.json.encode(found), bounds(settings, received_s))
        if admitted.accepted:
            await store(ingest, settings, account, "", admitted)
    except MetristError as error:
        _SELDOM.warn("live_not_kept", error)
