"""Nothing of one account reaches another: every route, with everything of theirs that one could know, as everybody."""

import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from domain.accounts import Role
from schema import api_keys, memberships, nodes, sessions, users
from tests.integration.pages import reach
from tests.integration.pages.reach import Bodies, Values
from tests.integration.pages.routes import Route, all_routes
from tests.integration.pages.site import HTML, WITHIN_S, Site, Tenant, new_member, new_tenant
from tests.integration.pages.victim import GUESSED, LEAKS, SECRETS, VALUE, Victim, secret

LISTENED_S = 1.2
"""To a stream: what it says at once, and what it hears when something happens."""
UNOPENED = {
    *("/sign-in/{provider}/callback", "/invite/{token}", "/shared/{token}"),
    *("/mail/confirm/{token}", "/mail/stop/{token}", "/settings/platform"),
}
"""No provider is set up; invitation, link to a dashboard and links of e-mails are made up; they operate no platform."""


@pytest.fixture(scope="module")
def victim(site: Site) -> Victim:
    return Victim.settle(site)


@pytest.fixture(scope="module")
def values(victim: Victim) -> Values:
    return reach.values(victim)


@pytest.fixture(scope="module")
def bodies(victim: Victim) -> Bodies:
    return reach.bodies(victim)


@dataclass(frozen=True)
class Request:
    """One request: a route, a value for each of its parameters, and a body."""

    route: Route
    given: dict[str, str]
    content: bytes | None = None

    @property
    def url(self) -> str:
        path = self.route.path.replace(":path", "")
        for name in self.route.in_path:
            path = path.replace(f"{{{name}}}", quote(self.given[name], safe="/"))
        query = {name: value for name, value in self.given.items() if name in self.route.in_query}
        return f"{path}?{urlencode(query)}" if query else path

    @property
    def form(self) -> dict[str, str] | None:
        return {name: value for name, value in self.given.items() if name in self.route.in_form} or None


@dataclass
class Intruder:
    """Other accounts: their people and keys, one with a node of the same name, one whom the victim has thrown out."""

    site: Site
    victim: Victim
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    twin: Tenant | None = None

    PEOPLE = ("owner", "viewer", "twin", "former")
    KEYS = ("ingest", "read", "manage")
    WHO = (*PEOPLE, *KEYS, "nobody")

    def client(self, who: str) -> httpx.Client:
        """Signed in, or with its key; someone new when the last one has signed out or left."""
        client = self.clients.get(who)
        if client is not None and who in self.PEOPLE and client.get("/settings/you").status_code != 200:
            client.close()
            client = None
        if client is None:
            client = self.clients[who] = self._make(who)
        if who == "twin" and self.twin:  # some route may have removed its node
            nodes.register(self.site.control, self.twin.account_id, self.victim.node, None, datetime.now(UTC))
        return client

    def anew(self) -> "Intruder":
        """Other people of other accounts."""
        self.close()
        return self

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        self.clients.clear()

    def _make(self, who: str) -> httpx.Client:
        if who == "nobody":
            return self.site.client(**HTML)
        tenant = new_tenant(self.site, f"intruder-{time.time_ns()}")
        if who in self.KEYS:
            key = api_keys.create(self.site.control, tenant.account_id, who, [who], datetime.now(UTC))
            return self.site.client(authorization=f"Bearer {key.secret}")
        session = tenant.session
        if who == "viewer":
            session = new_member(self.site, tenant, Role.VIEWER)
        elif who == "twin":
            self.twin = tenant
        elif who == "former":
            self._throw_out(tenant)
        return self.site.client(session, **HTML, **{"sec-fetch-site": "same-origin"})

    def _throw_out(self, tenant: Tenant) -> None:
        """Their session still names the victim's account as the one they look at."""
        user = users.find_by_email(self.site.control, tenant.email)
        assert user
        account, now = self.victim.tenant.account_id, datetime.now(UTC)
        memberships.grant(self.site.control, account, user.id, Role.ADMIN, now, actor="system")
        sessions.choose(self.site.control, tenant.session, account)
        memberships.revoke(self.site.control, account, user.id, now, actor="system")


