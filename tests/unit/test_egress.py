"""Where webhooks may go, in every notation that leads home."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.channels import check_target
from domain.egress import Allowed, Refused, check_addresses, parse_allowed, parse_target
from domain.errors import InvalidBody

NOTHING = Allowed()
HOME = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
    "255.255.255.255", "168.63.129.16", "192.88.99.1", "203.0.113.9",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::1",
    "2001:0:7f00:1::", "2001:db8::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "5f00::1",
    "3fff::1", "4000::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1",
          "64:ff9b::1.1.1.1", "2002:101:101::1", "2a00:1450:4001::1"]  # fmt: skip


@pytest.mark.parametrize("address", HOME)
def test_nothing_that_leads_home_is_connected_to(address: str) -> None:
    with pytest.raises(Refused, match=r"leads to .* no address of the public Internet"):
        check_addresses("hooks.example.org", [address], NOTHING)
    with pytest.raises(Refused):
        check_addresses("hooks.example.org", ["1.1.1.1", address], NOTHING)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_is_reached(address: str) -> None:
    assert check_addresses("hooks.example.org", [address], NOTHING) == [ipaddress.ip_address(address)]


@given(st.ip_addresses(v=4))
def test_an_address_is_judged_alike_however_it_is_wrapped(address: ipaddress.IPv4Address) -> None:
    def passes(text: str) -> bool:
        try:
            return bool(check_addresses("x", [text], NOTHING))
        except Refused:
            return False

    number = int(address)
    wrapped = [f"::ffff:{address}", f"64:ff9b::{address}", f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1"]
    assert {passes(text) for text in wrapped} == {passes(str(address))}


@given(st.ip_addresses(v=4))
def test_we_allow_no_more_than_python_calls_global(address: ipaddress.IPv4Address) -> None:
    try:
        check_addresses("x", [str(address)], NOTHING)
    except Refused:
        return
    assert address.is_global and not address.is_multicast


@pytest.mark.parametrize("text", ["fe80::1%eth0", "1.1.1.1%eth0", "nonsense", "", "127.1", "0x7f000001"])
def test_what_is_no_plain_address_is_none(text: str) -> None:
    with pytest.raises(Refused):
        check_addresses("x", [text], NOTHING)


@pytest.mark.parametrize(
    ("allow", "host", "address", "passes"),
    [
        ("10.0.0.0/8", "x", "10.2.3.4", True),
        ("10.0.0.0/8", "x", "11.2.3.4", True),
        ("10.0.0.0/8", "x", "192.168.0.1", False),
        ("127.0.0.1", "x", "127.0.0.1", True),
        ("127.0.0.1", "x", "127.0.0.2", False),
        ("::1", "x", "::1", True),
        ("hooks.internal", "hooks.internal", "192.168.0.1", True),
        ("hooks.internal", "hooks.internal.", "192.168.0.1", True),
        ("hooks.internal", "evil-hooks.internal", "192.168.0.1", False),
        ("*.internal, 10.0.0.0/8", "a.b.internal", "192.168.0.1", True),
        ("*.internal", "internal", "192.168.0.1", False),
        ("", "x", "127.0.0.1", False),
    ],
)
def test_the_operator_may_allow_more(allow: str, host: str, address: str, passes: bool) -> None:
    allowed = parse_allowed(allow)
    if passes:
        assert check_addresses(host, [address], allowed)
        return
    with pytest.raises(Refused):
        check_addresses(host, [address], allowed)


@pytest.mark.parametrize("text", ["http://x", "10.0.0.0/33", "a b", "*"])
def test_a_list_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no network, address or name"):
        parse_allowed(text)


@pytest.mark.parametrize(
    ("url", "host", "authority", "path"),
    [
        ("https://hooks.example.org", "hooks.example.org", "hooks.example.org", "/"),
        (" https://hooks.example.org:443/a?b=c ", "hooks.example.org", "hooks.example.org", "/a?b=c"),
        ("http://Hooks.Example.org:80/ü x?q=ä#f", "hooks.example.org", "hooks.example.org", "/%C3%BC%20x?q=%C3%A4"),
        ("https://[2606:4700::1111]:8443/", "2606:4700::1111", "[2606:4700::1111]:8443", "/"),
        ("https://bücher.example/", "xn--bcher-kva.example", "xn--bcher-kva.example", "/"),
        ("https://1.1.1.1/a%20b", "1.1.1.1", "1.1.1.1", "/a%20b"),
    ],
)  # fmt: skip
def test_an_address_is_taken_apart(url: str, host: str, authority: str, path: str) -> None:
    target = parse_target(url)
    assert (target.host, target.authority, target.path) == (host, authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "//x", "ftp://example.org", "file:///etc/passwd", "gopher://127.0.0.1:25/", "javascript:alert(1)",
        "https://", "https://:443/", "https://user:pass@example.org/", "https://example.org@127.0.0.1/",
        "https://a..b/", "https://a b/", "https://example.org:0/", "https://example.org:99999/",
        "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/",
        "https://0177.0.0.1/", "https://127.0.0.1.5/", "https://[::1%25eth0]/", "https://[::ffff:127.0.0.1",
        "https://ex\r\nample.org\\@x/", "https://" + "a" * 64 + ".org/", "https://example.org/" + "x" * 2_000,
    ],
)  # fmt: skip
def test_what_is_no_address_for_us_is_refused(url: str) -> None:
    with pytest.raises(InvalidBody):
        parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/", "http://LOCALHOST.:80/", "http://a.localhost/", "http://127.0.0.1/", "http://[::1]/",
        "http://[::ffff:7f00:1]/", "http://１２７.０.０.１/", "http://①②⑦.⓪.⓪.①/", "http://169.254.169.254/latest",
        "http://[0:0:0:0:0:ffff:10.0.0.1]/", "http://127。0。0。1/",
    ],
)  # fmt: skip
def test_a_channel_that_leads_home_is_not_even_made(url: str) -> None:
    with pytest.raises(InvalidBody, match="METRIST_EGRESS_ALLOW"):
        check_target(url, NOTHING)
    assert check_target(url, parse_allowed("0.0.0.0/0, ::/0"))


def test_a_secret_path_is_not_shown() -> None:
    assert parse_target("https://hooks.slack.com/services/T0/B0/secret").shown == "https://hooks.slack.com/…"
    assert parse_target("https://example.org").shown == "https://example.org"
