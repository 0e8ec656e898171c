"""What monitors ask for and cannot do themselves: done here, in the agent, as far as its owner allows it."""

from collections.abc import Callable, Mapping
from typing import Any

import psutil

from agent.monitors import files, network, programs
from agent.monitors.allowed import Allowed
from agent.sandbox import Refused, Unable

NEEDS = {
    "http.get": "http",
    "tcp.check": "tcp",
    "tls.expiry": "tcp",
    "file.stat": "file",
    "file.tail": "file",
    "exec.run": "exec",
}
"""What is asked for → the capability it takes."""


class Reach:
    """For one monitor, whose runs it outlives: it knows how far each file was read."""

    def __init__(self, allowed: Allowed, declared: tuple[str, ...]) -> None:
        self._allowed = allowed
        self._declared = declared
        self._tails = files.Tails(allowed.folders)
        self._kinds: dict[str, Callable[[Mapping[str, Any], float], Any]] = {
            "http.get": lambda args, until_s: network.get(args, until_s, allowed.names("http")),
            "tcp.check": lambda args, until_s: network.check(args, until_s, allowed.names("tcp")),
            "tls.expiry": lambda args, until_s: network.expiry(args, until_s, allowed.names("tcp")),
            "file.stat": lambda args, _until_s: files.stat(args, allowed.folders),
            "file.tail": lambda args, _until_s: self._tails.tail(args),
            "exec.run": lambda args, until_s: programs.run(args, until_s, allowed.commands),
            "processes": lambda args, _until_s: _count_processes(str(args.get("name"))),
        }

    def ask(self, kind: str, args: Mapping[str, Any], until_s: float) -> Any:
        """Do it; raises Refused or Unable."""
        need = NEEDS.get(kind)
        if need and need not in self._allowed.capabilities:
            raise Refused(f"this node does not allow {need}: its agent was started without --allow-monitors {need}")
        if need and need not in self._declared:
            raise Refused(f"{kind} needs the capability {need}, which this monitor does not declare")
        work = self._kinds.get(kind)
        if work is None:
            raise Unable(f"this agent does not know {kind}")
        try:
            return work(args, until_s)
        except (OSError, ValueError, TypeError) as error:
            raise Unable((isinstance(error, OSError) and error.strerror) or str(error)) from error


def _count_processes(name: str) -> int:
    """How many processes have that name."""
    return sum(each.info["name"] == name for each in psutil.process_iter(["name"]))
