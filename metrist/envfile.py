"""The file of settings that a host's processes are started with: read, checked, and never shown.

`NAME=value`, one a line; `#` begins a comment line; a value may stand in single or double quotes, and means what it
says: nothing is expanded, and no line is a command. So it also works as systemd's `EnvironmentFile=`.
"""

import difflib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from domain.settings import Settings
from metrist.environment import InvalidSettings

OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO
AGENT = (
    *("SERVER", "KEY", "KEY_FILE", "NODE", "EPHEMERAL"),
    *("AGENT_INTERVAL", "AGENT_LABELS", "AGENT_STATE", "AGENT_BUFFER_MB", "AGENT_GOODBYE_S", "AGENT_ALLOW_MONITORS"),
    "AGENT_MONITOR_KEY",
)
"""What `metrist agent` reads beside the platform's settings."""
KNOWN = frozenset(f"METRIST_{name.upper()}" for name in (*Settings.model_fields, *AGENT))
_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def load(path: Path) -> None:
    """Check the file and put its variables into our environment, over what is there.

    Raises InvalidSettings, which names file, line and setting, and no value.
    """
    os.environ.update(read(path))
    try:
        Settings()
    except ValidationError as error:
        raise InvalidSettings(
            "; ".join(f"METRIST_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        ) from None


def read(path: Path) -> dict[str, str]:
    """The file's variables. Raises InvalidSettings."""
    try:
        with path.open(encoding="utf-8") as file:
            _refuse_open(path, os.fstat(file.fileno()))
            text = file.read()
    except OSError as error:
        raise InvalidSettings(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{path} is not text in UTF-8") from None
    found: dict[str, str] = {}
    for number, name, value in _variables(path, text):
        if name in found:
            raise InvalidSettings(f"{path}, line {number}: {name} is set a second time")
        found[name] = value
    return found


def _refuse_open(path: Path, status: os.stat_result) -> None:
    """It holds passwords: nobody else may read it, or decide what is in it."""
    if not stat.S_ISREG(status.st_mode):
        raise InvalidSettings(f"{path} is not a file")
    if status.st_mode & OPEN_TO_OTHERS:
        raise InvalidSettings(f"{path} is open to others than its owner; run: chmod 600 {path}")
    if status.st_uid not in (os.geteuid(), 0):
        raise InvalidSettings(f"{path} belongs to somebody else")


def _variables(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        found = _LINE.fullmatch(bare)
        if found is None:
            raise InvalidSettings(f"{path}, line {number}: not NAME=value; a comment begins with #, there is no export")
        _refuse_unknown(path, number, found[1])
        yield number, found[1], _unquoted(path, number, found[2])


def _refuse_unknown(path: Path, number: int, name: str) -> None:
    """A setting that is mistyped would quietly not be set. Other programs' variables are not ours to judge."""
    if not name.upper().startswith("METRIST_") or name in KNOWN:
        return
    near = difflib.get_close_matches(name.upper(), KNOWN, 1, 0.8)
    hint = f"; is it {near[0]}?" if near else "; docs/settings.md lists all"
    raise InvalidSettings(f"{path}, line {number}: there is no setting {name}{hint}")


def _unquoted(path: Path, number: int, value: str) -> str:
    quote = value[:1]
    if quote not in ("'", '"'):
        return value
    inner = value[1:-1]
    if len(value) < 2 or value[-1] != quote or quote in inner or "\\" in inner:
        raise InvalidSettings(
            f"{path}, line {number}: quotes must surround the whole value, without \\ or {quote} in it"
        )
    return inner
