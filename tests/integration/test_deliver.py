"""What is owed arrives: signed, at least once, in order, whatever receivers do and whoever is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import standardwebhooks
from sqlalchemy import Engine, update

from domain import webhooks
from domain.deliveries import Kind
from domain.settings import Settings
from domain.templates import Template
from schema import channels, delivery_log, keys, sealing
from schema.control import tables
from tests.notices import HOUR, ME, SIGNING, House, a_fire, its_end
from tests.receiver import Receiver, receiver
from tests.valkey_server import Valkey
from workers import deliver
from workers.deliver import retry_after
from workers.queues import enqueue
from workers.stores import Stores, open_stores

__all__ = ["receiver"]
WITHIN_S = 20


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def stores(sqlite_control: Engine, valkey: Valkey) -> Iterator[Stores]:
    url = sqlite_control.url.render_as_string(hide_password=False)
    settings = Settings(_env_file=None, database_url=url, redis_url=valkey.url, egress_allow="127.0.0.1")
    opened = open_stores(settings)
    yield opened
    opened.close()


@pytest.fixture
def house(stores: Stores) -> House:
    return House.build(stores.control)


def run(stores: Stores) -> None:
    deliver.deliver(stores, now())
    assert stores.crew.wait(WITHIN_S)


def until(is_so: Callable[[], object]) -> None:
    give_up_s = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def fire(house: House, count: int = 1) -> None:
    """Owed a while ago, so that no group waits any more."""
    house.owe(*(a_fire(condition=f"c{n}", began_at=now(), at=now()) for n in range(count)), now=now() - 2 * SECOND)


SECOND = timedelta(seconds=1)


def test_a_webhook_arrives_signed(stores: Stores, house: House, receiver: Receiver) -> None:
    house.webhook(f"{receiver.url}/hook")
    fire(house)
    run(stores)
    (came,) = receiver.received
    assert came.path == "/hook" and came.json["type"] == "notice.firing"
    assert standardwebhooks.Webhook(SIGNING).verify(came.body, came.headers) == came.json
    (row,) = house.rows()
    assert (row.state, came.headers["webhook-id"]) == ("sent", f"msg_{row.message_id.hex}")
    assert came.json["data"]["notices"][0]["id"] == str(row.id)


@pytest.mark.parametrize("body", ["metrist", "alertmanager", "slack"])
def test_each_dialect_is_spoken(stores: Stores, house: House, receiver: Receiver, body: str) -> None:
    house.webhook(receiver.url, body=body)
    fire(house)
    run(stores)
    assert {"metrist": "data", "alertmanager": "groupKey", "slack": "attachments"}[body] in receiver.received[0].json


def test_a_body_of_ones_own_is_signed_and_has_its_type(stores: Stores, house: House, receiver: Receiver) -> None:
    own = Template("key={{ sealed.key }}&text={{ headline }}", "form")
    house.webhook(receiver.url, template=own, values={"key": "R0&x"})
    fire(house)
    run(stores)
    (came,) = receiver.received
    assert came.headers["content-type"] == "application/x-www-form-urlencoded"
    assert came.body.startswith(b"key=R0%26x&text=c0%20%28node%20web-1%29%20fires")
    signed = webhooks.signature(
        [SIGNING], came.headers["webhook-id"], int(came.headers["webhook-timestamp"]), came.body
    )
    assert came.headers["webhook-signature"] == signed


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{\n"a": {{ notices[0].nope }}}', "Line 2 of the template: "),
        ('{"a": }', "What comes of the template is no JSON: "),
        (
            "{% for a in 'a' * 99999 %}{% for b in 'b' * 99999 %}{% endfor %}{% endfor %}",
            "The template: it ",
        ),
    ],
)
def test_a_template_that_gives_no_body_is_said_and_tried_again(
    stores: Stores, house: House, receiver: Receiver, source: str, said: str
) -> None:
    house.webhook(receiver.url, template=Template(source))
    fire(house)
    run(stores)
    (row,) = house.rows()
    assert (row.state, row.attempts, receiver.received) == ("owed", 1, [])
    assert said in row.reason and row.next_attempt_at > now()


def test_a_replaced_secret_signs_for_a_day(stores: Stores, house: House, receiver: Receiver) -> None:
    hook = house.webhook(receiver.url)
    sealer = sealing.open_sealer(stores.control, stores.settings, now())
    fresh = channels.rotate(stores.control, house.account_id, hook.id, sealer, now(), actor=ME)
    fire(house)
    run(stores)
    (came,) = receiver.received
    for secret in (fresh, SIGNING):
        assert standardwebhooks.Webhook(secret).verify(came.body, came.headers)
    later = now() + 25 * HOUR
    found = channels.secrets_of(stores.control, channels.find(stores.control, house.account_id, hook.id), sealer, later)
    assert found and found[1] == [fresh]
    assert channels.purge_secrets(stores.control, later) == 1


def test_secrets_are_nowhere_in_the_clear(stores: Stores, house: House, receiver: Receiver) -> None:
    house.webhook("https://hooks.example.org/services/very-secret-path")
    folder = Path(stores.control.url.database or "").parent
    kept = b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
    assert b"hooks.example.org" in kept
    assert b"very-secret-path" not in kept and SIGNING.encode() not in kept


@pytest.mark.parametrize("code", [500, 503, 429, 404, 301])
def test_what_is_refused_is_tried_again(stores: Stores, house: House, receiver: Receiver, code: int) -> None:
    house.webhook(receiver.url)
    receiver.script = [code]
    fire(house)
    run(stores)
    (row,) = house.rows()
    assert (row.state, row.attempts, row.reason) == ("owed", 1, f"answered {code}")
    hurry(stores)
    run(stores)
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert [attempt.code for attempt in house.attempts()] == [code, 204]
    assert house.rows()[0].state == "sent"


def hurry(stores: Stores) -> None:
    """As if the pause were over."""
    table = tables.deliveries
    with stores.control.begin() as conn:
        conn.execute(update(table).where(table.c.state == "owed").values(next_attempt_at=now()))


@pytest.mark.parametrize(
    ("said", "expected_s"),
    [
        ("120", 120), ("0", 0), ("999999999999", 86_400), ("-5", None), ("soon", None), ("", None), ("1.5", None),
        ("Mon, 05 Jan 2026 12:01:00 GMT", 60), ("Mon, 05 Jan 2026 11:00:00 GMT", 0), ("²", None),
    ],
)  # fmt: skip
def test_what_receivers_ask_for_is_read(said: str, expected_s: int | None) -> None:
    expected = None if expected_s is None else timedelta(seconds=expected_s)
    assert retry_after({"retry-after": said}, datetime(2026, 1, 5, 12, tzinfo=UTC)) == expected
    assert retry_after({}, now()) is None


def test_a_receiver_that_asks_for_time_gets_it(stores: Stores, house: House, receiver: Receiver) -> None:
    house.webhook(receiver.url)
    receiver.code, receiver.headers = 429, {"retry-after": "300"}
    fire(house)
    run(stores)
    (row,) = house.rows()
    assert row.next_attempt_at and 290 < (row.next_attempt_at - now()).total_seconds() < 301


def test_a_receiver_that_is_gone_is_left_alone(stores: Stores, house: House, receiver: Receiver) -> None:
    hook = house.webhook(receiver.url)
    receiver.code = 410
    fire(house)
    run(stores)
    assert not channels.find(stores.control, house.account_id, hook.id).is_enabled
    fire(house)
    run(stores)
    assert len(receiver.received) == 1


def test_one_that_breaks_off_is_tried_again(stores: Stores, house: House, receiver: Receiver) -> None:
    house.webhook(receiver.url)
    receiver.code = 0
    fire(house)
    run(stores)
    (row,) = house.rows()
    assert (row.state, row.attempts) == ("owed", 1) and "broke off" in row.reason


def test_the_job_ends_at_once_whatever_receivers_do(stores: Stores, house: House, receiver: Receiver) -> None:
    house.webhook(receiver.url)
    receiver.delay_s = 1
    fire(house)
    began_s = time.monotonic()
    deliver.deliver(stores, now())
    assert time.monotonic() - began_s < 0.5, "evaluation waits behind it in the queue"
    assert stores.crew.wait(WITHIN_S) and len(receiver.received) == 1


def test_a_group_that_waits_a_moment_is_sent_when_that_is_over(
    stores: Stores, house: House, receiver: Receiver
) -> None:
    """By the one job that hurries it: the scheduler's next look would come up to a second later."""
    house.webhook(receiver.url)
    at = now()
    house.owe(a_fire(began_at=at, at=at), now=at)
    began_s = time.monotonic()
    deliver.deliver(stores, now())
    assert stores.crew.wait(WITHIN_S)
    (came,) = receiver.received
    assert came.at_s - began_s > 0.8, "others of its group had their second"
    assert [row.state for row in house.rows()] == ["sent"]


