"""Events as sentences for people: who did what to what, and why.

A sentence needs names where an event has ids; `Names` brings them, from the log itself for what is no more.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.accounts import Role
from domain.events import SYSTEM, Event, Json, key_of, kind_of
from domain.monitor_sentences import MONITOR_SENTENCES
from domain.notice_sentences import NOTICE_SENTENCES

PLATFORM = "Metrist"
"""What the platform is called where it acts by itself."""
HIDDEN = frozenset({"secret_sha256", "secret_hash", "document"})
"""What no page and no file of the log shows of a payload: secrets, and what has pages of its own."""
KINDS: Mapping[str, tuple[str, ...]] = {
    "people": ("membership", "invitation"),
    "keys": ("key",),
    "nodes": ("node", "recording"),
    "dashboards": ("dashboard", "share"),
    "monitors": ("monitor",),
    "conditions": ("condition", "status"),
    "notices": ("channel", "route", "silence"),
    "account": ("account",),
}
"""What can be asked for → the kinds of stream that are about it."""
THINGS = frozenset({"node", "key", "invitation", "recording"})
"""Kinds of stream whose first event says what they are called, or about."""


@dataclass(frozen=True, slots=True)
class Names:
    """What things are called.

    people  id of a user → name or address
    things  stream → the payload of its first event, which names a node, a key, an invitation
    """

    people: Mapping[str, str] = field(default_factory=dict)
    things: Mapping[str, Json] = field(default_factory=dict)

    def person(self, user_id: str) -> str:
        return self.people.get(user_id, "someone")

    def thing(self, stream: str) -> str:
        """A node's or a key's name; its id where the log tells none."""
        return str(self.things.get(stream, {}).get("name") or key_of(stream)[-1])

    def actor(self, actor: str) -> str:
        """Who did it."""
        if actor == SYSTEM:
            return PLATFORM
        kind, _, actor_id = actor.partition("/")
        match kind:
            case "user":
                return self.person(actor_id)
            case "key":
                return f"the key {self.thing(actor)}"
            case _:
                return self.thing(actor) if actor_id else actor


def sentence(event: Event, names: Names) -> str:
    """What happened, in one sentence without a full stop."""
    tell = SENTENCES.get(event.type)
    if tell is None:
        return f"{names.actor(event.actor)}: {event.type.replace('_', ' ')}"
    return tell(_Told(event, names))


def details(event: Event) -> dict[str, Any]:
    """The payload without what is secret."""
    return {key: value for key, value in event.payload.items() if key not in HIDDEN}


def needed(events: Iterable[Event]) -> tuple[set[str], set[str]]:
    """Which names the sentences of these events need: ids of users, streams of things."""
    people: set[str] = set()
    things: set[str] = set()
    for event in events:
        for stream in (event.stream, event.actor):
            kind, parts = kind_of(stream), key_of(stream)
            if kind in ("user", "membership") and parts:
                people.add(parts[-1])
            elif kind in THINGS and parts:
                things.add(stream)
    return people, things


@dataclass(frozen=True, slots=True)
class _Told:
    """An event with the words for what it names."""

    event: Event
    names: Names

    def __getitem__(self, key: str) -> Any:
        return self.event.payload.get(key)

    @property
    def by(self) -> str:
        return self.names.actor(self.event.actor)

    @property
    def name(self) -> str:
        return self.names.thing(self.event.stream)

    @property
    def person(self) -> str:
        return self.names.person(key_of(self.event.stream)[-1])

    @property
    def is_own_doing(self) -> bool:
        return self.event.actor == f"user/{key_of(self.event.stream)[-1]}"

    @property
    def dashboard(self) -> str:
        """The title of the dashboard that it is about, as it was then."""
        return str((self["document"] or self.event.payload).get("title", "of no title"))

    @property
    def noted(self) -> str:
        """A note that was left with it, to be put behind."""
        return f", “{self['note']}”" if self["note"] else ""

    @property
    def why(self) -> str:
        return f": {self['cause']}" if self["cause"] not in (None, "", "contact") else ""

    @property
    def recorded(self) -> str:
        """The node that a recording is of."""
        return str(self.names.things.get(self.event.stream, {}).get("node") or "a node")

    @property
    def invitation(self) -> str:
        note = self.names.things.get(self.event.stream, {}).get("note")
        return f"“{note}”" if note else "without a note"


def _configured(told: _Told) -> str:
    after_s = told["deregister_after_s"]
    if after_s is None:
        return f"{told.by} left it to the platform when silent nodes are deregistered"
    return f"{told.by} set silent nodes to be deregistered after {_length(after_s)}"


def _granted(told: _Told) -> str:
    role = _a_role(told["role"])
    if told["before"]:
        whom = "themselves" if told.is_own_doing else told.person
        return f"{told.by} made {whom} {role}"
    return f"{told.person} joined as {role}" if told.is_own_doing else f"{told.by} let {told.person} in as {role}"


def _revoked(told: _Told) -> str:
    return f"{told.person} left" if told.is_own_doing else f"{told.by} removed {told.person}, {_a_role(told['role'])}"


def _invited(told: _Told) -> str:
    return f"{told.by} invited someone as {_a_role(told['role'])}{told.noted}"


def _invitation_ended(told: _Told) -> str:
    if told["cause"]:
        return f"The invitation {told.invitation} ended: {told['cause']}"
    return f"{told.by} revoked the invitation {told.invitation}"


def _key_made(told: _Told) -> str:
    return f"{told.by} made the API key {told['name']} for {' and '.join(told['scopes'] or ())}"


def _online(told: _Told) -> str:
    before = f", after being {told['from']}" if told["from"] else ""
    return f"{told.name} is online again{before}"


def _away(told: _Told) -> str:
    reason = f" ({told['reason']})" if told["reason"] else ""
    return f"{told.name} said goodbye{reason}, to be back by {str(told['until'])[11:19]} UTC"


def _recorded(told: _Told) -> str:
    return f"{told.by} began to keep live data of {told['node']}{told.noted}"


def _clash_ended(told: _Told) -> str:
    return f"{told.name} is one machine again, after {_length(told['lasted_s'])} of two under this name"


def _ephemeral(told: _Told) -> str:
    return f"{told.name} comes and goes" if told["is_ephemeral"] else f"{told.name} is here to stay"


def _saved(told: _Told) -> str:
    if told["restored"]:
        return f"{told.by} took the dashboard {told.dashboard} back to revision {told['restored']}"
    return f"{told.by} changed the dashboard {told.dashboard}"


def _shared(told: _Told) -> str:
    return f"{told.by} shared the dashboard {told.dashboard} by a link{told.noted}"


def _share_ended(told: _Told) -> str:
    if told["cause"]:
        return f"A link to the dashboard {told.dashboard} ended: {told['cause']}"
    return f"{told.by} revoked a link to the dashboard {told.dashboard}"


SENTENCES: Mapping[str, Callable[[_Told], str]] = {
    **MONITOR_SENTENCES,
    **NOTICE_SENTENCES,
    "account_created": lambda told: f"{told.by} made the account {told['name']}",
    "account_renamed": lambda told: f"{told.by} renamed the account to {told['name']}",
    "account_configured": _configured,
    "account_deleted": lambda told: f"{told.by} deleted the account",
    "membership_granted": _granted,
    "membership_revoked": _revoked,
    "invitation_created": _invited,
    "invitation_accepted": lambda told: f"{told.by} accepted the invitation {told.invitation}",
    "invitation_revoked": _invitation_ended,
    "key_created": _key_made,
    "key_revoked": lambda told: f"{told.by} revoked the API key {told.name}",
    "node_registered": lambda told: f"{told.name} reported for the first time",
    "node_online": _online,
    "node_late": lambda told: f"{told.name} went late{told.why}",
    "node_offline": lambda told: f"{told.name} went offline{told.why}",
    "node_deregistered": lambda told: f"{told.name} was deregistered{told.why}",
    "node_instance_changed": lambda told: f"{told.name} reports from another installation",
    "node_described": lambda told: f"{told.name} told anew of its labels or agent",
    "node_away": _away,
    "node_back": lambda told: f"{told.name} is back from its goodbye",
    "node_clash_began": lambda told: f"Two machines report as {told.name}",
    "node_clash_ended": _clash_ended,
    "node_ephemeral": _ephemeral,
    "node_removed": lambda told: f"{told.by} removed {told.name}",
    "recording_started": _recorded,
    "recording_stopped": lambda told: f"{told.by} keeps no more live data of {told.recorded}",
    "recording_renamed": lambda told: f"{told.by} called live data kept of {told.recorded} “{told['note']}”",
    "recording_deleted": lambda told: f"{told.by} took a recording of {told.recorded} off the list",
    "dashboard_created": lambda told: f"{told.by} made the dashboard {told.dashboard}",
    "dashboard_saved": _saved,
    "dashboard_deleted": lambda told: f"{told.by} deleted the dashboard {told.dashboard}",
    "share_created": _shared,
    "share_revoked": _share_ended,
}
"""Type of event → its sentence."""


def as_json(event: Event) -> str:
    """The details as one line of JSON, its keys in order."""
    return json.dumps(details(event), ensure_ascii=False, sort_keys=True)


def _a_role(role: str) -> str:
    return f"{'a' if role == Role.VIEWER else 'an'} {role}"


def _length(seconds: int) -> str:
    """Hours and minutes, as people set them."""
    hours, minutes = divmod(seconds // 60, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join(parts) or f"{seconds} s"
