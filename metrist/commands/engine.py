"""`metrist engine`: ClickHouse in this process."""

import argparse
from urllib.parse import unquote, urlsplit

from domain.errors import StartRefused
from metrist import engine, logs
from metrist.environment import read_settings


def run(options: argparse.Namespace) -> None:
    """Serve ClickHouse's HTTP interface for the user and password that METRIST_CLICKHOUSE_URL names."""
    settings = read_settings()
    logs.configure(settings)
    url = urlsplit(settings.clickhouse_url.get_secret_value())
    if not (url.username and url.password):
        raise StartRefused("METRIST_CLICKHOUSE_URL needs user and password: http://user:password@host:port/database")
    engine.serve(options.dir, options.host, options.port, unquote(url.username), unquote(url.password))
