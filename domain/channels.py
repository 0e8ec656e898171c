"""Channels: where deliveries go. What may be said about one, and how that is kept.

`config` is what pages show and events tell; what must not be seen again (a webhook's address, the values of its
headers, what signs it) is a `Secret`, kept sealed apart from it (schema/channels.py).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from domain.accounts import clean_email
from domain.egress import Allowed, Refused, Target, check_addresses, is_literal, parse_target
from domain.errors import InvalidBody
from domain.templates import OWN, Template, as_config
from domain.webhooks import BODIES
from domain.windows import Weekly, as_json, weekly_of

MOST: Final = 50
"""Channels of an account."""
HEADERS_MAX: Final = 10
HEADER_MAX_CHARS: Final = 1_000
VALUES_MAX: Final = 10
_HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_OURS: Final = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect",
     "keep-alive", "proxy-connection", "webhook-id", "webhook-timestamp", "webhook-signature"}
)  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ADDRESS = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class Kind(StrEnum):
    """How a channel is told."""

    WEBHOOK = "webhook"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Secret:
    """What a webhook is sent with; never shown again, `signing` apart, once. `values` are for its template."""

    url: str
    signing: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return "Secret(…)"


def webhook_config(
    target: Target,
    body: str,
    secret: Secret,
    quiet: Weekly | None,
    template: Template | None = None,
) -> dict[str, Any]:
    """What is shown of a webhook; `template` is its body when that is its own. Raises InvalidBody."""
    if body not in BODIES and not (body == OWN and template):
        raise InvalidBody(f"A body is one of {', '.join((*BODIES, OWN))}")
    found: dict[str, Any] = {"shown": target.shown, "body": body, "headers": sorted(secret.headers)}
    if body == OWN and template:
        found |= {"template": as_config(template), "sealed": sorted(secret.values)}
    return found | {"quiet": as_json(quiet) if quiet else {}}


def template_of(config: Mapping[str, Any]) -> Template | None:
    """The template of a channel that has one of its own."""
    return Template(**config["template"]) if config.get("body") == OWN else None


def email_config(address: str, quiet: Weekly | None) -> dict[str, Any]:
    """What is shown of an address. Raises InvalidBody."""
    return {"address": clean_address(address), "quiet": as_json(quiet) if quiet else {}}


def quiet_of(config: Mapping[str, Any]) -> Weekly | None:
    """The quiet hours of a channel."""
    return weekly_of(config["quiet"]) if config.get("quiet") else None


def clean_address(text: str) -> str:
    """A mailbox, as SMTP takes it: no quotes, no routes, no line breaks. Raises InvalidBody."""
    address = clean_email(text)
    if not _ADDRESS.fullmatch(address) or ".." in address:
        raise InvalidBody("An e-mail address looks like name@example.org")
    return address


def parse_headers(text: str) -> dict[str, str]:
    """Headers typed one a line, `Name: value`. Raises InvalidBody."""
    found: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not _HEADER.fullmatch(name):
            raise InvalidBody(f"“{line[:40]}” is no header; write Name: value")
        if name.lower() in _OURS:
            raise InvalidBody(f"The header {name} is set by Metrist")
        if not _VALUE.fullmatch(value) or len(value) > HEADER_MAX_CHARS:
            raise InvalidBody(f"The value of {name} has 1 to {HEADER_MAX_CHARS} printable ASCII characters")
        found[name] = value
    if len(found) > HEADERS_MAX:
        raise InvalidBody(f"At most {HEADERS_MAX} headers are sent along")
    return found


def parse_values(text: str) -> dict[str, str]:
    """Values for a template typed one a line, `name: value`. Raises InvalidBody."""
    found: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not _NAME.fullmatch(name):
            raise InvalidBody(f"“{name[:40]}” is no name for a value; write name: value, such as routing_key: …")
        if not value or len(value) > HEADER_MAX_CHARS or not value.isprintable():
            raise InvalidBody(f"The value {name} has 1 to {HEADER_MAX_CHARS} printable characters")
        found[name] = value
    if len(found) > VALUES_MAX:
        raise InvalidBody(f"At most {VALUES_MAX} values are kept")
    return found


def check_target(url: str, allowed: Allowed) -> Target:
    """A webhook's address as far as it can be judged without looking names up. Raises InvalidBody."""
    target = parse_target(url)
    host = target.host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        found: Sequence[str] = ["127.0.0.1"]
    else:
        found = [host] if is_literal(host) else []
    try:
        check_addresses(target.host, found, allowed)
    except Refused as refusal:
        raise InvalidBody(f"{refusal}; the operator may allow it with METRIST_EGRESS_ALLOW") from None
    return target
