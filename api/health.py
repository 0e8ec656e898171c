"""GET /healthz: this process lives. GET /readyz: its stores answer."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import msgspec
from fastapi import APIRouter
from sqlalchemy import Engine, text
from starlette.requests import Request
from starlette.responses import Response

from api.snapshots import Ingest

router = APIRouter()
_TIMEOUT_S = 3.0


@router.get("/healthz")
async def get_health() -> Response:
    """Always 200 while the process answers."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get("/readyz")
async def get_readiness(request: Request) -> Response:
    """200 when every store answers, else 503; either way each is named with its state."""
    stores = request.app.state.stores
    ingest: Ingest = request.app.state.ingest
    checks = await asyncio.gather(
        _check(asyncio.to_thread(stores.clickhouse.command, "SELECT 1")),
        _check(stores.redis.ping()),
        _check(asyncio.to_thread(_ask_control, stores.control)),
    )
    body: dict[str, Any] = dict(zip(("clickhouse", "redis", "control"), checks, strict=True))
    body["spool"] = {"pending_bytes": ingest.spool.pending_bytes, "segments": len(ingest.spool.sealed())}
    is_ready = all(check["ok"] for check in checks)
    return Response(msgspec.json.encode(body), 200 if is_ready else 503, media_type="application/json")


async def _check(asked: Awaitable[Any]) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await asked
    except Exception as error:  # any failure of any store is the answer here
        return {"ok": False, "error": type(error).__name__}
    return {"ok": True, "took_ms": round((time.perf_counter() - began) * 1000, 1)}


def _ask_control(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
