"""One directory, held by one process, readable by its owner only."""

import json
import os
import socket
from pathlib import Path

import pytest

from domain.errors import StartRefused
from metrist import datadir, embedded
from metrist.datadir import DataDir, hold


def test_it_is_made_private_and_held_by_one(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "data") as data:
        assert data.root.stat().st_mode & 0o777 == 0o700
        with (
            pytest.raises(StartRefused, match=rf"\(process {os.getpid()}\) is running on {data.root}"),
            hold(data.root),
        ):
            pass
    with hold(data.root):
        pass


def test_one_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartRefused, match=r"cannot use .*/file/data as data directory: Not a directory"):
        hold(tmp_path / "file" / "data").__enter__()


@pytest.mark.parametrize("name", ["50%", "a?b", "a#b"])
def test_one_that_a_store_could_not_open_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartRefused, match="a data directory may have none of # % & "):
        hold(tmp_path / name).__enter__()


def test_passwords_are_drawn_once(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    first = datadir.passwords(data)
    assert datadir.passwords(data) == first
    assert set(first) == {"clickhouse", "redis"}
    assert len(set(first.values())) == 2
    assert (tmp_path / "passwords.json").stat().st_mode & 0o777 == 0o600


def test_commands_find_the_redis_of_a_data_directory(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    assert embedded.redis_url(data) is None
    password, port = datadir.passwords(data)["redis"], datadir.ports(data)["redis"]
    assert embedded.redis_url(data) == f"redis://:{password}@127.0.0.1:{port}/0"


def test_ports_stay_unless_they_are_taken(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    first = datadir.ports(data)
    assert datadir.ports(data) == first
    with socket.create_server(("127.0.0.1", first["redis"])):
        then = datadir.ports(data)
    assert then["clickhouse"] == first["clickhouse"]
    assert then["redis"] not in first.values()
    assert json.loads((tmp_path / "ports.json").read_text()) == then


def test_what_was_restored_in_part_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "restoring").touch()
    with pytest.raises(StartRefused, match="cut off"), hold(tmp_path):
        pass
    with hold(tmp_path, restores=True) as data:
        assert data.restoring.exists()
