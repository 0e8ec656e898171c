"""What a run of a monitor is given, and what it gives back."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

State = Literal["ok", "failed", "timeout", "refused"]

SOURCE_MAX_BYTES = 65_536


class Limits(msgspec.Struct, frozen=True):
    """How much one run may use.

    cpu_s         processor time, all of Lua's and of what it makes us compute
    wall_s        from start to end, waiting included
    memory_bytes  of Lua; Python's own is on top
    """

    cpu_s: float = 1.0
    wall_s: float = 10.0
    memory_bytes: int = 16_000_000
    samples: int = 500
    statuses: int = 20
    log_lines: int = 50
    log_line_bytes: int = 500
    message_bytes: int = 500
    text_bytes: int = 1_000_000
    name_bytes: int = 200
    labels: int = 16
    label_key_bytes: int = 64
    label_value_bytes: int = 256


class Inputs(msgspec.Struct, frozen=True):
    """What a run may read: `facts` of the host (`metrics` among them: series key to value), and its parameters."""

    facts: Mapping[str, Any] = {}
    parameters: Mapping[str, str | bool | int | float] = {}


class Sample(msgspec.Struct, frozen=True):
    """A value; of a counter it is the count itself, and the rate is for who knows the one before."""

    kind: Literal["gauge", "counter"]
    name: str
    value: float
    labels: Mapping[str, str] = {}


class Status(msgspec.Struct, frozen=True):
    """How something is, in the monitor's own words."""

    name: str
    state: Literal["ok", "warning", "critical", "unknown"]
    message: str = ""


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a monitor's text, and in which line; line 0 is none in particular."""

    line: int
    message: str


class Result(msgspec.Struct, frozen=True):
    """One run. Unless its state is ok, `message` says why, and samples and statuses are those said before.

    line          of the monitor where it went wrong, 0 when there is none
    memory_bytes  the most its process held on top of what it starts with; 0 when it was killed
    """

    state: State
    message: str = ""
    line: int = 0
    took_ms: float = 0.0
    cpu_ms: float = 0.0
    memory_bytes: int = 0
    samples: Sequence[Sample] = ()
    statuses: Sequence[Status] = ()
    log: Sequence[str] = ()
