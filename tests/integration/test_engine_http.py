"""The engine as curl sees it; a real ClickHouse must pass the same tests."""

import gzip
import json
import re
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import lz4.frame
import pytest
import zstandard

from tests.clickhouse_server import Server

UNPACK = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.fixture
def http(clickhouse_server: Server, clickhouse_database: str) -> Iterator[httpx.Client]:
    with clickhouse_server.http(params={"database": clickhouse_database}) as http:
        yield http


@pytest.fixture
def anonymous(clickhouse_server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=clickhouse_server.url) as http:
        yield http


@pytest.fixture
def numbers(http: httpx.Client) -> str:
    sql = "CREATE TABLE numbers (n UInt64, s String DEFAULT 'none') ENGINE = MergeTree ORDER BY n"
    assert http.post("/", content=sql).status_code == 200
    return "numbers"


def ask(http: httpx.Client, sql: str, **params: str) -> str:
    """Ask by POST, as most do; the answer's text."""
    answer = http.post("/", params={**dict(http.params), **params}, content=sql)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/ping", 200, "Ok.\n"),
        ("GET", "/replicas_status", 200, "Ok.\n"),
        ("GET", "/", 200, "Ok.\n"),
        ("HEAD", "/", 200, ""),
        ("GET", "/no/such/page", 404, "There is no handle /no/such/page"),
    ],
)
def test_health_needs_no_password(anonymous: httpx.Client, method: str, path: str, status: int, text: str) -> None:
    answer = anonymous.request(method, path)
    assert answer.status_code == status
    assert answer.text.startswith(text)


def test_an_answer_has_its_headers(http: httpx.Client) -> None:
    answer = http.post("/", params={"query_id": "mine-1"}, content="SELECT number FROM system.numbers LIMIT 3")
    assert answer.text == "0\n1\n2\n"
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine-1"
    assert answer.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["X-ClickHouse-Server-Display-Name"]
    assert answer.headers["Content-Type"] == "text/tab-separated-values; charset=UTF-8"
    assert re.fullmatch("[a-z]{16}", answer.headers["X-ClickHouse-Exception-Tag"])
    summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert int(summary["read_rows"]) >= 3
    assert int(summary["elapsed_ns"]) > 0


