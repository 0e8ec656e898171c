"""Secrets we hand out once: made of 32 random bytes, kept only as SHA-256.

A fast hash is enough: 256 random bits cannot be guessed, which is what slow hashes make up for in passwords.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable

Entropy = Callable[[int], bytes]


def make(entropy: Entropy = secrets.token_bytes) -> str:
    """43 characters of URL-safe base64."""
    return urlsafe_b64encode(entropy(32)).rstrip(b"=").decode("ascii")


def digest(token: str) -> bytes:
    """The 32 bytes that are stored; text that no one of ours made has a digest too, and matches nothing."""
    return hashlib.sha256(token.encode("utf-8", "backslashreplace")).digest()


def matches(token: str, stored: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(digest(token), stored)
