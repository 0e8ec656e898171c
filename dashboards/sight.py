"""Who has opened a stream looks on only as long as they may: signed in, and of the same account."""

from time import monotonic

from anyio import to_thread
from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError

from dashboards.signin import viewer_of
from domain.errors import MetristError, StoreUnavailable
from schema.sessions import Viewer

CHECK_EVERY_S = 30.0
"""Who is removed, or has signed out, sees no more than this longer."""


class Sight:
    """One open stream's right to look."""

    def __init__(self, request: Request, viewer: Viewer) -> None:
        self._request = request
        self._viewer = viewer
        self._due_at = monotonic() + CHECK_EVERY_S

    async def lasts(self) -> bool:
        """Whether it may go on; costs a query every 30 s."""
        if monotonic() < self._due_at:
            return True
        self._due_at = monotonic() + CHECK_EVERY_S
        return await to_thread.run_sync(self._may_look)

    def _may_look(self) -> bool:
        """While the control DB is away nobody can tell, and the stream goes on to its end."""
        try:
            return viewer_of(self._request).account_id == self._viewer.account_id
        except (StoreUnavailable, SQLAlchemyError, OSError):
            return True
        except MetristError:
            return False
