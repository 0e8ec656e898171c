"""A person recognises their browsers in a list."""

import pytest

from domain.browsers import UNKNOWN, describe

MOZILLA = "Mozilla/5.0"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
SEEN = [
    ("Firefox on Linux", f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Chrome on Windows", f"{MOZILLA} (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/150.0.0.0 Safari/537.36"),
    ("Edge on Windows", f"{MOZILLA} (Windows NT 10.0) {WEBKIT} Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0"),
    ("Safari on macOS", f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/18.0 Safari/605.1.15"),
    ("Safari on iPhone", f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) {WEBKIT} Mobile Safari/604.1"),
    ("Chrome on Android", f"{MOZILLA} (Linux; Android 15) {WEBKIT} Chrome/150.0.0.0 Mobile Safari/537.36"),
    ("curl", "curl/8.9.1"),
    (UNKNOWN, ""),
    (UNKNOWN, "<script>alert(1)</script>"),
]


@pytest.mark.parametrize(("called", "user_agent"), SEEN, ids=[case[0] for case in SEEN])
def test_a_browser_has_a_name(called: str, user_agent: str) -> None:
    assert describe(user_agent) == called
