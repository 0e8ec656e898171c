"""What a monitor's script may be told: each parameter with its type, its bounds and a default.

People write a line each, which the editor and its diffs show:

    warning_percent: number(0..100) = 80
    process: text = nginx
    state: choice(warning, critical) = critical
    must_be_trusted: boolean = true

Agents check what they are told in the same way: agent/monitors/parameters.py.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from domain.errors import InvalidBody
from domain.series_key import shorten

Kind = Literal["number", "text", "choice", "boolean"]
Value = str | bool | int | float
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
NUMBER_MOST: Final = 2**53
TEXT_MAX_CHARS: Final = 1_000
CHOICES_MAX: Final = 50
CHOICE_MAX_CHARS: Final = 100

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LINE = re.compile(r"(?P<name>[^:=(]*):\s*(?P<kind>[A-Za-z]*)\s*(?:\((?P<inside>.*?)\))?\s*=(?P<default>.*)", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,16}(\.\d{1,16})?")
_RANGE = re.compile(r"\s*(?P<least>-?[\d.]*)\s*\.\.\s*(?P<most>-?[\d.]*?)\s*")


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of them.

    default  what the script reads where nothing is set
    choices  of a choice: its texts, in the order in which they are offered
    least    of a number, like `most`: its bounds, None for none
    """

    kind: Kind
    default: Value
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


def check_name(name: str) -> None:
    """Raises InvalidBody."""
    if not _NAME.fullmatch(name):
        raise InvalidBody(f"A parameter's name is letters, digits and _, not {shorten(name) or 'nothing'}")


def check(name: str, declared: Parameter) -> None:
    """Raises InvalidBody unless it can be declared so."""
    check_name(name)
    if declared.choices and declared.kind != "choice":
        raise InvalidBody(f"Parameter {name}: only a choice has texts to choose from")
    if (declared.least is not None or declared.most is not None) and declared.kind != "number":
        raise InvalidBody(f"Parameter {name}: only a number has bounds")
    if declared.kind == "choice":
        _check_choices(name, declared.choices)
    for bound in (declared.least, declared.most):
        if bound is not None and not abs(bound) <= NUMBER_MOST:
            raise InvalidBody(f"Parameter {name}: a bound is too large to be told exactly")
    if declared.least is not None and declared.most is not None and declared.least > declared.most:
        raise InvalidBody(f"Parameter {name}: no number is between {declared.least:g} and {declared.most:g}")
    check_value(name, declared, declared.default)


def check_value(name: str, declared: Parameter, value: object) -> None:
    """Raises InvalidBody unless the parameter can have this value."""
    problem = _problem(declared, value)
    if problem:
        raise InvalidBody(f"Parameter {name} is {problem}, not {_quoted(value)}")


def check_plain(name: str, value: Value) -> None:
    """The same for one whose type nobody declared. Raises InvalidBody."""
    check_name(name)
    if isinstance(value, str) and not _is_text(value):
        raise InvalidBody(f"Parameter {name}: a text has at most {TEXT_MAX_CHARS:,} printable characters")
    if isinstance(value, int | float) and not abs(value) <= NUMBER_MOST:
        raise InvalidBody(f"Parameter {name}: the number is too large to be told exactly")


def effective(declared: Mapping[str, Parameter], values: Mapping[str, Value]) -> dict[str, Value]:
    """What a script is told: the values, and the defaults of those that have none."""
    return {**{name: one.default for name, one in declared.items()}, **values}


def line_of(name: str, declared: Parameter) -> str:
    """The line that declares it; `read_line` reads it back."""
    inside = ""
    if declared.kind == "choice":
        inside = f"({', '.join(declared.choices)})"
    elif declared.least is not None or declared.most is not None:
        inside = f"({_bound(declared.least)}..{_bound(declared.most)})"
    return f"{name}: {declared.kind}{inside} = {shown(declared.default)}"


