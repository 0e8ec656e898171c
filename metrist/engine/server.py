"""The process around it: opens chDB, listens, stops."""

import ipaddress
import logging
import os
import signal
import sys
from pathlib import Path

import structlog
import uvicorn

from agent.notify import Notifier
from domain.errors import StartRefused
from metrist.engine.chdb import Directory
from metrist.engine.http import Application
from metrist.engine.request import Credentials
from metrist.engine.resident import forget_start_later
from metrist.listener import listen

DRAIN_S = 1
"""How long requests go on after a stop. What still reads then is stopped."""
INSERTS_S = 3
"""How much longer an INSERT may take to end. A client tells by its token whether it has."""
KEEP_ALIVE_S = 75


def serve(directory: Path, host: str, port: int, username: str, password: str, *, threads: int = 8) -> None:
    """Serve until SIGTERM or SIGINT, then close chDB. Raises StartRefused."""
    if not password:
        raise StartRefused("the engine needs a password")
    log = structlog.get_logger()
    if not _is_loopback(host):
        log.warning("engine_exposed", host=host)
    listener = listen(host, port)
    opened = Directory(directory)
    application = Application(opened, Credentials(username, password), threads)
    notifier = Notifier()

    async def turned() -> None:
        notifier.turned()

    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        callback_notify=turned,
        timeout_notify=1,
    )
    # A stream that fails ends without its end, on purpose; uvicorn would call that an error of ours
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = uvicorn.Server(config)
    _survive_signals(server)
    log.info("engine_started", host=host, port=listener.getsockname()[1], version=opened.version)
    forgetting = forget_start_later(opened.program)
    server.run(sockets=[listener])
    forgetting.cancel()
    if not application.close(INSERTS_S):
        log.error("engine_stopped_hard")  # threads inside chDB cannot be ended, and Python would wait for them
        sys.stdout.flush()
        os._exit(1)
    opened.close()
    log.info("engine_stopped")


def _survive_signals(server: uvicorn.Server) -> None:
    """uvicorn raises the signal again when it is done, and its default would end us before chDB is closed."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
