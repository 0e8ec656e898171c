"""Bodies of an account's own: a template, what it may speak of, and examples to try it on. Pure; rendering/ renders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from domain.deliveries import Kind, Notice
from domain.errors import InvalidBody
from domain.webhooks import Message, as_metrist, headline, length

OWN: Final = "template"
"""The dialect of a channel that has one."""
SOURCE_MAX_BYTES: Final = 16_384
BODY_MAX_BYTES: Final = 262_144
TYPES: Final[Mapping[str, str]] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}
"""How values are escaped → the content type that goes along."""
_INSTANT: Final = UUID(int=0x7E57)


@dataclass(frozen=True, slots=True)
class Template:
    """A text in Jinja2's language, and how values stand in what comes of it."""

    source: str
    escapes: str = "json"

    @property
    def content_type(self) -> str:
        return TYPES[self.escapes]


def parse(source: str, escapes: str) -> Template:
    """Read a form. Raises InvalidBody; whether it renders only rendering tells."""
    source = source.replace("\r\n", "\n")
    if not source.strip():
        raise InvalidBody("Write a template, or choose another body")
    if len(source.encode()) > SOURCE_MAX_BYTES:
        raise InvalidBody(f"A template has at most {SOURCE_MAX_BYTES:,} bytes")
    if escapes not in TYPES:
        raise InvalidBody(f"What is sent is one of {', '.join(TYPES)}")
    return Template(source, escapes)


def check(template: Template, body: str) -> None:
    """Whether what came of a template is what it says it is. Raises InvalidBody."""
    if template.escapes != "json":
        return
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        near = body[max(0, error.pos - 20) : error.pos + 20]
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidBody(f"What comes of the template is no JSON: {error.msg} in its {place}, near “{near}”") from None
    except RecursionError:
        raise InvalidBody("What comes of the template is nested too deeply") from None


def as_config(template: Template) -> dict[str, Any]:
    """As it is kept in a channel's config."""
    return {"source": template.source, "escapes": template.escapes}


def facts_of(message: Message, sealed: Mapping[str, str]) -> dict[str, Any]:
    """All that a template may speak of.

    sealed  values that the channel keeps sealed, by name
    """
    said = as_metrist(message)
    of_notices = zip(said["data"]["notices"], message.notices, strict=True)
    return {
        "status": said["type"].removeprefix("notice."),
        "is_firing": message.is_firing,
        "headline": headline(message),
        "at": said["timestamp"],
        "channel": message.channel,
        "group": said["data"]["group"],
        "url": message.base_url,
        "notices": [
            {**told, "lasted": length(told["lasted_s"]), "is_over": notice.kind == Kind.RESOLVED}
            for told, notice in of_notices
        ],
        "sealed": dict(sealed),
    }


def examples(channel: str, base_url: str, now: datetime) -> list[Message]:
    """What a template is tried on: two statuses that fire in one message, and one that is over."""
    began_at = now - timedelta(minutes=12)
    first = Notice(
        stream=f"status/{_INSTANT}/{'0a' * 32}",
        version=1,
        kind=Kind.FIRING,
        condition_id=str(_INSTANT),
        condition='CPU "busy"',
        labels={"node": "web-1", "core": "2"},
        severity="critical",
        state="firing",
        summary="average of cpu.usage_percent over 1 min is 93.5, above 90",
        began_at=began_at,
        at=began_at,
        value=93.5,
        runbook="https://wiki.example.org/cpu",
    )
    second = Notice(
        stream=f"status/{_INSTANT}/{'0b' * 32}",
        version=1,
        kind=Kind.FIRING,
        condition_id=str(_INSTANT),
        condition=first.condition,
        labels={"node": "web-2"},
        severity="warning",
        state="no_data",
        summary="no data for 5 min",
        began_at=now,
        at=now,
    )
    over = Notice(
        stream=first.stream,
        version=2,
        kind=Kind.RESOLVED,
        condition_id=first.condition_id,
        condition=first.condition,
        labels=first.labels,
        severity=first.severity,
        state="ok",
        summary="average of cpu.usage_percent over 1 min is 12, not above 90",
        began_at=began_at,
        at=now,
        value=12.0,
    )
    return [_message(channel, base_url, now, first, second), _message(channel, base_url, now, over)]


def _message(channel: str, base_url: str, now: datetime, *notices: Notice) -> Message:
    ids = [UUID(int=_INSTANT.int + place) for place, _ in enumerate(notices)]
    group = {"condition": notices[0].condition}
    return Message(_INSTANT, notices[0].kind, channel, now, ids, notices, group, "", base_url)
