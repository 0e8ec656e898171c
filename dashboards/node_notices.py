"""What a node's page says above the graphs when something is odd about the node, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboards.format import duration
from domain.nodes import SKEW_WARNED_S, NodeState
from domain.settings import Settings
from schema.heartbeats import Contact
from schema.nodes import NodeRow

ID_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Notice:
    """One of them; `until` completes the words with an instant, `is_bad` asks for a hand."""

    key: str
    words: str
    remedy: str = ""
    until: datetime | None = None
    is_bad: bool = False


def notices(node: NodeRow, contact: Contact | None, settings: Settings, now: datetime) -> Sequence[Notice]:
    """All that is odd, what needs a hand first."""
    now_ms = int(now.timestamp() * 1000)
    found = [
        _clash(node, contact, now_ms),
        _skew(contact, settings),
        _monitors(node),
        _away(node, contact, now_ms),
        _gone(node),
    ]
    return [notice for notice in found if notice is not None]


def _clash(node: NodeRow, contact: Contact | None, now_ms: int) -> Notice | None:
    if contact is None or not contact.clashes(now_ms):
        return None
    until = "This note goes ten minutes after their last turn."
    if contact.instance == contact.other:
        return Notice(
            "clash",
            f"Two agents with one instance id report as {node.name}: one machine is a clone of the other, and their "
            "samples are mixed in every graph.",
            "Stop the agent on the clone, delete its state folder, and start it with another name: --node NAME. "
            + until,
            is_bad=True,
        )
    one, other = contact.instance[:ID_SHOWN], contact.other[:ID_SHOWN]
    return Notice(
        "clash",
        f"Two agents, instances {one}… and {other}…, report as {node.name}: their samples are mixed in every graph.",
        "Give one of them another name with --node NAME. " + until,
        is_bad=True,
    )


def _skew(contact: Contact | None, settings: Settings) -> Notice | None:
    skew_s = contact.skew_s() if contact else None
    if skew_s is None:
        return None
    is_ahead, is_bad = skew_s > 0, abs(skew_s) > SKEW_WARNED_S
    words = f"Its clock is {duration(abs(skew_s))} {'ahead of' if is_ahead else 'behind'} the server's"
    words += f", so its samples are stored under times that far in the {'future' if is_ahead else 'past'}."
    if not is_bad:
        return Notice("skew", words)
    refused = f" Samples more than {duration(settings.snapshot_future_s)} ahead are refused." if is_ahead else ""
    return Notice("skew", words + refused, "Run an NTP client on it, such as chrony or systemd-timesyncd.", is_bad=True)


def _monitors(node: NodeRow) -> Notice | None:
    """Its agent runs no set of monitors that it cannot trust, and says so."""
    problem = node.agent.get("monitors_problem")
    if not problem:
        return None
    words = f"Its agent does not run the monitors it was told to: {problem}."
    return Notice("monitors", words, "It goes on with the last ones that it could trust.", is_bad=True)


def _away(node: NodeRow, contact: Contact | None, now_ms: int) -> Notice | None:
    back_by_ms = contact.back_by_ms(now_ms) if contact else None
    if node.state != NodeState.ONLINE or contact is None or back_by_ms is None:
        return None
    until = datetime.fromtimestamp(back_by_ms / 1000, UTC)
    return Notice("away", f"Its agent said goodbye ({contact.bye}) and means to be back by", until=until)


def _gone(node: NodeRow) -> Notice | None:
    if node.state != NodeState.DEREGISTERED:
        return None
    why = (
        "It is ephemeral and comes and goes." if node.is_ephemeral else "It was silent for long and is not waited for."
    )
    return Notice("gone", f"{why} When it reports again, it is back with all its graphs.")