@pytest.fixture(scope="module")
def intruder(site: Site, victim: Victim) -> Iterator[Intruder]:
    intruder = Intruder(site, victim)
    yield intruder
    intruder.close()


@pytest.fixture(scope="module")
def routes(site: Site) -> list[Route]:
    return list(all_routes(site.app.routes))


@dataclass(frozen=True)
class Answer:
    """All that a caller gets to see."""

    status: int
    headers: str
    body: str

    @property
    def text(self) -> str:
        return self.headers + self.body


def send(client: httpx.Client, request: Request, victim: Victim) -> Answer:
    """The whole answer; of a stream, what it says in a moment in which something happens to the victim."""
    headers = {"content-type": "application/json"} if request.content is not None else {}
    if request.route.is_stream:
        headers["accept"] = "text/event-stream"
    waits = httpx.Timeout(WITHIN_S, read=LISTENED_S if request.route.is_stream else WITHIN_S)
    with client.stream(
        request.route.method, request.url, data=request.form, content=request.content, headers=headers, timeout=waits
    ) as answer:
        is_stream = answer.headers.get("content-type", "").startswith("text/event-stream")
        body = _listen(answer, victim) if is_stream else answer.read()
        head = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
        return Answer(answer.status_code, head, body.decode(errors="replace"))


