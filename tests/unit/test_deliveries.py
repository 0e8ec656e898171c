"""What is owed to whom, when it is tried again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import deliveries, windows
from domain.deliveries import (
    FLAP_PAUSE,
    FLAPS,
    LASTS,
    Channel,
    Desk,
    Kind,
    Notice,
    Owed,
    Past,
    Route,
    State,
    next_attempt_at,
    owed,
)
from domain.silences import Silence

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
OPS, DEV, MAIL = UUID(int=1), UUID(int=2), UUID(int=3)
CHANNELS = {OPS: Channel(OPS, "ops"), DEV: Channel(DEV, "dev"), MAIL: Channel(MAIL, "mail")}
NOON = windows.parse(windows.DAYS, "11:00", "13:00", "UTC")
FIRE = Notice(
    stream="status/c/g",
    version=3,
    kind=Kind.FIRING,
    condition_id="c",
    condition="CPU",
    labels={"node": "web-1", "env": "prod"},
    severity="warning",
    state="firing",
    summary="93 % is above 90 %",
    began_at=NOW,
    at=NOW,
)
OVER = replace(FIRE, kind=Kind.RESOLVED, state="ok", at=NOW + 5 * MINUTE)


def route(*match: str, to: tuple[UUID, ...] = (OPS,), **more: Any) -> Route:
    return Route(UUID(int=9), match, to, **more)


def desk(*routes: Route, silences: tuple[Silence, ...] = (), **channels: Channel) -> Desk:
    return Desk(routes, {**CHANNELS, **{one.id: one for one in channels.values()}}, silences)


def silence(*match: str, ends_at: datetime = NOW + HOUR) -> Silence:
    return Silence(UUID(int=8), match, NOW - HOUR, ends_at, note="upgrade")


def told(found: list[Owed]) -> dict[UUID | None, str]:
    """By channel: when, in seconds from now, or why not."""
    return {
        one.channel_id: f"+{(one.due_at - NOW).total_seconds():g}" if one.state == State.OWED else one.reason
        for one in found
    }


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ((), {OPS: "+1", DEV: "+1", MAIL: "+1"}),
        ((route("node=web-1"), route(to=(DEV,))), {OPS: "+0"}),
        ((route("node=web-2"), route(to=(DEV,))), {DEV: "+0"}),
        ((route(continues=True), route(to=(DEV,)), route(to=(MAIL,))), {OPS: "+0", DEV: "+0"}),
        ((route(continues=True, group_wait_s=9), route(to=(OPS, DEV))), {OPS: "+9", DEV: "+0"}),
        ((route("severity=critical"),), {None: "no route takes it"}),
        ((route(to=(UUID(int=77),)),), {None: "no route takes it"}),
        ((route("severity=~warning|critical", "condition=CPU", "env!=dev"),), {OPS: "+0"}),
    ],
    ids=["none", "first", "second", "continues", "each once", "nobody", "deleted channel", "matchers"],
)
def test_routes_decide_who_is_told(routes: tuple[Route, ...], expected: dict[UUID | None, str]) -> None:
    assert told(owed(FIRE, desk(*routes), {}, NOW)) == expected


def test_an_account_without_channels_is_told_so() -> None:
    assert told(owed(FIRE, Desk((), {}, ()), {}, NOW)) == {None: "no channel to tell"}


@pytest.mark.parametrize(
    ("channel", "severity", "silences", "expected"),
    [
        (Channel(OPS, "ops", is_enabled=False), "warning", (), "the channel ops is off"),
        (Channel(OPS, "ops", is_verified=False), "warning", (), "the address of ops is not confirmed yet"),
        (Channel(OPS, "ops", quiet=NOON), "warning", (), "+3600"),
        (Channel(OPS, "ops", quiet=NOON), "critical", (), "+0"),
        (Channel(OPS, "ops"), "critical", (silence("node=web-1"),), "+3600"),
        (Channel(OPS, "ops"), "critical", (silence("node=db"),), "+0"),
        (Channel(OPS, "ops", quiet=NOON), "info", (silence(ends_at=NOW + 9 * HOUR),), "+32400"),
    ],
    ids=["off", "unverified", "quiet hours", "critical", "silenced", "another's silence", "both"],
)
def test_what_holds_a_notice(channel: Channel, severity: str, silences: tuple[Silence, ...], expected: str) -> None:
    notice = replace(FIRE, severity=severity)
    assert told(owed(notice, desk(route(), silences=silences, ops=channel), {}, NOW)) == {OPS: expected}


def test_a_held_notice_says_what_holds_it() -> None:
    (one,) = owed(FIRE, desk(route(), silences=(silence(),)), {}, NOW)
    assert one.reason == "silenced: upgrade" and deliveries.is_held(one.reason)


@pytest.mark.parametrize(
    ("past", "expected", "is_meanwhile"),
    [
        ({}, {None: "nobody was told that it fired"}, False),
        ({OPS: Past(was_told=True)}, {OPS: "+0"}, False),
        ({OPS: Past(is_owed=True)}, {OPS: "+0"}, True),
        ({OPS: Past(was_told=True, is_owed=True, is_held=True)}, {OPS: "+0"}, False),
        (
            {OPS: Past(is_owed=True, is_held=True)},
            {OPS: "it was over before the silence or the quiet hours were"},
            False,
        ),
        ({OPS: Past(was_told=True), DEV: Past(is_owed=True), MAIL: Past()}, {OPS: "+0", DEV: "+0"}, None),
        ({UUID(int=77): Past(was_told=True)}, {None: "nobody was told that it fired"}, False),
    ],
    ids=["nobody", "told", "failing", "a repeat held", "held throughout", "several", "deleted channel"],
)
def test_recoveries_go_to_whom_the_fire_went(
    past: dict[UUID, Past], expected: dict[UUID | None, str], is_meanwhile: bool | None
) -> None:
    found = owed(OVER, desk(route("node=nothing")), past, NOW)
    assert told(found) == expected
    if is_meanwhile is not None:
        assert [one.is_meanwhile for one in found] == [is_meanwhile]


def test_a_recovery_is_told_through_a_silence_but_not_through_the_night() -> None:
    """Who was told of a fire is not left with it; a silence began after that."""
    past = {OPS: Past(was_told=True)}
    assert told(owed(OVER, desk(silences=(silence(),)), past, NOW)) == {OPS: "+0"}
    assert told(owed(OVER, desk(ops=Channel(OPS, "ops", quiet=NOON)), past, NOW)) == {OPS: "+3600"}


def test_a_recovery_goes_the_way_and_in_the_group_of_its_fire() -> None:
    (fire,) = owed(FIRE, desk(route(group_by=("env",))), {}, NOW)
    past = Past(was_told=True, route=fire.route, group_sha256=fire.group_sha256)
    (over,) = owed(OVER, desk(), {OPS: past}, NOW)
    assert (over.group_sha256, over.route["group"]) == (fire.group_sha256, {"env": "prod"})


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_a_group_is_one_by_all_its_values(a: str, b: str, c: str, d: str) -> None:
    by = route(group_by=("a", "b"))
    (one,), (other,) = (
        owed(replace(FIRE, labels=labels), desk(by), {}, NOW) for labels in ({"a": a, "b": b}, {"a": c, "b": d})
    )
    assert (one.group_sha256 == other.group_sha256) == ((a, b) == (c, d))


def test_what_flaps_is_told_of_now_and_then() -> None:
    calm, wild = Past(changes=FLAPS - 1, last_at=NOW), Past(changes=FLAPS, last_at=NOW - 4 * MINUTE)
    assert told(owed(FIRE, desk(route()), {OPS: calm}, NOW)) == {OPS: "+0"}
    (held,) = owed(FIRE, desk(route()), {OPS: wild}, NOW)
    assert held.due_at == NOW - 4 * MINUTE + FLAP_PAUSE and "flaps" in held.reason
    long_ago = replace(wild, last_at=NOW - 20 * MINUTE)
    assert told(owed(FIRE, desk(route()), {OPS: long_ago}, NOW)) == {OPS: "+0"}
    assert not deliveries.is_held(held.reason), "or its end would be kept back"


PASTS = st.builds(
    Past,
    was_told=st.booleans(),
    is_owed=st.booleans(),
    is_held=st.booleans(),
    changes=st.integers(0, 20),
    last_at=st.one_of(st.none(), st.integers(-3_600, 0).map(lambda s: NOW + timedelta(seconds=s))),
)
DESKS = st.builds(
    Desk,
    st.lists(
        st.builds(
            Route,
            st.just(UUID(int=9)),
            st.sampled_from([(), ("node=web-1",), ("node!=web-1",)]),
            st.lists(st.sampled_from([OPS, DEV, MAIL]), max_size=3).map(tuple),
            group_wait_s=st.integers(0, 60),
            continues=st.booleans(),
        ),
        max_size=4,
    ),
    st.fixed_dictionaries(
        {},
        optional={
            one: st.builds(
                Channel, st.just(one), st.just("x"), st.booleans(), st.booleans(), st.sampled_from([None, NOON])
            )
            for one in (OPS, DEV, MAIL)
        },
    ),
    st.lists(st.sampled_from([silence(), silence("node=db")]), max_size=2),
)


@given(DESKS, st.dictionaries(st.sampled_from([OPS, DEV, MAIL]), PASTS), st.sampled_from([FIRE, OVER]))
def test_every_notice_is_answered_for(of: Desk, past: dict[UUID, Past], notice: Notice) -> None:
    """Each channel at most once, never one that is off, nothing in the past; and what is not sent says why."""
    found = owed(notice, of, past, NOW)
    to = [one.channel_id for one in found]
    assert found and len(to) == len(set(to))
    for one in found:
        assert one.due_at >= NOW
        if one.state == State.OWED:
            assert one.channel_id is not None
            channel = of.channels[one.channel_id]
            assert channel.is_enabled and channel.is_verified
            assert one.due_at > NOW or deliveries.hold_of(notice, of, channel, NOW) is None
        else:
            assert one.reason


@given(st.lists(st.floats(0, 1), min_size=60, max_size=60))
def test_tries_thin_out_and_end_after_a_day(jitters: list[float]) -> None:
    at, tries = NOW, 1
    pauses = []
    for jitter in jitters:
        following = next_attempt_at(NOW, tries, at, jitter)
        if following is None:
            break
        assert at < following <= NOW + LASTS
        pauses.append((following - at).total_seconds())
        at, tries = following, tries + 1
    else:
        pytest.fail("it never ends")
    assert at == NOW + LASTS, "the last try is when its time is over, not before"
    assert 12 <= tries <= 20
    assert 4 <= pauses[0] <= 6 and pauses[8] >= 0.8 * 10_800


@pytest.mark.parametrize(
    ("age_h", "retry_after_s", "pause_s"),
    [(0, None, 5), (0, 2, 5), (0, 600, 600), (23, 7_200, 3_600), (0, 10**7, 86_400)],
    ids=["not asked", "sooner", "later", "past the end", "for ever"],
)
def test_a_receiver_may_ask_for_time(age_h: int, retry_after_s: int | None, pause_s: int) -> None:
    asked = None if retry_after_s is None else timedelta(seconds=retry_after_s)
    now = NOW + age_h * HOUR
    assert next_attempt_at(NOW, 1, now, 0.5, asked) == now + timedelta(seconds=pause_s)


def test_its_time_is_over_after_a_day() -> None:
    assert next_attempt_at(NOW, 3, NOW + LASTS, 0.5, timedelta(seconds=5)) is None


def test_an_incident_is_a_status_and_its_beginning() -> None:
    assert FIRE.thread == OVER.thread
    assert FIRE.thread != replace(FIRE, began_at=NOW + HOUR).thread
    assert FIRE.thread != replace(FIRE, stream="status/c/h").thread
