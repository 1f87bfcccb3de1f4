"""URLs that name several servers: read as they are meant, refused with the right form otherwise."""

import typing

import pytest

from smart_router.errors import ConfigurationError
from smart_router.sessions import open_store
from smart_router.sessions.address import Address
from smart_router.sessions.connection import SCHEMES, connection_to
from smart_router.sessions.places import FORMS, read_cluster, read_sentinels
from smart_router.settings import REDIS_SCHEMES, load_settings

SECRET = "hunter2-do-not-print"

bare = pytest.mark.usefixtures("bare_environment")


def where(addresses: typing.Iterable[Address]) -> list[tuple[str, int]]:
    return [(address.host, address.port) for address in addresses]


def test_settings_and_store_know_the_same_schemes() -> None:
    assert tuple(f"{scheme}://" for scheme in SCHEMES) == REDIS_SCHEMES


# sentinels


def test_sentinels_and_their_master_are_read() -> None:
    found = read_sentinels("sentinel://a:26380,b,[::1]:5000/my%2Fmaster")
    assert where(found.sentinels) == [("a", 26380), ("b", 26379), ("::1", 5000)]
    assert found.name == "my/master"
    assert found.master.greeting == ()
    assert found.master.tls is None


def test_the_database_is_the_masters_alone() -> None:
    found = read_sentinels("sentinel://a/main/3?client_name=router")
    assert found.master.greeting == (("CLIENT", "SETNAME", "router"), ("SELECT", 3))
    assert found.sentinels[0].greeting == ()


@pytest.mark.parametrize(
    ("url", "to_sentinels"),
    [
        ("sentinel://:p%40ss@a/main", (("AUTH", "p@ss"),)),
        ("sentinel://:p%40ss@a/main?sentinel_password=other%2F", (("AUTH", "other/"),)),
        ("sentinel://:p%40ss@a/main?sentinel_username=ann&sentinel_password=x", (("AUTH", "ann", "x"),)),
        ("sentinel://:p%40ss@a/main?sentinel_password=", ()),
    ],
)
def test_sentinels_get_their_own_password_or_the_masters(url: str, to_sentinels: tuple[object, ...]) -> None:
    found = read_sentinels(url)
    assert found.sentinels[0].greeting == to_sentinels
    assert found.master.greeting == (("AUTH", "p@ss"),)


@pytest.mark.parametrize("url", ["sentinels://a/main", "sentinel://a/main?tls=true", "sentinel://a/main?tls=TRUE"])
def test_tls_is_for_sentinels_and_master(url: str) -> None:
    found = read_sentinels(url + ("&" if "?" in url else "?") + "ssl_cert_reqs=none")
    assert found.master.tls is not None
    assert found.sentinels[0].tls is not None
    assert read_sentinels("sentinel://a/main?tls=false").master.tls is None


# a cluster


def test_nodes_of_a_cluster_are_read() -> None:
    found = read_cluster("cluster://ann:p%40ss@a:7000,b:7001,c?client_name=router")
    assert where(found) == [("a", 7000), ("b", 7001), ("c", 6379)]
    assert {one.greeting for one in found} == {(("AUTH", "ann", "p@ss"), ("CLIENT", "SETNAME", "router"))}


@pytest.mark.parametrize("url", ["cluster://a", "cluster://a/", "cluster://a/0", "cluster://a?db=0"])
def test_a_cluster_may_be_told_its_only_database(url: str) -> None:
    assert where(read_cluster(url)) == [("a", 6379)]


@pytest.mark.parametrize("url", ["clusters://a", "cluster://a?tls=true", "cluster://a?tls=1"])
def test_tls_is_for_every_node(url: str) -> None:
    assert read_cluster(url)[0].tls is not None


# mistakes

WRONG = {
    "no master": f"sentinel://:{SECRET}@a:26379",
    "no master but a slash": f"sentinel://:{SECRET}@a:26379/",
    "a database that is no number": f"sentinel://:{SECRET}@a/main/one",
    "no host of sentinels": "sentinel:///main",
    "a host too many": f"sentinel://:{SECRET}@a,,b/main",
    "a password that is not encoded": f"cluster://:{SECRET}#1@a",
    "no host": "cluster://",
    "no host before the port": f"cluster://:{SECRET}@:7000",
    "a port that is no number": f"cluster://a:{SECRET}",
    "a port too large": f"cluster://:{SECRET}@a:65536",
    "port 0": f"cluster://:{SECRET}@a:0",
    "an address without brackets": f"cluster://:{SECRET}@::1",
    "a bracket alone": f"cluster://:{SECRET}@[::1",
    "a database of a cluster": f"cluster://:{SECRET}@a/1",
    "a database of a cluster as an option": f"cluster://:{SECRET}@a?db=1",
    "tls that is neither": f"cluster://:{SECRET}@a?tls=maybe",
}


@bare
@pytest.mark.parametrize("url", WRONG.values(), ids=WRONG)
def test_a_malformed_url_stops_the_start_with_the_right_form_and_not_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(ConfigurationError) as caught:
        open_store(load_settings())
    message = str(caught.value)
    assert message.startswith("REDIS_URL: ")
    assert FORMS[url.partition("://")[0]] in message
    assert SECRET not in message


@pytest.mark.parametrize("option", ["no_such_option=1", "ssl_no_such=1", "socket_timeout=soon", "db=many"])
@pytest.mark.parametrize("url", [f"cluster://:{SECRET}@a", f"sentinels://:{SECRET}@a/main"])
def test_an_option_that_cannot_be_used_stops_the_start(url: str, option: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        connection_to(f"{url}?{option}", (), timeout_s=1.0)
    assert SECRET not in str(caught.value)


@bare
def test_an_unknown_scheme_is_told_all_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"clutser://:{SECRET}@a")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert all(scheme in str(caught.value) for scheme in REDIS_SCHEMES)
    with pytest.raises(ConfigurationError, match="cluster://"):
        connection_to("clutser://a", (), timeout_s=1.0)


@bare
@pytest.mark.parametrize("url", ["sentinel://a:1,b:2/main", "sentinels://a/main/0", "cluster://a:1", "clusters://a"])
def test_servers_that_are_not_there_do_not_stop_the_start(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert open_store(load_settings()).kind == "redis"
