"""Requests to where accounts' webhooks point: bounded in time and size, and never to what is ours."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
import trustme

from domain.egress import Allowed, parse_allowed, parse_target
from tests.receiver import Receiver, receiver, receiving
from workers.egress import Answer, post

__all__ = ["receiver"]
HERE = parse_allowed("127.0.0.1")
SOON_S = 1.0


def send(url: str, allowed: Allowed = HERE, **more: object) -> Answer:
    return post(parse_target(url), {"content-type": "application/json", "x-mine": "1"}, b'{"a":1}', allowed, **more)  # type: ignore[arg-type]


def names(**found: Sequence[str]) -> dict[str, object]:
    """A name server of our own: what each look-up of a name says, the last for ever; unknown names are not found."""
    left = {name: list(says) for name, says in found.items()}

    def resolve(host: str, port: int) -> Sequence[str]:
        says = left.get(host.split(".", maxsplit=1)[0])
        if says is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        said = says.pop(0) if len(says) > 1 else says[0]
        return said.split()

    return {"resolve": resolve}


def test_a_request_arrives_whole(receiver: Receiver) -> None:
    answer = send(f"{receiver.url}/hook?a=b")
    assert (answer.code, answer.error) == (204, "")
    (came,) = receiver.received
    assert (came.path, came.body, came.headers["x-mine"]) == ("/hook?a=b", b'{"a":1}', "1")
    assert came.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_the_host_is_the_name_and_the_connection_is_to_its_address(receiver: Receiver) -> None:
    answer = send(f"http://hooks.example.org:{receiver.port}/", **names(hooks=["127.0.0.1"]))
    assert answer.code == 204
    assert receiver.received[0].headers["host"] == f"hooks.example.org:{receiver.port}"


@pytest.mark.parametrize(
    "says",
    ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "1.1.1.1 127.0.0.1", "fe80::1%lo", "169.254.169.254"],
)
def test_a_name_that_leads_home_is_not_connected_to(receiver: Receiver, says: str) -> None:
    answer = send(f"http://hooks.example.org:{receiver.port}/", Allowed(), **names(hooks=[says]))
    assert answer.code is None and receiver.connections == 0
    assert "leads to" in answer.error or "bound to" in answer.error


def test_a_name_that_changes_after_it_was_judged_changes_nothing(receiver: Receiver) -> None:
    """The first look-up says what may be connected to, each later one would say loopback."""
    fine = "192.0.2.1"
    rebinding = names(hooks=[fine, "127.0.0.1"])
    allowed = parse_allowed("192.0.2.0/24")
    answer = send(f"http://hooks.example.org:{receiver.port}/", allowed, deadline_s=SOON_S, **rebinding)
    assert answer.code is None and receiver.connections == 0


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, code: int) -> None:
    with receiving() as inner:
        receiver.code, receiver.headers = code, {"location": f"{inner.url}/secret"}
        answer = send(receiver.url)
        assert (answer.code, answer.error) == (code, f"answered {code}")
        assert inner.connections == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/", "http://localhost:{}/", "http://[::ffff:127.0.0.1]:{}/"])
def test_loopback_is_refused_unless_allowed(receiver: Receiver, url: str) -> None:
    assert send(url.format(receiver.port), Allowed()).code is None
    assert receiver.connections == 0


def test_nobody_there_is_said(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    assert send(f"http://127.0.0.1:{free}/").error == "it takes no connections"
    assert send("http://hooks.example.org/", **names()).error == "its name was not found"


def test_the_second_address_is_tried_when_the_first_is_dead(receiver: Receiver) -> None:
    both = names(hooks=["127.0.0.2 127.0.0.1"])
    answer = send(f"http://hooks.example.org:{receiver.port}/", parse_allowed("127.0.0.0/8"), **both)
    assert answer.code == 204


@pytest.mark.parametrize(
    "behave", ["slow", "drip", "hang", "body"], ids=["answers late", "a byte a time", "never answers", "endless body"]
)
def test_everything_ends_at_the_deadline(receiver: Receiver, behave: str) -> None:
    match behave:
        case "slow":
            receiver.delay_s = 3
        case "drip":
            receiver.drip_s = 0.2
        case "hang":
            receiver.delay_s = 30
        case "body":
            receiver.code, receiver.headers = 200, {"transfer-encoding": "chunked"}
            receiver.raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
            receiver.before = None
    began_s = time.monotonic()
    answer = send(receiver.url, deadline_s=SOON_S)
    assert time.monotonic() - began_s < SOON_S + 0.5
    if behave != "body":
        assert (answer.code, answer.error) == (None, "no answer within 1 s")
        assert 900 < answer.latency_ms < 1_500


def test_a_name_server_that_hangs_holds_nobody(receiver: Receiver) -> None:
    let_go = threading.Event()

    def resolve(host: str, port: int) -> Sequence[str]:
        let_go.wait(10)
        return ["127.0.0.1"]

    answer = send("http://hooks.example.org/", resolve=resolve, deadline_s=0.3)
    let_go.set()
    assert answer.error == "no answer within 0.3 s"


def test_a_large_answer_is_not_read(receiver: Receiver) -> None:
    receiver.code, receiver.body = 200, b"x" * 50_000_000
    began_s = time.monotonic()
    assert send(receiver.url).code == 200
    assert time.monotonic() - began_s < 2


@pytest.mark.parametrize(
    "raw", [b"", b"HTTP/1.1 2", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000]
)
def test_what_is_no_answer_is_a_failure(receiver: Receiver, raw: bytes) -> None:
    receiver.code, receiver.raw = 0, raw
    answer = send(receiver.url)
    assert answer.code is None and answer.error


def test_an_answer_whose_body_breaks_off_counts(receiver: Receiver) -> None:
    receiver.raw = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"
    assert send(receiver.url).code == 200


def test_headers_cannot_be_smuggled_in(receiver: Receiver) -> None:
    answer = post(parse_target(receiver.url), {"x": "1\r\nx-evil: 1"}, b"", HERE)
    assert answer.code is None and not any("x-evil" in came.headers for came in receiver.received)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Receiver]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hooks.example.org").configure_cert(context)
    with receiving(context) as found:
        yield found


def test_a_certificate_must_be_of_the_name(secure: Receiver, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    resolving = names(hooks=["127.0.0.1"], other=["127.0.0.1"])
    assert "certificate is not valid" in send(f"https://hooks.example.org:{secure.port}/", **resolving).error
    authority.configure_trust(context)
    assert send(f"https://hooks.example.org:{secure.port}/", tls=context, **resolving).code == 204
    wrong = send(f"https://other.example.org:{secure.port}/", tls=context, **resolving)
    assert wrong.code is None and "certificate is not valid" in wrong.error
    assert len(secure.received) == 1


def test_a_handshake_that_hangs_ends(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert send(f"https://127.0.0.1:{port}/", deadline_s=0.5).error == "no answer within 0.5 s"
