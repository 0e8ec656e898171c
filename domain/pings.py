"""What a ping may say: a node's name and, if it likes, what it is and what it has finished."""

import math
import re
import zlib
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import msgspec

from domain import series_key, snapshots
from domain.commands import MESSAGE_MAX_CHARS, Outcome
from domain.errors import InvalidBody, MalformedBody
from domain.ids import AccountId
from domain.series_key import InvalidKey

AGENT_FACTS_MAX = 20
AGENT_FACT_MAX_CHARS = 200
FINISHED_MAX = 1000
INTERVAL_MAX_S = 3_600.0
INTERVALS_S = (30, 60, 120, 300, 600, 1_800, 3_600)
"""Steps in which it is recorded how often a node pings, rounded up, so that jitter is no news."""
EARLIER_MOST, NEAR = 0.5, 0.01
"""Shares of the interval: so much earlier a node may be asked to ping, and so close to its instant it is there."""
GOODBYE_MAX_S = 3_600.0
REASON_MAX_CHARS = 100
CLOCK_MAX_S = 1e11
_INSTANCE = re.compile(r"[!-~]{1,64}")
_BYTE = re.compile(r"\(byte (\d+)\)")

Short = Annotated[str, msgspec.Meta(max_length=AGENT_FACT_MAX_CHARS)]


class Report(msgspec.Struct):
    """What became of a command."""

    id: Short
    state: Outcome
    message: str | None = None


