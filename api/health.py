"""GET /healthz: this process lives. GET /readyz: every part of the platform, and why one is not well."""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.openapi import described
from api.readiness import Readiness
from api.shapes import Health, Ready
from domain.readiness import status

router = APIRouter()
_UNKEPT = {"cache-control": "no-store"}


@router.get("/healthz", **described(gives=Health, who=()))
async def get_health() -> Response:
    """Always 200 while the process answers."""
    return Response(b'{"status":"ok"}', media_type="application/json", headers=_UNKEPT)


@router.get("/readyz", **described(gives=Ready, who=(), also={503: "A store does not answer"}))
async def get_readiness(request: Request) -> Response:
    """200 when every store answers, though other parts may be degraded; else 503 (domain/readiness.py)."""
    looked: Readiness = request.app.state.readiness
    parts = await looked.parts()
    found = status(parts)
    body: dict[str, Any] = {"status": found, **parts}
    code = 503 if found == "not ready" else 200
    return Response(msgspec.json.encode(body), code, media_type="application/json", headers=_UNKEPT)
