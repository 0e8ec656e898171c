"""How long to wait before a crashed process is started again."""

FIRST_S = 0.2
LONGEST_S = 30.0
RAN_WELL_S = 10.0
"""A process that lived this long has earned a quick restart again."""


def delay_s(failures: int, jitter: float) -> float:
    """Double with every failure in a row, half of it drawn, so that pieces that fell together do not rise together.

    failures  >= 1, in a row, this one included
    jitter    in [0, 1)
    """
    full_s = min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 16))
    return full_s * (0.5 + jitter / 2)


def failures_after(failures: int, lived_s: float) -> int:
    """Count one more failure in a row, or begin again after a good run."""
    return 1 if lived_s >= RAN_WELL_S else failures + 1
