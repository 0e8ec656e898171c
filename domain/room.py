"""Is there room for more? Snapshots are refused before a disk is full, and taken again with some room to spare."""

from dataclasses import dataclass
from typing import Final

RESUMES_AT: Final = 1.25
"""Times the reserve: between the two nothing changes, so that a disk on the brink does not answer by turns."""


@dataclass(frozen=True, slots=True)
class Space:
    """One disk as it was seen last.

    name         "spool" or "clickhouse"
    needed_bytes what must stay free; for ClickHouse also what the spool still owes it
    is_short     snapshots are refused for its sake
    """

    name: str
    free_bytes: int
    total_bytes: int
    needed_bytes: int
    is_short: bool


def judge(name: str, free_bytes: int, total_bytes: int, needed_bytes: int, *, was_short: bool) -> Space:
    """A disk with so much free; one that was short stays so until there is a quarter more than needed."""
    least = needed_bytes * RESUMES_AT if was_short else needed_bytes
    return Space(name, free_bytes, total_bytes, needed_bytes, is_short=free_bytes < least)
