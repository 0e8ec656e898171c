"""The socket that people and agents connect to."""

import errno
import os
import socket

from domain.errors import StartRefused
from metrist.tether import FIRST_LISTEN_FD

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Listen on a host's first address; port 0 takes a free one. Raises StartRefused."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StartRefused(f"cannot listen on {host!r}: {error.strerror or error}; pass --host ADDRESS") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise StartRefused(_explain(error, host, port)) from None
    return listener


def passed() -> socket.socket | None:
    """The listening socket that systemd or `metrist up` has opened for us, if it has."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or not int(os.environ.pop("LISTEN_FDS", "0")):
        return None
    os.set_inheritable(FIRST_LISTEN_FD, False)
    return socket.socket(fileno=FIRST_LISTEN_FD)


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; pass --port N"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than we have; pass --port N with N above 1023"
    return f"cannot listen on {host}: {error.strerror}; pass --host ADDRESS"
