"""What this machine's owner lets monitors do; no server can widen it."""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CAPABILITIES: Final = ("http", "tcp", "file", "exec")
OFF: Final = ("0", "no", "false")
NOTHING_MORE: Final = ("", "1", "yes", "true")
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_TOLD_MAX_CHARS: Final = 200


@dataclass(frozen=True)
class Allowed:
    """The capabilities, and where they end: hosts for `http` and `tcp` (none: any), folders for `file` and `exec`."""

    capabilities: frozenset[str] = frozenset()
    hosts: frozenset[tuple[str, str]] = frozenset()
    """(capability, host or host:port)."""
    folders: tuple[Path, ...] = ()
    commands: Path | None = None

    def names(self, capability: str) -> frozenset[str]:
        """The hosts that a capability is limited to; empty is no limit."""
        return frozenset(host for kind, host in self.hosts if kind == capability)

    def missing(self, capabilities: Iterable[str]) -> list[str]:
        """Those of them that are not allowed."""
        return sorted(set(capabilities) - self.capabilities)

    def facts(self) -> dict[str, str]:
        """What the server is told, to show it with the node."""
        limits = [f"{kind}={host}" for kind, host in sorted(self.hosts)]
        limits += [f"file={folder}" for folder in self.folders]
        limits += [f"exec={self.commands}"] if self.commands else []
        told = {"monitors": ",".join(sorted(self.capabilities))}
        return told | ({"monitors_within": ", ".join(limits)[:_TOLD_MAX_CHARS]} if limits else {})


def allowed(text: str | None) -> Allowed | None:
    """From `http,tcp=db-1:5432,file=/var/log,exec=/etc/metrist/commands.d`; None for no monitors at all.

    Empty, or `yes`: monitors that read nothing but what the agent measures anyway. Raises ValueError.
    """
    if text is None or text.strip().lower() in OFF:
        return None
    if text.strip().lower() in NOTHING_MORE:
        return Allowed()
    kinds: set[str] = set()
    hosts: set[tuple[str, str]] = set()
    folders: list[Path] = []
    commands: Path | None = None
    for part in text.split(","):
        kind, _, value = (each.strip() for each in part.partition("="))
        if kind not in CAPABILITIES:
            raise ValueError(f"{kind!r} is nothing that monitors can be allowed; there are {', '.join(CAPABILITIES)}")
        kinds.add(kind)
        if kind == "file":
            folders.append(_folder(kind, value))
        elif kind == "exec":
            commands = _folder(kind, value)
        elif value:
            hosts.add((kind, _host(value)))
    return Allowed(frozenset(kinds), frozenset(hosts), tuple(folders), commands)


def checked_public_key(text: str) -> str:
    """A public key, base64 of 32 bytes, or "" for none; raises ValueError."""
    if not text:
        return ""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 32:
        raise ValueError("that is no monitor key: base64 of 32 bytes, as /api/v1/monitors/key tells it")
    return text.strip()


def _folder(kind: str, text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError(f"{kind} needs the folder that is allowed: {kind}=/a/folder")
    return Path(text).resolve()


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError(f"{text!r} is no host to allow; write HOST or HOST:PORT")
    return text.lower()
