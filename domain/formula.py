"""Arithmetic between the lines of queries: `A / (A + B) * 100`.

Numbers, names of queries, + - * / and parentheses; nothing else can be said. A bucket that one side lacks, or that
would divide by zero, is a gap.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add, mul, sub
from typing import Final, NoReturn

from domain.errors import InvalidQuery

FORMULA_MAX_CHARS: Final = 200
DEPTH_MAX: Final = 20
_TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)|([A-Z][0-9]{0,2})|(.))", re.DOTALL)

Values = Sequence[float | None]


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name:
    """A query's or a formula's lines."""

    name: str


@dataclass(frozen=True)
class Operation:
    """Two sides and what is between them."""

    operator: str
    left: "Expression"
    right: "Expression"


Expression = Number | Name | Operation


def parse(text: str) -> Expression:
    """Read a formula; raises InvalidQuery that shows where reading stopped."""
    if len(text) > FORMULA_MAX_CHARS:
        raise InvalidQuery(f"the formula has {len(text)} characters; at most {FORMULA_MAX_CHARS} are read")
    reader = _Reader(text)
    found = reader.sum(0)
    reader.end()
    if not any(names(found)):
        raise InvalidQuery(f"the formula “{text.strip()}” names no query; write one like A / B * 100")
    return found


def names(expression: Expression) -> Iterator[str]:
    """Every name in it, from left to right, as often as it stands there."""
    match expression:
        case Name(name):
            yield name
        case Operation(_, left, right):
            yield from names(left)
            yield from names(right)


def evaluate(expression: Expression, operands: Mapping[str, Values], count: int) -> list[float | None]:
    """The value of each of `count` buckets; operands have as many values."""
    match expression:
        case Number(value):
            return [value] * count
        case Name(name):
            return list(operands[name])
        case Operation(operator, left, right):
            do = _DO[operator]
            sides = (evaluate(left, operands, count), evaluate(right, operands, count))
            return [
                None if one is None or other is None else _finite(do(one, other))
                for one, other in zip(*sides, strict=True)
            ]


def _divide(one: float, other: float) -> float:
    return one / other if other else float("nan")


_DO = {"+": add, "-": sub, "*": mul, "/": _divide}


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


class _Reader:
    """Recursive descent: a sum of products of values."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._at = 0

    def sum(self, depth: int) -> Expression:
        if depth > DEPTH_MAX:
            raise InvalidQuery(f"the formula nests deeper than {DEPTH_MAX} parentheses")
        found = self._product(depth)
        while operator := self._take("+-"):
            found = Operation(operator, found, self._product(depth))
        return found

    def end(self) -> None:
        if self._at < len(self._text):
            self._refuse()

    def _product(self, depth: int) -> Expression:
        found = self._value(depth)
        while operator := self._take("*/"):
            found = Operation(operator, found, self._value(depth))
        return found

    def _value(self, depth: int) -> Expression:
        token = _TOKEN.match(self._text, self._at)
        if not token:
            self._refuse()
        number, name, sign = token.groups()
        if number or name:
            self._at = token.end()
            return Number(float(number)) if number else Name(name)
        if self._take("-"):
            if depth > DEPTH_MAX:
                self._refuse()
            return Operation("-", Number(0.0), self._value(depth + 1))
        if sign != "(":
            self._refuse()
        self._take("(")
        found = self.sum(depth + 1)
        if not self._take(")"):
            self._refuse("a parenthesis is not closed")
        return found

    def _take(self, wanted: str) -> str:
        token = _TOKEN.match(self._text, self._at)
        if not token or not token[3] or token[3] not in wanted:
            return ""
        self._at = token.end()
        return token[3]

    def _refuse(self, why: str = "") -> NoReturn:
        rest = self._text[self._at :].strip()
        where = f"at “{rest[:20]}”" if rest else "at its end"
        raise InvalidQuery(f"the formula “{self._text}” cannot be read {where}{': ' + why if why else ''}")
