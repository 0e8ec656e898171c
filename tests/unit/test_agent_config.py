"""What the agent is told on its command line and by its environment."""

from pathlib import Path

import pytest

from agent.__main__ import configured
from agent.config import default_node, default_state_dir
from agent.monitors.allowed import Allowed
from domain.snapshots import check_node

ENVIRON = {"METRIST_SERVER": "https://m.example/", "METRIST_KEY": "mtr_env", "METRIST_NODE": "web-1"}


def test_everything_from_the_environment(tmp_path: Path) -> None:
    config = configured(
        [],
        {
            **ENVIRON,
            "METRIST_AGENT_STATE": str(tmp_path),
            "METRIST_AGENT_INTERVAL": "2.5",
            "METRIST_AGENT_LABELS": "env=test,zone=a",
            "METRIST_AGENT_BUFFER_MB": "8",
            "METRIST_AGENT_GOODBYE_S": "0",
            "METRIST_EPHEMERAL": "1",
            "METRIST_AGENT_ALLOW_MONITORS": "http,file=/",
            "METRIST_AGENT_MONITOR_KEY": "A" * 43 + "=",
        },
    )
    assert (config.server, config.key, config.node) == ("https://m.example", "mtr_env", "web-1")
    assert (config.state_dir, config.interval_s, config.buffer_bytes) == (tmp_path, 2.5, 8_000_000)
    assert config.labels == {"env": "test", "zone": "a"}
    assert (config.goodbye_s, config.is_ephemeral) == (0, True)
    assert config.monitors == Allowed(frozenset({"http", "file"}), folders=(Path("/"),))
    assert config.monitor_key == "A" * 43 + "="
    assert "mtr_env" not in repr(config)


def test_monitors_are_run_only_where_somebody_says_so() -> None:
    assert configured([], ENVIRON).monitors is None
    assert configured(["--allow-monitors"], ENVIRON).monitors == Allowed()
    assert configured(["--allow-monitors", "tcp"], ENVIRON).monitors == Allowed(frozenset({"tcp"}))
    assert configured(["--allow-monitors", "no"], {**ENVIRON, "METRIST_AGENT_ALLOW_MONITORS": "http"}).monitors is None


def test_arguments_come_before_the_environment(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("mtr_file\n")
    given = ["--server", "http://[::1]:8600/metrist", "--key-file", str(key_file), "--node", "db-1", "--label", "a=b=c"]
    config = configured(given, {**ENVIRON, "METRIST_AGENT_LABELS": "env=test"})
    assert (config.server, config.key, config.node) == ("http://[::1]:8600/metrist", "mtr_file", "db-1")
    assert config.labels == {"a": "b=c"}
    assert configured(["--key", "mtr_arg"], ENVIRON).key == "mtr_arg"
    leaving = configured(["--goodbye-s", "600", "--ephemeral"], {**ENVIRON, "METRIST_EPHEMERAL": "0"})
    assert (leaving.goodbye_s, leaving.is_ephemeral) == (600, True)


@pytest.mark.parametrize(
    ("given", "missing", "line"),
    [
        ([], "METRIST_SERVER", "which server?"),
        ([], "METRIST_KEY", "which API key?"),
        (["--server", "m.example"], "", "'m.example' is no server address"),
        (["--server", "http://m.example:99999"], "", "is no server address"),
        (["--node=-web-"], "", "'-web-' is no node name"),
        (["--node", "x" * 129], "", "is no node name"),
        (["--interval", "0"], "", "'0' is no interval"),
        (["--interval", "nan"], "", "'nan' is no interval"),
        (["--goodbye-s", "3601"], "", "'3601' is no goodbye"),
        (["--label", "a"], "", "'a' is no label"),
        (["--allow-monitors", "all"], "", "'all' is nothing that monitors can be allowed"),
        (["--allow-monitors", "file=log"], "", "file needs the folder that is allowed"),
        (["--monitor-key", "x"], "", "that is no monitor key"),
        (["--label", "a b=c"], "", "is no label"),
        (["--key", "mtr_secret\u00e9"], "", "the API key is empty or has characters"),
        (["--key-file", "no/such/file"], "", "No such file"),
    ],
)
def test_a_bad_value_is_one_line(given: list[str], missing: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        configured(given, {name: value for name, value in ENVIRON.items() if name != missing})
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert line in last
    assert "secret" not in last


@pytest.mark.parametrize("host", ["web-1.example.com", "Bärbels Rechner", "-x-", "", "_", "y" * 300])
def test_any_host_name_becomes_a_node_name_the_server_takes(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    check_node(default_node())


def test_state_is_kept_by_server_and_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    places = {
        default_state_dir(server, node)
        for server in ("https://m.example", "http://m.example:8600", "https://m.example/b")
        for node in ("web-1", "web-2")
    }
    assert len(places) == 6
    assert default_state_dir("http://m:1", "a/b") == Path("/state/metrist/agent/m_1-a_b")
