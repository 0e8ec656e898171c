"""Nobody leads a person from our sign-in page to another site."""

from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.places import START, local_path, sign_in_path

OURS = "https://metrist.example/sign-in"
ELSEWHERE = [
    "",
    "nodes",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "/nodes\r\nset-cookie: a=b",
    "https://evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/nodes\x00",
    "/nodes\x7f",
    "/nodes\u2028",
    "/" + "x" * 2_000,
    "/sign-in",
    "/sign-in?next=/nodes",
    "/sign-out",
]
HERE = ["/", "/nodes", "/nodes/rack/web-1?range=1h", "/invite/abc", "/nodes/%2F%2Fevil.example", "/nodes/käse", "/a//b"]


@pytest.mark.parametrize("asked", ELSEWHERE)
def test_what_could_lead_elsewhere_leads_to_the_start(asked: str) -> None:
    assert local_path(asked) == START


@pytest.mark.parametrize("asked", HERE)
def test_a_path_of_ours_is_kept(asked: str) -> None:
    assert local_path(asked) == asked


@given(st.text(st.sampled_from("/\\:.@?#%ehtpsvil\t\n\r\x00 \u3002\uff0f"), max_size=12).map(lambda text: "/" + text))
def test_no_text_leaves_our_origin(asked: str) -> None:
    browsers_view = local_path(asked).replace("\\", "/")
    for removed in "\t\n\r":
        browsers_view = browsers_view.replace(removed, "")
    assert urlsplit(urljoin(OURS, browsers_view)).netloc == "metrist.example"


@pytest.mark.parametrize("after", ["/nodes/rack/web-1?range=1h&x=%2F", "/invite/a&b=c#d"])
def test_the_sign_in_page_leads_on(after: str) -> None:
    parts = urlsplit(sign_in_path(after))
    assert (parts.path, parse_qs(parts.query)) == ("/sign-in", {"next": [after]})


@pytest.mark.parametrize("after", ["/", "/nodes", "//evil.example", "/sign-in"])
def test_where_one_starts_needs_no_mention(after: str) -> None:
    assert sign_in_path(after) == "/sign-in"
