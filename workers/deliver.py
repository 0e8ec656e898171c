"""Sends what is owed to channels: the outbox says what, this is how.

The job in the queue only wakes a few threads and ends, so that a receiver that takes its time holds up neither the
queue nor other receivers. Each thread claims a message, tries it once, keeps what came of it, and goes on while
anything is due. Who is killed in between loses the claim, and the message is tried again under the same id.
"""

import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import structlog
from redis.exceptions import RedisError

from domain import templates, webhooks
from domain.channels import Kind as ChannelKind
from domain.channels import Secret, template_of
from domain.egress import parse_allowed, parse_target
from domain.errors import MetristError
from domain.templates import facts_of
from domain.webhooks import Message
from rendering import render
from schema import channels, keys, outbox, outcomes, repeats, sealing
from schema.outbox import Claim
from schema.outcomes import Outcome
from workers import egress, letters, mail
from workers.egress import Answer
from workers.stores import Stores

log = structlog.get_logger()
SOON: Final = timedelta(seconds=1.5)
"""A little longer than groups wait where nobody says otherwise."""
_RETRY_AFTER_MOST: Final = timedelta(days=1)
_FAULT: Final = "Metrist could not make the message; the operator finds why in the log"


def deliver(stores: Stores, now: datetime) -> None:
    """The job. Safe to repeat: what is under way is not due.

    What a group waits for a moment longer is waited for by a thread, as the scheduler's next look comes a second late.
    """
    repeats.owe_due(stores.control, now)
    due_at = outbox.next_due(stores.control, now + SOON, now)
    if due_at is not None:
        wait_s = (due_at - now).total_seconds()
        stores.crew.start(lambda: _send_due(stores, wait_s))


def is_due(stores: Stores, now: datetime) -> bool:
    """Whether there is anything to send, or to tell again."""
    return outbox.is_due(stores.control, now) or repeats.are_due(stores.control, now)


def attempt(stores: Stores, claimed: Claim, now: datetime) -> None:
    """One try at one message, and its outcome kept."""
    answer = _try(stores, claimed, now)
    ended = datetime.now(UTC)
    outcome = Outcome(now, answer.code, answer.latency_ms, answer.error, retry_after(answer.headers, ended))
    tells = bool(stores.settings.smtp_url.get_secret_value())
    outcomes.record(stores.control, claimed, outcome, ended, random.random(), tells_owners=tells)  # noqa: S311
    about = {"account_id": str(claimed.account_id), "channel_id": str(claimed.channel.id), "tries": claimed.tries + 1}
    stores.tally.tried("email" if _goes_by_mail(claimed) else "webhook", _result(answer))
    log.info("delivery_tried", **about, code=answer.code, took_ms=answer.latency_ms, error=answer.error)
    _tell_pages(stores, claimed)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """What a receiver asked for: seconds, or a date. Nonsense is as good as nothing."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(timedelta(seconds=int(said[:9])), _RETRY_AFTER_MOST)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(at - now, timedelta()), _RETRY_AFTER_MOST)


def _send_due(stores: Stores, wait_s: float = 0.0) -> None:
    """Go on until nothing is due; while there is more than one can do, another thread helps."""
    time.sleep(max(0.0, wait_s))
    while not stores.crew.is_closing:
        now = datetime.now(UTC)
        claimed = outbox.claim(stores.control, now, mails_per_hour=stores.settings.mails_per_hour)
        if claimed is None:
            return
        if outbox.is_due(stores.control, now):
            stores.crew.start(lambda: _send_due(stores))
        attempt(stores, claimed, now)


def _try(stores: Stores, claimed: Claim, now: datetime) -> Answer:
    message = Message(
        claimed.message_id,
        claimed.kind,
        claimed.channel.name,
        now,
        claimed.ids,
        claimed.notices,
        claimed.group,
        claimed.group_sha256,
        stores.settings.base_url,
    )
    try:
        send = _mail if _goes_by_mail(claimed) else _webhook
        return send(stores, claimed, message, now)
    except MetristError as error:
        return Answer(None, 0, error.detail)
    except Exception as error:  # one message that cannot be made must not stop the others, nor be tried at once again
        log.error("delivery_fault", channel_id=str(claimed.channel.id), error=type(error).__name__, exc_info=True)
        return Answer(None, 0, _FAULT)


def _goes_by_mail(claimed: Claim) -> bool:
    return bool(claimed.recipient) or claimed.channel.kind == ChannelKind.EMAIL


def _result(answer: Answer) -> str:
    """As the tally counts it."""
    if answer.error:
        return "failed"
    return "sent" if answer.code is None or answer.code < 300 else "refused"


def _webhook(stores: Stores, claimed: Claim, message: Message, now: datetime) -> Answer:
    sealer = sealing.open_sealer(stores.control, stores.settings, now)
    found = channels.secrets_of(stores.control, claimed.channel, sealer, now)
    if found is None:
        return Answer(None, 0, "the channel has no address; save it again")
    secret, signing = found
    body, content_type = _body(claimed, message, secret)
    ours = webhooks.headers(message, signing, int(now.timestamp()), body, content_type)
    own = {name.lower(): value for name, value in secret.headers.items()}
    allowed = parse_allowed(stores.settings.egress_allow)
    return egress.post(parse_target(secret.url), {**ours, **own}, body, allowed)


def _body(claimed: Claim, message: Message, secret: Secret) -> tuple[bytes, str]:
    """What is sent, and of what type it is. Raises InvalidBody for a template that gives none."""
    template = template_of(claimed.channel.config)
    if template is None:
        return webhooks.body(message, claimed.channel.config["body"]), "application/json"
    (body,) = render(template, [facts_of(message, secret.values)])
    templates.check(template, body)
    return body.encode(), template.content_type


def _mail(stores: Stores, claimed: Claim, message: Message, now: datetime) -> Answer:
    server = stores.settings.smtp_url.get_secret_value()
    if not server:
        return Answer(None, 0, "no mail server is set: METRIST_SMTP_URL")
    return mail.send(server, letters.write(stores, claimed, message, now))


def _tell_pages(stores: Stores, claimed: Claim) -> None:
    """Open pages show what came of it; a lost word costs them nothing but a reload."""
    told = f'{{"type":"delivery","channel":"{claimed.channel.id}"}}'
    try:
        stores.redis.publish(keys.events_channel(claimed.account_id), told)
    except RedisError as error:
        log.debug("delivery_untold", error=type(error).__name__)
