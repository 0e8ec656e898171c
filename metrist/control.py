"""The control DB as the operator's commands open it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine

from domain import own_account
from domain.errors import NotFound, StartRefused
from domain.ids import AccountId
from domain.settings import Settings
from metrist import embedded
from metrist.datadir import DataDir
from metrist.environment import is_set, read_settings
from metrist.reach import refuse_unreachable
from schema import accounts
from schema.accounts import AccountRow
from schema.control import migrate
from schema.control.engine import open_control


@dataclass(frozen=True)
class Control:
    """An opened control DB, and what the operator's environment says."""

    engine: Engine
    settings: Settings


def settings_for(data: Path | None) -> Settings:
    """The environment's settings; for the data directory of a `metrist up`, its control DB, Redis and address.

    Without one given it is ./data, if that is there and the environment names no control DB.
    """
    settings = read_settings()
    directory = DataDir((data or Path("data")).resolve())
    if data is None and (is_set(settings, "database_url") or not directory.control_db.exists()):
        return settings
    if not directory.control_db.exists():
        raise StartRefused(f"{directory.root} is no data directory of a `metrist up`")
    address = directory.address.read_text() if directory.address.exists() else settings.base_url
    redis_url = None if is_set(settings, "redis_url") else embedded.redis_url(directory)
    return read_settings(database_url=f"sqlite:///{directory.control_db}", public_url=address, redis_url=redis_url)


@contextmanager
def opened(settings: Settings) -> Iterator[Control]:
    """The migrated control DB. Raises StartRefused."""
    refuse_unreachable(settings, "database_url")
    engine = open_control(settings.database_url.get_secret_value())
    try:
        migrate.check(engine, or_newer=True)  # a release only adds to the tables of the one before
        yield Control(engine, settings)
    finally:
        engine.dispose()


def find_account(engine: Engine, name_or_id: str | None) -> AccountRow:
    """The one account meant; None means the only one. Raises NotFound for none, StartRefused for several."""
    if name_or_id is None:
        return _only([account for account in accounts.list_all(engine) if account.id != own_account.ACCOUNT])
    found = _by_id(engine, name_or_id) or list(accounts.named(engine, name_or_id))
    if not found:
        raise NotFound(f"there is no account {name_or_id!r}; see `metrist account list`")
    if len(found) > 1:
        ids = ", ".join(str(account.id) for account in found)
        raise StartRefused(f"several accounts are called {name_or_id!r}; name one by its id: {ids}")
    return found[0]


def _only(found: Sequence[AccountRow]) -> AccountRow:
    if len(found) != 1:
        names = ", ".join(account.name for account in found) or "none"
        raise StartRefused(f"name the account with --account; there are: {names}")
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
