"""Monitors to start from: a script each, and what it needs to be told."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from domain.monitor_parameters import read_line
from domain.monitors import Spec

EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Start:
    """One of them; its script is the file of its slug, `declares` the parameters it reads, a line each."""

    slug: str
    title: str
    about: str
    declares: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    interval_s: int = 60

    @property
    def spec(self) -> Spec:
        return Spec(
            script=_script(self.slug),
            interval_s=self.interval_s,
            capabilities=self.capabilities,
            declared=dict(map(read_line, self.declares)),
        )


STARTS = (
    Start(
        "disk-almost-full",
        "Disk almost full",
        "A status for each file system, from what the agent measures anyway.",
        ("warning_percent: number(0..100) = 80", "critical_percent: number(0..100) = 92"),
    ),
    Start(
        "process-missing",
        "Process missing",
        "Whether enough of a program run.",
        ("process: text = nginx", "at_least: number(0..10000) = 1", "state: choice(warning, critical) = critical"),
    ),
    Start(
        "http-check",
        "HTTP check",
        "Whether an address answers as it should, and how quickly.",
        ("url: text = http://127.0.0.1/health", "status: number(100..599) = 200"),
        ("http",),
    ),
    Start(
        "tcp-check",
        "TCP check",
        "Whether a port takes connections.",
        ("host: text = 127.0.0.1", "port: number(1..65535) = 5432"),
        ("tcp",),
    ),
    Start(
        "file-age",
        "File age",
        "Whether a backup, or any file, was written of late.",
        ("path: text = /var/log/backup.log", "at_most_hours: number(0..) = 26"),
        ("file",),
        300,
    ),
    Start(
        "log-lines",
        "Lines of a log",
        "How many lines a log gains, and how many hold a word.",
        ("path: text = /var/log/syslog", "word: text = error"),
        ("file",),
    ),
    Start(
        "certificate-expiry",
        "Certificate expiry",
        "How many days a certificate has left.",
        (
            "host: text = example.org",
            "port: number(1..65535) = 443",
            "warning_days: number(0..) = 21",
            "critical_days: number(0..) = 7",
            "must_be_trusted: boolean = true",
        ),
        ("tcp",),
        3_600,
    ),
    Start(
        "command",
        "Exit code of a command",
        "Runs a command that the node's owner allows.",
        ("command: text = check-raid",),
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
