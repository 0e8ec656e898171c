"""The second wall: Python itself in a child that has given up its rights, as one would have it who got out of Lua."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.sandbox import process
from agent.sandbox.process import HERE, _lupa_folder

BEGIN = f"import sys; sys.path += {[str(HERE), str(_lupa_folder())]!r}; import child, ctypes, os, socket, subprocess\n"
BEGIN += "child._restrain({'cpu_s': 0.2, 'memory_bytes': 8_000_000})\n"


@pytest.mark.parametrize(
    ("attempt", "error"),
    [
        ("open('/etc/passwd')", "OSError"),
        ("socket.socket()", "OSError"),
        ("socket.create_connection(('127.0.0.1', 80))", "OSError"),
        ("os.dup(0)", "OSError"),
        ("os.listdir('/')", "OSError"),
        ("os.fork()", "BlockingIOError"),
        ("subprocess.run(['/bin/true'])", "OSError"),
        ("__import__('threading').Thread(target=print).start()", "Error"),
        ("bytearray(200_000_000)", "MemoryError"),
        ("__import__('resource').setrlimit(7, (100, 100))", "ValueError"),
        ("os.setuid(0)", "PermissionError"),
        ("os.kill(1, 9)", "PermissionError"),
    ],
)
def test_what_a_child_has_given_up(attempt: str, error: str) -> None:
    if os.geteuid() and ("setuid" in attempt or "kill" in attempt):
        pytest.skip("an agent that is not root has no such rights to give up")
    ended = _python(
        BEGIN
        + f"try:\n    {attempt}\nexcept BaseException as e:\n    print(type(e).__mro__)\nelse:\n    print('ESCAPED')"
    )
    assert error in ended.stdout, ended
    assert "ESCAPED" not in ended.stdout


def test_it_can_write_no_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(mode=0o666)
    opened = BEGIN.replace("child._restrain", f"file = open({str(path)!r}, 'wb', 0); child._restrain")
    ended = _python(opened + "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nfile.write(b'x')")
    assert "File too large" in ended.stderr
    assert path.read_bytes() == b""


def test_it_computes_no_longer_than_allowed() -> None:
    began_s = time.monotonic()
    assert _python(BEGIN + "while True: pass").returncode == -27  # SIGPROF
    assert _python(BEGIN + "import signal; signal.setitimer(signal.ITIMER_PROF, 0)\nwhile True: pass").returncode == -24
    assert time.monotonic() - began_s < 30


CHUNK = """
import os
links = [(each, os.readlink(f"/proc/self/fd/{each}")) for each in range(100) if os.path.exists(f"/proc/self/fd/{each}")]
os.write(0, repr((dict(os.environ), links)).encode())
"""


def test_it_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIST_KEY", "mtr_secret")
    monkeypatch.setattr(process, "CHUNK", CHUNK)
    with process._Child(time.monotonic() + 10) as child:
        child._socket.settimeout(10)
        said = child._socket.recv(65_536).decode()
    environ, descriptors = eval(said)
    assert "METRIST_KEY" not in environ and "secret" not in said
    others = [target for number, target in descriptors if number > 2]
    assert not any(target.startswith("socket:") or "/metrist" in target for target in others), descriptors


def _python(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", text], capture_output=True, text=True, check=False, timeout=60
    )
