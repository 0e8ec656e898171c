"""The agent's command line."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent import config, loop
from agent.config import AgentConfig
from agent.monitors.allowed import allowed, checked_public_key


def main(argv: Sequence[str] | None = None, program: str = "metrist agent") -> int:
    """Run the agent with these arguments (without the program's name) until it is stopped; the exit code."""
    settings = configured(sys.argv[1:] if argv is None else argv, os.environ, program)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    logging.getLogger().handlers[0].setFormatter(OneLine("%(asctime)s %(levelname)s %(message)s"))
    return loop.run(settings)


def alone() -> int:
    """The command `metrist-agent`, where the agent is installed without the platform."""
    return main(program="metrist-agent")


class OneLine(logging.Formatter):
    """A record on one line, whatever a server or a device put into it."""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(super().format(record).split())


def configured(argv: Sequence[str], environ: Mapping[str, str], program: str = "metrist agent") -> AgentConfig:
    """The configuration from arguments and environment, the arguments first; exits with one line on a bad one."""
    parser = _parser(program)
    given = parser.parse_args(argv)
    try:
        return _config(given, environ)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description="Watch this machine and report to a Metrist server.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--server", metavar="URL", help="address of the server, like https://HOST [METRIST_SERVER]")
    add("--key", help="API key; `ps` shows it to every user here, so better use METRIST_KEY or a file [METRIST_KEY]")
    add("--key-file", metavar="FILE", help="file with the API key [METRIST_KEY_FILE]")
    add("--node", metavar="NAME", help="name of this machine (default: its host name) [METRIST_NODE]")
    add("--interval", metavar="S", help="seconds between snapshots (default: 10) [METRIST_AGENT_INTERVAL]")
    add("--label", metavar="K=V", action="append", help="label of this node, repeatable [METRIST_AGENT_LABELS]")
    add("--state-dir", metavar="DIR", help="folder of the buffer (default: by server and node) [METRIST_AGENT_STATE]")
    add("--buffer-mb", metavar="N", help="bound of the buffer, megabytes (default: 64) [METRIST_AGENT_BUFFER_MB]")
    add(
        "--goodbye-s",
        metavar="S",
        help="a clean stop announces to be back within S seconds, so that a restart is no silence; "
        "0 says that this node has stopped (default: 60) [METRIST_AGENT_GOODBYE_S]",
    )
    add(
        "--ephemeral",
        action="store_true",
        help="this node comes and goes: it is never late, and a stop or some silence takes it off the list "
        "[METRIST_EPHEMERAL=1]",
    )
    add(
        "--allow-monitors",
        metavar="WHAT",
        nargs="?",
        const="",
        help="run the monitors that the server hands out, and let them reach WHAT beside the agent's own figures: "
        "http, tcp (each may be limited, like tcp=HOST:PORT), file=FOLDER, exec=FOLDER, several with commas between "
        "(default: run none) [METRIST_AGENT_ALLOW_MONITORS]",
    )
    add(
        "--monitor-key",
        metavar="KEY",
        help="public key that monitors must be signed with (default: the first one that the server tells) "
        "[METRIST_AGENT_MONITOR_KEY]",
    )
    return parser


def _config(given: argparse.Namespace, environ: Mapping[str, str]) -> AgentConfig:
    """Check everything; raises ValueError or OSError."""
    address = given.server or environ.get("METRIST_SERVER")
    if not address:
        raise ValueError("which server? Give --server URL or set METRIST_SERVER")
    server = config.checked_server(address)
    node = config.checked_node(given.node or environ.get("METRIST_NODE") or config.default_node())
    state_dir = given.state_dir or environ.get("METRIST_AGENT_STATE")
    labels = given.label or filter(None, environ.get("METRIST_AGENT_LABELS", "").split(","))
    buffer_mb = config.checked_number(
        "buffer", given.buffer_mb or environ.get("METRIST_AGENT_BUFFER_MB") or "64", least=1, most=100_000
    )
    return AgentConfig(
        server=server,
        key=_key(given, environ),
        node=node,
        state_dir=Path(state_dir).expanduser() if state_dir else config.default_state_dir(server, node),
        interval_s=config.checked_number(
            "interval", given.interval or environ.get("METRIST_AGENT_INTERVAL") or "10", least=0.2, most=3600
        ),
        labels=dict(config.checked_label(label) for label in labels),
        buffer_bytes=int(buffer_mb * 1_000_000),
        goodbye_s=config.checked_number(
            "goodbye", given.goodbye_s or environ.get("METRIST_AGENT_GOODBYE_S") or "60", least=0, most=3600
        ),
        is_ephemeral=given.ephemeral
        or config.checked_switch("METRIST_EPHEMERAL", environ.get("METRIST_EPHEMERAL", "")),
        monitors=allowed(
            environ.get("METRIST_AGENT_ALLOW_MONITORS") if given.allow_monitors is None else given.allow_monitors
        ),
        monitor_key=checked_public_key(given.monitor_key or environ.get("METRIST_AGENT_MONITOR_KEY") or ""),
    )


def _key(given: argparse.Namespace, environ: Mapping[str, str]) -> str:
    if given.key:
        return config.checked_key(given.key)
    if given.key_file:
        return config.checked_key(Path(given.key_file).read_text(encoding="utf-8"))
    if environ.get("METRIST_KEY"):
        return config.checked_key(environ["METRIST_KEY"])
    if environ.get("METRIST_KEY_FILE"):
        return config.checked_key(Path(environ["METRIST_KEY_FILE"]).read_text(encoding="utf-8"))
    raise ValueError("which API key? Set METRIST_KEY or give --key-file FILE")


if __name__ == "__main__":
    sys.exit(main(program="python -m agent"))
