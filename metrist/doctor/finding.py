"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it stands; only a problem makes `metrist doctor` fail."""

    GOOD = "good"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about how it is, and for what is not good one about what to do."""

    level: Level
    says: str
    remedy: str = ""


def good(says: str) -> Finding:
    return Finding(Level.GOOD, says)


def skipped(says: str) -> Finding:
    """It could not be looked at, or does not matter here."""
    return Finding(Level.SKIPPED, says)


def warning(says: str, remedy: str) -> Finding:
    """It works, and will not always."""
    return Finding(Level.WARNING, says, remedy)


def problem(says: str, remedy: str) -> Finding:
    """It does not work, or not safely."""
    return Finding(Level.PROBLEM, says, remedy)
