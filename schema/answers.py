"""Answers that this process remembers for a while, so that the graphs many look at are worked out once.

**The promise** (`domain.series.kept_s`). A bucket is closed five minutes after its end. An answer about closed buckets
may be given again for a minute, whoever in the account asks; one with open buckets for a sixtieth of their width, a
minute at most, which no graph can show: not at all below steps of a minute. So what arrives on time shows at once, and
what arrives later, or is erased, shows a minute after it is stored, in every process alike: nothing has to tell them.
An account's answers are found by that account only: it is part of what is remembered.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from domain.ids import AccountId
from domain.series import KEPT_S

T = TypeVar("T")

BYTES_MAX = 64_000_000
"""A process; a page of 20 graphs over 30 days is about a megabyte."""
_OVERHEAD_BYTES = 500


@dataclass(frozen=True)
class _Kept:
    answer: Any
    size: int
    until_s: float


class Answers:
    """The least recently used is forgotten first. Safe to use from many threads."""

    def __init__(self, bytes_max: int = BYTES_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_max = bytes_max
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[AccountId, Hashable], _Kept] = OrderedDict()
        self.bytes_kept = 0
        self.hits = self.misses = 0

    def remember(
        self,
        account_id: AccountId,
        question: Hashable,
        ask: Callable[[], T],
        size_of: Callable[[T], int],
        for_s: float = KEPT_S,
    ) -> tuple[T, bool]:
        """The answer to an account's question, and whether it was remembered; `ask` gives it otherwise.

        Remembered for `for_s`, not at all for 0, from when it was asked for: what is stored meanwhile is not in it.
        Nobody may change an answer.
        """
        if not for_s:
            return ask(), False
        key = (account_id, question)
        asked_s = self._clock()
        found = self._find(key, asked_s)
        if found is not None:
            self.hits += 1
            return found.answer, True
        self.misses += 1
        answer = ask()
        self._keep(key, _Kept(answer, size_of(answer) + _OVERHEAD_BYTES, asked_s + for_s), asked_s)
        return answer, False

    def _find(self, key: tuple[AccountId, Hashable], now_s: float) -> _Kept | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            if found.until_s <= now_s:
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return found

    def _keep(self, key: tuple[AccountId, Hashable], kept: _Kept, now_s: float) -> None:
        """One that would push out most of the others is not worth it.

        Windows move, so most questions are never asked again: what is over goes, it would only wait for the bound.
        """
        if kept.size > self._bytes_max // 4:
            return
        with self._lock:
            self._drop_past(now_s)
            if key in self._kept:
                self._drop(key)
            self._kept[key] = kept
            self.bytes_kept += kept.size
            while self.bytes_kept > self._bytes_max:
                self._drop(next(iter(self._kept)))

    def _drop_past(self, now_s: float) -> None:
        """From the least recently used on, up to the first that still holds: none of those holds for much longer."""
        while self._kept and next(iter(self._kept.values())).until_s <= now_s:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[AccountId, Hashable]) -> None:
        self.bytes_kept -= self._kept.pop(key).size


def question_of(sql: str, parameters: Mapping[str, Any]) -> Hashable:
    """A question as a key: its text and what stands in its places."""
    return sql, tuple(sorted((name, _frozen(value)) for name, value in parameters.items()))


def _frozen(value: Any) -> str:
    return repr(list(value)) if isinstance(value, Sequence) and not isinstance(value, str) else repr(value)
