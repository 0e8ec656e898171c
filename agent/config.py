"""What one agent is told: server, key, node, and where it keeps its state."""

import math
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from agent.monitors.allowed import Allowed


def _version() -> str:
    """The platform's; where only the agent is installed, as a server hands it out (/download), its own."""
    try:
        return version("metrist")
    except PackageNotFoundError:
        return version("metrist-agent")


VERSION = _version()
NODE_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._:@/-]{0,126}[A-Za-z0-9_])?")
LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,63}")


@dataclass(frozen=True)
class AgentConfig:
    """Everything an agent needs to run; the last three are the same for everybody but its tests."""

    server: str
    key: str = field(repr=False)
    node: str
    state_dir: Path
    interval_s: float = 10.0
    labels: Mapping[str, str] = field(default_factory=dict)
    buffer_bytes: int = 64_000_000
    goodbye_s: float = 60.0
    is_ephemeral: bool = False
    monitors: Allowed | None = None
    """What monitors may do here; None for none at all."""
    monitor_key: str = ""
    timeout_s: float = 30.0
    back_off_s: float = 45.0  # less than the minute after its return in which a server calls nobody late
    key_retry_s: float = 60.0


def checked_server(text: str) -> str:
    """The server's address without a slash at its end; raises ValueError."""
    if not _is_address(text):
        raise ValueError(f"{text!r} is no server address; write http://HOST:PORT or https://HOST")
    return text.rstrip("/")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for one out of range, as urlsplit does for a broken IPv6 address
    except ValueError:
        return False
    is_plain = text.isascii() and text.isprintable() and " " not in text and not (parts.query or parts.fragment)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_plain


def checked_key(text: str) -> str:
    """The key without the line end of its file; raises ValueError, and never repeats the key."""
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the API key is empty or has characters no key has")
    return key


def checked_node(text: str) -> str:
    """A node name the server accepts; raises ValueError."""
    if not NODE_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no node name: 1 to 128 ASCII letters, digits and . _ : @ / - (not at its ends)")
    return text


def checked_label(text: str) -> tuple[str, str]:
    """`k=v` as a pair; raises ValueError."""
    name, equals, value = text.partition("=")
    if not equals or not LABEL_NAME.fullmatch(name) or not value.isprintable():
        raise ValueError(f"{text!r} is no label; write name=value, the name of ASCII letters, digits, _ and .")
    return name, value


def checked_number(name: str, text: str, least: float, most: float) -> float:
    """A number within bounds; raises ValueError."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise ValueError(f"{text!r} is no {name}; give a number from {least:g} to {most:g}")
    return number


def checked_switch(name: str, text: str) -> bool:
    """Whether something is switched on; raises ValueError."""
    if text.lower() in ("", "0", "no", "false"):
        return False
    if text.lower() in ("1", "yes", "true"):
        return True
    raise ValueError(f"{name} is {text!r}; set it to 1 or 0")


def default_node() -> str:
    """This machine's host name, with what no node name may contain replaced."""
    name = re.sub(r"[^A-Za-z0-9._:@/-]", "-", socket.gethostname())
    return name[:128].strip(".:@/-") or "node"


def default_state_dir(server: str, node: str) -> Path:
    """A folder of this user's own for one server and node; raises ValueError when the user has no home."""
    try:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    except RuntimeError as error:
        raise ValueError("there is no home folder to keep state in; give --state-dir") from error
    parts = urlsplit(server)
    place = re.sub(r"[^A-Za-z0-9.-]", "_", f"{parts.netloc}{parts.path}-{node}")
    return Path(home) / "metrist" / "agent" / place
