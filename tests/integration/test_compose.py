"""compose.yaml and what it mounts: valid, bolted down, and in step with the code; no Docker engine is asked."""

import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {"migrate", "certificates"}
"""They end when they are done."""
RUNNING = sorted(SERVICES.keys() - ONCE)
OURS = [name for name, service in SERVICES.items() if service.get("build")]
BESIDE_SETTINGS = {"METRIST_ALIVE_FILE", "METRIST_CLICKHOUSE_PASSWORD"}
"""What the notifier and ClickHouse's own files read."""


def _program(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def test_it_is_a_compose_file() -> None:
    command = [_program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_may_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "pid" not in service
    assert set(service.get("cap_add", [])) <= {"NET_BIND_SERVICE", "CHOWN"}
    if name not in (*OURS, "certificates"):
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), "not root"
    tag = service["image"].partition(":")[2]
    assert name in OURS or re.match(r"\d", tag), "an image without a version changes by itself"


@pytest.mark.parametrize("name", RUNNING)
def test_a_service_is_watched_and_bounded(name: str) -> None:
    service = SERVICES[name]
    check = service["healthcheck"]
    assert check["test"] and check["interval"] and check["timeout"]
    limits = service["deploy"]["resources"]["limits"]
    assert limits["memory"] and limits["pids"]
    assert service["logging"]["options"]["max-size"] and service["logging"]["options"]["max-file"]
    assert service["restart"] == "unless-stopped"


def test_only_the_proxy_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert COMPOSE["networks"]["back"]["internal"] is True
    stores = [name for name in SERVICES if name not in (*OURS, "proxy", "certificates")]
    assert {name: sorted(SERVICES[name]["networks"]) for name in stores} == {name: ["back"] for name in stores}
    assert SERVICES["proxy"]["networks"] == ["front"]


def test_every_variable_is_explained_and_every_secret_is_asked_for() -> None:
    text = (ROOT / "compose.yaml").read_text()
    used = dict(re.findall(r"\$\{([A-Z_]+)(:[?-])?", text))
    told = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used.keys() - told <= {"METRIST_IMAGE"}
    assert told - used.keys() == {"COMPOSE_PROFILES"}
    assert {name for name in used if name.endswith("PASSWORD")} == {name for name, how in used.items() if how == ":?"}


def test_every_setting_is_one() -> None:
    known = {f"METRIST_{name.upper()}" for name in Settings.model_fields} | BESIDE_SETTINGS
    for name, service in SERVICES.items():
        assert {each for each in service.get("environment", {}) if each.startswith("METRIST_")} <= known, name
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"\bMETRIST_[A-Z_]+", dockerfile)) <= known
    proxies = SERVICES["api"]["environment"]["METRIST_TRUSTED_PROXIES"]
    assert Settings(trusted_proxies=proxies).trusted_proxies == proxies


def test_what_is_mounted_is_there_and_what_is_kept_is_declared() -> None:
    used = set()
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source, _, rest = mount.partition(":")
            if source.startswith("."):
                assert (ROOT / source).is_file() and rest.endswith(":ro"), (name, mount)
            else:
                used.add(source)
    assert used == COMPOSE["volumes"].keys()
    assert "spool:/var/lib/metrist/spool" in SERVICES["api"]["volumes"]
    assert "METRIST_SPOOL_DIR=/var/lib/metrist/spool" in (ROOT / "Dockerfile").read_text()


def test_whoever_is_waited_for_is_there() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert how["condition"] == wanted, (name, other)
            if "profiles" in SERVICES[other] and "profiles" not in service:
                assert how["required"] is False, f"{name} waits for {other}, which need not be there"


@pytest.mark.parametrize(("age_s", "expected"), [(0, 0), (100, 0), (300, 1), (None, 1)])
def test_a_worker_is_healthy_while_its_loop_turns(tmp_path: Path, age_s: int | None, expected: int) -> None:
    kind, command = SERVICES["worker"]["healthcheck"]["test"]
    alive = tmp_path / "alive"
    if age_s is not None:
        alive.touch()
        os.utime(alive, (time.time() - age_s,) * 2)
    assert kind == "CMD-SHELL" and SERVICES["worker"]["environment"]["METRIST_ALIVE_FILE"] == "/tmp/alive"
    done = subprocess.run(["sh", "-c", command.replace("/tmp/alive", str(alive))], check=False, capture_output=True)
    assert done.returncode == expected


def test_the_cluster_is_two_shards_of_two_and_three_keepers() -> None:
    tree = ET.parse(ROOT / "deploy/clickhouse/cluster.xml").getroot()
    shards = [[host.text for host in shard.iter("host")] for shard in tree.findall("remote_servers/metrist/shard")]
    assert shards == [["shard-1-1", "shard-1-2"], ["shard-2-1", "shard-2-2"]]
    assert [one.text for one in tree.iter("internal_replication")] == ["true", "true"]
    for number, shard in enumerate(shards, 1):
        for place, host in enumerate(shard, 1):
            told = SERVICES[str(host)]["environment"]
            assert (told["SHARD"], told["REPLICA"]) == (str(number), str(place))
            assert SERVICES[str(host)]["networks"]["back"]["aliases"] == ["clickhouse"]
    keepers = [host.text for host in tree.findall("zookeeper/node/host")]
    keeper = ET.parse(ROOT / "deploy/clickhouse/keeper.xml").getroot()
    assert [host.text for host in keeper.iter("hostname")] == keepers == ["keeper-1", "keeper-2", "keeper-3"]
    assert [SERVICES[str(name)]["environment"]["KEEPER_ID"] for name in keepers] == ["1", "2", "3"]
    ports = {port.text for port in tree.findall("zookeeper/node/port")}
    assert ports == {keeper.findtext("keeper_server/tcp_port")}
    assert keeper.findtext("keeper_server/http_control/port") in str(SERVICES["keeper-1"]["healthcheck"]["test"])


@pytest.mark.parametrize("name", ["server", "users", "cluster", "keeper"])
def test_what_a_file_takes_from_the_environment_is_there(name: str) -> None:
    tree = ET.parse(ROOT / f"deploy/clickhouse/{name}.xml")
    wanted = {each.attrib["from_env"] for each in tree.iter() if "from_env" in each.attrib}
    mounting = [one for one in SERVICES.values() if any(f"/{name}.xml:" in each for each in one.get("volumes", []))]
    assert mounting
    for service in mounting:
        assert wanted <= service["environment"].keys()


def test_the_cluster_has_no_profile_in_common_with_the_single_server() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert {tuple(found) for found in profiles.values()} == {("single",), ("cluster",)}
    assert [name for name, found in profiles.items() if found == ["single"]] == ["clickhouse"]
    assert "COMPOSE_PROFILES=single" in (ROOT / ".env.example").read_text()
