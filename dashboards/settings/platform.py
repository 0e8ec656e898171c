"""How the platform is, for who operates it: every part asked now, and the way to the dashboard of its own figures."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.render import operates
from dashboards.settings.sheet import SAFELY, Viewing, sheet
from dashboards.signin import session_token
from domain.errors import NotFound
from domain.own_account import ACCOUNT, DASHBOARD
from domain.readiness import STORES, Part, status
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
Facts = Mapping[str, float]
DISKS = {"clickhouse": "ClickHouse's", "spool": "the spool's"}
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
    return SAYS[name](part.facts) if part.facts else ""


def _answered(facts: Facts) -> str:
    return f"answered within {facts['took_ms']:g} ms"


def _spooled(facts: Facts) -> str:
    waits = f", the oldest for {facts['oldest_s']:g} s" if facts["segments"] else ""
    return f"{facts['segments']:g} segments wait{waits}"


def _free(facts: Facts) -> str:
    known = {name: facts[key] for name in DISKS if (key := f"{name}_free_bytes") in facts}
    return ", ".join(f"{DISKS[name]} has {free / 2**30:.1f} GiB free" for name, free in known.items())


def _queued(facts: Facts) -> str:
    return f"{sum(value for key, value in facts.items() if key.endswith('_jobs')):g} jobs wait"


def _living(facts: Facts) -> str:
    return " and ".join(name for name, lives in facts.items() if lives) or "neither lives"


def _apart(facts: Facts) -> str:
    apart = [abs(value) for key, value in facts.items() if key.endswith("_ahead_s")]
    return f"within {max(apart):.2f} s of ours" if apart else ""


SAYS: dict[str, Callable[[Facts], str]] = {
    **dict.fromkeys(STORES, _answered),
    "spool": _spooled,
    "disk": _free,
    "queue": _queued,
    "background": _living,
    "clock": _apart,
}
