"""`metrist engine`: ClickHouse in this process."""

import argparse
from urllib.parse import unquote, urlsplit

from domain.errors import StartRefused
from metrist import engine, logs
from metrist.datadir import LOOPBACK
from metrist.environment import read_settings

PORT = 8123


def run(options: argparse.Namespace) -> None:
    """Serve ClickHouse's HTTP interface for the user and password that METRIST_CLICKHOUSE_URL names."""
    settings = read_settings()
    logs.configure(settings)
    url = urlsplit(settings.clickhouse_url.get_secret_value())
    if not (url.username and url.password):
        raise StartRefused("METRIST_CLICKHOUSE_URL needs user and password: http://user:password@host:port/database")
    host, port = options.host or url.hostname or LOOPBACK, options.port or url.port or PORT
    engine.serve(options.dir, host, port, unquote(url.username), unquote(url.password))
