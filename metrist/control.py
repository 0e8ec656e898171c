"""The control DB as the operator's commands open it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Engine

from domain.errors import NotFound, StartRefused
from domain.ids import AccountId
from domain.settings import Settings
from metrist.environment import read_settings
from metrist.reach import refuse_unreachable
from schema import accounts
from schema.accounts import AccountRow
from schema.control import migrate
from schema.control.engine import open_control


@contextmanager
def opened(settings: Settings | None = None) -> Iterator[Engine]:
    """The migrated control DB of this environment. Raises StartRefused."""
    settings = settings or read_settings()
    refuse_unreachable(settings, "database_url")
    engine = open_control(settings.database_url.get_secret_value())
    try:
        migrate.check(engine)
        yield engine
    finally:
        engine.dispose()


def find_account(engine: Engine, name_or_id: str) -> AccountRow:
    """The one account meant. Raises NotFound for none, StartRefused for several of one name."""
    found = _by_id(engine, name_or_id) or list(accounts.named(engine, name_or_id))
    if not found:
        raise NotFound(f"there is no account {name_or_id!r}; see `metrist account list`")
    if len(found) > 1:
        ids = ", ".join(str(account.id) for account in found)
        raise StartRefused(f"several accounts are called {name_or_id!r}; name one by its id: {ids}")
    return found[0]


def now() -> datetime:
    """The time at this edge."""
    return datetime.now(UTC)


def _by_id(engine: Engine, text: str) -> list[AccountRow]:
    try:
        account = accounts.find(engine, AccountId(UUID(text)))
    except ValueError:
        return []
    return [account] if account else []