class Goodbye(msgspec.Struct):
    """The node leaves on purpose; without `back_within_s` it is not to be waited for."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=REASON_MAX_CHARS)] = "stop"
    back_within_s: float | None = None


class Ping(msgspec.Struct):
    """The body of a ping; everything but the node may be left out.

    instance         its installation; `run` is of the running agent, so that a cloned installation is told apart
    sent_at          the agent's clock, Unix seconds
    wait             s it is willing to be held
    ping_interval_s  s it means to ping every; may be longer than the server asks
    agent            version, os …
    monitors         hash of the set of monitors it runs, "" for none; left out by an agent that runs no monitors
    ephemeral        it comes and goes: when it is silent it is given up without a word
    goodbye          it stops; this is its last ping for now
    live             id of the live ask it serves just now
    """

    node: str
    instance: str | None = None
    sent_at: float | None = None
    wait: float = 0.0
    finished: Annotated[list[Report], msgspec.Meta(max_length=FINISHED_MAX)] | None = None
    ping_interval_s: float | None = None
    agent: (
        Annotated[dict[Short, Short | int | float | bool | None], msgspec.Meta(max_length=AGENT_FACTS_MAX)] | None
    ) = None
    labels: dict[str, str] | None = None
    monitors: Short | None = None
    ephemeral: bool | None = None
    goodbye: Goodbye | None = None
    run: str | None = None
    live: Short | None = None


_decode = msgspec.json.Decoder(Ping).decode


def parse(body: bytes) -> Ping:
    """A checked ping. Raises MalformedBody with the byte `offset`, InvalidBody with what to change."""
    if not body.strip():
        raise MalformedBody('the body is empty; send at least {"node": "…"}', offset=0)
    try:
        ping = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"the ping has the wrong shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _malformed(error, body)
    _check(ping)
    return ping


def hold_s(ping: Ping, interval_s: float, most_s: float) -> float:
    """How long to hold a ping at most.

    Never longer than a node's interval: a held request proves nothing about who holds its other end, so a node that
    is held must come as often as one that is not. A goodbye is never held: nobody stays to hear the answer.
    """
    if ping.goodbye is not None:
        return 0.0
    return min(max(ping.wait, 0.0), interval_s, most_s)


def next_s(account_id: AccountId, node: str, now_s: float, interval_s: float) -> float:
    """In how many seconds a node that is answered now is to ping next.

    Each node has an instant of its own in every interval, from its name. It is asked to come up to half an interval
    earlier than expected until it has reached it, and then once an interval: so a fleet that started together, or
    waited together for a server that was away, is spread evenly after two pings and stays so. Chance alone, or smaller
    steps, would take long, and meanwhile pings would come in bursts that wait for one another.
    """
    share = zlib.crc32(f"{account_id} {node}".encode()) / 2**32
    until_own_s = (share * interval_s - now_s) % interval_s
    if until_own_s < NEAR * interval_s:  # there already; a timer that fired a moment early is no reason to go round
        return interval_s
    return max(until_own_s, (1 - EARLIER_MOST) * interval_s)


def expected_s(ping: Ping, interval_s: float) -> float:
    """How often this node is to be expected: as we asked, or as seldom as it says."""
    return min(max(ping.ping_interval_s or 0.0, interval_s), max(INTERVAL_MAX_S, interval_s))


def recorded_interval_s(ping: Ping, interval_s: float) -> int:
    """How often this node is to be expected, as it is kept with the node: 0 when it pings as often as we ask."""
    expected = expected_s(ping, interval_s)
    return next((step for step in INTERVALS_S if step >= expected), math.ceil(expected)) if expected > interval_s else 0


def announced_ms(goodbye: Goodbye | None) -> int:
    """The silence that a goodbye announces; 0 for none."""
    return int((goodbye.back_within_s or 0) * 1000) if goodbye else 0


def report(found: Report) -> tuple[str, Outcome, str]:
    """Id, state and message, short enough to keep."""
    return found.id, found.state, (found.message or "")[:MESSAGE_MAX_CHARS]


def check_instance(instance: str | None) -> str | None:
    """Raises InvalidBody unless it is an id we keep."""
    if instance is not None and not _INSTANCE.fullmatch(instance):
        raise InvalidBody("an instance id is 1 to 64 printable ASCII characters without spaces")
    return instance


def _check(ping: Ping) -> None:
    check_instance(ping.instance)
    check_instance(ping.run)
    try:
        snapshots.check_node(ping.node)
        series_key.check_labels(ping.labels or {})
    except InvalidKey as error:
        raise InvalidBody(str(error)) from error
    for name, value in _numbers(ping).items():
        if value is not None and not (math.isfinite(value) and 0 <= value <= CLOCK_MAX_S):
            raise InvalidBody(f"{name} must be a number of seconds, not negative")
    if _has_control(ping.agent or {}):
        raise InvalidBody("agent must hold printable texts and finite numbers")
    if ping.goodbye is not None:
        _check_goodbye(ping.goodbye)


def _check_goodbye(goodbye: Goodbye) -> None:
    if not goodbye.reason.isprintable():
        raise InvalidBody("goodbye.reason must be a printable text")
    if not 0 <= (goodbye.back_within_s or 0) <= GOODBYE_MAX_S:
        raise InvalidBody(f"goodbye.back_within_s must be a number from 0 to {GOODBYE_MAX_S:g}")


def _numbers(ping: Ping) -> dict[str, float | None]:
    return {"sent_at": ping.sent_at, "wait": ping.wait, "ping_interval_s": ping.ping_interval_s}


def _has_control(facts: Mapping[str, Any]) -> bool:
    texts = [part for pair in facts.items() for part in pair if isinstance(part, str)]
    return any(not text.isprintable() for text in texts)


def _malformed(error: Exception, body: bytes) -> NoReturn:
    try:
        body.decode()
    except UnicodeDecodeError as bad:  # msgspec counts from the start of the text that holds it
        raise MalformedBody("the body is not UTF-8", offset=bad.start) from error
    if isinstance(error, RecursionError):
        raise MalformedBody("the body nests too deeply") from error
    found = _BYTE.search(str(error))
    offset = int(found[1]) if found else len(body)  # no byte is named when the text breaks off
    raise MalformedBody(f"the body is not JSON: {error}", offset=offset) from error
