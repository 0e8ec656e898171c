"""POST /api/v1/statuses: agents and programs report how something is; it appears as a condition by itself."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from fastapi import APIRouter
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from api import body, contact
from api.auth import authenticate
from api.openapi import WITH_BODY, WITH_KEY, described
from domain import status_reports
from domain.conditions import State
from domain.errors import Conflict, LimitReached
from domain.ids import AccountId
from schema import keys, reporting
from schema.stores import Stores

router = APIRouter()
BODY_MAX_BYTES = 262_144


class _Answer(msgspec.Struct):
    """How many were taken, and how many of them changed something."""

    accepted: int
    changed: int


@router.post(
    "/api/v1/statuses",
    **described(takes=status_reports.Post, gives=_Answer, problems=(*WITH_KEY, *WITH_BODY, Conflict, LimitReached)),
)
async def post_statuses(request: Request) -> Response:
    """Take what a node says. 503 while a store is away: nothing of it is kept then, send it again."""
    now = datetime.now(UTC)
    principal = await authenticate(request)
    body.media_type(request)
    post = status_reports.parse(await body.read(request, BODY_MAX_BYTES))
    await contact.record_contact(request.app.state, principal, {post.node}, int(now.timestamp() * 1000))
    stores: Stores = request.app.state.stores
    account_id = principal.account_id
    changed = await reporting.report(stores.control, stores.redis, account_id, post.node, post.statuses, now)
    await publish(stores, account_id, changed)
    return Response(msgspec.json.encode(_Answer(len(post.statuses), len(changed))), media_type=body.JSON)


async def publish(stores: Stores, account_id: AccountId, changed: Mapping[UUID, State]) -> None:
    """Let open pages know; one that does not hear of it asks now and then."""
    with suppress(RedisError, OSError):
        for condition_id, state in changed.items():
            message = {"type": "status", "condition": str(condition_id), "state": state.value}
            await stores.redis.publish(keys.events_channel(account_id), json.dumps(message))
