"""What a server may ask of this machine."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

log = logging.getLogger(__name__)

REMEMBERED = 1000


class Command(msgspec.Struct):
    """One order, as a ping's answer brings it."""

    id: str
    kind: str
    payload: Mapping[str, Any] | None = None


class Finished(msgspec.Struct):
    """What became of a command, as the next ping reports it."""

    id: str
    state: Literal["done", "failed"]
    message: str


class Failed(Exception):
    """A command could not be carried out; the message is for the person who asked."""


def do_nothing(_payload: Mapping[str, Any]) -> str:
    """Show that the way to this machine and back works."""
    return "nothing was to be done"


def note_deregistered(_payload: Mapping[str, Any]) -> str:
    """The server had given this node up; the ping that brought this has registered it again."""
    log.warning("the server had deregistered this node after a long silence; it is registered again")
    return "registered again"


COMMANDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "noop": do_nothing,
    "deregister": note_deregistered,
}
"""Each kind of command; its function returns a message for the person who asked, and may be called again."""


class Commander:
    """Carries out commands, each id once: a repeated one only gets the same report again."""

    def __init__(self, more: Mapping[str, Callable[[str, Mapping[str, Any]], str]] | None = None) -> None:
        """more: kinds that only some agents know; their functions get the command's id, too."""
        self._more = more or {}
        self._finished: OrderedDict[str, Finished] = OrderedDict()

    def carry_out(self, command: Command) -> Finished:
        """Do it, unless it was done; a failure is a report, too."""
        known = self._finished.get(command.id)
        if known is not None:
            return known
        finished = self._finished[command.id] = self._attempt(command)
        log.info("command %s (%s) %s: %s", command.id, command.kind, finished.state, finished.message)
        if len(self._finished) > REMEMBERED:
            self._finished.popitem(last=False)
        return finished

    def _attempt(self, command: Command) -> Finished:
        try:
            return Finished(command.id, "done", self._carried_out(command, command.payload or {}))
        except Failed as error:
            return Finished(command.id, "failed", str(error))
        except Exception as error:  # whatever it is, the person who asked must hear of it
            return Finished(command.id, "failed", repr(error))

    def _carried_out(self, command: Command, payload: Mapping[str, Any]) -> str:
        if command.kind in self._more:
            return self._more[command.kind](command.id, payload)
        if command.kind not in COMMANDS:
            raise Failed(f"this agent does not know the command {command.kind}")
        return COMMANDS[command.kind](payload)
