"""Templates to pages: one environment, everything escaped, nothing undefined."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from dashboards import static
from dashboards.format import ago, duration, number
from dashboards.install import install_lines
from domain.own_account import ACCOUNT
from domain.permissions import Permission, may
from schema.sessions import Viewer


def page(
    request: Request,
    template: str,
    viewer: Viewer | None = None,
    *,
    status: int = 200,
    place: str = "",
    **context: Any,
) -> HTMLResponse:
    """A page as `viewer` sees it; without one it has no navigation."""
    known = {
        "viewer": viewer,
        "place": place,
        "now_s": datetime.now(UTC).timestamp(),
        "request": request,
        "is_full": viewer is not None and _is_full(request),
    }
    return HTMLResponse(_environment().get_template(template).render(known | context), status)


def _is_full(request: Request) -> bool:
    """Whether samples are refused just now for want of room."""
    ingest = getattr(request.app.state, "ingest", None)
    return ingest is not None and ingest.room.short() is not None


def operates(viewer: Viewer) -> bool:
    """Whether somebody may see how the platform is: they belong to its own account."""
    return any(account.account_id == ACCOUNT for account in viewer.accounts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dashboards"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["install_lines"] = install_lines
    environment.globals["may"] = may
    environment.globals["Permission"] = Permission
    environment.globals["operates"] = operates
    environment.globals["asset"] = static.url_for
    environment.globals["plotly_sheets"] = static.plotly_sheets
    environment.filters["ago"] = ago
    environment.filters["duration"] = duration
    environment.filters["number"] = number
    environment.filters["thousands"] = "{:,}".format
    return environment
