"""What agents ask and tell of monitors: the set for their instance, the key that signs it, how runs went."""

import asyncio
import base64
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import body, statuses
from api.auth import authenticate
from api.monitor_sets import MonitorSets
from api.openapi import WITH_BODY, WITH_KEY, described
from api.run_keeper import RunKeeper
from api.shapes import KeyAnswer, RunsAnswer
from domain import bundles, monitor_runs, pings, snapshots
from domain.condition_specs import NAME_MAX
from domain.errors import Conflict, InvalidQuery, LimitReached, StoreUnavailable
from domain.ids import AccountId
from domain.monitor_runs import Record, Report, Status
from domain.monitors import RESERVED_LABEL
from domain.series_key import InvalidKey
from domain.status_reports import MESSAGE_MAX_CHARS, Said
from schema import monitor_runs as kept_runs
from schema import reporting, server_secrets
from schema.run_history import Run
from schema.stores import Stores

router = APIRouter()
log = structlog.get_logger()
RUNS_MAX_BYTES = 1_048_576


@router.get("/api/v1/monitors/key", **described(gives=KeyAnswer, problems=WITH_KEY))
async def get_key(request: Request) -> Response:
    """The public key that bundles are signed with; an agent keeps the first one it is told."""
    await authenticate(request)
    public = bundles.public_key(await _private_key(request))
    told = {"key_id": bundles.key_id(public), "algorithm": "Ed25519", "public_key": base64.b64encode(public).decode()}
    return Response(msgspec.json.encode(told), media_type=body.JSON)


@router.post(
    "/api/v1/monitors/runs",
    **described(
        status=202,
        takes=list[Report],
        gives=RunsAnswer,
        problems=(*WITH_KEY, *WITH_BODY, InvalidQuery, Conflict),
    ),
)
async def post_runs(request: Request, node: str, instance: str | None = None) -> Response:
    """Remember how runs went. While Redis is away it says so, and the agent sends them again."""
    principal = await authenticate(request)
    node = _node(node, instance)
    now_s = time.time()
    reports = monitor_runs.parse(await body.read(request, RUNS_MAX_BYTES), now_s)
    stores: Stores = request.app.state.stores
    account_id = principal.account_id
    kept = await kept_runs.note(stores.redis, account_id, node, reports, int(now_s * 1000))
    await _keep(request, account_id, node, kept)
    await _hand_on(request, account_id, node, reports, datetime.fromtimestamp(now_s, UTC))
    return Response(msgspec.json.encode({"accepted": len(reports)}), 202, media_type=body.JSON)


async def bundle(request: Request, node: str, instance: str | None) -> Response:
    """All monitors that a node is to run, signed; 304 when it says that it has them. Raises StoreUnavailable."""
    principal = await authenticate(request)
    node = _node(node, instance)
    sets: MonitorSets = request.app.state.monitor_sets
    found = await sets.find(principal.account_id, node)
    if found is None:
        raise StoreUnavailable("the control DB is not reachable just now; go on with the monitors you have")
    headers = {"etag": f'"{found.hash}"', "cache-control": "no-cache"}
    if headers["etag"] in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
        return Response(status_code=304, headers=headers)
    private = await _private_key(request)
    signed = bundles.signed(private, principal.account_id, node, found.entries, int(time.time()))
    return Response(signed, media_type=body.JSON, headers=headers)


async def _keep(request: Request, account_id: AccountId, node: str, kept: Sequence[tuple[UUID, Record]]) -> None:
    """Store runs of monitors that there are: what a node says of others is no reason to write."""
    if not kept:
        return
    sets: MonitorSets = request.app.state.monitor_sets
    known = await sets.ids(account_id)
    keeper: RunKeeper = request.app.state.run_keeper
    keeper.add([Run(account_id, monitor_id, node, record) for monitor_id, record in kept if monitor_id in known])


async def _hand_on(
    request: Request, account_id: AccountId, node: str, reports: Sequence[Report], now: datetime
) -> None:
    """Statuses that runs gave become conditions, as those that agents report themselves do."""
    sets: MonitorSets = request.app.state.monitor_sets
    found = await sets.find(account_id, node)
    names = {entry.id: entry.name for entry in found.entries} if found else {}
    latest = {report.id: report for report in reports if report.trial is None and report.id in names}
    said = [_said(names[report.id], one) for report in latest.values() for one in report.statuses]
    if not said:
        return
    stores: Stores = request.app.state.stores
    try:
        changed = await reporting.report(stores.control, stores.redis, account_id, node, said, now)
    except LimitReached as error:  # which sending the runs again would not change
        log.warning("monitor_statuses_not_kept", account_id=str(account_id), node=node, detail=error.detail)
        return
    await statuses.publish(stores, account_id, changed)


def _said(monitor: str, status: Status) -> Said:
    name = " ".join(status.name.split())[:NAME_MAX] or monitor
    message = " ".join(status.message.split())[:MESSAGE_MAX_CHARS]
    return Said(name, status.state, message, {RESERVED_LABEL: monitor})


async def _private_key(request: Request) -> bytes:
    state = request.app.state
    known: bytes | None = getattr(state, "monitor_key", None)
    if known is None:
        now = datetime.now(UTC)
        known = await asyncio.to_thread(
            server_secrets.get_or_create, state.stores.control, server_secrets.MONITORS, now
        )
        state.monitor_key = known
    return known


def _node(node: str, instance: str | None) -> str:
    pings.check_instance(instance)
    try:
        snapshots.check_node(node)
    except InvalidKey as error:
        raise InvalidQuery(str(error)) from error
    return node
