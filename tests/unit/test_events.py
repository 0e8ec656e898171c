"""Folding: laws that hold for every history, and what each event does to its row."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import FOLDS, Event, Json, Row, _ended, fold, fold_all
from domain.monitor_folds import _removed
from domain.nodes import INSTANCE_REST, NodeState, is_new_instance, may_move
from domain.notice_folds import _gone
from tests.unit.notices import NOTICE_HISTORIES

ACCOUNT, USER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TWIN = {"instance_id": "b", "before": "a"}
DESCRIBED = {"labels": {"role": "db"}, "agent": {"version": "1.2"}}
MOVED = {"from": "online", "cause": "silence", "agent_clock": None}
REGISTERED = {"account_id": str(ACCOUNT), "name": "web-1", "instance_id": "a", "labels": {}, "agent": {}}
INVITED = {
    "account_id": str(ACCOUNT),
    "role": "viewer",
    "note": "",
    "secret_sha256": "00" * 32,
    "invited_by": str(USER),
    "expires_at": "2026-01-08T12:00:00+00:00",
}
RECORDED = {
    "account_id": str(ACCOUNT),
    "node": "web-1",
    "metrics": ["cpu.user"],
    "every_ms": 1000,
    "note": "",
    "ends_at": "2026-01-01T12:05:00+00:00",
}
DOCUMENT = {"format": "metrist/dashboard", "version": 1, "title": "Web servers", "panels": []}
SHARED = {
    "account_id": str(ACCOUNT),
    "dashboard_id": str(UUID(int=5)),
    "secret_sha256": "00" * 32,
    "note": "",
    "fixed": {"node": "web-1"},
    "title": "Web servers",
    "expires_at": None,
}
SCRIPT = {"script": "gauge('a', 1)", "interval_s": 60}
WRITTEN = {"account_id": str(ACCOUNT), "name": "disk", "document": SCRIPT, "target": {"match": "env=prod"}, "note": ""}

HISTORIES: dict[str, tuple[tuple[str, Json], list[tuple[str, Json]]]] = {
    f"user/{USER}": (
        ("user_created", {"email": "a@example.org"}),
        [("user_changed", {"email": None, "name": "Ada"})],
    ),
    f"identity/github/{'0f' * 32}": (
        ("identity_linked", {"user_id": str(USER), "login": "ada"}),
        [("identity_renamed", {"login": "lovelace"}), ("identity_unlinked", {})],
    ),
    f"account/{ACCOUNT}": (
        ("account_created", {"name": "home"}),
        [
            ("account_renamed", {"name": "work"}),
            ("account_configured", {"deregister_after_s": 600}),
            ("account_deleted", {}),
        ],
    ),
    "invitation/0011223344556677": (
        ("invitation_created", INVITED),
        [("invitation_accepted", {}), ("invitation_revoked", {})],
    ),
    f"membership/{ACCOUNT}/{USER}": (
        ("membership_granted", {"role": "owner"}),
        [("membership_granted", {"role": "viewer"}), ("membership_revoked", {"role": "viewer"})],
    ),
    "key/00ff00ff00ff00ff": (
        ("key_created", {"account_id": str(ACCOUNT), "name": "k", "scopes": ["read"], "secret_sha256": "00" * 32}),
        [("key_revoked", {})],
    ),
    f"node/{UUID(int=3)}": (
        ("node_registered", REGISTERED),
        [
            *((f"node_{state}", MOVED) for state in NodeState),
            ("node_instance_changed", TWIN),
            ("node_described", DESCRIBED),
            ("node_away", {"until": "2026-01-01T12:30:00+00:00"}),
            ("node_back", {"agent_clock": None}),
            ("node_clash_began", {"instances": ["a1", "b2"], "agent_clock": None}),
            ("node_clash_ended", {"lasted_s": 60}),
            ("node_ephemeral", {"is_ephemeral": True}),
            ("node_removed", {}),
        ],
    ),
    f"recording/{UUID(int=4)}": (
        ("recording_started", RECORDED),
        [("recording_stopped", {}), ("recording_renamed", {"note": "at noon"}), ("recording_deleted", {})],
    ),
    f"dashboard/{UUID(int=5)}": (
        ("dashboard_created", {"account_id": str(ACCOUNT), "document": DOCUMENT}),
        [
            ("dashboard_saved", {"document": DOCUMENT | {"title": "Servers"}}),
            ("dashboard_deleted", {"title": "Servers"}),
        ],
    ),
    "share/0011223344556677": (
        ("share_created", SHARED),
        [("share_revoked", {"title": "Web servers"})],
    ),
    f"monitor/{UUID(int=6)}": (
        ("monitor_created", WRITTEN),
        [
            ("monitor_saved", {"name": "disk", "number": 2, "document": SCRIPT | {"interval_s": 10}, "note": "quick"}),
            ("monitor_retargeted", {"name": "disk", "target": {"nodes": ["web-1"]}}),
            ("monitor_pushed", {"name": "disk", "number": 1, "document": SCRIPT}),
            ("monitor_staged", {"name": "disk", "number": 1, "stage": "canary", "canaries": ["web-1"]}),
            ("monitor_rolled_out", {"name": "disk", "number": 1}),
            ("monitor_halted", {"name": "disk", "number": 1, "back_to": 0, "reason": "web-1 fails"}),
            ("monitor_paused", {"name": "disk"}),
            ("monitor_resumed", {"name": "disk"}),
            ("monitor_removed", {"name": "disk"}),
        ],
    ),
    **NOTICE_HISTORIES,
}
"""Stream → its first event and those that may follow, by type and payload."""
ENDS = {kind for kind, fold_one in FOLDS.items() if fold_one in (_ended, _gone, _removed)}
"""After these only the first event may follow: who was let go may be let in again."""


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    stream = draw(st.sampled_from(sorted(HISTORIES)))
    first, later = HISTORIES[stream]
    drawn = draw(st.lists(st.sampled_from(later), max_size=12))
    facts = [first, *(fact for one in drawn for fact in ([one, first] if one[0] in ENDS else [one]))]
    return [event(stream, version, *fact) for version, fact in enumerate(facts, start=1)]


def event(stream: str, version: int, kind: str, payload: Json) -> Event:
    return Event(stream, version, kind, payload, "system", NOON + timedelta(minutes=version))


@given(histories(), st.data())
def test_folding_in_two_halves_equals_folding_once(history: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(history)))
    assert fold_all(fold_all(None, history[:cut]), history[cut:]) == fold_all(None, history)


@given(histories())
def test_a_row_knows_the_version_it_was_folded_to(history: list[Event]) -> None:
    row: Row | None = None
    for one in history:
        row = fold(row, one)
        assert row is None or row["version"] == one.version


@given(histories())
def test_folding_changes_no_row_that_was_handed_in(history: list[Event]) -> None:
    row = fold_all(None, history[:-1])
    before = None if row is None else dict(row)
    fold(row, history[-1])
    assert row == before


def test_every_type_is_in_some_history() -> None:
    assert {kind for first, later in HISTORIES.values() for kind, _ in [first, *later]} == set(FOLDS)


def test_a_node_as_its_events_tell_it() -> None:
    stream = f"node/{UUID(int=3)}"
    told = [("node_registered", REGISTERED), ("node_late", MOVED), ("node_instance_changed", TWIN)]
    row = fold_all(None, [event(stream, n, *fact) for n, fact in enumerate([*told, ("node_described", DESCRIBED)], 1)])
    assert row == {
        "id": UUID(int=3),
        "account_id": ACCOUNT,
        "name": "web-1",
        "state": "late",
        "state_since": NOON + timedelta(minutes=2),
        "registered_at": NOON + timedelta(minutes=1),
        "instance_id": "b",
        "instance_since": NOON + timedelta(minutes=3),
        "labels": {"role": "db"},
        "agent": {"version": "1.2"},
        "is_ephemeral": False,
        "away_since": None,
        "away_until": None,
        "interval_s": None,
        "clash_since": None,
        "version": 4,
    }


@pytest.mark.parametrize("ends_it", ["node_back", "node_online"])
def test_who_said_goodbye_is_away_until_it_is_heard(ends_it: str) -> None:
    stream, until = f"node/{UUID(int=3)}", NOON + timedelta(hours=1)
    registered = event(stream, 1, "node_registered", REGISTERED)
    away = event(stream, 2, "node_away", {"until": until.isoformat(), "reason": "restart", "agent_clock": None})
    row = fold_all(None, [registered, away, event(stream, 3, "node_late", MOVED)])
    assert row is not None
    assert (row["away_since"], row["away_until"]) == (NOON + timedelta(minutes=2), until)
    back = fold(row, event(stream, 4, ends_it, MOVED))
    assert back is not None
    assert (back["away_since"], back["away_until"]) == (None, None)


def test_how_often_a_node_pings_stays_when_it_only_tells_its_labels() -> None:
    stream = f"node/{UUID(int=3)}"
    told = [("node_registered", REGISTERED | {"interval_s": 60}), ("node_described", DESCRIBED)]
    row = fold_all(None, [event(stream, n, *fact) for n, fact in enumerate(told, 1)])
    assert row is not None
    assert row["interval_s"] == 60


def test_a_halted_monitor_keeps_what_was_good_and_why_the_newer_one_was_not() -> None:
    stream, two = f"monitor/{UUID(int=6)}", SCRIPT | {"interval_s": 10}
    told: list[tuple[str, Json]] = [
        ("monitor_created", WRITTEN),
        ("monitor_pushed", {"name": "disk", "number": 1, "document": SCRIPT}),
        ("monitor_rolled_out", {"name": "disk", "number": 1}),
        ("monitor_saved", {"name": "disk", "number": 2, "document": two, "note": ""}),
        ("monitor_pushed", {"name": "disk", "number": 2, "document": two}),
        ("monitor_staged", {"name": "disk", "number": 2, "stage": "canary", "canaries": ["web-1"]}),
        ("monitor_halted", {"name": "disk", "number": 2, "back_to": 1, "reason": "web-1 fails"}),
    ]
    row = fold_all(None, [event(stream, n, *fact) for n, fact in enumerate(told, 1)])
    assert row is not None
    assert (row["good"], row["good_document"], row["pushed"], row["pushed_document"]) == (1, SCRIPT, 2, two)
    assert (row["stage"], row["canaries"], row["reason"], row["head"]) == ("halted", [], "web-1 fails", 2)
    assert row["stage_since"] == NOON + timedelta(minutes=7)


def test_a_revoked_membership_is_no_row() -> None:
    stream = f"membership/{ACCOUNT}/{USER}"
    granted = event(stream, 1, "membership_granted", {"role": "owner"})
    assert fold_all(None, [granted, event(stream, 2, "membership_revoked", {"role": "owner"})]) is None


def test_a_change_of_what_was_never_made_is_refused() -> None:
    with pytest.raises(ValueError, match="first event"):
        fold(None, event("node/x", 1, "node_late", MOVED))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(KeyError):
        fold(None, event("node/x", 1, "node_exploded", {}))


@pytest.mark.parametrize(
    ("state", "reachable"),
    [
        (NodeState.ONLINE, {NodeState.LATE, NodeState.OFFLINE, NodeState.DEREGISTERED}),
        (NodeState.LATE, {NodeState.ONLINE, NodeState.OFFLINE, NodeState.DEREGISTERED}),
        (NodeState.OFFLINE, {NodeState.ONLINE, NodeState.DEREGISTERED}),
        (NodeState.DEREGISTERED, {NodeState.ONLINE}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_silence_only_moves_on_and_contact_brings_back(state: NodeState, reachable: set[NodeState]) -> None:
    assert {to_state for to_state in NodeState if may_move(state, to_state)} == reachable


@pytest.mark.parametrize(
    ("seen", "known", "rested", "is_new"),
    [
        (None, "a", True, False),
        ("a", "a", True, False),
        ("a", None, False, True),
        ("b", "a", True, True),
        ("b", "a", False, False),
    ],
)
def test_twins_under_one_name_are_news_only_now_and_then(
    seen: str | None, known: str | None, rested: bool, is_new: bool
) -> None:
    since = NOON - INSTANCE_REST + timedelta(seconds=0 if rested else 1)
    assert is_new_instance(seen, known, since if known else None, NOON) == is_new
