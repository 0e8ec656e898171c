"""Is there anything at a store's address? Asked once at a start, so that a wrong URL is one clear line."""

import socket
from urllib.parse import urlsplit

from pydantic import SecretStr

from domain.errors import StartRefused
from domain.settings import Settings
from metrist.environment import without_password

WITHIN_S = 5.0
STORES = {"clickhouse_url": "ClickHouse", "redis_url": "Redis", "database_url": "the control database"}
PORTS = {"http": 8123, "https": 8443, "redis": 6379, "rediss": 6379, "postgresql": 5432, "postgres": 5432}


def refuse_unreachable(settings: Settings, *names: str) -> None:
    """Connect to each named store and hang up. Raises StartRefused with its URL, without the password."""
    for name in names:
        url: SecretStr = getattr(settings, name)
        try:
            _connect(url)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StartRefused(
                f"cannot reach {STORES[name]} at {without_password(url)}: {reason}; see METRIST_{name.upper()}"
            ) from None


def _connect(url: SecretStr) -> None:
    """A file or a local socket has no host, and is left to its own client."""
    parts = urlsplit(url.get_secret_value())
    port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
    if parts.hostname and port:
        socket.create_connection((parts.hostname, port), timeout=WITHIN_S).close()
