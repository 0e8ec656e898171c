"""What is measured: one file per part of the machine."""

from collections.abc import Callable

Metrics = dict[str, float]
"""Series key to value."""

Part = Callable[[float], Metrics]
"""Reads one part of the machine; its argument is the monotonic clock in seconds."""
