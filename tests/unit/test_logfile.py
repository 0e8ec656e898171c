"""What children say is kept, in bounds."""

from pathlib import Path

from metrist.logfile import LogFile


def test_lines_are_appended_over_restarts(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        log = LogFile(tmp_path / "logs" / "a.log")
        log.write(line)
        log.close()
    assert (tmp_path / "logs" / "a.log").read_bytes() == b"one\ntwo\n"


def test_it_never_grows_past_two_files(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a.log", max_bytes=100)
    for number in range(1000):
        log.write(f"{number}\n".encode())
    log.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 210
    assert b"999\n" in (tmp_path / "a.log").read_bytes() + (tmp_path / "a.log.1").read_bytes()
    assert len(list(tmp_path.iterdir())) <= 2


def test_a_disk_that_refuses_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    LogFile(tmp_path / "logs" / "a.log").write(b"lost\n")
