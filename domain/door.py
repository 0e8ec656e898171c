"""What arrived at the door for an account: each attempt of an agent in words, with what to do about a refused one."""

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from domain.errors import Forbidden, MalformedBody, MetristError, WrongKey
from domain.snapshots import Refusal

Outcome = Literal["accepted", "refused"]
OUTCOMES: tuple[Outcome, ...] = ("accepted", "refused")
TEXT_MAX_CHARS = 300
AGENT_MAX_CHARS = 80
CLOCK_OFF_S = 30.0
"""A clock that is off by less is nobody's trouble."""
_PHASES = ((90, 1, "s"), (5_400, 60, "min"), (172_800, 3_600, "h"))


class Caller(msgspec.Struct, frozen=True):
    """Who knocked: address, User-Agent and the key by its name; `path` is what they asked for."""

    remote: str = ""
    agent: str = ""
    key: str = ""
    path: str = ""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt, as it is kept and shown.

    at      our clock, Unix seconds
    node    the one that was named; "" for none or many
    what    the outcome in a few words; `detail` says it in full, `remedy` what to do
    more    this many further attempts of the same outcome were not written down
    """

    at: float
    outcome: Outcome
    what: str = ""
    detail: str = ""
    remedy: str = ""
    node: str = ""
    caller: Caller = Caller()
    more: int = 0


def caller(remote: str, agent: str, key: str, path: str) -> Caller:
    """A caller in printable texts that are short enough to keep."""
    return Caller(remote, _shown(agent, AGENT_MAX_CHARS), key, path)


def refused(at: float, who: Caller, error: MetristError, *, is_revoked: bool) -> Entry:
    """An attempt that was turned away.

    is_revoked  whether the key it named does not work any more
    """
    what, remedy = _reason(error, who.key, is_revoked=is_revoked)
    detail = "" if isinstance(error, WrongKey | Forbidden) else _shown(error.detail)
    return Entry(at, "refused", what, detail, remedy, caller=who)


def pinged(at: float, who: Caller, node: str, sent_at: float | None) -> Entry:
    """A ping that was answered; a clock that is far off is told, as its samples may be refused."""
    off = clock_off(sent_at, at)
    remedy = "Set that machine's clock (NTP): samples from too far ahead are refused." if off else ""
    return Entry(at, "accepted", f"ping, {off}" if off else "ping", "", remedy, node, who)


def admitted(
    at: float, who: Caller, nodes: Collection[str], accepted: int, refusals: Sequence[Refusal], *, is_twin: bool
) -> Entry:
    """A batch of snapshots that was read; refused when not one sample of it was good."""
    refused_count = sum(refusal.count for refusal in refusals)
    parts = [_counted(accepted, "sample")] if accepted or not refused_count else []
    parts += [f"{refused_count} refused"] if accepted and refused_count else []
    parts += [f"{_counted(refused_count, 'sample')} refused"] if refused_count and not accepted else []
    parts += ["sent before, counted once"] if is_twin else []
    parts += [_counted(len(nodes), "node")] if len(nodes) > 1 else []
    detail = "; ".join(f"{refusal.detail} ({refusal.count}×)" for refusal in refusals)
    outcome: Outcome = "refused" if refused_count and not accepted else "accepted"
    (node,) = nodes if len(nodes) == 1 else ("",)
    return Entry(at, outcome, ", ".join(parts), _shown(detail), node=node, caller=who)


def more(at: float, outcome: Outcome, count: int) -> Entry:
    """Attempts that came too fast to be written down one by one."""
    return Entry(at, outcome, more=count)


def clock_off(sent_at: float | None, received_at: float) -> str:
    """ "clock 4 min ahead", or "behind"; empty when it is not known, or about right."""
    if sent_at is None or abs(sent_at - received_at) < CLOCK_OFF_S:
        return ""
    off_s = abs(sent_at - received_at)
    size = next((f"{off_s / part:.0f} {name}" for limit, part, name in _PHASES if off_s < limit), "")
    return f"clock {size or f'{off_s / 86_400:.0f} d'} {'ahead' if sent_at > received_at else 'behind'}"


def _reason(error: MetristError, key: str, *, is_revoked: bool) -> tuple[str, str]:
    """The outcome in a few words, and what to do."""
    match error:
        case WrongKey() if is_revoked:
            return f"key “{key}” is revoked", "Give the agent another key, then start it again."
        case WrongKey():
            return f"wrong secret for key “{key}”", "The key was cut off or mistyped: copy it again, or make a new one."
        case Forbidden():
            return f"key “{key}” may not do this", "Make a key with the scope ingest and give that to the agent."
        case MalformedBody() if "offset" in error.extra:
            is_text = "UTF-8" not in error.detail
            what = f"body not {'JSON' if is_text else 'UTF-8'} at byte {error.extra['offset']}"
            return what, "Look there: a quote, a comma, or where it ends."
        case _:
            return error.title[:1].lower() + error.title[1:], error.remedy


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _shown(text: str, most: int = TEXT_MAX_CHARS) -> str:
    plain = "".join(char if char.isprintable() else "�" for char in text[: most + 1])
    return plain if len(plain) <= most else plain[: most - 1] + "…"