def test_many_go_out_at_once(stores: Stores, house: House, receiver: Receiver) -> None:
    for _ in range(10):
        house.webhook(receiver.url)
    receiver.delay_s = 0.5
    fire(house)
    began_s = time.monotonic()
    run(stores)
    assert len(receiver.received) == 10 and time.monotonic() - began_s < 3


def test_a_message_that_cannot_be_made_stops_no_other(stores: Stores, house: House, receiver: Receiver) -> None:
    broken = house.webhook(receiver.url)
    house.webhook(receiver.url)
    with stores.control.begin() as conn:
        table = tables.channels
        conn.execute(update(table).where(table.c.id == broken.id).values(config=broken.config | {"body": "none"}))
    fire(house)
    run(stores)
    assert sorted(row.state for row in house.rows()) == ["owed", "sent"]
    assert len(receiver.received) == 1


def test_order_is_kept_while_the_first_is_under_way(stores: Stores, house: House, receiver: Receiver) -> None:
    house.webhook(receiver.url)
    receiver.delay_s = 0.5
    notice = a_fire(began_at=now(), at=now())
    house.owe(notice, now=now() - 2 * SECOND)
    deliver.deliver(stores, now())
    receiver.wait_for(1)
    house.owe(its_end(notice), now=now())

    def all_sent() -> bool:
        deliver.deliver(stores, now())
        return [row.state for row in house.rows()] == ["sent", "sent"]

    until(all_sent)
    assert [came.json["type"] for came in receiver.received] == ["notice.firing", "notice.resolved"]


