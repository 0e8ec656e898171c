"""How the engine cuts SQL: what it takes for data never reaches the parser, so a wrong cut would lose rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrist.engine.errors import EngineError, from_chdb
from metrist.engine.statement import parse

INPUT = b"INSERT INTO t SELECT a FROM input('a UInt8') SETTINGS x = 1 FORMAT JSONEachRow\n"


@pytest.mark.parametrize(
    ("text", "verb", "name"),
    [
        (b"SELECT 1", b"SELECT", None),
        (b"select 1 format JSON", b"SELECT", b"JSON"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1;", b"SELECT", b"CSV"),
        (b"SELECT 1 FORMAT /* as */ TSV -- the end", b"SELECT", b"TSV"),
        (b"/* a */ -- b\n (SELECT ';') FORMAT CSV ; ", b"SELECT", b"CSV"),
        (b"SELECT format FROM t", b"SELECT", None),
        (b"SELECT a AS format, t.format, 'x FORMAT CSV', `FORMAT CSV` FROM t", b"SELECT", None),
        (b"SELECT (SELECT 1 FORMAT x) FROM t", b"SELECT", None),
        (b"SELECT $$ FORMAT CSV; $$", b"SELECT", None),
        (b"WITH 1 AS x SELECT x", b"WITH", None),
        (b"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", b"INSERT", None),
        (b"SHOW TABLES FORMAT JSON", b"SHOW", b"JSON"),
        (b"CREATE TABLE t (format String) ENGINE = Memory", b"CREATE", None),
        (b" ; ", b"", None),
    ],
)
def test_verb_and_format(text: bytes, verb: bytes, name: bytes | None) -> None:
    statement = parse(text)
    assert (statement.verb, statement.format, statement.data_at) == (verb, name, None)


@pytest.mark.parametrize(
    ("text", "name", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", b"CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV \r\n\n1", b"CSV", b"\n1"),
        (b"insert into t (a, b) settings x = 'FORMAT TSV' format jsoneachrow {}", b"jsoneachrow", b"{}"),
        (b"INSERT INTO t FORMAT Native\n\x01\x00';", b"Native", b"\x01\x00';"),
        (b"INSERT INTO t (format) VALUES (1); ('x')", b"Values", b" (1); ('x')"),
        (b"INSERT INTO t FORMAT TSV", b"TSV", b""),
        (b"INSERT INTO t FORMAT TSV; \n", b"TSV", b""),
        (INPUT + b"{}", b"JSONEachRow", b"{}"),
        (b"INSERT INTO t SELECT 1", None, None),
        (b"INSERT INTO t SELECT * FROM x FORMAT Null", None, None),
    ],
)
def test_where_the_data_of_an_insert_begins(text: bytes, name: bytes | None, data: bytes | None) -> None:
    statement = parse(text)
    assert statement.format == name
    assert (None if statement.data_at is None else text[statement.data_at :]) == data


def test_where_clauses_of_an_insert_begin() -> None:
    statement = parse(INPUT)
    assert statement.input_at
    assert INPUT[statement.input_at[0] :].startswith(b"input('a")
    assert INPUT[statement.input_at[1] :].startswith(b"'a UInt8')")
    assert statement.settings_at
    assert INPUT[statement.settings_at : statement.end] == b"SETTINGS x = 1 "


@given(data=st.binary(max_size=200))
def test_data_is_never_looked_at(data: bytes) -> None:
    statement = parse(INPUT + data)
    assert statement.data_at == len(INPUT)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"SELECT 1; SELECT 2", 62),
        (b"SELECT 1 INTO OUTFILE '/etc/x'", 358),
        (b"INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", 78),
        (b"INSERT INTO t FORMAT CSV; 1,2", 62),
    ],
)
def test_what_http_does_not_allow(text: bytes, code: int) -> None:
    with pytest.raises(EngineError) as refused:
        parse(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"SET a = 1", True),
        (b"USE x", True),
        (b"/* x */ create temporary table t (a UInt8)", True),
        (b"CREATE TABLE t (temporary UInt8)", False),
        (b"SELECT 1 -- SET", False),
    ],
)
def test_what_a_session_would_keep(text: bytes, expected: bool) -> None:
    assert parse(text).changes_session is expected


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (
            "Code: 27. DB::Exception: Code: 27. DB::Exception: Cannot parse: (at row 2)\n: "
            "(in file/uri /dev/fd/18): While executing F: While executing File: data for INSERT was parsed from file. "
            "(X_Y) (version 26.9.2.1). (X_Y)",
            "Code: 27. DB::Exception: Cannot parse: (at row 2)\n: While executing F. (X_Y)",
        ),
        (
            "Code: 62. DB::Exception: Syntax error: a\nINTO OUTFILE '/dev/fd/7' APPEND FORMAT JSON. (SYNTAX_ERROR)",
            "Code: 62. DB::Exception: Syntax error: a FORMAT JSON. (SYNTAX_ERROR)",
        ),
        ("something else", "Code: 1002. DB::Exception: something else. (UNKNOWN_EXCEPTION)"),
    ],
    ids=["file", "pipe", "unknown"],
)
def test_errors_do_not_show_our_files(told: str, text: str) -> None:
    assert from_chdb(RuntimeError(told)).text == text
