"""An account that must stay unseen: it holds a canary wherever a person or an agent can put a text."""

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import redis
from sqlalchemy import func, select

from domain.accounts import Role
from domain.condition_specs import MetricRule
from domain.condition_specs import Spec as ConditionSpec
from domain.conditions import Policy, Reading, advance, first
from domain.dashboards import Document, of
from domain.evaluation import Move, group
from domain.ids import UserId
from domain.keys import Scope
from domain.monitors import Spec, Target
from domain.nodes import NodeState
from domain.query import Query
from schema import (
    api_keys,
    conditions,
    dashboards,
    invitations,
    memberships,
    monitors,
    nodes,
    recordings,
    sessions,
    shares,
    statuses,
    users,
)
from schema.control.engine import reading
from schema.control.tables import events
from schema.control.tables import sessions as session_rows
from tests.integration.pages.site import HTML, WITHIN_S, Site, Tenant, new_tenant
from tests.notices import House

SECRET = f"zanzibar{uuid4().hex[:8]}"
"""What an intruder cannot know: it may be in no answer at all."""
GUESSED = f"guessed{uuid4().hex[:8]}"
"""What an intruder may guess, and may be told back as it came."""
VALUE = 727272.515625
"""Of all samples; as a number and as JavaScript and CSS write it."""
LEAKS = re.compile(rf"{SECRET}|727272\.5|727,272", re.IGNORECASE)
SECRETS = (
    *("account", "owner", "member", "label", "worth", "os", "instance", "series", "key", "note", "recording", "door"),
    *("cause", "left", "board", "words", "share", "script", "channel", "condition"),
)
"""Each kind of canary is shown to its own account somewhere, as `SECRET_<kind>`; else it would prove nothing."""


def secret(kind: str) -> str:
    assert kind in SECRETS
    return f"{SECRET}_{kind}"


