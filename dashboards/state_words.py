"""What pages call the states of conditions."""

from collections.abc import Mapping
from typing import Final

from domain.conditions import State

WORDS: Final[Mapping[State, str]] = {
    State.FIRING: "firing",
    State.NO_DATA: "no data",
    State.ERROR: "error",
    State.PENDING: "pending",
    State.OK: "ok",
}
"""State → what pages call it, the most urgent first."""
