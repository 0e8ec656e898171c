"""The picture of what a notice tells: the line of its group around the time when it began."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import structlog

from domain import pictures
from domain.deliveries import Notice
from domain.errors import MetristError
from domain.ids import AccountId
from domain.query import Query
from domain.series import Retention, Window, plan
from domain.settings import Settings
from schema import query as lines
from schema.clickhouse_client import ClickHouseError
from workers.stores import Stores

log = structlog.get_logger()
BEFORE = timedelta(hours=1), timedelta(minutes=5)
"""How far back a picture reaches; the shorter one for what has only just begun, and is one point of the longer."""
POINTS = 180


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, and what it shows in words."""

    png: bytes
    words: str


def picture_of(stores: Stores, account_id: AccountId, notice: Notice, now: datetime) -> Picture | None:
    """None when the notice tells of no series, or nothing could be read: it is told all the same."""
    if not notice.graph:
        return None
    try:
        drawn = (_picture(stores, account_id, notice, notice.began_at - before, now) for before in BEFORE)
        return next((picture for picture in drawn if picture), None)
    except (MetristError, ClickHouseError, OSError, msgspec.MsgspecError, KeyError) as error:
        log.warning("picture_failed", error=type(error).__name__, detail=str(error)[:200])
        return None


def _picture(stores: Stores, account_id: AccountId, notice: Notice, start: datetime, now: datetime) -> Picture | None:
    query = msgspec.structs.replace(msgspec.convert(notice.graph["query"], Query), by=(), top=None)
    window = Window(start.timestamp(), now.timestamp())
    cut = lines.Cut(plan(window, POINTS, _kept(stores.settings), now.timestamp()))
    found = lines.read(stores.clickhouse, account_id, query, cut, 1).lines
    if not found:
        return None
    values = msgspec.json.decode(found[0].values, type=list[float | None])
    threshold = notice.graph.get("threshold")
    png = pictures.draw(values, threshold)
    return Picture(png, _words(query.metric, values, threshold, start, now)) if png else None


def _kept(settings: Settings) -> Retention:
    days = (settings.raw_retention_days, settings.minute_retention_days, settings.hour_retention_days)
    return Retention(*(count * 86_400 for count in days))


def _words(metric: str, values: list[float | None], threshold: float | None, start: datetime, end: datetime) -> str:
    known = [value for value in values if value is not None]
    limit = f", the limit is {threshold:g}" if threshold is not None else ""
    return (
        f"{metric} from {start:%H:%M} to {end:%H:%M} UTC: from {min(known):.4g} to {max(known):.4g}, "
        f"last {known[-1]:.4g}{limit}"
    )
