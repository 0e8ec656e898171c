"""What the API has answered to everybody since it was started, from its own figures."""

import re
from dataclasses import dataclass

import httpx

_ANSWERED = re.compile(r"^metrist_requests_total\{.*?status=\"(\d{3})\".*?\} (\S+)$", re.MULTILINE)
FAILED = "500"
"""Code that did not expect what happened. A 503 or a 507 is an honest answer, of an old release as of a new one."""
ERRORS = 5
SHARE = 0.02
GROWN = 3.0


@dataclass(frozen=True)
class Served:
    """Requests that one API process has answered, and how many of them with an error that it did not expect."""

    answered: float = 0.0
    failed: float = 0.0

    @property
    def share(self) -> float:
        return self.failed / self.answered if self.answered else 0.0


def read(client: httpx.Client, token: str) -> Served:
    """Ask for the figures; nothing was served, as far as we know, when they are not told."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        text = client.get("/metrics", headers=headers).text
    except httpx.HTTPError:
        return Served()
    counts = [(status, float(count)) for status, count in _ANSWERED.findall(text)]
    return Served(sum(count for _, count in counts), sum(count for status, count in counts if status == FAILED))


def judge(now: Served, before: Served) -> str:
    """Why what the new release serves is bad, compared with the old one; "" while it is not."""
    if now.failed < ERRORS or now.share <= max(SHARE, GROWN * before.share):
        return ""
    return f"{now.failed:.0f} of {now.answered:.0f} requests ended with an error of its own, {before.share:.1%} before"
