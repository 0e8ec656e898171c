"""Channels, routes, silences and deliveries as people use them; secrets are shown once and nowhere else."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from domain import mail_links
from domain.accounts import Role
from domain.mail_links import Mailbox
from schema import channels, delivery_log, routes, server_secrets, silences
from schema.delivery_log import Wanted
from tests.integration.pages.company import Company
from tests.integration.pages.site import HTML, Site, Tenant, new_tenant
from tests.notices import House, a_fire

SIGNING = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")
HOOK = "https://hooks.example.org/services/very-secret?token=hidden"


@pytest.fixture
def owner(site: Site) -> Tenant:
    return new_tenant(site, f"notices-{uuid4().hex[:8]}")


@pytest.fixture
def browser(site: Site, owner: Tenant) -> Iterator[httpx.Client]:
    with site.client(owner.session, **HTML) as client:
        yield client


@pytest.fixture
def house(site: Site, owner: Tenant) -> House:
    return House(site.control, owner.account_id, site.settings)


def form(**more: str) -> dict[str, str]:
    return {"kind": "webhook", "name": "on call", "url": HOOK, "body": "metrist", **more}


def only(site: Site, owner: Tenant) -> channels.ChannelRow:
    (found,) = channels.list_for(site.control, owner.account_id)
    return found


def test_a_new_webhook_shows_its_secret_once(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    answer = browser.post("/channels", data=form(headers="Authorization: Bearer also-secret"))
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    (secret,) = set(SIGNING.findall(html.unescape(answer.text)))
    made = only(site, owner)
    later = "".join(browser.get(path).text for path in ("/channels", f"/channels/{made.id}", "/settings/audit"))
    for hidden in (secret, "very-secret", "token=hidden", "also-secret"):
        assert hidden not in html.unescape(later)
    assert "https://hooks.example.org/…" in later and "Authorization" in later


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"url": "http://127.0.0.1:6379/"}, "METRIST_EGRESS_ALLOW"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "METRIST_EGRESS_ALLOW"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "METRIST_EGRESS_ALLOW"),
        ({"url": "ftp://example.org"}, "https://"),
        ({"url": ""}, "characters"),
        ({"name": ""}, "name"),
        ({"body": "nonsense"}, "body"),
        ({"headers": "Host: evil.example"}, "set by Metrist"),
        ({"headers": "X-A: b\r\nno header"}, "no header"),
        ({"kind": "email", "address": "a@b\r\nBcc: c@d"}, "e-mail address"),
        ({"kind": "email", "address": "nobody"}, "e-mail address"),
    ],
)
def test_what_cannot_be_is_explained_and_kept(browser: httpx.Client, change: dict[str, str], detail: str) -> None:
    typed = form(**{"name": "kept <b>", **change})
    answer = browser.post("/channels", data=typed)
    assert answer.status_code == 422 and 'role="alert"' in answer.text
    assert detail in html.unescape(answer.text)
    assert f'value="{html.escape(typed["name"])}"' in answer.text


def test_two_channels_have_two_names(browser: httpx.Client) -> None:
    assert browser.post("/channels", data=form()).status_code == 200
    answer = browser.post("/channels", data=form())
    assert answer.status_code == 422 and "already" in answer.text


def test_what_is_left_empty_stays(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    browser.post("/channels", data=form(headers="X-Mine: 1"))
    before = only(site, owner)
    changed = {"name": "night shift", "url": "", "body": "slack", "days": ["Mon", "Tue"], "begins": "22:00",
               "ends": "07:00", "zone": "Europe/Berlin"}  # fmt: skip
    assert browser.post(f"/channels/{before.id}", data=changed).status_code == 303
    after = only(site, owner)
    assert (after.name, after.config["body"], after.config["headers"]) == ("night shift", "slack", ["X-Mine"])
    assert after.config["quiet"] == {"days": [0, 1], "begins": "22:00", "lasts_min": 540, "zone": "Europe/Berlin"}
    shown = browser.get(f"/channels/{before.id}").text
    assert 'value="07:00"' in shown and shown.count("checked") == 3


def test_a_secret_is_replaced_by_another_shown_once(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    first = SIGNING.findall(html.unescape(browser.post("/channels", data=form()).text))
    made = only(site, owner)
    answer = browser.post(f"/channels/{made.id}/rotate")
    (second,) = set(SIGNING.findall(html.unescape(answer.text)))
    assert second not in first and second not in html.unescape(browser.get(f"/channels/{made.id}").text)


def test_a_test_leads_to_its_delivery(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    browser.post("/channels", data=form())
    made = only(site, owner)
    answer = browser.post(f"/channels/{made.id}/test")
    assert answer.status_code == 303
    shown = browser.get(answer.headers["location"]).text
    assert 'data-state="owed"' in shown and "not tried yet" in shown
    assert browser.get("/deliveries?state=owed").text.count("A test") == 1
    assert browser.get("/deliveries?state=sent").text.count("A test") == 0


def test_off_on_and_away(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    browser.post("/channels", data=form())
    made = only(site, owner)
    browser.post(f"/channels/{made.id}/switch")
    assert "This channel is off" in browser.get(f"/channels/{made.id}").text
    browser.post(f"/channels/{made.id}/switch", data={"on": "1"})
    assert only(site, owner).is_enabled
    browser.post("/routes", data={"channel": str(made.id)})
    refused = browser.post(f"/channels/{made.id}/remove")
    assert refused.status_code == 422 and "Route 1 leads to" in refused.text
    (way,) = routes.list_for(site.control, owner.account_id)
    browser.post(f"/routes/{way.id}/remove")
    assert browser.post(f"/channels/{made.id}/remove").headers["location"] == "/channels?said=removed"
    assert channels.list_for(site.control, owner.account_id) == []


def key(site: Site) -> bytes:
    return server_secrets.get_or_create(site.control, mail_links.SECRET, datetime.now(UTC))


def test_an_address_confirms_without_signing_in(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    made_at = browser.post("/channels", data={"kind": "email", "name": "ops", "address": "Ops@Example.org"})
    assert made_at.status_code == 303
    box = only(site, owner)
    assert not box.is_verified and "has not confirmed yet" in browser.get(f"/channels/{box.id}").text
    (asked,), _ = delivery_log.list_for(site.control, owner.account_id, Wanted())
    assert asked.kind == "verify"
    token = mail_links.confirm_token(key(site), Mailbox(box.id, "ops@example.org"))
    with site.client(**HTML) as stranger:
        assert "Send notices here?" in stranger.get(f"/mail/confirm/{token}").text
        assert not only(site, owner).is_verified, "programs open links, too"
        assert stranger.post(f"/mail/confirm/{token}").status_code == 200
        assert stranger.post("/mail/confirm/nonsense").status_code == 404
        hostile = stranger.post(f"/mail/confirm/{token}", headers={"origin": "https://evil.example"})
        assert hostile.status_code == 403
    assert only(site, owner).is_verified


def test_another_address_is_asked_anew(site: Site, house: House, browser: httpx.Client) -> None:
    box = house.mailbox("first@example.org")
    old = mail_links.confirm_token(key(site), Mailbox(box.id, "first@example.org"))
    browser.post(f"/channels/{box.id}", data={"name": "ops", "address": "second@example.org"})
    assert not channels.find(site.control, house.account_id, box.id).is_verified
    with site.client(**HTML) as stranger:
        assert stranger.post(f"/mail/confirm/{old}").status_code == 404
    assert not channels.find(site.control, house.account_id, box.id).is_verified


def test_a_reader_stops_notices_by_one_click(site: Site, house: House) -> None:
    box = house.mailbox()
    token = mail_links.stop_token(key(site), Mailbox(box.id, "ops@example.org"))
    with site.client() as program:
        assert "No more notices?" in program.get(f"/mail/stop/{token}").text
        assert channels.find(site.control, house.account_id, box.id).is_enabled
        body = {"List-Unsubscribe": "One-Click"}
        assert program.post(f"/mail/stop/{token}", data=body).status_code == 200
    found = channels.find(site.control, house.account_id, box.id)
    assert (found.is_enabled, found.disabled_reason) == (False, "its reader wants no more e-mails")


def test_routes_are_made_changed_and_ordered(site: Site, house: House, browser: httpx.Client) -> None:
    hook, box = house.webhook(name="hook"), house.mailbox()
    first = {"match": "severity=critical\nnode=~web-.*", "channel": [str(hook.id)], "group_by": "condition, node"}
    assert browser.post("/routes", data=first).status_code == 303
    assert browser.post("/routes", data={"channel": [str(hook.id), str(box.id)], "repeat_s": "0"}).status_code == 303
    one, two = routes.list_for(site.control, house.account_id)
    assert (one.match, one.group_by) == (["severity=critical", "node=~web-.*"], ["condition", "node"])
    assert (two.match, two.repeat_s) == ([], 0)
    browser.post(f"/routes/{two.id}/move", data={"up": "1"})
    assert [row.id for row in routes.list_for(site.control, house.account_id)] == [two.id, one.id]
    shown = browser.get(f"/routes/{one.id}").text
    assert "node=~web-.*</textarea>" in html.unescape(shown) and "Change the route" in shown
    browser.post(f"/routes/{one.id}", data={"match": "node=db", "channel": [str(box.id)]})
    browser.post(f"/routes/{two.id}/remove")
    (left,) = routes.list_for(site.control, house.account_id)
    assert (left.position, left.match, left.channel_ids) == (1, ["node=db"], [box.id])


@pytest.mark.parametrize(
    ("typed", "status", "detail"),
    [
        ({"match": "web-1"}, 422, "matcher"),
        ({"match": "node=~("}, 422, "no pattern"),
        ({}, 422, "at least one channel"),
        ({"group_by": "no label!"}, 422, "labels"),
        ({"group_by": "node,node"}, 422, "once"),
        ({"repeat_s": "1"}, 422, "5 minutes"),
        ({"wait_s": "-1"}, 422, "an hour"),
        ({"channel": str(uuid4())}, 404, "no such channel"),
    ],
)
def test_a_route_that_cannot_be_is_explained(
    house: House, browser: httpx.Client, typed: dict[str, str], status: int, detail: str
) -> None:
    hook = house.webhook()
    sent = typed if not typed or "channel" in typed else {"channel": str(hook.id), **typed}
    answer = browser.post("/routes", data=sent)
    assert answer.status_code == status and detail in html.unescape(answer.text)


def test_silences_now_later_and_each_week(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    browser.post("/silences", data={"match": "node=web-1", "note": "new kernel", "hours": "2"})
    later = datetime.now(UTC) + timedelta(days=2)
    times = {"starts": f"{later:%Y-%m-%dT%H:%M}", "until": f"{later + timedelta(hours=3):%Y-%m-%dT%H:%M}"}
    browser.post("/silences", data={"note": "move <b>", **times, "zone": "UTC"})
    weekly = {"match": "condition=~backup.*", "days": ["Sat", "Sun"], "begins": "23:00", "ends": "01:30",
              "zone": "Europe/Berlin"}  # fmt: skip
    assert browser.post("/silences", data=weekly).status_code == 303
    found = silences.list_open(site.control, owner.account_id, datetime.now(UTC))
    assert len(found) == 3
    shown = browser.get("/silences").text
    assert "Sat, Sun 23:00 to 01:30, Europe/Berlin" in shown and "move &lt;b&gt;" in shown
    now_one = next(row for row in found if row.silence.note == "new kernel")
    assert now_one.silence.until(datetime.now(UTC))
    form_of = browser.get(f"/silences/{next(row.id for row in found if row.silence.weekly)}").text
    assert 'value="23:00"' in form_of and 'value="01:30"' in form_of
    browser.post(f"/silences/{now_one.id}/end")
    browser.post(f"/silences/{now_one.id}/end")
    assert now_one.id in {row.id for row in silences.list_past(site.control, owner.account_id, datetime.now(UTC))}


def test_a_silence_is_changed_without_another_look(site: Site, owner: Tenant, browser: httpx.Client) -> None:
    browser.post("/silences", data={"match": "node=web-1", "hours": "2"})
    (before,) = silences.list_open(site.control, owner.account_id, datetime.now(UTC))
    shown = browser.get(f"/silences/{before.id}").text
    typed = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', shown)}
    fields = {name: typed[name] for name in ("starts", "until", "zone")}
    assert browser.post(f"/silences/{before.id}", data={**fields, "match": "node=web-2"}).status_code == 303
    (after,) = silences.list_open(site.control, owner.account_id, datetime.now(UTC))
    assert after.silence.match == ("node=web-2",)
    assert after.silence.ends_at and before.silence.ends_at
    assert abs(after.silence.ends_at - before.silence.ends_at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("typed", "detail"),
    [
        ({"match": "web-1"}, "matcher"),
        ({"hours": "7"}, "for how long"),
        ({"until": "2001-01-01T00:00"}, "over before it begins"),
        ({"starts": "tomorrow"}, "no date and time"),
        ({"days": "Mon", "begins": "25:00", "ends": "01:00"}, "time of day"),
        ({"zone": "Middle/Earth"}, "no time zone"),
    ],
)
def test_a_silence_that_cannot_be_is_explained(browser: httpx.Client, typed: dict[str, str], detail: str) -> None:
    answer = browser.post("/silences", data={"note": "kept <i>", **typed})
    assert answer.status_code == 422 and detail in html.unescape(answer.text)
    assert html.escape("kept <i>") in answer.text


def test_a_silence_can_be_begun_from_elsewhere(browser: httpx.Client) -> None:
    shown = browser.get("/silences", params={"match": 'node="<web>"'}).text
    assert 'node="<web>"</textarea>' in html.unescape(shown) and "<web>" not in shown


def test_the_log_says_why_nobody_was_told(site: Site, house: House, browser: httpx.Client) -> None:
    house.owe(a_fire(condition="<i>CPU</i>"))
    shown = browser.get("/deliveries").text
    assert "no channel to tell" in shown and "&lt;i&gt;CPU&lt;/i&gt;" in shown and "<i>CPU" not in shown


def test_the_log_has_pages_and_filters(site: Site, house: House, browser: httpx.Client) -> None:
    house.owe(*(a_fire(condition=f"condition {n}") for n in range(delivery_log.PAGE + 5)))
    first = browser.get("/deliveries").text
    assert first.count('href="/deliveries/') == delivery_log.PAGE and 'rel="next"' in first
    second = browser.get("/deliveries", params={"page": "2"}).text
    assert second.count('href="/deliveries/') == 5 and 'rel="prev"' in second and 'rel="next"' not in second
    assert "Nothing matches" in browser.get("/deliveries", params={"state": "dead"}).text
    for hostile in ({"state": "x"}, {"channel": "x"}, {"channel": str(uuid4())}):
        assert browser.get("/deliveries", params=hostile).status_code == 200
    assert browser.get("/deliveries", params={"page": "0"}).status_code == 422


def test_what_ended_is_sent_again_and_what_has_no_channel_is_not(
    site: Site, house: House, browser: httpx.Client
) -> None:
    house.owe(a_fire())
    (lost,) = house.rows()
    refused = browser.post(f"/deliveries/{lost.id}/again")
    assert refused.status_code == 422 and "no channel" in refused.text
    house.webhook()
    house.owe(a_fire())
    owed = house.rows(state="owed")[0]
    answer = browser.post(f"/deliveries/{owed.id}/again")
    assert answer.headers["location"] == f"/deliveries/{owed.id}?said=again", "what waits is only hurried"


def test_a_viewer_is_shown_no_button_that_would_refuse(site: Site) -> None:
    company = Company.found(site)
    House(site.control, company.tenant.account_id, site.settings).furnish("seen")
    found = [row.id for row in channels.list_for(site.control, company.tenant.account_id)]
    paths = ("/channels", f"/channels/{found[0]}", "/routes", "/silences", "/deliveries")
    seen = "".join(company.get(Role.VIEWER, path).text for path in paths)
    actions = {part.partition('"')[0] for part in seen.split(' action="')[1:]}
    assert actions == {"/accounts/switch", "/sign-out", "/deliveries"} and "seen" in seen
