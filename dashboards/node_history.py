"""A node's history in words: one row an event, the newest first, with how long each standing lasted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboards.format import duration
from domain.events import Event, Json
from domain.history import STANDINGS
from schema.node_events import Page

ROWS = 30
ID_SHOWN = 8
"""So many characters of an instance id tell two apart for a person."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event as the page tells it.

    standing   how the node stood from then on; "" for what changed nothing about it
    lasted     for how long, in words; "" likewise
    is_now     it still stands so
    its_clock  what the node's clock showed at its last contact
    """

    at: datetime
    title: str
    detail: str
    standing: str
    lasted: str
    is_now: bool
    its_clock: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """A page of it; `older_than` is what to ask for the next one with, None at the end."""

    rows: Sequence[Row]
    older_than: int | None


def tell(page: Page, now: datetime) -> History:
    """A page of the log in words."""
    rows: list[Row] = []
    until = page.after.at if page.after else None
    for event in page.events:
        rows.append(_row(event, until, now))
        if event.type in STANDINGS:
            until = event.at
    return History(rows, page.events[-1].version if page.has_older else None)


def words(event: Event) -> tuple[str, str]:
    """An event of a node in a few words, and why; "" where there is no more to say."""
    title, detail = _WORDS.get(event.type, _unknown)(event.payload)
    return title or event.type.removeprefix("node_").replace("_", " ").capitalize(), detail


def _row(event: Event, until: datetime | None, now: datetime) -> Row:
    title, detail = words(event)
    standing = STANDINGS.get(event.type, "")
    lasted_s = ((until or now) - event.at).total_seconds()
    clock = event.payload.get("agent_clock")
    return Row(
        at=event.at,
        title=title,
        detail=detail,
        standing=standing,
        lasted=duration(max(lasted_s, 0)) if standing else "",
        is_now=bool(standing) and until is None,
        its_clock=datetime.fromisoformat(clock) if clock else None,
    )


def _registered(payload: Json) -> tuple[str, str]:
    return "Registered", "by its first contact" + (", as an ephemeral node" if payload.get("is_ephemeral") else "")


def _online(payload: Json) -> tuple[str, str]:
    return "Online again", f"heard after it was {payload['from']}"


def _moved(title: str) -> Callable[[Json], tuple[str, str]]:
    return lambda payload: (title, str(payload["cause"]))


def _away(payload: Json) -> tuple[str, str]:
    length_s = payload.get("back_within_s")
    return "Said goodbye", f"{payload.get('reason', '')}, back within {duration(length_s)}" if length_s else ""


def _instance(payload: Json) -> tuple[str, str]:
    known, seen = payload.get("before"), str(payload["instance_id"])[:ID_SHOWN]
    return "Another installation", f"{seen} instead of {known[:ID_SHOWN]}" if known else seen


def _described(payload: Json) -> tuple[str, str]:
    labels = [f"{key}={value}" for key, value in sorted(payload["labels"].items())]
    agent = [f"{key} {value}" for key, value in sorted(payload["agent"].items())]
    return "Described itself", ", ".join([*labels, *agent])


def _clash_began(payload: Json) -> tuple[str, str]:
    one, other = (str(instance)[:ID_SHOWN] for instance in payload["instances"])
    which = f"instances {one} and {other}" if one != other else f"both with the instance id {one}: a clone"
    return "Two machines", f"{which} take turns under this name"


def _clash_ended(payload: Json) -> tuple[str, str]:
    return "One machine again", f"two took turns for {duration(payload['lasted_s'])}"


def _ephemeral(payload: Json) -> tuple[str, str]:
    return ("Became ephemeral" if payload["is_ephemeral"] else "Is ephemeral no more"), ""


def _unknown(_payload: Json) -> tuple[str, str]:
    return "", ""


_WORDS: Mapping[str, Callable[[Json], tuple[str, str]]] = {
    "node_registered": _registered,
    "node_online": _online,
    "node_late": _moved("Late"),
    "node_offline": _moved("Offline"),
    "node_deregistered": _moved("Deregistered"),
    "node_away": _away,
    "node_back": lambda _payload: ("Back", "heard again"),
    "node_instance_changed": _instance,
    "node_described": _described,
    "node_clash_began": _clash_began,
    "node_clash_ended": _clash_ended,
    "node_ephemeral": _ephemeral,
}
