"""Ed25519 keys: the secret one signs releases, the public ones are a setting of every host."""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from metrist.releases.errors import ReleaseUntrusted, UpgradeRefused
from metrist.releases.release import signed_bytes


def make_key(path: Path) -> str:
    """Write a new secret key (PEM, readable by its owner only); returns the public one. Raises UpgradeRefused."""
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UpgradeRefused(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_text(key)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a secret key, as `make_key` or `openssl genpkey -algorithm ed25519` writes it. Raises UpgradeRefused."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UpgradeRefused(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UpgradeRefused(f"{path} is no secret key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UpgradeRefused(f"{path} is a key of another kind than Ed25519")
    return key


def public_text(key: Ed25519PrivateKey) -> str:
    """The public key as METRIST_RELEASE_KEYS takes it: base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def trusted(text: str) -> list[Ed25519PublicKey]:
    """The keys of METRIST_RELEASE_KEYS, with spaces between. Raises UpgradeRefused when there is none, or a bad one."""
    if not text.split():
        raise UpgradeRefused("whose releases are trusted? Set METRIST_RELEASE_KEYS to their public key")
    try:
        return [Ed25519PublicKey.from_public_bytes(base64.b64decode(word, validate=True)) for word in text.split()]
    except (binascii.Error, ValueError):
        raise UpgradeRefused("METRIST_RELEASE_KEYS: each is a public key, base64 of 32 bytes") from None


def sign(entry: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The entry with its signature."""
    return {**entry, "signature": base64.b64encode(key.sign(signed_bytes(entry))).decode()}


def verify(entry: Mapping[str, Any], keys: Sequence[Ed25519PublicKey]) -> None:
    """Raise ReleaseUntrusted unless one of the keys has signed exactly this."""
    try:
        signature = base64.b64decode(str(entry.get("signature", "")), validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    for key in keys:
        try:
            key.verify(signature, signed_bytes(entry))
            return
        except InvalidSignature:
            continue
    raise ReleaseUntrusted("its signature is of none of METRIST_RELEASE_KEYS")
