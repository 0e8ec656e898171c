"""Histories of conditions, statuses, channels, routes and silences, and what they say, for the tests of all events."""

from typing import Any
from uuid import UUID

from domain.events import SYSTEM, Json

ACCOUNT, ADA = UUID(int=1), UUID(int=1)
CONDITION, CHANNEL, ROUTE, SILENCE = (UUID(int=n) for n in range(20, 24))
STATUS = f"status/{CONDITION}/{'0a' * 32}"
BY_ADA = f"user/{ADA}"
MADE = {"account_id": str(ACCOUNT), "name": "CPU", "kind": "metric", "spec": {"threshold": 90}}
FIRED = {
    "account_id": str(ACCOUNT),
    "name": "CPU",
    "labels": {"node": "web-1"},
    "from": "ok",
    "to": "firing",
    "at": "2026-01-01T11:59:50+00:00",
    "value": 93.5,
    "message": "",
    "severity": "critical",
    "reading_at": "2026-01-01T11:59:50+00:00",
    "pending_since": None,
    "quiet_since": None,
    "told": "firing",
    "told_since": "2026-01-01T11:59:50+00:00",
}
RECOVERED = FIRED | {"from": "firing", "to": "ok", "value": 10.0, "told": "", "told_since": None}
HOOK = {
    "account_id": str(ACCOUNT),
    "name": "hook",
    "kind": "webhook",
    "config": {"url": "https://x"},
    "secret_id": None,
}
ROUTED = {
    "account_id": str(ACCOUNT),
    "position": 1,
    "match": ["severity=critical"],
    "channel_ids": [str(CHANNEL)],
    "group_by": ["condition"],
    "group_wait_s": 0,
    "repeat_s": 3600,
    "continues": False,
}
SILENCED = {
    "account_id": str(ACCOUNT),
    "match": ["node=web-1"],
    "starts_at": "2026-01-01T12:00:00+00:00",
    "ends_at": None,
    "recurrence": {},
    "note": "upgrade",
}

NOTICE_HISTORIES: dict[str, tuple[tuple[str, Json], list[tuple[str, Json]]]] = {
    f"condition/{CONDITION}": (
        ("condition_created", MADE),
        [
            ("condition_changed", MADE | {"name": "Load"}),
            ("condition_switched", {"name": "CPU", "is_enabled": False}),
            ("condition_deleted", {"name": "CPU"}),
        ],
    ),
    STATUS: (
        ("status_moved", FIRED),
        [
            ("status_moved", RECOVERED),
            ("status_quieted", {"name": "CPU", "quiet_since": "2026-01-01T12:10:00+00:00"}),
            ("status_acknowledged", {"name": "CPU", "note": "on it"}),
            ("status_unacknowledged", {"name": "CPU"}),
            ("status_ended", {"name": "CPU", "cause": "the condition was deleted"}),
        ],
    ),
    f"channel/{CHANNEL}": (
        ("channel_created", HOOK),
        [
            ("channel_changed", HOOK | {"secret_id": str(UUID(int=30)), "is_verified": True}),
            ("channel_changed", HOOK | {"is_verified": False}),
            ("channel_verified", {"name": "hook"}),
            ("channel_switched", {"name": "hook", "is_enabled": False, "reason": "it answered 410"}),
            ("channel_deleted", {"name": "hook"}),
        ],
    ),
    f"route/{ROUTE}": (
        ("route_created", ROUTED),
        [("route_changed", ROUTED | {"position": 2}), ("route_deleted", {"position": 2})],
    ),
    f"silence/{SILENCE}": (
        ("silence_created", SILENCED),
        [
            ("silence_changed", SILENCED | {"ends_at": "2026-01-01T13:00:00+00:00"}),
            ("silence_ended", {"note": "upgrade"}),
            ("silence_deleted", {"note": "upgrade"}),
        ],
    ),
}
"""As HISTORIES of test_events."""

