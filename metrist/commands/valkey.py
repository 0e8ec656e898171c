"""`metrist valkey`: the Valkey server, watched over."""

import argparse
import asyncio
from urllib.parse import unquote, urlsplit

from domain.errors import StartRefused
from metrist import logs, valkey_service
from metrist.datadir import LOOPBACK
from metrist.embedded import Store
from metrist.environment import read_settings

PORT = 6379


def run(options: argparse.Namespace) -> None:
    """Run it for the port and the password that METRIST_REDIS_URL names, until asked to stop."""
    settings = read_settings()
    logs.configure(settings)
    url = urlsplit(settings.redis_url.get_secret_value())
    if url.hostname not in (LOOPBACK, "localhost") or not url.password:
        raise StartRefused(
            f"METRIST_REDIS_URL must be redis://:password@{LOOPBACK}:port/0 for a server on this machine"
        )
    store = Store(url.port or PORT, unquote(url.password))
    asyncio.run(valkey_service.serve(options.dir.absolute(), store))
