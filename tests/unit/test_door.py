"""What arrived at the door, in words: the outcome first, then what to do."""

import pytest

from domain import door
from domain.door import Caller, Entry
from domain.errors import (
    Forbidden,
    InvalidBody,
    MalformedBody,
    MetristError,
    Overloaded,
    TooLarge,
    UnsupportedMedia,
    WrongKey,
)
from domain.snapshots import Refusal

NOW = 1_800_000_000.0
WHO = Caller("192.0.2.7", "curl/8", "web", "/api/v1/ping")


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (WrongKey("unknown or revoked"), "wrong secret for key “web”"),
        (Forbidden("not the scope ingest"), "key “web” may not do this"),
        (MalformedBody("the body is not JSON: …", offset=118), "body not JSON at byte 118"),
        (MalformedBody("the body is not UTF-8", offset=3), "body not UTF-8 at byte 3"),
        (MalformedBody("the compressed body ends too early"), "the body could not be read"),
        (InvalidBody("the ping has the wrong shape"), "the body has the wrong shape"),
        (TooLarge("larger than 1 byte"), "the request is too large"),
        (UnsupportedMedia("Content-Type 'text/csv'"), "the content type or encoding is not supported"),
        (Overloaded("full"), "the server is busy"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_refusal_names_its_reason(error: MetristError, what: str) -> None:
    entry = door.refused(NOW, WHO, error, is_revoked=False)
    assert (entry.outcome, entry.what, entry.caller) == ("refused", what, WHO)
    assert entry.remedy


def test_a_revoked_key_is_told_apart_from_a_wrong_secret() -> None:
    entry = door.refused(NOW, WHO, WrongKey("the key is unknown or revoked"), is_revoked=True)
    assert entry.what == "key “web” is revoked"
    assert entry.detail == ""


@pytest.mark.parametrize(
    ("off_s", "words"),
    [
        (None, ""),
        (0, ""),
        (29.9, ""),
        (-29.9, ""),
        (31, "clock 31 s ahead"),
        (240, "clock 4 min ahead"),
        (-240, "clock 4 min behind"),
        (7_200, "clock 2 h ahead"),
        (-864_000, "clock 10 d behind"),
    ],
)
def test_a_clock_that_is_off_is_told(off_s: float | None, words: str) -> None:
    sent_at = None if off_s is None else NOW + off_s
    assert door.clock_off(sent_at, NOW) == words
    entry = door.pinged(NOW, WHO, "web-1", sent_at)
    assert (entry.outcome, entry.node) == ("accepted", "web-1")
    assert entry.what == (f"ping, {words}" if words else "ping")
    assert bool(entry.remedy) == bool(words)


@pytest.mark.parametrize(
    ("nodes", "accepted", "refused", "outcome", "what"),
    [
        (["a"], 1, 0, "accepted", "1 sample"),
        (["a"], 12, 0, "accepted", "12 samples"),
        (["a", "b"], 12, 0, "accepted", "12 samples, 2 nodes"),
        (["a"], 10, 2, "accepted", "10 samples, 2 refused"),
        (["a"], 0, 2, "refused", "2 samples refused"),
        ([], 0, 1, "refused", "1 sample refused"),
        (["a"], 0, 0, "accepted", "0 samples"),
    ],
)
def test_a_batch_tells_its_samples(nodes: list[str], accepted: int, refused: int, outcome: str, what: str) -> None:
    refusals = [Refusal("ts-future", "ts is 900 s ahead", refused)] if refused else []
    entry = door.admitted(NOW, WHO, nodes, accepted, refusals, is_twin=False)
    assert (entry.outcome, entry.what) == (outcome, what)
    assert entry.node == ("a" if nodes == ["a"] else "")
    assert entry.detail == (f"ts is 900 s ahead ({refused}×)" if refused else "")


def test_what_a_stranger_sends_is_short_and_printable() -> None:
    who = door.caller("192.0.2.7", "evil\x1b[31m" + "x" * 500, "web", "/api/v1/ping")
    assert len(who.agent) == door.AGENT_MAX_CHARS and who.agent.startswith("evil�[31m")
    entry = door.refused(NOW, who, InvalidBody("\ud800" + "y" * 1_000), is_revoked=False)
    assert len(entry.detail) == door.TEXT_MAX_CHARS and entry.detail.startswith("�y")


def test_what_was_not_written_down_is_counted() -> None:
    assert door.more(NOW, "refused", 312) == Entry(NOW, "refused", more=312)
