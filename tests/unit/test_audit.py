"""Events as sentences: each kind of event of an account has its own, and none tells a secret."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from domain.audit import HIDDEN, SENTENCES, Names, as_json, details, needed, sentence
from domain.events import FOLDS, SYSTEM, Event
from tests.unit.notices import NOTICES_SAID

ADA, BOB, ACCOUNT, NODE = (UUID(int=n) for n in range(1, 5))
BY_ADA, BY_BOB = f"user/{ADA}", f"user/{BOB}"
HOME, BOBS, KEY, INVITATION, WEB, RECORDING = (
    f"account/{ACCOUNT}",
    f"membership/{ACCOUNT}/{BOB}",
    "key/00ff00ff00ff00ff",
    "invitation/0011223344556677",
    f"node/{NODE}",
    "recording/1",
)
MONITOR, NAMED = f"monitor/{UUID(int=6)}", {"name": "disk"}
BOARD, SHARE = f"dashboard/{UUID(int=5)}", "share/00ff00ff00ff00ff"
DOCUMENT = {"document": {"title": "Web servers", "panels": []}}
NAMES = Names(
    {str(ADA): "Ada", str(BOB): "Bob"},
    {KEY: {"name": "laptop"}, INVITATION: {"note": "for Bob"}, WEB: {"name": "web-1"}, RECORDING: {"node": "web-1"}},
)
SAID: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("account_created", HOME, BY_ADA, {"name": "home"}, "Ada made the account home"),
    ("account_renamed", HOME, BY_ADA, {"name": "work"}, "Ada renamed the account to work"),
    (
        "account_configured",
        HOME,
        BY_ADA,
        {"deregister_after_s": 5_400},
        "Ada set silent nodes to be deregistered after 1 h 30 min",
    ),
    (
        "account_configured",
        HOME,
        BY_ADA,
        {"deregister_after_s": None},
        "Ada left it to the platform when silent nodes are deregistered",
    ),
    ("account_deleted", HOME, BY_ADA, {}, "Ada deleted the account"),
    ("membership_granted", BOBS, BY_ADA, {"role": "viewer"}, "Ada let Bob in as a viewer"),
    ("membership_granted", BOBS, SYSTEM, {"role": "owner"}, "Metrist let Bob in as an owner"),
    ("membership_granted", BOBS, BY_BOB, {"role": "viewer"}, "Bob joined as a viewer"),
    ("membership_granted", BOBS, BY_ADA, {"role": "admin", "before": "viewer"}, "Ada made Bob an admin"),
    ("membership_granted", BOBS, BY_BOB, {"role": "admin", "before": "owner"}, "Bob made themselves an admin"),
    ("membership_revoked", BOBS, BY_ADA, {"role": "admin"}, "Ada removed Bob, an admin"),
    ("membership_revoked", BOBS, BY_BOB, {"role": "admin"}, "Bob left"),
    ("invitation_created", INVITATION, BY_ADA, {"role": "viewer", "note": ""}, "Ada invited someone as a viewer"),
    (
        "invitation_created",
        INVITATION,
        BY_ADA,
        {"role": "owner", "note": "for Bob"},
        "Ada invited someone as an owner, “for Bob”",
    ),
    ("invitation_accepted", INVITATION, BY_BOB, {}, "Bob accepted the invitation “for Bob”"),
    ("invitation_accepted", "invitation/gone", BY_BOB, {}, "Bob accepted the invitation without a note"),
    ("invitation_revoked", INVITATION, BY_ADA, {}, "Ada revoked the invitation “for Bob”"),
    ("invitation_revoked", INVITATION, SYSTEM, {"cause": "too old"}, "The invitation “for Bob” ended: too old"),
    (
        "key_created",
        KEY,
        BY_ADA,
        {"name": "laptop", "scopes": ["ingest", "read"]},
        "Ada made the API key laptop for ingest and read",
    ),
    ("key_revoked", KEY, BY_ADA, {}, "Ada revoked the API key laptop"),
    ("key_revoked", "key/1", SYSTEM, {}, "Metrist revoked the API key 1"),
    ("node_registered", WEB, WEB, {"name": "web-1"}, "web-1 reported for the first time"),
    ("node_online", WEB, WEB, {"from": "late", "cause": "contact"}, "web-1 is online again, after being late"),
    ("node_late", WEB, SYSTEM, {"cause": "silent for 31 s"}, "web-1 went late: silent for 31 s"),
    ("node_offline", WEB, SYSTEM, {"cause": "silent for 100 s"}, "web-1 went offline: silent for 100 s"),
    ("node_deregistered", WEB, SYSTEM, {"cause": "silent for 14400 s"}, "web-1 was deregistered: silent for 14400 s"),
    ("node_instance_changed", WEB, WEB, {}, "web-1 reports from another installation"),
    ("node_described", WEB, WEB, {}, "web-1 told anew of its labels or agent"),
    (
        "node_away",
        WEB,
        SYSTEM,
        {"until": "2026-01-01T12:05:00+00:00", "reason": "restarting"},
        "web-1 said goodbye (restarting), to be back by 12:05:00 UTC",
    ),
    ("node_back", WEB, SYSTEM, {}, "web-1 is back from its goodbye"),
    ("node_clash_began", WEB, SYSTEM, {"instances": ["a1", "b2"]}, "Two machines report as web-1"),
    (
        "node_clash_ended",
        WEB,
        SYSTEM,
        {"lasted_s": 4_500},
        "web-1 is one machine again, after 1 h 15 min of two under this name",
    ),
    ("node_ephemeral", WEB, WEB, {"is_ephemeral": True}, "web-1 comes and goes"),
    ("node_ephemeral", WEB, WEB, {"is_ephemeral": False}, "web-1 is here to stay"),
    ("node_removed", WEB, BY_ADA, {}, "Ada removed web-1"),
    ("recording_started", RECORDING, BY_ADA, {"node": "web-1", "note": ""}, "Ada began to keep live data of web-1"),
    (
        "recording_started",
        RECORDING,
        BY_ADA,
        {"node": "web-1", "note": "at noon"},
        "Ada began to keep live data of web-1, “at noon”",
    ),
    ("recording_stopped", RECORDING, BY_BOB, {}, "Bob keeps no more live data of web-1"),
    ("recording_renamed", RECORDING, BY_BOB, {"note": "at noon"}, "Bob called live data kept of web-1 “at noon”"),
    ("recording_deleted", RECORDING, BY_BOB, {}, "Bob took a recording of web-1 off the list"),
    ("dashboard_created", BOARD, BY_ADA, DOCUMENT, "Ada made the dashboard Web servers"),
    ("dashboard_saved", BOARD, BY_BOB, DOCUMENT, "Bob changed the dashboard Web servers"),
    (
        "dashboard_saved",
        BOARD,
        BY_BOB,
        DOCUMENT | {"restored": 3},
        "Bob took the dashboard Web servers back to revision 3",
    ),
    ("dashboard_deleted", BOARD, BY_ADA, {"title": "Web"}, "Ada deleted the dashboard Web"),
    ("share_created", SHARE, BY_ADA, {"title": "Web", "note": ""}, "Ada shared the dashboard Web by a link"),
    (
        "share_created",
        SHARE,
        BY_ADA,
        {"title": "Web", "note": "hall"},
        "Ada shared the dashboard Web by a link, “hall”",
    ),
    ("share_revoked", SHARE, BY_ADA, {"title": "Web"}, "Ada revoked a link to the dashboard Web"),
    (
        "share_revoked",
        SHARE,
        SYSTEM,
        {"title": "Web", "cause": "too old"},
        "A link to the dashboard Web ended: too old",
    ),
    ("monitor_created", MONITOR, BY_ADA, NAMED | {"note": ""}, "Ada wrote the monitor disk"),
    ("monitor_created", MONITOR, BY_ADA, NAMED | {"note": "first"}, "Ada wrote the monitor disk, “first”"),
    (
        "monitor_saved",
        MONITOR,
        BY_BOB,
        NAMED | {"number": 2, "note": "quicker"},
        "Bob wrote version 2 of the monitor disk, “quicker”",
    ),
    ("monitor_retargeted", MONITOR, BY_ADA, NAMED, "Ada chose other nodes for the monitor disk"),
    ("monitor_pushed", MONITOR, BY_ADA, NAMED | {"number": 2}, "Ada pushed version 2 of the monitor disk"),
    (
        "monitor_staged",
        MONITOR,
        SYSTEM,
        NAMED | {"number": 2, "stage": "canary", "canaries": ["web-1"]},
        "Version 2 of the monitor disk goes to its first node, web-1",
    ),
    (
        "monitor_staged",
        MONITOR,
        SYSTEM,
        NAMED | {"number": 2, "stage": "share", "canaries": ["web-1"]},
        "Version 2 of the monitor disk goes to a share of its nodes",
    ),
    ("monitor_rolled_out", MONITOR, SYSTEM, NAMED | {"number": 2}, "All nodes run version 2 of the monitor disk"),
    (
        "monitor_halted",
        MONITOR,
        SYSTEM,
        NAMED | {"number": 2, "back_to": 1, "reason": "web-1: line 3: nil"},
        "Version 2 of the monitor disk was halted, and back to version 1: web-1: line 3: nil",
    ),
    (
        "monitor_halted",
        MONITOR,
        SYSTEM,
        NAMED | {"number": 1, "back_to": 0, "reason": "web-1 fails"},
        "Version 1 of the monitor disk was halted, and taken back from its nodes: web-1 fails",
    ),
    ("monitor_paused", MONITOR, BY_ADA, NAMED, "Ada paused the monitor disk"),
    ("monitor_resumed", MONITOR, BY_ADA, NAMED, "Ada resumed the monitor disk"),
    ("monitor_removed", MONITOR, BY_ADA, NAMED, "Ada removed the monitor disk"),
    *NOTICES_SAID,
]


def event(kind: str, stream: str, actor: str, payload: dict[str, Any]) -> Event:
    return Event(stream, 1, kind, payload, actor, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "stream", "actor", "payload", "expected"), SAID, ids=[f"{row[0]}-{n}" for n, row in enumerate(SAID)]
)
def test_an_event_is_a_sentence(kind: str, stream: str, actor: str, payload: dict[str, Any], expected: str) -> None:
    assert sentence(event(kind, stream, actor, payload), NAMES) == expected


def test_every_event_of_an_account_has_a_sentence_of_its_own() -> None:
    of_people = {kind for kind in FOLDS if kind.startswith(("user_", "identity_"))}
    assert set(SENTENCES) == set(FOLDS) - of_people == {row[0] for row in SAID}


def test_a_kind_from_a_newer_release_is_told_too() -> None:
    assert sentence(event("node_praised", WEB, BY_ADA, {}), NAMES) == "Ada: node praised"


def test_who_is_unknown_is_someone_and_what_is_unknown_its_id() -> None:
    assert sentence(event("membership_granted", BOBS, BY_ADA, {"role": "viewer"}), Names()) == (
        "someone let someone in as a viewer"
    )
    assert sentence(event("node_late", WEB, SYSTEM, {}), Names()) == f"{NODE} went late"


@pytest.mark.parametrize("field", sorted(HIDDEN))
def test_hashes_are_not_shown(field: str) -> None:
    told = event("key_created", KEY, BY_ADA, {"name": "laptop", "scopes": [], field: "00" * 32})
    assert details(told) == {"name": "laptop", "scopes": []}
    assert as_json(told) == '{"name": "laptop", "scopes": []}'


def test_the_names_that_are_needed_are_those_of_people_and_things() -> None:
    told = [
        event("membership_revoked", BOBS, BY_ADA, {}),
        event("node_online", WEB, WEB, {}),
        event("x", HOME, SYSTEM, {}),
    ]
    assert needed(told) == ({str(ADA), str(BOB)}, {WEB})
