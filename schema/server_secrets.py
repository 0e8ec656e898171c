"""What the server itself signs with, when nobody has set it: made once, the same in every process."""

import secrets
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select

from schema import events
from schema.control.engine import reading
from schema.control.tables import server_secrets

LENGTH = 32
MONITORS = "monitors"
"""Name of the secret that is the private key of bundles of monitors."""


def get_or_create(engine: Engine, name: str, now: datetime) -> bytes:
    """The secret of this name, made by whoever asks first; of two that ask at once both get the same."""
    with reading(engine) as conn:
        known = _find(conn, name)
    return known or events.retrying(engine, lambda conn: _find_or_make(conn, name, now))


def _find(conn: Connection, name: str) -> bytes | None:
    value: bytes | None = conn.scalar(select(server_secrets.c.value).where(server_secrets.c.name == name))
    return value


def _find_or_make(conn: Connection, name: str, now: datetime) -> bytes:
    known = _find(conn, name)
    if known is not None:
        return known
    made = secrets.token_bytes(LENGTH)
    conn.execute(insert(server_secrets).values(name=name, value=made, created_at=now))
    return made
