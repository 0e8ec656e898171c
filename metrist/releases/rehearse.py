"""The new API on a port and with a spool of its own, beside the one that serves: does it come up, and answer?"""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from metrist.child import tethered
from metrist.datadir import LOOPBACK
from metrist.listener import listen
from metrist.releases.errors import ReleaseBad

READY_WITHIN_S = 60.0
STOPS_WITHIN_S = 10.0
PAGES = ("/healthz", "/sign-in", "/help", "/api/v1/openapi.json")
"""What anybody may ask for; none may answer with an error of ours."""


def rehearse(python: Path, env: Mapping[str, str]) -> None:
    """Raise ReleaseBad unless the API of this release starts on our stores, is ready, and answers."""
    with tempfile.TemporaryDirectory(prefix="metrist-") as folder, _running(python, env, Path(folder)) as address:
        _until_ready(address)
        for page in PAGES:
            status = httpx.get(address + page, timeout=10, trust_env=False).status_code
            if status >= 500:
                raise ReleaseBad(f"{page} answered {status}")


@contextlib.contextmanager
def _running(python: Path, env: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Its address; when it ends by itself, waiting for it finds nobody."""
    said = folder / "log"
    with listen(LOOPBACK, 0) as listener, said.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            tethered([str(python), "-P", "-m", "metrist", "api"], listener),
            env={**os.environ, **env, "METRIST_SPOOL_DIR": str(folder / "spool")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[listener.fileno()],
        )
        address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        listener.close()  # so that a process that has ended is told from one that is slow
        try:
            yield address
        except ReleaseBad as error:
            raise ReleaseBad(f"{error.detail}{_last_words(said)}") from None
        finally:
            _end(process)


def _until_ready(address: str) -> None:
    give_up_s, last = time.monotonic() + READY_WITHIN_S, "it did not answer"
    while time.monotonic() < give_up_s:
        try:
            answer = httpx.get(f"{address}/readyz", timeout=10, trust_env=False)
        except httpx.ConnectError:
            raise ReleaseBad("its API ends when it is started") from None
        except httpx.HTTPError as error:
            last = type(error).__name__
        else:
            if answer.status_code == 200:
                return
            last = f"/readyz answered {answer.status_code}"
        time.sleep(0.1)
    raise ReleaseBad(f"its API was not ready after {READY_WITHIN_S:.0f} s: {last}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_words(said: Path) -> str:
    lines = said.read_text(errors="replace").strip().splitlines()
    return f" ({lines[-1][:300]})" if lines else ""
