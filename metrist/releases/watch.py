"""A new release under everybody's eyes: is it ready, does it answer, do its processes stay?"""

import time
from collections import deque
from dataclasses import dataclass, field

import httpx

from metrist.releases import served
from metrist.releases.errors import ReleaseBad
from metrist.releases.hosts import RESTARTS, Host
from metrist.releases.served import Served

ASK_EVERY_S = 0.5
UNREADY_S = 5.0
"""So long not to be ready is no passing thing."""
LAST = 20
FAILED_SHARE = 0.25
PAGES = ("/readyz", "/healthz", "/sign-in", "/api/v1/openapi.json")


@dataclass
class Verdict:
    """What has been seen so far, and when it is too much; times by the monotonic clock."""

    well_at: float
    restarts_before: int
    is_ready: bool = True
    _answers: deque[bool] = field(default_factory=lambda: deque(maxlen=LAST))

    def note(self, now: float, *, is_ready: bool, answered: bool, restarts: int) -> str:
        """What one look has shown; returns why the release is bad, "" while it is not."""
        self._answers.append(answered)
        self.is_ready = is_ready
        if is_ready:
            self.well_at = now
        if now - self.well_at > UNREADY_S:
            return f"it was not ready for {now - self.well_at:.0f} s"
        if restarts - self.restarts_before >= RESTARTS:
            return f"its processes had to be started again {restarts - self.restarts_before} times"
        failed = self._answers.count(False)
        if len(self._answers) == LAST and failed > FAILED_SHARE * LAST:
            return f"{failed} of its last {LAST} answers were errors"
        return ""


def watch(host: Host, seconds: float, token: str, before: Served) -> None:
    """Look for so long, and on until it is ready or is seen not to be. Raises ReleaseBad with what was seen.

    token   opens /metrics
    before  what the old release had served
    """
    began = time.monotonic()
    verdict = Verdict(began, host.restarts())
    with httpx.Client(base_url=host.address, timeout=3, trust_env=False) as client:
        while (now := time.monotonic()) - began < seconds or not verdict.is_ready:
            answers = [_status(client, page) for page in PAGES]
            is_ready, answered = answers[0] == 200, all(0 < status < 500 for status in answers[1:])
            reason = verdict.note(now, is_ready=is_ready, answered=answered, restarts=host.restarts())
            if reason := reason or served.judge(served.read(client, token), before):
                raise ReleaseBad(reason)
            time.sleep(ASK_EVERY_S)


def served_by(host: Host, token: str) -> Served:
    """What the API that runs now has served."""
    with httpx.Client(base_url=host.address, timeout=5, trust_env=False) as client:
        return served.read(client, token)


def is_well(host: Host) -> bool:
    """Whether everything is ready now: an upgrade of what is not would be blamed for it."""
    with httpx.Client(base_url=host.address, timeout=5, trust_env=False) as client:
        return _status(client, PAGES[0]) == 200


def _status(client: httpx.Client, page: str) -> int:
    """0 for no answer."""
    try:
        return client.get(page).status_code
    except httpx.HTTPError:
        return 0
