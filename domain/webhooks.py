"""What a webhook says, in three dialects, and its signature by the Standard Webhooks specification (version 1)."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from domain.deliveries import Kind, Notice

SECRET_PREFIX: Final = "whsec_"  # noqa: S105
SECRET_BYTES: Final = 32
NOTICES_MAX: Final = 100
"""Of one message; bodies stay small, and what is more goes into the next."""
_NEVER: Final = "0001-01-01T00:00:00Z"
"""How Alertmanager writes that something has not ended."""
_SLACK_COLOURS: Final = {"critical": "#bb4000", "warning": "#9a6200", "info": "#2f5fd0"}
_SLACK_GOOD: Final = "#0b7a5b"


@dataclass(frozen=True, slots=True)
class Message:
    """What one request tells: the notices of one group.

    id        of the message, the same for each try
    ids       of the deliveries, in the order of the notices
    channel   its name
    base_url  of the pages
    """

    id: UUID
    kind: Kind
    channel: str
    at: datetime
    ids: Sequence[UUID]
    notices: Sequence[Notice]
    group: Mapping[str, str]
    group_sha256: str
    base_url: str

    @property
    def is_firing(self) -> bool:
        """Whether anything of it is not over."""
        return any(notice.kind != Kind.RESOLVED for notice in self.notices)


def signature(secrets: Sequence[str], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature a secret, so that a replaced one goes on working for a while."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(f"v1,{_hmac(key_of(secret), signed)}" for secret in secrets)


def make_secret(entropy: Callable[[int], bytes]) -> str:
    """A new signing secret, as receivers' libraries take it."""
    return SECRET_PREFIX + base64.b64encode(entropy(SECRET_BYTES)).decode("ascii")


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises ValueError for what is no secret."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("not a signing secret") from error


def headers(
    message: Message, secrets: Sequence[str], timestamp_s: int, body: bytes, content_type: str = "application/json"
) -> dict[str, str]:
    """What goes along with a body."""
    message_id = f"msg_{message.id.hex}"
    found = {
        "content-type": content_type,
        "user-agent": "Metrist",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
    }
    return found | ({"webhook-signature": signature(secrets, message_id, timestamp_s, body)} if secrets else {})


def as_metrist(message: Message) -> dict[str, Any]:
    """Ours: all there is to know, as the specification lays out payloads."""
    return {
        "type": f"notice.{'test' if message.kind == Kind.TEST else 'firing' if message.is_firing else 'resolved'}",
        "timestamp": _instant(message.at),
        "data": {
            "channel": message.channel,
            "group": dict(message.group),
            "notices": [
                _as_metrist(delivery_id, notice, message)
                for delivery_id, notice in zip(message.ids, message.notices, strict=True)
            ],
        },
    }


def as_alertmanager(message: Message) -> dict[str, Any]:
    """As Alertmanager's webhooks are, version 4, for all that was made to receive those."""
    alerts = [_as_alert(notice, message) for notice in message.notices]
    return {
        "version": "4",
        "groupKey": f"{{}}:{{{_pairs(message.group)}}}",
        "truncatedAlerts": 0,
        "status": "firing" if message.is_firing else "resolved",
        "receiver": message.channel,
        "groupLabels": dict(message.group),
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": message.base_url,
        "alerts": alerts,
    }


def as_slack(message: Message) -> dict[str, Any]:
    """As Slack's incoming webhooks take it, and Mattermost's, Rocket.Chat's and Discord's (with /slack)."""
    return {
        "text": _slack(headline(message)),
        "attachments": [_as_attachment(notice, message) for notice in message.notices],
    }


BODIES: Mapping[str, Callable[[Message], dict[str, Any]]] = {
    "metrist": as_metrist,
    "alertmanager": as_alertmanager,
    "slack": as_slack,
}
"""What a webhook channel may choose from."""


