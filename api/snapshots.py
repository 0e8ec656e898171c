"""POST /api/v1/snapshots: who is it, is it well formed, is it new; then on disk, then the answer."""

import asyncio
import re
import time
from dataclasses import dataclass

import msgspec
import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import body, contact, door
from api.auth import authenticate
from api.openapi import WITH_BODY, WITH_KEY, described
from api.tally import Tally
from domain.errors import InvalidQuery, Overloaded, StorageFull
from domain.settings import Settings
from domain.snapshots import Admission, Admitted, Bounds, Refusal, Snapshot
from schema import batches, spool
from schema.batches import Batches
from schema.carried import Carried
from schema.room import Room
from schema.spool import Spool

log = structlog.get_logger()
router = APIRouter()
_BATCH_ID = re.compile(r"[!-~]{1,64}")
_DAY_S = 86_400
_STORED_TIMEOUT_S = 30.0


class _Refusal(msgspec.Struct):
    reason: str
    detail: str
    count: int
    example: str


class _Reply(msgspec.Struct):
    accepted: int
    refused: int
    refusals: list[_Refusal]
    batch: str
    duplicate: bool


@dataclass(frozen=True)
class Ingest:
    """What the route works with, made once per process."""

    admission: Admission
    spool: Spool
    batches: Batches
    stored: "Stored"
    room: Room
    tally: Tally
    carried: Carried


class Stored:
    """Lets a request wait until the segment that holds its batch is in ClickHouse."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def wait(self, token: str) -> None:
        """Return once the segment is stored."""
        waiting = self._waiting.setdefault(token, self._loop.create_future())
        await asyncio.shield(waiting)

    def announce(self, token: str) -> None:
        """Called from the drain's thread."""
        self._loop.call_soon_threadsafe(self._release, token)

    def _release(self, token: str) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting is not None:
            waiting.set_result(None)


@router.post(
    "/api/v1/snapshots",
    **described(
        status=202,
        takes=Snapshot | list[Snapshot],
        lines=True,
        gives=_Reply,
        problems=(*WITH_KEY, *WITH_BODY, InvalidQuery, Overloaded, StorageFull),
    ),
)
async def post_snapshots(request: Request) -> Response:
    """Store a batch of snapshots; 202 means that it survives any crash and is counted exactly once."""
    received_s = time.time()
    principal = await authenticate(request)
    settings: Settings = request.app.state.settings
    ingest: Ingest = request.app.state.ingest
    given = _batch_id(request)
    is_ndjson = body.media_type(request) == body.NDJSON
    raw = await body.read(request, settings.body_max_bytes)
    admitted = ingest.admission.admit(raw, bounds(settings, received_s), is_ndjson=is_ndjson)
    account = str(principal.account_id)
    batch = given or (batches.name_for(account, raw) if admitted.is_dated else "")
    # First, for a node whose samples find no room was heard all the same.
    await contact.record_contact(
        request.app.state, principal, admitted.nodes, int(received_s * 1000), request.headers.get("metrist-instance")
    )
    is_duplicate = bool(admitted.accepted) and await store(ingest, settings, account, batch, admitted)
    ingest.tally.note(admitted, is_duplicate=is_duplicate)
    if not is_duplicate:
        request.app.state.lateness.note(principal.account_id, admitted.nodes, admitted.span_s, received_s)
    door.admitted(request, admitted.nodes, admitted.accepted, admitted.refusals, is_twin=is_duplicate)
    if admitted.refused:
        reasons = {refusal.reason: refusal.count for refusal in admitted.refusals}
        log.info("samples_refused", account_id=account, reasons=reasons)
    return _reply(admitted, batch, is_duplicate)


async def store(ingest: Ingest, settings: Settings, account: str, batch: str, admitted: Admitted) -> bool:
    """Spool a batch unless it was stored before; True for one that was. Raises StorageFull, Overloaded."""
    ingest.room.require()
    if batch and not await ingest.batches.claim(account, batch):
        return True
    item = spool.record(account, batch, admitted.snapshots, admitted.accepted)
    try:
        token = await ingest.spool.append(item)
    except Exception:
        if batch:
            await ingest.batches.release(account, batch)
        raise
    if settings.ingest_ack == "stored":
        await _wait_stored(ingest, token, account, batch)
    elif batch:
        ingest.batches.settle(account, batch)
    return False


async def _wait_stored(ingest: Ingest, token: str, account: str, batch: str) -> None:
    """Until then the claim stays, so that a resend waits instead of being counted twice."""
    waiting = asyncio.ensure_future(ingest.stored.wait(token))
    if batch:
        waiting.add_done_callback(lambda _: ingest.batches.settle(account, batch))
    try:
        await asyncio.wait_for(asyncio.shield(waiting), _STORED_TIMEOUT_S)
    except TimeoutError as error:
        raise Overloaded(
            "ClickHouse has not stored the batch yet; send it again", headers={"Retry-After": "5"}
        ) from error


def _batch_id(request: Request) -> str:
    given = request.headers.get("metrist-batch-id", "")
    if given and not _BATCH_ID.fullmatch(given):
        raise InvalidQuery("Metrist-Batch-Id must be 1 to 64 printable ASCII characters without spaces")
    return given


def bounds(settings: Settings, now_s: float) -> Bounds:
    """The instants that a sample received now may have."""
    return Bounds(now_s - settings.hour_retention_days * _DAY_S, now_s, now_s + settings.snapshot_future_s)


def _reply(admitted: Admitted, batch: str, is_duplicate: bool) -> Response:
    reply = _Reply(
        admitted.accepted, admitted.refused, [_told(refusal) for refusal in admitted.refusals], batch, is_duplicate
    )
    return Response(msgspec.json.encode(reply), 202, media_type=body.JSON)


def _told(refusal: Refusal) -> _Refusal:
    return _Refusal(refusal.reason, refusal.detail, refusal.count, refusal.example)
