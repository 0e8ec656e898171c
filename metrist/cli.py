"""The `metrist` command line.

Each subcommand is a module of `metrist.commands`, imported when it is called: a process holds only its own libraries
in memory.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from domain.errors import MetristError

FAILED = 1

Commands = argparse._SubParsersAction


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code, and says in one line why it is not 0."""
    try:
        given = _with_env_file(list(sys.argv[1:] if arguments is None else arguments))
        if given[:1] == ["agent"]:  # it knows nothing of us, and has options of its own
            return int(importlib.import_module("agent.__main__").main(given[1:]))
        options = parser().parse_args(given)
        importlib.import_module(f"metrist.commands.{options.module}").run(options)
    except MetristError as error:
        print(f"metrist: {error.detail}", file=sys.stderr)
        return int(error.extra.get("exit_code", FAILED))
    except KeyboardInterrupt:
        return 130
    return 0


def _with_env_file(given: list[str]) -> list[str]:
    """Read the settings' file that is named before the command. Raises InvalidSettings."""
    if given[:1] != ["--env-file"] or len(given) < 2:
        return given
    importlib.import_module("metrist.envfile").load(Path(given[1]))
    if given[2:3] == ["agent"]:  # begun anew, it need not hold what the check has loaded: half of its memory
        os.execv(sys.executable, [sys.executable, "-P", "-m", "metrist", *given[2:]])  # noqa: S606
    return given[2:]


def parser() -> argparse.ArgumentParser:
    """Every subcommand, in the order of the documentation."""
    top = argparse.ArgumentParser(prog="metrist", description="Metrics platform: agents, ClickHouse, graphs.")
    top.add_argument("--version", action="version", version=f"metrist {version('metrist')}")
    says = "read settings from this file first, which only its owner may read; must stand before the command"
    top.add_argument("--env-file", type=Path, metavar="FILE", help=says)
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_processes(commands)
    _add_operator(commands)
    return top


def _add_processes(commands: "Commands[argparse.ArgumentParser]") -> None:
    up = _add(commands, "up", "start and watch everything on this machine")
    up.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="where all data is kept (data)")
    up.add_argument("--host", help="address to listen on (METRIST_HOST, else 127.0.0.1)")
    up.add_argument("--port", type=int, help="port to listen on, 0 for a free one (METRIST_PORT, else 8600)")
    up.add_argument("--agent", action="store_true", help="run an agent for this machine, too")
    engine = _add(
        commands, "engine", "run the embedded ClickHouse; user and password are those of METRIST_CLICKHOUSE_URL"
    )
    engine.add_argument("--dir", type=Path, default=Path("clickhouse"), help="where its tables are kept (clickhouse)")
    engine.add_argument("--host", help="address to listen on (that of the URL)")
    engine.add_argument("--port", type=int, help="port to listen on (that of the URL)")
    valkey = _add(commands, "valkey", "run the embedded Redis; port and password are those of METRIST_REDIS_URL")
    valkey.add_argument("--dir", type=Path, default=Path("valkey"), help="where its data is kept (valkey)")
    _add(commands, "api", "run the API and the pages")
    _add(commands, "worker", "run the jobs")
    _add(commands, "scheduler", "wake what is due; a second one stands by")
    says = "report this machine's metrics; see `metrist agent --help`"
    commands.add_parser("agent", help=says, description=says, add_help=False)


def _add_operator(commands: "Commands[argparse.ArgumentParser]") -> None:
    migrate = _add(commands, "migrate", "bring the tables of the stores up to date")
    migrate.add_argument("--check", action="store_true", help="change nothing; fail when they are not up to date")
    says = "run what ClickHouse has had, too: on a cluster, a server that joined later gets its tables"
    migrate.add_argument("--again", action="store_true", help=says)
    doctor = _add_control(commands, "doctor", "look at everything that is often wrong, and say what to do")
    doctor.add_argument("--json", action="store_true", help="for programs")
    _add_backup(commands)
    _add_control(commands, "rebuild", "fold the state tables of the control DB from its events again")
    _add_accounts(_group(commands, "account", "create, list, export and erase accounts"))
    _add_keys(_group(commands, "key", "create, list and revoke API keys"))
    _add_releases(commands)
    _add_monitors(_group(commands, "monitors", "keep monitors as files: NAME.lua, and NAME.toml beside it"))
    user = _group(commands, "user", "list people and let them in")
    sign_in = _add_control(user, "sign-in", "print a one-time sign-in link", module="user_sign_in")
    sign_in.add_argument("email", help="or the id that `metrist user list` tells, for who has no address")
    _add_control(user, "list", "list people, how they sign in and where they belong", module="user_list")


def _add_backup(commands: "Commands[argparse.ArgumentParser]") -> None:
    backup = _add_control(commands, "backup", "back everything up as of one moment, while it runs")
    backup.add_argument("dest", type=Path, metavar="DEST", help="folder of backups; what is there already is kept once")
    backup.add_argument("--keep", type=int, metavar="N", help="forget all but the newest N moments afterwards")
    backup.add_argument(
        "--portable", action="store_true", help="rows of ClickHouse, not its files: larger, for any ClickHouse"
    )
    backup.add_argument("--list", action="store_true", help="only list the moments that are there")
    backup.add_argument("--verify", action="store_true", help="only read every byte again, and say what is damaged")
    backup.add_argument("--at", metavar="MOMENT", help="with --verify: this moment (all)")
    restore = _add(commands, "restore", "make an empty machine what another was at a moment")
    restore.add_argument("src", type=Path, metavar="SRC", help="folder of backups")
    restore.add_argument("--at", metavar="MOMENT", help="which moment, or how its name begins (the newest)")
    where = "empty folder for a `metrist up` (data, unless the environment names ClickHouse and the control DB)"
    restore.add_argument("--data", type=Path, metavar="DIR", help=where)


