"""What a node fetches: all monitors it is to run, under one hash, signed by the server.

A bundle as it travels; every key but `key_id` and `signature` is what is signed:

    {"account": "<uuid>", "node": "web-1", "hash": "<64 hex digits>", "issued_at": 1767225600,
     "monitors": [{"id": "<uuid>", "name": "disk", "version": 3, "script": "…", "interval_s": 60, "timeout_s": 10,
                   "labels": {}, "limits": {"memory_mb": 32, "cpu_ms": 1000, "samples": 100},
                   "capabilities": ["file"], "parameters": {"most": 90},
                   "declared": {"most": {"kind": "number", "default": 90, "least": 0}}}],
     "key_id": "<16 hex digits>", "signature": "<base64 of 64 bytes>"}

`parameters` are complete, with the defaults of those that nobody has set; who declares none has no `declared`.
The canonical bytes are JSON with sorted keys, no spaces, and UTF-8 as it is. `hash` is the SHA-256 of those of
`monitors`, and "" for none; `signature` is Ed25519 over those of the five keys. `issued_at` is Unix seconds: an agent
takes no bundle that is older than the one it holds, so that nobody can hand it an old one again.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.ids import AccountId
from domain.monitors import Spec, as_json

SIGNED = ("account", "hash", "issued_at", "monitors", "node")


@dataclass(frozen=True, slots=True)
class Entry:
    """One monitor of a bundle, and its canonical bytes, made once for all nodes that run it."""

    id: str
    name: str
    version: int
    spec: Spec
    canonical: bytes


def entry(monitor_id: str, name: str, version: int, spec: Spec) -> Entry:
    """A version as it travels."""
    told = {"id": monitor_id, "name": name, "version": version, **as_json(spec), "parameters": spec.told}
    return Entry(monitor_id, name, version, spec, canonical(told))


def hash_of(entries: Sequence[Entry]) -> str:
    """The hash of a set; "" for an empty one. The order counts: entries come by their names."""
    if not entries:
        return ""
    return hashlib.sha256(_array(entries)).hexdigest()


def canonical(value: object) -> bytes:
    """The one text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def public_key(private: bytes) -> bytes:
    """The 32 bytes that agents keep."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def key_id(public: bytes) -> str:
    """A short name of a key, to tell two apart."""
    return hashlib.sha256(public).hexdigest()[:16]


def signed(private: bytes, account_id: AccountId, node: str, entries: Sequence[Entry], issued_at: int) -> bytes:
    """A bundle as it travels, in canonical bytes."""
    told = {
        "account": str(account_id),
        "hash": hash_of(entries),
        "issued_at": issued_at,
        "monitors": [json.loads(one.canonical) for one in entries],
        "node": node,
    }
    signature = Ed25519PrivateKey.from_private_bytes(private).sign(canonical(told))
    about = {"key_id": key_id(public_key(private)), "signature": base64.b64encode(signature).decode()}
    return canonical({**told, **about})


def is_genuine(bundle: Mapping[str, Any], public: bytes) -> bool:
    """Whether the owner of the key has signed this; for programs that fetch bundles, and for tests."""
    try:
        signature = base64.b64decode(bundle["signature"], validate=True)
        told = canonical({name: bundle[name] for name in SIGNED})
        Ed25519PublicKey.from_public_bytes(public).verify(signature, told)
    except (InvalidSignature, KeyError, ValueError, TypeError):
        return False
    return True


def _array(entries: Sequence[Entry]) -> bytes:
    return b"[" + b",".join(one.canonical for one in entries) + b"]"
