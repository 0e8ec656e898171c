"""E-mails through a real server: TLS and a password, threads, confirmation of an address, refusals."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from pydantic import SecretStr
from sqlalchemy import Engine

from domain.deliveries import Kind
from domain.errors import InvalidBody, LimitReached
from domain.settings import Settings
from schema import delivery_log
from tests.mail_server import PASSWORD, USER, MailServer, receiving_mails
from tests.notices import House, a_fire, its_end
from tests.receiver import Receiver, receiver
from tests.valkey_server import Valkey
from workers import deliver
from workers.stores import Stores, open_stores

__all__ = ["receiver"]
WITHIN_S = 20
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it does, from the start


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["starttls", "tls", "none"])
def server(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[MailServer]:
    with receiving_mails(authority, request.param) as found:
        yield found


@pytest.fixture
def stores(
    server: MailServer,
    request: pytest.FixtureRequest,
    authority: trustme.CA,
    sqlite_control: Engine,
    valkey: Valkey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stores]:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    how = request.node.callspec.params["server"]
    who = f"{USER}:{quote(PASSWORD, safe='')}@" if how != "none" else ""
    url = {
        "starttls": f"smtp://{who}localhost:{server.port}",
        "tls": f"smtps://{who}localhost:{server.port}",
        "none": f"smtp://localhost:{server.port}?tls=none",
    }[how]
    control = sqlite_control.url.render_as_string(hide_password=False)
    opened = open_stores(
        Settings(_env_file=None, database_url=control, redis_url=valkey.url, smtp_url=SecretStr(url),
                 public_url="https://metrist.example.org", egress_allow="127.0.0.1")
    )  # fmt: skip
    yield opened
    opened.close()


@pytest.fixture
def house(stores: Stores) -> House:
    return House.build(stores.control)


def now() -> datetime:
    return datetime.now(UTC)


def run(stores: Stores) -> None:
    deliver.deliver(stores, now())
    assert stores.crew.wait(WITHIN_S)


ONLY_PLAIN: Any = pytest.mark.parametrize("server", ["none"], indirect=True)


def test_a_fire_and_its_end_are_one_thread(stores: Stores, house: House, server: MailServer) -> None:
    house.mailbox()
    began = now() - timedelta(minutes=5)
    fire = a_fire(began_at=began, at=began)
    house.owe(fire, now=began)
    run(stores)
    house.owe(its_end(fire), now=now())
    run(stores)
    first, second = server.mails
    assert server.recipients == ["ops@example.org"] * 2
    assert first["Subject"] == second["Subject"] == "CPU (node web-1)"
    assert first["References"] == second["References"] and first["Message-ID"] != second["Message-ID"]
    assert "https://metrist.example.org/mail/stop/" in first["List-Unsubscribe"]
    text, html = (first.get_body((kind,)) for kind in ("plain", "html"))
    assert text and "93 % is above 90 %" in text.get_content()
    assert html and "93 % is above 90 %" in html.get_content()
    ended = second.get_body(("plain",))
    assert ended and "is ok again after 1 min" in ended.get_content()
    assert [row.state for row in house.rows()] == ["sent", "sent"]


@ONLY_PLAIN
def test_what_people_called_things_stays_text(stores: Stores, house: House, server: MailServer) -> None:
    house.mailbox()
    evil = {"condition": "<b>x</b>", "labels": {"node": '"><img src=x>\r\nBcc: a@b'}, "summary": "{{ 7*7 }}"}
    house.owe(a_fire(**evil), now=now() - timedelta(minutes=1))
    run(stores)
    (mail,) = server.mails
    html = mail.get_body(("html",))
    assert html and "<b>" not in html.get_content() and "<img src=x" not in html.get_content()
    assert "{{ 7*7 }}" in html.get_content()
    assert mail["Bcc"] is None and server.recipients == ["ops@example.org"]


@ONLY_PLAIN
def test_an_address_is_asked_before_it_is_told(stores: Stores, house: House, server: MailServer) -> None:
    box = house.mailbox(is_verified=False)
    with pytest.raises(InvalidBody, match="confirmed"):
        delivery_log.test(stores.control, house.account_id, box.id, now())
    delivery_log.ask(stores.control, house.account_id, box.id, now())
    house.owe(a_fire(), now=now())
    run(stores)
    (mail,) = server.mails
    text = mail.get_body(("plain",))
    assert mail["Subject"] == "Confirm this address for notices"
    assert text and "https://metrist.example.org/mail/confirm/" in text.get_content()


@ONLY_PLAIN
def test_nobody_is_bothered_with_questions(stores: Stores, house: House, server: MailServer) -> None:
    box = house.mailbox(is_verified=False)
    for _ in range(delivery_log.QUESTIONS_A_DAY):
        delivery_log.ask(stores.control, house.account_id, box.id, now())
    with pytest.raises(LimitReached):
        delivery_log.ask(stores.control, house.account_id, box.id, now())
    assert server.mails == []


@ONLY_PLAIN
@pytest.mark.parametrize(
    ("answer", "refuses", "code"),
    [("451 4.3.0 Later", "", 451), ("554 5.7.1 Spam", "", 554), ("250 OK", "550 5.1.1 No such user", 550)],
)
def test_what_the_server_refuses_is_tried_again(
    stores: Stores, house: House, server: MailServer, answer: str, refuses: str, code: int
) -> None:
    house.mailbox()
    server.answer, server.refuses = answer, refuses
    house.owe(a_fire(), now=now() - timedelta(minutes=1))
    run(stores)
    (attempt,) = house.attempts()
    assert attempt.code == code and (answer + refuses)[-7:] in attempt.error
    assert house.rows()[0].state == "owed"


@ONLY_PLAIN
def test_the_owner_hears_of_a_channel_that_is_gone(
    stores: Stores, house: House, server: MailServer, receiver: Receiver
) -> None:
    hook = house.webhook(receiver.url)
    receiver.code = 410
    house.owe(a_fire(), now=now() - timedelta(minutes=1))
    run(stores)
    (mail,) = server.wait_for(1)
    assert mail["To"].startswith("house-") and mail["Subject"] == f"The channel {hook.name} was turned off"
    assert [row.kind for row in house.rows(state="sent")] == [Kind.DISABLED]


@pytest.mark.parametrize("server", ["starttls", "tls"], indirect=True)
def test_a_server_that_is_not_who_it_says_gets_nothing(
    stores: Stores, house: House, server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    house.mailbox()
    house.owe(a_fire(), now=now() - timedelta(minutes=1))
    run(stores)
    assert server.mails == [] and server.logins == 0
    assert "TLS" in house.attempts()[0].error


@ONLY_PLAIN
def test_never_in_the_clear_unless_asked(stores: Stores, house: House, server: MailServer) -> None:
    settings = stores.settings.model_copy(update={"smtp_url": SecretStr(f"smtp://localhost:{server.port}")})
    house.mailbox()
    house.owe(a_fire(), now=now() - timedelta(minutes=1))
    run(Stores(settings, stores.control, stores.redis, stores.clickhouse))
    assert server.mails == [] and "STARTTLS" in house.attempts()[0].error