def test_a_test_and_sending_again_are_logged(stores: Stores, house: House, receiver: Receiver) -> None:
    hook = house.webhook(receiver.url)
    tested = delivery_log.test(stores.control, house.account_id, hook.id, now())
    run(stores)
    entry, tries = delivery_log.find(stores.control, house.account_id, tested)
    assert (entry.kind, entry.state, entry.code, len(tries)) == (Kind.TEST, "sent", 204, 1)
    assert receiver.received[0].json["type"] == "notice.test"
    again = delivery_log.send_again(stores.control, house.account_id, tested, now())
    run(stores)
    assert len(receiver.received) == 2 and again != tested
    listed, has_more = delivery_log.list_for(stores.control, house.account_id, delivery_log.Wanted())
    assert ([one.id for one in listed], has_more) == ([again, tested], False)


def test_old_deliveries_are_forgotten(stores: Stores, house: House, receiver: Receiver) -> None:
    house.webhook(receiver.url)
    fire(house)
    run(stores)
    assert delivery_log.purge(stores.control, now()) == 0
    with stores.control.begin() as conn:
        conn.execute(update(tables.deliveries).values(repeat_at=None))
    assert delivery_log.purge(stores.control, now() + delivery_log.KEPT) == 1
    assert house.rows() == [] and house.attempts() == []


WORKER = """
import sys
from domain.settings import Settings
from schema import outbox
from datetime import timedelta
outbox.LEASE = timedelta(seconds=1)
from workers.worker import main
main(Settings(_env_file=None, database_url=sys.argv[1], redis_url=sys.argv[2], egress_allow="127.0.0.1"))
"""


def test_whoever_is_killed_while_sending_loses_nothing(stores: Stores, house: House, receiver: Receiver) -> None:
    """kill -9 again and again in a storm: each delivery arrives, twins carry the same id, nothing stays owed."""
    hooks = [house.webhook(receiver.url) for _ in range(4)]
    receiver.delay_s = 0.02
    command = [sys.executable, "-c", WORKER, stores.control.url.render_as_string(hide_password=False)]
    command += [stores.settings.redis_url.get_secret_value()]
    notices = [a_fire(uuid4(), condition=f"c{n}", began_at=now(), at=now()) for n in range(50)]
    house.owe(*notices, now=now() - 2 * SECOND)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process, kills = subprocess.Popen(command, env=environment), 0
    try:
        give_up_s = time.monotonic() + 60
        while house.rows(state="owed"):
            assert time.monotonic() < give_up_s, f"{len(house.rows(state='owed'))} are owed still"
            enqueue(stores.redis, keys.DELIVER, "deliver")
            time.sleep(0.1)
            if kills < 3 and len(receiver.received) > 40 * (kills + 1):
                process.send_signal(signal.SIGKILL)
                process.wait()
                stores.redis.flushall()
                process, kills = subprocess.Popen(command, env=environment), kills + 1
    finally:
        process.kill()
        process.wait()
    assert kills == 3
    came = [came.json["data"]["notices"][0]["id"] for came in receiver.received]
    assert set(came) == {str(row.id) for row in house.rows()} and len(set(came)) == 50 * len(hooks)
    by_id: dict[str, set[str]] = {}
    for one in receiver.received:
        by_id.setdefault(one.json["data"]["notices"][0]["id"], set()).add(one.headers["webhook-id"])
    assert all(len(ids) == 1 for ids in by_id.values()), "twins can be told by their id"
    assert {row.state for row in house.rows()} == {"sent"}
