"""Status conditions: the list with what fires first, each one's page, the editor with its preview, and why."""

from fastapi import APIRouter

from dashboards.conditions import condition, editor, listing, overlay, preview, stream, why

router = APIRouter(include_in_schema=False)
for part in (listing, stream, editor, preview, overlay, why, condition):
    router.include_router(part.router)