def read_line(line: str) -> tuple[str, Parameter]:
    """A parameter from the line that declares it. Raises InvalidBody."""
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise InvalidBody(f"{shorten(line)} declares nothing; write name: number = 1, or choice(a, b), text, boolean")
    name, inside = found["name"].strip(), found["inside"]
    kind = next((one for one in KINDS if one == found["kind"]), None)
    if kind is None:
        raise InvalidBody(
            f"Parameter {shorten(name)}: there is no type {shorten(found['kind'])}; there are {', '.join(KINDS)}"
        )
    declared = Parameter(kind, read_value(kind, found["default"].strip(), name), **_within(kind, inside, name))
    check(name, declared)
    return name, declared


def read_value(kind: Kind, text: str, name: str) -> Value:
    """A value as it is typed. Raises InvalidBody."""
    if kind == "number":
        if not _NUMBER.fullmatch(text):
            raise InvalidBody(f"Parameter {name} is a number, not {_quoted(text)}")
        return int(text) if "." not in text else float(text)
    if kind == "boolean":
        if text not in ("true", "false"):
            raise InvalidBody(f"Parameter {name} is true or false, not {_quoted(text)}")
        return text == "true"
    return text


def shown(value: Value) -> str:
    """A value as it is typed; `read_value` reads it back."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.16g}" if isinstance(value, float) else str(value)


def _problem(declared: Parameter, value: object) -> str:
    """What the parameter is, where the value is not that; else nothing."""
    match declared.kind:
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool) and _is_within(declared, value)
            return "" if fits else f"a number{_bounds(declared)}"
        case "boolean":
            return "" if isinstance(value, bool) else "true or false"
        case "choice":
            fits = isinstance(value, str) and value in declared.choices
            return "" if fits else f"one of {', '.join(declared.choices)}"
        case "text":
            fits = isinstance(value, str) and _is_text(value)
            return "" if fits else f"a text of at most {TEXT_MAX_CHARS:,} printable characters"


def _check_choices(name: str, choices: tuple[str, ...]) -> None:
    if not 2 <= len(choices) <= CHOICES_MAX or len(set(choices)) != len(choices):
        raise InvalidBody(f"Parameter {name}: a choice has 2 to {CHOICES_MAX} different texts, as in choice(a, b)")
    for one in choices:
        is_plain = one == one.strip() and one.isprintable() and not set(one) & set("(),")
        if not one or len(one) > CHOICE_MAX_CHARS or not is_plain:
            raise InvalidBody(f"Parameter {name}: {_quoted(one)} cannot be chosen; texts hold no comma and no bracket")


def _within(kind: Kind, inside: str | None, name: str) -> dict[str, Any]:
    """What stands in the brackets behind a type."""
    if inside is None:
        return {}
    if kind == "choice":
        return {"choices": tuple(part.strip() for part in inside.split(","))}
    found = _RANGE.fullmatch(inside)
    if kind != "number" or found is None:
        raise InvalidBody(f"Parameter {name}: ({shorten(inside)}) says nothing of a {kind}; a number may have (0..100)")
    return {key: _limit(found[key], name) for key in ("least", "most")}


def _limit(text: str, name: str) -> float | None:
    return float(read_value("number", text, name)) if text else None


def _bound(bound: float | None) -> str:
    return "" if bound is None else f"{bound:.16g}"


def _is_within(declared: Parameter, value: float) -> bool:
    least = -NUMBER_MOST if declared.least is None else declared.least
    most = NUMBER_MOST if declared.most is None else declared.most
    return math.isfinite(value) and least <= value <= most


def _bounds(declared: Parameter) -> str:
    """Between what a number is, in words; "" for any."""
    least, most = declared.least, declared.most
    if least is not None and most is not None:
        return f" from {least:.16g} to {most:.16g}"
    if least is not None:
        return f" of at least {least:.16g}"
    return "" if most is None else f" of at most {most:.16g}"


def _is_text(value: str) -> bool:
    return len(value) <= TEXT_MAX_CHARS and value.isprintable()


def _quoted(value: object) -> str:
    return shorten(value) if isinstance(value, str) else str(value)[:80]
