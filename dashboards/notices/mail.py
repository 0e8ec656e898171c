"""The links of e-mails, for people who need not have signed in: yes to notices, and no more of them.

Opening a link changes nothing, since programs open links, too; its button does. Mail programs post to the second
themselves when somebody clicks “unsubscribe” (RFC 8058).
"""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from domain import mail_links
from domain.errors import NotFound
from domain.mail_links import Mailbox
from schema import channels, server_secrets

router = APIRouter()


@router.get("/mail/confirm/{token}")
def ask_to_confirm(request: Request, token: str) -> Response:
    """The question. Raises NotFound."""
    return page(request, "mail_link.html", what="confirm", mailbox=_confirming(request, token), is_done=False)


@router.post("/mail/confirm/{token}")
def confirm(request: Request, token: str) -> Response:
    """Yes: the channel may tell this address. Raises NotFound."""
    require_same_origin(request)
    mailbox = _confirming(request, token)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    if not channels.confirm(control, mailbox.channel_id, mailbox.address, now):
        raise NotFound("The channel was deleted, or sends to another address by now")
    return page(request, "mail_link.html", what="confirm", mailbox=mailbox, is_done=True)


@router.get("/mail/stop/{token}")
def ask_to_stop(request: Request, token: str) -> Response:
    """The question. Raises NotFound."""
    return page(request, "mail_link.html", what="stop", mailbox=_stopping(request, token), is_done=False)


@router.post("/mail/stop/{token}")
def stop(request: Request, token: str) -> Response:
    """No more e-mails there: the channel is turned off, and its account sees why. Raises NotFound."""
    require_same_origin(request)
    mailbox = _stopping(request, token)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    channels.stop(control, mailbox.channel_id, mailbox.address, now)
    return page(request, "mail_link.html", what="stop", mailbox=mailbox, is_done=True)


def _confirming(request: Request, token: str) -> Mailbox:
    return _known(mail_links.read_confirm(_key(request), token))


def _stopping(request: Request, token: str) -> Mailbox:
    return _known(mail_links.read_stop(_key(request), token))


def _known(mailbox: Mailbox | None) -> Mailbox:
    if mailbox is None:
        raise NotFound("This link is not one of ours, or too old; ask for another e-mail")
    return mailbox


def _key(request: Request) -> bytes:
    return server_secrets.get_or_create(request.app.state.stores.control, mail_links.SECRET, datetime.now(UTC))
