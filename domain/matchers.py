"""Which nodes a text asks for: words, and label matchers as Prometheus writes them.

`web env=prod team!="data base" rack=~a.*` is one word and three matchers; all must hold. A label that a node lacks is
the empty text, so `env!=prod` also finds nodes without `env`. A pattern must match the whole value. It is RE2's, which
takes time in proportion to the value whatever the pattern; Python's own could be made to run for years.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import re2

from domain.errors import InvalidQuery

FILTER_MAX_CHARS: Final = 500
TERMS_MAX: Final = 20
PATTERN_MAX_CHARS: Final = 200

_VALUES_KEPT = 1_000

_TERM = re.compile(r'(?:([A-Za-z_][A-Za-z0-9_.]*)(=~|!~|!=|=))?("(?:[^"\\]|\\.)*"?|\S*)', re.DOTALL)
_SPECIAL = re.compile(r"[\\.^$*+?()\[\]{}|]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a text, and a pattern in it, may be, and how many bytes the pattern may take when it is compiled."""

    chars: int
    pattern_chars: int
    pattern_bytes: int


TYPED: Final = Limits(FILTER_MAX_CHARS, PATTERN_MAX_CHARS, 65_536)
"""Of what people type: `.{500}` is refused, what they write takes a tenth."""


@dataclass(frozen=True)
class Matcher:
    """One condition on one label."""

    label: str
    operator: str
    value: str
    _holds: Callable[[str], bool] = field(compare=False, repr=False)

    def holds(self, labels: Mapping[str, str]) -> bool:
        return self._holds(labels.get(self.label, ""))


@dataclass(frozen=True)
class Filter:
    """Words that must stand in a node's texts, in small letters, and matchers that its labels must satisfy."""

    words: tuple[str, ...] = ()
    matchers: tuple[Matcher, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.words or self.matchers)

    def holds(self, haystack: str, labels: Mapping[str, str]) -> bool:
        """haystack  what `haystack_of` made of the node"""
        return all(word in haystack for word in self.words) and all(one.holds(labels) for one in self.matchers)


def parse_filter(text: str, limits: Limits = TYPED) -> Filter:
    """Read what someone typed; raises InvalidQuery, worded for them."""
    if len(text) > limits.chars:
        raise InvalidQuery(f"The filter is too long: at most {limits.chars:,} characters are read")
    words, matchers = [], []
    for label, operator, quoted in _terms(text):
        value = _unquoted(quoted)
        if operator:
            matchers.append(Matcher(label, operator, value, _test(operator, value, limits)))
        elif value:
            words.append(value.lower())
    if len(words) + len(matchers) > TERMS_MAX:
        raise InvalidQuery(f"The filter has {len(words) + len(matchers)} terms; at most {TERMS_MAX} are read")
    return Filter(tuple(words), tuple(matchers))


def any_of(values: Sequence[str]) -> str:
    """A pattern that matches these texts and no other."""
    return "|".join(_SPECIAL.sub(r"\\\g<0>", value) for value in values)


def haystack_of(name: str, labels: Mapping[str, str]) -> str:
    """The texts of a node that words are looked for in, in small letters; no word spans two of them."""
    return "\n".join((name, *(f"{key}={value}" for key, value in labels.items()))).lower()


def _terms(text: str) -> list[tuple[str, str, str]]:
    found = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TERM.match(text, at)
        assert match and match.end() > at, text  # \S* takes at least the character that is no space
        found.append((match[1] or "", match[2] or "", match[3]))
        at = match.end()
    return found


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    inner = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:]  # the last quote is still to be typed
    return _ESCAPED.sub(r"\1", inner)


def _test(operator: str, value: str, limits: Limits) -> Callable[[str], bool]:
    match operator:
        case "=":
            return lambda found: found == value
        case "!=":
            return lambda found: found != value
        case "=~":
            return _pattern(value, limits)
        case _:
            matches = _pattern(value, limits)
            return lambda found: not matches(found)


def _pattern(text: str, limits: Limits) -> Callable[[str], bool]:
    """Nodes are many and the values of a label few: each value is matched once."""
    pattern = _compile(text, limits)
    return lru_cache(_VALUES_KEPT)(lambda found: pattern.fullmatch(found) is not None)


def _compile(pattern: str, limits: Limits) -> Any:
    if len(pattern) > limits.pattern_chars:
        raise InvalidQuery(f"A pattern has {len(pattern):,} characters; at most {limits.pattern_chars:,} are taken")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = limits.pattern_bytes
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise InvalidQuery(f"“{pattern}” is no pattern: {_reason(error, pattern)}") from error


def _reason(error: Exception, pattern: str) -> str:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else "it holds half a character"
    return "too large" if "too large" in text else text.removesuffix(f": {pattern}")