@dataclass
class Victim:
    """The account, and the ids an intruder may have got hold of."""

    site: Site
    tenant: Tenant
    owner: UserId
    member: UserId
    ids: dict[str, str]

    @classmethod
    def settle(cls, site: Site) -> "Victim":
        tenant = new_tenant(site, secret("owner"))
        owner = users.find_by_email(site.control, tenant.email)
        assert owner
        now = datetime.now(UTC)
        person = new_tenant(site, secret("member"))
        member = users.find_by_email(site.control, person.email)
        assert member
        memberships.grant(site.control, tenant.account_id, member.id, Role.VIEWER, now, actor="system")
        victim = cls(site, tenant, owner.id, member.id, {})
        victim._furnish(now)
        return victim

    @property
    def node(self) -> str:
        return f"{GUESSED}-node"

    @property
    def monitor(self) -> str:
        return f"{GUESSED}-monitor"

    @property
    def metric(self) -> str:
        return f"{GUESSED}.metric"

    @property
    def board(self) -> Document:
        """A dashboard of the account's metric, with words beside it."""
        graph = {"queries": [{"id": "A", "metric": self.metric, "match": ["node=$node"]}]}
        place = {"x": 0, "w": 6, "h": 4}
        return of(
            {
                "format": "metrist/dashboard",
                "version": 1,
                "title": secret("board"),
                "variables": [{"name": "node", "label": "node"}],
                "panels": [
                    {"type": "graph", "id": "graph", "y": 0, "graph": graph, **place},
                    {"type": "text", "id": "text", "y": 4, "text": secret("words"), **place},
                ],
            }
        )

    def program(self) -> httpx.Client:
        """With a key that may do whatever a key may."""
        scopes = [scope.value for scope in Scope]
        made = api_keys.create(self.site.control, self.tenant.account_id, "all", scopes, datetime.now(UTC))
        return self.site.client(authorization=f"Bearer {made.secret}")

    def browser(self) -> httpx.Client:
        return self.site.client(self.tenant.session, **HTML, **{"sec-fetch-site": "same-origin"})

    def stir(self) -> None:
        """Things happen in the account that its own open pages hear of."""
        self._post("ping", {"node": f"{secret('left')}-{time.time_ns()}"}, 200)
        self._post("ping", {"node": self.node, "labels": {secret("door") + "!": "x"}}, 422)
        snapshot = {"ts": time.time(), "metrics": {self.metric: VALUE}}
        self._post("live", {"node": self.node, "snapshots": [snapshot]}, 200)

    def fingerprint(self) -> dict[str, object]:
        """All that others may not change; the account itself does nothing meanwhile."""
        account = self.tenant.account_id
        with reading(self.site.control) as conn:
            log = conn.execute(
                select(func.count(), func.max(events.c.seq)).where(
                    (events.c.account_id == account)
                    | events.c.stream.in_([f"user/{self.owner}", f"user/{self.member}", f"account/{account}"])
                )
            ).one()
            open_sessions = conn.scalar(
                select(func.count())
                .select_from(session_rows)
                .where(session_rows.c.user_id.in_([self.owner, self.member]))
            )
        with redis.Redis.from_url(self.site.settings.redis_url.get_secret_value()) as client:
            names = sorted(client.scan_iter(f"*{account}*"))
            held = {name: client.dump(name) for name in names}
        return {"events": tuple(log), "sessions": open_sessions, **held}

    def _furnish(self, now: datetime) -> None:
        site, tenant = self.site, self.tenant
        about = {"labels": {secret("label"): secret("worth")}, "agent": {"version": "1", "os": secret("os")}}
        self._post("ping", {"node": self.node, "instance": secret("instance"), "sent_at": time.time(), **about}, 200)
        series = f'{self.metric}{{disk="{secret("series")}"}}'
        for number in range(3):
            metrics = {self.metric: VALUE, series: VALUE}
            self._post("snapshots", {"node": self.node, "ts": time.time() - number, "metrics": metrics}, 202)
        self._post("ping", {"node": self.node, "labels": {secret("door") + "!": "x"}}, 422)
        node = nodes.find(site.control, tenant.account_id, self.node)
        assert node
        nodes.transition(site.control, tenant.account_id, node.id, NodeState.LATE, cause=secret("cause"), now=now)
        key = api_keys.create(site.control, tenant.account_id, secret("key"), ["ingest", "read"], now)
        invitation = invitations.create(
            site.control, tenant.account_id, Role.VIEWER, secret("note"), now, by=self.owner
        )
        with self.browser() as browser:
            form = {"node": self.node, "metric": self.metric, "minutes": "15", "note": secret("recording")}
            assert browser.post("/recordings", data=form).status_code < 400
            assert browser.post("/settings/account/name", data={"name": secret("account")}).status_code < 400
        board = dashboards.create(site.control, tenant.account_id, self.board, now, actor=f"user/{self.owner}")
        actor, note = f"user/{self.owner}", secret("share")
        share = shares.create(site.control, tenant.account_id, board.id, note, {}, None, now, actor=actor)
        (recording,) = recordings.list_for(site.control, tenant.account_id, self.node)
        (waiting,) = invitations.list_open(site.control, tenant.account_id, now)
        assert invitation.token
        house = House(site.control, tenant.account_id, site.settings)
        house.furnish(secret("channel"))
        self.ids = {
            **house.ids(),
            "account": str(tenant.account_id),
            "user_id": str(self.member),
            "owner_id": str(self.owner),
            "key_id": str(key.id),
            "invitation_id": str(waiting.id),
            "recording_id": str(recording.id),
            "dashboard_id": str(board.id),
            "share_id": str(share.id),
            "listed_id": sessions.session_id(tenant.session),
            "node_id": str(node.id),
        }
        self._condition(now)
        self._monitor(now)
        self._until_readable()

    def _condition(self, now: datetime) -> None:
        """One that fires for its node."""
        account, actor = self.tenant.account_id, f"user/{self.owner}"
        rule = MetricRule(Query("A", self.metric, by=("node",)), 60, 10, ">", 90.0)
        made = conditions.create(self.site.control, account, secret("condition"), ConditionSpec(rule), now, actor=actor)
        of, before = group({"node": self.node}), first(now)
        after, transition = advance(before, Policy(), Reading(93.0, is_over=True, is_clear=False), now)
        with self.site.control.begin() as conn:
            statuses.record_in(conn, account, [(made, Move(of, before, after, transition, now))], now)
        self.ids |= {"condition_id": str(made.id), "group": of.sha256}

    def _monitor(self, now: datetime) -> None:
        """One that its node runs; and how a run went."""
        account, actor = self.tenant.account_id, f"user/{self.owner}"
        spec = Spec(script=f"-- {secret('script')}\ngauge('x', 1)")
        made = monitors.create(self.site.control, account, self.monitor, spec, Target(match="*"), now, actor=actor)
        monitors.push(self.site.control, account, self.monitor, now, actor=actor)
        newer = Spec(script=f"-- {secret('script')}\ngauge('x', 2)")
        monitors.save(self.site.control, account, self.monitor, newer, now, actor=actor)
        self.ids["monitor_id"] = str(made.id)
        run = {"id": str(made.id), "version": 1, "state": "failed", "at": time.time(), "message": secret("script")}
        self.ids["command"] = uuid4().hex
        trial = run | {"trial": self.ids["command"]}
        self._post(f"monitors/runs?node={self.node}", [run, trial], 202)

    def _post(self, what: str, body: Any, expected: int) -> None:
        with self.site.client(authorization=f"Bearer {self.tenant.key}") as agent:
            answer = agent.post(
                f"/api/v1/{what}", content=json.dumps(body), headers={"content-type": "application/json"}
            )
        assert answer.status_code == expected, answer.text

    def _until_readable(self) -> None:
        give_up_s = time.monotonic() + WITHIN_S
        with self.site.client(authorization=f"Bearer {self.tenant.key}") as agent:
            while len(agent.get("/api/v1/metrics", params={"node": self.node}).json()["series"]) < 2:
                assert time.monotonic() < give_up_s
                time.sleep(0.1)