def body(message: Message, dialect: str) -> bytes:
    """What is sent, just these bytes are signed."""
    return json.dumps(BODIES[dialect](message), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def headline(message: Message) -> str:
    """One line for people."""
    if message.kind == Kind.TEST:
        return f"A test of the channel {message.channel}"
    first, others = message.notices[0], len(message.notices) - 1
    if not others:
        return sentence(first)
    conditions = {notice.condition for notice in message.notices}
    firing = sum(notice.kind != Kind.RESOLVED for notice in message.notices)
    what = first.condition if len(conditions) == 1 else f"{len(conditions)} conditions"
    parts = [f"{firing} firing"] * bool(firing) + [f"{others + 1 - firing} over"] * (firing <= others)
    return f"{what}: {', '.join(parts)}"


def sentence(notice: Notice) -> str:
    """What is told of one status, without a full stop."""
    whose = f" ({', '.join(f'{name} {value}' for name, value in sorted(notice.labels.items()))})"
    name = notice.condition + (whose if notice.labels else "")
    if notice.kind == Kind.RESOLVED:
        fired = "fired, and is ok again" if notice.is_meanwhile else "is ok again"
        return f"{name} {fired} after {length(int(notice.lasted.total_seconds()))}"
    now = _NOW.get(notice.state, notice.state)
    still = f" still {now}" if notice.kind == Kind.REPEAT else f" {now}"
    flaps = f", and changed {notice.changes} times lately" if notice.changes else ""
    return f"{name}{still}{f': {notice.summary}' if notice.summary else ''}{flaps}"


def length(seconds: int) -> str:
    """A stretch of time in its two largest units."""
    parts, left = [], seconds
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts += [f"{count} {unit}"] * bool(count)
    return " ".join(parts[:2]) or "0 s"


def condition_url(notice: Notice, base_url: str) -> str:
    """The condition's page, at this status."""
    return f"{base_url}/conditions/{quote(notice.condition_id)}"


_NOW: Mapping[str, str] = {"firing": "fires", "no_data": "has no data", "error": "could not be judged"}


def _as_metrist(delivery_id: UUID, notice: Notice, message: Message) -> dict[str, Any]:
    return {
        "id": str(delivery_id),
        "kind": notice.kind.value,
        "incident": notice.thread[:32],
        "condition": {"id": notice.condition_id, "name": notice.condition},
        "labels": dict(notice.labels),
        "severity": notice.severity,
        "state": notice.state,
        "summary": notice.summary,
        "text": sentence(notice),
        "value": notice.value,
        "began_at": _instant(notice.began_at),
        "at": _instant(notice.at),
        "lasted_s": int(notice.lasted.total_seconds()),
        "is_meanwhile": notice.is_meanwhile,
        "changes": notice.changes,
        "runbook": notice.runbook,
        "recording": notice.recording,
        "url": condition_url(notice, message.base_url),
    }


def _as_alert(notice: Notice, message: Message) -> dict[str, Any]:
    is_over = notice.kind == Kind.RESOLVED
    notes = {"summary": sentence(notice), "description": notice.summary, "runbook_url": notice.runbook}
    return {
        "status": "resolved" if is_over else "firing",
        "labels": {**notice.labels, "alertname": notice.condition, "severity": notice.severity},
        "annotations": {name: text for name, text in notes.items() if text},
        "startsAt": _instant(notice.began_at),
        "endsAt": _instant(notice.at) if is_over else _NEVER,
        "generatorURL": condition_url(notice, message.base_url),
        "fingerprint": hashlib.sha256(notice.stream.encode()).hexdigest()[:16],
    }


def _as_attachment(notice: Notice, message: Message) -> dict[str, Any]:
    is_over = notice.kind == Kind.RESOLVED
    colour = _SLACK_GOOD if is_over else _SLACK_COLOURS.get(notice.severity, _SLACK_COLOURS["warning"])
    links = [("Runbook", notice.runbook), ("Recording", notice.recording)]
    text = " · ".join(f"<{_slack_url(url)}|{name}>" for name, url in links if url)
    return {
        "color": colour,
        "fallback": _slack(sentence(notice)),
        "title": _slack(sentence(notice)),
        "title_link": condition_url(notice, message.base_url),
        "text": text,
        "footer": _slack(f"{notice.severity}, since {notice.began_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
        "ts": int(notice.at.timestamp()),
    }


def _slack(text: str) -> str:
    """Their three control characters, so that no label calls a channel together or hides a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_url(url: str) -> str:
    return quote(url, safe=":/?#[]@!$&'()*+,;=%~-._").replace("&", "&amp;")


def _common(texts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them say alike."""
    first, *others = texts
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(labels.items()))


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hmac(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
