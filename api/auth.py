"""Who is asking: an API key in the Authorization header, or a signed-in person's cookie."""

import asyncio
import hashlib
import math
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request

from dashboards.signin import viewer_of
from domain import keys, tokens
from domain.errors import Forbidden, MetristError, MissingKey, StorageFull, StoreUnavailable, WrongKey
from domain.ids import AccountId, KeyId
from domain.keys import Scope
from schema import api_keys
from schema.api_keys import StoredKey

log = structlog.get_logger()
_FRESH_S = 5.0
_NOTE_EVERY_S = 60.0
_STALE_MAX_S = 3_600.0
_CACHE_MAX = 100_000
_WRONG = "the key is unknown or revoked; make one in the settings of your account and send Authorization: Bearer mtr_…"


@dataclass(frozen=True, slots=True)
class Principal:
    """A proven caller: what it may touch and do. `key_id` is None for a person's session."""

    account_id: AccountId
    key_id: KeyId | None
    scopes: frozenset[str]


@dataclass(slots=True)
class _Entry:
    stored: StoredKey | None
    read_at: float
    noted_at: float = -math.inf


class KeyCache:
    """Keys by public id, so that proving a key costs no store on the hot path.

    A revoked key ends as soon as we hear of it (`end`), and after five seconds at the latest, when its entry is read
    again; while the control DB is away known keys go on for an hour. Unknown ids are remembered too, and the number of
    entries is bounded.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._entries: OrderedDict[KeyId, _Entry] = OrderedDict()
        self._reading: dict[KeyId, asyncio.Task[StoredKey | None]] = {}
        self._noting: set[asyncio.Task[None]] = set()
        self._ended = 0

    async def find(self, key_id: KeyId) -> StoredKey | None:
        """The stored key of a public id, at most five seconds old."""
        entry = self._entries.get(key_id)
        now = time.monotonic()
        if entry is not None and now - entry.read_at < _FRESH_S:
            return entry.stored
        try:
            return await self._read_once(key_id)
        except (StoreUnavailable, StorageFull, SQLAlchemyError, OSError):
            if entry is not None and now - entry.read_at < _STALE_MAX_S:
                log.warning("key_served_stale", key_id=key_id)
                return entry.stored
            raise

    def end(self, key_id: KeyId) -> None:
        """Take a key for revoked from now on; what the control DB says counts when it is read next, which is soon."""
        self._ended += 1
        self._reading.pop(key_id, None)
        entry = self._entries.get(key_id)
        if entry is not None and entry.stored is not None and entry.stored.revoked_at is None:
            entry.stored = replace(entry.stored, revoked_at=datetime.now(UTC))

    def note_use(self, stored: StoredKey) -> None:
        """Record that a key was used, at most once a minute and in the background."""
        entry = self._entries[stored.id]
        now = time.monotonic()
        if now - entry.noted_at > _NOTE_EVERY_S:
            entry.noted_at = now
            noting = asyncio.create_task(asyncio.to_thread(self._note, stored))
            self._noting.add(noting)
            noting.add_done_callback(self._noting.discard)

    def _note(self, stored: StoredKey) -> None:
        try:
            api_keys.touch_last_used(self._engine, stored.account_id, stored.id, datetime.now(UTC))
        except (MetristError, SQLAlchemyError, OSError) as error:
            log.debug("key_use_not_noted", error=type(error).__name__)

    async def _read_once(self, key_id: KeyId) -> StoredKey | None:
        while True:
            ended = self._ended
            stored = await asyncio.shield(self._reading_of(key_id))
            if ended == self._ended:  # else it may have been read before it was revoked
                break
        before = self._entries.get(key_id)
        self._entries[key_id] = _Entry(stored, time.monotonic(), before.noted_at if before else -math.inf)
        self._entries.move_to_end(key_id)
        if len(self._entries) > _CACHE_MAX:
            self._entries.popitem(last=False)
        return stored

    def _reading_of(self, key_id: KeyId) -> asyncio.Task[StoredKey | None]:
        """The read under way, for all who wait for this key."""
        reading = self._reading.get(key_id)
        if reading is None or reading.done():
            reading = asyncio.create_task(asyncio.to_thread(api_keys.find_by_public_id, self._engine, key_id))
            self._reading[key_id] = reading
            reading.add_done_callback(lambda done: self._forget_reading(key_id, done))
        return reading

    def _forget_reading(self, key_id: KeyId, done: asyncio.Task[StoredKey | None]) -> None:
        if self._reading.get(key_id) is done:
            del self._reading[key_id]


async def authenticate(request: Request, scope: str = Scope.INGEST) -> Principal:
    """The caller of a request with an API key; raises MissingKey, WrongKey or Forbidden."""
    header = request.headers.get("authorization", "")
    kind, _, text = header.partition(" ")
    if kind.lower() != "bearer" or not text.strip():
        raise MissingKey("send your API key as the header Authorization: Bearer mtr_…")
    text = text.strip()
    key_id = keys.public_id(text)
    if key_id is None:
        raise WrongKey("this is not a Metrist API key; one reads mtr_, 16 hex digits, _ and 43 more characters")
    cache: KeyCache = request.app.state.keys
    stored = await cache.find(key_id)
    if stored is None:
        hashlib.sha256(text.encode()).digest()  # as long as for a known id
        raise WrongKey(_WRONG)
    request.state.key = stored  # at whose door this is, whatever becomes of it: api/door.py
    if not tokens.matches(text, stored.secret_hash) or stored.revoked_at is not None:
        raise WrongKey(_WRONG)
    if scope not in stored.scopes:
        raise Forbidden(f"this key has not the scope {scope}; make one that has it in the settings of your account")
    cache.note_use(stored)
    return Principal(stored.account_id, stored.id, frozenset(stored.scopes))


async def authenticate_reader(request: Request) -> Principal:
    """The caller of a request that only reads: a key with scope read, or a signed-in person's cookie."""
    if "authorization" in request.headers:
        return await authenticate(request, Scope.READ)
    viewer = await asyncio.to_thread(viewer_of, request)
    return Principal(viewer.account_id, None, frozenset({Scope.READ}))
