"""Every route of the OpenAPI document is driven with what it says may come, and with what it says may not.

No answer is a server's error, and each has a status, a type and a shape that the document has for its route.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from domain import dashboards as boards
from domain.settings import Settings
from metrist.protocol import HEAD_MAX_BYTES
from schema import api_keys, dashboards, shares
from tests.integration.pages.site import Site, Tenant, new_tenant

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES, EXAMPLES_LONG = 15, 1_000
ANSWERED = (202, 400, 404, 413, 422)
"""How bytes that are no good are answered: snapshots are refused one by one, and a push needs no body."""
HELD_S = 0.02
"""A ping is not held for longer, however long it is willing to wait."""
WITHIN_S = 20

DOCUMENT = create_app(Settings()).openapi()
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    for operation in [found.ok()]
}

BROKEN = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "half a text": b'{"node": "\xed\xa0\x80", "name": "\xc3"}',
    "nested": b"[" * 100_000,
    "nested deep below": b'{"graph": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "nested in what is read later": b'{"graph": ' + b"[" * 900 + b"]" * 900 + b', "version": 1, "document": []}',
    "a long number": b'{"version": ' + b"9" * 10_000 + b', "points": ' + b"9" * 400 + b"}",
    "no number": b'{"points": NaN, "version": 1e999, "wait": Infinity}',
    "another shape": b'"text"',
}


class Caller:
    """Somebody with every right of one account, and what they know of it."""

    def __init__(self, site: Site, tenant: Tenant) -> None:
        self.url = site.url
        now = datetime.now(UTC)
        scopes = ["ingest", "read", "manage"]
        self.key = api_keys.create(site.control, tenant.account_id, "all", scopes, now).secret
        self.http = requests.Session()
        self.http.trust_env = False
        self.session = tenant.session
        panel = boards.GraphPanel("p", 0, 0, 6, 5, graph=boards.Graph((boards.query.Query("A", "cpu.usage_percent"),)))
        document = boards.Document("metrist/dashboard", 1, "known", panels=(panel,))
        made = dashboards.create(site.control, tenant.account_id, document, now, actor="system")
        link = shares.create(site.control, tenant.account_id, made.id, "", {}, None, now, actor="system")
        self.known: dict[str, list[Any]] = {
            "agg": ["max", "last"],
            "dashboard_id": [str(made.id)],
            "from": ["now-2h", "now-400d", 0, "2026-01-01T00:00:00Z"],
            "id": ["A"],
            "label": ["core", "node"],
            "match": [["core=2"], ["node=~.*"]],
            "metric": ["cpu.usage_percent", ["cpu.*", "load.1m"]],
            "metrics": [{"cpu.usage_percent": 1.5, 'cpu.usage_percent{core="2"}': 2}],
            "name": ["rack/web-1", "known-monitor"],
            "node": ["rack/web-1"],
            "over": ["rate", "last"],
            "panel": ["p"],
            "points": [1, 11_000],
            "script": ["log('a')"],
            "step": [1, 60],
            "to": ["now"],
            "token": [link.token],
            "ts": [time.time()],
            "version": [1],
        }

    def post(self, operation: Any, path: str, body: bytes) -> requests.Response:
        """Bytes as they are, as JSON."""
        headers, cookies = self._proof(operation)
        headers |= {"Content-Type": "application/json"}
        parameters = {"node": "rack/web-1"} if operation.path.endswith("/runs") else {}
        return self.http.request(
            operation.method,
            self.url + path,
            data=body,
            params=parameters,
            headers=headers,
            cookies=cookies,
            timeout=WITHIN_S,
        )

    def send(self, case: Case) -> requests.Response:
        """The case as it stands."""
        headers, cookies = self._proof(case.operation)
        answer: requests.Response = case.call(
            base_url=self.url, session=self.http, headers=headers, cookies=cookies, timeout=WITHIN_S
        )
        return answer

    def _proof(self, operation: Any) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and cookies that this operation lets in."""
        if operation.definition.raw["security"] == [{"session": []}]:
            return {}, {"metrist_session": self.session}
        return {"Authorization": f"Bearer {self.key}"}, {}


@pytest.fixture(scope="module")
def caller(site: Site) -> Iterator[Caller]:
    known = Caller(site, new_tenant(site, "openapi"))
    yield known
    known.http.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_does_what_it_says(name: str, caller: Caller, request: pytest.FixtureRequest) -> None:
    operation = OPERATIONS[name]
    examples = EXAMPLES_LONG if request.config.getoption("--long") else EXAMPLES
    modes = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def drive(data: st.DataObject) -> None:
        mode = data.draw(modes)
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if mode is GenerationMode.POSITIVE:
            _put_known(case, caller.known, data)
        _hold_shortly(case)
        answer = caller.send(case)
        if answer.status_code == 431:  # the server's own, of every route alike
            assert len(answer.request.url or "") > HEAD_MAX_BYTES - 2_000  # which leaves room for the headers
            assert answer.headers["content-type"] == "application/problem+json"
        else:
            case.validate_response(answer, checks=CHECKS)

    drive()


def test_every_route_says_who_may_use_it_and_how_it_refuses() -> None:
    told = {name: one.definition.raw for name, one in OPERATIONS.items() if " /api/" in name}
    assert [name for name, one in told.items() if "security" not in one] == []
    for name, one in told.items():
        codes = {"401", "403", "503"} if one["security"] else {"404", "503"}
        assert codes <= one["responses"].keys(), name
        for code, answer in one["responses"].items():
            refuses = code >= "400"
            assert list(answer.get("content", ())) == ["application/problem+json"] or not refuses, (name, code)


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_no_bytes_break_it(broken: str, caller: Caller) -> None:
    known = {each: values[0] for each, values in caller.known.items()} | {"name": "known-monitor"}
    answers = {
        name: caller.post(operation, operation.path.format_map(known), BROKEN[broken])
        for name, operation in OPERATIONS.items()
        if operation.body
    }
    assert len(answers) > 10
    wrong = {name: answer.text for name, answer in answers.items() if answer.status_code not in ANSWERED}
    assert wrong == {}


def _put_known(case: Case, known: dict[str, list[Any]], data: st.DataObject) -> None:
    """Now and then what there is, so that more than refusals is seen."""
    for part in (case.path_parameters, case.query, case.body):
        _put_into(part, known, data)


def _put_into(part: Any, known: dict[str, list[Any]], data: st.DataObject) -> None:
    if isinstance(part, list):
        for one in part:
            _put_into(one, known, data)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name in known and data.draw(st.integers(0, 3)):
                part[name] = data.draw(st.sampled_from(known[name]))
            else:
                _put_into(value, known, data)


def _hold_shortly(case: Case) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("wait"), int | float):
        case.body["wait"] = min(case.body["wait"], HELD_S)
