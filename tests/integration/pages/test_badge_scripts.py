"""Where badges stand on a dashboard, in the browser that decides it."""

from typing import Any

from playwright.sync_api import Page

from domain.dashboards import bind
from domain.query import Graph, Query, parse_matcher
from tests.integration.pages.test_board_scripts import call, page

__all__ = ["page"]


def test_a_badge_stands_on_the_panels_whose_matchers_allow_it(page: Page) -> None:
    """As domain/matchers.py reads them; a label that a status does not tell apart may be any."""
    matches = [
        (), ("node=web-1",), ("node!=web-1",), ("node=~web-.*",), ("node!~web-.*",), ("node=~eb-1",), ("env=prod",),
        ('disk="a b"',), ('disk="a\\"b"',), ("node=web-1", "disk=sda"), ("node=$node",), ("node=~$node",),
        ("disk=$all",),
    ]  # fmt: skip
    groups = [{}, {"node": "web-1"}, {"node": "db-1", "disk": "sda"}, {"node": "web-1", "disk": "a b"}, {"disk": 'a"b'}]
    values: dict[str, Any] = {"node": ["web-1", "db-1"], "all": ""}
    calls, expected = [], []
    for match in matches:
        bound = bind(Graph(queries=(Query("A", "m", match),)), values).queries[0].match
        for labels in groups:
            calls.append([{"metric": "m", "labels": labels}, {"queries": [{"metric": "m", "match": match}]}, values])
            read = [parse_matcher(one) for one in bound]
            expected.append(all(one.label not in labels or one.holds(labels) for one in read))
    assert call(page, "badges.js", "concerns", calls) == expected
    assert True in expected and False in expected
    other = [{"metric": "n", "labels": {}}, {"queries": [{"metric": "m", "match": []}]}, values]
    assert call(page, "badges.js", "concerns", [other]) == [False]
