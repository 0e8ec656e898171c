"""Seals what must be read back but never shown: AES-256-GCM with a server secret, bound to what it belongs to."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine

from domain.errors import StoreUnavailable
from domain.settings import Settings
from schema import server_secrets

NAME = "sealing"
"""Of the secret in the control DB."""
_NONCE_BYTES = 12


class Sealer:
    """Seals with the first key, opens with any: METRIST_SECRET_KEY may be set later, and what was sealed stays so."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # 6 MB, for who seals

        self._keys = [AESGCM(key) for key in keys]

    def seal(self, plain: bytes, about: str) -> bytes:
        """`about` is what it belongs to; it opens as nothing else's."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._keys[0].encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises StoreUnavailable when no key of ours sealed it, which is for the operator to mend."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415

        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for key in self._keys:
            try:
                return key.decrypt(nonce, rest, about.encode())
            except InvalidTag:
                continue
        raise StoreUnavailable("A channel's secret was sealed with another METRIST_SECRET_KEY")


def open_sealer(engine: Engine, settings: Settings, now: datetime) -> Sealer:
    """With the operator's secret where one is set, and with the one in the control DB, which lies beside the sealed."""
    keys = [server_secrets.get_or_create(engine, NAME, now)]
    given = settings.secret_key.get_secret_value()
    if given:
        keys.insert(0, hashlib.blake2b(given.encode(), digest_size=32, person=b"metrist.sealing").digest())
    return Sealer(keys)
