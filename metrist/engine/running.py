"""What runs now, by the ids that clients gave, and KILL QUERY for it: chDB itself knows none of these ids."""

import re
from collections.abc import Mapping
from dataclasses import replace

from metrist.engine.body import Body
from metrist.engine.results import Results
from metrist.engine.statement import parse

_KILL = re.compile(
    rb"\s*KILL\s+QUERY\s+WHERE\s+query_id\s*=\s*(?:'([^'\\]*)'|\{\s*(\w+)\s*:\s*String\s*\})\s*(?:(?:A?SYNC)\b)?\s*"
    rb"(?=;|FORMAT\b|\Z)",
    re.I,
)


class Running:
    """The statements under way. Used from the event loop only."""

    def __init__(self) -> None:
        self._by_id: dict[str, set[Results]] = {}

    def add(self, query_id: str, results: Results) -> None:
        """It has been asked for; it may still wait for its turn."""
        self._by_id.setdefault(query_id, set()).add(results)

    def remove(self, query_id: str, results: Results) -> None:
        """It has ended."""
        same = self._by_id[query_id]
        same.discard(results)
        if not same:
            del self._by_id[query_id]

    def of(self, query_id: str) -> list[Results]:
        """What runs under this id: none, one, or what careless clients have given one name."""
        return list(self._by_id.get(query_id, ()))


def killed_id(text: bytes, params: Mapping[str, str]) -> str | None:
    """The query id that a KILL QUERY names; None for any other statement, which is chDB's."""
    found = _KILL.match(text) if text[:64].lstrip()[:4].upper() == b"KILL" else None
    if found is None:
        return None
    return params.get(found[2].decode()) if found[2] else found[1].decode(errors="replace")


def answer_to_kill(body: Body, query_id: str, count: int) -> Body:
    """The SELECT that answers such a KILL as ClickHouse would, in whatever format was asked for."""
    text = b"SELECT 'waiting' AS kill_status, {killed:String} AS query_id FROM numbers({count:UInt64})"
    if body.statement.format:
        text += b" FORMAT " + body.statement.format
    params = {"killed": query_id, "count": str(count)}
    return replace(body, text=text, statement=parse(text), request=replace(body.request, params=params))
