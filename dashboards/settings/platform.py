"""How the platform is, for who operates it: every part asked now, and the way to the dashboard of its own figures."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.render import operates
from dashboards.settings.sheet import SAFELY, Viewing, sheet
from dashboards.signin import session_token
from domain.errors import NotFound
from domain.own_account import ACCOUNT, DASHBOARD
from domain.readiness import Part, status
from schema import sessions
from schema.sessions import Viewer

HERE = "/settings/platform"
TITLES = {
    "control": "Control DB",
    "clickhouse": "ClickHouse",
    "redis": "Redis",
    "spool": "Spool",
    "disk": "Disks",
    "queue": "Queues",
    "background": "Worker, scheduler",
    "clock": "Clocks",
}
"""The parts in the order of the page."""
STATES = {
    "ready": ("online", "All is well"),
    "degraded": ("late", "Something needs a look"),
    "not ready": ("offline", "A store does not answer"),
}

router = APIRouter()


@router.get(HERE)
async def show(request: Request, viewer: Viewing) -> Response:
    """Every part, looked at within the last second. Raises NotFound for who does not operate the platform."""
    _require_operator(viewer)
    parts: dict[str, Part] = await request.app.state.readiness.parts()
    state, words = STATES[status(parts)]
    return sheet(
        request,
        viewer,
        "platform",
        state=state,
        words=words,
        parts=[(title, parts[name], _facts(name, parts[name])) for name, title in TITLES.items()],
        has_token=bool(request.app.state.settings.metrics_token.get_secret_value()),
        waiting=len(request.app.state.own_reports.waiting),
    )


@router.post(f"{HERE}/dashboard", dependencies=SAFELY)
def open_dashboard(request: Request, viewer: Viewing) -> Response:
    """Look at the platform's own account from now on, and at its dashboard first. Raises NotFound."""
    _require_operator(viewer)
    sessions.choose(request.app.state.stores.control, session_token(request) or "", ACCOUNT)
    return RedirectResponse(f"/dashboards/{DASHBOARD}", 303)


def _require_operator(viewer: Viewer) -> None:
    if not operates(viewer):
        raise NotFound("There is no such page, or it is for who operates this platform")


def _facts(name: str, part: Part) -> str:
    """The figures that people go by, in words."""
    facts: dict[str, Any] = part.facts
    if name in ("control", "clickhouse", "redis"):
        return f"answered within {facts['took_ms']:g} ms" if part.ok else ""
    if name == "spool":
        waits = f", the oldest for {facts['oldest_s']:g} s" if facts["segments"] else ""
        return f"{facts['segments']:g} segments wait{waits}"
    if name == "disk":
        disks = [key.removesuffix("_free_bytes") for key in facts if key.endswith("_free_bytes")]
        return ", ".join(f"{disk}: {facts[f'{disk}_free_bytes'] / 2**30:.1f} GiB free" for disk in disks)
    if name == "queue":
        jobs = sum(value for key, value in facts.items() if key.endswith("_jobs"))
        return f"{jobs:g} jobs wait"
    if name == "clock":
        apart = [abs(value) for key, value in facts.items() if key.endswith("_ahead_s")]
        return f"within {max(apart):.2f} s of ours" if apart else ""
    return ""
