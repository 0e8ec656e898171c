"""Monitors to start from: a script each, and what it needs to be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from domain.monitors import Spec

EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Start:
    """One of them; its script is the file of its slug."""

    slug: str
    title: str
    about: str
    parameters: Mapping[str, str | bool | int | float] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    interval_s: int = 60

    @property
    def spec(self) -> Spec:
        return Spec(
            script=_script(self.slug),
            interval_s=self.interval_s,
            capabilities=self.capabilities,
            parameters=dict(self.parameters),
        )


STARTS = (
    Start(
        "disk-almost-full",
        "Disk almost full",
        "A status for each file system, from what the agent measures anyway.",
        {"warning_percent": 80, "critical_percent": 92},
    ),
    Start(
        "process-missing",
        "Process missing",
        "Whether enough of a program run.",
        {"process": "nginx", "at_least": 1},
    ),
    Start(
        "http-check",
        "HTTP check",
        "Whether an address answers as it should, and how quickly.",
        {"url": "http://127.0.0.1/health", "status": 200},
        ("http",),
    ),
    Start(
        "tcp-check",
        "TCP check",
        "Whether a port takes connections.",
        {"host": "127.0.0.1", "port": 5432},
        ("tcp",),
    ),
    Start(
        "file-age",
        "File age",
        "Whether a backup, or any file, was written of late.",
        {"path": "/var/log/backup.log", "at_most_hours": 26},
        ("file",),
        300,
    ),
    Start(
        "log-lines",
        "Lines of a log",
        "How many lines a log gains, and how many hold a word.",
        {"path": "/var/log/syslog", "word": "error"},
        ("file",),
    ),
    Start(
        "certificate-expiry",
        "Certificate expiry",
        "How many days a certificate has left.",
        {"host": "example.org", "port": 443, "warning_days": 21, "critical_days": 7},
        ("tcp",),
        3_600,
    ),
    Start(
        "command",
        "Exit code of a command",
        "Runs a command that the node's owner allows.",
        {"command": "check-raid"},
        ("exec",),
        300,
    ),
    Start(EMPTY, "Empty", "Write your own."),
)


def find(slug: str) -> Start:
    """The one of this slug; the empty one for any other."""
    return next((start for start in STARTS if start.slug == slug), STARTS[-1])


@cache
def _script(slug: str) -> str:
    return files("dashboards.monitors.starts").joinpath(f"{slug}.lua").read_text("utf-8")
