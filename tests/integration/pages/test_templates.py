"""A webhook's own body on its pages: tried on an example before it is saved, and kept with what is sealed."""

import html
import json
import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from schema import channels
from tests.integration.pages.site import HTML, Site, Tenant, new_tenant

OWN = '{"title": "{{ headline }}", "key": "{{ sealed.routing_key }}", "of": {{ notices[0].labels | tojson }}}'
PART = {"x-part": "tried"}


@pytest.fixture
def owner(site: Site) -> Tenant:
    return new_tenant(site, f"templates-{uuid4().hex[:8]}")


@pytest.fixture
def browser(site: Site, owner: Tenant) -> Iterator[httpx.Client]:
    with site.client(owner.session, **HTML) as client:
        yield client


def form(**more: str) -> dict[str, str]:
    return {"name": "pager", "url": "https://hooks.example.org/v2", "body": "template", "template": OWN,
            "escapes": "json", "sealed": "routing_key: R0-secret", "kind": "webhook", **more}  # fmt: skip


def bodies(answer: httpx.Response) -> list[str]:
    return [html.unescape(found) for found in re.findall(r"<pre[^>]*>(.*?)</pre>", answer.text, re.DOTALL)]


def test_a_template_is_tried_on_a_fire_and_on_an_end(browser: httpx.Client) -> None:
    answer = browser.post("/channels/preview", data=form(), headers=PART)
    assert answer.status_code == 200 and "<html" not in answer.text
    fires, ends = (json.loads(body) for body in bodies(answer))
    assert fires == {"title": 'CPU "busy": 2 firing', "key": "••••", "of": {"node": "web-1", "core": "2"}}
    assert ends["title"] == 'CPU "busy" (core 2, node web-1) is ok again after 12 min'
    assert "R0-secret" not in answer.text
    assert "<html" in browser.post("/channels/preview", data=form()).text, "without a script it is a page"


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        ({"template": "{\n{{ headlin }}"}, 2, "Line 2 of the template: 'headlin' is undefined"),
        ({"template": '{"a": "{{ sealed.other }}"}'}, 1, "has no attribute 'other'"),
        ({"template": '{"a": 1,}'}, 0, "What comes of the template is no JSON"),
        ({"template": ""}, 0, "Write a template"),
        ({"template": "a" * 17_000}, 0, "at most 16,384 bytes"),
        ({"escapes": "html"}, 0, "one of json, form, text"),
        ({"sealed": "Routing Key: 1"}, 0, "is no name for a value"),
    ],
)
def test_what_is_wrong_is_said_where_it_is_and_not_saved(
    site: Site, owner: Tenant, browser: httpx.Client, change: dict[str, str], line: int, said: str
) -> None:
    tried = browser.post("/channels/preview", data=form(**change), headers=PART)
    assert f'data-line="{line}"' in tried.text and said in html.unescape(tried.text)
    refused = browser.post("/channels", data=form(**change))
    assert refused.status_code == 422 and said in html.unescape(refused.text)
    assert html.escape(form(**change)["template"][:60], quote=False) in refused.text.replace("&#34;", '"')
    assert channels.list_for(site.control, owner.account_id) == []


def test_it_is_kept_and_what_is_sealed_is_not_seen_again(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    assert browser.post("/channels", data=form()).status_code == 200
    (made,) = channels.list_for(site.control, owner.account_id)
    shown = browser.get(f"/channels/{made.id}").text
    assert "{{ sealed.routing_key }}" in html.unescape(shown) and "There are routing_key" in shown
    changed = form(template='{"key": "{{ sealed.routing_key }}"}', sealed="", url="", known=str(made.id))
    (body, _) = bodies(browser.post("/channels/preview", data=changed, headers=PART))
    assert json.loads(body) == {"key": "••••"}
    assert browser.post(f"/channels/{made.id}", data=changed).status_code == 303
    pages = (f"/channels/{made.id}", "/channels", "/settings/audit")
    assert not [path for path in pages if "R0-secret" in browser.get(path).text]
    back = browser.post(f"/channels/{made.id}", data=form(body="slack", url="", sealed=""))
    assert back.status_code == 303
    (after,) = channels.list_for(site.control, owner.account_id)
    assert "template" not in after.config
