"""What a request's SQL text is: its verb, its FORMAT, and where the data of an INSERT begins.

ClickHouse's server decides this with its parser, which chDB keeps to itself. We read only as much as HTTP needs:
names and strings are stepped over, never understood, and what we do not recognise goes to chDB as it came.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from metrist.engine.errors import EngineError

READS = frozenset(
    {b"SELECT", b"WITH", b"FROM", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK", b"VALUES"}
)
"""Verbs that change nothing; GET accepts these, SET and USE."""
QUERIES = frozenset({b"SELECT", b"WITH", b"FROM"})
"""Verbs whose results can be large: these are streamed."""
ANSWERS = READS | {b"KILL", b"BACKUP", b"RESTORE", b"OPTIMIZE"}
"""Verbs that answer with rows, so that the response names a format."""
CACHED_BYTES = 8192

_GAP = rb"(?:\s|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)"
_VERB = re.compile(rb"(?:%s|[;(])*(\w+)" % _GAP, re.S)
_TOKEN = re.compile(
    rb"""(?P<skip> --[^\n]* | \#[ !][^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
                 | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` )
       | (?P<open> [(\[{] ) | (?P<close> [)\]}] ) | (?P<end> ; )
       | (?<![\w.$]) (?P<word> FORMAT|VALUES|SETTINGS|OUTFILE|INFILE|INPUT(?=\s*\()|SELECT|INSERT ) (?!\w)""",
    re.S | re.X | re.I,
)
_NAME = re.compile(rb"%s+(\w+)" % _GAP, re.S)
_TAIL = re.compile(rb"%s*(?:;|$|SETTINGS\b)" % _GAP, re.S | re.I)
_NOTHING = re.compile(rb"(?:%s|;)*\Z" % _GAP, re.S)
_GAP_BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")
_STRING = re.compile(rb"%s*'" % _GAP, re.S)
_SESSION = re.compile(rb"%s*(?:SET|USE|(?:CREATE|REPLACE|DROP|ATTACH)\s[^(]*?\bTEMPORARY)\b" % _GAP, re.S | re.I)


@dataclass(frozen=True)
class Statement:
    """One SQL statement, cut where we may have to put something in.

    verb         upper case; empty when there is none
    format       the name after FORMAT, else None
    end          where a clause may be appended: before FORMAT if there is one, else behind the last token
    settings_at  of an INSERT with data: where its SETTINGS begin, else None
    input_at     of an INSERT … SELECT … FROM input(…): where `input(` begins and its arguments begin, else None
    data_at      of an INSERT with data: where the data begins, else None
    """

    verb: bytes
    format: bytes | None
    end: int
    settings_at: int | None = None
    input_at: tuple[int, int] | None = None
    data_at: int | None = None
    changes_session: bool = False

    @property
    def is_read(self) -> bool:
        """It changes nothing."""
        return self.verb in READS

    @property
    def is_query(self) -> bool:
        """Its result may be of any size."""
        return self.verb in QUERIES

    @property
    def has_answer(self) -> bool:
        """It answers with rows, be they none."""
        return self.verb in ANSWERS


def parse(text: bytes) -> Statement:
    """Find the verb, FORMAT and data of one statement. Raises EngineError for what HTTP does not allow."""
    return _cached(text) if len(text) <= CACHED_BYTES else _parse(text)


def _parse(text: bytes) -> Statement:
    found = _VERB.match(text)
    verb = found.group(1).upper() if found else b""
    scan = _Scan(text, verb)
    for token in _TOKEN.finditer(text):
        if scan.take(token):
            break
    return scan.statement()


_cached = lru_cache(maxsize=512)(_parse)


class _Scan:
    """Walks the tokens of one statement."""

    def __init__(self, text: bytes, verb: bytes) -> None:
        self._text = text
        self._verb = verb
        self._depth = 0
        self._end = len(text)
        self._selects = False
        self._format: tuple[int, bytes] | None = None
        self._settings_at: int | None = None
        self._input_at: tuple[int, int] | None = None
        self._data_at: int | None = None

    def statement(self) -> Statement:
        at, name = self._format or (self._end, None)
        return Statement(
            verb=self._verb,
            format=name,
            end=at,
            settings_at=self._settings_at if self._data_at is not None else None,
            input_at=self._input_at if self._data_at is not None else None,
            data_at=self._data_at,
            changes_session=bool(_SESSION.match(self._text)),
        )

    def take(self, token: re.Match[bytes]) -> bool:
        """Take one token in; True ends the walk: what follows is data or nothing."""
        kind = token.lastgroup
        if kind == "open":
            self._depth += 1
        elif kind == "close":
            self._depth -= 1
        elif kind == "end" and self._depth == 0:
            return self._finish(token.start())
        elif kind == "word":
            return self._take_word(token.group("word").upper(), token.start(), token.end())
        return False

    def _finish(self, at: int) -> bool:
        if not _NOTHING.match(self._text, at):
            raise EngineError(62, "SYNTAX_ERROR", "Syntax error (Multi-statements are not allowed)")
        self._end = at
        return True

    def _take_word(self, word: bytes, at: int, after: int) -> bool:
        if word == b"INPUT" and self._verb == b"INSERT":
            self._input_at = self._input_at or (at, self._text.index(b"(", after) + 1)
        if self._depth:
            return False
        if word == b"INSERT" and self._verb == b"WITH":
            self._verb = word
        self._selects = self._selects or word == b"SELECT"
        if word == b"SETTINGS":
            self._settings_at = at
        elif word in (b"OUTFILE", b"INFILE"):
            self._refuse_file(word, after)
        elif self._verb == b"INSERT":
            return self._take_data(word, at, after)
        elif word == b"FORMAT":
            self._take_format(at, after)
        return False

    def _take_format(self, at: int, after: int) -> None:
        """FORMAT is a clause only when nothing but SETTINGS follows its name; else it is somebody's column."""
        name = _NAME.match(self._text, after)
        if name and _TAIL.match(self._text, name.end()):
            self._format = at, name.group(1)

    def _take_data(self, word: bytes, at: int, after: int) -> bool:
        """Data follows FORMAT or VALUES, unless a SELECT gives it; then only input() reads it."""
        if word == b"VALUES" and not self._selects:
            self._format, self._data_at = (at, b"Values"), after
            return True
        name = _NAME.match(self._text, after) if word == b"FORMAT" else None
        if name is None or (self._selects and not self._input_at):
            return False
        self._format, self._data_at = (at, name.group(1)), self._skip_gap(name.end())
        return True

    def _skip_gap(self, at: int) -> int:
        """Step from a format's name to the data: blanks and one line break; a semicolon only where no data is."""
        if self._text[at : at + 1] == b";":
            if self._text[at + 1 :].strip():
                raise EngineError(62, "SYNTAX_ERROR", "You have ';' symbol before data in INSERT query")
            return len(self._text)
        gap = _GAP_BEFORE_DATA.match(self._text, at)
        return gap.end() if gap else at

    def _refuse_file(self, word: bytes, after: int) -> None:
        """Files belong to clients: on a server they would be read and written on its own disk."""
        if not _STRING.match(self._text, after):
            return
        if word == b"OUTFILE":
            raise EngineError(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
        raise EngineError(78, "UNKNOWN_TYPE_OF_QUERY", "Query has infile and was send directly to server")
