"""What people type into the form of a channel, and what becomes of it."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain import templates, webhooks, windows
from domain.channels import (
    Kind,
    Secret,
    check_target,
    email_config,
    parse_headers,
    parse_values,
    quiet_of,
    template_of,
    webhook_config,
)
from domain.egress import Allowed
from domain.templates import OWN
from schema.channels import ChannelRow, Draft

BODIES = {
    "metrist": "Metrist: all there is to know, signed by the Standard Webhooks specification",
    "alertmanager": "Alertmanager, version 4: for whatever was made to receive that",
    "slack": "Slack: also Mattermost, Rocket.Chat and Discord (add /slack to its address)",
    OWN: "A template of your own: for a receiver that wants its own words, such as PagerDuty or Telegram",
}
ESCAPES = {
    "json": "JSON: a value stands between quotes, or is whole with | tojson",
    "form": "A form: names and values with = and &, values are percent-encoded",
    "text": "Plain text: values as they are",
}
FIRST_TEMPLATE = """\
{
  "title": "{{ headline }}",
  "status": "{{ status }}",
  "lines": [
{% for notice in notices %}
    "{{ notice.severity }}: {{ notice.text }} {{ notice.url }}"{{ "," if not loop.last }}
{% endfor %}
  ]
}
"""
"""What stands in the form before one has written anything."""


@dataclass(frozen=True)
class Typed:
    """The fields as they stand in the form."""

    name: str = ""
    url: str = ""
    address: str = ""
    body: str = "metrist"
    headers: str = ""
    template: str = FIRST_TEMPLATE
    escapes: str = "json"
    sealed: str = ""
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
        **_template(channel),
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
    template = templates.parse(typed.template, typed.escapes) if typed.body == OWN else None
    target = check_target(url, allowed)
    signing = before.signing if before else webhooks.make_secret(secrets.token_bytes)
    values = dict(before.values) if before and not typed.sealed.strip() else parse_values(typed.sealed)
    secret = Secret(url.strip(), signing, headers, values)
    made = Draft(typed.name, kind, webhook_config(target, typed.body, secret, quiet, template), secret)
    return made, "" if before else signing


def _template(channel: ChannelRow) -> dict[str, str]:
    own = template_of(channel.config)
    return {"template": own.source, "escapes": own.escapes} if own else {}
