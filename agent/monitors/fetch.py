"""Brings the set of monitors that a ping's answer told of, and nothing that is not genuine."""

import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import urlencode

import msgspec

from agent.client import Client, Reply, Unreachable
from agent.config import AgentConfig
from agent.monitors.allowed import checked_public_key
from agent.monitors.bundle import Bundle, Trust, Untrusted, names
from agent.monitors.kept import Kept
from agent.retry import Retry

log = logging.getLogger(__name__)

PATH, KEY_PATH = "/api/v1/monitors", "/api/v1/monitors/key"
SOON_S = 5.0
NO_SET = "?"
"""Stands for any other set than the one we have."""
ASK_AGAIN_S = 300.0
"""After a set that cannot be trusted; another one is asked for at once."""


class _Key(msgspec.Struct):
    public_key: str
    key_id: str = ""


class _NotNow(Exception):
    """The server did not give what was asked; the message is the seconds until the next try."""

    def __init__(self, pause_s: float) -> None:
        super().__init__(pause_s)
        self.pause_s = pause_s


class Fetcher:
    """One thread's work is `run`; the rest may be called by others."""

    def __init__(
        self,
        config: AgentConfig,
        instance: str,
        client: Client,
        kept: Kept,
        retry: Retry,
        take: Callable[[Bundle], None],
    ) -> None:
        """take: what is done with each new set, when it is kept."""
        self._path = f"{PATH}?{urlencode({'node': config.node, 'instance': instance})}"
        self._timeout_s = config.timeout_s
        self._client = client
        self._kept = kept
        self._retry = retry
        self._take = take
        self._changed = threading.Condition()
        self._wanted: str | None = None
        self._tried = 0
        self._distrusted: tuple[str, float] = ("", 0.0)
        self._is_stopping = False
        self.problem = ""
        """Why the set that the server wants is not run, for its pages."""

    def want(self, set_hash: str) -> bool:
        """Fetch, and wait a moment for it; whether another set runs now than before."""
        before = self._hash()
        with self._changed:
            if set_hash == before or self._is_distrusted(set_hash):
                return False
            tried = self._tried
            self._wanted = set_hash
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._tried > tried or self._is_stopping, SOON_S)
        return self._hash() != before

    def trusted(self) -> Trust:
        """The key that everything must be signed with; raises Untrusted while none is known."""
        if self._kept.trust is None:
            self.want(NO_SET)  # brings the key, too
        if self._kept.trust is None:
            raise Untrusted("this agent could not learn the server's key for monitors yet")
        return self._kept.trust

    def stop(self) -> None:
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        self._client.abort()

    def run(self) -> None:
        while (wanted := self._next()) is not None:
            pause_s = self._guarded_fetch(wanted)
            with self._changed:
                self._tried += 1
                if not pause_s and self._wanted == wanted:
                    self._wanted = None
                self._changed.notify_all()
                if pause_s:
                    self._changed.wait_for(lambda: self._is_stopping, pause_s)
        self._client.close()

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted is not None or self._is_stopping)
            return None if self._is_stopping else self._wanted

    def _guarded_fetch(self, wanted: str) -> float:
        """The seconds until another try; 0 for none."""
        try:
            self._fetch()
        except _NotNow as error:
            return error.pause_s
        except Untrusted as error:
            self._distrust(wanted, str(error))
        except Exception as error:  # the edge of this thread: the next set may be better
            self._distrust(wanted, f"the set of monitors cannot be taken: {error!r}")
        return 0

    def _fetch(self) -> None:
        if self._kept.trust is None:
            self._fetch_key()
        reply = self._get(self._path)
        bundle = self._kept.take(reply.body)
        self.problem = ""
        log.info("monitors: %s", names(bundle.monitors))
        self._take(bundle)

    def _fetch_key(self) -> None:
        reply = self._get(KEY_PATH)
        key = reply.decoded(_Key)
        if key is None or not key.public_key:
            raise Untrusted("the server told no key for monitors")
        try:
            self._kept.pin(Trust(checked_public_key(key.public_key), key.key_id))
        except (ValueError, OSError) as error:
            raise Untrusted(f"the server's key for monitors cannot be kept: {error}") from error
        log.info("monitors must be signed with the key %s from now on", key.key_id)

    def _get(self, path: str) -> Reply:
        try:
            reply = self._client.get(path, {}, self._timeout_s)
        except Unreachable as error:
            raise _NotNow(self._retry.unreachable(error)) from error
        if reply.status != 200:
            raise _NotNow(self._retry.refused(reply, time.time()))
        self._retry.succeeded()
        return reply

    def _hash(self) -> str:
        return self._kept.bundle.hash if self._kept.bundle else ""

    def _is_distrusted(self, set_hash: str) -> bool:
        known, since_s = self._distrusted
        return known == set_hash and time.monotonic() - since_s < ASK_AGAIN_S

    def _distrust(self, wanted: str, problem: str) -> None:
        self._distrusted = (wanted, time.monotonic())
        if problem != self.problem:
            remedy = f"; if the server was set up anew, stop the agent and remove {self._kept.trust_path}"
            log.warning("%s%s", problem, remedy if "key" in problem else "")
        self.problem = problem