def _add_accounts(commands: "Commands[argparse.ArgumentParser]") -> None:
    create = _add_control(commands, "create", "create an account and its first API key", module="account_create")
    create.add_argument("name")
    create.add_argument("--owner", metavar="EMAIL", help="the person it belongs to")
    _add_control(commands, "list", "list accounts and their API keys", module="account_list")
    export = _add_control(
        commands, "export", "write all that is kept of an account, nothing secret", module="account_export"
    )
    export.add_argument("name", help="name or id of the account")
    export.add_argument("dest", type=Path, metavar="DEST", help="new folder: NDJSON and Parquet")
    erase = _add_control(commands, "erase", "erase an account with all its data, for good", module="account_erase")
    erase.add_argument("name", help="name or id of the account")
    erase.add_argument("--confirm", metavar="NAME", help="its name once more; without it nothing is done")


def _add_keys(commands: "Commands[argparse.ArgumentParser]") -> None:
    create = _add_control(commands, "create", "create an API key; it is printed this once", module="key_create")
    create.add_argument("--account", metavar="NAME", help="name or id of the account (the only one there is)")
    create.add_argument("--name", default="key", help="what it is for (key)")
    create.add_argument(
        "--scope", action="append", choices=("ingest", "read", "manage"), help="may be repeated (ingest and read)"
    )
    listing = _add_control(commands, "list", "list the API keys of an account", module="key_list")
    listing.add_argument("--account", metavar="NAME", help="name or id of the account (the only one there is)")
    revoke = _add_control(commands, "revoke", "revoke an API key at once", module="key_revoke")
    revoke.add_argument("id", help="the 16 hex digits after mtr_")


def _add_releases(commands: "Commands[argparse.ArgumentParser]") -> None:
    upgrade = _add(commands, "upgrade", "look for a new release, bring it, or go back")
    what = upgrade.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only tell what there is; so it does without any of these")
    what.add_argument("--apply", action="store_true", help="bring it; it is taken back by itself when it does not do")
    what.add_argument("--rollback", action="store_true", help="back to the release before; this one is not taken again")
    what.add_argument("--watch", action="store_true", help="look every minute, and bring what there is")
    upgrade.add_argument("--release", metavar="VERSION", help="this one, also when it was bad before (the newest)")
    where = "data directory of a `metrist up` (data, if it is there; else the units of systemd are meant)"
    upgrade.add_argument("--data", type=Path, metavar="DIR", help=where)
    release = _add(commands, "release", "make a release that upgrade finds, in a folder with an index")
    release.add_argument("dir", type=Path, help="folder of releases; what is in its index stays")
    release.add_argument("--wheel", type=Path, required=True, metavar="FILE", help="the wheel of Metrist")
    release.add_argument("--key-file", type=Path, required=True, metavar="FILE", help="secret key to sign with, in PEM")
    says = "the agent's wheel (made here, when the wheel is of the version that runs this)"
    release.add_argument("--agent-wheel", type=Path, metavar="FILE", help=says)
    release.add_argument(
        "--constraints", type=Path, metavar="FILE", help="versions of libraries that it was tested with"
    )
    says = "who is older goes by a release between (the release before, in the index)"
    release.add_argument("--oldest", metavar="VERSION", help=says)
    release.add_argument("--notes", default="", metavar="TEXT", help="what `upgrade --check` tells of it")
    release.add_argument("--url", default="", metavar="URL", help="where the files will be, when not beside the index")
    key = _add(commands, "release-key", "make a key to sign releases with; prints the public one", module="release_key")
    key.add_argument("file", type=Path, help="where the secret key goes; only its owner may read it")


def _add_monitors(commands: "Commands[argparse.ArgumentParser]") -> None:
    plan = _add(commands, "plan", "show what apply would change", module="monitors_plan")
    apply = _add(commands, "apply", "write what differs from the files, and push it", module="monitors_apply")
    for command in (plan, apply):
        command.add_argument("dir", type=Path, help="folder of the files")
        command.add_argument("--server", metavar="URL", help="address of the server (METRIST_SERVER)")
        command.add_argument("--prune", action="store_true", help="remove monitors that have no file")
    apply.add_argument("--note", default="", help="what the new versions change")
    apply.add_argument("--no-push", action="store_true", help="write the versions, and push none")


def _group(commands: "Commands[argparse.ArgumentParser]", name: str, says: str) -> "Commands[argparse.ArgumentParser]":
    group = commands.add_parser(name, help=says, description=says)
    return group.add_subparsers(title="commands", required=True, metavar="COMMAND")


def _add(
    commands: "Commands[argparse.ArgumentParser]", name: str, says: str, module: str = ""
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=says, description=says)
    command.set_defaults(module=module or name)
    return command


def _add_control(
    commands: "Commands[argparse.ArgumentParser]", name: str, says: str, module: str = ""
) -> argparse.ArgumentParser:
    """A command on the control DB, which a `metrist up` keeps in its data directory."""
    command = _add(commands, name, says, module)
    where = "data directory of a `metrist up` (data, if it is there and METRIST_DATABASE_URL is not set)"
    command.add_argument("--data", type=Path, metavar="DIR", help=where)
    return command
