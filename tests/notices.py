"""An account with channels, and statuses that change, for tests of what is owed and sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, select

from domain.channels import Kind as ChannelKind
from domain.channels import Secret, email_config, parse_target, webhook_config
from domain.deliveries import Kind, Notice
from domain.ids import AccountId
from domain.settings import Settings
from domain.templates import OWN, Template
from domain.windows import Weekly
from schema import accounts, channels, deliveries, routes, sealing, silences
from schema.channels import ChannelRow, Draft
from schema.control import tables
from schema.control.engine import reading

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""A Monday."""
ME = "user/me"
SIGNING = "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def a_fire(condition_id: UUID | None = None, group: str = "0a" * 32, **more: Any) -> Notice:
    """A notice of a status that began to fire."""
    condition = condition_id or uuid4()
    told: dict[str, Any] = {
        "stream": f"status/{condition}/{group}",
        "version": 1,
        "kind": Kind.FIRING,
        "condition_id": str(condition),
        "condition": "CPU",
        "labels": {"node": "web-1"},
        "severity": "warning",
        "state": "firing",
        "summary": "93 % is above 90 %",
        "began_at": NOW,
        "at": NOW,
    }
    return Notice(**told | more)


def its_end(fire: Notice, after: timedelta = MINUTE) -> Notice:
    """The notice of the same status that it is over."""
    return replace(fire, kind=Kind.RESOLVED, state="ok", at=fire.at + after, version=fire.version + 1, summary="")


@dataclass
class House:
    """One account and its outbox."""

    control: Engine
    account_id: AccountId
    settings: Settings = field(default_factory=lambda: Settings(_env_file=None))

    @classmethod
    def build(cls, control: Engine) -> "House":
        """With an account of its own."""
        name = f"house-{uuid4().hex[:8]}"
        return cls(control, accounts.create(control, name, f"{name}@example.org", NOW).id)

    def furnish(self, note: str) -> None:
        """One of everything that tells, and something told."""
        hook = self.webhook(name=note)
        routes.create(self.control, self.account_id, routes.Draft((), (hook.id,)), NOW, actor=ME)
        silence = silences.Draft((), NOW + HOUR, NOW + 2 * HOUR, note=note)
        silences.create(self.control, self.account_id, silence, NOW, actor=ME)
        self.owe(a_fire(summary=note))

    def ids(self) -> dict[str, str]:
        """One of each, by the names that routes of pages have for them."""
        control, account_id = self.control, self.account_id
        (silence,) = silences.list_past(control, account_id, NOW + 10 * HOUR)
        return {
            "channel_id": str(channels.list_for(control, account_id)[0].id),
            "route_id": str(routes.list_for(control, account_id)[0].id),
            "silence_id": str(silence.id),
            "delivery_id": str(self.rows()[0].id),
        }

    def webhook(
        self,
        url: str = "https://hooks.example.org/",
        name: str = "",
        body: str = "metrist",
        quiet: Weekly | None = None,
        template: Template | None = None,
        values: Mapping[str, str] | None = None,
    ) -> ChannelRow:
        secret = Secret(url, SIGNING, values=values or {})
        config = webhook_config(parse_target(url), OWN if template else body, secret, quiet, template)
        draft = Draft(name or f"hook {uuid4().hex[:6]}", ChannelKind.WEBHOOK, config, secret)
        sealer = sealing.open_sealer(self.control, self.settings, NOW)
        return channels.create(self.control, self.account_id, draft, sealer, NOW, actor=ME)

    def mailbox(self, address: str = "ops@example.org", *, is_verified: bool = True) -> ChannelRow:
        draft = Draft(f"mail {uuid4().hex[:6]}", ChannelKind.EMAIL, email_config(address, None))
        sealer = sealing.open_sealer(self.control, self.settings, NOW)
        made = channels.create(self.control, self.account_id, draft, sealer, NOW, actor=ME)
        if is_verified:
            assert channels.confirm(self.control, made.id, address, NOW)
        return channels.find(self.control, self.account_id, made.id)

    def owe(self, *notices: Notice, now: datetime = NOW) -> int:
        with self.control.begin() as conn:
            return deliveries.owe_in(conn, self.account_id, notices, now)

    def rows(self, **where: Any) -> list[Any]:
        """Deliveries, the oldest first."""
        table = tables.deliveries
        query = (
            select(table)
            .where(table.c.account_id == self.account_id)
            .order_by(table.c.created_at, table.c.stream_version, table.c.id)
        )
        for name, value in where.items():
            query = query.where(table.c[name] == value)
        with reading(self.control) as conn:
            return list(conn.execute(query))

    def attempts(self) -> list[Any]:
        table, of = tables.attempts, tables.deliveries
        query = select(table).join(of).where(of.c.account_id == self.account_id).order_by(table.c.id)
        with reading(self.control) as conn:
            return list(conn.execute(query))
