"""Is it answering? The smallest questions there are, so that `metrist up` needs no client library."""

import asyncio
from collections.abc import Awaitable, Callable

ANSWERS_WITHIN_S = 5.0

Check = Callable[[], Awaitable[bool]]
"""Asks once; False when there is no answer, a wrong one, or none in time."""


def http(host: str, port: int, path: str) -> Check:
    """Ask for a page; healthy is any 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()

    async def check() -> bool:
        return (await _ask(host, port, request, 4096)).split(b" ")[1:2] == [b"200"]

    return check


def redis(host: str, port: int, password: str) -> Check:
    """Ask for a PONG; a server that is still loading its append-only file is not healthy yet."""
    request = f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode()

    async def check() -> bool:
        return b"+PONG" in await _ask(host, port, request)

    return check


def redis_key(host: str, port: int, password: str, key: str) -> Check:
    """Ask whether a process's sign of life is there; Redis itself not answering is not that process's fault."""
    request = f"AUTH {password}\r\nEXISTS {key}\r\nQUIT\r\n".encode()

    async def check() -> bool:
        return b":0\r\n" not in await _ask(host, port, request)

    return check


async def always() -> bool:
    """For a piece that nobody can ask: it is well while it runs."""
    return True


async def _ask(host: str, port: int, request: bytes, at_most: int = -1) -> bytes:
    """Send, and read `at_most` bytes or until the other side closes; empty when that does not work out in time."""
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                return await reader.read(at_most)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