def _listen(answer: httpx.Response, victim: Victim) -> bytes:
    """Raises nothing when the stream falls silent."""
    happening = threading.Timer(0.2, victim.stir)
    happening.start()
    heard, until_s = b"", time.monotonic() + LISTENED_S
    with suppress(httpx.ReadTimeout):
        for chunk in answer.iter_bytes():
            heard += chunk
            if time.monotonic() > until_s:
                break
    happening.join()
    return heard


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Everything that is logged, by whatever way."""
    lines: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    ear, root = Ear(), logging.getLogger()
    before = root.level
    root.addHandler(ear)
    root.setLevel(logging.INFO)
    try:
        with capture_logs() as said:
            yield lines
    finally:
        lines += [json.dumps(line, default=str) for line in said]
        root.removeHandler(ear)
        root.setLevel(before)


def diagonal(route: Route, number: int, values: Values, bodies: Bodies) -> Request | None:
    """A request with the `number`th value of everything; None when there is nothing new in that."""
    most = 1 if route.is_stream else max((len(values[name]) for name in route.parameters), default=1)
    posts = bodies[route.path] if route.takes_body else [None]
    if number >= max(most, len(posts)):
        return None
    given = {name: values[name][number % len(values[name])] for name in route.parameters}
    body = posts[number % len(posts)]
    return Request(route, given, None if body is None else json.dumps(body).encode())


def diagonals(route: Route, values: Values, bodies: Bodies) -> Iterator[Request]:
    """All of them, of a stream the first; and one without anything that may be left out."""
    yield Request(route, {name: values[name][0] for name in route.in_path})
    for number in count():
        request = diagonal(route, number, values, bodies)
        if request is None:
            return
        yield request


def attempt(intruder: Intruder, who: str, request: Request) -> Answer:
    """Send it, and see that neither the answer nor the logs show anything, and that nothing has moved."""
    client, victim = intruder.client(who), intruder.victim
    before = victim.fingerprint()
    with overheard() as logged:
        answer = send(client, request, victim)
    case = f"{who}: {request.route.method} {request.url} {request.form or request.content!r}"
    assert not LEAKS.search(answer.text), f"{case} was shown {LEAKS.search(answer.text)}:\n{answer.text}"
    assert answer.status != 500, case
    if not request.route.is_stream:  # while one listens, the victim itself is busy
        assert not LEAKS.search("".join(logged)), f"{case} was logged: {logged}"
        assert victim.fingerprint() == before, case
    return answer


def test_what_a_route_takes_has_a_value_of_the_victims(routes: list[Route], values: Values, bodies: Bodies) -> None:
    unknown = {f"{name} of {route}" for route in routes for name in route.parameters - dict(values).keys()}
    assert unknown == set(), "say in reach.py what the victim has under that name"
    assert {route.path for route in routes if route.takes_body} == set(dict(bodies)), (
        "say in reach.py what to post there"
    )


def test_the_victim_is_shown_every_canary(routes: list[Route], victim: Victim, values: Values, bodies: Bodies) -> None:
    """Or their absence elsewhere would prove nothing; and every page must open, or it was not looked at."""
    seen, opened = "", set[str]()
    with victim.browser() as browser, victim.program() as program:
        for route in (route for route in routes if route.method == "GET"):
            for request in diagonals(route, values, bodies):
                answer = send(program if route.path.startswith("/api/") else browser, request, victim)
                seen += answer.text
                if answer.status < 400:
                    opened.add(route.path)
    assert {kind for kind in SECRETS if secret(kind) not in seen} == set()
    assert str(VALUE) in seen
    assert {route.path for route in routes if route.method == "GET"} - opened == UNOPENED


@pytest.mark.parametrize("who", Intruder.WHO)
def test_no_route_shows_or_moves_what_is_anothers(
    intruder: Intruder, routes: list[Route], values: Values, bodies: Bodies, who: str
) -> None:
    for route in routes:
        for request in diagonals(route, values, bodies):
            attempt(intruder, who, request)


def test_what_is_anothers_looks_as_if_it_were_not(
    intruder: Intruder, routes: list[Route], values: Values, bodies: Bodies
) -> None:
    """Else one learns that somebody has a node, a key, a person of that name or id."""
    theirs = {GUESSED: f"nothing{GUESSED[len('guessed') :]}"[: len(GUESSED)].ljust(len(GUESSED), "x")}
    theirs |= {value: str(uuid4()) if "-" in value else value[::-1] for value in intruder.victim.ids.values()}
    for route in routes:
        request = diagonal(route, 0, values, bodies)
        assert request is not None
        other = replace_all(request, theirs)
        if other == request or request.route.is_stream:
            continue
        found, nothing = (attempt(intruder.anew(), "owner", each) for each in (request, other))
        assert found.status == nothing.status, route
        if found.status >= 400:
            assert timeless(replaced(found.body, theirs)) == timeless(nothing.body), route


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_at_all_shows_or_moves_what_is_anothers(
    intruder: Intruder, routes: list[Route], values: Values, bodies: Bodies, data: st.DataObject
) -> None:
    route = data.draw(st.sampled_from([route for route in routes if not route.is_stream]), "route")
    everything = sorted({value for some in values.values() for value in some})
    texts = st.text(st.characters(exclude_categories=["C"]), max_size=40)

    def value(name: str) -> str:
        return data.draw(st.one_of(st.sampled_from(values[name]), st.sampled_from(everything), texts), name)

    given = {name: value(name) for name in sorted(route.parameters)}
    for name in route.in_path:
        given[name] = given[name].strip("/.") or "x"  # a client would resolve dots, and meet another route
    content = None
    if route.takes_body:
        content = data.draw(st.one_of(st.sampled_from(bodies[route.path]).map(json.dumps), texts), "body").encode()
    attempt(intruder, data.draw(st.sampled_from(Intruder.WHO), "who"), Request(route, given, content))


def replace_all(request: Request, theirs: dict[str, str]) -> Request:
    """The same request for what nobody has."""
    given = {name: replaced(value, theirs) for name, value in request.given.items()}
    content = None if request.content is None else replaced(request.content.decode(), theirs).encode()
    return Request(request.route, given, content)


def replaced(text: str, theirs: dict[str, str]) -> str:
    for value, other in theirs.items():
        text = text.replace(value, other)
    return text


def timeless(body: str) -> str:
    """Pages tell the time, and the ids of what is one's own."""
    return re.sub(r"[0-9a-f-]{16,}|\d+", "0", body)
