"""What webhooks say, and how they are signed."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from domain import webhooks
from domain.deliveries import Kind, Notice
from domain.webhooks import Message

BEGAN = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIRE = Notice(
    stream="status/c/g",
    version=3,
    kind=Kind.FIRING,
    condition_id="11111111-1111-1111-1111-111111111111",
    condition="CPU",
    labels={"node": "web-1", "env": "prod"},
    severity="critical",
    state="firing",
    summary="93 % is above 90 %",
    began_at=BEGAN,
    at=BEGAN,
    value=93.5,
    runbook="https://wiki.example.org/cpu",
)
OVER = replace(FIRE, kind=Kind.RESOLVED, state="ok", at=BEGAN + timedelta(minutes=12), summary="")


def message(*notices: Notice, kind: Kind = Kind.FIRING) -> Message:
    return Message(
        id=UUID(int=5),
        kind=kind,
        channel="ops",
        at=BEGAN,
        ids=[UUID(int=n) for n in range(len(notices))],
        notices=notices,
        group={"condition": "CPU"},
        group_sha256="ab",
        base_url="https://metrist.example.org",
    )


def test_the_signature_is_the_specification_s() -> None:
    """The example that the libraries of Standard Webhooks are tested with."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signed = webhooks.signature([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(max_size=200), st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3))
def test_a_receiver_with_any_of_the_secrets_verifies_it(noise: bytes, keys: list[bytes]) -> None:
    secrets = ["whsec_" + base64.b64encode(key).decode() for key in keys]
    body = json.dumps({"noise": noise.hex()}).encode()
    sent = webhooks.headers(message(FIRE), secrets, int(datetime.now(UTC).timestamp()), body)
    for secret in secrets:
        assert standardwebhooks.Webhook(secret).verify(body, sent) == json.loads(body)
    other = standardwebhooks.Webhook("whsec_" + base64.b64encode(b"another" * 5).decode())
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        other.verify(body, sent)


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_body_is_noticed(place: int, flip: int) -> None:
    secret = webhooks.make_secret(lambda size: b"k" * size)
    body = bytearray(webhooks.body(message(FIRE), "metrist"))
    sent = webhooks.headers(message(FIRE), [secret], int(datetime.now(UTC).timestamp()), bytes(body))
    body[place] ^= flip
    with pytest.raises(Exception):  # noqa: B017  it may not even be text any more
        standardwebhooks.Webhook(secret).verify(bytes(body), sent)


def test_a_secret_is_a_receiver_s_secret() -> None:
    secret = webhooks.make_secret(lambda size: b"\x01" * size)
    assert secret == "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" and len(webhooks.key_of(secret)) == 32
    with pytest.raises(ValueError, match="not a signing secret"):
        webhooks.key_of("whsec_!")


def test_ours_tells_all_there_is() -> None:
    body = json.loads(webhooks.body(message(FIRE, OVER), "metrist"))
    assert (body["type"], body["timestamp"]) == ("notice.firing", "2026-01-05T12:00:00.000Z")
    fire, over = body["data"]["notices"]
    assert fire["text"] == "CPU (env prod, node web-1) fires: 93 % is above 90 %"
    assert over["text"] == "CPU (env prod, node web-1) is ok again after 12 min"
    assert fire["incident"] == over["incident"] and fire["id"] != over["id"]
    assert (over["lasted_s"], fire["value"], fire["runbook"]) == (720, 93.5, "https://wiki.example.org/cpu")
    assert fire["url"] == f"https://metrist.example.org/conditions/{FIRE.condition_id}"
    assert json.loads(webhooks.body(message(OVER), "metrist"))["type"] == "notice.resolved"


def test_alertmanager_s_body_has_all_of_version_4() -> None:
    """The names as https://prometheus.io/docs/alerting/latest/configuration/#webhook_config lists them."""
    other = replace(OVER, labels={"node": "web-2", "env": "prod"}, stream="status/c/h")
    body = json.loads(webhooks.body(message(FIRE, other), "alertmanager"))
    assert body.keys() == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels"),
        *("commonLabels", "commonAnnotations", "externalURL", "alerts"),
    }
    assert (body["version"], body["status"], body["receiver"]) == ("4", "firing", "ops")
    assert body["commonLabels"] == {"alertname": "CPU", "env": "prod", "severity": "critical"}
    assert body["commonAnnotations"] == {"runbook_url": "https://wiki.example.org/cpu"}
    fire, over = body["alerts"]
    assert fire.keys() == {
        *("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"),
    }
    assert (fire["status"], fire["endsAt"]) == ("firing", "0001-01-01T00:00:00Z")
    assert (over["status"], over["endsAt"]) == ("resolved", "2026-01-05T12:12:00.000Z")
    assert fire["fingerprint"] != over["fingerprint"] and len(fire["fingerprint"]) == 16


def test_slack_is_told_no_command_by_a_label() -> None:
    hostile = replace(FIRE, labels={"node": "<!channel> & <https://evil.example|here>"}, runbook="https://x/a b|c>d")
    body = json.loads(webhooks.body(message(hostile), "slack"))
    said = json.dumps(body)
    assert "<!channel>" not in said and "<https://evil" not in said
    assert "&lt;!channel&gt; &amp; " in body["text"]
    (attachment,) = body["attachments"]
    assert attachment["text"] == "<https://x/a%20b%7Cc%3Ed|Runbook>"
    assert attachment["color"] == "#bb4000"
    assert json.loads(webhooks.body(message(OVER), "slack"))["attachments"][0]["color"] == "#0b7a5b"


@pytest.mark.parametrize(
    ("notices", "kind", "said"),
    [
        ([FIRE], Kind.FIRING, "CPU (env prod, node web-1) fires: 93 % is above 90 %"),
        ([replace(FIRE, labels={}, summary="")], Kind.FIRING, "CPU fires"),
        ([replace(FIRE, kind=Kind.REPEAT, labels={})], Kind.FIRING, "CPU still fires: 93 % is above 90 %"),
        ([replace(FIRE, state="no_data", labels={}, summary="")], Kind.FIRING, "CPU has no data"),
        ([replace(FIRE, state="error", labels={}, summary="")], Kind.FIRING, "CPU could not be judged"),
        ([replace(FIRE, labels={}, summary="", changes=8)], Kind.FIRING, "CPU fires, and changed 8 times lately"),
        ([replace(OVER, labels={}, is_meanwhile=True)], Kind.FIRING, "CPU fired, and is ok again after 12 min"),
        ([FIRE, FIRE], Kind.FIRING, "CPU: 2 firing"),
        ([FIRE, OVER, OVER], Kind.FIRING, "CPU: 1 firing, 2 over"),
        ([OVER, replace(OVER, condition="disk")], Kind.FIRING, "2 conditions: 2 over"),
        ([FIRE], Kind.TEST, "A test of the channel ops"),
    ],
)
def test_the_headline_says_it_in_a_line(notices: list[Notice], kind: Kind, said: str) -> None:
    assert webhooks.headline(message(*notices, kind=kind)) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7_200, "2 h"), (200_000, "2 d 7 h")]
)
def test_lengths_are_said_in_their_two_largest_units(seconds: int, said: str) -> None:
    assert webhooks.length(seconds) == said
