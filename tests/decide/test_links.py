"""A link that all readers read alike, and that leads to a public host, passes; every other is refused."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.links import (
    MOST_FRAMES,
    MOST_OF_A_URL,
    Lookup,
    Refused,
    is_public,
    judged,
    leads_inside,
    media_hosts,
)

ANY = ("*",)
INSIDE = [
    ("0.0.0.0", 8), ("10.0.0.0", 8), ("100.64.0.0", 10), ("127.0.0.0", 8), ("169.254.0.0", 16), ("172.16.0.0", 12),
    ("192.0.0.0", 24), ("192.168.0.0", 16), ("198.18.0.0", 15), ("224.0.0.0", 4), ("240.0.0.0", 4),
]  # fmt: skip
NAT64 = IPv6Network("64:ff9b::/96")
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.255.255", "172.32.0.0", "100.63.0.1", "223.255.255.254"]


@st.composite
def inner_addresses(draw: st.DrawFn) -> IPv4Address:
    start, bits = draw(st.sampled_from(INSIDE))
    return IPv4Address(int(IPv4Address(start)) + draw(st.integers(0, 2 ** (32 - bits) - 1)))


@st.composite
def notations(draw: st.DrawFn) -> str:
    """An inner address as some fetcher would read it: one to four numbers, each in any base, or within IPv6."""
    number = int(draw(inner_addresses()))
    parts = draw(st.integers(1, 4))
    heads = [number >> 24 - 8 * i & 0xFF for i in range(parts - 1)]
    numbers = [*heads, number & (1 << 32 - 8 * (parts - 1)) - 1]
    bases = ["{}", "0x{:x}", "0X{:X}", "0{:o}", "0x{:08x}"]
    plain = ".".join(draw(st.sampled_from(bases)).format(n) for n in numbers)
    return draw(st.sampled_from([plain, f"{plain}.", *within_ipv6(number)]))


def within_ipv6(number: int) -> list[str]:
    dotted = IPv4Address(number)
    return [
        f"[::ffff:{dotted}]",
        f"[::{dotted}]",
        f"[64:ff9b::{dotted}]",
        f"[{IPv6Address((0xFFFF << 32) + number).exploded.upper()}]",
        f"[{IPv6Address((0x2002 << 112) + (number << 80) + 1)}]",
    ]


@given(notations(), st.sampled_from(["", ":80", ":8001"]), st.sampled_from(["", "/", "/a.png", "?a=http://b.org"]))
def test_an_inner_address_is_refused_in_every_notation(host: str, port: str, rest: str) -> None:
    assert isinstance(judged(f"http://{host}{port}{rest}", ANY), Refused)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_passes_only_where_the_internet_routes_it(address: IPv6Address) -> None:
    taken = judged(f"https://[{address}]/", ANY) is None
    assert taken == is_public(address)
    inner = address.ipv4_mapped or address.sixtofour or (address in NAT64 and IPv4Address(int(address) & 0xFFFFFFFF))
    assert not taken or (inner or address).is_global


@given(st.ip_addresses(v=4))
def test_a_public_address_passes_as_four_numbers_and_an_inner_one_does_not(address: IPv4Address) -> None:
    taken = judged(f"https://{address}/a.png", ANY) is None
    assert taken == is_public(address)
    assert not taken or (address.is_global and not address.is_multicast and not address.is_reserved)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_passes_also_as_nat64_and_6to4_write_it(address: str) -> None:
    number = int(IPv4Address(address))
    hosts = [
        address,
        f"[64:ff9b::{address}]",
        f"[::ffff:{address}]",
        f"[{IPv6Address((0x2002 << 112) + (number << 80))}]",
    ]
    assert [judged(f"http://{host}/a.png", ANY) for host in hosts] == [None] * 4


labels = st.from_regex(r"[a-z][a-z0-9]{0,10}(-[a-z0-9]{1,5})?", fullmatch=True)


@given(st.lists(labels, min_size=1, max_size=4), st.sampled_from(["com", "org", "dev", "co.uk", "xn--p1ai"]))
def test_a_public_name_is_left_to_be_resolved(names: list[str], zone: str) -> None:
    name = ".".join([*names, zone])
    assert judged(f"HTTPS://{name.upper()}:8443/a/b%20c.png?x=1&y=http://z#f", ANY) == Lookup(name)
    assert judged(f"http://{name}./", ANY) == Lookup(name)


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "printer.local",
        "printer.local.", "metadata.google.internal", "redis.smart-router.svc", "redis.smart-router.svc.cluster.local",
        "router", "vllm-agent", "nas.lan", "nas.home.arpa", "1.0.0.127.in-addr.arpa", "intranet.corp", "ip6-localhost",
    ],
)  # fmt: skip
def test_a_name_of_a_private_network_is_refused(host: str) -> None:
    found = judged(f"http://{host}/a.png", ANY)
    assert isinstance(found, Refused)
    assert "public" in found.why


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "file:/etc/passwd", "FILE:///etc/passwd", "ftp://example.org/a", "gopher://example.org/",
        "//example.org/a", "example.org/a.png", "http:/example.org", "http:example.org", "http://", "http:///a", "",
        "javascript:alert(1)", "unix:///run/a.sock", "httpx://example.org/", " http://example.org/",
        "http://example.org/ ", "http://user@example.org/", "http://user:pass@example.org/",
        "http://example.org@10.0.0.1/", "http://@example.org", "http://example.org\\@10.0.0.1/",
        "http://example.org/\\..\\a", "http://exa\tmple.org/", "http://example.org/\r\nX: y",
        "http://example.org\u2028/", "http://example.org:port/", "http://example.org:/", "http://example.org:123456/",
        "http://ex%61mple.org/", "http://127%2e0%2e0%2e1/", "http://[::1%25eth0]/", "http://[fe80::1%eth0]/",
        "http://１２７.0.0.1/", "http://127。0。0。1/", "http://127．0．0．1/", "http://ｌocalhost/", "http://münchen.example/",
        "http://a..example.org/", "http://.example.org/", "http://example.org../", "http://-a.example.org/",
        "http://a-/", "http://[10.0.0.1]/", "http://[::1/", "http://::1/", "http://[]/", "http://example.org[::1]/",
        "http://1.2.3/", "http://1.2.3.4.5/", "http://8.8.8.8.", "http://256.1.1.1/", "http://0x/",
        "http://example.0x7f/", "http://a.1/",
    ],
)  # fmt: skip
def test_what_readers_may_read_differently_is_refused(url: str) -> None:
    assert isinstance(judged(url, ANY), Refused)


@pytest.mark.parametrize("url", ["http://user@example.org/", "https://user:pass@8.8.8.8/", "http://a@b@example.org"])
def test_a_password_in_a_link_is_named_as_what_is_wrong(url: str) -> None:
    found = judged(url, ANY)
    assert isinstance(found, Refused)
    assert "password" in found.why


@pytest.mark.parametrize(
    "host", ["168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "100.100.100.200", "169.254.169.254"]
)
def test_what_clouds_tell_their_guests_is_not_for_clients(host: str) -> None:
    assert isinstance(judged(f"http://{host}/latest/meta-data", ANY), Refused)


def test_a_refusal_says_what_to_send_instead() -> None:
    found = [judged(url, hosts) for hosts in (ANY, (), ("a.org",)) for url in ("http://10.0.0.1", "http://b.org:x")]
    assert all(isinstance(one, Refused) and "data: URL" in one.why for one in found)
    assert isinstance(found[5], Refused)


def test_a_link_has_a_longest_length() -> None:
    start = "https://example.org/"
    assert judged(start + "a" * (MOST_OF_A_URL - len(start)), ANY) == Lookup("example.org")
    assert isinstance(judged(start + "a" * (MOST_OF_A_URL - len(start) + 1), ANY), Refused)


@pytest.mark.parametrize("hosts", [ANY, (), ("cdn.example.org",)])
def test_a_file_that_is_sent_along_is_no_link(hosts: tuple[str, ...]) -> None:
    assert judged("data:image/png;base64," + "A" * 100_000, hosts) is None
    assert judged("DATA:image/png;base64,AAAA", hosts) is None


def test_a_video_of_too_many_pictures_is_refused() -> None:
    video = "data:video/jpeg;base64"
    assert judged(video + ",AAAA" * MOST_FRAMES, ANY) is None
    assert isinstance(judged(video + ",AAAA" * (MOST_FRAMES + 1), ANY), Refused)


def test_without_hosts_no_link_is_taken() -> None:
    assert isinstance(judged("https://example.org/a.png", ()), Refused)


@pytest.mark.parametrize(
    "host", ["cdn.example.org", "CDN.example.org.", "a.example.com", "a.b.example.com", "10.0.0.5"]
)
def test_a_listed_host_passes_whatever_its_addresses(host: str) -> None:
    assert judged(f"http://{host}/a", ("cdn.example.org", "*.example.com", "10.0.0.5")) is None


@pytest.mark.parametrize(
    "host",
    ["example.com", "example.org", "evilexample.com", "cdn.example.org.evil.net", "10.0.0.6", "[::1]", "0xa.0.0.5"],
)
def test_a_host_that_is_not_listed_is_refused(host: str) -> None:
    assert isinstance(judged(f"http://{host}/a", ("cdn.example.org", "*.example.com", "10.0.0.5")), Refused)


def test_one_inner_address_among_those_of_a_name_is_enough() -> None:
    assert leads_inside(["93.184.215.14", "10.0.0.1"])
    assert leads_inside(["2606:4700::1111", "fe80::1%eth0"])
    assert not leads_inside(["93.184.215.14", "2606:4700::1111"])
    assert not leads_inside([])


@pytest.mark.parametrize(
    "address", ["2001:db8::1", "2001::1", "3fff::1", "fec0::1", "fc00::1", "ff02::1", "::", "5f00::1"]
)
def test_what_the_internet_does_not_route_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


def test_the_setting_is_any_none_or_hosts() -> None:
    assert media_hosts(["*"]) == ANY
    assert media_hosts([" None "]) == ()
    assert media_hosts(["CDN.example.org", "*.example.com", "::1", "cdn"]) == (
        "cdn.example.org",
        "*.example.com",
        "::1",
        "cdn",
    )


@pytest.mark.parametrize("entry", ["https://a.org", "a.org/x", "a b", "*", "*.*", "a..b", "0x7f.1", "a.org:80"])
def test_the_setting_names_an_entry_that_is_no_host(entry: str) -> None:
    with pytest.raises(ValueError, match=r"must be \*, none, or hosts"):
        media_hosts(["b.org", entry])
