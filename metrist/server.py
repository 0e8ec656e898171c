"""The HTTP server that runs the API."""

import asyncio
import socket

import structlog
import uvicorn
from fastapi import FastAPI

from agent.notify import Notifier
from api.app import create_app
from domain.settings import Settings
from metrist import capacity, pulse
from metrist.listener import BACKLOG, listen, passed
from metrist.protocol import Protocol

log = structlog.get_logger()

DRAIN_S = 2
"""How long open requests may go on after a stop; long polls and streams are told to end (see `Server`)."""
KEEP_ALIVE_S = 75
"""Longer than the ping interval, so that an agent keeps one connection; nginx's own default."""


def serve(settings: Settings) -> None:
    """Serve on the passed socket, or else on our own, until SIGTERM or SIGINT. Raises StartRefused."""
    listener = passed() or listen(settings.host, settings.port)
    app, notifier, tidier = create_app(settings), Notifier(), capacity.Tidier()
    app.state.reports_itself = settings.own_figures

    async def turned() -> None:
        notifier.turned()
        tidier.turn()

    capacity.make_room()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Protocol,
        ws="none",
        proxy_headers=True,
        forwarded_allow_ips=settings.trusted_proxies,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        callback_notify=turned,
        timeout_notify=1,
    )
    Server(config, app).run(sockets=[listener])


class Server(uvicorn.Server):
    """Tells the application at once that it stops, by `app.state.stopping`: requests that wait end by themselves."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._beating: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so; the loop beats from before the application is started, which takes its time."""
        fd = pulse.handed_over()
        if fd is not None:
            self._beating = asyncio.create_task(pulse.beat_forever(fd))
        await super().startup(sockets)
        log.info("api_started", address=sockets[0].getsockname()[:2] if sockets else None)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Set the event, then drain."""
        stopping = getattr(self._app.state, "stopping", None)
        if isinstance(stopping, asyncio.Event):
            stopping.set()
        await super().shutdown(sockets)
        log.info("api_stopped")
