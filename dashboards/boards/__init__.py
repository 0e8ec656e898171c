"""Dashboards that people keep: the list of them, each one's page with its editor, its revisions, links to share it."""

from fastapi import APIRouter

from dashboards.boards import adding, board, listing, revisions, shared, sharing

router = APIRouter(include_in_schema=False)
for part in (listing, adding, board, revisions, sharing, shared):
    router.include_router(part.router)
