"""Commands are carried out once, whatever becomes of them."""

from collections.abc import Mapping
from typing import Any

import pytest

from agent import commands
from agent.commands import Command, Commander, Finished


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """The payloads of a command `count`, which fails for a payload without `n`."""
    calls: list[Mapping[str, Any]] = []

    def count(payload: Mapping[str, Any]) -> str:
        calls.append(payload)
        return f"counted {payload['n']}"

    monkeypatch.setitem(commands.COMMANDS, "count", count)
    return calls


def test_a_repeated_command_only_gets_its_report_again(calls: list[Mapping[str, Any]]) -> None:
    commander = Commander()
    order = Command("c1", "count", {"n": 1})
    assert commander.carry_out(order) == commander.carry_out(order) == Finished("c1", "done", "counted 1")
    assert len(calls) == 1


def test_what_fails_is_reported(calls: list[Mapping[str, Any]]) -> None:
    assert Commander().carry_out(Command("c1", "count")) == Finished("c1", "failed", "KeyError('n')")
    assert Commander().carry_out(Command("c2", "dance")) == Finished(
        "c2", "failed", "this agent does not know the command dance"
    )


def test_only_recent_commands_are_remembered(calls: list[Mapping[str, Any]]) -> None:
    commander = Commander()
    for number in range(commands.REMEMBERED + 1):
        commander.carry_out(Command(f"c{number}", "count", {"n": number}))
    commander.carry_out(Command("c0", "count", {"n": 0}))
    commander.carry_out(Command(f"c{commands.REMEMBERED}", "count", {"n": 0}))
    assert len(calls) == commands.REMEMBERED + 2
