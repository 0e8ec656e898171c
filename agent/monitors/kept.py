"""The last good set of monitors and the key it is signed with, on disk: they outlive restarts and server outages."""

import logging
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.monitors.bundle import Bundle, Trust, Untrusted, opened

log = logging.getLogger(__name__)


class Kept:
    """A folder of the agent's state."""

    def __init__(self, folder: Path, node: str, public_key: str = "") -> None:
        """public_key: the one that this machine's owner has given; else the first one that the server told counts."""
        self._folder = folder
        self._node = node
        self.trust = Trust(public_key) if public_key else self._read_trust()
        self.bundle: Bundle | None = None
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
        if self.trust is not None:
            self.bundle = self._read_bundle(self.trust)

    @property
    def trust_path(self) -> Path:
        return self._folder / "trust.json"

    @property
    def _bundle_path(self) -> Path:
        return self._folder / "set.json"

    @property
    def newest_at(self) -> float:
        return self.bundle.issued_at if self.bundle else 0.0

    def pin(self, trust: Trust) -> None:
        """Trust this key from now on; raises OSError when that cannot be kept, as it would be asked for again."""
        _write(self.trust_path, msgspec.json.encode(trust))
        self.trust = trust

    def take(self, data: bytes) -> Bundle:
        """Check a set and keep it; raises Untrusted. A disk that is full only costs its survival."""
        if self.trust is None:
            raise Untrusted("there is no key yet to check the set of monitors with")
        bundle = self.bundle = opened(data, self.trust, self._node, self.newest_at)
        try:
            if not self.trust.account:
                self.pin(msgspec.structs.replace(self.trust, account=bundle.account, key_id=bundle.key_id))
            _write(self._bundle_path, data)
        except OSError as error:
            log.warning("the set of monitors cannot be kept in %s: %s", self._folder, error.strerror)
        return bundle

    def _read_trust(self) -> Trust | None:
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(self.trust_path.read_bytes(), type=Trust)
        return None

    def _read_bundle(self, trust: Trust) -> Bundle | None:
        try:
            return opened(self._bundle_path.read_bytes(), trust, self._node)
        except FileNotFoundError:
            return None
        except (OSError, Untrusted) as error:  # the next ping tells the server that we have none
            log.warning("the kept set of monitors cannot be used: %s", error)
            return None


def _write(path: Path, data: bytes) -> None:
    """Make or replace a file so that after a power loss it is the old or the new one, whole."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
