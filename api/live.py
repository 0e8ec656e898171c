"""POST /api/v1/live: an agent streams what viewers asked for; the answer says whether to go on."""

import time

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import body, contact
from api.auth import authenticate
from domain import live as rules
from domain.live import Ask
from schema import live
from schema.live import Message

router = APIRouter()
BODY_MAX_BYTES = 1_048_576


class _Answer(msgspec.Struct):
    """`live` null: nobody looks any more."""

    live: Ask | None


_encode = msgspec.json.Encoder().encode


@router.post("/api/v1/live")
async def post_live(request: Request) -> Response:
    """Re-route live data to its viewers; it is not stored. 503 while Redis is away: keep trying for a while."""
    now_ms = int(time.time() * 1000)
    principal = await authenticate(request)
    body.media_type(request)
    post = rules.parse(await body.read(request, BODY_MAX_BYTES))
    await contact.record_contact(request.app.state, principal, {post.node}, now_ms, post.instance)
    stores = request.app.state.stores
    asked = await live.publish(stores.redis, principal.account_id, post.node, Message(now_ms, post.snapshots))
    return Response(_encode(_Answer(asked)), media_type=body.JSON)
