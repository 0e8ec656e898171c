"""Whether what a monitor is told fits what it declares: a script can rely on its types, whoever has written the set."""

import math
from collections.abc import Mapping

import msgspec

TEXT_MAX_CHARS = 1_000
NUMBER_MOST = 2**53


class Declared(msgspec.Struct, frozen=True):
    """A parameter's type and bounds; its default is in `parameters` already."""

    kind: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None


def misfit(declared: Mapping[str, Declared], told: Mapping[str, object]) -> str:
    """The first parameter that is not what it is declared to be, in words; "" when all are."""
    for name, one in declared.items():
        if name not in told:
            return f"the parameter {name} is missing"
        if not _fits(one, told[name]):
            return f"the parameter {name} is no {one.kind} as it is declared"
    return ""


def _fits(one: Declared, value: object) -> bool:
    if one.kind == "boolean":
        return isinstance(value, bool)
    if one.kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        least, most = -NUMBER_MOST if one.least is None else one.least, NUMBER_MOST if one.most is None else one.most
        return least <= value <= most
    if not isinstance(value, str):
        return False
    if one.kind == "choice":
        return value in one.choices
    return one.kind == "text" and len(value) <= TEXT_MAX_CHARS and value.isprintable()
