"""A graph's lines as a table for spreadsheets: a row for each bucket, a column for each line."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from dashboards.answers import Answer

_RUN = ("=", "+", "-", "@", "\t", "\r")


def table(answer: Answer) -> str:
    """Times are UTC and say where a bucket begins; an empty field is a gap."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["time", *(_title(name) for name in answer.names)])
    columns = [_values(shown.values) for shown in answer.lines]
    for slot in range(answer.count):
        at = datetime.fromtimestamp(answer.plan.from_s + slot * answer.plan.step_s, UTC)
        row = ("" if (value := column[slot]) is None else repr(value) for column in columns)
        writer.writerow([at.strftime("%Y-%m-%dT%H:%M:%SZ"), *row])
    return text.getvalue()


def _values(values: msgspec.Raw | Sequence[float | None]) -> Sequence[float | None]:
    return msgspec.json.decode(values, type=list[float | None]) if isinstance(values, msgspec.Raw) else values


def _title(name: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; names are other people's words."""
    return f"'{name}" if name.startswith(_RUN) else name
