"""What people type into the form of a channel, and what becomes of it."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain import webhooks, windows
from domain.channels import Kind, Secret, check_target, email_config, parse_headers, quiet_of, webhook_config
from domain.egress import Allowed
from schema.channels import ChannelRow, Draft

BODIES = {
    "metrist": "Metrist: all there is to know, signed by the Standard Webhooks specification",
    "alertmanager": "Alertmanager, version 4: for whatever was made to receive that",
    "slack": "Slack: also Mattermost, Rocket.Chat and Discord (add /slack to its address)",
}


@dataclass(frozen=True)
class Typed:
    """The fields as they stand in the form."""

    name: str = ""
    url: str = ""
    address: str = ""
    body: str = "metrist"
    headers: str = ""
    days: Sequence[str] = ()
    begins: str = "22:00"
    ends: str = "07:00"
    zone: str = "UTC"
    shown: Mapping[str, Any] = field(default_factory=dict)


def typed_of(channel: ChannelRow) -> Typed:
    """The form of a channel that there is; what is secret stays empty."""
    quiet = quiet_of(channel.config)
    hours: dict[str, Any] = {}
    if quiet:
        end = windows.as_json(quiet)
        minutes = quiet.begins.hour * 60 + quiet.begins.minute + end["lasts_min"]
        hours = {
            "days": [windows.DAYS[day] for day in quiet.days],
            "begins": end["begins"],
            "ends": f"{minutes // 60 % 24:02}:{minutes % 60:02}",
            "zone": quiet.zone,
        }
    return Typed(
        name=channel.name,
        address=str(channel.config.get("address", "")),
        body=str(channel.config.get("body", "metrist")),
        shown=channel.config,
        **hours,
    )


def draft(kind: Kind, typed: Typed, allowed: Allowed, before: Secret | None = None) -> tuple[Draft, str]:
    """The channel that the form asks for, and its signing secret when that is new. Raises InvalidBody.

    before  the secret that the channel has: an empty address keeps it, and with it the headers
    """
    quiet = windows.parse(typed.days, typed.begins, typed.ends, typed.zone) if typed.days else None
    if kind == Kind.EMAIL:
        return Draft(typed.name, kind, email_config(typed.address, quiet)), ""
    keeps = before is not None and not typed.url.strip()
    url = before.url if before and keeps else typed.url
    headers = dict(before.headers) if before and keeps and not typed.headers.strip() else parse_headers(typed.headers)
    target = check_target(url, allowed)
    signing = before.signing if before else webhooks.make_secret(secrets.token_bytes)
    secret = Secret(url.strip(), signing, headers)
    made = Draft(typed.name, kind, webhook_config(target, typed.body, headers, quiet), secret)
    return made, "" if before else signing