def test_the_query_may_be_in_the_url_the_body_or_both(http: httpx.Client, numbers: str) -> None:
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("/", content="SELECT 2").text == "2\n"
    assert http.post("/", params={"query": "SELECT"}, content="3").text == "3\n"
    inserted = http.post("/", params={"query": "INSERT INTO numbers FORMAT TSV"}, content=b"1\ta\n2\tb\n")
    assert (inserted.status_code, inserted.text) == (200, "")
    assert json.loads(inserted.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert "X-ClickHouse-Format" not in inserted.headers
    http.post("/", content=b"INSERT INTO numbers SETTINGS max_threads = 1 FORMAT JSONEachRow\n" + b'{"n":3,"s":"c"}')
    http.post("/", content=(part for part in (b"INSERT INTO numb", b"ers FORMAT TS", b"V\n4\t", b"d\n")))
    assert ask(http, "SELECT * FROM numbers ORDER BY n FORMAT CSV") == '1,"a"\n2,"b"\n3,"c"\n4,"d"\n'


def test_parameters_settings_and_formats_in_the_url(http: httpx.Client) -> None:
    assert ask(http, "SELECT {a:UInt8} + 1, {b:String}", param_a="6", param_b="x\\ty") == "7\tx\\ty\n"
    assert ask(http, "SELECT getSetting('max_result_rows')", max_result_rows="12") == "12\n"
    assert json.loads(ask(http, "SELECT 1 AS x", default_format="JSONEachRow")) == {"x": 1}
    assert json.loads(ask(http, "SELECT 1 AS x FORMAT JSON;", default_format="CSV"))["data"] == [{"x": 1}]
    by_header = http.post("/", headers={"X-ClickHouse-Format": "CSV"}, content="SELECT 'x' -- a comment")
    assert by_header.text == '"x"\n'
    assert ask(http, "SELECT currentDatabase()", database="system") == "system\n"


def test_credentials(clickhouse_server: Server, anonymous: httpx.Client) -> None:
    user, password = clickhouse_server.username, clickhouse_server.password
    headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
    params = {"user": user, "password": password}
    assert anonymous.post("/", content="SELECT 1", auth=(user, password)).text == "1\n"
    assert anonymous.post("/", content="SELECT 1", headers=headers).text == "1\n"
    assert anonymous.post("/", content="SELECT 1", params=params).text == "1\n"
    assert anonymous.post("/", content="SELECT 1", params=params, headers=headers).status_code == 403


@pytest.mark.parametrize("auth", [("", "wrong"), ("x", ""), ("nobody", "")], ids=["password", "no password", "user"])
def test_wrong_credentials(clickhouse_server: Server, anonymous: httpx.Client, auth: tuple[str, str]) -> None:
    user = clickhouse_server.username if auth[0] != "nobody" else "nobody"
    answer = anonymous.post("/", content="SELECT 1", auth=(user, auth[1]))
    assert answer.status_code == 403
    assert answer.headers["X-ClickHouse-Exception-Code"] == "516"
    assert answer.text.startswith("Code: 516. DB::Exception: ")
    assert "(AUTHENTICATION_FAILED) (version " in answer.text


@pytest.mark.parametrize(
    ("sql", "params", "status", "code"),
    [
        ("SELECT * FROM no_such_table", {}, 404, 60),
        ("SELECT 1", {"database": "no_such_database"}, 404, 81),
        ("SELECT 1", {"no_such_setting": "1"}, 404, 115),
        ("SELECT 1", {"max_threads": "many"}, 400, 27),
        ("SELECT 1 FORMAT NoSuchFormat", {}, 404, 73),
        ("SELEKT 1", {}, 400, 62),
        ("SELECT 1; SELECT 2", {}, 400, 62),
        ("", {}, 400, 62),
        ("SELECT toUInt8('x')", {}, 400, 6),
        ("SELECT throwIf(1)", {}, 500, 395),
        ("SELECT 1 INTO OUTFILE 'x.tsv'", {}, 500, 358),
        ("SELECT 1", {"session_id": "s", "session_check": "1"}, 500, 372),
        ("SELECT sleep(3)", {"max_execution_time": "0.5", "timeout_before_checking_execution_speed": "0"}, 408, 159),
    ],
)
def test_an_error_has_its_status(http: httpx.Client, sql: str, params: dict[str, str], status: int, code: int) -> None:
    answer = http.post("/", params={**dict(http.params), **params}, content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert re.fullmatch(rf"Code: {code}\. DB::Exception: .*\([A-Z_]+\) \(version [\d.]+.*\)\n", answer.text, re.DOTALL)
    assert "/fd/" not in answer.text


def test_get_changes_nothing(http: httpx.Client, numbers: str) -> None:
    answer = http.get("/", params={**dict(http.params), "query": "INSERT INTO numbers VALUES (1, 'x')"})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert ask(http, "SELECT count() FROM numbers") == "0\n"


@pytest.mark.parametrize("encoding", UNPACK)
@pytest.mark.parametrize("rows", [1, 500_000])
def test_a_compressed_answer(http: httpx.Client, encoding: str, rows: int) -> None:
    params = {"enable_http_compression": "1", "query": f"SELECT number FROM numbers({rows})"}
    with http.stream("GET", "/", params=params, headers={"Accept-Encoding": encoding}) as answer:
        assert answer.headers["Content-Encoding"] == encoding
        packed = b"".join(answer.iter_raw())
    assert UNPACK[encoding](packed) == b"".join(b"%d\n" % n for n in range(rows))


def test_an_answer_is_compressed_only_when_asked(http: httpx.Client) -> None:
    answer = http.post("/", content="SELECT 1", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "lz4", "zstd", "no-such-encoding"])
def test_a_body_that_is_not_what_it_says(http: httpx.Client, numbers: str, encoding: str) -> None:
    params = {**dict(http.params), "query": "INSERT INTO numbers FORMAT TSV"}
    answer = http.post("/", params=params, content=b"1\ta\n", headers={"Content-Encoding": encoding})
    assert answer.status_code >= 400
    assert ask(http, "SELECT count() FROM numbers") == "0\n"


def test_a_late_failure(http: httpx.Client) -> None:
    sql = "SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000)"
    waited = http.post("/", params={"wait_end_of_query": "1"}, content=sql)
    assert (waited.status_code, waited.headers["X-ClickHouse-Exception-Code"]) == (500, "395")
    received = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        http.stream("POST", "/", content=sql) as streamed,
    ):
        for part in streamed.iter_raw():
            received += part
    assert streamed.status_code == 200
    tag = streamed.headers["X-ClickHouse-Exception-Tag"]
    told = re.search(
        rf"\r\n__exception__\r\n{tag}\r\n(.*\n)(\d+) {tag}\r\n__exception__\r\n$", received.decode(), re.DOTALL
    )
    assert told
    assert told[1].startswith("Code: 395. DB::Exception: boom")
    assert int(told[2]) == len(told[1].encode())


