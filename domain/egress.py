"""Where webhooks may go: addresses of the public Internet, and what the operator allows besides.

An account's webhook makes our server open a connection, so it must reach nothing that only our server can: loopback,
private networks, a cloud's metadata. What counts is the address that is connected to, in whatever notation or name it
came; `workers/egress.py` looks the name up once, has every address judged here and connects to one of those.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import quote, urlsplit

from domain.errors import InvalidBody

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_MAX: Final = 2_000
_NEVER: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's own services, from within Azure
        "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/63", "2001::/23", "2001:db8::/32", "3fff::/20",
        "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
"""The special-purpose registries of IANA, and what else leads home. Python's `is_global` differs by its version."""
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""All that is given out for the public Internet; what is translated to IPv4 is judged as that."""
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_6TO4: Final = IPv6Network("2002::/16")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?")
_PRINTABLE = re.compile(r"[!-~]*")


class Refused(Exception):
    """This may not be connected to; the text says why, for who owns the channel."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address taken apart: `host` is a name or a plain IP address, `path` begins with a slash, query included."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """As the Host header says it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """For pages and logs: without what may be secret, such as Slack's paths."""
        return f"{self.scheme}://{self.authority}" + ("/…" if self.path != "/" else "")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator allows besides the public Internet."""

    networks: tuple[Network, ...] = ()
    hosts: tuple[str, ...] = ()

    def takes(self, host: str, address: Address) -> bool:
        """Whether this address, found under this name, is on the list."""
        if any(address in network for network in self.networks):
            return True
        name = host.rstrip(".")
        return any(name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in self.hosts)


_PORTS = {"http": 80, "https": 443}


def parse_target(url: str) -> Target:
    """What somebody has typed as a webhook's address; raises InvalidBody."""
    text = url.strip()
    if not text or len(text) > URL_MAX:
        raise InvalidBody(f"The address has 1 to {URL_MAX} characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InvalidBody(f"That is no address: {error}") from None
    if parts.scheme not in _PORTS:
        raise InvalidBody("The address must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        raise InvalidBody("The address may hold no user and password: send them in a header of your own")
    host = _host(parts.hostname or "")
    path = quote(parts.path or "/", safe="/:@!$&'()*+,;=-._~%") + (
        f"?{quote(parts.query, safe='/:@!$&()*+,;=-._~%?')}" if parts.query else ""
    )
    if port == 0 or not _PRINTABLE.fullmatch(path):
        raise InvalidBody("That is no address that can be connected to")
    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def parse_allowed(text: str) -> Allowed:
    """The setting: networks, addresses and names, with commas between them. Raises ValueError."""
    networks: list[Network] = []
    hosts = []
    for part in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            if not _HOST.fullmatch(part.removeprefix("*.")) or "/" in part:
                raise ValueError(f"{part} is no network, address or name") from None
            hosts.append(part)
    return Allowed(tuple(networks), tuple(hosts))


def check_addresses(host: str, found: Sequence[str], allowed: Allowed) -> list[Address]:
    """The addresses that a name led to, all of them judged; raises Refused when one of them may not be connected to.

    All or none: a name that leads to a public and to a private address is after something.
    """
    addresses = [_address(text) for text in found]
    for address in addresses:
        reason = _refusal(address)
        if reason and not allowed.takes(host, address):
            raise Refused(f"{host} leads to {address}, which is {reason}")
    return addresses


def is_literal(host: str) -> bool:
    """Whether a host is an address already, so that no name has to be looked up."""
    try:
        _address(host)
    except Refused:
        return False
    return True


def _refusal(address: Address) -> str:
    """Why an address may not be connected to; empty when it may."""
    inner = _within(address)
    if inner is not None:
        return _refusal(inner)
    if any(address in network for network in _NEVER if network.version == address.version):
        return "no address of the public Internet"
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return "no address of the public Internet"
    return ""


def _within(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return None
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _6TO4:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return None


def _address(text: str) -> Address:
    if "%" in text:  # a zone: fe80::1%eth0
        raise Refused(f"{text} is bound to one of our network's links")
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Refused(f"{text} is no address") from None


def _host(host: str) -> str:
    """A name in the letters that DNS knows, or an address in its usual notation."""
    if is_literal(host):
        return str(_address(host))
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise InvalidBody(f"“{host[:60]}” is no name of a host") from None
    if is_literal(name):
        return str(_address(name))
    if not _HOST.fullmatch(name) or len(name) > 253:
        raise InvalidBody(f"“{host[:60]}” is no name of a host")
    if name.rstrip(".").rpartition(".")[2][:1].isdigit():  # 127.1, 0x7f.1, 2130706433: numbers in disguise
        raise InvalidBody(f"Write “{host[:60]}” as a name, or as an address like 192.0.2.1")
    return name
