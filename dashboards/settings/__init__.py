"""The settings of an account, its people, and of the person who looks: one module a page."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from dashboards.settings import account, audit, keys, people, platform, you

router = APIRouter(include_in_schema=False)
for part in (account, people, keys, audit, platform, you):
    router.include_router(part.router)


@router.get("/settings")
def start() -> Response:
    """The account is where settings begin."""
    return RedirectResponse("/settings/account", 307)
