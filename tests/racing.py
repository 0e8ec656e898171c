"""Threads that start at one instant."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")


def race(runners: int, run: Callable[[int], T]) -> list[T | BaseException]:
    """What `run(0)`, `run(1)` … return or raise when they all begin together, in that order."""
    barrier = Barrier(runners)

    def start(number: int) -> T:
        barrier.wait()
        return run(number)

    with ThreadPoolExecutor(runners) as pool:
        started = [pool.submit(start, number) for number in range(runners)]
    return [_outcome(future) for future in started]


def _outcome(future: Future[T]) -> T | BaseException:
    error = future.exception()
    return future.result() if error is None else error
