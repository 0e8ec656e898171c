"""The pages of monitors: their list, the editor, trying one, and each one's page with its rollout and nodes."""

from fastapi import APIRouter

from dashboards.monitors import editor, listing, monitor, trying

router = APIRouter(include_in_schema=False)
for part in (listing, trying, editor, monitor):
    router.include_router(part.router)
