"""The set of monitors as the server signs it: what it holds, and whether it is genuine and meant for us."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from agent.monitors.parameters import Declared

SIGNED = ("account", "hash", "issued_at", "monitors", "node")
MONITORS_MAX = 100
SET_BACK_S = 3600
"""A server's clock may be set back by so much; an older set than that is an old one that somebody kept."""

Seconds = Annotated[float, msgspec.Meta(ge=1, le=86_400)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Untrusted(Exception):
    """The set is not from our server, or not for us; the message is for this machine's owner."""


class MonitorLimits(msgspec.Struct, frozen=True):
    """What one run may use, as the server says it; never more than these bounds."""

    memory_mb: Annotated[int, msgspec.Meta(ge=1, le=256)] = 32
    cpu_ms: Annotated[int, msgspec.Meta(ge=1, le=30_000)] = 1_000
    samples: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 100


class Monitor(msgspec.Struct, frozen=True):
    """One monitor of the set."""

    id: Name
    name: Name
    version: int
    script: str
    interval_s: Seconds = 60.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    labels: dict[str, str] = {}
    limits: MonitorLimits = MonitorLimits()
    capabilities: tuple[str, ...] = ()
    parameters: dict[str, str | bool | int | float] = {}
    declared: dict[str, Declared] = {}


class Bundle(msgspec.Struct, frozen=True):
    """All monitors of this instance."""

    node: str
    account: str
    hash: str
    issued_at: float
    monitors: Annotated[tuple[Monitor, ...], msgspec.Meta(max_length=MONITORS_MAX)]
    key_id: str = ""
    signature: str = ""


class Trust(msgspec.Struct, frozen=True):
    """The key that sets must be signed with, and the account they must be of ("" until the first set came)."""

    public_key: str
    key_id: str = ""
    account: str = ""


def canonical(values: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys, no spaces, UTF-8."""
    signed = {name: values[name] for name in SIGNED}
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def opened(data: bytes | Mapping[str, Any], trust: Trust, node: str, newest_at: float = 0.0) -> Bundle:
    """A set that is genuine, for this node, and no older than the newest we know; raises Untrusted."""
    try:
        values = json.loads(data) if isinstance(data, bytes) else data
        bundle = msgspec.convert(values, Bundle)
        message = canonical(values)
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # msgspec's are ValueErrors, too
        raise Untrusted(f"the set of monitors has the wrong shape: {error}") from error
    if not _is_signed(message, bundle.signature, trust.public_key):
        raise Untrusted(
            f"the set of monitors is signed by another key ({bundle.key_id or 'unknown'}) than this agent trusts "
            f"({trust.key_id or 'unknown'})"
        )
    if bundle.node != node or (trust.account and bundle.account != trust.account):
        raise Untrusted("the set of monitors is for another node or account")
    if bundle.issued_at < newest_at - SET_BACK_S:
        raise Untrusted("the set of monitors is older than the one this agent has")
    return bundle


def _is_signed(message: bytes, signature: str, public_key: str) -> bool:
    from nacl.exceptions import CryptoError  # noqa: PLC0415  # 1 MB, for agents with monitors alone
    from nacl.signing import VerifyKey  # noqa: PLC0415

    try:
        VerifyKey(base64.b64decode(public_key)).verify(message, base64.b64decode(signature, validate=True))
    except (CryptoError, ValueError, TypeError):
        return False
    return True


def names(monitors: Sequence[Monitor]) -> str:
    """Their names, for a line of the log."""
    return ", ".join(f"{each.name} v{each.version}" for each in monitors) or "none"
