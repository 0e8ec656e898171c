"""The log of one account, newest first, with the names that its sentences need."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, or_, select

from domain.accounts import called
from domain.audit import KINDS, Names, needed, sentence
from domain.events import Event
from domain.ids import AccountId
from schema.control.engine import reading
from schema.control.tables import events, users
from schema.events import to_event

BATCH = 500
LOOKS_AT_MOST = 10_000
"""A search for words reads so many events and then says how far it came; the rest of a filter the database does."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to show; what is empty or None filters nothing.

    kind          one of domain.audit.KINDS
    actor         `user/<uuid>`, `system`, or `node/` for any node
    text          words that a sentence must hold, in any case of letters
    since, until  [since, until), by our clock
    """

    kind: str = ""
    actor: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its sentence, and who did it."""

    event: Event
    sentence: str
    actor: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some entries, newest first.

    older      seq to go on below; None when there is nothing older
    looked_to  how far back a search came that found too little; None when the page is full or the log at its end
    """

    entries: Sequence[Entry]
    older: int | None
    looked_to: datetime | None = None


def read(engine: Engine, account_id: AccountId, search: Search, below: int | None, at_most: int) -> Page:
    """The newest entries whose seq is less than `below`."""
    found: list[Entry] = []
    looked = 0
    last: Event | None = None
    for batch in _batches(engine, account_id, search, below):
        for entry in batch:
            if len(found) == at_most:
                return Page(found, found[-1].event.seq)
            last = entry.event
            if _matches(entry, search.text):
                found.append(entry)
        looked += len(batch)
        if looked >= LOOKS_AT_MOST and last is not None:
            return Page(found, last.seq, last.at)
    return Page(found, None)


def read_all(engine: Engine, account_id: AccountId, search: Search) -> Iterator[Sequence[Entry]]:
    """Everything that a search finds, newest first, in batches: memory stays flat however long the log is."""
    for batch in _batches(engine, account_id, search, None):
        yield [entry for entry in batch if _matches(entry, search.text)]


def _batches(engine: Engine, account_id: AccountId, search: Search, below: int | None) -> Iterator[Sequence[Entry]]:
    """Each batch is a short transaction of its own, so that a slow reader holds nothing."""
    while True:
        with reading(engine) as conn:
            found = _read(conn, account_id, search, below)
            names = _names(conn, account_id, found)
        if found:
            yield [Entry(event, sentence(event, names), names.actor(event.actor)) for event in found]
        if len(found) < BATCH:
            return
        below = found[-1].seq


def _read(conn: Connection, account_id: AccountId, search: Search, below: int | None) -> Sequence[Event]:
    query = select(events).where(events.c.account_id == account_id, *_filters(search))
    if below is not None:
        query = query.where(events.c.seq < below)
    return [to_event(row) for row in conn.execute(query.order_by(events.c.seq.desc()).limit(BATCH))]


def _filters(search: Search) -> Iterator[ColumnElement[bool]]:
    if search.kind in KINDS:
        yield or_(*(events.c.stream.startswith(f"{kind}/", autoescape=True) for kind in KINDS[search.kind]))
    if search.actor.endswith("/"):
        yield events.c.actor.startswith(search.actor, autoescape=True)
    elif search.actor:
        yield events.c.actor == search.actor
    if search.since is not None:
        yield events.c.at >= search.since
    if search.until is not None:
        yield events.c.at < search.until


def _names(conn: Connection, account_id: AccountId, found: Sequence[Event]) -> Names:
    """What the log calls things by their first event, so that what is no more has its name still."""
    people, things = needed(found)
    known = select(users.c.id, users.c.name, users.c.email).where(users.c.id.in_(_ids(people)))
    firsts = select(events.c.stream, events.c.payload).where(
        events.c.stream.in_(things), events.c.version == 1, events.c.account_id == account_id
    )
    return Names(
        {str(user.id): called(user.name, user.email) for user in conn.execute(known)},
        {first.stream: first.payload for first in conn.execute(firsts)},
    )


def _ids(texts: Iterable[str]) -> list[UUID]:
    """Those of the texts that are ids."""
    found = []
    for text in texts:
        with suppress(ValueError):
            found.append(UUID(text))
    return found


def _matches(entry: Entry, text: str) -> bool:
    said = entry.sentence.casefold()
    return all(word in said for word in text.casefold().split())
