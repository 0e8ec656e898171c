"""What the control DB holds of one account, row by row, to be taken elsewhere: never another's, and nothing secret."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, Select, Table, select

from domain.ids import AccountId
from schema.control.engine import reading
from schema.control.tables import (
    accounts,
    api_key_uses,
    api_keys,
    attempts,
    deliveries,
    memberships,
    metadata,
    users,
)

AT_ONCE = 500
LEFT_OUT: Mapping[str, str] = {
    "channel_secrets": "sealed secrets of channels",
    "erasures": "what is being erased",
    "identities": "how people sign in, which is theirs and not the account's",
    "server_secrets": "what the server itself signs with",
    "sessions": "who is signed in",
    "sign_in_links": "ways in",
}
"""Tables that are no part of an export, and what they hold."""
SECRET = ("secret", "token", "sealed", "sha256")
"""Columns, and keys of an event's payload, whose names have one of these are left out, hashes too."""
_NAMES_OF_GROUPS = ("group_sha256",)
"""These are digests of labels, and tell nothing that the labels beside them do not."""


def tables() -> list[str]:
    """Those of an export, parents before children."""
    return [table.name for table in metadata.sorted_tables if table.name not in LEFT_OUT]


class AccountRows:
    """One account's rows, all as of one moment."""

    def __init__(self, conn: Connection, account_id: AccountId) -> None:
        self._conn = conn.execution_options(yield_per=AT_ONCE)
        self._account_id = account_id

    def of(self, table: str) -> Iterator[dict[str, Any]]:
        """A table's rows, without what is secret; memory holds some of them."""
        found = metadata.tables[table]
        shown = [column for column in found.columns if not _is_secret(column.name)]
        for row in self._conn.execute(_whose(found, self._account_id).with_only_columns(*shown)).mappings():
            yield {name: _without_secrets(value) for name, value in row.items()}


def rows_of(engine: Engine, account_id: AccountId, table: str) -> list[dict[str, Any]]:
    """All of a small table's rows."""
    with reading(engine) as conn:
        return list(AccountRows(conn, account_id).of(table))


def _whose(table: Table, account_id: AccountId) -> Select[Any]:
    """The account's rows of a table, in the order of its key."""
    found = select(table).order_by(*table.primary_key.columns)
    if table is accounts:
        return found.where(accounts.c.id == account_id)
    if "account_id" in table.c:
        return found.where(table.c.account_id == account_id)
    if table is users:
        return found.join(memberships).where(memberships.c.account_id == account_id)
    through = {api_key_uses.name: api_keys, attempts.name: deliveries}[table.name]
    return found.join(through).where(through.c.account_id == account_id)


def _is_secret(name: str) -> bool:
    return name not in _NAMES_OF_GROUPS and any(word in name for word in SECRET)


def _without_secrets(value: Any) -> Any:
    """A document without the keys that name secrets, at any depth."""
    if isinstance(value, dict):
        return {key: _without_secrets(each) for key, each in value.items() if not _is_secret(key)}
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return value
