"""Scripts and styles: compressed, versioned, kept for ever, and nothing else on the disk."""

import gzip
import re

import httpx
import pytest
import zstandard

from dashboards import static


def test_every_file_a_page_names_is_there_and_kept_for_ever(browser: httpx.Client) -> None:
    pages = browser.get("/nodes").text + browser.get("/nodes/rack/web-1").text
    named = set(re.findall(r'"(/static/[^"]+)"', pages))
    assert len(named) > 10
    for path in named:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


ENCODINGS = [
    ("identity", None, lambda body: body),
    ("gzip", "gzip", gzip.decompress),
    ("gzip, deflate, br, zstd", "zstd", lambda body: zstandard.ZstdDecompressor().decompress(body)),
    ("zstd;q=0, gzip", "gzip", gzip.decompress),
    ("*", "zstd", lambda body: zstandard.ZstdDecompressor().decompress(body)),
    ("br", None, lambda body: body),
]


@pytest.mark.parametrize(("accepted", "encoding", "decoded"), ENCODINGS, ids=[case[0] for case in ENCODINGS])
def test_plotly_comes_compressed_as_the_browser_likes(
    stranger: httpx.Client, accepted: str, encoding: str | None, decoded: object
) -> None:
    with stranger.stream("GET", static.url_for(static.PLOTLY), headers={"accept-encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert len(body) == int(answer.headers["content-length"])
    assert encoding is None or len(body) < 1_600_000
    assert callable(decoded) and decoded(body).startswith(b"/**\n* plotly.js")


def test_a_known_file_is_not_sent_again(stranger: httpx.Client) -> None:
    url = static.url_for("app.js")
    etag = stranger.get(url).headers["etag"]
    for known in (etag, f'"other", W/{etag}'):
        answer = stranger.get(url, headers={"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    assert stranger.get(url, headers={"if-none-match": '"other"'}).status_code == 200


def test_the_head_of_a_file_has_its_size(stranger: httpx.Client) -> None:
    answer = stranger.head(static.url_for("app.js"))
    assert int(answer.headers["content-length"]) > 100 and answer.content == b""


def test_a_file_of_another_release_is_served_but_not_kept(stranger: httpx.Client) -> None:
    answer = stranger.get("/static/0123456789abcdef/app.js")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["nothing.js", "../static.py", "..%2Fstatic.py", "%2e%2e/render.py", "", "app.js/"])
def test_no_other_file_can_be_had(stranger: httpx.Client, name: str) -> None:
    address = f"/static/{static.release_of('app.js')}/{name}"
    assert stranger.get(address, follow_redirects=True).status_code == 404
