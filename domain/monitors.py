"""Monitors: Lua that nodes run on schedule, in versions; what one may be, and which nodes run it.

A version is a whole `Spec`, numbered 1, 2, 3 …, and never changes. The name, which its samples carry as the label
`monitor`, stays for ever; the target belongs to the monitor, not to a version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec

from domain import matchers, monitor_parameters, series_key
from domain.errors import InvalidBody, InvalidQuery
from domain.matchers import Filter, haystack_of
from domain.monitor_parameters import Parameter, Value
from domain.series_key import InvalidKey, shorten

MONITORS_MAX: Final = 100
"""Of an account: with SCRIPT_MAX_BYTES it bounds what one node fetches."""
SCRIPT_MAX_BYTES: Final = 32_768
NAME_MAX_CHARS: Final = 64
NOTE_MAX_CHARS: Final = 200
INTERVAL_S: Final = (5, 86_400)
TIMEOUT_S: Final = (1, 60)
LABELS_MAX: Final = 8
PARAMETERS_MAX: Final = 32
NODES_MAX: Final = 1_000
CAPABILITIES: Final = ("http", "tcp", "file", "exec")
"""What a script may need beside its sandbox, in the order of pages; each agent's owner says which it allows."""
RESERVED_LABEL: Final = "monitor"
EVERY: Final = "*"
"""A target's `match` for every node."""
FACT: Final = "monitors"
"""What an agent that runs monitors tells of itself under this name: the capabilities it allows, `file,http`."""

NO_NAMES: Final = frozenset({"new", "check", "target", "parameters", "dry-run", "trial", "key", "runs"})
"""They are addresses already."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one run may use; whoever goes over it is stopped, and the run has failed."""

    memory_mb: int = 32
    cpu_ms: int = 1_000
    samples: int = 100


LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "memory_mb": (8, 256),
    "cpu_ms": (10, 30_000),
    "samples": (1, 1_000),
}
"""Each limit → the least and the most it can be set to."""


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version: what is run, how often, and what it may use.

    labels        carried by each of its samples, beside `monitor`
    capabilities  what it needs: an agent that does not allow all of them refuses to run it
    declared      what may be set beside it: each parameter's type, bounds and default
    parameters    what is set; param(name) in the script reads it, or else the default
    """

    script: str
    interval_s: int = 60
    timeout_s: int = 10
    labels: dict[str, str] = {}
    limits: Limits = Limits()
    capabilities: tuple[str, ...] = ()
    parameters: dict[str, Value] = {}
    declared: dict[str, Parameter] = {}

    @property
    def told(self) -> dict[str, Value]:
        """All that param(name) finds."""
        return monitor_parameters.effective(self.declared, self.parameters)


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which nodes run it: those that are named, and those that `match` finds as the list of nodes does; `*` is all."""

    nodes: tuple[str, ...] = ()
    match: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node, as far as a target looks at it."""

    name: str
    labels: Mapping[str, str]


def read(value: object) -> Spec:
    """A version from decoded JSON; raises InvalidBody, worded for whoever wrote it."""
    try:
        spec = msgspec.convert(value, Spec)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"The monitor is not of the expected shape: {error}") from error
    return check(spec)


def kept(value: object) -> Spec:
    """A version as it was stored, after `check` had seen it."""
    return msgspec.convert(value, Spec)


def as_json(thing: Spec | Target) -> dict[str, Any]:
    """Plain values, the inverse of `read` and `read_target`."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(thing))
    if not found.get("declared", True):
        del found["declared"]  # as it was before there were types: what agents hold keeps its hash
    return found


def check(spec: Spec) -> Spec:
    """The same, capabilities in order and each once; raises InvalidBody."""
    script = spec.script.replace("\r\n", "\n").replace("\r", "\n")
    _check_script(script)
    _within(spec.interval_s, INTERVAL_S, "The interval", "seconds")
    _within(spec.timeout_s, TIMEOUT_S, "The timeout", "seconds")
    if spec.timeout_s > spec.interval_s:
        raise InvalidBody("The timeout is longer than the interval: a run must have ended before the next one begins")
    for name, bounds in LIMITS.items():
        _within(getattr(spec.limits, name), bounds, f"The limit {name}", "")
    _check_labels(spec.labels)
    _check_parameters(spec)
    unknown = sorted(set(spec.capabilities) - set(CAPABILITIES))
    if unknown:
        raise InvalidBody(f"There is no capability {shorten(unknown[0])}; there are {', '.join(CAPABILITIES)}")
    ordered = tuple(name for name in CAPABILITIES if name in spec.capabilities)
    return msgspec.structs.replace(spec, script=script, capabilities=ordered)


