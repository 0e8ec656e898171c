"""The list of monitors, and the ways to a new one."""

from datetime import UTC, datetime

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards.monitors.common import HERE, Viewing, said
from dashboards.monitors.fleet import fleet, matching
from dashboards.monitors.runs import Found, last_runs
from dashboards.monitors.starts import STARTS
from dashboards.render import page
from domain.monitors import allowed
from domain.nodes import NodeState
from schema import monitors, nodes

router = APIRouter()


@router.get(HERE)
async def show(request: Request, viewer: Viewing) -> Response:
    """All monitors of the account, and how they do."""
    stores, now = request.app.state.stores, datetime.now(UTC)
    found = await to_thread.run_sync(monitors.list_for, stores.control, viewer.account_id)
    known = await to_thread.run_sync(nodes.list_for, stores.control, viewer.account_id)
    theirs = {one.id: matching(one.target, known) for one in found}
    pushed = {one.id: [node.name for node in theirs[one.id]] for one in found if one.pushed}
    runs = await last_runs(request, viewer.account_id, pushed)
    nothing = Found({})
    rows = [
        (one, fleet(one, theirs[one.id], last.runs, {}, now, last.recalled))
        for one in found
        for last in [runs.get(one.id, nothing)]
    ]
    live = [node for node in known if node.state != NodeState.DEREGISTERED]
    return page(
        request,
        "monitors.html",
        viewer,
        place="monitors",
        said=said(request),
        refusal="",
        rows=rows,
        starts=STARTS,
        nodes=len(live),
        willing=sum(allowed(node.agent) is not None for node in live),
    )