NOTICES_SAID: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("condition_created", f"condition/{CONDITION}", BY_ADA, MADE, "Ada made the condition CPU"),
    ("condition_changed", f"condition/{CONDITION}", BY_ADA, MADE, "Ada changed the condition CPU"),
    ("condition_switched", f"condition/{CONDITION}", BY_ADA, {"name": "CPU"}, "Ada paused the condition CPU"),
    (
        "condition_switched",
        f"condition/{CONDITION}",
        BY_ADA,
        {"name": "CPU", "is_enabled": True},
        "Ada resumed the condition CPU",
    ),
    ("condition_deleted", f"condition/{CONDITION}", BY_ADA, {"name": "CPU"}, "Ada deleted the condition CPU"),
    ("status_moved", STATUS, SYSTEM, FIRED, "CPU fires (node web-1)"),
    ("status_moved", STATUS, SYSTEM, RECOVERED | {"labels": {}}, "CPU is ok again"),
    (
        "status_moved",
        STATUS,
        SYSTEM,
        FIRED | {"name": "backup", "message": "no disk"},
        "backup fires (node web-1): no disk",
    ),
    (
        "status_quieted",
        STATUS,
        SYSTEM,
        {"name": "CPU", "quiet_since": "2026-01-01T12:10:00+00:00"},
        "CPU would be ok by now, and goes on firing for a while",
    ),
    (
        "status_quieted",
        STATUS,
        SYSTEM,
        {"name": "CPU", "quiet_since": None},
        "CPU is over its threshold again, and never stopped firing",
    ),
    ("status_acknowledged", STATUS, BY_ADA, {"name": "CPU", "note": ""}, "Ada acknowledged CPU"),
    (
        "status_acknowledged",
        STATUS,
        BY_ADA,
        {"name": "CPU", "note": "on it", "labels": {"node": "web-1"}},
        "Ada acknowledged CPU (node web-1), “on it”",
    ),
    ("status_unacknowledged", STATUS, BY_ADA, {"name": "CPU"}, "Ada took back the acknowledgement of CPU"),
    (
        "status_ended",
        STATUS,
        SYSTEM,
        {"name": "CPU", "labels": {"node": "web-1"}, "cause": "the node was removed"},
        "CPU (node web-1) is judged no longer: the node was removed",
    ),
    ("channel_created", f"channel/{CHANNEL}", BY_ADA, HOOK, "Ada made the channel hook"),
    ("channel_changed", f"channel/{CHANNEL}", BY_ADA, HOOK, "Ada changed the channel hook"),
    (
        "channel_verified",
        f"channel/{CHANNEL}",
        SYSTEM,
        {"name": "hook"},
        "The address of the channel hook was confirmed",
    ),
    (
        "channel_switched",
        f"channel/{CHANNEL}",
        SYSTEM,
        {"name": "hook", "is_enabled": False, "reason": "it answered 410"},
        "Metrist turned off the channel hook: it answered 410",
    ),
    (
        "channel_switched",
        f"channel/{CHANNEL}",
        BY_ADA,
        {"name": "hook", "is_enabled": True, "reason": ""},
        "Ada turned on the channel hook",
    ),
    ("channel_deleted", f"channel/{CHANNEL}", BY_ADA, {"name": "hook"}, "Ada deleted the channel hook"),
    ("route_created", f"route/{ROUTE}", BY_ADA, ROUTED, "Ada made a route for notices, number 1"),
    ("route_changed", f"route/{ROUTE}", BY_ADA, ROUTED, "Ada changed route 1 for notices"),
    ("route_deleted", f"route/{ROUTE}", BY_ADA, {"position": 2}, "Ada deleted route 2 for notices"),
    ("silence_created", f"silence/{SILENCE}", BY_ADA, SILENCED, "Ada made the silence “upgrade”"),
    ("silence_changed", f"silence/{SILENCE}", BY_ADA, SILENCED, "Ada changed the silence “upgrade”"),
    ("silence_ended", f"silence/{SILENCE}", BY_ADA, {"note": ""}, "Ada ended the silence without a note"),
    ("silence_deleted", f"silence/{SILENCE}", BY_ADA, {"note": "upgrade"}, "Ada deleted the silence “upgrade”"),
]
"""As SAID of test_audit."""