def clean_name(name: str) -> str:
    """A monitor's name as it is kept; raises InvalidBody."""
    cleaned = name.strip()
    if len(cleaned) > NAME_MAX_CHARS or not _NAME.fullmatch(cleaned):
        raise InvalidBody(
            f"A monitor's name is 1 to {NAME_MAX_CHARS} small letters, digits and - _ . in between, like disk-usage"
        )
    if cleaned in NO_NAMES:
        raise InvalidBody(f"A monitor cannot be called {cleaned}: that is the address of something else")
    return cleaned


def clean_note(note: str) -> str:
    """What somebody says of a version, on one line; raises InvalidBody."""
    cleaned = " ".join(note.split())
    if len(cleaned) > NOTE_MAX_CHARS or not cleaned.isprintable():
        raise InvalidBody(f"A note has at most {NOTE_MAX_CHARS} printable characters")
    return cleaned


def read_target(value: object) -> Target:
    """A target from decoded JSON; raises InvalidBody, worded for whoever wrote it."""
    try:
        return check_target(msgspec.convert(value, Target))
    except msgspec.ValidationError as error:
        raise InvalidBody(f"The target is not of the expected shape: {error}") from error


def kept_target(value: object) -> Target:
    """A target as it was stored."""
    return msgspec.convert(value, Target)


def check_target(target: Target) -> Target:
    """The same, each name once and in order; raises InvalidBody."""
    names = tuple(sorted({name.strip() for name in target.nodes} - {""}))
    if len(names) > NODES_MAX:
        raise InvalidBody(f"A target names at most {NODES_MAX:,} nodes; use labels for more")
    match = target.match.strip()
    try:
        _filter(match)
    except InvalidQuery as error:
        raise InvalidBody(error.detail) from error
    return Target(names, match)


def finds(target: Target, node: Candidate) -> bool:
    """Whether the node is one of those that run it."""
    if node.name in target.nodes:
        return True
    if target.match in ("", EVERY):
        return target.match == EVERY
    return _filter(target.match).holds(haystack_of(node.name, node.labels), node.labels)


def allowed(agent: Mapping[str, Any]) -> frozenset[str] | None:
    """Which capabilities a node's agent allows, from what it tells of itself; None when it runs no monitors."""
    told = agent.get(FACT)
    if not isinstance(told, str):
        return None
    return frozenset(part for part in told.split(",") if part in CAPABILITIES)


def is_able(spec: Spec, agent: Mapping[str, Any]) -> bool:
    """Whether a node's agent would run it."""
    allows = allowed(agent)
    return allows is not None and allows >= set(spec.capabilities)


@lru_cache(1_000)
def _filter(match: str) -> Filter:
    return matchers.parse_filter("" if match == EVERY else match)


def _check_script(script: str) -> None:
    if not script.strip():
        raise InvalidBody("The script is empty")
    size = len(script.encode("utf-8", "surrogatepass"))
    if size > SCRIPT_MAX_BYTES:
        raise InvalidBody(f"The script has {size:,} bytes; at most {SCRIPT_MAX_BYTES:,} are taken")
    found = next((letter for letter in script if not letter.isprintable() and letter not in "\n\t"), None)
    if found is not None:
        line = script[: script.index(found)].count("\n") + 1
        raise InvalidBody(f"Line {line} of the script holds the character U+{ord(found):04X}, which nobody can see")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > LABELS_MAX:
        raise InvalidBody(f"A monitor gives its samples at most {LABELS_MAX} labels")
    if RESERVED_LABEL in labels:
        raise InvalidBody(f"The label {RESERVED_LABEL} is the monitor's name already")
    try:
        series_key.check_labels(labels)
    except InvalidKey as error:
        raise InvalidBody(f"The monitor's labels: {error}") from error


def _check_parameters(spec: Spec) -> None:
    if len(spec.told) > PARAMETERS_MAX:
        raise InvalidBody(f"A monitor has at most {PARAMETERS_MAX} parameters")
    for name, declared in spec.declared.items():
        monitor_parameters.check(name, declared)
    for name, value in spec.parameters.items():
        if name in spec.declared:
            monitor_parameters.check_value(name, spec.declared[name], value)
        else:
            monitor_parameters.check_plain(name, value)


def _within(value: int, bounds: tuple[int, int], what: str, unit: str) -> None:
    least, most = bounds
    if not least <= value <= most:
        raise InvalidBody(f"{what} is {least:,} to {most:,} {unit}".rstrip() + f", not {value:,}")