def test_a_large_answer_waits_until_it_is_whole(http: httpx.Client) -> None:
    answer = http.post(
        "/", params={"wait_end_of_query": "1"}, content="SELECT number FROM numbers(5000000) FORMAT RowBinary"
    )
    assert len(answer.content) == 40_000_000
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["result_rows"] == "5000000"


def test_a_session_serves_one_request_at_a_time(clickhouse_server: Server, http: httpx.Client) -> None:
    session = {"session_id": str(uuid4()), "session_timeout": "60"}
    ask(http, "SET max_result_rows = 7", **session)
    assert ask(http, "SELECT getSetting('max_result_rows')", session_check="1", **session) == "7\n"
    with clickhouse_server.http() as other, ThreadPoolExecutor(1) as elsewhere:
        slow = elsewhere.submit(ask, other, "SELECT sleep(1)", **session)
        time.sleep(0.3)
        locked = http.post("/", params=session, content="SELECT 1")
        assert locked.headers["X-ClickHouse-Exception-Code"] == "373"
        assert slow.result() == "0\n"
    assert ask(http, "SELECT 1", close_session="1", **session) == "1\n"
    gone = http.post("/", params={**session, "session_check": "1"}, content="SELECT 1")
    assert gone.headers["X-ClickHouse-Exception-Code"] == "372"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_itself(clickhouse_server: Server, clickhouse_database: str) -> None:
    def curl(*options: str, data: str = "") -> str:
        login = f"{clickhouse_server.username}:{clickhouse_server.password}"
        command = ["curl", "--silent", "--show-error", "--user", login, *options]
        return subprocess.run(command, input=data, capture_output=True, text=True, check=True).stdout

    at = f"{clickhouse_server.url}?database={clickhouse_database}"
    curl(at, "--data-binary", "CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")
    curl(f"{at}&query=INSERT%20INTO%20t%20FORMAT%20CSV", "--data-binary", "@-", data="1\n2\n")
    assert curl(at, "--data-binary", "SELECT sum(n) FROM t") == "3\n"
    assert curl("-G", at, "--data-urlencode", "query=SELECT {x:UInt8} FORMAT CSV", "-d", "param_x=5") == "5\n"
    assert curl(f"{at}&enable_http_compression=1", "--compressed", "-d", "SELECT 'ü'") == "ü\n"


@pytest.mark.parametrize("fmt", ["TabSeparated", "JSON"])
def test_a_query_is_killed_by_the_id_its_client_gave(http: httpx.Client, fmt: str) -> None:
    name = f"mine-{uuid4()}"
    endless = f"SELECT 'endless', sum(sin(number)) FROM numbers(1000000000000) FORMAT {fmt}"
    kill = {"param_id": name, "default_format": "JSON"}
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(
            http.post, "/", params={**dict(http.params), "query_id": name}, content=endless, timeout=20
        )
        deadline_s = time.monotonic() + 10
        told: list[dict[str, str]] = []
        while not told and time.monotonic() < deadline_s:
            answer = ask(http, "KILL QUERY WHERE query_id = {id:String} ASYNC", **kill)
            told = json.loads(answer)["data"] if answer else []
            time.sleep(0.05)
        answer = asked.result(timeout=10)
    assert [(row["kill_status"], row["query_id"]) for row in told] == [("waiting", name)]
    assert answer.headers["X-ClickHouse-Exception-Code"] == "394", answer.text


def test_a_kill_that_finds_nothing_says_so(http: httpx.Client) -> None:
    assert ask(http, f"KILL QUERY WHERE query_id = '{uuid4()}' FORMAT TabSeparated") == ""
